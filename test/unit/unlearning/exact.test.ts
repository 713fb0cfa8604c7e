import { beforeAll, describe, expect, it } from "vitest";
import { bpr } from "../../../src/backbone/bpr.js";
import { ease } from "../../../src/backbone/ease.js";
import { splitDataset, type Split } from "../../../src/data/split.js";
import { synthesize } from "../../../src/data/synthetic.js";
import { embedded } from "../../../src/generation/embedded.js";
import { referenceKernels } from "../../../src/native/reference.js";
import { preferenceRetriever } from "../../../src/retrieval/preference.js";
import { Cragru } from "../../../src/unlearning/cragru.js";
import type { CragruOptions } from "../../../src/unlearning/options.js";

const kernels = referenceKernels();
const users = [...Array(50).keys()];
let split: Split;
beforeAll(() => {
  split = splitDataset(synthesize({ users: 50, items: 70, meanPerUser: 22, seed: 8 }), { seed: 8 });
});
const make = async (options: Partial<CragruOptions> = {}): Promise<Cragru> => {
  const method = new Cragru({ backbone: ease({ lambda: 20 }), retriever: preferenceRetriever({ budget: 8 }), generator: embedded(), candidates: 15, candidateSource: "exact", seed: 8, kernels, ...options });
  await method.learn(split);
  return method;
};

describe("candidate source exact", () => {
  it("gives, prompt by prompt and list by list, what a method fitted on D_r alone gives", async () => {
    const [exact, remain] = [await make(), await make({ candidateSource: "remain" })];
    const requests = [{ interactions: split.forget }, { users: [4] }, { items: [9] }, { interactions: split.train.of(11).slice(0, 2) }];
    for (const request of requests) {
      const receipt = await exact.forget(request);
      await remain.forget(request);
      expect(receipt.residuals).toEqual([]);
      const [a, b] = [await exact.answer(users, 20), await remain.answer(users, 20)];
      expect(a.prompts.map(({ promptHash }) => promptHash)).toEqual(b.prompts.map(({ promptHash }) => promptHash));
      expect(a.rankings.map(({ items }) => [...items])).toEqual(b.rankings.map(({ items }) => [...items]));
    }
  });

  it("moves the model that is there: one fit, whatever is asked", async () => {
    let fits = 0;
    const inner = ease({ lambda: 20 });
    const method = await make({ backbone: { ...inner, fit: (train, options) => { fits++; return inner.fit(train, options); } } });
    for (const user of [1, 2, 3]) await method.forget({ users: [user] });
    await method.recommend(users, 10);
    expect(fits).toBe(1);
    expect(method.model!.report.rows).toBe(split.train.length);
  });

  it("is refused for a backbone that cannot", async () => {
    await expect(make({ backbone: bpr() })).rejects.toMatchObject({ code: "CONFIG_CANDIDATE_SOURCE", hint: expect.stringContaining("ease()") as string });
  });
});
