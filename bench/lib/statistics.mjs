/** Middle value; of an even number, the mean of the two in the middle. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** peer / ours: median over median, with the smallest and largest ratio of a pair of neighbouring runs. */
export function ratio(ours, theirs) {
  const pairs = ours.map((value, at) => theirs[at] / value);
  return { ratio: median(theirs) / median(ours), low: Math.min(...pairs), high: Math.max(...pairs) };
}

/** Exponent b of y = a x^b by least squares on logarithms. */
export function exponent(xs, ys) {
  const lx = xs.map(Math.log), ly = ys.map(Math.log), mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const mx = mean(lx), my = mean(ly);
  return lx.reduce((sum, x, at) => sum + (x - mx) * (ly[at] - my), 0) / lx.reduce((sum, x) => sum + (x - mx) ** 2, 0);
}
