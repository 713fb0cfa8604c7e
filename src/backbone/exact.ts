import type { Interactions } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";
import type { Backbone, ProfileBackbone } from "./backbone.js";

/** What a change of the rows did to an exact model. */
export interface ExactChange {
  /** Rows that left and rows that came. */
  removed: number;
  added: number;
  /** Vectors of the down-date; 0 where the model was made again from its counts. */
  rank: number;
  /** The weights were computed again from the counts: they are those of a fresh fit, byte for byte. */
  isRefactored: boolean;
  seconds: number;
}

/**
 * A fitted model that can be moved to other rows, exactly: afterwards its counts are those of a fit on the new rows, bit for
 * bit, and its lists are those of such a fit.
 */
export interface ExactModel extends ProfileBackbone {
  /** The rows it stands for now. */
  readonly train: Interactions;
  /**
   * Forgets the rows `gone` and learns the rows `come`. All or nothing, one change at a time; nobody is served from half of one.
   * @throws ForgettingError where a row of `gone` is not held, or one of `come` is.
   */
  change(rows: Change, options?: RunOptions): Promise<ExactChange>;
}

export interface Change {
  gone?: Interactions;
  come?: Interactions;
}

/** A recipe whose models can forget exactly. */
export type ExactBackbone = Backbone<ExactModel> & { readonly isExact: true };

/** Whether a recipe makes models that can forget exactly. */
export function isExactBackbone(backbone: Backbone): backbone is ExactBackbone {
  return (backbone as Partial<ExactBackbone>).isExact === true;
}
