import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { largestRemainder } from "../../../src/retrieval/allocate.js";
import { preferenceRetriever } from "../../../src/retrieval/preference.js";
import { asked, contextOf, countsOf, historyOf, labelled } from "./fixtures.js";

describe("preference", () => {
  it("keeps the user's own shares: within one row of p_c B in every category", async () => {
    await fc.assert(fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 24 }), { minLength: 1, maxLength: 80 }), fc.integer({ min: 1, max: 90 }), async (labels, budget) => {
        const history = historyOf(labels.length), categories = labelled(labels, 25);
        const selector = await preferenceRetriever({ budget }).prepare(contextOf(history, { categories }));
        const [rows] = await selector.select([asked(history)]);
        const own = countsOf(history, categories), wanted = Math.min(budget, labels.length);
        const kept = countsOf(rows!, categories);
        expect(kept).toEqual([...largestRemainder(own, wanted)]);
        kept.forEach((count, at) => expect(Math.abs(count - own[at]! * wanted / labels.length)).toBeLessThan(1));
      }), { numRuns: 60 });
  });

  it("returns the whole history when the budget equals it", async () => {
    const history = historyOf(17), categories = labelled(Array.from({ length: 17 }, (_, at) => at % 3));
    const selector = await preferenceRetriever({ budget: 17 }).prepare(contextOf(history, { categories }));
    expect([...(await selector.select([asked(history)]))[0]!.items]).toEqual([...history.items]);
  });

  it("says in its details which categories it used, and draws anew with another seed", async () => {
    const history = historyOf(60), categories = labelled(new Array<number>(60).fill(0));
    const pick = async (seed: number): Promise<number[]> => {
      const selector = await preferenceRetriever({ budget: 10 }).prepare(contextOf(history, { categories, seed }));
      expect(selector.details).toEqual({ categories: ["c0"], silhouette: 0 });
      return [...(await selector.select([asked(history)]))[0]!.items];
    };
    expect(await pick(1)).toEqual(await pick(1));
    expect(await pick(1)).not.toEqual(await pick(2));
  });
});
