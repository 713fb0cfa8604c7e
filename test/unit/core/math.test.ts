import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cosTurn, exp, exp32, fma32, log, sigmoid, softplus } from "../../../src/core/math.js";

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

/** a * b + c rounded once, in whole numbers: float32 values are multiples of 2^-149. */
function exactFma(a: number, b: number, c: number): number {
  const whole = (x: number): bigint => BigInt(x * 2 ** 149);
  const sum = whole(a) * whole(b) + (whole(c) << 149n), magnitude = sum < 0n ? -sum : sum;
  if (magnitude === 0n) return a * b + c;
  // In units of 2^-298: 24 bits are kept, and none below 2^-149.
  const unit = BigInt(Math.max(magnitude.toString(2).length - 24, 149));
  let kept = magnitude >> unit;
  const rest = magnitude - (kept << unit), half = 1n << (unit - 1n);
  if (rest > half || (rest === half && (kept & 1n) === 1n)) kept++;
  const value = Number(kept) * 2 ** (Number(unit) - 298);
  return (sum < 0n ? -1 : 1) * (value >= 2 ** 128 ? Infinity : value);
}

describe("float32 functions", () => {
  const anyFloat = fc.float({ noNaN: true, noDefaultInfinity: true });

  it("fma32 rounds once, whatever the numbers", () => {
    fc.assert(fc.property(anyFloat, anyFloat, anyFloat, (a, b, c) => Object.is(fma32(a, b, c), exactFma(a, b, c))), { numRuns: 5000 });
    // Near in size, so that the sum has bits to lose.
    const near = fc.tuple(fc.integer({ min: -(2 ** 24), max: 2 ** 24 }), fc.integer({ min: -24, max: 4 })).map(([m, e]) => m * 2 ** e);
    fc.assert(fc.property(near, near, near, (a, b, c) => Object.is(fma32(a, b, c), exactFma(a, b, c))), { numRuns: 5000 });
  });

  it("fma32 sees on which side of halfway a sum lies, where doubles alone do not", () => {
    let twice = 0;
    const check = (a: number, b: number, c: number): void => {
      expect(Object.is(fma32(a, b, c), exactFma(a, b, c)), `${a} * ${b} + ${c}`).toBe(true);
      if (Math.fround(a * b + c) !== exactFma(a, b, c)) twice++;
    };
    // Products (1 + 2^-23) (1 - 2^-23) = 1 - 2^-46 and 1 + 2^-46 + ... times half a unit of the last place of c, or a quarter.
    const almost = [[1 + 2 ** -23, 1 - 2 ** -23], [1 + 2 ** -23, 1 + 2 ** -23], [1 - 2 ** -24, 1 + 2 ** -23], [1 + 2 ** -20, 1 - 2 ** -20], [1, 1], [3, Math.fround(1 / 3)]];
    for (const exponent of [-149, -148, -127, -126, -125, -64, -1, 0, 1, 23, 24, 60, 103]) {
      for (let mantissa = 2 ** 23; mantissa < 2 ** 24; mantissa += 1_048_573) {
        for (const m of [mantissa, mantissa + 1, 2 ** 24 - 1, 2 ** 23]) {
          const c = Math.fround(m * 2 ** exponent);
          for (const [x, y] of almost) {
            // Split the power between the factors, so that both stay float32.
            for (const shift of [-1, -2, 0]) {
              const power = exponent + shift, lower = Math.floor(power / 2), a = Math.fround(x * 2 ** lower), b = Math.fround(y * 2 ** (power - lower));
              for (const sign of [1, -1]) for (const other of [1, -1]) check(sign * a, b, other * c);
            }
          }
        }
      }
    }
    expect(twice).toBeGreaterThan(100);
  });

  it("fma32 keeps to the edges: overflow, the largest float32, subnormals, zeros", () => {
    const max = (2 - 2 ** -23) * 2 ** 127, step = 2 ** 104;
    const cases = [
      [max, 1, step / 2], [max, 1, step / 4], [max, 1 + 2 ** -23, 0], [max, max, -max], [-max, max, max], [max, 1, -max], [2 ** 52, 2 ** 51, max], [2 ** -100, 2 ** -49, 0],
      [(1 + 2 ** -23) * 2 ** 52, (1 - 2 ** -23) * 2 ** 51, max], [-(1 + 2 ** -23) * 2 ** 52, (1 - 2 ** -23) * 2 ** 51, -max], [(1 + 2 ** -23) * 2 ** 52, (1 + 2 ** -23) * 2 ** 51, max],
      [2 ** -75, 2 ** -75, 0], [2 ** -75, 2 ** -75, 2 ** -149], [-(2 ** -100), 2 ** -100, 0], [2 ** -100, 2 ** -100, -(2 ** -149)], [0, 5, -0], [-0, 5, -0], [0, -5, 0], [3, 2, -6],
    ];
    for (const [a, b, c] of cases) expect(Object.is(fma32(a, b, c), exactFma(a, b, c)), `${a} * ${b} + ${c}`).toBe(true);
    expect([fma32(1, 1, Infinity), fma32(Infinity, -1, 0)]).toEqual([Infinity, -Infinity]);
    expect(fma32(Infinity, 1, -Infinity)).toBeNaN();
  });

  it("exp32 stays within 0.9 units of the last place; 1 at 0, 0 below -64", () => {
    let worst = 0;
    for (const point of [...points(-64, 88, 60_000), ...points(-1, 1, 20_000), ...points(-1e-6, 1e-6, 2_000)]) {
      const x = Math.fround(point), e = Math.exp(x), unit = 2 ** (Math.floor(Math.log2(e)) - 23);
      expect(Math.fround(exp32(x))).toBe(exp32(x));
      worst = Math.max(worst, Math.abs(exp32(x) - e) / unit);
    }
    expect(worst).toBeLessThan(0.9);
    expect([exp32(0), exp32(-0), exp32(-64) > 1.6e-28, exp32(Math.fround(-64.00001)), exp32(-Infinity)]).toEqual([1, 1, true, 0, 0]);
  });
});
