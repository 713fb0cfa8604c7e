import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Csr } from "../../src/core/interactions.js";
import { KeyedRandom } from "../../src/core/rng.js";
import type { ConjugateGradientInput, HessianProductInput, Kernels, LossInput } from "../../src/native/kernels.js";
import { bytesOf, cpuFaces, floats, presentFaces, sparse } from "./faces.js";

const { faces } = presentFaces();
const js = faces[0];

/** Nothing is held here. */
type PlainLoss = LossInput & { parameters: Float32Array; positives?: Csr };

interface Shape {
  userCount: number;
  itemCount: number;
  dimension: number;
  samples: number;
  layers: number;
  loss: "bpr" | "bce";
  hessian: "full" | "gn";
  seed: number;
  regularisation?: number;
  /** Draws users, items and negatives from the first few of each: many duplicates, and positives that are their own negatives. */
  crowded?: boolean;
}

/** A loss on random samples in random order; user 0 has no interaction and, where there are enough, the last user and item no sample. */
function lossOf({ userCount, itemCount, dimension, samples, layers, loss, hessian, seed, regularisation = 0.02, crowded = false }: Shape): PlainLoss {
  const random = new KeyedRandom(seed, "probe");
  const below = (count: number, stream: number): Uint32Array =>
    Uint32Array.from({ length: samples }, (_, at) => random.integer(crowded ? Math.min(count, 3) : Math.max(1, count - 1), at, stream));
  return {
    userCount, itemCount, dimension, layers, loss, hessian, regularisation, parameters: floats((userCount + itemCount) * dimension, seed, 1.5),
    ...(layers > 0 ? { positives: sparse(userCount, itemCount, 0.3, seed, true) } : {}),
    users: below(userCount, 1), items: below(itemCount, 2),
    ...(loss === "bpr" ? { negatives: below(itemCount, 3) } : { labels: Float32Array.from({ length: samples }, (_, at) => random.integer(5, at, 4) / 4) }),
  };
}

const shapes = (most: number): fc.Arbitrary<Shape> => fc.record({
  userCount: fc.integer({ min: 1, max: 9 }), itemCount: fc.integer({ min: 1, max: 8 }), dimension: fc.constantFrom(1, 2, 3, 8, 11),
  samples: fc.integer({ min: 0, max: most }), layers: fc.integer({ min: 0, max: 3 }), loss: fc.constantFrom("bpr", "bce"),
  hessian: fc.constantFrom("full", "gn"), seed: fc.integer({ min: 0, max: 9999 }), crowded: fc.boolean(),
});

const doubles = (length: number, seed: number): Float64Array => Float64Array.from(floats(length, seed, 2));
const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, at) => sum + value * b[at], 0);
const sizeOf = ({ userCount, itemCount, dimension }: LossInput): number => (userCount + itemCount) * dimension;

/** S x by its definition, the mean of the powers of A~. */
function smooth({ userCount, itemCount, dimension, layers, positives }: PlainLoss, input: Float64Array): Float64Array {
  if (!positives) return input;
  const degree = new Float64Array(userCount + itemCount), edges: [number, number][] = [];
  for (let user = 0; user < userCount; user++) {
    for (let at = positives.offsets[user]; at < positives.offsets[user + 1]; at++) edges.push([user, userCount + positives.columns[at]]);
  }
  for (const [u, i] of edges) { degree[u]++; degree[i]++; }
  let layer = input.slice();
  const sum = input.slice();
  for (let l = 0; l < layers; l++) {
    const next = new Float64Array(input.length);
    for (const [u, i] of edges) {
      for (let d = 0; d < dimension; d++) {
        next[u * dimension + d] += layer[i * dimension + d] / Math.sqrt(degree[u] * degree[i]);
        next[i * dimension + d] += layer[u * dimension + d] / Math.sqrt(degree[u] * degree[i]);
      }
    }
    layer = next;
    layer.forEach((value, at) => { sum[at] += value; });
  }
  return sum.map((value) => value / (layers + 1));
}

/** x of every sample at E = S theta, and its gradient there added to `output` with the samples' weights. */
function scoresOf(loss: PlainLoss, e: Float64Array, weights?: (x: number, sample: number) => number, output?: Float64Array): number[] {
  const { users, items, negatives, userCount, dimension } = loss;
  return Array.from(users, (user, sample) => {
    const u = user * dimension, i = (userCount + items[sample]) * dimension, j = negatives ? (userCount + negatives[sample]) * dimension : undefined;
    let x = 0;
    for (let d = 0; d < dimension; d++) x += e[u + d] * (e[i + d] - (j === undefined ? 0 : e[j + d]));
    if (weights && output) {
      const weight = weights(x, sample);
      for (let d = 0; d < dimension; d++) {
        output[u + d] += weight * (e[i + d] - (j === undefined ? 0 : e[j + d]));
        output[i + d] += weight * e[u + d];
        if (j !== undefined) output[j + d] -= weight * e[u + d];
      }
    }
    return x;
  });
}

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

