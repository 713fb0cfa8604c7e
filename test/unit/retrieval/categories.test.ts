import { describe, expect, it } from "vitest";
import { KeyedRandom } from "../../../src/core/rng.js";
import { checkedBudget, needed, neededCategories, rowsByCategory, sampleByCategory } from "../../../src/retrieval/categories.js";
import { contextOf, historyOf, labelled } from "./fixtures.js";

const history = historyOf(9);
const categories = labelled([0, 1, 2, 0, 1, 0, 0, 0, 1], 4);

describe("rows by category", () => {
  it("lists each row once, under the category of its item; absent categories are empty", () => {
    expect(rowsByCategory(history, categories)).toEqual([[0, 3, 5, 6, 7], [1, 4, 8], [2], []]);
    expect(rowsByCategory(history.slice(0, 0), categories)).toEqual([[], [], [], []]);
  });

  it("samples the slots of each category by key, the same rows from a longer table", () => {
    const rows = rowsByCategory(history, categories), random = new KeyedRandom(1, "history/random");
    const sample = sampleByCategory(history, rows, [2, 3, 0, 0], random);
    expect(sample.length).toBe(5);
    expect([...sample.items].filter((item) => categories.labels[item] === 1)).toEqual([1, 4, 8]);
    const keys = [0, 3, 5, 6, 7].map((item) => ({ item, key: random.key(0, item) })).sort((a, b) => a.key - b.key);
    expect([...sample.items].filter((item) => categories.labels[item] === 0)).toEqual(keys.slice(0, 2).map(({ item }) => item).sort((a, b) => a - b));
  });
});

describe("what a retriever asks of its context", () => {
  it("hands over what is there and names what is not", () => {
    expect(neededCategories(contextOf(history, { categories }), "preference")).toBe(categories);
    expect(() => needed(contextOf(history), "hitRates", "diversity")).toThrow(/diversity retriever needs hitRates.*CONFIG_RETRIEVAL_CONTEXT/s);
  });

  it("refuses categories of another catalogue", () => {
    expect(() => neededCategories(contextOf(history, { categories: labelled([0, 1]) }), "preference")).toThrow(/CONFIG_CATEGORIES/);
    const loose = { ...labelled([0, 1, 2, 0, 1, 0, 0, 0, 1]), names: ["a", "b"] };
    expect(() => neededCategories(contextOf(history, { categories: loose }), "preference")).toThrow(/CONFIG_CATEGORIES/);
  });

  it("takes whole budgets of at least 1", () => {
    expect(checkedBudget(1)).toBe(1);
    for (const budget of [0, -1, 1.5, NaN, Infinity]) expect(() => checkedBudget(budget)).toThrow(/CONFIG_BUDGET/);
  });
});
