import { expect, it } from "vitest";
import type { Backbone } from "../../../src/backbone/backbone.js";
import { popularityBackbone } from "../../../src/backbone/popularity.js";
import { fingerprintRows } from "../../../src/core/fingerprint.js";
import { splitDataset } from "../../../src/data/split.js";
import { synthesize } from "../../../src/data/synthetic.js";
import { embedded } from "../../../src/generation/embedded.js";
import { noHistory } from "../../../src/retrieval/controls.js";
import { Cragru } from "../../../src/unlearning/cragru.js";
import { retrain } from "../../../src/unlearning/retrain.js";

const split = splitDataset(synthesize({ users: 40, items: 60, meanPerUser: 22, seed: 6 }), { seed: 6 });

/** Popularity whose first fit ends only when `release` is called, however it was stopped meanwhile. */
function slowFirst(): { backbone: Backbone; release: () => void } {
  let release = (): void => {}, fits = 0;
  const gate = new Promise<void>((resolve) => { release = resolve; });
  const inner = popularityBackbone();
  return {
    release: () => release(),
    backbone: {
      name: "slow", options: {},
      async fit(train, options) {
        if (fits++ === 0) await gate;
        return inner.fit(train, { ...options, signal: new AbortController().signal });
      },
    },
  };
}

it.each(["retrain", "cragru"] as const)("%s never serves the model of a fit that a request overtook", async (name) => {
  const { backbone, release } = slowFirst();
  const method = name === "retrain" ? retrain(backbone)
    : new Cragru({ backbone, retriever: noHistory(), generator: embedded(), candidates: 12, candidateSource: "remain" });
  const learning = method.learn(split);
  const forgotten = method.forget({ interactions: split.forget });
  setTimeout(release, 20);
  await Promise.all([learning, forgotten]);
  expect(method.model!.report.trainedOn).toBe(fingerprintRows(split.trainRemain));
});
