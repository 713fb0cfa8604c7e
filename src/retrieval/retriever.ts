import type { Interactions } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";
import type { Kernels } from "../native/kernels.js";
import type { Categories } from "./cluster.js";

/** One user's question to a retriever. */
export interface RetrievalRequest {
  user: number;
  /** The user's remaining rows: train without D_f. */
  history: Interactions;
  /** Dense item ids, best first. */
  candidates: Uint32Array;
}

/** Hit rates M[c][p] of the diversity filter: measured on validation rows of D_r by the composing layer. */
export interface HitRates {
  /** [categories, levels], row-major. */
  values: Float64Array;
  categories: number;
  /** Level l (1..levels) keeps l * unit of a category. */
  levels: number;
  /** Share of one level, .05 for 5 %. */
  unit: number;
  origin: string;
}

/** What retrievers may use besides the request. Everything here is public metadata or derived from D_r alone. */
export interface RetrievalContext {
  seed: number;
  kernels: Kernels;
  ratingScale: { min: number; max: number };
  /** Remaining training rows (train without D_f); for trained projections. */
  train: Interactions;
  categories?: Categories;
  itemVectors?: { values: Float32Array; dimension: number; origin: string };
  hitRates?: HitRates;
}

export type RetrievalNeed = "categories" | "itemVectors" | "hitRates";

/** A filter of the paper or a control: which rows of the remaining history the prompt shows. */
export interface Retriever {
  readonly name: string;
  /** History budget B: at most this many rows. */
  readonly budget: number;
  readonly options: Readonly<Record<string, unknown>>;
  /** Which parts of the context it uses; the composing layer computes only those. */
  readonly needs: readonly RetrievalNeed[];
  /** Does the work that does not depend on a user (x*, projections). Repeated after every forget request. */
  prepare(context: RetrievalContext, options?: RunOptions): Promise<Selector>;
}

export interface Selector {
  /** What was prepared, for manifests and notebooks: x*, training loss, vectors used. */
  readonly details: Readonly<Record<string, unknown>>;
  /**
   * For each request exactly min(budget, history) rows of its history (none for `noHistory`), in the order of the requests.
   * Independent of the order of rows and of the other requests.
   */
  select(requests: readonly RetrievalRequest[], options?: RunOptions): Promise<Interactions[]>;
}
