import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { KeyedRandom } from "../../src/core/rng.js";
import type { Kernels } from "../../src/native/kernels.js";
import { fusedMultiplyAdd } from "../../src/native/reference/fused.js";
import { presentFaces } from "./faces.js";
import { agreed, everyFace } from "./isas.js";

const { faces, missing } = presentFaces();
const all = everyFace();

if (missing !== undefined) it.skip(`cpu face: ${missing} Build it with npm run build:native`, () => undefined);

const EPSILON = 2 ** -52;

function doubles(length: number, seed: number): Float64Array {
  const random = new KeyedRandom(seed, "probe");
  return Float64Array.from({ length }, (_, at) => random.uniform(at) - 0.5 + 2 ** -30 * random.uniform(at, 1));
}

const place = (i: number, j: number): number => (i >= j ? (i * (i + 1)) / 2 + j : (j * (j + 1)) / 2 + i);

/** B B' + shift I for a random B [size, rank]. */
function positive(size: number, seed: number, rank = size, shift = 1): Float64Array {
  const b = doubles(size * rank, seed), matrix = new Float64Array((size * (size + 1)) / 2);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = i === j ? shift : 0;
      for (let k = 0; k < rank; k++) sum += b[i * rank + k] * b[j * rank + k];
      matrix[place(i, j)] = sum;
    }
  }
  return matrix;
}

/** Largest entry of |L L' - A|. */
function factorError(l: Float64Array, matrix: Float64Array, size: number): number {
  let worst = 0;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k <= j; k++) sum += l[place(i, k)] * l[place(j, k)];
      worst = Math.max(worst, Math.abs(sum - matrix[place(i, j)]));
    }
  }
  return worst;
}

/** Largest entry of |P A - I|. */
function inverseError(p: Float64Array, matrix: Float64Array, size: number): number {
  let worst = 0;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      let sum = i === j ? -1 : 0;
      for (let k = 0; k < size; k++) sum += p[place(i, k)] * matrix[place(k, j)];
      worst = Math.max(worst, Math.abs(sum));
    }
  }
  return worst;
}

async function update(kernels: Kernels, matrix: Float64Array, size: number, vectors: Float64Array, weights: number[]): Promise<Float64Array> {
  return kernels.rankUpdate({ matrix, size, vectors, weights: Float64Array.from(weights) });
}

