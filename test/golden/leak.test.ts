import { describe, expect, it } from "vitest";
import { bpr } from "../../src/backbone/bpr.js";
import { fitOnce } from "../../src/backbone/memo.js";
import { loadDataset } from "../../src/data/load.js";
import { evalMask } from "../../src/data/masks.js";
import { splitDataset, type Split } from "../../src/data/split.js";
import { evaluate } from "../../src/evaluation/evaluate.js";
import { copycat } from "../../src/generation/copycat.js";
import { loadKernels } from "../../src/native/load.js";
import { recentRetriever } from "../../src/retrieval/controls.js";
import { Cragru } from "../../src/unlearning/cragru.js";

const data = process.env["CRAGRU_DATA"];
const kernels = loadKernels();

/** HR@10, NDCG@5 and NDCG@10 of the backbone's own lists and of the copycat's, remaining users; and the prompts' breaches. */
async function contrast(split: Split): Promise<{ own: number[]; copy: number[]; equal: boolean; breaches: number }> {
  const method = new Cragru({
    backbone: fitOnce(bpr({ epochs: 40, patience: 2 })), retriever: recentRetriever(), generator: copycat(), kernels,
  });
  await method.learn(split);
  await method.forget({ interactions: split.protocol === "strict" ? split.forget : split.forget.intersect(split.train.union(split.valid)) });
  const users = split.remainUsers.filter((user) => split.test.countOf(user) > 0);
  const depth = 50;
  const own = await method.candidates(users, { k: depth });
  const copy = await method.recommend(users, depth);
  const metrics = ["hr@10", "ndcg@5", "ndcg@10"];
  const values = (lists: typeof own): number[] => {
    const found = evaluate(lists, split.test, metrics, { mask: evalMask(split), users });
    return metrics.map((name) => found.metrics[name]!.value);
  };
  const equal = own.every((list, at) => list.items.every((item, rank) => item === copy[at]!.items[rank]));
  return { own: values(own), copy: values(copy), equal, breaches: method.violations.test };
}

describe.skipIf(!data || kernels.face === "js")("the leak of the released protocol on ML-100K (needs CRAGRU_DATA and the native core)", () => {
  it("gives a re-ranker that only copies its history nothing under strict, and a large gain under released", async () => {
    const dataset = await loadDataset("ml-100k");
    const strict = await contrast(splitDataset(dataset));
    expect(strict.equal).toBe(true);
    expect(strict.copy).toEqual(strict.own);
    expect(strict.breaches).toBe(0);

    const released = await contrast(splitDataset(dataset, { protocol: "released", forget: { unit: "users", ratio: 0.1 } }));
    expect(released.equal).toBe(false);
    expect(released.breaches).toBeGreaterThan(1000);
    // The reference simulation: NDCG@5 from .302 to .761. A smaller backbone here, the same picture.
    expect(released.copy[1]! - released.own[1]!).toBeGreaterThan(0.25);
    expect(released.copy[0]! - released.own[0]!).toBeGreaterThan(0.05);
  }, 120_000);
});
