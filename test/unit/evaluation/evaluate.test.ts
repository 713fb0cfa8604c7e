import fc from "fast-check";
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { evaluate } from "../../../src/evaluation/evaluate.js";
import { caught } from "../../fixtures/caught.js";
import { rankingOf, truthOf } from "./lists.js";

const ITEMS = 50;
const someItems = fc.uniqueArray(fc.integer({ min: 0, max: ITEMS - 1 }), { maxLength: 15 });
const users = fc.array(fc.record({ list: fc.uniqueArray(fc.integer({ min: 0, max: ITEMS - 1 })), truth: someItems, mask: someItems }), { minLength: 1, maxLength: 8 })
  .map((all) => all.map(({ list, truth, mask }) => ({ list, truth, mask: mask.filter((item) => !truth.includes(item)) })))
  .filter((all) => all.some(({ truth }) => truth.length > 0));

/** Written from the definitions, item by item, sharing nothing with the source. */
function naive(name: string, list: number[], truth: number[], mask: number[]): number {
  const [kind, text] = name.split("@");
  const k = Number(text);
  const top = list.filter((item) => !mask.includes(item)).slice(0, k);
  const hits = top.filter((item) => truth.includes(item));
  switch (kind) {
    case "hr": return hits.length > 0 ? 1 : 0;
    case "recall": return hits.length / truth.length;
    case "precision": return hits.length / k;
    case "mrr": return hits.length > 0 ? 1 / (top.indexOf(hits[0]!) + 1) : 0;
    default: {
      const dcg = top.reduce((sum, item, at) => sum + (truth.includes(item) ? 1 / Math.log2(at + 2) : 0), 0);
      const ideal = Array.from({ length: Math.min(k, truth.length) }, (_, at) => 1 / Math.log2(at + 2)).reduce((a, b) => a + b, 0);
      return dcg / ideal;
    }
  }
}