/** The gradient of the contract's F at theta, in doubles. */
function gradientOf(loss: PlainLoss, theta: Float64Array): Float64Array {
  const { labels } = loss, sums = new Float64Array(theta.length);
  scoresOf(loss, smooth(loss, theta), (x, sample) => (labels ? logistic(x) - labels[sample] : -logistic(-x)), sums);
  const back = smooth(loss, sums.map((value) => value / Math.max(1, loss.users.length)));
  return back.map((value, at) => value + loss.regularisation * theta[at]);
}

/** Solution of a dense symmetric system by elimination with pivots. */
function solveDense(matrix: number[][], right: Float64Array): Float64Array {
  const n = right.length, rows = matrix.map((row, at) => [...row, right[at]]);
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let row = column; row < n; row++) if (Math.abs(rows[row][column]) > Math.abs(rows[pivot][column])) pivot = row;
    [rows[column], rows[pivot]] = [rows[pivot], rows[column]];
    for (let row = column + 1; row < n; row++) {
      const factor = rows[row][column] / rows[column][column];
      for (let at = column; at <= n; at++) rows[row][at] -= factor * rows[column][at];
    }
  }
  const solution = new Float64Array(n);
  for (let row = n - 1; row >= 0; row--) {
    let sum = rows[row][n];
    for (let at = row + 1; at < n; at++) sum -= rows[row][at] * solution[at];
    solution[row] = sum / rows[row][row];
  }
  return solution;
}

/** H as a matrix, a unit vector at a time. */
async function matrixOf(kernels: Kernels, loss: LossInput): Promise<number[][]> {
  const rows: number[][] = [];
  for (let at = 0; at < sizeOf(loss); at++) {
    const vector = new Float64Array(sizeOf(loss));
    vector[at] = 1;
    rows.push(Array.from(await kernels.hessianProduct({ ...loss, vector })));
  }
  return rows;
}

function expectClose(found: Float64Array, wanted: Float64Array, tolerance: number): void {
  const scale = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
  expect(found.length).toBe(wanted.length);
  wanted.forEach((value, at) => { expect(Math.abs(found[at] - value)).toBeLessThanOrEqual(tolerance * scale); });
}

