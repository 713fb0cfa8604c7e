import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { KERNEL_NAMES, NO_ITEM, type KnapsackInput, type ScoreTopKInput } from "../../src/native/kernels.js";
import { bytesOf, csrOf, floats, presentFaces, sparse } from "./faces.js";

const { faces, missing } = presentFaces();
const js = faces[0];

if (missing !== undefined) it.skip(`cpu face: ${missing} Build it with npm run build:native`, () => undefined);

/** Scores of one user by the contract's words, best first. */
function naiveTopK(input: ScoreTopKInput, user: number): { items: number[]; scores: number[] } {
  const { dimension, users, items, mask, k } = input;
  const masked = new Set(mask ? mask.columns.slice(mask.offsets[user], mask.offsets[user + 1]) : []);
  const all: { item: number; score: number }[] = [];
  for (let item = 0; item < items.length / dimension; item++) {
    if (masked.has(item)) continue;
    let sum = 0;
    for (let d = 0; d < dimension; d++) sum += users[user * dimension + d] * items[item * dimension + d];
    all.push({ item, score: Math.fround(sum) });
  }
  all.sort((a, b) => (a.score === b.score ? a.item - b.item : b.score - a.score));
  const best = all.slice(0, k);
  return {
    items: [...best.map((one) => one.item), ...new Array<number>(k - best.length).fill(NO_ITEM)],
    scores: [...best.map((one) => one.score), ...new Array<number>(k - best.length).fill(-Infinity)],
  };
}

/** Best choice by trying all; ties by the smaller level, last category first. Values must add without rounding. */
function bruteForce(input: KnapsackInput, instance: number): { choice: number[]; total: number } {
  const { categories, levels, capacity, boundary, values } = input;
  let best = { choice: [] as number[], total: -Infinity };
  const smaller = (a: number[], b: number[]): boolean => {
    for (let c = categories - 1; c >= 0; c--) if (a[c] !== b[c]) return a[c] < b[c];
    return false;
  };
  const choice = new Array<number>(categories).fill(1);
  for (;;) {
    const sum = choice.reduce((a, b) => a + b, 0);
    if (boundary === "exact" ? sum === capacity : sum <= capacity) {
      let total = 0;
      for (let c = 0; c < categories; c++) total += values[(instance * categories + c) * levels + choice[c] - 1];
      if (total > best.total || (total === best.total && smaller(choice, best.choice))) best = { choice: [...choice], total };
    }
    let at = 0;
    while (at < categories && choice[at] === levels) choice[at++] = 1;
    if (at === categories) return best;
    choice[at]++;
  }
}

