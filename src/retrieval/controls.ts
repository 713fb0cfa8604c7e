import type { Interactions } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";
import { KeyedRandom, smallestKeys } from "../core/rng.js";
import { checkedBudget } from "./categories.js";
import { selectEach } from "./each.js";
import { RELEASED_ROWS } from "./released.js";
import type { RetrievalContext, Retriever } from "./retriever.js";

export interface ControlOptions {
  /** History budget B; default 100. */
  budget?: number;
}

export interface RecentOptions extends ControlOptions {
  /** "released": the first ten rows whatever the budget, which the authors call "no strategy". Default "paper". */
  variant?: "paper" | "released";
}

/** Control for every filter: B rows drawn uniformly without replacement (keyed, stream history/random). */
export function randomRetriever(options: ControlOptions = {}): Retriever {
  const budget = checkedBudget(options.budget ?? 100);
  return control("random", budget, { budget }, ({ seed }) => {
    const random = new KeyedRandom(seed, "history/random");
    return (history) => smallest(history, budget, random);
  });
}

/** Control, our reading of the paper's "no strategy": the B newest rows, ties by item; keyed draws without timestamps. */
export function recentRetriever(options: RecentOptions = {}): Retriever {
  const { variant = "paper" } = options;
  const budget = variant === "released" ? RELEASED_ROWS : checkedBudget(options.budget ?? 100);
  return control(variant === "paper" ? "recent" : "first ten (released)", budget, { budget, variant }, ({ seed }) => {
    const random = new KeyedRandom(seed, "history/keyed");
    return (history) => {
      if (variant === "released") return history.slice(0, Math.min(budget, history.length));
      const { timestamps, items } = history;
      if (!timestamps) return smallest(history, budget, random);
      const order = Array.from(items, (_, row) => row).sort((a, b) => timestamps[b]! - timestamps[a]! || items[a]! - items[b]!);
      return history.select(order.slice(0, budget));
    };
  });
}

/** Control: an empty history, so that the generator sees candidates and profile alone. */
export function noHistory(): Retriever {
  return control("none", 0, {}, () => (history) => history.slice(0, 0));
}

function control(
  name: string, budget: number, options: Readonly<Record<string, unknown>>,
  selection: (context: RetrievalContext) => (history: Interactions) => Interactions,
): Retriever {
  return {
    name, budget, options, needs: [],
    async prepare(context) {
      const select = selection(context);
      return { details: {}, select: (requests, run: RunOptions = {}) => selectEach(requests, run, ({ history }) => select(history)) };
    },
  };
}

function smallest(history: Interactions, budget: number, random: KeyedRandom): Interactions {
  if (budget >= history.length) return history;
  return history.select(smallestKeys(Array.from(history.items, (item, row) => random.key(history.users[row]!, item)), budget));
}
