import { expect } from "vitest";
import { ISA_NAMES } from "../../src/native/binding.js";
import type { Kernels } from "../../src/native/kernels.js";
import { describeNative, loadKernels } from "../../src/native/load.js";
import { bytesOf } from "./faces.js";

/** The TypeScript face first, then the cpu face with each instruction set of this machine on one, two and three threads. */
export function everyFace(): Kernels[] {
  const faces = [loadKernels({ device: "js" })];
  const { face, isa: best } = describeNative({ device: "auto" });
  if (face !== "cpu") return faces;
  const isas = ISA_NAMES.slice(0, ISA_NAMES.indexOf(best as (typeof ISA_NAMES)[number]) + 1);
  for (const isa of isas) for (const threads of [1, 2, 3]) faces.push(loadKernels({ device: "cpu", isa, threads }));
  return faces;
}

/** Runs a call on every face; all must give the bytes of the first, which are returned as they are. */
export async function agreed<T>(faces: Kernels[], call: (kernels: Kernels) => Promise<T>): Promise<T> {
  const first = await call(faces[0]), bytes = bytesOf(first);
  for (const kernels of faces.slice(1)) expect(bytesOf(await call(kernels)) === bytes, `${kernels.device} gives the bytes of ${faces[0].device}`).toBe(true);
  return first;
}
