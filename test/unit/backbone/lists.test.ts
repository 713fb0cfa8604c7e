import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { topList } from "../../../src/backbone/lists.js";

describe("topList", () => {
  it("equals a full sort for any scores, ties, masks and lengths", () => {
    // Few distinct values make ties the rule.
    fc.assert(fc.property(
      fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 60 }), fc.integer({ min: 1, max: 70 }), fc.array(fc.nat({ max: 59 })),
      (values, k, hidden) => {
        const scores = Float32Array.from(values, (value) => value / 2);
        const masked = Uint32Array.from(new Set(hidden.filter((item) => item < scores.length))).sort();
        const wanted = [...scores.keys()].filter((item) => !masked.includes(item)).sort((a, b) => scores[b]! - scores[a]! || a - b).slice(0, k);
        const list = topList(9, scores, k, masked);
        expect(list.user).toBe(9);
        expect([...list.items]).toEqual(wanted);
        expect([...list.scores]).toEqual(wanted.map((item) => scores[item]));
      },
    ), { numRuns: 300 });
  });

  it("takes -0 and 0 as equal", () => {
    expect([...topList(0, Float32Array.of(-0, 0, -0, 0), 2, undefined).items]).toEqual([0, 1]);
  });
});
