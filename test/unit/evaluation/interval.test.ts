import { describe, expect, it } from "vitest";
import { KeyedRandom } from "../../../src/core/rng.js";
import { bootstrapInterval, bootstrapWeights, meanInterval, wilsonInterval } from "../../../src/evaluation/interval.js";
import { pairedBootstrap } from "../../../src/evaluation/significance.js";

describe("meanInterval and wilsonInterval", () => {
  it("are the textbook values", () => {
    const { value, low, high } = meanInterval([1, 2, 3, 4, 5]);
    expect(value).toBe(3);
    expect(high - 3).toBeCloseTo(1.959963984540054 * Math.sqrt(2.5 / 5), 12);
    expect(3 - low).toBeCloseTo(high - 3, 12);
    // 1 of 10, by hand: centre .211 and half width .1931.
    const tenth = wilsonInterval([1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(tenth.low).toBeCloseTo(0.01788, 4);
    expect(tenth.high).toBeCloseTo(0.40415, 4);
  });

  it("solve Wilson's equation: |p - bound| = z sqrt(bound (1 - bound) / n)", () => {
    for (const hits of [0, 1, 7, 20]) {
      const { value, low, high } = wilsonInterval(Array.from({ length: 20 }, (_, at) => (at < hits ? 1 : 0)));
      for (const bound of [low, high]) {
        expect((value - bound) ** 2).toBeCloseTo((1.959963984540054 ** 2 * bound * (1 - bound)) / 20, 12);
      }
    }
  });
});

describe("bootstrapWeights", () => {
  it("are Poisson(1): counts within six standard deviations of 200,000 draws", () => {
    const n = 200, resamples = 1000, draws = n * resamples;
    const weights = bootstrapWeights(Uint32Array.from({ length: n }, (_, at) => at * 3), 7, resamples);
    const counts = new Array<number>(20).fill(0);
    for (const weight of weights) counts[weight]!++;
    let probability = Math.exp(-1);
    for (let k = 0; k < 6; k++, probability /= k) {
      expect(Math.abs(counts[k]! - draws * probability)).toBeLessThan(6 * Math.sqrt(draws * probability));
    }
  });

  it("belong to the user: the same among other users and in any order", () => {
    const all = bootstrapWeights([5, 9, 2], 1, 50), few = bootstrapWeights([2, 5], 1, 50);
    for (let b = 0; b < 50; b++) {
      expect(few[b * 2]).toBe(all[b * 3 + 2]);
      expect(few[b * 2 + 1]).toBe(all[b * 3]);
    }
    expect(bootstrapWeights([5, 9, 2], 2, 50)).not.toEqual(all);
    // Fewer resamples are a prefix, also where they end inside a block of four.
    expect(bootstrapWeights([5, 9, 2], 1, 7)).toEqual(all.slice(0, 21));
    expect(() => bootstrapWeights([1], 1, 0)).toThrow(/resamples/);
  });
});

describe("bootstrapInterval", () => {
  it("is the weighted mean's percentiles, and skips resamples without users", () => {
    // Three resamples of two users: means 1, 0, none.
    const interval = bootstrapInterval([1, 0], Uint8Array.of(2, 0, 0, 1, 0, 0));
    expect(interval.value).toBe(0.5);
    expect(interval.low).toBeCloseTo(0.025, 12);
    expect(interval.high).toBeCloseTo(0.975, 12);
    expect(bootstrapInterval([0.3], Uint8Array.of(1, 1))).toEqual({ value: 0.3, low: -Infinity, high: Infinity });
  });

  it("covers the true difference in about 95 of 100 simulated samples", () => {
    const random = new KeyedRandom(11, "synthetic/taste");
    const samples = 400, n = 60, truth = 0.1;
    let covered = 0;
    for (let sample = 0; sample < samples; sample++) {
      const noise = new Float64Array(2 * n);
      random.normals(sample, noise, 0.2);
      const b = Array.from({ length: n }, (_, at) => noise[at]!);
      const a = b.map((value, at) => value + truth + noise[n + at]!);
      const users = Array.from({ length: n }, (_, at) => sample * n + at);
      const { low, high } = pairedBootstrap(a, b, { users, resamples: 300 });
      if (low <= truth && truth <= high) covered++;
    }
    // A percentile interval of 60 pairs covers a little less than 95 %; five standard deviations of 400 trials are .055.
    expect(covered / samples).toBeGreaterThan(0.885);
    expect(covered / samples).toBeLessThan(0.995);
  });
});
