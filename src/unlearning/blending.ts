import type { Interactions } from "../core/interactions.js";
import type { Prompt } from "../core/prompt.js";
import { ndcg } from "../evaluation/metrics.js";
import { blend } from "../generation/blend.js";
import type { Completion } from "../generation/generator.js";

/** Weights that are tried: 0 is the model alone, 1 the backbone alone. */
const GRID = Array.from({ length: 11 }, (_, at) => at / 10);
const DEPTH = 10;

/** How the weight of the backbone's opinion was chosen. */
export interface Tuning {
  alpha: number;
  /** True where no weight below 1 beat the backbone: its order is kept. */
  keepsPrior: boolean;
  /** Users asked, all with a validation row. */
  users: number;
  /** NDCG@10 of the candidates on validation rows, for each weight. */
  tried: { alpha: number; ndcg: number }[];
  /** Gain of the best weight over the backbone, and the standard error of its mean over users. */
  gain: number;
  error: number;
}

/**
 * Chooses the blend on validation rows of D_r: the weight with the highest mean NDCG@10 of the reordered candidates (ties: the
 * larger weight). Its gain over the backbone's own order must exceed one standard error of the paired differences; else the
 * backbone's order is kept. Prompts must be made with the training rows alone masked, so that validation rows can be candidates.
 * No test row is an argument. Cost O(users * candidates * weights).
 */
export function chooseBlend(prompts: readonly Prompt[], completions: readonly Completion[], valid: Interactions): Tuning {
  const values = GRID.map((alpha) => prompts.map(({ candidates }, at) => qualityOf(blend(completions[at]!, candidates, alpha).ranking, completions[at]!.user, valid)));
  const means = values.map((list) => (list.length > 0 ? list.reduce((sum, value) => sum + value, 0) / list.length : 0));
  let best = GRID.length - 1;
  for (let at = GRID.length - 2; at >= 0; at--) if (means[at]! > means[best]!) best = at;
  const differences = values[best]!.map((value, at) => value - values[GRID.length - 1]![at]!), n = differences.length;
  const gain = means[best]! - means[GRID.length - 1]!;
  const spread = differences.reduce((sum, value) => sum + (value - gain) ** 2, 0);
  const error = n > 1 ? Math.sqrt(spread / (n - 1) / n) : Infinity;
  const keepsPrior = !(gain > error);
  return {
    alpha: keepsPrior ? 1 : GRID[best]!, keepsPrior, users: n, tried: GRID.map((alpha, at) => ({ alpha, ndcg: means[at]! })), gain, error,
  };
}

function qualityOf(ranking: ArrayLike<number>, user: number, valid: Interactions): number {
  const ranks: number[] = [];
  for (let place = 0; place < Math.min(DEPTH, ranking.length); place++) if (valid.has(user, ranking[place]!)) ranks.push(place + 1);
  return ndcg(ranks, DEPTH, valid.countOf(user));
}
