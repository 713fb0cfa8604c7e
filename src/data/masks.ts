import type { Interactions } from "../core/interactions.js";
import { TEST, partOfLabel, rowsWhere } from "./labels.js";
import type { Split } from "./split.js";

/**
 * Items a served list leaves out: (train and valid) without the forgotten rows, which a user may be shown again like any
 * item he never rated. Candidates and serving use it, for all methods. Under the released protocol: all of train and valid.
 * @param forgotten rows forgotten so far; default D_f of the split
 */
export function serveMask(split: Split, forgotten: Interactions = split.forget): Interactions {
  const mask = trainAndValid(split);
  return split.protocol === "released" ? mask : mask.without(forgotten);
}

/**
 * Items the main metric table leaves out: serveMask and D_f together, which is all of train and valid. Taken away before the
 * list is cut, for all methods: a method that never saw the forgotten rows ranks them high again, and is not blamed for it.
 */
export function evalMask(split: Split): Interactions {
  return trainAndValid(split);
}

function trainAndValid(split: Split): Interactions {
  return split.dataset.select(rowsWhere(split.labels, (label) => partOfLabel(label) !== TEST));
}