describe.each(faces)("$device", (kernels) => {
  it("factors and inverts matrices whose answers are known", async () => {
    const two = Float64Array.of(4, 2, 5);
    expect([...await kernels.cholesky({ matrix: two, size: 2, output: "factor" })]).toEqual([2, 1, 2]);
    expect([...await kernels.cholesky({ matrix: two, size: 2, output: "inverse" })]).toEqual([0.3125, -0.125, 0.25]);
    expect([...two]).toEqual([4, 2, 5]);
    expect([...await kernels.cholesky({ matrix: Float64Array.of(9), size: 1, output: "factor" })]).toEqual([3]);
    expect([...await kernels.cholesky({ matrix: Float64Array.of(0.25), size: 1, output: "inverse" })]).toEqual([4]);
    // min(i, j) + 1: the factor is all ones, the inverse has 2 on the diagonal (1 at its end) and -1 beside it.
    const size = 60, least = new Float64Array((size * (size + 1)) / 2);
    for (let i = 0; i < size; i++) for (let j = 0; j <= i; j++) least[place(i, j)] = j + 1;
    expect(new Set(await kernels.cholesky({ matrix: least, size, output: "factor" }))).toEqual(new Set([1]));
    const inverse = await kernels.cholesky({ matrix: least, size, output: "inverse" });
    for (let i = 0; i < size; i++) {
      for (let j = 0; j <= i; j++) expect(inverse[place(i, j)]).toBe(i === j ? (i === size - 1 ? 1 : 2) : i === j + 1 ? -1 : 0);
    }
  });

  it.each([[1, 0], [2, 1], [24, 0], [25, 24], [49, 30], [97, 96], [130, 101]])("names the column where a matrix of order %d fails: %d", async (size, column) => {
    const matrix = positive(size, size);
    matrix[place(column, column)] = -1;
    for (const output of ["factor", "inverse"] as const) {
      const before = matrix.slice(), held = await kernels.hold(matrix);
      const error = await kernels.cholesky({ matrix: held, size, output }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "NATIVE_NOT_POSITIVE", message: expect.stringContaining(`column ${column} `) as string });
      expect(await held.read()).toEqual(before);
      held.dispose();
    }
  });

  it("refuses semidefinite matrices and zeros, and inverses beyond the range of double", async () => {
    const flat = new Float64Array(55).fill(3);
    const refusal = { code: "NATIVE_NOT_POSITIVE", message: expect.stringContaining("column 1 ") as string };
    await expect(kernels.cholesky({ matrix: flat, size: 10, output: "factor" })).rejects.toMatchObject(refusal);
    await expect(kernels.cholesky({ matrix: new Float64Array(3), size: 2, output: "factor" })).rejects.toThrow(/column 0 /);
    await expect(kernels.cholesky({ matrix: Float64Array.of(-0), size: 1, output: "factor" })).rejects.toThrow(/column 0 /);
    const small = Float64Array.of(1, 0, Number.MIN_VALUE);
    expect([...await kernels.cholesky({ matrix: small, size: 2, output: "factor" })]).toEqual([1, 0, Math.sqrt(Number.MIN_VALUE)]);
    await expect(kernels.cholesky({ matrix: small, size: 2, output: "inverse" })).rejects.toMatchObject(refusal);
    // The quotient overflows, and the pivot after it with it.
    await expect(kernels.cholesky({ matrix: Float64Array.of(1e-200, 1e300, 1), size: 2, output: "factor" })).rejects.toThrow(/column 1 /);
  });

  it("changes a held matrix in place, call after call", async () => {
    const size = 50, matrix = positive(size, 3), held = await kernels.hold(matrix), vector = doubles(size, 4);
    const added = await update(kernels, matrix, size, vector, [2]);
    const wanted = await kernels.cholesky({ matrix: added, size, output: "inverse" });
    const calls = [
      kernels.rankUpdate({ matrix: held, size, vectors: vector, weights: Float64Array.of(2) }),
      kernels.cholesky({ matrix: held, size, output: "inverse" }),
      held.read(),
    ] as const;
    expect((await calls[0]).length + (await calls[1]).length).toBe(0);
    expect(await calls[2]).toEqual(wanted);
    held.dispose();
  });

  it("updates by no vector, one and many", async () => {
    const matrix = Float64Array.of(1, -0, 3);
    expect([...await update(kernels, matrix, 2, new Float64Array(0), [])]).toEqual([1, -0, 3]);
    expect([...await update(kernels, matrix, 2, Float64Array.of(2, 5), [-1])]).toEqual([-3, -10, -22]);
    expect([...await update(kernels, matrix, 2, Float64Array.of(2, 5, 1, 1), [-1, 3])]).toEqual([0, -7, -19]);
  });

  it("says so when an update leaves the finite numbers, and refuses the spoilt matrix afterwards", async () => {
    for (const size of [3, 40]) {
      const vectors = new Float64Array(size);
      vectors[size - 1] = 1e200;
      const input = { size, vectors, weights: Float64Array.of(1) }, matrix = positive(size, 1);
      await expect(kernels.rankUpdate({ ...input, matrix })).rejects.toMatchObject({ code: "NATIVE_DIVERGED" });
      const held = await kernels.hold(matrix);
      await expect(kernels.rankUpdate({ ...input, matrix: held })).rejects.toMatchObject({ code: "NATIVE_DIVERGED" });
      await expect(kernels.rankUpdate({ ...input, matrix: held })).rejects.toMatchObject({ code: "NATIVE_NOT_FINITE" });
      await expect(kernels.cholesky({ matrix: held, size, output: "factor" })).rejects.toMatchObject({ code: "NATIVE_NOT_FINITE" });
      held.dispose();
    }
  });

  it("refuses wrong shapes and stops when told", async () => {
    await expect(kernels.cholesky({ matrix: new Float64Array(4), size: 2, output: "factor" })).rejects.toMatchObject({ code: "NATIVE_SHAPE" });
    await expect(kernels.cholesky({ matrix: Float64Array.of(NaN), size: 1, output: "factor" })).rejects.toMatchObject({ code: "NATIVE_NOT_FINITE" });
    await expect(update(kernels, Float64Array.of(1), 1, Float64Array.of(1, 2), [1])).rejects.toMatchObject({ code: "NATIVE_SHAPE" });
    const reason = new Error("enough"), signal = AbortSignal.abort(reason);
    await expect(kernels.cholesky({ matrix: Float64Array.of(1), size: 1, output: "factor" }, { signal })).rejects.toBe(reason);
  });
});

