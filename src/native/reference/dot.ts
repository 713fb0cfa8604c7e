/**
 * The dot product of the contract: eight sums, sum l over d = l, l + 8, ... ascending, then with t[l] = s[l] + s[l + 4] the value
 * (t[0] + t[2]) + (t[1] + t[3]), all in double. The products of float32 values are exact in double, so it makes no difference
 * whether a face fuses them with the adds; and eight sums fit a vector of any width.
 */
export function dot(a: Float32Array, aStart: number, b: Float32Array, bStart: number, dimension: number): number {
  let s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0, s6 = 0, s7 = 0;
  const whole = aStart + (dimension & ~7), end = aStart + dimension;
  let at = aStart, other = bStart;
  for (; at < whole; at += 8, other += 8) {
    s0 += a[at] * b[other];
    s1 += a[at + 1] * b[other + 1];
    s2 += a[at + 2] * b[other + 2];
    s3 += a[at + 3] * b[other + 3];
    s4 += a[at + 4] * b[other + 4];
    s5 += a[at + 5] * b[other + 5];
    s6 += a[at + 6] * b[other + 6];
    s7 += a[at + 7] * b[other + 7];
  }
  if (at < end) s0 += a[at] * b[other];
  if (at + 1 < end) s1 += a[at + 1] * b[other + 1];
  if (at + 2 < end) s2 += a[at + 2] * b[other + 2];
  if (at + 3 < end) s3 += a[at + 3] * b[other + 3];
  if (at + 4 < end) s4 += a[at + 4] * b[other + 4];
  if (at + 5 < end) s5 += a[at + 5] * b[other + 5];
  if (at + 6 < end) s6 += a[at + 6] * b[other + 6];
  return s0 + s4 + (s2 + s6) + (s1 + s5 + (s3 + s7));
}
