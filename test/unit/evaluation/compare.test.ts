import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { KeyedRandom } from "../../../src/core/rng.js";
import { compare } from "../../../src/evaluation/compare.js";
import { type Evaluation, evaluate } from "../../../src/evaluation/evaluate.js";
import { holm, pairedBootstrap, wilcoxonSignedRank } from "../../../src/evaluation/significance.js";
import { rankingOf, truthOf } from "./lists.js";

const USERS = 40, ITEMS = 30;
const random = new KeyedRandom(3, "synthetic/row");
const truth = truthOf(Array.from({ length: USERS }, (_, user) => [random.integer(ITEMS, user, 0), random.integer(ITEMS, user, 1)]), ITEMS);

/** Lists that put truth rows first for a share of the users. */
function method(share: number, users = USERS, first = 0): Evaluation {
  return evaluate(Array.from({ length: users }, (_, at) => {
    const user = first + at;
    const good = random.uniform(user, 7, 1) < share;
    const items = Array.from({ length: ITEMS }, (_, item) => item);
    return rankingOf(user, good ? [...truth.itemsOf(user), ...items.filter((item) => !truth.has(user, item))] : items);
  }), truth, ["ndcg@5", "hr@5"]);
}

const evaluations = { retrain: method(0.9), cragru: method(0.6), popularity: method(0) };

describe("compare", () => {
  const comparison = compare(evaluations, { reference: "retrain", metrics: ["ndcg@5", "hr@5"], published: { cragru: { "hr@5": 0.5 } } });

  it("gives each row its difference, paired interval, p and Holm's p over the methods of the metric", () => {
    expect(comparison.rows.map(({ label, metric }) => `${label} ${metric}`)).toEqual([
      "retrain ndcg@5", "cragru ndcg@5", "popularity ndcg@5", "retrain hr@5", "cragru hr@5", "popularity hr@5"]);
    for (const metric of ["ndcg@5", "hr@5"]) {
      const tests = (["cragru", "popularity"] as const).map((label) => {
        const ours = evaluations[label].perUser[metric]!, theirs = evaluations.retrain.perUser[metric]!;
        const { value, low, high } = pairedBootstrap(ours, theirs, { users: evaluations.retrain.users });
        const { p } = wilcoxonSignedRank(ours, theirs);
        expect(comparison.row(label, metric)).toMatchObject({ pairs: USERS, difference: value, differenceLow: low, differenceHigh: high, p });
        return p;
      });
      expect(["cragru", "popularity"].map((label) => comparison.row(label, metric)!.pHolm)).toEqual(holm(tests));
      expect(comparison.row("retrain", metric)!.difference).toBeUndefined();
    }
    expect(comparison.row("popularity", "ndcg@5")!.difference).toBeLessThan(0);
    expect(comparison.row("cragru", "hr@5")!.publishedDifference).toBeCloseTo(evaluations.cragru.metrics["hr@5"]!.value - 0.5, 14);
    expect(comparison.row("nobody", "hr@5")).toBeUndefined();
  });

  it("pairs only the users that both have, and says how many", () => {
    const part = method(0.6, 15, 30 - 5);
    const { rows } = compare({ retrain: method(0.9, 30), part, apart: method(0.6, 5, 35) }, { reference: "retrain", metrics: ["ndcg@5"] });
    expect(rows[1]).toMatchObject({ n: 15, pairs: 5 });
    const both = method(0.9, 30).perUser["ndcg@5"]!.slice(25), own = part.perUser["ndcg@5"]!.slice(0, 5);
    expect(rows[1]!.difference).toBeCloseTo(own.reduce((sum, value, at) => sum + value - both[at]!, 0) / 5, 14);
    expect(rows[2]).toMatchObject({ n: 5, pairs: 0 });
    expect(rows[2]!.p).toBeUndefined();
  });

  it("needs no reference, and takes the metrics of the first evaluation", () => {
    const plain = compare(evaluations);
    expect(plain.rows.length).toBe(6);
    expect(plain.rows.every((row) => row.difference === undefined)).toBe(true);
    expect(String(plain)).not.toContain("difference");
  });

  it("refuses unknown references and metrics, naming what there is", () => {
    expect(() => compare({})).toThrow(/nothing to compare/);
    expect(() => compare(evaluations, { reference: "toString" })).toThrow(/retrain, cragru, popularity/);
    expect(() => compare(evaluations, { metrics: ["hr@7"] })).toThrow(/ndcg@5, hr@5/);
  });

  it("prints an aligned table, JSON and HTML", () => {
    const text = inspect(comparison).split("\n");
    expect(text[0]).toContain("differences to retrain");
    expect(text[1]).toMatch(/^method +metric +value +95 % +n +difference +95 % paired +pairs +p +p Holm +published +ours - published$/);
    expect(text).toHaveLength(8);
    expect(text[2]).toMatch(/^retrain +ndcg@5 +0\.\d{4} +\[0\.\d{4}, [01]\.\d{4}\] +40$/);
    expect(text[4]).toMatch(/^popularity .* 40 +-0\.\d{4} +\[-0\.\d{4}, -0\.\d{4}\] +40 +<0\.0001 +<0\.0001$/);
    const json = JSON.parse(JSON.stringify(comparison)) as { rows: unknown[] };
    expect(json.rows).toHaveLength(6);
    const html = compare({ "<b>": evaluations.cragru }, {}).toHtml();
    expect(html).toMatch(/^<table><caption>.*<\/caption><thead><tr><th align="left">method<\/th>.*<\/tbody><\/table>$/);
    expect(html).toContain("&#60;b&#62;");
    expect(html).not.toContain("<b>");
  });

  it("gives the same bytes again, and other intervals for another seed", () => {
    const again = compare(evaluations, { reference: "retrain", metrics: ["ndcg@5", "hr@5"], published: { cragru: { "hr@5": 0.5 } } });
    expect(JSON.stringify(again)).toBe(JSON.stringify(comparison));
    const other = compare(evaluations, { reference: "retrain", seed: 1 });
    expect(other.row("cragru", "ndcg@5")!.differenceLow).not.toBe(comparison.row("cragru", "ndcg@5")!.differenceLow);
    expect(compare({ a: evaluations.cragru, b: evaluations.cragru }, { reference: "a" }).row("b", "hr@5"))
      .toMatchObject({ difference: 0, p: 1, pHolm: 1 });
  });
});
