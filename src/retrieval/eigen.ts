/**
 * Eigenvalues (descending) and eigenvectors of a small symmetric matrix by cyclic Jacobi rotations, in double, in a fixed order.
 * `vectors` is [n, n] row-major: column j belongs to values[j]; each column's largest entry is positive, so signs are fixed.
 * Cost O(n^3) a sweep, a handful of sweeps: for the few dozen genre words of a catalogue.
 */
export function symmetricEigen(matrix: Float64Array, n: number): { values: Float64Array; vectors: Float64Array } {
  const a = matrix.slice(), v = new Float64Array(n * n);
  for (let i = 0; i < n; i++) v[i * n + i] = 1;
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0, scale = 0;
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) (i === j ? (scale += a[i * n + j]! ** 2) : (off += a[i * n + j]! ** 2));
    if (off <= 1e-30 * scale) break;
    for (let p = 0; p < n - 1; p++) {
      for (let q = p + 1; q < n; q++) {
        const apq = a[p * n + q]!;
        if (apq === 0) continue;
        const theta = (a[q * n + q]! - a[p * n + p]!) / (2 * apq);
        const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1), s = t * c;
        for (let k = 0; k < n; k++) rotate(a, k * n + p, k * n + q, c, s);
        for (let k = 0; k < n; k++) rotate(a, p * n + k, q * n + k, c, s);
        for (let k = 0; k < n; k++) rotate(v, k * n + p, k * n + q, c, s);
      }
    }
  }
  const order = Array.from({ length: n }, (_, at) => at).sort((x, y) => a[y * n + y]! - a[x * n + x]! || x - y);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => {
    let largest = 0;
    for (let i = 0; i < n; i++) if (Math.abs(v[i * n + from]!) > Math.abs(largest) + 1e-12) largest = v[i * n + from]!;
    for (let i = 0; i < n; i++) vectors[i * n + to] = largest < 0 ? -v[i * n + from]! : v[i * n + from]!;
  });
  return { values: Float64Array.from(order, (at) => a[at * n + at]!), vectors };
}

function rotate(a: Float64Array, x: number, y: number, c: number, s: number): void {
  const ax = a[x]!, ay = a[y]!;
  a[x] = c * ax - s * ay;
  a[y] = s * ax + c * ay;
}
