import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NO_ITEM, type AttentionInput, type AttentionResult } from "../../src/native/kernels.js";
import { bytesOf, cpuFaces, floats, presentFaces } from "./faces.js";

const { faces, missing } = presentFaces();
const js = faces[0];

if (missing !== undefined) it.skip(`cpu face: ${missing} Build it with npm run build:native`, () => undefined);

const OUTPUTS = ["heads", "weights", "max", "mean", "top"] as const;

/** Users with these numbers of queries and keys. */
function batch(users: readonly (readonly [number, number])[], dimension: number, seed: number, scale = 3): Omit<AttentionInput, "heads" | "output"> {
  const offsets = (side: 0 | 1): Uint32Array => {
    const values = new Uint32Array(users.length + 1);
    users.forEach((user, at) => { values[at + 1] = values[at] + user[side]; });
    return values;
  };
  const queryOffsets = offsets(0), keyOffsets = offsets(1);
  return {
    queries: floats(queryOffsets[users.length] * dimension, seed, scale), queryOffsets,
    keys: floats(keyOffsets[users.length] * dimension, seed + 1, 3), keyOffsets, dimension,
  };
}

/** [user][head][candidate][key] in double, with Math.exp. */
function definition({ queries, queryOffsets, keys, keyOffsets, dimension, heads, bias }: AttentionInput): number[][][][] {
  const width = dimension / heads, q = queries as Float32Array, k = keys as Float32Array;
  return Array.from({ length: queryOffsets.length - 1 }, (_, b) => Array.from({ length: heads }, (__, h) => {
    const rows: number[][] = [];
    for (let c = queryOffsets[b]; c < queryOffsets[b + 1]; c++) {
      const logits: number[] = [];
      for (let j = keyOffsets[b]; j < keyOffsets[b + 1]; j++) {
        let dot = 0;
        for (let d = h * width; d < (h + 1) * width; d++) dot += q[c * dimension + d] * k[j * dimension + d];
        logits.push(dot / Math.sqrt(width) + (bias ? bias[j] : 0));
      }
      const e = logits.map((x) => Math.exp(x - Math.max(...logits))), total = e.reduce((a, x) => a + x, 0);
      rows.push(e.map((x) => x / total));
    }
    return rows;
  }));
}

/** What the pooled outputs and the lists must be, from the rows of "weights" alone: exact. */
function fromRows(input: AttentionInput, rows: Float32Array, k: number): Record<"max" | "mean" | "top", AttentionResult> {
  const { queryOffsets, keyOffsets } = input, users = queryOffsets.length - 1, candidates = queryOffsets[users];
  const max = new Float32Array(keyOffsets[users]), mean = new Float32Array(keyOffsets[users]);
  const best = new Float32Array(candidates * k), keys = new Uint32Array(candidates * k).fill(NO_ITEM);
  let at = 0;
  for (let b = 0; b < users; b++) {
    const count = keyOffsets[b + 1] - keyOffsets[b], asked = queryOffsets[b + 1] - queryOffsets[b];
    const own = Array.from({ length: asked }, (_, c) => rows.subarray(at + c * count, at + (c + 1) * count));
    at += asked * count;
    for (let j = 0; j < count; j++) {
      max[keyOffsets[b] + j] = Math.max(0, ...own.map((row) => row[j]));
      let sum = 0;
      for (let block = 0; block < asked; block += 64) {
        sum = Math.fround(sum + own.slice(block, block + 64).reduce((a, row) => Math.fround(a + row[j]), 0));
      }
      mean[keyOffsets[b] + j] = asked > 0 ? sum / asked : 0;
    }
    own.forEach((row, c) => {
      Array.from(row, (weight, j) => ({ weight, j })).sort((x, y) => y.weight - x.weight || x.j - y.j).slice(0, k).forEach(({ weight, j }, place) => {
        best[(queryOffsets[b] + c) * k + place] = weight;
        keys[(queryOffsets[b] + c) * k + place] = j;
      });
    });
  }
  return { max: { weights: max }, mean: { weights: mean }, top: { weights: best, keys } };
}

