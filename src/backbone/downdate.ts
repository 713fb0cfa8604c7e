import { ForgettingError } from "../core/errors.js";
import type { Kernels } from "../native/kernels.js";
import { addColumns, addOuter } from "./triangle.js";

/** A row of X that leaves (-1) or comes (+1): its items, ascending. */
export interface Signed {
  items: Uint32Array;
  sign: 1 | -1;
}

/** So few vectors are added in place, here; more go through the kernel in one pass. */
const FEW = 4;

/**
 * P = A^-1 moved to (A + sum of sign v v')^-1 by the Woodbury identity: P - W (C^-1 + V'W)^-1 W' with W = P V and C = diag(sign).
 * Vectors that leave come first, so that the small matrix has an L D L' factor without pivoting (its negative block, then its
 * Schur complement, are definite). The triangle `matrix` may be changed in place; returns the one that holds the result.
 * Denominators tell whether a row was ever in the counts: 1 - v'P v >= lambda / (lambda + |v|) for a row that leaves.
 * Nothing is changed before all of them are known. Cost n (items of the vectors + vectors^2) + vectors * n^2.
 * @throws ForgettingError `FORGET_MODEL_CORRUPT`.
 */
export async function downdate(kernels: Kernels, matrix: Float64Array, n: number, changes: readonly Signed[], lambda: number): Promise<Float64Array> {
  const vectors = [...changes].sort((a, b) => a.sign - b.sign), rank = vectors.length;
  const images = vectors.map(({ items }) => {
    const image = new Float64Array(n);
    addColumns(matrix, n, items, image);
    return image;
  });
  const factor = vectors.map(() => new Float64Array(rank)), pivots = new Float64Array(rank);
  for (let r = 0; r < rank; r++) {
    const { items, sign } = vectors[r]!;
    for (let s = 0; s <= r; s++) {
      let sum = r === s ? sign : 0;
      const image = images[s]!;
      for (const item of items) sum += image[item]!;
      for (let t = 0; t < s; t++) sum -= factor[r]![t]! * factor[s]![t]! * pivots[t]!;
      if (s < r) factor[r]![s] = sum / pivots[s]!;
      else pivots[r] = sum;
    }
    const bound = sign < 0 ? lambda / (lambda + items.length) : 1;
    if (!(sign * pivots[r]! >= bound * (1 - 1e-6) && pivots[r]! < Infinity)) {
      throw new ForgettingError("FORGET_MODEL_CORRUPT", `A pivot of ${(sign * pivots[r]!).toExponential(2)} stands where at least ${bound.toExponential(2)} must: the model was not made of these rows.`, {
        hint: "Fit it again on the remaining rows.",
      });
    }
  }
  for (let r = 0; r < rank; r++) {
    for (let s = 0; s < r; s++) {
      const weight = factor[r]![s]!, own = images[r]!, other = images[s]!;
      if (weight !== 0) for (let j = 0; j < n; j++) own[j]! -= weight * other[j]!;
    }
  }
  if (rank <= FEW) {
    for (let r = 0; r < rank; r++) addOuter(matrix, n, images[r]!, -1 / pivots[r]!);
    return matrix;
  }
  const stacked = new Float64Array(rank * n);
  images.forEach((image, r) => stacked.set(image, r * n));
  return kernels.rankUpdate({ matrix, size: n, vectors: stacked, weights: Float64Array.from(pivots, (pivot) => -1 / pivot) });
}