describe.each(faces)("curvature on $device", (kernels: Kernels) => {
  it("hessianProduct is the derivative of the gradient along the vector", async () => {
    await fc.assert(fc.asyncProperty(shapes(40), async (shape) => {
      const loss = lossOf({ ...shape, hessian: "full" }), theta = Float64Array.from(loss.parameters), vector = doubles(theta.length, shape.seed + 1);
      const step = 1e-5, move = (sign: number): Float64Array => gradientOf(loss, theta.map((value, at) => value + sign * step * vector[at]));
      const ahead = move(1), behind = move(-1);
      expectClose(await kernels.hessianProduct({ ...loss, vector }), ahead.map((value, at) => (value - behind[at]) / (2 * step)), 1e-8);
    }), { numRuns: 60 });
  });

  it("is symmetric, and the Gauss-Newton form is the mean of c dx(a) dx(b): never negative", async () => {
    await fc.assert(fc.asyncProperty(shapes(40), async (shape) => {
      const loss = lossOf(shape), size = sizeOf(loss), a = doubles(size, shape.seed + 1), b = doubles(size, shape.seed + 2);
      const ha = await kernels.hessianProduct({ ...loss, vector: a }), hb = await kernels.hessianProduct({ ...loss, vector: b });
      expect(dot(a, hb)).toBeCloseTo(dot(b, ha), 10);
      if (shape.hessian === "full") return;
      const e = smooth(loss, Float64Array.from(loss.parameters));
      // x is bilinear, so the central difference is its derivative but for rounding.
      const slopes = (v: Float64Array): number[] => {
        const s = smooth(loss, v), up = scoresOf(loss, e.map((value, at) => value + s[at])), down = scoresOf(loss, e.map((value, at) => value - s[at]));
        return up.map((value, at) => (value - down[at]) / 2);
      };
      const da = slopes(a), db = slopes(b);
      const wanted = scoresOf(loss, e).reduce((sum, x, at) => sum + logistic(x) * logistic(-x) * da[at] * db[at], 0) / Math.max(1, loss.users.length);
      expect(dot(a, hb)).toBeCloseTo(wanted + loss.regularisation * dot(a, b), 10);
      expect(dot(a, ha)).toBeGreaterThanOrEqual(-1e-12);
    }), { numRuns: 60 });
  });

  it("without samples is the L2 part alone, and so it is for rows that no sample and no path reaches", async () => {
    const loss = lossOf({ userCount: 4, itemCount: 3, dimension: 5, samples: 0, layers: 2, loss: "bpr", hessian: "full", seed: 3, regularisation: 0.5 });
    const vector = doubles(35, 4);
    expect(await kernels.hessianProduct({ ...loss, vector })).toEqual(vector.map((value) => 0.5 * value));
    const some = lossOf({ userCount: 4, itemCount: 3, dimension: 5, samples: 9, layers: 0, loss: "bce", hessian: "full", seed: 3, regularisation: 0.5 });
    expect((await kernels.hessianProduct({ ...some, vector })).subarray(15, 20)).toEqual(vector.subarray(15, 20).map((value) => 0.5 * value));
  });

  it("a positive that is its own negative adds nothing", async () => {
    const loss = lossOf({ userCount: 3, itemCount: 4, dimension: 3, samples: 12, layers: 0, loss: "bpr", hessian: "full", seed: 8, regularisation: 0.25 });
    const vector = doubles(21, 1);
    expect(await kernels.hessianProduct({ ...loss, negatives: loss.items, vector })).toEqual(vector.map((value) => 0.25 * value));
  });

  it.each(["full", "gn"] as const)("conjugateGradient solves the dense system of 20 users and 15 items (%s), whole and restricted", async (hessian) => {
    for (const layers of [0, 2]) {
      for (const kind of ["bpr", "bce"] as const) {
        // Small vectors and a strong L2 part keep the full matrix positive definite.
        const loss = lossOf({ userCount: 20, itemCount: 15, dimension: 2, samples: 100, layers, loss: kind, hessian, seed: 5, regularisation: 0.3 });
        loss.parameters = loss.parameters.map((value) => value / 4);
        const matrix = await matrixOf(kernels, loss), damping = 1e-3;
        for (const rows of [undefined, Uint32Array.of(0, 3, 4, 19, 20, 27, 34), Uint32Array.of(7)]) {
          const picked = rows ? Array.from(rows, (row) => [2 * row, 2 * row + 1]).flat() : Array.from({ length: 70 }, (_, at) => at);
          const gradient = doubles(picked.length, 6);
          const wanted = solveDense(picked.map((a) => picked.map((b) => matrix[a][b] + (a === b ? damping : 0))), gradient);
          const found = await kernels.conjugateGradient({ ...loss, gradient, ...(rows ? { rows } : {}), damping, tolerance: 1e-12, iterations: 200 });
          expect(found.negativeCurvature).toBe(false);
          expect(found.residual).toBeLessThan(2e-12);
          expect(found.iterations).toBeLessThanOrEqual(100);
          expectClose(found.solution, wanted, 1e-10);
        }
      }
    }
  });

  it("tells the residual of the solution it returns", async () => {
    const loss = lossOf({ userCount: 20, itemCount: 15, dimension: 3, samples: 200, layers: 1, loss: "bpr", hessian: "gn", seed: 7, regularisation: 0.001 });
    const gradient = doubles(105, 2), ask = { ...loss, gradient, damping: 0.01, tolerance: 1e-6 };
    const { solution, iterations, residual } = await kernels.conjugateGradient({ ...ask, iterations: 4 });
    expect(iterations).toBe(4);
    const product = await kernels.hessianProduct({ ...loss, vector: solution });
    const left = gradient.map((value, at) => value - (product[at] + 0.01 * solution[at]));
    expect(residual).toBeCloseTo(Math.sqrt(dot(left, left) / dot(gradient, gradient)), 12);
    expect(residual).toBeGreaterThan(1e-6);
    const more = await kernels.conjugateGradient({ ...ask, iterations: 500 });
    expect(more.residual).toBeLessThanOrEqual(1.01e-6);
    expect(more.iterations).toBeLessThan(500);
  });

  it("takes no step for a gradient of 0, no rows, no iterations, or a tolerance of 1", async () => {
    const loss = lossOf({ userCount: 3, itemCount: 4, dimension: 3, samples: 12, layers: 1, loss: "bpr", hessian: "full", seed: 8 });
    const ask = { ...loss, damping: 0, tolerance: 0, iterations: 9 };
    expect(await kernels.conjugateGradient({ ...ask, gradient: new Float64Array(21) }))
      .toEqual({ solution: new Float64Array(21), iterations: 0, residual: 0, negativeCurvature: false });
    expect(await kernels.conjugateGradient({ ...ask, gradient: new Float64Array(0), rows: new Uint32Array(0) }))
      .toEqual({ solution: new Float64Array(0), iterations: 0, residual: 0, negativeCurvature: false });
    for (const few of [{ iterations: 0 }, { tolerance: 1 }]) {
      expect(await kernels.conjugateGradient({ ...ask, ...few, gradient: doubles(21, 1) }))
        .toEqual({ solution: new Float64Array(21), iterations: 0, residual: 1, negativeCurvature: false });
    }
  });

  it("stops at the saddle of vectors of 0, where the Gauss-Newton matrix and a strong damping go on", async () => {
    // One sample at E = 0: H is r times the coupling of the user with its items, r = -1/2.
    const loss: LossInput = {
      userCount: 1, itemCount: 2, dimension: 1, parameters: new Float32Array(3), layers: 0, loss: "bpr", users: Uint32Array.of(0),
      items: Uint32Array.of(0), negatives: Uint32Array.of(1), regularisation: 0, hessian: "full",
    };
    const ask = { ...loss, gradient: Float64Array.of(1, 1, 0), damping: 0.125, tolerance: 1e-10, iterations: 10 };
    expect(await kernels.conjugateGradient(ask)).toEqual({ solution: new Float64Array(3), iterations: 0, residual: 1, negativeCurvature: true });
    expect(await kernels.conjugateGradient({ ...ask, hessian: "gn" }))
      .toEqual({ solution: Float64Array.of(8, 8, 0), iterations: 1, residual: 0, negativeCurvature: false });
    const damped = await kernels.conjugateGradient({ ...ask, damping: 2 });
    expect(damped.negativeCurvature).toBe(false);
    expectClose(damped.solution, solveDense([[2, -0.5, 0.5], [-0.5, 2, 0], [0.5, 0, 2]], ask.gradient), 1e-9);
  });

  it("refuses to return what left the finite numbers", async () => {
    const loss = lossOf({ userCount: 3, itemCount: 4, dimension: 3, samples: 12, layers: 0, loss: "bpr", hessian: "full", seed: 8 });
    const huge = new Float64Array(21).fill(1.7e308).map((value, at) => (at % 2 === 0 ? value : -value));
    await expect(kernels.hessianProduct({ ...loss, vector: huge })).rejects.toThrow(/NATIVE_DIVERGED/);
    await expect(kernels.conjugateGradient({ ...loss, gradient: huge, damping: 0, tolerance: 0, iterations: 3 })).rejects.toThrow(/NATIVE_DIVERGED/);
  });
});

