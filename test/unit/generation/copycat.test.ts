import { describe, expect, it } from "vitest";
import type { Candidate, HistoryLine, Prompt } from "../../../src/core/prompt.js";
import { Interactions } from "../../../src/core/interactions.js";
import { chooseGenerator } from "../../../src/generation/choose.js";
import { copycat } from "../../../src/generation/copycat.js";
import { NO_WORDS } from "../../fixtures/prompts.js";

const film = (item: number) => ({ item, title: `Film ${item}`, year: undefined, genres: [] });
const prompt = (candidates: number[], history: number[]): Prompt => ({
  user: 3, messages: [], profile: undefined, ratingScale: { min: 1, max: 5 }, templateHash: "", promptHash: "", tokenEstimate: 0,
  similar: undefined, words: NO_WORDS,
  candidates: candidates.map((item, at): Candidate => ({ ...film(item), key: `m${item}`, rank: at + 1, prior: 1 - at, film: `Film ${item}` })),
  history: history.map((item): HistoryLine => ({ ...film(item), rating: 4, timestamp: undefined })),
  evidence: Interactions.empty({ userCount: 4, itemCount: 20 }),
});

describe("copycat", () => {
  it("keeps the backbone's order when no candidate stands in the history", async () => {
    const { ranking, status } = await copycat().generate(prompt([5, 2, 9, 7], [1, 3]));
    expect([[...ranking], status]).toEqual([[5, 2, 9, 7], "ok"]);
  });

  it("lifts candidates that stand in the history, in backbone order among themselves", async () => {
    const { ranking, scores, engine } = await copycat().generate(prompt([5, 2, 9, 7], [7, 2]));
    expect([...ranking]).toEqual([2, 7, 5, 9]);
    expect(scores.every(Number.isFinite)).toBe(true);
    expect(engine.isLanguageModel).toBe(false);
  });

  it("is chosen by name and stops on an aborted signal", async () => {
    const { generator, engine, sentence } = await chooseGenerator("copycat");
    expect([engine.engine, sentence]).toEqual(["copycat", expect.stringContaining("no LLM")]);
    await expect(generator.generate(prompt([1], []), { signal: AbortSignal.abort(new Error("stop")) })).rejects.toThrow("stop");
    await generator.close();
  });
});
