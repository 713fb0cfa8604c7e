import type { RunOptions } from "../core/progress.js";
import { KeyedRandom } from "../core/rng.js";
import { largestRemainder } from "./allocate.js";
import { checkedBudget, neededCategories, rowsByCategory, sampleByCategory } from "./categories.js";
import { selectEach } from "./each.js";
import { releasedPreference } from "./released.js";
import type { RetrievalContext, Retriever, Selector } from "./retriever.js";

export interface PreferenceOptions {
  /** History budget B; default 100. */
  budget?: number;
  /** "released" repeats the authors' recursive refill (see released.ts); default "paper". */
  variant?: "paper" | "released";
}

/**
 * The paper's first filter, Eq. 2-3: category c of the history gets K_c = floor(p_u,c * B) slots, p_u,c = |D_u,c| / |D_u|, and
 * its rows are drawn uniformly without replacement (keyed, stream history/preference). Departure: the slots that the floors
 * lose go to the largest fractional parts, ties to the smaller category, so that exactly B rows are kept. O(rows of the user).
 */
export function preferenceRetriever(options: PreferenceOptions = {}): Retriever {
  const { variant = "paper" } = options;
  const budget = checkedBudget(options.budget ?? 100);
  return {
    name: variant === "paper" ? "preference" : "preference (released)",
    budget,
    options: { budget, variant },
    needs: ["categories"],
    async prepare(context: RetrievalContext): Promise<Selector> {
      const categories = neededCategories(context, "preference");
      const random = new KeyedRandom(context.seed, "history/preference");
      return {
        details: { categories: categories.names, silhouette: categories.silhouette },
        select: (requests, run: RunOptions = {}) => selectEach(requests, run, ({ history }) => {
          const rows = rowsByCategory(history, categories);
          if (variant === "released") return releasedPreference(history, rows, budget, random);
          const slots = largestRemainder(rows.map((own) => own.length), Math.min(budget, history.length));
          return sampleByCategory(history, rows, slots, random);
        }),
      };
    },
  };
}
