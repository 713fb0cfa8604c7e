import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/core/errors.js";
import { DEFAULT_METRICS, parseMetric } from "../../../src/evaluation/metrics.js";

describe("parseMetric", () => {
  it("reads kind and K", () => {
    expect(parseMetric("ndcg@10")).toMatchObject({ name: "ndcg@10", kind: "ndcg", k: 10 });
    expect(parseMetric("mrr@1")).toMatchObject({ kind: "mrr", k: 1 });
    expect(DEFAULT_METRICS.map((name) => parseMetric(name).name)).toEqual(
      ["hr@1", "ndcg@1", "hr@3", "ndcg@3", "hr@5", "ndcg@5", "hr@10", "ndcg@10", "hr@20", "ndcg@20"]);
  });

  it("refuses everything else and lists what there is", () => {
    for (const name of ["ndcg", "ndcg@0", "ndcg@-1", "ndcg@1.5", "NDCG@10", "map@10", "@10", "", "hr@ 5", "hr@05", "toString@3"]) {
      expect(() => parseMetric(name)).toThrow(ConfigError);
      expect(() => parseMetric(name)).toThrow(/hr@K, ndcg@K, recall@K, mrr@K, precision@K/);
    }
  });
});

describe("values", () => {
  const hits = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 12 }).map((ranks) => ranks.sort((a, b) => a - b));
  const cases = fc.record({ ranks: hits, spare: fc.integer({ min: 0, max: 5 }), k: fc.integer({ min: 1, max: 45 }) })
    .map(({ ranks, spare, k }) => ({ ranks, k, relevant: Math.max(1, ranks.length + spare) }));

  it("lie in [0, 1], and hr@1, ndcg@1, mrr@1 and precision@1 are one number", () => {
    fc.assert(fc.property(cases, ({ ranks, relevant, k }) => {
      for (const kind of ["hr", "ndcg", "recall", "mrr", "precision"]) {
        const value = parseMetric(`${kind}@${k}`).value(ranks, relevant);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThanOrEqual(1);
      }
      const first = ["hr@1", "ndcg@1", "mrr@1", "precision@1"].map((name) => parseMetric(name).value(ranks, relevant));
      expect(new Set(first).size).toBe(1);
    }));
  });

  it("never fall when a hit moves up", () => {
    fc.assert(fc.property(cases, fc.nat(), ({ ranks, relevant, k }, pick) => {
      fc.pre(ranks.length > 0);
      const at = pick % ranks.length;
      const above = at === 0 ? 0 : ranks[at - 1]!;
      fc.pre(ranks[at]! - 1 > above);
      const better = ranks.map((rank, index) => (index === at ? rank - 1 : rank));
      for (const kind of ["hr", "ndcg", "recall", "mrr", "precision"]) {
        const metric = parseMetric(`${kind}@${k}`);
        expect(metric.value(better, relevant)).toBeGreaterThanOrEqual(metric.value(ranks, relevant));
      }
    }));
  });
});
