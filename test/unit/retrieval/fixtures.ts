import { Interactions } from "../../../src/core/interactions.js";
import { Dataset } from "../../../src/data/dataset.js";
import { referenceKernels } from "../../../src/native/reference.js";
import type { Categories } from "../../../src/retrieval/cluster.js";
import type { RetrievalContext, RetrievalRequest } from "../../../src/retrieval/retriever.js";
import type { WordVectors } from "../../../src/retrieval/wordvectors.js";

export const kernels = referenceKernels();

/** One user (0) who has rated items 0 .. count - 1; ratings 1 to 5 in turn. */
export function historyOf(count: number, itemCount = count, timestamps?: number[]): Interactions {
  return new Interactions({
    users: new Uint32Array(count),
    items: Uint32Array.from({ length: count }, (_, at) => at),
    ratings: Float32Array.from({ length: count }, (_, at) => 1 + (at % 5)),
    ...(timestamps ? { timestamps: Float64Array.from(timestamps) } : {}),
  }, { userCount: 1, itemCount });
}

export function labelled(labels: number[], count = labels.reduce((most, label) => Math.max(most, label + 1), 0)): Categories {
  return {
    labels: Uint32Array.from(labels), names: Array.from({ length: count }, (_, at) => `c${at}`), method: "by hand", seed: 0, silhouette: 0,
    unknownWords: [], hash: "",
  };
}

export function contextOf(train: Interactions, more: Partial<RetrievalContext> = {}): RetrievalContext {
  return { seed: 5, kernels, ratingScale: { min: 1, max: 5 }, train, ...more };
}

export function asked(history: Interactions, candidates: number[] = []): RetrievalRequest {
  return { user: 0, history, candidates: Uint32Array.from(candidates) };
}

/** Rows of each category in a selection. */
export function countsOf(rows: Interactions, { labels, names }: Categories): number[] {
  const counts = names.map(() => 0);
  for (const item of rows.items) counts[labels[item]!]!++;
  return counts;
}

export function datasetOf(items: [string, string[]][]): Dataset {
  return new Dataset({
    name: "shelf", interactions: Interactions.empty({ userCount: 1, itemCount: items.length }),
    items: items.map(([title, genres], at) => ({ id: String(at + 1), title, genres })), users: [{ id: "1" }],
    ratingScale: { min: 1, max: 5 }, source: "invented",
  });
}

export function vectorsOf(table: Record<string, number[]>): WordVectors {
  const words = Object.keys(table).sort();
  return {
    dimension: table[words[0]!]!.length, words, origin: "by hand", hash: "",
    get: (word) => (Object.hasOwn(table, word) ? Float32Array.from(table[word]!) : undefined),
  };
}
