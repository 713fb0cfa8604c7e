import type { Interactions } from "../core/interactions.js";
import type { Dataset } from "./dataset.js";

export interface Split {
  readonly dataset: Dataset;
  readonly protocol: "strict" | "released";
  readonly seed: number;
  readonly train: Interactions;
  readonly valid: Interactions;
  readonly test: Interactions;
  /** D_f, a part of train and valid. */
  readonly forget: Interactions;
  /** D_r = (train and valid) without D_f. */
  readonly remain: Interactions;
}
