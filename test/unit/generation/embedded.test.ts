import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { readFileSync } from "node:fs";
import type { Candidate, HistoryLine, Prompt } from "../../../src/core/prompt.js";
import { embedded, scoreByHistory, titleStem } from "../../../src/generation/embedded.js";
import { makePrompts, NO_WORDS } from "../../fixtures/prompts.js";

const GENRES = Array.from({ length: 40 }, (_, at) => `G${at}`);
interface Film { title: string; year: number | undefined; genres: readonly string[] }

function makePrompt(films: Film[], history: (Film & { rating: number; timestamp: number | undefined })[], ratingScale = { min: 1, max: 5 }): Prompt {
  return {
    user: 3, messages: [], profile: undefined, ratingScale, templateHash: "", promptHash: "", tokenEstimate: 0,
    evidence: undefined as never, similar: undefined, words: NO_WORDS,
    candidates: films.map((film, at): Candidate => ({ ...film, key: `m${at}`, item: at, rank: at + 1, prior: films.length - at, film: film.title })),
    history: history.map((row, at): HistoryLine => ({ ...row, item: 1000 + at })),
  };
}

/** The formulas as written, pair by pair, on the scale before the stretch. */
function oracle({ candidates, history, ratingScale: { min, max } }: Prompt): number[] {
  const sum = <T>(list: readonly T[], f: (one: T) => number): number => list.reduce((total, one) => total + f(one), 0);
  const weight = ({ rating }: HistoryLine): number => (max > min ? Math.round(256 * (0.5 + (rating - min) / (max - min))) / 256 : 1);
  /** `match` of a row or candidate with what is asked about; those that say nothing about it are left out. */
  const lift = (match: (film: Film) => number | undefined): number => {
    const offered = candidates.filter((film) => match(film) !== undefined), seen = history.filter((film) => match(film) !== undefined);
    const share = sum(offered, (film) => match(film)!) / offered.length;
    return Math.log((sum(seen, (row) => weight(row) * match(row)!) + 10 * share) / ((sum(seen, weight) + 10) * share));
  };
  const mean = sum(candidates, ({ prior }) => prior) / candidates.length;
  const deviation = Math.sqrt(sum(candidates, ({ prior }) => (prior - mean) ** 2) / candidates.length);
  return candidates.map(({ prior, genres, year, title }) => {
    const related = sum(history.filter((row) => titleStem(row.title) !== "" && titleStem(row.title) === titleStem(title)), weight);
    return (prior - mean) / deviation
      + (genres.length > 0 ? sum(genres, (genre) => lift((film) => (film.genres.length > 0 ? Number(film.genres.includes(genre)) : undefined))) / genres.length : 0)
      + (year !== undefined ? lift((film) => (film.year === undefined ? undefined : Math.exp(-Math.abs(film.year - year) / 10))) : 0)
      + related / (1 + related);
  });
}

const film = fc.record({
  title: fc.constantFrom("Rocky", "Rocky II", "Alien", "Alien: Again", "Other", "", "Odd - One"),
  year: fc.option(fc.integer({ min: 1900, max: 2030 }), { nil: undefined }),
  genres: fc.uniqueArray(fc.constantFrom(...GENRES), { maxLength: 4 }),
});
const rows = fc.array(fc.record({ film, rating: fc.integer({ min: 1, max: 5 }), timestamp: fc.integer({ min: 0, max: 9 }) }), { maxLength: 30 });

