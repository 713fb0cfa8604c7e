import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { KeyedRandom } from "../../src/core/rng.js";
import { ISA_NAMES } from "../../src/native/binding.js";
import type { Csr } from "../../src/core/interactions.js";
import { NO_ITEM, type Kernels, type ScoreTopKInput, type TopK } from "../../src/native/kernels.js";
import { describeNative, loadKernels } from "../../src/native/load.js";
import { bytesOf, csrOf, floats, presentFaces, sparse } from "./faces.js";

/** One face for each instruction set up to the best of this processor, on one and on two threads. */
function everyFace(): Kernels[] {
  const { isa: best } = describeNative({ device: "cpu" });
  const isas = ISA_NAMES.slice(0, ISA_NAMES.findIndex((name) => name === best) + 1);
  return isas.flatMap((isa) => [1, 2].map((threads) => loadKernels({ device: "cpu", isa, threads })));
}

const { missing } = presentFaces();
const js = loadKernels({ device: "js" }), native = missing === undefined ? everyFace() : [];
if (missing !== undefined) it.skip(`cpu face: ${missing} Build it with npm run build:native`, () => undefined);

type Plain = ScoreTopKInput & { users: Float32Array; items: Float32Array; mask?: Csr };

/** The contract's words: eight sums in double, a fixed tree, one rounding. */
function scoreOf({ users, items, dimension }: Plain, user: number, item: number): number {
  const s = new Float64Array(8);
  for (let d = 0; d < dimension; d++) s[d % 8] += users[user * dimension + d] * items[item * dimension + d];
  const t = [0, 1, 2, 3].map((l) => s[l] + s[l + 4]);
  return Math.fround(t[0] + t[2] + (t[1] + t[3]));
}

function naive(input: Plain): TopK {
  const { users, items, dimension, k, mask } = input;
  const userRows = users.length / dimension;
  const result = { items: new Uint32Array(userRows * k).fill(NO_ITEM), scores: new Float32Array(userRows * k).fill(-Infinity) };
  for (let user = 0; user < userRows; user++) {
    const hidden = new Set(mask ? mask.columns.subarray(mask.offsets[user], mask.offsets[user + 1]) : []);
    const all = Array.from({ length: items.length / dimension }, (_, item) => item).filter((item) => !hidden.has(item))
      .map((item) => ({ item, score: scoreOf(input, user, item) }));
    all.sort((a, b) => (a.score === b.score ? a.item - b.item : b.score - a.score));
    all.slice(0, k).forEach(({ item, score }, place) => {
      result.items[user * k + place] = item;
      result.scores[user * k + place] = score;
    });
  }
  return result;
}

async function expectEqual(input: ScoreTopKInput): Promise<void> {
  const wanted = bytesOf(await js.scoreTopK(input));
  for (const face of native) {
    const found = bytesOf(await face.scoreTopK(input));
    if (found !== wanted) expect.fail(`${face.device} differs from js`);
  }
}

/** Embeddings of all kinds that a bound on rounding could trip over. */
const KINDS = ["plain", "coarse", "constant", "two-valued", "near ties", "outliers", "bias", "zeros", "tiny", "huge", "mixed"] as const;
type Kind = (typeof KINDS)[number];

function embeddings(kind: Kind, rows: number, dimension: number, seed: number): Float32Array {
  const random = new KeyedRandom(seed, "probe");
  const values = floats(rows * dimension, seed, 2);
  const scaled = (scale: (row: number, d: number) => number): Float32Array =>
    values.map((value, at) => value * scale(Math.floor(at / dimension), at % dimension));
  switch (kind) {
    case "plain": return values;
    case "coarse": return values.map((value) => Math.round(value * 2));
    case "constant": return values.fill(0.7);
    case "two-valued": return values.map((_, at) => (random.uniform(Math.floor(at / dimension)) < 0.5 ? 1 : -1));
    // All rows within a few units of the last place of one another.
    case "near ties": return values.map((value, at) => Math.fround(values[at % dimension] * (1 + 1e-7 * Math.round(2 * value))));
    case "outliers": return scaled((row) => (random.uniform(row, 1) < 0.03 ? 1e6 : 1));
    case "bias": return scaled((_, d) => (d === 0 ? 3e4 : 1e-2));
    case "zeros": return scaled((row) => (random.uniform(row, 2) < 0.6 ? 0 : -1));
    case "tiny": return scaled(() => 1e-30);
    case "huge": return scaled((row) => (row % 3 === 0 ? 3e38 : 1e19));
    case "mixed": return scaled((row, d) => 10 ** Math.round(40 * (random.uniform(row, d, 3) - 0.5)));
  }
}

