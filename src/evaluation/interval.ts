/**
 * 95 % intervals of a mean over users: closed forms, and the bootstrap with draws keyed by user. All deterministic.
 */
import { ConfigError } from "../core/errors.js";
import { exp } from "../core/math.js";
import { KeyedRandom, NONE } from "../core/rng.js";

export interface Interval {
  value: number;
  low: number;
  high: number;
}

/** 97.5 % point of the standard normal. */
const Z95 = 1.959963984540054;

/** Mean +- 1.96 standard errors. One value alone says nothing about the spread: its interval is infinite. */
export function meanInterval(values: ArrayLike<number>): Interval {
  const n = values.length, value = mean(values);
  let squares = 0;
  for (let at = 0; at < n; at++) squares += (values[at]! - value) ** 2;
  const half = n > 1 ? Z95 * Math.sqrt(squares / (n - 1) / n) : Infinity;
  return { value, low: value - half, high: value + half };
}

/** Wilson's score interval (JASA 1927) for a rate: `values` are 0 or 1. Honest near 0 and 1, where the plain one has no width. */
export function wilsonInterval(values: ArrayLike<number>): Interval {
  const n = values.length, value = mean(values), z2 = Z95 * Z95;
  const centre = (value + z2 / (2 * n)) / (1 + z2 / n);
  const half = (Z95 * Math.sqrt((value * (1 - value)) / n + z2 / (4 * n * n))) / (1 + z2 / n);
  return { value, low: centre - half, high: centre + half };
}

/**
 * Poisson weights of the bootstrap (Chamandy et al., 2012), row-major [resamples, users]: weight (b, u) ~ Poisson(1), drawn
 * from (seed, bootstrap; u, b). Keyed by user, so one user's weights are the same for every method, metric and user set.
 */
export function bootstrapWeights(users: ArrayLike<number>, seed = 2020, resamples = 1000): Uint8Array {
  if (!Number.isInteger(resamples) || resamples < 1) {
    throw new ConfigError("CONFIG_RESAMPLES", `The number of resamples must be a whole number from 1 on, not ${resamples}.`);
  }
  const random = new KeyedRandom(seed, "bootstrap");
  const n = users.length;
  const weights = new Uint8Array(resamples * n);
  // The cumulative Poisson(1) probabilities times 2^32: a weight is the number of thresholds at or below the lane.
  const thresholds: number[] = [];
  for (let k = 0, term = exp(-1), sum = 0; sum + term > sum && k < 13; k++, term /= k) {
    sum += term;
    thresholds.push(sum * 4294967296);
  }
  for (let at = 0; at < n; at++) {
    for (let block = 0; block * 4 < resamples; block++) {
      const lanes = random.draw(users[at]!, NONE, block);
      for (let lane = 0; lane < 4 && block * 4 + lane < resamples; lane++) {
        let weight = 0;
        while (weight < thresholds.length && lanes[lane]! >= thresholds[weight]!) weight++;
        weights[(block * 4 + lane) * n + at] = weight;
      }
    }
  }
  return weights;
}

/**
 * Percentile interval (95 %) of the mean under weights from {@link bootstrapWeights}; resamples without any user are
 * skipped. Fewer than two users say nothing about the spread: infinite. Cost O(resamples * users).
 */
export function bootstrapInterval(values: ArrayLike<number>, weights: Uint8Array): Interval {
  const n = values.length;
  if (n < 2) return { value: mean(values), low: -Infinity, high: Infinity };
  const means: number[] = [];
  for (let start = 0; start < weights.length; start += n) {
    let sum = 0, count = 0;
    for (let at = 0; at < n; at++) {
      const weight = weights[start + at]!;
      sum += weight * values[at]!;
      count += weight;
    }
    if (count > 0) means.push(sum / count);
  }
  const sorted = Float64Array.from(means).sort();
  return { value: mean(values), low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) };
}

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += values[at]!;
  return sum / values.length;
}

/** Linear interpolation between order statistics. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1), below = Math.floor(at);
  const low = sorted[below]!;
  return low + (at - below) * ((sorted[below + 1] ?? low) - low);
}
