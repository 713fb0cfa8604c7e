import { describe, expect, it } from "vitest";
import { KeyedRandom } from "../../../src/core/rng.js";
import { noHistory, randomRetriever, recentRetriever } from "../../../src/retrieval/controls.js";
import type { Retriever } from "../../../src/retrieval/retriever.js";
import { asked, contextOf, historyOf } from "./fixtures.js";

const itemsOf = async (retriever: Retriever, history = historyOf(30)): Promise<number[]> =>
  [...(await (await retriever.prepare(contextOf(history))).select([asked(history)]))[0]!.items];
const smallest = (stream: "history/random" | "history/keyed", count: number): number[] => {
  const random = new KeyedRandom(5, stream);
  return Array.from({ length: 30 }, (_, item) => ({ item, key: random.key(0, item) })).sort((a, b) => a.key - b.key)
    .slice(0, count).map(({ item }) => item).sort((a, b) => a - b);
};

describe("controls", () => {
  it("random keeps the smallest keys of its stream", async () => {
    expect(await itemsOf(randomRetriever({ budget: 7 }))).toEqual(smallest("history/random", 7));
  });

  it("recent keeps the newest rows, ties to the lower item; without timestamps the keyed ones", async () => {
    expect(await itemsOf(recentRetriever({ budget: 3 }), historyOf(5, 5, [10, 50, 20, 40, 30]))).toEqual([1, 3, 4]);
    expect(await itemsOf(recentRetriever({ budget: 3 }), historyOf(5, 5, [9, 7, 7, 7, 1]))).toEqual([0, 1, 2]);
    expect(await itemsOf(recentRetriever({ budget: 7 }))).toEqual(smallest("history/keyed", 7));
  });

  it("released keeps the first ten rows and says so", async () => {
    const retriever = recentRetriever({ variant: "released" });
    expect([retriever.name, retriever.budget]).toEqual(["first ten (released)", 10]);
    expect(await itemsOf(retriever)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await itemsOf(retriever, historyOf(4))).toEqual([0, 1, 2, 3]);
  });

  it("defaults to the paper's budget, and none shows nothing", async () => {
    expect([randomRetriever().budget, recentRetriever().budget, noHistory().budget]).toEqual([100, 100, 0]);
    expect(await itemsOf(noHistory())).toEqual([]);
  });

  it("reports progress and lets the event loop run between users", async () => {
    const history = historyOf(400), selector = await randomRetriever({ budget: 20 }).prepare(contextOf(history));
    const seen: number[] = [];
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await selector.select(Array.from({ length: 400 }, () => asked(history)), { onProgress: (done, total) => { seen.push(done); expect(total).toBe(400); } });
    clearInterval(timer);
    expect(seen.at(-1)).toBe(400);
    expect(turns).toBeGreaterThan(0);
  });
});
