import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Breather } from "../../../src/core/progress.js";
import { KeyedRandom, philox, streamId } from "../../../src/core/rng.js";
import { buildGraph } from "../../../src/native/reference/propagate.js";
import { drawEpoch, multiplyHigh, philoxPair, rowUsers } from "../../../src/native/reference/sample.js";
import { Ticker } from "../../../src/native/reference/ticker.js";
import { power } from "../../../src/native/reference/update.js";

const word = fc.nat(0xffffffff).map((x) => x >>> 0);

describe("the keyed draws of training", () => {
  it("multiply as whole numbers do", () => {
    fc.assert(fc.property(fc.oneof(word, fc.constantFrom(0, 1, 0xffff, 0x10000, 0xffffffff)), fc.oneof(word, fc.constantFrom(0, 0xffffffff)), (a, b) => {
      expect(multiplyHigh(a, b) >>> 0).toBe(Number((BigInt(a) * BigInt(b)) >> 32n));
    }));
  });

  it("are the draws of core/rng", () => {
    fc.assert(fc.property(word, word, word, word, word, word, (c0, c1, c2, c3, k0, k1) => {
      const wanted = new Uint32Array(4), found = new Uint32Array(2);
      philox(c0, c1, c2, c3, k0, k1, wanted);
      philoxPair(c0, c1, c2, c3, k0, k1, found);
      expect(Array.from(found)).toEqual(Array.from(wanted.subarray(0, 2)));
    }));
  });

  it.each([false, true])("put every row into its batch once, by (user, item) or by place (%s), with a negative that is none of the user's", async (placed) => {
    const positives = { offsets: Uint32Array.of(0, 3, 3, 5, 6), columns: Uint32Array.of(0, 4, 9, 1, 2, 7) };
    const draw = { positives, itemCount: 10, seed: 5, batchCount: 4, placed };
    const samples = await drawEpoch(draw, rowUsers(positives), 3, new Breather());
    const order = new KeyedRandom(5, "order");
    const rows = Array.from(samples.users, (user, at) => [user, samples.items[at]]);
    expect([...rows].sort((a, b) => a[0] - b[0] || a[1] - b[1])).toEqual([[0, 0], [0, 4], [0, 9], [2, 1], [2, 2], [3, 7]]);
    for (let batch = 0; batch < 4; batch++) {
      let place = -1;
      for (let at = samples.offsets[batch]; at < samples.offsets[batch + 1]; at++) {
        expect(order.integer(4, rows[at][0], rows[at][1], 3)).toBe(batch);
        const key = placed ? order.lanes[1] : rows[at][0] * 10 + rows[at][1];
        expect(key).toBeGreaterThan(place);
        place = key;
        expect(rows.some(([user, item]) => user === rows[at][0] && item === samples.negatives[at])).toBe(false);
      }
    }
    expect(streamId("order")).not.toBe(streamId("negative"));
  });
});

describe("small parts", () => {
  it("raise to powers", () => {
    for (const [base, exponent] of [[0.9, 0], [0.9, 1], [0.999, 12345], [2, 40], [0.9, 2 ** 40]] as const) {
      expect(power(base, exponent)).toBeCloseTo(base ** exponent, 12);
    }
  });

  it("build a graph whose item rows are the transpose", () => {
    const graph = buildGraph({ offsets: Uint32Array.of(0, 2, 3), columns: Uint32Array.of(0, 2, 2) }, 2, 3);
    expect(Array.from(graph.offsets)).toEqual([0, 2, 3, 4, 4, 6]);
    expect(Array.from(graph.columns)).toEqual([2, 4, 4, 0, 0, 1]);
    expect(Array.from(graph.scales)).toEqual([Math.SQRT1_2, 1, 1, 0, Math.SQRT1_2].map(Math.fround));
  });

  it("tick at most ten times a second, and always at the end", () => {
    const seen: number[] = [];
    const ticker = new Ticker((done) => seen.push(done), 1000);
    for (let done = 0; done < 1000; done++) ticker.at(done);
    ticker.end();
    expect(seen.length).toBeLessThan(10);
    expect(seen[seen.length - 1]).toBe(1000);
    expect(() => new Ticker(undefined, 1).end()).not.toThrow();
  });
});
