import type { Backbone, FitOptions, FittedBackbone } from "../backbone/backbone.js";
import { bpr } from "../backbone/bpr.js";
import { ease } from "../backbone/ease.js";
import { lightGcn } from "../backbone/lightgcn.js";
import { fitOnce } from "../backbone/memo.js";
import type { Interactions } from "../core/interactions.js";
import type { Protocol } from "../data/split.js";
import { attentionRetriever } from "../retrieval/attention.js";
import { noHistory, randomRetriever, recentRetriever } from "../retrieval/controls.js";
import { diversityRetriever } from "../retrieval/diversity.js";
import { preferenceRetriever } from "../retrieval/preference.js";
import type { Retriever } from "../retrieval/retriever.js";
import type { BackboneName, RetrieverName } from "./config.js";

/** Above so many items the ridge is heavier: 400 is right for MovieLens 100K, 1,000 for 1M. Public facts of the catalogue, not of its users. */
const LARGE_CATALOGUE = 3000;

/** The backbone of a name, with its defaults for a catalogue of `items`. */
export function backboneOf(name: BackboneName, items: number): Backbone {
  switch (name) {
    case "bpr":
      return bpr();
    case "lightgcn":
      return lightGcn();
    case "ease":
      return ease({ lambda: items > LARGE_CATALOGUE ? 1000 : 400 });
  }
}

/**
 * The filter or control of a name; `budget` rows of history at most. Under the released protocol the filters are the authors'
 * own: they act on long histories only, and "recent" is their first ten rows.
 */
export function retrieverOf(name: RetrieverName, budget: number, protocol: Protocol = "strict"): Retriever {
  const variant = protocol === "released" ? "released" : "paper";
  switch (name) {
    case "attention":
      return attentionRetriever({ budget, variant });
    case "attention-trained":
      return attentionRetriever({ budget, projections: "trained" });
    case "preference":
      return preferenceRetriever({ budget, variant });
    case "diversity":
      return diversityRetriever({ budget, variant });
    case "random":
      return randomRetriever({ budget });
    case "recent":
      return recentRetriever({ budget, variant });
    case "none":
      return noHistory();
  }
}

/** A backbone that many methods share, and that says what its sharing saved. */
export interface SharedBackbone extends Backbone {
  /** The recipe behind it: a model that changes with requests (candidate source "exact") must not be shared. */
  readonly origin: Backbone;
  /** Seconds of training that calls since the last look took from an earlier fit; looking resets it. */
  borrowedSeconds(): number;
}

/**
 * One training per data: {@link fitOnce} around `backbone`, sized for `rows` training rows so that a fit on fewer rows takes
 * the same steps. A method that finds its model already fitted still owes that time: `borrowedSeconds` gives it back.
 */
export function sharedBackbone(backbone: Backbone, rows: number): SharedBackbone {
  let borrowed = 0;
  const watched = (inner: Backbone): Backbone => ({
    name: inner.name,
    options: inner.options,
    async fit(train: Interactions, options?: FitOptions): Promise<FittedBackbone> {
      const start = performance.now();
      const model = await inner.fit(train, options);
      borrowed += Math.max(0, model.report.seconds - (performance.now() - start) / 1000);
      return model;
    },
    ...(inner.sizedFor ? { sizedFor: (count: number) => watched(inner.sizedFor!(count)) } : {}),
  });
  const shared = watched(fitOnce(backbone.sizedFor?.(rows) ?? backbone));
  return {
    ...shared,
    origin: backbone,
    borrowedSeconds: () => {
      const seconds = borrowed;
      borrowed = 0;
      return seconds;
    },
  };
}