describe.each(faces)("attentionWeights of $device", (kernels) => {
  it("is a softmax: rows add to 1, a bias of log w multiplies by w", async () => {
    const input = { ...batch([[2, 3], [0, 2], [1, 0]], 8, 1), heads: 1, output: "weights" } as const;
    const { weights: plain, keys } = await kernels.attentionWeights(input);
    expect(keys).toBeUndefined();
    expect(plain.length).toBe(6);
    for (const c of [0, 1]) expect(plain[3 * c] + plain[3 * c + 1] + plain[3 * c + 2]).toBeCloseTo(1, 6);
    const { weights: tilted } = await kernels.attentionWeights({ ...input, bias: Float32Array.of(Math.log(2), 0, 0, 0, 0) });
    expect(tilted[0] / tilted[1]).toBeCloseTo(2 * plain[0] / plain[1], 4);
  });

  it("gives exact answers where they are exact", async () => {
    // Equal logits share alike; a key far behind weighs exactly 0; one key weighs exactly 1.
    const weights = async (queries: number[], keys: number[], output: "weights" | "top" = "weights"): Promise<AttentionResult> => kernels.attentionWeights({
      queries: Float32Array.from(queries), queryOffsets: Uint32Array.of(0, queries.length), keys: Float32Array.from(keys), keyOffsets: Uint32Array.of(0, keys.length),
      dimension: 1, heads: 1, output, k: 3,
    });
    expect(Array.from((await weights([1], [5, 5, 5, 5])).weights)).toEqual([0.25, 0.25, 0.25, 0.25]);
    expect(Array.from((await weights([1, -1], [40, -40])).weights)).toEqual([1, 0, 0, 1]);
    expect(Array.from((await weights([-0, 7], [3])).weights)).toEqual([1, 1]);
    const top = await weights([1, 0], [40, -40, -40, -40], "top");
    expect(Array.from(top.keys!)).toEqual([0, 1, 2, 0, 1, 2]);
    expect(Array.from(top.weights)).toEqual([1, 0, 0, 0.25, 0.25, 0.25]);
    expect(Array.from((await weights([2], [3], "top")).keys!)).toEqual([0, NO_ITEM, NO_ITEM]);
    expect(Array.from((await weights([2], [], "top")).keys!)).toEqual([NO_ITEM, NO_ITEM, NO_ITEM]);
    expect((await weights([], [1, 2])).weights.length).toBe(0);
  });

  it("equals the definition with Math.exp, for every head count and output", async () => {
    for (const heads of [1, 2, 3, 4, 6, 12]) {
      const input = { ...batch([[4, 7], [0, 3], [5, 19]], 12, 3), heads, bias: floats(29, 5) };
      const wanted = definition({ ...input, output: "heads" });
      const close = (found: Float32Array, values: number[]): void => {
        expect(found.length).toBe(values.length);
        values.forEach((value, at) => { expect(Math.abs(found[at] - value)).toBeLessThan(2e-6); });
      };
      close((await kernels.attentionWeights({ ...input, output: "heads" })).weights, wanted.flat(3));
      const mean = wanted.map((perHead) => perHead[0].map((row, c) => row.map((_, j) => perHead.reduce((sum, rows) => sum + rows[c][j], 0) / heads)));
      const { weights } = await kernels.attentionWeights({ ...input, output: "weights" });
      close(weights, mean.flat(2));
      const expected = fromRows({ ...input, output: "max" }, weights, 6);
      for (const output of ["max", "mean", "top"] as const) {
        expect(bytesOf(await kernels.attentionWeights({ ...input, output, k: 6 }))).toBe(bytesOf(expected[output]));
      }
    }
  });

  it("pools and sorts the rows of weights exactly, ties and lists longer than the keys included", async () => {
    await fc.assert(fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 90 })), { minLength: 0, maxLength: 4 }), fc.integer({ min: 1, max: 100 }),
      fc.constantFrom("random", "coarse", "two", "equal", "steep"), fc.nat(1000),
      async (users, k, kind, seed) => {
        const given = batch(users, 4, seed);
        const change: Record<typeof kind, (value: number) => number> = {
          random: (value) => value, coarse: Math.round, two: Math.sign, equal: () => 1, steep: (value) => value * 40,
        };
        const input = { ...given, keys: (given.keys as Float32Array).map(change[kind]), queries: (given.queries as Float32Array).map((value) => (kind === "random" ? value : Math.round(value))), heads: 2 };
        const { weights } = await kernels.attentionWeights({ ...input, output: "weights" });
        const expected = fromRows({ ...input, output: "weights" }, weights, k);
        for (const output of ["max", "mean", "top"] as const) {
          expect(bytesOf(await kernels.attentionWeights({ ...input, output, k }))).toBe(bytesOf(expected[output]));
        }
      }), { numRuns: 40 });
  });

  it("pools many candidates block by block", async () => {
    const input = { ...batch([[130, 5], [64, 3], [65, 2]], 3, 8), heads: 3 };
    const { weights } = await kernels.attentionWeights({ ...input, output: "weights" });
    const expected = fromRows({ ...input, output: "weights" }, weights, 2);
    for (const output of ["max", "mean"] as const) expect(bytesOf(await kernels.attentionWeights({ ...input, output }))).toBe(bytesOf(expected[output]));
  });

  it("refuses logits that leave float32, and names the first user", async () => {
    const at = (values: number[]): AttentionInput => ({
      queries: Float32Array.of(1, 1, 1e20, -1e20, 1e20, 1), queryOffsets: Uint32Array.of(0, 1, 2, 3),
      keys: Float32Array.from(values), keyOffsets: Uint32Array.of(0, 1, 2, 3), dimension: 2, heads: 1, output: "weights",
    });
    for (const bad of [[1e20, 0], [-1e20, 0], [1e20, 1e20]]) {
      await expect(kernels.attentionWeights(at([1, 1, ...bad, 1e20, 1]))).rejects.toMatchObject({
        name: "NativeError", code: "NATIVE_RANGE", message: expect.stringContaining("attentionWeights: the logits of user 1 leave the range of float32.") as string,
      });
    }
    expect(Array.from((await kernels.attentionWeights(at([1, 1, 1e18, 1e17, 1e18, 1]))).weights)).toEqual([1, 1, 1]);
  });
});

