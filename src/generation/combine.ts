import type { Candidate } from "../core/prompt.js";
import { KeyedRandom } from "../core/rng.js";

/** How the scores of several passes become one: the mean score, or Borda's count of candidates placed below. */
export const COMBINATIONS = ["mean", "borda"] as const;
export type Combination = (typeof COMBINATIONS)[number];

/**
 * Orders of the candidates for P passes over one user: the first as the prompt has it, the others shuffled by keys of
 * (seed, user, item, pass). A seed and a user give the same orders again, whoever else is asked.
 */
export function passOrders(candidates: readonly Candidate[], passes: number, seed: number, user: number): number[][] {
  const random = new KeyedRandom(seed, "permutation");
  return Array.from({ length: passes }, (_, pass) => {
    const order = candidates.map((_candidate, at) => at);
    if (pass === 0) return order;
    const keys = candidates.map(({ item }) => random.key(user, item, pass));
    return order.sort((a, b) => keys[a]! - keys[b]! || a - b);
  });
}

/** One score for each candidate from the scores of all passes, all in candidate order. */
export function combineScores(passes: readonly Float64Array[], how: Combination): Float64Array {
  if (passes.length === 1) return passes[0]!;
  const lists = how === "mean" ? passes : passes.map(bordaPoints);
  return lists[0]!.map((_, at) => lists.reduce((sum, scores) => sum + scores[at]!, 0) / lists.length);
}

/** For each score how many are lower, equal ones counting half. */
function bordaPoints(scores: Float64Array): Float64Array {
  return scores.map((own) => scores.reduce((points, other) => points + (other < own ? 1 : other === own ? 0.5 : 0), -0.5));
}