describe("embedded", () => {
  it("says what it is", async () => {
    const info = await embedded().describe();
    expect(info).toMatchObject({ engine: "embedded", label: "embedded (no LLM)", isLanguageModel: false, replayed: false, model: undefined });
  });

  it("equals the formulas, pair by pair", () => {
    fc.assert(fc.property(fc.array(film, { minLength: 2, maxLength: 20 }), rows, fc.boolean(), (films, given, timed) => {
      const prompt = makePrompt(films, given.map(({ film: own, rating, timestamp }) => ({ ...own, rating, timestamp: timed ? timestamp : undefined })));
      const scores = scoreByHistory(prompt);
      const plain = given.length > 0 ? oracle(prompt) : films.map((_, at) => -at), low = Math.min(...plain), range = Math.max(...plain) - low;
      plain.forEach((score, at) => expect(scores[at]).toBeCloseTo(range > 1e-9 ? 1 + 99 * (score - low) / range : 50.5, 6));
      for (const score of scores) expect(score >= 1 && score <= 100).toBe(true);
    }), { numRuns: 300 });
  });

  it("keeps the prior order exactly when no history is shown", async () => {
    for (const candidateCount of [1, 2, 50]) {
      const [prompt] = await makePrompts({ candidateCount, historyCount: 0 });
      const { ranking, status } = await embedded().generate(prompt!);
      expect([...ranking]).toEqual(prompt!.candidates.map(({ item }) => item));
      expect(status).toBe("ok");
    }
  });

  it("does not mind the order of the history lines, to the last bit", () => {
    fc.assert(fc.property(fc.array(film, { minLength: 2, maxLength: 10 }), rows, fc.infiniteStream(fc.nat()), (films, given, keys) => {
      const prompt = makePrompt(films, given.map(({ film: own, rating, timestamp }) => ({ ...own, rating, timestamp })));
      const order = prompt.history.map((line) => ({ line, key: keys.next().value as number })).sort((a, b) => a.key - b.key);
      const shuffled = { ...prompt, history: order.map(({ line }) => line) };
      expect([...scoreByHistory(shuffled)]).toEqual([...scoreByHistory(prompt)]);
    }), { numRuns: 200 });
  });

  it("lifts what was watched and liked, and lets it fall when those rows are gone", () => {
    const films = Array.from({ length: 50 }, (_, at) => ({ title: `C${at}`, year: 1990, genres: [at === 24 ? "War" : at === 30 ? "Western" : "Drama"] }));
    const watched = (genre: string, count: number, rating: number) =>
      Array.from({ length: count }, (_, at) => ({ title: `H${genre}${at}`, year: 1990, genres: [genre], rating, timestamp: at }));
    const placeOf = (item: number, history: ReturnType<typeof watched>): number => {
      const prompt = makePrompt(films, history);
      const scores = scoreByHistory(prompt);
      return [...scores].filter((score) => score > scores[item]!).length;
    };
    const history = [...watched("War", 20, 5), ...watched("Drama", 5, 2)];
    expect(placeOf(24, history)).toBe(0);
    expect(placeOf(24, history.filter(({ genres }) => genres[0] !== "War"))).toBeGreaterThanOrEqual(24);
    expect(placeOf(30, history)).toBeGreaterThan(29);
    // The same genre, rated low instead of high, stands lower.
    const disliked = [...watched("War", 2, 1), ...watched("Drama", 20, 5)];
    expect(placeOf(24, disliked)).toBeGreaterThan(placeOf(24, [...watched("War", 2, 5), ...watched("Drama", 20, 1)]));
  });

  it("lifts films of the years and of the series that were watched", () => {
    const films = Array.from({ length: 50 }, (_, at) => ({ title: at === 40 ? "Rocky III" : `C${at}`, year: at === 25 ? 1950 : 1995, genres: ["Drama"] }));
    const watched = (title: string, year: number) => Array.from({ length: 8 }, (_, at) => ({ title: `${title}${at}`, year, genres: ["Drama"], rating: 4, timestamp: at }));
    const scoreOf = (item: number, history: ReturnType<typeof watched>): number => scoreByHistory(makePrompt(films, history))[item]!;
    expect(scoreOf(25, watched("Old ", 1952))).toBeGreaterThan(scoreOf(25, watched("New ", 1995)) + 20);
    expect(scoreOf(40, watched("Rocky ", 1995))).toBeGreaterThan(scoreOf(40, watched("Other ", 1995)) + 10);
  });

  it("lets the gaps of the backbone's scores count", () => {
    const prompt = makePrompt([{ title: "A", year: 1990, genres: ["War"] }, { title: "B", year: 1990, genres: ["Drama"] }, { title: "C", year: 1990, genres: ["War"] }],
      [{ title: "D", year: 1990, genres: ["Drama"], rating: 5, timestamp: 1 }]);
    const withPriors = (...priors: number[]): number[] => [...scoreByHistory({ ...prompt, candidates: prompt.candidates.map((one, at) => ({ ...one, prior: priors[at]! })) })];
    const close = withPriors(1.01, 1, 0), clear = withPriors(9, 1, 0);
    expect(close[0]).toBeLessThan(close[1]!);
    expect(clear[0]).toBeGreaterThan(clear[1]!);
    for (const score of withPriors(2, 2, 2)) expect(score >= 1 && score <= 100).toBe(true);
  });

  it("counts fairly on other rating scales and without any", () => {
    const films = [{ title: "A", year: 2000, genres: ["X"] }, { title: "B", year: 2000, genres: ["Y"] }];
    const history = [{ title: "C", year: 2000, genres: ["X"], rating: 1, timestamp: 1 }, { title: "D", year: 2000, genres: ["Y"], rating: 5, timestamp: 2 }];
    const half = history.map((row) => ({ ...row, rating: (row.rating - 1) * 4.5 / 4 + 0.5 }));
    expect([...scoreByHistory(makePrompt(films, half, { min: 0.5, max: 5 }))]).toEqual([...scoreByHistory(makePrompt(films, history))]);
    for (const score of scoreByHistory(makePrompt(films, history, { min: 1, max: 1 }))) expect(Number.isFinite(score)).toBe(true);
  });

  it("stops when told to", async () => {
    const [prompt] = await makePrompts();
    await expect(embedded().generate(prompt!, { signal: AbortSignal.abort(new Error("stop")) })).rejects.toThrow("stop");
    await embedded().close();
  });

  it("imports nothing but core and its own room", () => {
    const source = readFileSync(new URL("../../../src/generation/embedded.ts", import.meta.url), "utf8");
    for (const [, path] of source.matchAll(/from "(.+?)"/g)) expect(path).toMatch(/^(?:\.\.\/core\/|\.\/)/);
  });
});

describe("titleStem", () => {
  it.each([
    ["Rocky", "rocky"], ["Rocky II", "rocky"], ["Rocky: The Return", "rocky"], ["Rocky Part 3", "rocky"], ["Aliens", "aliens"], ["2001", "2001"],
    ["Die Hard 2 (Die Harder)", "die hard"], ["Mission - Again", "mission"], ["", ""], ["Malcolm X", "malcolm"], ["Part 2", "part"], [": Odd", ": odd"],
  ])("%j has the stem %j", (title, stem) => {
    expect(titleStem(title)).toBe(stem);
  });
});
