import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { log } from "../../../src/core/math.js";
import { KeyedRandom } from "../../../src/core/rng.js";
import { attentionRetriever, pooledWeights, type AttentionOptions } from "../../../src/retrieval/attention.js";
import type { RetrievalContext } from "../../../src/retrieval/retriever.js";
import { asked, contextOf, historyOf, kernels } from "./fixtures.js";

const DIMENSION = 16;
function vectorsFor(itemCount: number, seed: number): NonNullable<RetrievalContext["itemVectors"]> {
  const random = new KeyedRandom(seed, "probe"), values = new Float32Array(itemCount * DIMENSION);
  for (let item = 0; item < itemCount; item++) random.normals(item, values.subarray(item * DIMENSION, (item + 1) * DIMENSION));
  return { values, dimension: DIMENSION, origin: "keyed normals" };
}

/** a[c][j] by the formula, in double. */
function weightsOf(values: Float32Array, candidates: number[], rows: number[], heads: number, bias: (row: number) => number = () => 0): number[][] {
  const depth = DIMENSION / heads;
  return candidates.map((candidate) => {
    const mean = rows.map(() => 0);
    for (let head = 0; head < heads; head++) {
      const powers = rows.map((item, row) => {
        let sum = 0;
        for (let axis = head * depth; axis < (head + 1) * depth; axis++) sum += values[candidate * DIMENSION + axis]! * values[item * DIMENSION + axis]!;
        return Math.exp(sum / Math.sqrt(depth) + bias(row));
      });
      const total = powers.reduce((a, b) => a + b, 0);
      powers.forEach((power, at) => { mean[at]! += power / total / heads; });
    }
    return mean;
  });
}
const top = (weights: readonly number[], count: number): number[] =>
  Array.from(weights, (_, at) => at).sort((a, b) => weights[b]! - weights[a]! || a - b).slice(0, count);

const select = async (count: number, candidates: number[], options: AttentionOptions, context: Partial<RetrievalContext>): Promise<number[]> => {
  const history = historyOf(count, 60);
  const selector = await attentionRetriever(options).prepare(contextOf(history, context));
  return [...(await selector.select([asked(history, candidates)]))[0]!.items];
};

