import type { Interactions } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";
import type { Ranking, RecommendOptions, Recommender } from "../core/ranking.js";
import type { Kernels } from "../native/kernels.js";

export interface FitOptions extends RunOptions {
  /** Rows for early stopping; without them the fixed number of epochs is run. Never test rows. */
  valid?: Interactions;
  seed?: number;
  /** Default: `loadKernels()`. */
  kernels?: Kernels;
}

/** What a fit did: for manifests, tables and learning curves. */
export interface FitReport {
  /** Fingerprint of the rows it was trained on. */
  trainedOn: string;
  rows: number;
  epochs: number;
  /** The epoch whose parameters are kept (epochs without early stopping). */
  bestEpoch: number;
  /** Mean training loss by epoch. */
  losses: number[];
  /** [epoch, NDCG@10 on valid] at each evaluation. */
  validation: [number, number][];
  seconds: number;
  /** "js", "cpu (avx512, 2 threads)", ... */
  device: string;
}

/** Vectors of all items, row-major [itemCount, dimension]. */
export interface ItemVectors {
  values: Float32Array;
  dimension: number;
  /** Where they come from: "bpr on D_r", "word vectors", ... */
  origin: string;
}

export interface FittedBackbone extends Recommender {
  readonly report: FitReport;
  /** Absent for models without item vectors (popularity, item neighbours). */
  readonly itemVectors: ItemVectors | undefined;
}

/** A model that can score a profile it was not trained with: the sum over the profile's items. */
export interface ProfileBackbone extends FittedBackbone {
  /** As `recommend`, with each user's profile taken from `profiles` instead of the training rows. */
  recommendFor(profiles: Interactions, users: ArrayLike<number>, k: number, options?: RecommendOptions): Promise<Ranking[]>;
}

/** A recipe: options without data. `fit` makes a model; the recipe itself stays as it was. */
export interface Backbone<Fitted extends FittedBackbone = FittedBackbone> {
  readonly name: string;
  /** Everything that changes the result, for fingerprints and manifests. */
  readonly options: Readonly<Record<string, unknown>>;
  fit(train: Interactions, options?: FitOptions): Promise<Fitted>;
  /**
   * The same recipe with everything that follows the data's size (batch count, defaults by size) fixed for `rows` training
   * rows. A retrain on fewer rows then takes the same steps in the same batches. Absent where nothing depends on size.
   */
  sizedFor?(rows: number): Backbone<Fitted>;
}
