/**
 * Paired comparison of per-user values: bootstrap, Wilcoxon's signed-rank test, Holm's adjustment. All deterministic: exact
 * counts, closed forms, or draws keyed by user. The unit is always the user; table cells are never samples.
 */
import { DataError } from "../core/errors.js";
import { exp } from "../core/math.js";
import { type Interval, bootstrapInterval, bootstrapWeights } from "./interval.js";

export interface BootstrapOptions {
  /** Keys of the draws, beside the values. Default: 0, 1, 2, ... */
  users?: ArrayLike<number>;
  /** Default 2020. */
  seed?: number;
  /** Default 1000. */
  resamples?: number;
}

/**
 * Mean of a - b with a 95 % interval: the users are resampled, each with both of his values.
 * @throws DataError on arrays of unequal length, without values, or with values that are not finite.
 */
export function pairedBootstrap(a: ArrayLike<number>, b: ArrayLike<number>, options: BootstrapOptions = {}): Interval & { n: number } {
  const differences = pairedDifferences(a, b);
  const users = options.users ?? Uint32Array.from({ length: differences.length }, (_, at) => at);
  if (users.length !== differences.length) {
    throw new DataError("DATA_COLUMNS", `${users.length} users for ${differences.length} pairs.`);
  }
  const weights = bootstrapWeights(users, options.seed, options.resamples);
  return { ...bootstrapInterval(differences, weights), n: differences.length };
}

export interface WilcoxonResult {
  /** Sum of the ranks of positive differences. */
  statistic: number;
  /** Two-sided. */
  p: number;
  /** Pairs that differ; the test looks at no others. */
  n: number;
  /** Pairs without a difference, dropped. */
  zeros: number;
  method: "exact" | "normal";
}

/** Up to this many untied differences the null distribution is counted exactly (counts stay below 2^53). */
const EXACT_LIMIT = 50;

/**
 * Wilcoxon's signed-rank test (Biometrics Bulletin 1945), two-sided, H0: a - b is symmetric about 0. Zero differences are
 * dropped, as in the original; tied sizes share their mean rank. Without ties and up to 50 differences p is exact; otherwise
 * normal with tie correction of the variance and continuity correction of one half. Differences are for values of order 1:
 * they are rounded to 12 decimals first, so that rounding noise is no difference and equal fractions tie. All zero: p = 1.
 * @throws DataError on arrays of unequal length, without values, or with values that are not finite.
 */
export function wilcoxonSignedRank(a: ArrayLike<number>, b: ArrayLike<number>): WilcoxonResult {
  const rounded = Array.from(pairedDifferences(a, b), (difference) => Math.round(difference * 1e12) / 1e12);
  const differences = rounded.filter((difference) => difference !== 0);
  const n = differences.length, zeros = rounded.length - n;
  if (n === 0) return { statistic: 0, p: 1, n, zeros, method: "exact" };
  differences.sort((x, y) => Math.abs(x) - Math.abs(y));
  let statistic = 0, tieTerm = 0;
  for (let start = 0, end = 0; start < n; start = end) {
    while (end < n && Math.abs(differences[end]!) === Math.abs(differences[start]!)) end++;
    const ties = end - start, rank = (start + 1 + end) / 2;
    tieTerm += ties ** 3 - ties;
    for (let at = start; at < end; at++) if (differences[at]! > 0) statistic += rank;
  }
  if (tieTerm === 0 && n <= EXACT_LIMIT) return { statistic, p: exactP(statistic, n), n, zeros, method: "exact" };
  const expected = (n * (n + 1)) / 4;
  const variance = (n * (n + 1) * (2 * n + 1)) / 24 - tieTerm / 48;
  const z = Math.max(0, Math.abs(statistic - expected) - 0.5) / Math.sqrt(variance);
  return { statistic, p: Math.min(1, 2 * normalTail(z)), n, zeros, method: "normal" };
}

/** Two-sided p: the share of the 2^n sign patterns whose smaller rank sum is at most the observed one. */
function exactP(statistic: number, n: number): number {
  const most = (n * (n + 1)) / 2;
  const counts = new Float64Array(most + 1);
  counts[0] = 1;
  for (let rank = 1; rank <= n; rank++) {
    for (let sum = most; sum >= rank; sum--) counts[sum]! += counts[sum - rank]!;
  }
  let tail = 0;
  for (let sum = 0; sum <= Math.min(statistic, most - statistic); sum++) tail += counts[sum]!;
  return Math.min(1, (2 * tail) / 2 ** n);
}

/**
 * Holm's step-down adjustment (Scand. J. Statist. 1979): p-values that control the chance of any false finding in the
 * family. In the order of the input; never below the p-value, at most 1.
 * @throws DataError on a value outside [0, 1].
 */
export function holm(pValues: ArrayLike<number>): number[] {
  const m = pValues.length;
  for (let at = 0; at < m; at++) {
    if (!(pValues[at]! >= 0 && pValues[at]! <= 1)) throw new DataError("DATA_P_VALUE", `${pValues[at]} at position ${at} is no p-value.`);
  }
  const order = Array.from({ length: m }, (_, at) => at).sort((x, y) => pValues[x]! - pValues[y]! || x - y);
  const adjusted = new Array<number>(m);
  let running = 0;
  order.forEach((at, step) => {
    running = Math.max(running, Math.min(1, (m - step) * pValues[at]!));
    adjusted[at] = running;
  });
  return adjusted;
}

/** P(Z > z) of the standard normal, z >= 0; relative error below 1e-12. */
export function normalTail(z: number): number {
  const density = exp((-z * z) / 2) / 2.5066282746310002;
  if (z < 3) {
    // 1/2 minus the density times z + z^3/3 + z^5/(3 5) + ...
    let term = z, sum = z;
    for (let odd = 3; term > sum * 1e-17; odd += 2) {
      term *= (z * z) / odd;
      sum += term;
    }
    return 0.5 - density * sum;
  }
  // The continued fraction z + 1/(z + 2/(z + 3/(z + ...))), from the inside out.
  let fraction = z;
  for (let k = 200; k >= 1; k--) fraction = z + k / fraction;
  return density / fraction;
}

function pairedDifferences(a: ArrayLike<number>, b: ArrayLike<number>): Float64Array {
  if (a.length !== b.length || a.length === 0) {
    throw new DataError("DATA_COLUMNS", `Pairs need as many values on both sides and at least one: ${a.length} and ${b.length}.`);
  }
  const differences = Float64Array.from({ length: a.length }, (_, at) => a[at]! - b[at]!);
  const bad = differences.findIndex((difference) => !Number.isFinite(difference));
  if (bad >= 0) throw new DataError("DATA_NOT_FINITE", `Pair ${bad} is ${a[bad]} and ${b[bad]}: both must be finite.`);
  return differences;
}