describe("curvature, the same bytes", () => {
  const settings = cpuFaces();

  it("on every instruction set and thread count, on small odd shapes", async () => {
    await fc.assert(fc.asyncProperty(shapes(60), fc.boolean(), fc.integer({ min: 0, max: 12 }), async (shape, restricted, iterations) => {
      const loss = lossOf(shape), size = sizeOf(loss), vector = doubles(size, shape.seed + 1);
      // Zeros of both signs and a denormal among the values.
      for (const [at, value] of [-0, 0, 5e-324].entries()) if (at < size) vector[at] = value;
      const rows = Uint32Array.from({ length: shape.userCount + shape.itemCount }, (_, row) => row).filter((row) => (row + shape.seed) % 3 !== 0);
      const gradient = restricted ? vector.slice(0, rows.length * shape.dimension) : vector;
      const product: HessianProductInput = { ...loss, vector };
      const solve: ConjugateGradientInput = { ...loss, gradient, ...(restricted ? { rows } : {}), damping: 0.01, tolerance: 1e-9, iterations };
      const wanted = [bytesOf(await js.hessianProduct(product)), bytesOf(await js.conjugateGradient(solve))];
      for (const kernels of settings) expect([bytesOf(await kernels.hessianProduct(product)), bytesOf(await kernels.conjugateGradient(solve))]).toEqual(wanted);
    }), { numRuns: 40 });
  });

  it.each([
    [0, "bpr", 8, 90_000, 700, 300], [2, "bpr", 20, 30_000, 400, 900], [1, "bce", 65, 9000, 90, 80], [0, "bce", 24, 30_000, 3, 5], [3, "bpr", 1, 30_000, 5000, 7],
  ] as const)("with %i layers of %s, dimension %i, %i samples of %i users and %i items: many chunks and tiles", async (layers, kind, dimension, samples, userCount, itemCount) => {
    const loss = lossOf({ userCount, itemCount, dimension, samples, layers, loss: kind, hessian: "full", seed: 12 });
    if (layers > 0) loss.positives = sparse(userCount, itemCount, 0.05, 2, true);
    const vector = doubles(sizeOf(loss), 4);
    const rows = Uint32Array.from({ length: userCount + itemCount }, (_, row) => row).filter((row) => row % 7 === 2);
    const solve = { ...loss, gradient: vector.slice(0, rows.length * dimension), rows, damping: 1, tolerance: 1e-9, iterations: 2 };
    const wanted = [bytesOf(await js.hessianProduct({ ...loss, vector })), bytesOf(await js.conjugateGradient(solve))];
    for (const kernels of settings) expect([bytesOf(await kernels.hessianProduct({ ...loss, vector })), bytesOf(await kernels.conjugateGradient(solve))]).toEqual(wanted);
  });
});
