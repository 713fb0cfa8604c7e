import { describe, expect, it } from "vitest";
import { cosTurn, exp, log, sigmoid, softplus } from "../../../src/core/math.js";

/** Steps through [from, to] on an irrational grid, so that no special point is favoured. */
const points = (from: number, to: number, count = 20_000): number[] =>
  Array.from({ length: count }, (_, at) => from + (to - from) * ((at * 0.6180339887498949) % 1));

describe("fixed-order functions", () => {
  it("exp stays within 4e-16 of the platform's", () => {
    for (const x of points(-690, 690)) expect(Math.abs(exp(x) / Math.exp(x) - 1)).toBeLessThan(4e-16 * 2);
    for (const x of points(-2, 2)) expect(Math.abs(exp(x) / Math.exp(x) - 1)).toBeLessThan(4.5e-16);
    expect([exp(0), exp(-1000), exp(1000)]).toEqual([1, 0, Infinity]);
    expect(exp(NaN)).toBeNaN();
  });

  it("log stays within 4e-16 of the platform's, relative to max(1, |log x|)", () => {
    for (const x of [...points(1e-9, 4), ...points(1e-300, 1e300)]) {
      expect(Math.abs(log(x) - Math.log(x)) / Math.max(1, Math.abs(Math.log(x)))).toBeLessThan(4.5e-16);
    }
    expect([log(1), log(0), log(Infinity)]).toEqual([0, -Infinity, Infinity]);
    expect(log(-1)).toBeNaN();
  });

  it("cosTurn stays within 1e-15 of the platform's", () => {
    for (const t of points(0, 1)) expect(Math.abs(cosTurn(t) - Math.cos(2 * Math.PI * t))).toBeLessThan(1e-15);
    expect([cosTurn(0), cosTurn(0.5)]).toEqual([1, -1]);
  });

  it("sigmoid and softplus hold their identities and never overflow", () => {
    for (const x of points(-40, 40, 2000)) {
      expect(sigmoid(x) + sigmoid(-x)).toBeCloseTo(1, 14);
      expect(softplus(x) - softplus(-x)).toBeCloseTo(x, 12);
    }
    expect(softplus(900)).toBe(900);
    expect(softplus(-900)).toBe(0);
  });
});
