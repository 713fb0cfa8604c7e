import type { Interactions } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";
import type { Recommender } from "../core/ranking.js";
import type { Split } from "../data/split.js";

/** What to forget. Users and items are dense indices. */
export type ForgetRequest = { users: number[] } | { items: number[] } | { interactions: Interactions };

/** What a forget request did and what it cost. */
export interface Receipt {
  method: string;
  /** Rows that were present and are gone from D_r. */
  rows: number;
  users: number;
  /**
   * Seconds by phase. `locate` finds the rows; after `apply` no prompt, mask or list is made from a forgotten row; `rebuild`
   * makes anew what hangs on the rows, and answers wait for it, so service is back after all three. A backbone that takes
   * its model from a cache (`fitOnce`, a file) shortens `rebuild`: add the fit's own seconds before comparing.
   */
  seconds: { locate: number; apply: number; rebuild: number };
  /** What is still derived from forgotten rows, in words; empty when nothing is. */
  residuals: string[];
  /** Fingerprints of the rows the method holds, before and after. */
  before: string;
  after: string;
}

/** Every row of the published tables is one of these. */
export interface Unlearner extends Recommender {
  /** Learns from train and valid of the split, forgotten rows included: the state before the request. */
  learn(split: Split, options?: RunOptions): Promise<void>;
  /**
   * Removes rows. Rows already gone are skipped, an empty request is a no-op. May be called at any time: while learning or
   * another request goes on, both end with this one applied too; an answer under way is dropped with a ForgettingError.
   * @throws ForgettingError on test rows; DataError on unknown users or items, and nothing is changed.
   */
  forget(request: ForgetRequest, options?: RunOptions): Promise<Receipt>;
}
