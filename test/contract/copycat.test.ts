import { beforeAll, describe, expect, it } from "vitest";
import { bpr } from "../../src/backbone/bpr.js";
import { ease } from "../../src/backbone/ease.js";
import { fitOnce } from "../../src/backbone/memo.js";
import { splitDataset, type Split } from "../../src/data/split.js";
import { synthesize } from "../../src/data/synthetic.js";
import { copycat } from "../../src/generation/copycat.js";
import { referenceKernels } from "../../src/native/reference.js";
import { attentionRetriever } from "../../src/retrieval/attention.js";
import { noHistory, randomRetriever, recentRetriever } from "../../src/retrieval/controls.js";
import { diversityRetriever } from "../../src/retrieval/diversity.js";
import { preferenceRetriever } from "../../src/retrieval/preference.js";
import type { Retriever } from "../../src/retrieval/retriever.js";
import { Cragru } from "../../src/unlearning/cragru.js";
import { CANDIDATE_SOURCES, type CandidateSource } from "../../src/unlearning/options.js";

/**
 * A re-ranker that lifts what it finds both among the candidates and in the printed history. An honest protocol gives it
 * nothing to lift, whatever the filter and the source; the released one prints test rows.
 */
const kernels = referenceKernels();
const dataset = synthesize({ users: 60, items: 80, meanPerUser: 25, seed: 5 });
const CANDIDATES = 20;
const users = [...Array(60).keys()];
const backbone = fitOnce(bpr({ dimension: 8, epochs: 4, batchSize: 256, learningRate: 0.01, evaluateEvery: 2 }));
const retrievers: Record<string, (budget: number) => Retriever> = {
  preference: (budget) => preferenceRetriever({ budget }), diversity: (budget) => diversityRetriever({ budget }),
  attention: (budget) => attentionRetriever({ budget }), recent: (budget) => recentRetriever({ budget }),
  random: (budget) => randomRetriever({ budget }), none: () => noHistory(),
};
let strict: Split, released: Split;
beforeAll(() => {
  strict = splitDataset(dataset, { seed: 7 });
  released = splitDataset(dataset, { seed: 7, protocol: "released" });
});

/** After the request: the backbone's own lists, the copied ones, and the breaches counted. */
async function served(split: Split, source: CandidateSource, retriever: Retriever): Promise<{ own: number[][]; copied: number[][]; violations: Cragru["violations"] }> {
  const method = new Cragru({ backbone: source === "exact" ? ease({ lambda: 50 }) : backbone, retriever, generator: copycat(), candidates: CANDIDATES, candidateSource: source, seed: 7, kernels });
  await method.learn(split);
  await method.forget(split.protocol === "strict" ? { interactions: split.forget } : { users: [...split.forgetUsers] });
  const own = await method.candidates(users, { k: 40 });
  const { rankings } = await method.answer(users, 40);
  return { own: own.map(({ items }) => [...items]), copied: rankings.map(({ items }) => [...items]), violations: method.violations };
}

describe("the copycat", () => {
  const cases = CANDIDATE_SOURCES.flatMap((source) => Object.keys(retrievers).map((name) => [source, name] as const));
  it.each(cases)("equals the backbone's order for every user under strict: candidates from %s, %s", async (source, name) => {
    const { own, copied, violations } = await served(strict, source, retrievers[name]!(10));
    expect(copied).toEqual(own);
    expect(violations).toEqual({ test: 0, candidates: 0, forgotten: 0 });
  });

  it.each(Object.keys(retrievers).filter((name) => name !== "none"))("lifts exactly the leaked test rows under released: %s", async (name) => {
    const { own, copied } = await served(released, "full", retrievers[name]!(100));
    const leaked = released.history.intersect(released.test);
    const lifted = own.map((items, user) => {
      const head = items.slice(0, CANDIDATES);
      return [...head.filter((item) => leaked.has(user, item)), ...head.filter((item) => !leaked.has(user, item)), ...items.slice(CANDIDATES)];
    });
    expect(copied).toEqual(lifted);
    expect(copied).not.toEqual(own);
  });

  it("counts each breach of a prompt once", async () => {
    const { violations } = await served(released, "full", recentRetriever({ budget: 100 }));
    expect(violations.test).toBe(released.history.intersect(released.test).length);
  });
});
