import { ConfigError } from "../core/errors.js";
import type { Candidate } from "../core/prompt.js";
import { countTies, rankCandidates } from "./contract.js";
import type { Completion } from "./generator.js";

/**
 * The answer with the backbone's opinion mixed in: alpha * prior + (1 - alpha) * score, both standardised over the user's
 * candidates (mean 0, deviation 1; equal values say nothing and become 0). Alpha 0 returns the answer itself, alpha 1 is the
 * backbone's order. A completion that fell back has no score of its own and stays as it is.
 * @throws ConfigError unless alpha is from 0 to 1.
 */
export function blend(completion: Completion, candidates: readonly Candidate[], alpha: number): Completion {
  if (!(alpha >= 0 && alpha <= 1)) {
    throw new ConfigError("CONFIG_BLEND", `blend must be a number from 0 (the model alone) to 1 (the backbone alone), not ${alpha}.`);
  }
  if (alpha === 0 || completion.status === "fallback") return completion;
  const own = standardise(completion.scores), prior = standardise(Float64Array.from(candidates, (one) => one.prior));
  const scores = alpha === 1 ? Float64Array.from(candidates, ({ rank }) => -rank) : own.map((score, at) => alpha * prior[at]! + (1 - alpha) * score);
  return { ...completion, scores, ranking: rankCandidates(scores, candidates), counts: { ...completion.counts, ties: countTies(scores) } };
}

function standardise(values: Float64Array): Float64Array {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  return deviation > 1e-12 ? values.map((value) => (value - mean) / deviation) : values.map(() => 0);
}
