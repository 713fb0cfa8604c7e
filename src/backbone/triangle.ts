/**
 * A symmetric matrix as its lower triangle, row after row: entry (i, j), j <= i, stands at i (i + 1) / 2 + j. The layout of
 * the kernels gram, cholesky and rankUpdate.
 */
export function triangleLength(n: number): number {
  return (n * (n + 1)) / 2;
}

/** Where row i begins. */
export function rowAt(i: number): number {
  return (i * (i + 1)) / 2;
}

/** out += the columns `columns` of the matrix, in the order given: out = M v for a vector v of zeros and ones. Cost columns * n. */
export function addColumns(matrix: Float64Array, n: number, columns: ArrayLike<number>, out: Float64Array): void {
  for (let at = 0; at < columns.length; at++) {
    const i = columns[at]!, row = rowAt(i);
    for (let j = 0; j <= i; j++) out[j]! += matrix[row + j]!;
    for (let j = i + 1, below = rowAt(i + 1) + i; j < n; below += ++j) out[j]! += matrix[below]!;
  }
}

/** matrix += weight * v v'. One pass over the triangle. */
export function addOuter(matrix: Float64Array, n: number, v: Float64Array, weight: number): void {
  for (let i = 0, at = 0; i < n; i++) {
    const factor = weight * v[i]!;
    if (factor === 0) {
      at += i + 1;
      continue;
    }
    for (let j = 0; j <= i; j++, at++) matrix[at]! += factor * v[j]!;
  }
}

/** The whole square in single precision, in tiles so that both triangles are written along cache lines. */
export function squareOf(matrix: Float64Array, n: number, square = new Float32Array(n * n)): Float32Array {
  const TILE = 32;
  for (let top = 0; top < n; top += TILE) {
    for (let left = 0; left <= top; left += TILE) {
      for (let i = top; i < Math.min(n, top + TILE); i++) {
        const row = rowAt(i);
        for (let j = left; j <= Math.min(i, left + TILE - 1); j++) square[i * n + j] = matrix[row + j]!;
      }
      for (let j = left; j < Math.min(n, left + TILE); j++) {
        for (let i = Math.max(j, top); i < Math.min(n, top + TILE); i++) square[j * n + i] = matrix[rowAt(i) + j]!;
      }
    }
  }
  return square;
}
