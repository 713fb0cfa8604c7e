/**
 * Kendall's tau-b between the places of a list and the scores given to them: 1 when every earlier place scored higher, 0
 * when the place tells nothing, -1 for the reverse. A model that repeats the order of its prompt looks good for the wrong
 * reason; over random orders its tau stays near 1, an impartial one's near 0. Undefined where all scores are equal or fewer
 * than two are given. Cost O(n^2).
 */
export function positionTau(scores: ArrayLike<number>): number | undefined {
  const n = scores.length;
  let balance = 0, untied = 0;
  for (let a = 0; a < n; a++) {
    for (let b = a + 1; b < n; b++) {
      const sign = Math.sign(scores[a]! - scores[b]!);
      balance += sign;
      untied += Math.abs(sign);
    }
  }
  // Places are never tied, so one factor of tau-b is the number of all pairs.
  return untied === 0 ? undefined : balance / Math.sqrt(untied * ((n * (n - 1)) / 2));
}