describe("evaluate", () => {
  const names = ["hr@1", "hr@5", "ndcg@1", "ndcg@5", "ndcg@20", "recall@10", "mrr@7", "precision@3"];

  it("equals an independent implementation on random lists", () => {
    fc.assert(fc.property(users, (all) => {
      const evaluation = evaluate(
        all.map(({ list }, user) => rankingOf(user, list)), truthOf(all.map(({ truth }) => truth), ITEMS), names,
        { mask: truthOf(all.map(({ mask }) => mask), ITEMS) });
      const scored = all.filter(({ truth }) => truth.length > 0);
      expect(evaluation.n).toBe(scored.length);
      expect(evaluation.withoutTruth).toBe(all.length - scored.length);
      for (const name of names) {
        const expected = scored.map(({ list, truth, mask }) => naive(name, list, truth, mask));
        expected.forEach((value, at) => { expect(evaluation.perUser[name]![at]).toBeCloseTo(value, 12); });
        const { value, low, high, n } = evaluation.metrics[name]!;
        expect(value).toBeCloseTo(expected.reduce((a, b) => a + b, 0) / n, 12);
        expect(low).toBeLessThanOrEqual(value + 1e-15);
        expect(high).toBeGreaterThanOrEqual(value - 1e-15);
        expect(low).toBeGreaterThanOrEqual(0);
        expect(high).toBeLessThanOrEqual(1);
      }
    }), { numRuns: 150 });
  });

  it("gives the same bytes whatever the order of the rankings", () => {
    fc.assert(fc.property(users, fc.integer(), (all, seed) => {
      const rankings = all.map(({ list }, user) => rankingOf(user, list));
      const truth = truthOf(all.map((each) => each.truth), ITEMS);
      const turned = rankings.map((ranking, at) => ({ ranking, key: Math.imul(at + 1, seed | 1) })).sort((a, b) => a.key - b.key).map(({ ranking }) => ranking);
      expect(JSON.stringify(evaluate(turned, truth))).toBe(JSON.stringify(evaluate(rankings, truth)));
    }), { numRuns: 40 });
  });

  it("scores the users asked for and counts those without a ranking", () => {
    const truth = truthOf([[1], [2], [3], []], 5);
    const rankings = [rankingOf(0, [1]), rankingOf(1, [0]), rankingOf(3, [0])];
    expect(evaluate(rankings, truth, ["hr@1"])).toMatchObject({ n: 2, withoutTruth: 1, withoutRanking: 1 });
    const one = evaluate(rankings, truth, ["hr@1"], { users: Uint32Array.of(3, 0, 0) });
    expect(one).toMatchObject({ n: 1, withoutTruth: 1, withoutRanking: 0 });
    expect(one.metrics["hr@1"]!.value).toBe(1);
    expect(caught(() => evaluate(rankings, truth, ["hr@1"], { users: [0, 2] })))
      .toMatchObject({ name: "DataError", code: "DATA_NO_RANKING", message: expect.stringContaining("User 2") });
    expect(caught(() => evaluate(rankings, truth, ["hr@1"], { users: [-1] })).code).toBe("DATA_UNKNOWN_ID");
  });

  it("has an honest interval at the edges: one user says nothing, all hits are not certainty", () => {
    const one = evaluate([rankingOf(0, [1])], truthOf([[1, 2]], 5), ["ndcg@2", "hr@2"]);
    expect(one.metrics["ndcg@2"]).toMatchObject({ low: 0, high: 1, n: 1 });
    const five = evaluate([0, 1, 2, 3, 4].map((user) => rankingOf(user, [1])), truthOf([[1], [1], [1], [1], [1]], 5), ["hr@1"]);
    // Wilson for 5 of 5: 5 / (5 + 1.96^2).
    expect(five.metrics["hr@1"]!.low).toBeCloseTo(5 / (5 + 1.959963984540054 ** 2), 12);
    expect(five.metrics["hr@1"]!.high).toBe(1);
  });

  it("refuses broken input by code", () => {
    const truth = truthOf([[1], [2]], 5);
    const good = rankingOf(0, [1, 2]);
    const nan = { user: 0, items: Uint32Array.of(1, 2), scores: Float32Array.of(1, NaN) };
    const ragged = { user: 0, items: Uint32Array.of(1, 2), scores: Float32Array.of(1) };
    const cases: [() => unknown, string][] = [
      [() => evaluate([rankingOf(0, [1, 2, 1])], truth), "DATA_RANKING_DUPLICATE"],
      [() => evaluate([nan], truth), "DATA_RANKING_NAN"],
      [() => evaluate([ragged], truth), "DATA_COLUMNS"],
      [() => evaluate([good, good], truth), "DATA_RANKING_TWICE"],
      [() => evaluate([rankingOf(0, [5])], truth), "DATA_UNKNOWN_ID"],
      [() => evaluate([rankingOf(2, [1])], truth), "DATA_UNKNOWN_ID"],
      [() => evaluate([good], truth, ["hr@1"], { mask: truthOf([[1], []], 5) }), "DATA_MASK_TRUTH"],
      [() => evaluate([], truth), "DATA_NO_TRUTH"],
      [() => evaluate([good], truth, ["map@1"]), "CONFIG_METRIC"],
    ];
    for (const [run, code] of cases) expect(caught(run).code).toBe(code);
  });

  it("prints itself", () => {
    const evaluation = evaluate([rankingOf(0, [1]), rankingOf(1, [2]), rankingOf(2, [1])], truthOf([[1], [1], []], 5), ["hr@1"]);
    expect(inspect(evaluation)).toBe([
      "Evaluation of 2 users (1 without truth rows left out)",
      "metric   value     95 % interval",
      "hr@1    0.5000  [0.0945, 0.9055]",
    ].join("\n"));
    expect(JSON.parse(JSON.stringify(evaluation))).toMatchObject({ n: 2, withoutTruth: 1, metrics: { "hr@1": { value: 0.5, n: 2 } } });
  });
});
