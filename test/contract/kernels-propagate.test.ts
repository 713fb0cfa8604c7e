import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Csr } from "../../src/core/interactions.js";
import { NativeError } from "../../src/core/errors.js";
import { describeNative, loadKernels } from "../../src/native/load.js";
import type { Kernels, LightGcnInput, PropagateInput } from "../../src/native/kernels.js";
import { bytesOf, csrOf, floats, freshState } from "./faces.js";

const js = loadKernels({ device: "js" });

/** The cpu face with every instruction set of this machine, on one thread and on three. */
function nativeFaces(): Kernels[] {
  if (describeNative({ device: "auto" }).face !== "cpu") return [];
  const faces: Kernels[] = [];
  for (const isa of ["base", "avx2", "avx512"] as const) {
    for (const threads of [1, 3]) {
      try {
        faces.push(loadKernels({ device: "cpu", isa, threads }));
      } catch (error) {
        if (!(error instanceof NativeError) || error.code !== "NATIVE_ISA") throw error;
      }
    }
  }
  return faces;
}
const faces = nativeFaces();

const DIMENSIONS = [1, 3, 8, 16, 31, 32, 48, 64, 65, 128];

interface Shape {
  userCount: number;
  itemCount: number;
  positives: Csr;
}

function shapeOf(userCount: number, itemCount: number, edges: Iterable<[number, number]>): Shape {
  const rows = Array.from({ length: userCount }, () => new Set<number>());
  for (const [user, item] of edges) rows[user % userCount].add(item % itemCount);
  return { userCount, itemCount, positives: csrOf(rows.map((row) => [...row].sort((a, b) => a - b))) };
}

/** Graphs with rows of their own: no edge, one edge, stars from either side, a hub of users beside single edges, dense and thin ones. */
const shapes: fc.Arbitrary<Shape> = fc.oneof(
  fc.record({ users: fc.integer({ min: 1, max: 40 }), items: fc.integer({ min: 1, max: 40 }) }).chain(({ users, items }) =>
    fc.array(fc.tuple(fc.nat(1000), fc.nat(1000)), { maxLength: 300 }).map((edges) => shapeOf(users, items, edges))),
  fc.integer({ min: 1, max: 70 }).map((leaves) => shapeOf(2, leaves, Array.from({ length: leaves }, (_, item): [number, number] => [1, item]))),
  fc.integer({ min: 1, max: 70 }).map((leaves) => shapeOf(leaves + 1, 3, Array.from({ length: leaves }, (_, user): [number, number] => [user, 2]))),
  fc.integer({ min: 2, max: 90 }).map((size) => {
    const edges = Array.from({ length: size }, (_, at): [number, number][] => [[at, at], [0, at]]);
    return shapeOf(size, size, edges.flat());
  }),
);

/** Values that meet every rounding: ordinary, huge, denormal, both zeros, and halfway between two bfloat16 values. */
function values(length: number, seed: number, kind: string): Float32Array {
  const found = floats(length, seed, 2);
  if (kind === "tiny") return found.map((value) => value * 1e-39);
  if (kind === "large") return found.map((value) => value * 1e37);
  if (kind === "zeros") return found.map((value) => (value > 0.3 ? value : value > -0.3 ? -0 : 0));
  if (kind === "ties") {
    const bits = new Uint32Array(found.buffer);
    for (let at = 0; at < length; at++) bits[at] = ((bits[at] & 0xffff0000) | 0x8000) >>> 0;
  }
  return found;
}
const kinds = fc.constantFrom("plain", "tiny", "large", "zeros", "ties");
const operands = fc.constantFrom("float32" as const, "bf16" as const);

