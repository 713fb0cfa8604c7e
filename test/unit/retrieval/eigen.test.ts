import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { symmetricEigen } from "../../../src/retrieval/eigen.js";

const symmetric = fc.integer({ min: 0, max: 8 }).chain((n) => fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: n * n, maxLength: n * n })
  .map((entries) => ({ n, matrix: Float64Array.from(entries, (_, at) => (entries[at]! + entries[(at % n) * n + Math.floor(at / n)]!) / 2) })));

describe("symmetricEigen", () => {
  it("gives A v = lambda v with orthonormal v, descending lambda, and A back", () => {
    fc.assert(fc.property(symmetric, ({ n, matrix }) => {
      const { values, vectors } = symmetricEigen(matrix, n);
      for (let j = 0; j < n; j++) {
        if (j > 0) expect(values[j]!).toBeLessThanOrEqual(values[j - 1]!);
        for (let i = 0; i < n; i++) {
          let product = 0, back = 0, inner = 0;
          for (let k = 0; k < n; k++) {
            product += matrix[i * n + k]! * vectors[k * n + j]!;
            back += vectors[i * n + k]! * values[k]! * vectors[j * n + k]!;
            inner += vectors[k * n + i]! * vectors[k * n + j]!;
          }
          expect(product).toBeCloseTo(values[j]! * vectors[i * n + j]!, 8);
          expect(back).toBeCloseTo(matrix[i * n + j]!, 8);
          expect(inner).toBeCloseTo(i === j ? 1 : 0, 9);
        }
      }
    }));
  });

  it("fixes signs by the largest entry and leaves its argument alone", () => {
    const matrix = Float64Array.from([2, -1, -1, 2]);
    const { values, vectors } = symmetricEigen(matrix, 2);
    expect([...matrix]).toEqual([2, -1, -1, 2]);
    expect(values[0]).toBeCloseTo(3, 12);
    expect(values[1]).toBeCloseTo(1, 12);
    expect(vectors[0]! * vectors[2]!).toBeLessThan(0);
    expect(vectors[0]).toBeGreaterThan(0);
    expect(vectors[1]).toBeGreaterThan(0);
  });
});