describe.each(faces)("$device", (kernels) => {
  it("has every call of the contract", () => {
    for (const name of KERNEL_NAMES) expect(typeof kernels[name]).toBe("function");
  });

  describe("scoreTopK", () => {
    it("sorts, breaks ties by lower item, treats -0 as 0", async () => {
      const tiny = -1e-30; // squared it leaves float32: the score is -0
      const { items, scores } = await kernels.scoreTopK({
        users: Float32Array.of(1, tiny), items: Float32Array.of(0, 1e-30, 0, 0, 2, 0, 2, 0, -1, 0), dimension: 2, k: 5,
      });
      expect(Array.from(items)).toEqual([2, 3, 0, 1, 4]);
      expect(scores[0]).toBe(2);
      expect(Object.is(scores[2], -0)).toBe(true);
      expect(Object.is(scores[3], 0)).toBe(true);
    });

    it("pads with NO_ITEM when too few items remain, and keeps -Infinity scores of real items before it", async () => {
      const { items, scores } = await kernels.scoreTopK({
        users: Float32Array.of(3e38), items: Float32Array.of(-3e38, 1, 3e38), dimension: 1, k: 3, mask: csrOf([[1]]),
      });
      expect(Array.from(items)).toEqual([2, 0, NO_ITEM]);
      expect(Array.from(scores)).toEqual([Infinity, -Infinity, -Infinity]);
      const all = await kernels.scoreTopK({ users: Float32Array.of(1), items: Float32Array.of(1, 2), dimension: 1, k: 2, mask: csrOf([[0, 1]]) });
      expect(Array.from(all.items)).toEqual([NO_ITEM, NO_ITEM]);
      expect((await kernels.scoreTopK({ users: new Float32Array(0), items: Float32Array.of(1), dimension: 1, k: 1 })).items.length).toBe(0);
    });

    it("equals a full sort", async () => {
      await fc.assert(fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 130 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 99 }),
        fc.double({ min: 0, max: 1, noNaN: true }), fc.boolean(),
        async (userRows, itemCount, dimension, seed, density, coarse) => {
          const round = (values: Float32Array): Float32Array => (coarse ? values.map((value) => Math.round(value * 3)) : values);
          const input: ScoreTopKInput = {
            users: round(floats(userRows * dimension, seed)), items: round(floats(itemCount * dimension, seed + 1)), dimension,
            k: 1 + (seed % itemCount), mask: sparse(userRows, itemCount, density, seed),
          };
          const result = await kernels.scoreTopK(input);
          for (let user = 0; user < userRows; user++) {
            const wanted = naiveTopK(input, user);
            expect(Array.from(result.items.subarray(user * input.k, (user + 1) * input.k))).toEqual(wanted.items);
            expect(Array.from(result.scores.subarray(user * input.k, (user + 1) * input.k)).map((x) => x + 0)).toEqual(wanted.scores.map((x) => x + 0));
          }
        }), { numRuns: 40 });
    });
  });

  describe("propagate", () => {
    it("is S E0: symmetric, linear in the limit of exact values, a copy for 0 layers", async () => {
      const userCount = 5, itemCount = 7, rows = userCount + itemCount;
      const positives = sparse(userCount, itemCount, 0.4, 3, true);
      // Unit vectors as columns give the matrix S itself.
      const unit = new Float32Array(rows * rows);
      for (let row = 0; row < rows; row++) unit[row * rows + row] = 1;
      const s = await kernels.propagate({ userCount, itemCount, dimension: rows, parameters: unit, positives, layers: 3 });
      for (let a = 0; a < rows; a++) for (let b = 0; b < rows; b++) expect(s[a * rows + b]).toBeCloseTo(s[b * rows + a], 6);

      // The same from its definition, in doubles: mean of the powers of A~.
      const adjacency = Array.from({ length: rows }, () => new Array<number>(rows).fill(0));
      const degree = new Array<number>(rows).fill(0);
      const edges: [number, number][] = [];
      for (let user = 0; user < userCount; user++) {
        for (let at = positives.offsets[user]; at < positives.offsets[user + 1]; at++) edges.push([user, userCount + positives.columns[at]]);
      }
      for (const [u, i] of edges) { degree[u]++; degree[i]++; }
      for (const [u, i] of edges) adjacency[u][i] = adjacency[i][u] = 1 / Math.sqrt(degree[u] * degree[i]);
      let power: number[][] = adjacency.map((_, a) => adjacency.map((__, b) => (a === b ? 1 : 0)));
      const sum = power.map((row) => [...row]);
      for (let layer = 0; layer < 3; layer++) {
        power = power.map((row) => row.map((_, b) => row.reduce<number>((total, value, m) => total + value * adjacency[m][b], 0)));
        power.forEach((row, a) => row.forEach((value, b) => { sum[a][b] += value; }));
      }
      for (let a = 0; a < rows; a++) for (let b = 0; b < rows; b++) expect(s[a * rows + b]).toBeCloseTo(sum[a][b] / 4, 6);

      const parameters = floats(rows * 3, 9);
      const copy = await kernels.propagate({ userCount, itemCount, dimension: 3, parameters, positives, layers: 0 });
      expect(copy).toEqual(parameters);
      expect(copy).not.toBe(parameters);
    });
  });

  describe("attentionWeights", () => {
    it("is a softmax: rows add to 1, a bias of log w multiplies by w", async () => {
      const queryOffsets = Uint32Array.of(0, 2, 2, 3), keyOffsets = Uint32Array.of(0, 3, 5, 5);
      const queries = floats(3 * 8, 1, 4), keys = floats(5 * 8, 2, 4);
      const plain = await kernels.attentionWeights({ queries, queryOffsets, keys, keyOffsets, dimension: 8, heads: 1, output: "weights" });
      expect(plain.length).toBe(6);
      for (const c of [0, 1]) expect(plain[3 * c] + plain[3 * c + 1] + plain[3 * c + 2]).toBeCloseTo(1, 6);
      const bias = Float32Array.of(Math.log(2), 0, 0, 0, 0);
      const tilted = await kernels.attentionWeights({ queries, queryOffsets, keys, keyOffsets, dimension: 8, heads: 1, output: "weights", bias });
      expect(tilted[0] / tilted[1]).toBeCloseTo(2 * plain[0] / plain[1], 4);
    });

    it("equals the definition with Math.exp, for every head count and pooling", async () => {
      const dimension = 12, queryOffsets = Uint32Array.of(0, 4, 4, 9), keyOffsets = Uint32Array.of(0, 7, 10, 29);
      const queries = floats(9 * dimension, 3, 3), keys = floats(29 * dimension, 4, 3), bias = floats(29, 5);
      for (const heads of [1, 2, 3, 4, 6, 12]) {
        const width = dimension / heads;
        const weights: number[][][] = [];
        for (let b = 0; b < 3; b++) {
          weights.push([]);
          for (let c = queryOffsets[b]; c < queryOffsets[b + 1]; c++) {
            const mean = new Array<number>(keyOffsets[b + 1] - keyOffsets[b]).fill(0);
            for (let h = 0; h < heads; h++) {
              const logits = mean.map((_, j) => {
                let dot = 0;
                for (let d = 0; d < width; d++) dot += queries[c * dimension + h * width + d] * keys[(keyOffsets[b] + j) * dimension + h * width + d];
                return dot / Math.sqrt(width) + bias[keyOffsets[b] + j];
              });
              const largest = Math.max(...logits), e = logits.map((x) => Math.exp(x - largest)), total = e.reduce((a, x) => a + x, 0);
              e.forEach((x, j) => { mean[j] += x / total / heads; });
            }
            weights[b].push(mean);
          }
        }
        const input = { queries, queryOffsets, keys, keyOffsets, dimension, heads, bias };
        const close = (found: Float32Array, wanted: number[]): void => {
          expect(found.length).toBe(wanted.length);
          wanted.forEach((value, at) => { expect(found[at]).toBeCloseTo(value, 6); });
        };
        close(await kernels.attentionWeights({ ...input, output: "weights" }), weights.flat(2));
        close(await kernels.attentionWeights({ ...input, output: "max" }),
          weights.flatMap((rows, b) => Array.from({ length: keyOffsets[b + 1] - keyOffsets[b] }, (_, j) => Math.max(0, ...rows.map((row) => row[j])))));
        close(await kernels.attentionWeights({ ...input, output: "mean" }),
          weights.flatMap((rows, b) => Array.from({ length: keyOffsets[b + 1] - keyOffsets[b] }, (_, j) => (rows.length ? rows.reduce((a, row) => a + row[j], 0) / rows.length : 0))));
      }
    });
  });

  describe("knapsack", () => {
    it("solves a case by hand", async () => {
      // Two categories, levels 1-3, capacity 4: (1,3) = 1 + 9, (2,2) = 5 + 5, (3,1) = 6 + 2: a tie between the first two goes to (2,2).
      const values = Float64Array.of(1, 5, 6, 2, 5, 9);
      const result = await kernels.knapsack({ values, instances: 1, categories: 2, levels: 3, capacity: 4, boundary: "exact" });
      expect(Array.from(result.choices)).toEqual([2, 2]);
      expect(Array.from(result.totals)).toEqual([10]);
    });

    it("equals brute force, ties included, for both boundaries", async () => {
      await fc.assert(fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 3 }), fc.nat(100), fc.boolean(),
        fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 60, maxLength: 60 }),
        async (categories, levels, instances, pick, atMost, numbers) => {
          const capacity = categories + (pick % (categories * (levels - 1) + 1)) + (atMost ? pick % 3 : 0);
          const values = Float64Array.from({ length: instances * categories * levels }, (_, at) => numbers[at % 60] / 2);
          const input: KnapsackInput = { values, instances, categories, levels, capacity, boundary: atMost ? "atMost" : "exact" };
          const result = await kernels.knapsack(input);
          for (let instance = 0; instance < instances; instance++) {
            const wanted = bruteForce(input, instance);
            expect(Array.from(result.choices.subarray(instance * categories, (instance + 1) * categories))).toEqual(wanted.choice);
            expect(result.totals[instance]).toBe(wanted.total);
          }
        }), { numRuns: 60 });
    });
  });
});

