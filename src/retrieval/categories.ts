import { ConfigError } from "../core/errors.js";
import type { Interactions } from "../core/interactions.js";
import { smallestKeys, type KeyedRandom } from "../core/rng.js";
import type { Categories } from "./cluster.js";
import type { RetrievalContext, RetrievalNeed } from "./retriever.js";

/** Row indices of a history by category, D_u,c of Eq. 2: one list per category, rows ascending. */
export function rowsByCategory(history: Interactions, categories: Categories): number[][] {
  const rows = categories.names.map((): number[] => []);
  for (let row = 0; row < history.length; row++) rows[categories.labels[history.items[row]!]!]!.push(row);
  return rows;
}

/** From each category `slots[c]` rows with the smallest keys of `random`: uniform without replacement, keyed by (user, item). */
export function sampleByCategory(history: Interactions, rows: readonly number[][], slots: ArrayLike<number>, random: KeyedRandom): Interactions {
  const kept = rows.flatMap((own, category) => {
    if (slots[category]! >= own.length) return own;
    const keys = own.map((row) => random.key(history.users[row]!, history.items[row]!));
    return Array.from(smallestKeys(keys, slots[category]!), (at) => own[at]!);
  });
  return history.select(kept);
}

/** @throws ConfigError when the composing layer left out a part of the context that a retriever declared as its need. */
export function needed<Need extends RetrievalNeed>(context: RetrievalContext, need: Need, name: string): NonNullable<RetrievalContext[Need]> {
  const part = context[need];
  if (part === undefined) {
    throw new ConfigError("CONFIG_RETRIEVAL_CONTEXT", `The ${name} retriever needs ${need}, and the context has none.`, {
      hint: "Cragru computes what a retriever names in `needs`; pass the same when you call prepare yourself.",
    });
  }
  return part;
}

/** The categories of the context. @throws ConfigError when they are absent, or made for another catalogue than the rows. */
export function neededCategories(context: RetrievalContext, name: string): Categories {
  const categories = needed(context, "categories", name);
  const { labels, names } = categories;
  if (labels.length !== context.train.itemCount || !labels.every((label) => label < names.length)) {
    throw new ConfigError("CONFIG_CATEGORIES", `The categories label ${labels.length} items with ${names.length} names; the rows have ${context.train.itemCount} items.`, {
      hint: "Cluster the same data set that the rows come from: one label an item, each below the number of names.",
    });
  }
  return categories;
}

/** @throws ConfigError unless `budget` is a whole number of at least 1. Returns it. */
export function checkedBudget(budget: number): number {
  if (!Number.isInteger(budget) || budget < 1) {
    throw new ConfigError("CONFIG_BUDGET", `The history budget must be a whole number of at least 1, not ${budget}.`, { hint: "The paper uses 100; noHistory() shows nothing." });
  }
  return budget;
}
