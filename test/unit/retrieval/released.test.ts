import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { attentionRetriever } from "../../../src/retrieval/attention.js";
import { diversityRetriever } from "../../../src/retrieval/diversity.js";
import { preferenceRetriever } from "../../../src/retrieval/preference.js";
import { releasedAttention, releasedDiversity, releasedPreference } from "../../../src/retrieval/released.js";
import { KeyedRandom } from "../../../src/core/rng.js";
import type { Interactions } from "../../../src/core/interactions.js";
import { asked, contextOf, countsOf, historyOf, labelled } from "./fixtures.js";
import { rowsByCategory } from "../../../src/retrieval/categories.js";

const random = new KeyedRandom(1, "history/preference");
const repeat = (...counts: number[]): number[] => counts.flatMap((count, label) => new Array<number>(count).fill(label));
const ask = (labels: number[], categories = labelled(labels)): { history: Interactions; rows: number[][]; count: (rows: Interactions) => number[] } => {
  const history = historyOf(labels.length);
  return { history, rows: rowsByCategory(history, categories), count: (rows) => countsOf(rows, categories) };
};

describe("released filters", () => {
  it("act on histories longer than the budget only", async () => {
    const { history, rows } = ask(repeat(60, 40));
    expect(releasedPreference(history, rows, 100, random)).toBe(history);
    expect(releasedDiversity(history, rows, [0.5, 0.5], 100, random)).toBe(history);
    expect(await releasedAttention([asked(history, [1])], { values: new Float32Array(100), dimension: 1 }, 100, {})).toEqual([history]);
  });

  it("preference takes shares of the budget where rows allow it, then again of what is missing", () => {
    // Ratios .6 and .4. Round 1: min(60, 72) and min(40, 32) = 60 and 32. Missing 8: min(4, 36), min(3, 6) = 4, 3. Missing 1: 1 and 1.
    const { history, rows, count } = ask(repeat(120, 80));
    expect(count(releasedPreference(history, rows, 100, random))).toEqual([65, 36]);
  });

  it("diversity uses x* in the same rounds", () => {
    // x* = .5, .5 of 100 and 20 rows. Round 1: 50, 10. Missing 40: min(20, 25), min(20, 5) = 20, 5. Missing 15: 7, 2. Missing 6: 3, 1.
    // Missing 2: 1, 1.
    const { history, rows, count } = ask(repeat(100, 20));
    expect(count(releasedDiversity(history, rows, [0.5, 0.5], 100, random))).toEqual([81, 19]);
  });

  it("reach the budget and may pass it by a row for each other category", () => {
    fc.assert(fc.property(
      fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 11, maxLength: 150 }), fc.integer({ min: 1, max: 100 }),
      fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 5, maxLength: 5 }), (labels, budget, levels) => {
        const { history, rows } = ask(labels, labelled(labels, 5));
        const sum = levels.reduce((all, level) => all + level, 0);
        for (const chosen of [releasedPreference(history, rows, budget, random), releasedDiversity(history, rows, levels.map((level) => level / sum), budget, random)]) {
          expect(chosen.length).toBeGreaterThanOrEqual(Math.min(budget, labels.length));
          expect(chosen.length).toBeLessThanOrEqual(Math.min(budget + 4, labels.length));
          expect(new Set(chosen.items).size).toBe(chosen.length);
        }
      }));
  });

  it("attention asks one query, the mean of the candidates, and multiplies keys by rating squared", async () => {
    // Vectors on one axis: item value 1 + item / 100; ratings 1..5 in turn, so rating 5 rows of high items win.
    const history = historyOf(40), values = Float32Array.from({ length: 40 }, (_, item) => 1 + item / 100);
    const [rows] = await releasedAttention([asked(history, [0, 2])], { values, dimension: 1 }, 8, {});
    const weight = (item: number): number => values[item]! * history.ratings[item]! ** 2;
    const best = Array.from(history.items).sort((a, b) => weight(b) - weight(a)).slice(0, 8).sort((a, b) => a - b);
    expect([...rows!.items]).toEqual(best);
  });

  it("attention without candidates falls back on row order", async () => {
    const [rows] = await releasedAttention([asked(historyOf(20))], { values: new Float32Array(20).fill(1), dimension: 1 }, 3, {});
    expect([...rows!.items]).toEqual([0, 1, 2]);
  });

  it("are reached through the variant option, under a name that says so", async () => {
    const history = historyOf(30), categories = labelled(repeat(18, 12));
    const hitRates = { values: Float64Array.from({ length: 20 }, (_, at) => at % 10), categories: 2, levels: 10, unit: 0.05, origin: "m" };
    const context = contextOf(history, { categories, hitRates });
    for (const retriever of [
      preferenceRetriever({ budget: 10, variant: "released" }), diversityRetriever({ budget: 10, variant: "released" }), attentionRetriever({ budget: 10, variant: "released" }),
    ]) {
      expect(retriever.name).toMatch(/\(released\)$/);
      const [rows] = await (await retriever.prepare(context)).select([asked(history, [1, 2])]);
      expect(rows!.length).toBeGreaterThanOrEqual(10);
      expect(rows!.length).toBeLessThanOrEqual(11);
    }
  });
});