describe.each(faces.slice(1))("$device against js, bit for bit", (kernels) => {
  it.each([1, 8, 33, 64, 65])("scoreTopK, dimension %i", async (dimension) => {
    const items = floats(211 * dimension, 2), users = floats(37 * dimension, 1);
    const mask = sparse(37, 211, 0.2, 4, true);
    const everything = csrOf(Array.from({ length: 37 }, () => Array.from({ length: 211 }, (_, item) => item)));
    const cases: ScoreTopKInput[] = [
      { users, items, dimension, k: 10, mask },
      { users, items, dimension, k: 211, mask },
      { users, items, dimension, k: 1 },
      { users, items, dimension, k: 7, mask: everything },
      { users: users.slice(0, dimension), items, dimension, k: 50 },
      { users: new Float32Array(users.length), items, dimension, k: 50, mask },
      { users: users.map((value) => Math.sign(value)), items: items.map((value) => Math.sign(value)), dimension, k: 100, mask },
      { users: users.map((value) => value * 1e-25), items: items.map((value) => value * 1e-25), dimension, k: 211 },
      { users: users.map((value) => value * 3e38), items: items.map((value) => value * 3e38), dimension, k: 60, mask },
    ];
    for (const input of cases) expect(bytesOf(await kernels.scoreTopK(input))).toBe(bytesOf(await js.scoreTopK(input)));
  });

  it.each([1, 8, 33, 64, 65])("propagate, dimension %i", async (dimension) => {
    for (const layers of [0, 1, 2, 3]) {
      const input = { userCount: 40, itemCount: 61, dimension, parameters: floats(101 * dimension, 5), positives: sparse(40, 61, 0.15, layers, true), layers };
      expect(bytesOf(await kernels.propagate(input))).toBe(bytesOf(await js.propagate(input)));
    }
  });

  it.each([[8, 1], [33, 3], [64, 8], [65, 5], [12, 12]])("attentionWeights, dimension %i, %i heads", async (dimension, heads) => {
    const queryOffsets = Uint32Array.of(0, 5, 5, 6, 40), keyOffsets = Uint32Array.of(0, 0, 9, 10, 177);
    for (const output of ["weights", "max", "mean"] as const) {
      for (const bias of [undefined, floats(177, 3, 5)]) {
        for (const scale of [1, 90]) {
          const input = {
            queries: floats(40 * dimension, 1, scale), queryOffsets, keys: floats(177 * dimension, 2, 3), keyOffsets, dimension, heads, output,
            ...(bias ? { bias } : {}),
          };
          expect(bytesOf(await kernels.attentionWeights(input))).toBe(bytesOf(await js.attentionWeights(input)));
        }
      }
    }
  });

  it("knapsack", async () => {
    for (const boundary of ["exact", "atMost"] as const) {
      for (const [categories, levels, capacity] of [[1, 1, 1], [18, 10, 100], [5, 3, 15], [7, 40, 33]] as const) {
        const values = Float64Array.from(floats(29 * categories * levels, capacity), (value) => value / 3);
        const input = { values, instances: 29, categories, levels, capacity, boundary };
        expect(bytesOf(await kernels.knapsack(input))).toBe(bytesOf(await js.knapsack(input)));
      }
    }
  });
});
