import { describe, expect, it } from "vitest";
import { Interactions } from "../../src/core/interactions.js";
import type { Ranking } from "../../src/core/ranking.js";
import { evaluate } from "../../src/evaluation/evaluate.js";

const shape = { userCount: 3, itemCount: 200 };

function rowsOf(byUser: Record<number, number[]>): Interactions {
  const rows = Object.entries(byUser).flatMap(([user, items]) => items.map((item) => ({ user: Number(user), item })));
  return Interactions.from({
    users: Uint32Array.from(rows, (row) => row.user), items: Uint32Array.from(rows, (row) => row.item),
    ratings: new Float32Array(rows.length).fill(1),
  }, shape);
}

function list(user: number, items: number[], scores = items.map((_, at) => -at)): Ranking {
  return { user, items: Uint32Array.from(items), scores: Float32Array.from(scores) };
}

/** log2(3), log2(5) and so on, to check against by hand. */
const L3 = 1.584962500721156, L5 = 2.321928094887362, L6 = 2.584962500721156;

describe("metrics by hand", () => {
  // Truth 10, 11, 12; hits at ranks 2 and 5.
  const truth = rowsOf({ 0: [10, 11, 12] });
  const ranking = list(0, [50, 11, 51, 52, 10, 53]);
  const value = (name: string, rankings = [ranking], mask?: Interactions): number =>
    evaluate(rankings, truth, [name], mask ? { mask } : {}).metrics[name]!.value;

  it("hit rate, recall, reciprocal rank and precision", () => {
    expect([value("hr@1"), value("hr@2"), value("hr@5")]).toEqual([0, 1, 1]);
    expect([value("recall@1"), value("recall@2"), value("recall@5")]).toEqual([0, 1 / 3, 2 / 3]);
    expect([value("mrr@1"), value("mrr@2"), value("mrr@20")]).toEqual([0, 0.5, 0.5]);
    expect([value("precision@2"), value("precision@5"), value("precision@20")]).toEqual([0.5, 0.4, 0.1]);
  });

  it("ndcg with |T| < K and with |T| > K", () => {
    const ideal3 = 1 + 1 / L3 + 1 / 2;
    expect(value("ndcg@1")).toBe(0);
    expect(value("ndcg@2")).toBeCloseTo((1 / L3) / (1 + 1 / L3), 14);
    expect(value("ndcg@5")).toBeCloseTo((1 / L3 + 1 / L6) / ideal3, 14);
    expect(value("ndcg@20")).toBeCloseTo((1 / L3 + 1 / L6) / ideal3, 14);
  });

  it("a perfect list scores exactly 1, a list without hits exactly 0", () => {
    for (const k of [1, 3, 5, 20]) {
      expect(value(`ndcg@${k}`, [list(0, [12, 10, 11, 5])])).toBe(1);
      expect(value(`ndcg@${k}`, [list(0, [1, 2, 3, 4])])).toBe(0);
    }
  });

  it("takes the list as it stands: equal scores are not sorted again", () => {
    expect(value("mrr@5", [list(0, [3, 10, 7], [1, 1, 1])])).toBe(0.5);
    expect(value("mrr@5", [list(0, [3, 7, 10], [1, 1, 1])])).toBeCloseTo(1 / 3, 15);
  });

  it("a list shorter than K is scored as it is, an empty one too", () => {
    expect(value("hr@20", [list(0, [10])])).toBe(1);
    expect(value("ndcg@5", [list(0, [10])])).toBeCloseTo(1 / (1 + 1 / L3 + 1 / 2), 14);
    expect(value("hr@20", [list(0, [])])).toBe(0);
  });

  it("forgotten items inside the top are taken out before the cut", () => {
    const mask = rowsOf({ 0: [50, 51], 1: [11] });
    expect(value("hr@1", [ranking], mask)).toBe(1);
    expect(value("ndcg@3", [ranking], mask)).toBeCloseTo((1 + 1 / 2) / (1 + 1 / L3 + 1 / 2), 14);
    expect(value("mrr@5", [ranking], mask)).toBe(1);
  });

  it("more than 30 forgotten candidates: the items behind the 50 candidates come up", () => {
    const candidates = Array.from({ length: 50 }, (_, at) => 100 + at);
    const forgotten = candidates.filter((_, at) => at % 3 !== 0);
    expect(forgotten.length).toBe(33);
    // 17 candidates are left; rank 51 of the list becomes rank 18, rank 53 becomes rank 20.
    const long = list(0, [...candidates, 10, 60, 11, 12]);
    expect(value("recall@17", [long], rowsOf({ 0: forgotten }))).toBe(0);
    expect(value("recall@18", [long], rowsOf({ 0: forgotten }))).toBe(1 / 3);
    expect(value("recall@20", [long], rowsOf({ 0: forgotten }))).toBe(2 / 3);
    expect(value("mrr@20", [long], rowsOf({ 0: forgotten }))).toBe(1 / 18);
    expect(value("recall@20", [long])).toBe(0);
  });

  it("|T| = 0: the user is excluded and counted, not a zero", () => {
    const evaluation = evaluate([list(0, [10]), list(1, [10])], truth, ["hr@1"]);
    expect(evaluation.metrics["hr@1"]!.value).toBe(1);
    expect(evaluation).toMatchObject({ n: 1, withoutTruth: 1, withoutRanking: 0 });
  });

  it("means over users: HR@3 and NDCG@3 of two users", () => {
    const two = rowsOf({ 0: [1], 2: [4, 5] });
    const evaluation = evaluate([list(2, [7, 8, 9, 4]), list(0, [9, 8, 1])], two, ["hr@3", "ndcg@3", "ndcg@4"]);
    expect(Array.from(evaluation.users)).toEqual([0, 2]);
    expect(Array.from(evaluation.perUser["hr@3"]!)).toEqual([1, 0]);
    expect(evaluation.metrics["ndcg@3"]!.value).toBeCloseTo(0.5 / 2, 15);
    expect(evaluation.metrics["ndcg@4"]!.value).toBeCloseTo((0.5 + (1 / L5) / (1 + 1 / L3)) / 2, 14);
  });
});
