import type { RunOptions } from "../../core/progress.js";
import type { Dataset } from "../../data/dataset.js";
import { clusterItems } from "../../retrieval/cluster.js";
import { catalogueVectors, readWordVectors, titleWords, type WordVectors } from "../../retrieval/wordvectors.js";
import { resolveConfig } from "../config.js";
import { defined } from "../defined.js";
import { makeFolder } from "../draft.js";
import { alone, DEFAULT_RUN, finishStep, openRun, stepFolder, type StepOptions } from "./folder.js";

export interface ClusterStepOptions extends StepOptions {
  /** Number of categories (default 5). */
  k?: number;
  /** Word vectors in the word2vec binary format; default: vectors of the catalogue's own text. */
  vectors?: string;
}

/** What 2-clusters/categories.json holds. */
export interface ClusterRecord {
  format: "cragru-categories-1";
  splitHash: string;
  datasetFingerprint: string;
  k: number;
  /** The word vector file, where one was given. */
  vectors?: string;
  seed: number;
  method: string;
  silhouette: number;
  /** Of the split: printed with everything made under the released protocol. */
  warning?: string;
  names: string[];
  /** Category of each item, in the order of the catalogue. */
  labels: number[];
  hash: string;
}

/** Value of the second step. */
export class ClusterStep {
  constructor(readonly record: ClusterRecord, readonly folder: string) {}

  /** Items of each category. */
  get sizes(): number[] {
    const sizes = this.record.names.map(() => 0);
    for (const label of this.record.labels) sizes[label]!++;
    return sizes;
  }

  toJSON(): ClusterRecord & { sizes: number[]; folder: string } {
    return { ...this.record, sizes: this.sizes, folder: this.folder };
  }

  toString(): string {
    const { names, method, silhouette, seed, hash, labels, warning } = this.record;
    return [
      `${names.length} categories of ${labels.length} items: ${method}`,
      `  seed ${seed}, silhouette ${silhouette.toFixed(3)}, sha256 ${hash.slice(0, 12)}`,
      ...names.map((name, at) => `  ${String(this.sizes[at]).padStart(6)}  ${name}`),
      ...(warning === undefined ? [] : [`  ${warning}`]),
      `  in ${this.folder}`,
    ].join("\n");
  }
}

/**
 * Step 2: clusters the items into categories, from public metadata alone. Writes 2-clusters/categories.json. Needed for the
 * retrievers that use categories; no interaction is read.
 * @throws ConfigError when there is no split, or on `k`; DataError on a bad vector file.
 */
export async function cluster(options: ClusterStepOptions = {}): Promise<ClusterStep> {
  return alone(options.run ?? DEFAULT_RUN, () => clusterIn(options));
}

async function clusterIn(options: ClusterStepOptions): Promise<ClusterStep> {
  const { run, dataset, split } = await openRun(options);
  const { seed } = split, { clusters: k } = resolveConfig({ clusters: options.k ?? 5 });
  const vectors = (await wordsOf(dataset, options.vectors, options)) ?? catalogueVectors(dataset);
  const categories = await clusterItems(dataset, { k, seed, vectors, ...defined({ signal: options.signal }) });
  options.signal?.throwIfAborted();
  const { labels, names, method, silhouette, hash } = categories;
  const record: ClusterRecord = {
    format: "cragru-categories-1", splitHash: split.hash, datasetFingerprint: dataset.fingerprint, k,
    ...defined({ vectors: options.vectors, warning: split.warning }), seed, method, silhouette, names, labels: Array.from(labels), hash,
  };
  const folder = stepFolder(run, "cluster");
  await makeFolder(folder);
  await finishStep(run, "cluster", record);
  return new ClusterStep(record, folder);
}

/** Vectors of the catalogue's words from a word2vec file; undefined without a file. @throws DataError on a bad file. */
export async function wordsOf(dataset: Dataset, file: string | undefined, { signal, onProgress }: RunOptions): Promise<WordVectors | undefined> {
  if (file === undefined) return undefined;
  const words = new Set<string>();
  for (let item = 0; item < dataset.itemCount; item++) {
    for (const genre of dataset.genres(item)) words.add(genre);
    for (const word of titleWords(dataset.title(item))) words.add(word);
  }
  return readWordVectors(file, words, defined({ signal, onProgress }));
}
