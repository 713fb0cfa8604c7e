/**
 * Selection as the released CRAGRU code does it, for replication under the `released` protocol only. Filters act only on
 * histories longer than the budget, everyone else shows all rows. Draws are keyed here; the authors' are unseeded.
 */
import type { Interactions } from "../core/interactions.js";
import { exp } from "../core/math.js";
import type { RunOptions } from "../core/progress.js";
import type { KeyedRandom } from "../core/rng.js";
import { sampleByCategory } from "./categories.js";
import { selectEach } from "./each.js";
import type { RetrievalRequest } from "./retriever.js";

/** "No strategy": the first ten rows in table order. */
export function releasedFirst(history: Interactions): Interactions {
  return history.slice(0, Math.min(10, history.length));
}

/**
 * Ratio of each category rounded to two digits; per round max(1, min(floor(100 r), floor(n_c r))) rows of every category that
 * has some left, again and again until at least `budget` rows are taken: it may overshoot by the number of categories - 1.
 */
export function releasedPreference(history: Interactions, rows: readonly number[][], budget: number, random: KeyedRandom): Interactions {
  if (history.length <= budget) return history;
  const slots = rows.map(() => 0);
  let left = rows.map((own) => own.length), taken = 0;
  while (taken < budget) {
    const total = left.reduce((sum, count) => sum + count, 0);
    const ratios = left.map((count) => Math.round((count / total) * 100) / 100);
    left = left.map((count, at) => {
      if (count === 0) return 0;
      const more = Math.min(count, Math.max(1, Math.min(Math.floor(budget * ratios[at]!), Math.floor(count * ratios[at]!))));
      slots[at]! += more;
      taken += more;
      return count - more;
    });
  }
  return sampleByCategory(history, rows, slots, random);
}

/** The smaller of both meanings of a ratio: x_c of the budget and x_c of the category's rows. Usually fewer than `budget` rows. */
export function releasedDiversity(
  history: Interactions, rows: readonly number[][], ratios: readonly number[], budget: number, random: KeyedRandom,
): Interactions {
  if (history.length <= budget) return history;
  const slots = rows.map((own, at) => Math.min(Math.floor(ratios[at]! * budget), Math.floor(ratios[at]! * own.length)));
  return sampleByCategory(history, rows, slots, random);
}

/**
 * One query, the mean of the candidate vectors; keys are item vectors times rating^2; softmax(q . k / 8); the top `budget` rows.
 * Large logits underflow the softmax in the authors' code too: the tail is decided by row order among equal zeros.
 */
export function releasedAttention(
  requests: readonly RetrievalRequest[], { values, dimension }: { values: Float32Array; dimension: number }, budget: number, run: RunOptions,
): Promise<Interactions[]> {
  return selectEach(requests, run, ({ history, candidates }) => {
    if (history.length <= budget) return history;
    const query = new Float64Array(dimension);
    for (const item of candidates) for (let axis = 0; axis < dimension; axis++) query[axis]! += values[item * dimension + axis]! / candidates.length;
    const logits = Float64Array.from(history.items, (item, row) => {
      let sum = 0;
      for (let axis = 0; axis < dimension; axis++) sum += query[axis]! * values[item * dimension + axis]! * history.ratings[row]! ** 2;
      return sum / 8;
    });
    const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    const weights = Float32Array.from(logits, (logit) => exp(logit - most));
    const order = Array.from(weights, (_, row) => row).sort((a, b) => weights[b]! - weights[a]! || a - b);
    return history.select(order.slice(0, budget));
  });
}
