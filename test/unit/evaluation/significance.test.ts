import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataError } from "../../../src/core/errors.js";
import { holm, normalTail, pairedBootstrap, wilcoxonSignedRank } from "../../../src/evaluation/significance.js";

/** Two-sided p over all 2^n sign patterns of the given ranks. */
function enumerated(ranks: number[], statistic: number): number {
  const total = ranks.reduce((a, b) => a + b, 0);
  const distance = Math.abs(statistic - total / 2);
  let extreme = 0;
  for (let signs = 0; signs < 2 ** ranks.length; signs++) {
    const sum = ranks.reduce((acc, rank, at) => acc + ((signs >> at) & 1 ? rank : 0), 0);
    if (Math.abs(sum - total / 2) >= distance) extreme++;
  }
  return extreme / 2 ** ranks.length;
}

const zeros = (n: number): number[] => new Array<number>(n).fill(0);

describe("wilcoxonSignedRank", () => {
  it("is exact for small samples: equal to enumerating the signs", () => {
    fc.assert(fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 10 }), fc.nat(1023), (sizes, signs) => {
      const differences = sizes.map((size, at) => ((signs >> at) & 1 ? size : -size));
      const sorted = [...sizes].sort((a, b) => a - b);
      const ranks = sizes.map((size) => sorted.indexOf(size) + 1);
      const statistic = ranks.reduce((sum, rank, at) => sum + (differences[at]! > 0 ? rank : 0), 0);
      const result = wilcoxonSignedRank(differences, zeros(sizes.length));
      expect(result).toMatchObject({ statistic, n: sizes.length, zeros: 0, method: "exact" });
      expect(result.p).toBeCloseTo(enumerated(ranks, statistic), 12);
    }));
  });

  it("agrees with the printed table of critical values", () => {
    // Largest smaller rank sum with two-sided p <= .05 (and <= .01): n, T.05, T.01.
    const table: [number, number, number][] = [[8, 3, 0], [10, 8, 3], [12, 13, 7], [15, 25, 15], [20, 52, 37], [25, 89, 68]];
    const p = (n: number, smaller: number): number => {
      // Any set of ranks with that sum will do: take them greedily from the top.
      const negative = new Set<number>();
      for (let rank = n, left = smaller; rank >= 1; rank--) {
        if (rank <= left) {
          negative.add(rank);
          left -= rank;
        }
      }
      const result = wilcoxonSignedRank(Array.from({ length: n }, (_, at) => (negative.has(at + 1) ? -at - 1 : at + 1)), zeros(n));
      expect(result.statistic).toBe((n * (n + 1)) / 2 - smaller);
      return result.p;
    };
    for (const [n, five, one] of table) {
      expect(p(n, five)).toBeLessThanOrEqual(0.05);
      expect(p(n, five + 1)).toBeGreaterThan(0.05);
      expect(p(n, one)).toBeLessThanOrEqual(0.01);
      expect(p(n, one + 1)).toBeGreaterThan(0.01);
    }
  });

  it("uses mean ranks, the corrected variance and one half where sizes tie", () => {
    // Sizes 1 1 2 2 2 5, signs + - + + - +: ranks 1.5 1.5 4 4 4 6, W+ = 15.5, mean 10.5, variance 91/4 - (6 + 24)/48.
    const result = wilcoxonSignedRank([1, -1, 2, 2, -2, 5], zeros(6));
    expect(result).toMatchObject({ statistic: 15.5, n: 6, method: "normal" });
    expect(result.p).toBeCloseTo(2 * normalTail(4.5 / Math.sqrt(91 / 4 - 30 / 48)), 14);
  });

  it("the normal form stays near the exact one at its edge", () => {
    const differences = Array.from({ length: 50 }, (_, at) => ((at * 7) % 10 < 7 ? at + 1 : -at - 1));
    const exact = wilcoxonSignedRank(differences, zeros(50));
    const tied = wilcoxonSignedRank([...differences.slice(0, 49), differences[48]!], zeros(50));
    expect(exact.method).toBe("exact");
    expect(tied.method).toBe("normal");
    expect(Math.abs(exact.p - tied.p)).toBeLessThan(0.005);
  });

  it("drops zeros, and rounding noise is zero", () => {
    const result = wilcoxonSignedRank([0.5, 0.1 + 0.2, 0.7, 0.9], [0.5, 0.3, 0.2, 0.1]);
    expect(result).toMatchObject({ n: 2, zeros: 2, statistic: 3, p: 0.5 });
    expect(wilcoxonSignedRank([1, 1], [1, 1])).toEqual({ statistic: 0, p: 1, n: 0, zeros: 2, method: "exact" });
  });

  it("is symmetric: swapping the sides keeps p", () => {
    const value = fc.integer({ min: 0, max: 8 }).map((x) => x / 8);
    fc.assert(fc.property(fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 70 }), (all) => {
      const a = all.map(([x]) => x), b = all.map(([, y]) => y);
      const one = wilcoxonSignedRank(a, b), other = wilcoxonSignedRank(b, a);
      expect(one.p).toBeCloseTo(other.p, 14);
      expect(one.p).toBeLessThanOrEqual(1);
      expect(one.statistic + other.statistic).toBe((one.n * (one.n + 1)) / 2);
    }));
  });

  it("refuses uneven, empty and endless input", () => {
    expect(() => wilcoxonSignedRank([1], [])).toThrow(DataError);
    expect(() => wilcoxonSignedRank([], [])).toThrow(DataError);
    expect(() => wilcoxonSignedRank([NaN], [1])).toThrow(/Pair 0/);
  });
});

