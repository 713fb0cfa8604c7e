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

/** "No strategy" shows this many rows, the first of the table. */
export const RELEASED_ROWS = 10;

/** The preference filter: shares of the categories in the history, rounded to two digits once, then {@link refilled}. */
export function releasedPreference(history: Interactions, rows: readonly number[][], budget: number, random: KeyedRandom): Interactions {
  if (history.length <= budget) return history;
  return sampleByCategory(history, rows, refilled(rows, rows.map((own) => Math.round((own.length / history.length) * 100) / 100), budget), random);
}

/** The diversity filter: x* in place of the user's own shares, then {@link refilled} as well. */
export function releasedDiversity(
  history: Interactions, rows: readonly number[][], ratios: readonly number[], budget: number, random: KeyedRandom,
): Interactions {
  if (history.length <= budget) return history;
  return sampleByCategory(history, rows, refilled(rows, ratios, budget), random);
}

/**
 * Rows per category. A round gives every category that has rows left max(1, min(floor(missing * ratio), floor(left * ratio)));
 * rounds follow with the same ratios until at least `budget` rows are given. The last round gives every category a row, also
 * when one row is missing: with 5 categories up to 4 rows too many. Each round gives a row at least, so it ends.
 */
function refilled(rows: readonly number[][], ratios: readonly number[], budget: number): number[] {
  const slots = rows.map(() => 0);
  for (let missing = budget; missing > 0;) {
    const round = rows.map((own, at) => {
      const left = own.length - slots[at]!;
      return left === 0 ? 0 : Math.max(1, Math.min(Math.floor(missing * ratios[at]!), Math.floor(left * ratios[at]!)));
    });
    round.forEach((more, at) => {
      slots[at]! += more;
      missing -= more;
    });
  }
  return slots;
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
