import type { Interactions } from "../core/interactions.js";
import type { Backbone, FitOptions } from "./backbone.js";
import { resolveSettings, trainVectors, type Defaults, type Profile, type Trainee, type TrainOptions, type TrainSettings } from "./train.js";
import type { VectorModel } from "./vectors.js";

export interface BprOptions extends TrainOptions {
  /**
   * "recbole": sizes, steps and initial values of RecBole 1.2.0, which the released CRAGRU code uses; the stopping rule stays
   * ours (NDCG@10, there MRR@10 each epoch). Default: our own, by data size.
   */
  profile?: Profile;
}

const trainee: Trainee = {
  name: "bpr",
  learn: (kernels, state, input, options) => kernels.bprEpoch(state, input, options),
  serve: async (_, parameters) => parameters,
};

/**
 * Matrix factorisation with the BPR loss (Rendle et al., UAI 2009): score = p_u . q_i, every training row an implicit
 * positive, one keyed uniform negative each, dense Adam. Defaults: d 64, N(0, .01), learning rate 1e-3, L2 weight 1e-2,
 * batches of 1024 rows (2048 from 300,000 rows on), at most 400 epochs, early stopping on NDCG@10.
 * Departure: batches and negatives are keyed by (user, item, epoch), not shuffled, so that a removed row moves no other.
 *
 * @throws ConfigError on options out of range; `fit` throws DataError on empty rows.
 */
export function bpr(options: BprOptions = {}): Backbone<VectorModel> & { sizedFor(rows: number): Backbone<VectorModel> } {
  const { profile = "cragru", ...given } = options;
  const settle = (rows: number): TrainSettings => resolveSettings("bpr", profile, given, defaults(profile, rows), rows);
  settle(1);
  return {
    name: "bpr",
    options: { profile, ...given },
    fit: (train: Interactions, fit: FitOptions = {}) => trainVectors(trainee, settle(train.length), train, fit),
    sizedFor: (rows) => bpr({ profile, ...settle(rows) }),
  };
}

function defaults(profile: Profile, rows: number): Defaults {
  const common = { dimension: 64, learningRate: 1e-3, optimiser: "adam", initial: "normal", evaluateEvery: 5, patience: 5 } as const;
  if (profile === "recbole") return { ...common, batchSize: 2048, regularisation: 0, epochs: 300, initialScale: "xavier" };
  return { ...common, batchSize: rows < 300_000 ? 1024 : 2048, regularisation: 1e-2, epochs: rows < 1_500_000 ? 400 : 200, initialScale: 0.01 };
}
