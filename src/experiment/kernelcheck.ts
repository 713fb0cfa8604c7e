import type { RunOptions } from "../core/progress.js";
import type { Roofs } from "../native/binding.js";
import type { KernelName, Kernels } from "../native/kernels.js";
import { kernelCases, LARGE, SMALL, type CaseShape, type KernelCase } from "./kernelcases.js";

/** One kernel on one face: does it agree with the reference, and how fast is it? */
export interface KernelCheck {
  kernel: KernelName;
  face: string;
  /** Bit for bit equal to the TypeScript face on a small shape; undefined for that face itself. */
  agrees: boolean | undefined;
  seconds: number;
  /** Work units a second: on a small shape for the TypeScript face, on one that keeps threads busy for the others. */
  rate: number;
  unit: string;
  /** Share of the roof that bounds the kernel here, 1 = all of it; undefined where no roof was measured. */
  share: number | undefined;
  roof: keyof Roofs;
}

/** Calls of one timing. */
const CALLS = 3;

/**
 * Runs every kernel of the contract on a small shape on all `faces`, and compares the bytes with the first one, which must be the
 * TypeScript face; then once more, on the shape `busy`, for the rate of the others and its share of `roofs`. A few seconds.
 */
export async function checkKernels(
  faces: readonly Kernels[], options: RunOptions = {}, roofs?: Roofs, busy: CaseShape = LARGE,
): Promise<KernelCheck[]> {
  const checks: KernelCheck[] = [];
  const small = kernelCases(SMALL), large = kernelCases(busy);
  for (const [at, one] of small.entries()) {
    let expected: ArrayBufferView[] | undefined;
    for (const face of faces) {
      const values = await one.run(face, signalOf(options));
      const timed = face.face === "js" ? one : large[at]!;
      const seconds = await fastest(timed, face, options);
      checks.push({
        kernel: one.kernel, face: face.face, agrees: expected ? sameBytes(expected, values) : undefined,
        seconds, rate: timed.units / seconds, unit: timed.unit, roof: timed.roof,
        share: roofs && face.face === "cpu" ? timed.work / seconds / (roofs[timed.roof] * 1e9) : undefined,
      });
      expected ??= values;
    }
    options.onProgress?.(at + 1, small.length, one.kernel);
  }
  return checks;
}

async function fastest(one: KernelCase, face: Kernels, options: RunOptions): Promise<number> {
  let least = Infinity;
  for (let call = 0; call < CALLS; call++) {
    const start = performance.now();
    await one.run(face, signalOf(options));
    least = Math.min(least, (performance.now() - start) / 1000);
  }
  return Math.max(1e-6, least);
}

function sameBytes(a: readonly ArrayBufferView[], b: readonly ArrayBufferView[]): boolean {
  return a.length === b.length && a.every((view, at) => {
    const other = b[at]!;
    return Buffer.from(view.buffer, view.byteOffset, view.byteLength).equals(Buffer.from(other.buffer, other.byteOffset, other.byteLength));
  });
}

function signalOf({ signal }: RunOptions): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}
