import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allocate, largestRemainder } from "../../../src/retrieval/allocate.js";

/** Hamilton's method in exact rational arithmetic. */
function oracle(weights: readonly number[], total: number): number[] {
  const sum = weights.reduce((all, weight) => all + BigInt(weight), 0n);
  if (sum === 0n) return weights.map(() => 0);
  const shares = weights.map((weight, at) => ({ at, whole: BigInt(weight) * BigInt(total) / sum, rest: BigInt(weight) * BigInt(total) % sum }));
  let left = total - Number(shares.reduce((all, { whole }) => all + whole, 0n));
  const slots = shares.map(({ whole }) => Number(whole));
  for (const { at } of [...shares].sort((a, b) => (a.rest === b.rest ? a.at - b.at : a.rest < b.rest ? 1 : -1))) if (left-- > 0) slots[at]!++;
  return slots;
}

const counts = fc.array(fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 100_000 })), { minLength: 1, maxLength: 30 });

describe("largestRemainder", () => {
  it("equals exact rational arithmetic and sums to the total", () => {
    fc.assert(fc.property(counts, fc.integer({ min: 0, max: 5000 }), (weights, total) => {
      const slots = [...largestRemainder(weights, total)];
      expect(slots).toEqual(oracle(weights, total));
      if (weights.some((weight) => weight > 0)) expect(slots.reduce((sum, count) => sum + count, 0)).toBe(total);
    }));
  });

  it("never gives a category more than its weight while the total is at most their sum", () => {
    fc.assert(fc.property(counts, fc.double({ min: 0, max: 1, noNaN: true }), (weights, share) => {
      const total = Math.floor(share * weights.reduce((sum, weight) => sum + weight, 0));
      largestRemainder(weights, total).forEach((slots, at) => expect(slots).toBeLessThanOrEqual(weights[at]!));
    }));
  });

  it("gives ties to the smaller index, and nothing where no weight is positive", () => {
    expect([...largestRemainder([1, 1, 1], 2)]).toEqual([1, 1, 0]);
    expect([...largestRemainder([0, 0], 5)]).toEqual([0, 0]);
    expect([...largestRemainder([], 5)]).toEqual([]);
  });

  it.each([[[0.5, 0.5], 3], [[NaN, 1], 3], [[-1, 2], 3], [[Infinity], 3], [[1, 2], 1.5], [[2 ** 40], 2 ** 40]])(
    "refuses weights %j for %d slots", (weights, total) => {
      expect(() => largestRemainder(weights, total)).toThrow(/CONFIG_SHARES/);
    });
});

describe("allocate", () => {
  const cases = counts.chain((weights) => fc.tuple(
    fc.constant(weights), fc.array(fc.integer({ min: 0, max: 60 }), { minLength: weights.length, maxLength: weights.length }), fc.integer({ min: 0, max: 900 })));

  it("gives as much as there is room for, never more than the room of a category", () => {
    fc.assert(fc.property(cases, ([weights, available, total]) => {
      const slots = [...allocate(weights, available, total)];
      slots.forEach((count, at) => expect(count).toBeLessThanOrEqual(available[at]!));
      expect(slots.reduce((sum, count) => sum + count, 0)).toBe(Math.min(total, available.reduce((sum, room) => sum + room, 0)));
    }));
  });

  it("leaves weight 0 empty while another has room, and equals largestRemainder where nobody is short", () => {
    fc.assert(fc.property(cases, ([weights, available, total]) => {
      const slots = [...allocate(weights, available, total)];
      if (slots.some((count, at) => count > 0 && weights[at] === 0)) {
        weights.forEach((weight, at) => { if (weight > 0) expect(slots[at]).toBe(available[at]); });
      }
      const free = [...largestRemainder(weights, total)];
      if (weights.some((weight) => weight > 0) && free.every((count, at) => count <= available[at]!)) expect(slots).toEqual(free);
    }));
  });

  it("hands on what a short category cannot take, in proportion", () => {
    expect([...allocate([10, 5, 5], [2, 100, 100], 20)]).toEqual([2, 9, 9]);
    expect([...allocate([10, 7, 3], [0, 100, 100], 10)]).toEqual([0, 7, 3]);
    expect([...allocate([1, 0], [3, 10], 5)]).toEqual([3, 2]);
  });

  it("refuses weights and rooms that would never end", () => {
    expect(() => allocate([NaN, NaN], [3, 3], 4)).toThrow(/CONFIG_SHARES/);
    expect(() => allocate([1, 1], [3], 4)).toThrow(/CONFIG_SHARES/);
    expect(() => allocate([1, 1], [Infinity, 3], 4)).toThrow(/CONFIG_SHARES/);
  });
});