describe("propagate", () => {
  it("gives the bytes of the reference on every instruction set and number of threads", async () => {
    await fc.assert(fc.asyncProperty(
      shapes, fc.constantFrom(...DIMENSIONS), fc.integer({ min: 0, max: 4 }), operands, kinds, fc.nat(1000),
      async (shape, dimension, layers, operand, kind, seed) => {
        const parameters = values((shape.userCount + shape.itemCount) * dimension, seed, kind);
        const input = { ...shape, dimension, layers, operand, parameters };
        const wanted = bytesOf(await js.propagate(input));
        for (const face of faces) expect(bytesOf(await face.propagate(input)), face.device).toBe(wanted);
      }), { numRuns: 150 });
  });

  it("reads rows longer than one list of neighbours, in order", async () => {
    // 1, then many values too small to move it one by one, then its opposite: any other order gives another sum.
    const items = 5000;
    const shape = shapeOf(2, items, Array.from({ length: items }, (_, item): [number, number] => [0, item]));
    for (const dimension of [1, 64]) {
      const parameters = floats((2 + items) * dimension, 3, 1e-8);
      parameters.fill(1, 2 * dimension, 3 * dimension);
      parameters.fill(-1, (1 + items) * dimension);
      for (const operand of ["float32", "bf16"] as const) {
        const input = { ...shape, dimension, layers: 1, operand, parameters };
        const result = await js.propagate(input);
        let sum = 0;
        const scale = Math.fround(1);
        for (let item = 0; item < items; item++) {
          const value = Math.fround(scale * parameters[(2 + item) * dimension]);
          sum = Math.fround(sum + (operand === "bf16" ? bfloat16(value) : value));
        }
        const own = Math.fround(1 / Math.sqrt(items));
        expect(result[0]).toBe(Math.fround(Math.fround(parameters[0] + Math.fround(own * sum)) / 2));
        for (const face of faces) expect(bytesOf(await face.propagate(input)), face.device).toBe(bytesOf(result));
      }
    }
  });

  it.each<[string, number, number]>([
    ["a tie goes down to even", 1 + 2 ** -8, 1], ["a tie goes up to even", 1 + 3 * 2 ** -8, 1 + 2 ** -6],
    ["just above a tie", 1 + 2 ** -8 + 2 ** -20, 1 + 2 ** -7], ["just below a tie", 1 + 2 ** -8 - 2 ** -20, 1],
    ["a negative tie", -1 - 3 * 2 ** -8, -1 - 2 ** -6], ["up to the next power", 2 - 2 ** -9, 2],
    ["a denormal", 2 ** -133 * 5, 2 ** -133 * 5], ["a denormal tie", 2 ** -134 * 3, 2 ** -133 * 2], ["below half a denormal", 2 ** -135, 0],
    ["the largest", 3.3895313892515355e38, 3.3895313892515355e38], ["0", 0, 0],
  ])("rounds operands to bfloat16: %s", async (_, value, rounded) => {
    // One edge, degrees of 1: row 0 becomes (0 + Z of the item) / 2, twice that is Z.
    const input: PropagateInput = {
      ...shapeOf(1, 1, [[0, 0]]), dimension: 1, layers: 1, operand: "bf16", parameters: Float32Array.of(0, value),
    };
    for (const face of [js, ...faces]) {
      const [user] = await face.propagate(input);
      expect(user, face.device).toBe(Math.fround(rounded / 2));
    }
  });

  it("keeps infinity where a large operand rounds up to it", async () => {
    const input: PropagateInput = {
      ...shapeOf(1, 1, [[0, 0]]), dimension: 1, layers: 1, operand: "bf16", parameters: Float32Array.of(0, -3.4028234663852886e38),
    };
    for (const face of [js, ...faces]) expect((await face.propagate(input))[0], face.device).toBe(-Infinity);
  });

  it("stays within the rounding of its operands", async () => {
    const shape = shapeOf(30, 40, Array.from({ length: 400 }, (_, at): [number, number] => [at * 7, at * 13 + (at % 11)]));
    const parameters = floats(70 * 16, 4).map(Math.abs);
    const exact = await js.propagate({ ...shape, dimension: 16, layers: 3, parameters });
    const rounded = await js.propagate({ ...shape, dimension: 16, layers: 3, parameters, operand: "bf16" });
    // Positive operands: each hop adds at most 2^-8 relative; a little more for float32 itself.
    expect(bytesOf(rounded)).not.toBe(bytesOf(exact));
    for (let at = 0; at < exact.length; at++) expect(Math.abs(rounded[at] / exact[at] - 1)).toBeLessThan(3 * 2 ** -8 + 1e-5);
  });
});

/** Nearest bfloat16 by comparing the two neighbours, not by bit tricks. Finite, normal values. */
function bfloat16(value: number): number {
  if (value === 0) return value;
  const unit = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 7);
  const low = Math.floor(value / unit), rest = value / unit - low;
  return (rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low) * unit;
}

describe("the propagation inside lightGcnEpoch", () => {
  const lightGcn = (positives: Csr, more: Partial<LightGcnInput>): LightGcnInput => ({
    positives, seed: 5, firstEpoch: 0, epochs: 1, batchCount: 3, learningRate: 0.02, regularisation: 0.01, optimiser: "adam", layers: 3, ...more,
  });

  it("leaves out rows that no batch reads without changing a bit", async () => {
    await fc.assert(fc.asyncProperty(
      shapes, fc.constantFrom(1, 8, 31, 64, 65), fc.integer({ min: 1, max: 4 }), operands, fc.constantFrom("adam" as const, "sgd" as const),
      fc.constantFrom(1, 2, 7, 1000), fc.nat(1000),
      async ({ userCount, itemCount, positives }, dimension, layers, operand, optimiser, batchCount, seed) => {
        const input = lightGcn(positives, { layers, operand, optimiser, batchCount, seed });
        const state = freshState(userCount, itemCount, dimension, seed, optimiser);
        const wanted = bytesOf(await js.lightGcnEpoch(state, input));
        for (const face of faces) expect(bytesOf(await face.lightGcnEpoch(state, input)), face.device).toBe(wanted);
      }), { numRuns: 60 });
  });

  it("follows the neighbourhoods of small batches in a thin graph", async () => {
    // A ring of users and items and pairs beside it: a batch of one row reaches a few rows a hop.
    const size = 120;
    const edges = Array.from({ length: size }, (_, at): [number, number][] => (at < 80 ? [[at, at], [at, (at + 1) % 80]] : [[at, at]])).flat();
    const { positives } = shapeOf(size, size, edges);
    for (const layers of [1, 2, 3, 4, 12]) {
      for (const [batchCount, operand] of [[150, "float32"], [150, "bf16"], [20, "float32"]] as const) {
        const input = lightGcn(positives, { layers, batchCount, operand });
        const state = freshState(size, size, 16, layers);
        const wanted = bytesOf(await js.lightGcnEpoch(state, input));
        for (const face of faces) expect(bytesOf(await face.lightGcnEpoch(state, input)), face.device).toBe(wanted);
      }
    }
  });

  it("is another result with bfloat16 operands", async () => {
    const { positives } = shapeOf(20, 20, Array.from({ length: 90 }, (_, at): [number, number] => [at * 3, at * 7]));
    const state = freshState(20, 20, 8);
    const exact = await js.lightGcnEpoch(state, lightGcn(positives, {}));
    const rounded = await js.lightGcnEpoch(state, lightGcn(positives, { operand: "bf16" }));
    expect(bytesOf(rounded)).not.toBe(bytesOf(exact));
    expect(rounded.losses[0]).toBeCloseTo(exact.losses[0], 2);
  });
});
