import { ConfigError } from "../core/errors.js";
import type { RunOptions } from "../core/progress.js";
import { KeyedRandom } from "../core/rng.js";
import { allocate, largestRemainder } from "./allocate.js";
import { checkedBudget, needed, neededCategories, rowsByCategory, sampleByCategory } from "./categories.js";
import { selectEach } from "./each.js";
import { releasedDiversity } from "./released.js";
import type { HitRates, RetrievalContext, Retriever, Selector } from "./retriever.js";

export interface DiversityOptions {
  /** History budget B; default 100. */
  budget?: number;
  /** What x_c is a share of: the budget (default), or the rows of category c, Eq. 4 to the letter, then refilled to B. */
  ratioMeaning?: "budgetShare" | "categoryShare";
  /** "exact" asks for sum x_c = K' (default, what the text means); "atMost" is Eq. 5 to the letter. */
  dpBoundary?: "exact" | "atMost";
  /** "released" repeats the authors' recursive refill (see released.ts); default "paper". */
  variant?: "paper" | "released";
}

/**
 * The paper's second filter, Eq. 4-5: x* = argmax of sum_c M[c][x_c] under sum_c x_c = K' by the multiple-choice knapsack of the
 * native core; M comes with the context, measured on validation rows of D_r. Every user gets x_c * B rows of category c (keyed,
 * stream history/diversity); what a short category cannot give goes to the others in proportion to x_c, so B rows are kept.
 * K' is 100 % in steps of `unit`; where the number of categories cannot reach it, the nearest reachable total.
 */
export function diversityRetriever(options: DiversityOptions = {}): Retriever {
  const { ratioMeaning = "budgetShare", dpBoundary = "exact", variant = "paper" } = options;
  const budget = checkedBudget(options.budget ?? 100);
  return {
    name: variant === "paper" ? "diversity" : "diversity (released)",
    budget,
    options: { budget, ratioMeaning, dpBoundary, variant },
    needs: ["categories", "hitRates"],
    async prepare(context: RetrievalContext, run: RunOptions = {}): Promise<Selector> {
      const categories = neededCategories(context, "diversity");
      const hitRates = needed(context, "hitRates", "diversity");
      if (hitRates.categories !== categories.names.length) {
        throw new ConfigError("CONFIG_HIT_RATES", `M has ${hitRates.categories} categories, the items have ${categories.names.length}.`, {
          hint: "Measure M with the same categories that the context carries.",
        });
      }
      const { levels, whole, total, capacity } = await solveRatios(context, hitRates, dpBoundary, run);
      const random = new KeyedRandom(context.seed, "history/diversity");
      return {
        details: { categories: categories.names, hitRates: hitRates.origin, ratios: levels.map((level) => level / whole), total, capacity: capacity / whole },
        select: (requests, more: RunOptions = {}) => selectEach(requests, more, ({ history }) => {
          const rows = rowsByCategory(history, categories);
          if (variant === "released") return releasedDiversity(history, rows, levels.map((level) => level / whole), budget, random);
          const available = rows.map((own) => own.length), wanted = Math.min(budget, history.length);
          const slots = ratioMeaning === "budgetShare"
            ? allocate(levels, available, wanted)
            : fillTo(available.map((count, at) => Math.ceil(levels[at]! * count / whole)), levels, available, wanted);
          return sampleByCategory(history, rows, slots, random);
        }),
      };
    },
  };
}

/**
 * x* in levels of M's unit, one per category, 1 to `levels`; `whole` levels are 100 %. `capacity` is K' in levels, `total` the
 * sum of M that x* reaches.
 * @throws ConfigError when the unit does not divide 1 or M has another number of values than it says.
 */
export async function solveRatios(
  { kernels }: Pick<RetrievalContext, "kernels">, { values, categories, levels, unit }: Omit<HitRates, "origin">,
  boundary: "exact" | "atMost" = "exact", run: RunOptions = {},
): Promise<{ levels: number[]; whole: number; total: number; capacity: number }> {
  const whole = Math.round(1 / unit);
  if (!(Math.abs(whole * unit - 1) <= 1e-9) || values.length !== categories * levels || values.length === 0) {
    throw new ConfigError("CONFIG_HIT_RATES", `M has ${values.length} values for ${categories} categories of ${levels} levels, unit ${unit}.`, {
      hint: "The unit must divide 1, for example 0.05, and M must hold one value per category and level.",
    });
  }
  // Every category takes at least one level and at most all of its own.
  const capacity = Math.max(categories, Math.min(whole, categories * levels));
  const { choices, totals } = await kernels.knapsack({
    categoryOffsets: Uint32Array.of(0, categories), levels: new Uint32Array(categories).fill(levels), values, capacities: Uint32Array.of(capacity), boundary,
  }, run);
  return { levels: Array.from(choices), whole, total: totals[0]!, capacity };
}

/** Category shares do not sum to B: cut them in proportion when they are too many, refill by the ratios when too few. */
function fillTo(slots: readonly number[], levels: readonly number[], available: readonly number[], wanted: number): Uint32Array {
  const sum = slots.reduce((total, count) => total + count, 0);
  if (sum >= wanted) return largestRemainder(slots, wanted);
  const more = allocate(levels, available.map((count, at) => count - slots[at]!), wanted - sum);
  return more.map((count, at) => count + slots[at]!);
}
