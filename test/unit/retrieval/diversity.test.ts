import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allocate } from "../../../src/retrieval/allocate.js";
import { diversityRetriever, solveRatios } from "../../../src/retrieval/diversity.js";
import type { HitRates } from "../../../src/retrieval/retriever.js";
import { asked, contextOf, countsOf, historyOf, kernels, labelled } from "./fixtures.js";

/** An M whose only optimum is the given levels: each step up to the wanted level pays 1, steps beyond cost 1. */
function planted(levels: number[], most = 10, unit = 0.05): HitRates {
  const values = levels.flatMap((wanted) => Array.from({ length: most }, (_, at) => Math.min(at + 1, wanted) - Math.max(0, at + 1 - wanted)));
  return { values: Float64Array.from(values), categories: levels.length, levels: most, unit, origin: "planted" };
}

const select = async (labels: number[], hitRates: HitRates, options: Parameters<typeof diversityRetriever>[0]): Promise<number[]> => {
  const history = historyOf(labels.length), categories = labelled(labels, hitRates.categories);
  const selector = await diversityRetriever(options).prepare(contextOf(history, { categories, hitRates }));
  return countsOf((await selector.select([asked(history)]))[0]!, categories);
};
const repeat = (...counts: number[]): number[] => counts.flatMap((count, label) => new Array<number>(count).fill(label));

describe("diversity", () => {
  it("gives every category its share of the budget, whatever the user's own shares", async () => {
    expect(await select(repeat(100, 50, 50), planted([10, 6, 4]), { budget: 20 })).toEqual([10, 6, 4]);
    expect(await select(repeat(20, 80, 100), planted([10, 6, 4]), { budget: 40 })).toEqual([20, 12, 8]);
  });

  it("hands what a short category cannot give to the others in proportion", async () => {
    // Category 0 has 2 of its 10 rows: 8 rows go 6 : 4 to the others, 4.8 and 3.2.
    expect(await select(repeat(2, 50, 50), planted([10, 6, 4]), { budget: 20 })).toEqual([2, 11, 7]);
    expect(await select(repeat(0, 0, 50), planted([10, 6, 4]), { budget: 20 })).toEqual([0, 0, 20]);
  });

  it("keeps exactly B rows in proportion to x* for any history", async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 60 }), fc.integer({ min: 1, max: 70 }),
      fc.constantFrom("budgetShare" as const, "categoryShare" as const), async (labels, budget, ratioMeaning) => {
        const counts = await select(labels, planted([9, 8, 3]), { budget, ratioMeaning });
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(Math.min(budget, labels.length));
        const available = [0, 1, 2].map((label) => labels.filter((own) => own === label).length);
        if (ratioMeaning === "budgetShare") expect(counts).toEqual([...allocate([9, 8, 3], available, Math.min(budget, labels.length))]);
      }), { numRuns: 80 });
  });

  it("under categoryShare takes x_c of each category's rows, cut or refilled to B", async () => {
    // x* = 50/30/20 % of 40, 40, 40 rows: 20, 12, 8 rows; cut to 20 in proportion; refilled to 80 by 40 more rows.
    const rows = repeat(40, 40, 40), m = planted([10, 6, 4]), ratioMeaning = "categoryShare";
    expect(await select(rows, m, { budget: 40, ratioMeaning })).toEqual([20, 12, 8]);
    expect(await select(rows, m, { budget: 20, ratioMeaning })).toEqual([10, 6, 4]);
    expect(await select(rows, m, { budget: 80, ratioMeaning })).toEqual([40, 24, 16]);
  });

  it("rounds a share of a category up exactly: 55 % of 100 rows are 55, not 56", async () => {
    const values = Float64Array.from([...Array.from({ length: 11 }, (_, at) => at), ...Array.from({ length: 11 }, (_, at) => (at === 8 ? 9 : 0))]);
    const m: HitRates = { values, categories: 2, levels: 11, unit: 0.05, origin: "planted" };
    expect(await select(repeat(100, 100), m, { budget: 100, ratioMeaning: "categoryShare" })).toEqual([55, 45]);
  });

  it("says what it found", async () => {
    const history = historyOf(3), categories = labelled([0, 1, 2]);
    const { details } = await diversityRetriever().prepare(contextOf(history, { categories, hitRates: planted([10, 6, 4]) }));
    expect(details).toEqual({ categories: ["c0", "c1", "c2"], hitRates: "planted", ratios: [0.5, 0.3, 0.2], total: 20, capacity: 1 });
  });

  it("works with one category, and with equal rates everywhere", async () => {
    expect(await select(repeat(30), planted([10]), { budget: 7 })).toEqual([7]);
    const flat: HitRates = { values: new Float64Array(30).fill(0.25), categories: 3, levels: 10, unit: 0.05, origin: "flat" };
    const { levels } = await solveRatios({ kernels }, flat);
    expect(levels.reduce((sum, level) => sum + level, 0)).toBe(20);
    expect((await select(repeat(30, 30, 30), flat, { budget: 20 })).reduce((a, b) => a + b, 0)).toBe(20);
  });

  it("refuses an M of the wrong shape, unit or categories", async () => {
    const context = (hitRates: HitRates): ReturnType<typeof contextOf> => contextOf(historyOf(3), { categories: labelled([0, 1, 2]), hitRates });
    for (const wrong of [planted([10, 10]), { ...planted([10, 6, 4]), levels: 9 }, { ...planted([10, 6, 4]), unit: 0.3 }, { ...planted([10, 6, 4]), unit: NaN }]) {
      await expect(diversityRetriever().prepare(context(wrong))).rejects.toThrow(/CONFIG_HIT_RATES/);
    }
    await expect(diversityRetriever().prepare(context({ ...planted([10, 6, 4]), values: new Float64Array(30).fill(NaN) }))).rejects.toThrow(/NATIVE_NOT_FINITE/);
  });
});