describe("attention", () => {
  it("keeps the union over candidates of their top B, cut to B by the largest weight: the top B of the maxima", async () => {
    await fc.assert(fc.asyncProperty(
      fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 5, max: 40 }), fc.integer({ min: 1, max: 12 }), fc.constantFrom(1, 2, 8),
      fc.uniqueArray(fc.integer({ min: 40, max: 59 }), { minLength: 1, maxLength: 10 }), async (seed, count, budget, heads, candidates) => {
        const itemVectors = vectorsFor(60, seed);
        const weights = weightsOf(itemVectors.values, candidates, Array.from({ length: count }, (_, at) => at), heads);
        const maxima = weights[0]!.map((_, row) => Math.max(...weights.map((own) => own[row]!)));
        const union = [...new Set(weights.flatMap((own) => top(own, budget)))].sort((a, b) => a - b);
        const kept = top(union.map((row) => maxima[row]!), budget).map((at) => union[at]!).sort((a, b) => a - b);
        expect(await select(count, candidates, { budget, heads }, { itemVectors })).toEqual(kept);
      }), { numRuns: 40 });
  });

  it("pools by the mean when asked, and adds the rating's log to every logit", async () => {
    const itemVectors = vectorsFor(60, 4), candidates = [40, 50, 55], rows = Array.from({ length: 30 }, (_, at) => at);
    const rating = (row: number): number => log((row % 5 + 0.4) / 4.4);
    for (const ratingPrior of [false, true]) {
      const weights = weightsOf(itemVectors.values, candidates, rows, 8, ratingPrior ? rating : undefined);
      const means = rows.map((row) => weights.reduce((sum, own) => sum + own[row]!, 0));
      expect(await select(30, candidates, { budget: 9, pool: "mean", ratingPrior }, { itemVectors })).toEqual(top(means, 9).sort((a, b) => a - b));
    }
  });

  it("weighs all rows alike on a scale of one value", async () => {
    const itemVectors = vectorsFor(60, 4), ratingScale = { min: 1, max: 1 };
    expect(await select(30, [40], { budget: 9, ratingPrior: true }, { itemVectors, ratingScale })).toEqual(await select(30, [40], { budget: 9 }, { itemVectors, ratingScale }));
  });

  it("keeps the lower items where nothing speaks: equal vectors, zero vectors, no candidates", async () => {
    for (const value of [0, 0.7]) {
      const itemVectors = { values: new Float32Array(60 * DIMENSION).fill(value), dimension: DIMENSION, origin: "flat" };
      expect(await select(30, [40, 41], { budget: 4 }, { itemVectors })).toEqual([0, 1, 2, 3]);
    }
    expect(await select(30, [], { budget: 4 }, { itemVectors: vectorsFor(60, 1) })).toEqual([0, 1, 2, 3]);
  });

  it("asks the kernel for long histories only, some users at a time", async () => {
    const sizes: number[] = [];
    const watched = { ...kernels, attentionWeights: (input: Parameters<typeof kernels.attentionWeights>[0]) => {
      sizes.push(input.keyOffsets.length - 1);
      return kernels.attentionWeights(input);
    } };
    const long = historyOf(6, 60), short = historyOf(3, 60);
    const selector = await attentionRetriever({ budget: 4, heads: 2 }).prepare(contextOf(long, { kernels: watched, itemVectors: vectorsFor(60, 2) }));
    const done: number[] = [];
    const rows = await selector.select(Array.from({ length: 600 }, (_, at) => asked(at % 2 ? long : short, [40])), { onProgress: (at) => done.push(at) });
    expect(sizes).toEqual([256, 44]);
    expect(done).toEqual([256, 300]);
    rows.forEach((own, at) => expect(own.length).toBe(at % 2 ? 4 : 3));
  });

  it("gives weights that sum to 1 for each candidate before pooling", async () => {
    const history = historyOf(12, 60), { values, dimension } = vectorsFor(60, 3);
    const [mean, none] = await pooledWeights(kernels, [asked(history, [40, 41, 42]), asked(history)], { values, keyValues: values, dimension }, 8, "mean");
    expect(mean!.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5);
    expect([...none!]).toEqual(new Array(12).fill(0));
  });

  it("uses noise of its own for the control, whatever vectors are there", async () => {
    const retriever = attentionRetriever({ budget: 5, vectors: "random" });
    expect([retriever.name, retriever.needs]).toEqual(["attention on random vectors", []]);
    expect(await select(30, [40], { budget: 5, vectors: "random" }, {})).toEqual(await select(30, [40], { budget: 5, vectors: "random" }, { itemVectors: vectorsFor(60, 1) }));
    expect(await select(30, [40], { budget: 5, vectors: "random" }, { seed: 6 })).not.toEqual(await select(30, [40], { budget: 5, vectors: "random" }, {}));
  });

  it("refuses heads that do not divide the width, and vectors of another catalogue or not finite", async () => {
    const prepare = (options: AttentionOptions, itemVectors?: RetrievalContext["itemVectors"]): Promise<unknown> =>
      attentionRetriever(options).prepare(contextOf(historyOf(5, 60), itemVectors ? { itemVectors } : {}));
    expect(() => attentionRetriever({ heads: 0 })).toThrow(/CONFIG_HEADS/);
    await expect(prepare({ heads: 3 }, vectorsFor(60, 1))).rejects.toThrow(/CONFIG_HEADS/);
    await expect(prepare({ heads: 7, vectors: "random" })).rejects.toThrow(/CONFIG_HEADS/);
    await expect(prepare({}, vectorsFor(59, 1))).rejects.toThrow(/CONFIG_ITEM_VECTORS/);
    const bad = vectorsFor(60, 1);
    bad.values[7] = NaN;
    await expect(prepare({}, bad)).rejects.toThrow(/CONFIG_ITEM_VECTORS/);
  });
});