describe("all faces", () => {
  it.each([2, 3, 7, 23, 24, 25, 47, 48, 73, 95, 96, 97, 127, 193, 255, 256, 257])("agree on a matrix of order %d, and are right", async (size) => {
    const matrix = positive(size, size, Math.min(size, 40));
    const l = await agreed(all, (kernels) => kernels.cholesky({ matrix, size, output: "factor" }));
    expect(factorError(l, matrix, size)).toBeLessThan(size * EPSILON * size);
    const p = await agreed(all, (kernels) => kernels.cholesky({ matrix, size, output: "inverse" }));
    // Eigenvalues lie between 1 and the trace.
    let trace = 0;
    for (let i = 0; i < size; i++) trace += matrix[place(i, i)];
    expect(inverseError(p, matrix, size)).toBeLessThan(size * EPSILON * trace);
  }, 120_000);

  it.each([[1, 1], [2, 3], [24, 1], [25, 2], [61, 12], [61, 13], [100, 50], [97, 200]])("agree on updates of order %d and rank %d", async (size, rank) => {
    const matrix = positive(size, size), vectors = doubles(size * rank, rank), weights = Array.from(doubles(rank, 9));
    const updated = await agreed(all, (kernels) => update(kernels, matrix, size, vectors, weights));
    let worst = 0;
    for (let i = 0; i < size; i++) {
      for (let j = 0; j <= i; j++) {
        let sum = matrix[place(i, j)];
        for (let r = 0; r < rank; r++) sum += weights[r] * vectors[r * size + i] * vectors[r * size + j];
        worst = Math.max(worst, Math.abs(sum - updated[place(i, j)]));
      }
    }
    expect(worst).toBeLessThan(rank * EPSILON * (1 + rank / 8));
  }, 60_000);

  it("agree on values of every magnitude, on zeros of both signs and on failures", async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 30 }), fc.nat(1e6), fc.integer({ min: -480, max: 480 }), async (size, seed, scale) => {
      const matrix = positive(size, seed, 3, 2 ** -40), random = new KeyedRandom(seed, "probe");
      for (let i = 0; i < size; i++) {
        for (let j = 0; j < i; j++) {
          if (random.uniform(i, j) < 0.4) matrix[place(i, j)] = random.uniform(j, i) < 0.5 ? 0 : -0;
        }
        for (let j = 0; j <= i; j++) matrix[place(i, j)] *= 2 ** (scale + (i + j) % 5 * 11);
        matrix[place(i, i)] *= 1.5;
      }
      for (const output of ["factor", "inverse"] as const) {
        const told = (error: Error & { code: string }): object => ({ code: error.code, text: error.message });
        await agreed<unknown>(all, (kernels) => kernels.cholesky({ matrix, size, output }).catch(told));
      }
      const vectors = doubles(2 * size, seed + 1).map((value, at) => (at % 3 === 0 ? 0 : value * 2 ** (scale / 2)));
      await agreed(all, (kernels) => update(kernels, matrix, size, vectors, [-0.75, 1e-320]));
    }), { numRuns: 60 });
  }, 120_000);

  it("forget and remember exactly as the algebra says", async () => {
    const size = 75, lambda = 20, kernels = all[all.length - 1];
    const rows = Array.from({ length: 120 }, (_, row) => Float64Array.from(doubles(size, 100 + row), (value) => (value > 0.3 ? 1 : 0)));
    const base = new Float64Array((size * (size + 1)) / 2);
    for (let i = 0; i < size; i++) base[place(i, i)] = lambda;
    const pack = (chosen: Float64Array[]): Float64Array => Float64Array.from(chosen.flatMap((row) => [...row]));
    const whole = await update(kernels, base, size, pack(rows), rows.map(() => 1));
    const without = await update(kernels, whole, size, rows[5], [-1]);
    // Counts are whole numbers, so taking away is exact.
    expect(without).toEqual(await update(kernels, base, size, pack(rows.filter((_, at) => at !== 5)), rows.slice(1).map(() => 1)));
    // P + w w' / (1 - x' w) with w = P x.
    const inverse = await kernels.cholesky({ matrix: whole, size, output: "inverse" });
    const w = new Float64Array(size).map((_, i) => rows[5].reduce((sum, x, j) => sum + x * inverse[place(i, j)], 0));
    const forgotten = await update(kernels, inverse, size, w, [1 / (1 - w.reduce((sum, value, i) => sum + value * rows[5][i], 0))]);
    const fresh = await kernels.cholesky({ matrix: without, size, output: "inverse" });
    const off = forgotten.reduce((most, value, at) => Math.max(most, Math.abs(value - fresh[at])), 0);
    expect(off).toBeLessThan(1e-15);
    expect(off).toBeLessThan(1e-3 * inverse.reduce((most, value, at) => Math.max(most, Math.abs(value - fresh[at])), 0));
  });

  it("cancel deeply: taking away what was added leaves what rounding left", async () => {
    const size = 40, matrix = positive(size, 8), vector = doubles(size, 2).map((value) => value * 2 ** 20);
    const back = await agreed(all, async (kernels) => update(kernels, await update(kernels, matrix, size, vector, [1]), size, vector, [-1]));
    const off = back.reduce((most, value, at) => Math.max(most, Math.abs(value - matrix[at])), 0);
    expect(off).toBeGreaterThan(0);
    expect(off).toBeLessThan(2 ** 40 * EPSILON);
    const once = await agreed(all, (kernels) => update(kernels, matrix, size, Float64Array.of(...vector, ...vector), [1, -1]));
    expect(once).toEqual(back);
  });
});

