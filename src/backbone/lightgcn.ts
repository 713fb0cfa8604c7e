import { ConfigError } from "../core/errors.js";
import type { Interactions } from "../core/interactions.js";
import type { Backbone, FitOptions } from "./backbone.js";
import { resolveSettings, trainVectors, type Defaults, type Profile, type Trainee, type TrainOptions, type TrainSettings } from "./train.js";
import type { VectorModel } from "./vectors.js";

export interface LightGcnOptions extends TrainOptions {
  /** Propagation layers; default 3 below 300,000 rows, else 2. */
  layers?: number;
  /**
   * "recbole": sizes, steps and initial values of RecBole 1.2.0, which the released CRAGRU code uses; the stopping rule stays
   * ours (NDCG@10, there MRR@10 each epoch). Default: our own, by data size.
   */
  profile?: Profile;
}

const traineeOf = (layers: number): Trainee => ({
  name: "lightgcn",
  own: { layers },
  learn: (kernels, state, input, options) => kernels.lightGcnEpoch(state, { ...input, layers }, options),
  serve: (kernels, parameters, train, dimension, options) => kernels.propagate({
    userCount: train.userCount, itemCount: train.itemCount, dimension, parameters, positives: train.csr(), layers,
  }, options),
});

/**
 * LightGCN (He et al., SIGIR 2020, Eq. 3-8): E = mean of A~^0 E0 .. A~^L E0 over the graph of the training rows, BPR loss on
 * E, L2 on the ego rows of the batch; E0 are the only parameters, E is served. Defaults: d 64, N(0, .1), L2 weight 1e-4, at
 * most 400 epochs, early stopping on NDCG@10; below 300,000 rows 3 layers, learning rate 2e-3, batches of 2048, else 2
 * layers, 1e-3, 8192. Departures: keyed batches and negatives as in `bpr`; degree 0 rows have coefficient 0; profile
 * "recbole" replaces its unsquared norm penalty (weight 1e-5) by the squared one of equal gradient size, 2e-7.
 *
 * @throws ConfigError on options out of range; `fit` throws DataError on empty rows.
 */
export function lightGcn(options: LightGcnOptions = {}): Backbone<VectorModel> & { sizedFor(rows: number): Backbone<VectorModel> } {
  const { profile = "cragru", layers, ...given } = options;
  if (layers !== undefined && !(Number.isInteger(layers) && layers >= 0 && layers <= 16)) {
    throw new ConfigError("CONFIG_BACKBONE", `lightgcn: layers must be a whole number from 0 to 16, not ${layers}.`, { hint: "The paper uses 3." });
  }
  const settle = (rows: number): TrainSettings => resolveSettings("lightgcn", profile, given, defaults(profile, rows), rows);
  const depth = (rows: number): number => layers ?? (profile === "recbole" || rows >= 300_000 ? 2 : 3);
  settle(1);
  return {
    name: "lightgcn",
    options: { profile, ...(layers === undefined ? {} : { layers }), ...given },
    async fit(train: Interactions, fit: FitOptions = {}): Promise<VectorModel> {
      return trainVectors(traineeOf(depth(train.length)), settle(train.length), train, fit);
    },
    sizedFor: (rows) => lightGcn({ profile, layers: depth(rows), ...settle(rows) }),
  };
}

function defaults(profile: Profile, rows: number): Defaults {
  const common = { dimension: 64, optimiser: "adam", evaluateEvery: 5, patience: 5 } as const;
  if (profile === "recbole") {
    return { ...common, learningRate: 1e-3, batchSize: 2048, regularisation: 2e-7, epochs: 300, initial: "uniform", initialScale: "xavier" };
  }
  const small = rows < 300_000;
  return {
    ...common, learningRate: small ? 2e-3 : 1e-3, batchSize: small ? 2048 : 8192, regularisation: 1e-4,
    epochs: rows < 1_500_000 ? 400 : 200, initial: "normal", initialScale: 0.1,
  };
}
