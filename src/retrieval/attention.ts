import { ConfigError } from "../core/errors.js";
import type { Interactions } from "../core/interactions.js";
import { log } from "../core/math.js";
import { Breather, type RunOptions } from "../core/progress.js";
import { KeyedRandom } from "../core/rng.js";
import type { Kernels } from "../native/kernels.js";
import { checkedBudget, needed } from "./categories.js";
import { trainProjections, type ProjectionOptions, type Projections } from "./projections.js";
import { releasedAttention } from "./released.js";
import type { RetrievalContext, RetrievalRequest, Retriever, Selector } from "./retriever.js";

export interface AttentionOptions {
  /** History budget B; default 100. */
  budget?: number;
  /** H; default 8. Divides the width of the vectors. */
  heads?: number;
  /** Heads are slices of the item vectors (default), or W_Q and W_K per head trained on D_r (see projections.ts). */
  projections?: "slice" | "trained";
  /** How candidates are pooled: the strongest (default; the union over candidates of Eq. 9) or the mean. */
  pool?: "max" | "mean";
  /** "context": vectors of the backbone or the catalogue's text (default); "random": keyed noise, the control. */
  vectors?: "context" | "random";
  /** Adds the log of the rating, scaled to [1/11, 1], to every logit: liked rows weigh more. Default false. */
  ratingPrior?: boolean;
  /** Settings of trained projections. */
  training?: ProjectionOptions;
  /** "released" repeats the authors' single random query (see released.ts). Default "paper". */
  variant?: "paper" | "released";
}

/** Users per kernel call: bounds the memory of queries and keys at a few tens of megabytes. */
const BLOCK = 256;
const RANDOM_DIMENSION = 64;

/**
 * The paper's third filter, Eq. 6-9: every candidate attends to the remaining history with H heads; a[c, j] is the mean over
 * heads of softmax_j(q_c . k_j / sqrt(d_k)). The B rows with the largest max over candidates of a[c, j] are kept, ties to the
 * lower item. That equals the union over candidates of their top B, cut to B by the same weight, so the union is never built.
 * Departure: Eq. 8's "score" has no formula in the paper; ours is the softmax weight. Cost O(candidates * history * width) a user.
 */
export function attentionRetriever(options: AttentionOptions = {}): Retriever {
  const { heads = 8, projections = "slice", pool = "max", vectors = "context", ratingPrior = false, variant = "paper", training = {} } = options;
  const budget = checkedBudget(options.budget ?? 100);
  if (!Number.isInteger(heads) || heads < 1) {
    throw new ConfigError("CONFIG_HEADS", `heads must be a whole number of at least 1, not ${heads}.`, { hint: "The paper uses 8." });
  }
  const control = vectors === "random" ? " on random vectors" : projections === "trained" ? " (trained)" : "";
  return {
    name: variant === "released" ? "attention (released)" : `attention${control}`,
    budget,
    options: { budget, heads, projections, pool, vectors, ratingPrior, variant, ...(projections === "trained" ? { training } : {}) },
    needs: vectors === "random" || variant === "released" ? [] : ["itemVectors"],
    async prepare(context: RetrievalContext, run: RunOptions = {}): Promise<Selector> {
      const { itemCount } = context.train;
      if (variant === "released") {
        const noise = randomVectors(itemCount, context.seed);
        return { details: { vectors: noise.origin }, select: (requests, more = {}) => releasedAttention(requests, noise, budget, more) };
      }
      const given = vectors === "random" ? randomVectors(itemCount, context.seed) : needed(context, "itemVectors", "attention");
      const { values, dimension } = given;
      if (dimension % heads !== 0) {
        throw new ConfigError("CONFIG_HEADS", `${heads} heads do not divide item vectors of width ${dimension}.`, { hint: "Choose a divisor, for example 8 for width 64." });
      }
      if (values.length !== itemCount * dimension || !values.every(Number.isFinite)) {
        throw new ConfigError("CONFIG_ITEM_VECTORS", `The item vectors (${given.origin}) are not ${itemCount} rows of ${dimension} finite numbers.`, {
          hint: "Take them from a backbone fitted on this data set.",
        });
      }
      if (projections === "slice") return selector(context, { ...given, keyValues: given.values }, { vectors: given.origin });
      const trained = await trainProjections(context, given, { heads, ...training }, run);
      return selector(context, trained, { vectors: given.origin, ...trained.details });
    },
  };

  function selector(context: RetrievalContext, space: Pick<Projections, "values" | "keyValues" | "dimension">, details: Record<string, unknown>): Selector {
    const { min, max } = context.ratingScale;
    const span = max - min;
    // From 1/11 for the lowest rating to 1 for the highest; a scale of one value weighs all rows alike.
    const prior = (rating: number): number => (span > 0 ? log((Math.min(max, Math.max(min, rating)) - min + span / 10) / (span * 1.1)) : 0);
    return {
      details,
      select: async (requests, { signal, onProgress }: RunOptions = {}) => {
        signal?.throwIfAborted();
        const breather = new Breather(signal);
        const selected = requests.map(({ history }) => history);
        // Only who has more rows than the budget holds needs weights.
        const long = requests.flatMap(({ history }, at) => (history.length > budget ? [at] : []));
        for (let from = 0; from < long.length; from += BLOCK) {
          const block = long.slice(from, from + BLOCK);
          const weights = await pooledWeights(
            context.kernels, block.map((at) => requests[at]!), space, heads, pool, ratingPrior ? prior : undefined, signal ? { signal } : {});
          for (const [place, at] of block.entries()) {
            selected[at] = strongest(requests[at]!.history, weights[place]!, budget);
            await breather.pause();
          }
          onProgress?.(from + block.length, long.length, "attention");
        }
        return selected;
      },
    };
  }
}