describe("attentionWeights of every cpu face against js, bit for bit", () => {
  const cpus = cpuFaces();
  const same = async (input: AttentionInput): Promise<void> => {
    const wanted = bytesOf(await js.attentionWeights(input));
    for (const kernels of cpus) expect(bytesOf(await kernels.attentionWeights(input)) === wanted, kernels.device).toBe(true);
  };

  it.each([[1, 1], [8, 1], [33, 3], [64, 8], [64, 1], [65, 5], [12, 12], [130, 2]])("dimension %i, %i heads", async (dimension, heads) => {
    const users = [[5, 0], [0, 9], [1, 1], [4, 16], [6, 17], [3, 63], [2, 65], [7, 113]] as const;
    for (const output of OUTPUTS) {
      for (const bias of [undefined, floats(284, 3, 5)]) {
        for (const scale of [1, 90]) await same({ ...batch(users, dimension, 1, scale), heads, output, k: 20, ...(bias ? { bias } : {}) });
      }
    }
  });

  it("with many candidates, long histories and long lists", async () => {
    for (const [users, dimension, heads, k] of [[[[70, 30], [129, 4]], 6, 2, 9], [[[3, 2311]], 8, 2, 1000], [[[5, 700]], 4, 4, 65], [[[2, 5000]], 2, 1, 10]] as const) {
      for (const output of OUTPUTS) await same({ ...batch(users, dimension, 4), heads, output, k });
    }
  });

  it("with equal, coarse, tiny and huge numbers", async () => {
    const given = batch([[9, 200], [2, 31]], 16, 6), keys = given.keys as Float32Array, queries = given.queries as Float32Array;
    for (const change of [() => 0, () => -0, () => 1, Math.round, Math.sign, (x: number) => x * 1e-30, (x: number) => x * 1e-42, (x: number) => x * 2 ** 20]) {
      for (const output of OUTPUTS) {
        await same({ ...given, keys: keys.map(change), heads: 2, output, k: 40 });
        await same({ ...given, keys: keys.map(change), queries: queries.map(Math.round), heads: 2, output, k: 3, bias: new Float32Array(231).fill(-0) });
      }
    }
    // Logits near the largest float32 that still are numbers.
    await same({ ...given, keys: keys.map((x) => x * 1e19), queries: queries.map((x) => x * 1e18), heads: 16, output: "weights" });
  });
});
