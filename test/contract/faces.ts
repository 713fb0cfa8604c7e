import type { Csr } from "../../src/core/interactions.js";
import { KeyedRandom } from "../../src/core/rng.js";
import { ISA_NAMES } from "../../src/native/binding.js";
import { describeNative, loadKernels } from "../../src/native/load.js";
import type { Kernels, TrainingState } from "../../src/native/kernels.js";

/** The faces of this machine. `missing` says why the cpu face is not among them. */
export function presentFaces(): { faces: Kernels[]; missing: string | undefined } {
  const { face, reason } = describeNative({ device: "auto" });
  const faces = [loadKernels({ device: "js" })];
  if (face === "cpu") faces.push(loadKernels({ device: "cpu" }));
  return { faces, missing: reason };
}

/** Floats in [-scale / 2, scale / 2), keyed by seed and position. */
export function floats(length: number, seed: number, scale = 1): Float32Array {
  const random = new KeyedRandom(seed, "probe");
  return Float32Array.from({ length }, (_, at) => (random.uniform(at) - 0.5) * scale);
}

/** Rows with each column present with chance `density`; row 0 is left empty where `emptyRow`. */
export function sparse(rows: number, columns: number, density: number, seed: number, emptyRow = false): Csr {
  const random = new KeyedRandom(seed, "synthetic/row");
  const offsets = new Uint32Array(rows + 1), found: number[] = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (!(emptyRow && row === 0) && random.uniform(row, column) < density) found.push(column);
    }
    offsets[row + 1] = found.length;
  }
  return { offsets, columns: Uint32Array.from(found) };
}

export function csrOf(rows: number[][]): Csr {
  const offsets = new Uint32Array(rows.length + 1);
  rows.forEach((row, at) => { offsets[at + 1] = offsets[at] + row.length; });
  return { offsets, columns: Uint32Array.from(rows.flat()) };
}

export function freshState(userCount: number, itemCount: number, dimension: number, seed = 1, optimiser: "adam" | "sgd" = "adam"): TrainingState {
  const size = (userCount + itemCount) * dimension, moments = optimiser === "adam" ? size : 0;
  return {
    userCount, itemCount, dimension, parameters: floats(size, seed, 0.6),
    first: new Float32Array(moments), second: new Float32Array(moments), step: 0,
  };
}

/** Every byte of a result, arrays and numbers alike, in a form that shows -0 and NaN apart. */
export function bytesOf(value: unknown): string {
  if (ArrayBuffer.isView(value)) {
    return `${value.constructor.name}:${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64")}`;
  }
  if (value !== null && typeof value === "object") {
    return Object.keys(value).sort().map((key) => `${key}=${bytesOf((value as Record<string, unknown>)[key])}`).join(";");
  }
  return String(value);
}

/** The cpu face in every instruction set of this machine, with one thread and with three; empty where it is missing. */
export function cpuFaces(): Kernels[] {
  if (describeNative({ device: "auto" }).face !== "cpu") return [];
  return ISA_NAMES.flatMap((isa) => [1, 3].flatMap((threads) => {
    try {
      return [loadKernels({ device: "cpu", isa, threads })];
    } catch {
      return [];
    }
  }));
}