describe("pairedBootstrap", () => {
  it("is deterministic, centred on the mean difference, and swaps its sign with the sides", () => {
    const a = [0.9, 0.4, 0.8, 0.7, 0.1, 0.5], b = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5];
    const one = pairedBootstrap(a, b), other = pairedBootstrap(b, a);
    expect(pairedBootstrap(a, b)).toEqual(one);
    expect(one.n).toBe(6);
    expect(one.value).toBeCloseTo(0.4 / 6, 14);
    expect(other.value).toBeCloseTo(-one.value, 14);
    expect(other.low).toBeCloseTo(-one.high, 12);
    expect(pairedBootstrap(a, b, { seed: 1 }).low).not.toBe(one.low);
    expect(pairedBootstrap(a, b, { users: [0, 1, 2, 3, 4, 5] })).toEqual(one);
    expect(() => pairedBootstrap(a, b, { users: [0] })).toThrow(/1 users for 6 pairs/);
  });
});

describe("holm", () => {
  it("equals the definition by brute force", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 20 }).map((x) => x / 20), { maxLength: 7 }), (pValues) => {
      // Adjusted p = the smallest level at which the step-down procedure rejects the hypothesis.
      const rejectedAt = (level: number): Set<number> => {
        const rejected = new Set<number>();
        const order = pValues.map((_, at) => at).sort((x, y) => pValues[x]! - pValues[y]!);
        for (const [step, at] of order.entries()) {
          if (pValues[at]! * (pValues.length - step) > level + 1e-12) break;
          rejected.add(at);
        }
        return rejected;
      };
      const adjusted = holm(pValues);
      adjusted.forEach((level, at) => {
        if (level < 1) {
          expect(rejectedAt(level).has(at)).toBe(true);
          expect(rejectedAt(level - 1e-6).has(at)).toBe(false);
        } else {
          expect(rejectedAt(1 - 1e-6).has(at)).toBe(false);
        }
      });
    }));
  });

  it("gives the worked example and refuses what is no p-value", () => {
    expect(holm([0.01, 0.04, 0.03, 0.005]).map((p) => Number(p.toFixed(12)))).toEqual([0.03, 0.06, 0.06, 0.02]);
    expect(holm([])).toEqual([]);
    expect(() => holm([0.5, 1.5])).toThrow(/1.5 at position 1/);
    expect(() => holm([NaN])).toThrow(DataError);
  });
});

describe("normalTail", () => {
  it("matches printed values", () => {
    const known: [number, number][] = [
      [0, 0.5], [1, 0.15865525393145707], [1.959963984540054, 0.025], [2.999, 0.0013543370],
      [3, 0.0013498980316300933], [5, 2.8665157187919333e-7], [8, 6.220960574271785e-16], [20, 2.7536241186062337e-89],
    ];
    for (const [z, tail] of known) expect(Math.abs(normalTail(z) / tail - 1)).toBeLessThan(z === 2.999 ? 1e-5 : 1e-11);
  });
});
