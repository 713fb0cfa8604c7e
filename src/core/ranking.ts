import type { Interactions } from "./interactions.js";
import type { RunOptions } from "./progress.js";

/** One user's list: items best first; ties stand by lower item index. Both arrays have the same length. */
export interface Ranking {
  user: number;
  items: Uint32Array;
  scores: Float32Array;
}

export interface RecommendOptions extends RunOptions {
  /** Items of these rows are left out, user by user. */
  mask?: Interactions;
}

export interface Recommender {
  readonly name: string;
  /**
   * The best `k` items for each user, in the order of `users`. A list is shorter than `k` only when fewer items remain
   * after masking.
   */
  recommend(users: ArrayLike<number>, k: number, options?: RecommendOptions): Promise<Ranking[]>;
}