describe("scoreTopK: the reference", () => {
  it("is the contract's words", async () => {
    await fc.assert(fc.asyncProperty(
      fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 21 }), fc.nat(999),
      fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(...KINDS), fc.constantFrom(...KINDS),
      async (userRows, itemCount, dimension, seed, density, userKind, itemKind) => {
        const input: Plain = {
          users: embeddings(userKind, userRows, dimension, seed), items: embeddings(itemKind, itemCount, dimension, seed + 1), dimension,
          k: 1 + (seed % itemCount), mask: sparse(userRows, itemCount, density, seed),
        };
        expect(bytesOf(await js.scoreTopK(input))).toBe(bytesOf(naive(input)));
      }), { numRuns: 60 });
  });

  it("adds in the stated tree: another order gives another score", async () => {
    // 1e8 cancels within lane 0 only after lane 4 took up the small number.
    const users = Float32Array.of(1, 1, 1, 1, 1, 1, 1, 1, 1), items = Float32Array.of(2 ** 60, 0, 1, 0, 1, 0, 0, 0, -(2 ** 60));
    const { scores } = await js.scoreTopK({ users, items, dimension: 9, k: 1 });
    expect(scores[0]).toBe(2);
    const other = Float32Array.of(2 ** 60, 0, 1, 0, -(2 ** 60), 0, 0, 0, 1);
    expect((await js.scoreTopK({ users, items: other, dimension: 9, k: 1 })).scores[0]).toBe(1);
  });
});

describe.runIf(native.length > 0)("scoreTopK: every instruction set equals the reference", () => {
  it("on all kinds of numbers", async () => {
    await fc.assert(fc.asyncProperty(
      fc.constantFrom(0, 1, 2, 6, 7, 8, 17, 67), fc.constantFrom(1, 2, 47, 48, 49, 97, 331), fc.constantFrom(1, 2, 7, 8, 9, 31, 64, 65),
      fc.nat(9999), fc.constantFrom(0, 0.05, 0.5, 0.98, 1), fc.constantFrom(...KINDS), fc.constantFrom(...KINDS), fc.double({ min: 0, max: 1, noNaN: true }),
      async (userRows, itemCount, dimension, seed, density, userKind, itemKind, share) => {
        await expectEqual({
          users: embeddings(userKind, userRows, dimension, seed), items: embeddings(itemKind, itemCount, dimension, seed + 1), dimension,
          k: Math.max(1, Math.round(share * itemCount)), ...(density > 0 ? { mask: sparse(userRows, itemCount, density, seed) } : {}),
        });
      }), { numRuns: 150 });
  }, 120_000);

  it.each(KINDS)("on catalogues longer than one chunk: %s", async (kind) => {
    for (const [k, dimension] of [[1, 3], [7, 20], [120, 8]]) {
      const users = embeddings("plain", 19, dimension, 5), items = embeddings(kind, 9001, dimension, 6);
      await expectEqual({ users, items, dimension, k, mask: sparse(19, 9001, 0.01, 7) });
    }
  }, 60_000);

  it("on users enough to choose the pass again, whichever it is", async () => {
    for (const kind of ["plain", "bias", "outliers"] as const) {
      await expectEqual({ users: embeddings(kind, 701, 16, 1), items: embeddings(kind, 800, 16, 2), dimension: 16, k: 10, mask: sparse(701, 800, 0.1, 3) });
    }
  }, 60_000);

  it("with few items left, none left, and lists as long as the catalogue", async () => {
    const users = floats(11 * 12, 1), items = floats(1003 * 12, 2);
    const all = Array.from({ length: 1003 }, (_, item) => item);
    const mask = csrOf(Array.from({ length: 11 }, (_, row) => (row % 3 === 0 ? all : row % 3 === 1 ? all.slice(0, 1000) : all.filter((item) => item % 97 > 0))));
    for (const k of [1, 50, 1000, 1003]) {
      await expectEqual({ users, items, dimension: 12, k, mask });
      await expectEqual({ users, items, dimension: 12, k });
    }
  });

  it("on one tie among thousands: lower items win", async () => {
    const items = new Float32Array(20_000).fill(1);
    items[19_999] = 2;
    const { items: found } = await native[native.length - 1].scoreTopK({ users: new Float32Array(40).fill(1), items, dimension: 1, k: 5 });
    for (let user = 0; user < 40; user++) expect(Array.from(found.subarray(5 * user, 5 * user + 5))).toEqual([19_999, 0, 1, 2, 3]);
    await expectEqual({ users: new Float32Array(40).fill(1), items, dimension: 1, k: 300 });
  });

  it("where scores leave float32 on both sides, and where they vanish", async () => {
    const users = Float32Array.from({ length: 64 }, (_, at) => [3e38, -3e38, 1e-38, 1, 1e-45, 0, -0, 2e19][at % 8]);
    const items = Float32Array.from({ length: 500 }, (_, at) => [3e38, 1e-45, -1e-20, 0, -3e38, 1.5, 2e19, -1][at % 8] * ((at % 5) / 4));
    for (const k of [1, 9, 499, 500]) await expectEqual({ users, items, dimension: 1, k, mask: sparse(64, 500, 0.3, 4) });
  });

  it("at 512 dimensions and with one user, where nothing is packed", async () => {
    await expectEqual({ users: floats(9 * 512, 1), items: floats(600 * 512, 2), dimension: 512, k: 20 });
    await expectEqual({ users: floats(64, 1), items: floats(64 * 5000, 2), dimension: 64, k: 20, mask: sparse(1, 5000, 0.2, 3) });
  });
});