describe("fusedMultiplyAdd", () => {
  /** A double as whole multiples of 2^-1074. */
  const whole = (value: number): bigint => {
    const bits = new BigUint64Array(Float64Array.of(value).buffer)[0], exponent = Number((bits >> 52n) & 0x7ffn), fraction = bits & 0xfffffffffffffn;
    const size = exponent > 0 ? (fraction | (1n << 52n)) << BigInt(exponent - 1) : fraction;
    return value < 0 ? -size : size;
  };

  /** Whether `result` is the double nearest to a b + c: no neighbour is nearer, and of two equally near ones it is the even one. */
  const isNearest = (a: number, b: number, c: number, result: number): boolean => {
    const exact = whole(a) * whole(b) + (whole(c) << 1074n);
    const distance = (value: bigint): bigint => (exact > value << 1074n ? exact - (value << 1074n) : (value << 1074n) - exact);
    if (!Number.isFinite(result)) {
      const limit = (whole(Number.MAX_VALUE) + (whole(Number.MAX_VALUE) - whole(Number.MAX_VALUE / 2)) / (1n << 53n)) << 1074n;
      return (exact < 0n ? -exact : exact) >= limit - (1n << 1074n) && exact > 0n === result > 0;
    }
    const bits = new BigInt64Array(Float64Array.of(Math.abs(result)).buffer)[0], mine = distance(whole(result)), sign = result < 0 ? -1 : 1;
    return [bits - 1n, bits + 1n].every((near) => {
      if (near < 0n || near >= 0x7ffn << 52n) return true;
      const other = distance(whole(sign * new Float64Array(BigInt64Array.of(near).buffer)[0]));
      return other > mine || (other === mine && (bits & 1n) === 0n);
    });
  };

  const number = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.tuple(fc.double({ min: -2, max: 2, noNaN: true }), fc.integer({ min: -1074, max: 1000 })).map(([value, scale]) => value * 2 ** scale),
    // Few bits: ties and exact sums are then frequent.
    fc.tuple(fc.integer({ min: -(2 ** 27), max: 2 ** 27 }), fc.integer({ min: -60, max: 60 })).map(([value, scale]) => value * 2 ** scale),
  );

  it("rounds once, whatever the magnitudes", () => {
    fc.assert(fc.property(number, number, number, (a, b, c) => isNearest(a, b, c, fusedMultiplyAdd(a, b, c))), { numRuns: 20_000 });
  });

  it("rounds once where the sum nearly cancels or falls near a tie", () => {
    fc.assert(fc.property(number, number, fc.integer({ min: -3, max: 3 }), fc.integer({ min: -60, max: 60 }), (a, b, steps, scale) => {
      const product = a * b;
      fc.pre(Number.isFinite(product));
      const near = [-product + steps * Math.abs(product) * 2 ** -52, -product * (1 + steps * 2 ** -52)];
      for (const c of [...near, product * 2 ** scale, product * 2 ** 53, steps * 2 ** scale]) {
        if (Number.isFinite(c) && !isNearest(a, b, c, fusedMultiplyAdd(a, b, c))) return false;
      }
      return true;
    }), { numRuns: 20_000 });
  });

  it("keeps the signs of zeros and what is not finite", () => {
    expect(fusedMultiplyAdd(-0, 5, -0)).toBe(-0);
    expect(fusedMultiplyAdd(0, 5, -0)).toBe(0);
    expect(fusedMultiplyAdd(3, 5, -15)).toBe(0);
    expect(fusedMultiplyAdd(-1e-200, 1e-200, 0)).toBe(-0);
    expect(fusedMultiplyAdd(1e-200, 1e-200, -1e-200)).toBe(-1e-200);
    expect(fusedMultiplyAdd(1e200, 1e200, -1)).toBe(Infinity);
    expect(fusedMultiplyAdd(1e200, 1e200, -Infinity)).toBe(-Infinity);
    expect(fusedMultiplyAdd(Infinity, 0, 1)).toBeNaN();
    expect(fusedMultiplyAdd(Infinity, 1, -Infinity)).toBeNaN();
    // The exact sum is finite though the product alone is not.
    expect(fusedMultiplyAdd(2 ** 1023, 2, -Number.MAX_VALUE)).toBe(2 ** 971);
  });
});