/**
 * One pooled weight per history row of each request. The rows of one request sum to 1 for each candidate before pooling; a
 * request without candidates has weights 0, so that ties decide. `space` holds query and key vectors, [itemCount, dimension].
 */
export async function pooledWeights(
  kernels: Kernels, requests: readonly RetrievalRequest[], space: { values: Float32Array; keyValues: Float32Array; dimension: number },
  heads: number, pool: "max" | "mean", prior?: (rating: number) => number, run: RunOptions = {},
): Promise<Float32Array[]> {
  const { dimension } = space;
  const queryOffsets = new Uint32Array(requests.length + 1), keyOffsets = new Uint32Array(requests.length + 1);
  requests.forEach(({ candidates, history }, at) => {
    queryOffsets[at + 1] = queryOffsets[at]! + candidates.length;
    keyOffsets[at + 1] = keyOffsets[at]! + history.length;
  });
  const queries = new Float32Array(queryOffsets[requests.length]! * dimension), keys = new Float32Array(keyOffsets[requests.length]! * dimension);
  const bias = prior ? new Float32Array(keyOffsets[requests.length]!) : undefined;
  requests.forEach(({ candidates, history }, at) => {
    candidates.forEach((item, row) => queries.set(space.values.subarray(item * dimension, (item + 1) * dimension), (queryOffsets[at]! + row) * dimension));
    history.items.forEach((item, row) => keys.set(space.keyValues.subarray(item * dimension, (item + 1) * dimension), (keyOffsets[at]! + row) * dimension));
    if (bias) history.ratings.forEach((rating, row) => { bias[keyOffsets[at]! + row] = prior!(rating); });
  });
  const { weights } = await kernels.attentionWeights(
    { queries, queryOffsets, keys, keyOffsets, dimension, heads, output: pool, ...(bias ? { bias } : {}) }, run);
  return requests.map((_, at) => weights.subarray(keyOffsets[at]!, keyOffsets[at + 1]!));
}

/** The `budget` rows with the largest weights, ties to the lower item. */
function strongest(history: Interactions, weights: Float32Array, budget: number): Interactions {
  const order = Array.from(weights, (_, row) => row).sort((a, b) => weights[b]! - weights[a]! || history.items[a]! - history.items[b]!);
  return history.select(order.slice(0, budget));
}

function randomVectors(itemCount: number, seed: number): { values: Float32Array; dimension: number; origin: string } {
  const random = new KeyedRandom(seed, "attention/random");
  const values = new Float32Array(itemCount * RANDOM_DIMENSION);
  for (let item = 0; item < itemCount; item++) random.normals(item, values.subarray(item * RANDOM_DIMENSION, (item + 1) * RANDOM_DIMENSION));
  return { values, dimension: RANDOM_DIMENSION, origin: "random normals" };
}
