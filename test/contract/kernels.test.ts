import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { KERNEL_NAMES, NO_ITEM, type ScoreTopKInput } from "../../src/native/kernels.js";
import type { Csr } from "../../src/core/interactions.js";
import { bytesOf, csrOf, floats, presentFaces, sparse } from "./faces.js";

const { faces, missing } = presentFaces();
const js = faces[0];

if (missing !== undefined) it.skip(`cpu face: ${missing} Build it with npm run build:native`, () => undefined);

/** Scores of one user by the contract's words, best first. */
function naiveTopK(input: ScoreTopKInput, user: number): { items: number[]; scores: number[] } {
  const { dimension, users, items, mask, k } = input as ScoreTopKInput & { users: Float32Array; items: Float32Array; mask?: Csr };
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
});
