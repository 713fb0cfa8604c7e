import { describe, expect, it } from "vitest";
import fc from "fast-check";
import type { Candidate } from "../../../src/core/prompt.js";
import { answerLimit, answerSchema, countTies, rankCandidates } from "../../../src/generation/contract.js";

const candidates = (ids: (string | number)[]): Candidate[] =>
  ids.map((id, at) => ({ key: `m${id}`, item: 100 + at, title: "T", year: 2000, genres: [], rank: at + 1, prior: -at, film: '"T" (2000)' }));

describe("the answer contract", () => {
  it("names every key once, in candidate order, through JSON and back", () => {
    const list = candidates([1193, 661, 9, 3408, "tt1"]);
    const schema = JSON.parse(JSON.stringify(answerSchema(list))) as ReturnType<typeof answerSchema>;
    expect(Object.keys(schema.properties)).toEqual(["m1193", "m661", "m9", "m3408", "mtt1"]);
    expect(schema.required).toEqual(Object.keys(schema.properties));
    expect(schema.additionalProperties).toBe(false);
    for (const property of Object.values(schema.properties)) expect(property).toEqual({ type: "integer", minimum: 1, maximum: 100 });
  });

  it("leaves room for twice a printed answer, 900 tokens for usual lists", () => {
    expect(answerLimit(candidates(Array.from({ length: 50 }, (_, at) => 1000 + at)))).toBe(900);
    expect(answerLimit(candidates(Array.from({ length: 200 }, (_, at) => 1000 + at)))).toBe(200 * 17);
    expect(answerLimit([])).toBe(900);
  });

  it("ranks by score, then by backbone rank, and counts ties", () => {
    const list = candidates([1, 2, 3, 4]);
    expect([...rankCandidates([5, 9, 5, 9], list)]).toEqual([101, 103, 100, 102]);
    expect([...rankCandidates([0, 0, 0, 0], list)]).toEqual([100, 101, 102, 103]);
    expect(countTies([5, 9, 5, 9, 5])).toBe(3);
    expect(countTies([])).toBe(0);
  });

  it("gives a permutation with falling scores for any scores", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 40 }), (scores) => {
      const list = candidates(scores.map((_, at) => at));
      const ranking = [...rankCandidates(scores, list)].map((item) => item - 100);
      expect([...ranking].sort((a, b) => a - b)).toEqual(scores.map((_, at) => at));
      for (let at = 1; at < ranking.length; at++) {
        const [better, worse] = [ranking[at - 1]!, ranking[at]!];
        expect(scores[better]! > scores[worse]! || (scores[better] === scores[worse] && better < worse)).toBe(true);
      }
      expect(countTies(scores)).toBe(scores.length - new Set(scores).size);
    }));
  });
});
