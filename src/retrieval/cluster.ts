import { ConfigError } from "../core/errors.js";
import { fingerprint } from "../core/fingerprint.js";
import { log } from "../core/math.js";
import { Breather, type RunOptions } from "../core/progress.js";
import type { Dataset } from "../data/dataset.js";
import type { Kernels } from "../native/kernels.js";
import { loadKernels } from "../native/load.js";
import { kMeans, silhouette } from "./kmeans.js";
import { catalogueVectors, genresOf, meanVector, titleFrequency, titleWords, unit, type WordVectors } from "./wordvectors.js";

/** Item categories c_1..c_n of the paper (section III-B): one label an item, from public metadata only. */
export interface Categories {
  /** Label of each item [itemCount], 0 .. names.length - 1. */
  labels: Uint32Array;
  /** A readable name of each category: its genre words, or the title words that set it apart. */
  names: string[];
  method: string;
  seed: number;
  /** Mean silhouette of the clustered words or titles, -1..1; 0 where nothing was clustered. */
  silhouette: number;
  /** Words that no vector was found for; they decide nothing. */
  unknownWords: string[];
  /** SHA-256 over labels, names and method. */
  hash: string;
}

export interface ClusterOptions extends RunOptions {
  /** Number of clusters; default 5, as in the paper. Fewer where fewer words, or words with different vectors, are there. */
  k?: number;
  seed?: number;
  /** Default: {@link catalogueVectors}. */
  vectors?: WordVectors;
  /** Default: those of this process, {@link loadKernels}. */
  kernels?: Kernels;
}

/**
 * Clusters the catalogue: genre words -> vectors -> length 1 -> k-means. An item belongs to the cluster that holds most of its
 * genre words, ties to the smaller id; items without a known genre form a category of their own. A catalogue without genres:
 * whole titles (mean of their words, rare ones counting more), as the paper does for Netflix. No interaction is read, so a
 * forget request changes nothing here. The released code standardises axes, reduces to two and picks a random genre's cluster.
 * @throws ConfigError when k is no whole number of at least 1, or no word has a vector.
 */
export async function clusterItems(dataset: Dataset, options: ClusterOptions = {}): Promise<Categories> {
  const { k = 5, seed = 2020, vectors = catalogueVectors(dataset), kernels = loadKernels(), signal } = options;
  const run = { seed, kernels, ...(signal ? { signal } : {}) };
  const genres = genresOf(dataset);
  if (genres.length === 0) return clusterTitles(dataset, k, vectors, run);

  const words = genres.filter((genre) => vectors.get(genre));
  const points = words.map((word) => Float64Array.from(vectors.get(word)!));
  const found = await clustered(points, k, vectors, run, `genre of ${dataset.name}`);
  const cluster = new Map(words.map((word, at) => [word, found.labels[at]!]));
  const labels = new Uint32Array(dataset.itemCount);
  let homeless = false;
  for (let item = 0; item < dataset.itemCount; item++) {
    const votes = new Uint32Array(found.count);
    for (const genre of dataset.genres(item)) {
      const label = cluster.get(genre);
      if (label !== undefined) votes[label]!++;
    }
    const most = votes.reduce((a, b) => Math.max(a, b), 0);
    labels[item] = most > 0 ? votes.indexOf(most) : found.count;
    homeless ||= most === 0;
  }
  const names = Array.from({ length: found.count }, (_, label) => words.filter((word) => cluster.get(word) === label).join(", "));
  if (homeless) names.push("no genre");
  const unknownWords = genres.filter((genre) => !vectors.get(genre));
  return categories(labels, names, `k-means of genre words, ${vectors.origin}`, seed, found.silhouette, unknownWords);
}

/** One category per genre, an item under its first genre; items without genre form their own. */
export function genreCategories(dataset: Dataset): Categories {
  const genres = genresOf(dataset);
  const labels = new Uint32Array(dataset.itemCount);
  let homeless = false;
  for (let item = 0; item < dataset.itemCount; item++) {
    const first = dataset.genres(item)[0];
    labels[item] = first === undefined ? genres.length : genres.indexOf(first);
    homeless ||= first === undefined;
  }
  return categories(labels, homeless ? [...genres, "no genre"] : genres, "genres as given", 0, 0, []);
}

interface ClusterRun {
  seed: number;
  kernels: Kernels;
  signal?: AbortSignal;
}

async function clusterTitles(dataset: Dataset, k: number, vectors: WordVectors, run: ClusterRun): Promise<Categories> {
  const frequency = titleFrequency(dataset);
  const rarity = (word: string): number => log(1 + dataset.itemCount / frequency.get(word)!);
  const known: number[] = [], points: Float64Array[] = [];
  const breather = new Breather(run.signal);
  for (let item = 0; item < dataset.itemCount; item++) {
    await breather.pause();
    const mean = meanVector(titleWords(dataset.title(item)), vectors, rarity);
    if (!mean) continue;
    known.push(item);
    points.push(mean);
  }
  const found = await clustered(points, k, vectors, run, `title word of ${dataset.name}`);
  const labels = new Uint32Array(dataset.itemCount).fill(found.count);
  known.forEach((item, at) => { labels[item] = found.labels[at]!; });
  const names = Array.from({ length: found.count }, (_, label) => typicalWords(dataset, labels, label, frequency));
  if (known.length < dataset.itemCount) names.push("no known word");
  const unknownWords = [...frequency.keys()].filter((word) => !vectors.get(word)).sort();
  return categories(labels, names, `k-means of titles, ${vectors.origin}`, run.seed, found.silhouette, unknownWords);
}

/** Genre words are few and starts cost nothing; thousands of titles take seconds a start. */
const MANY = 1000;

/** k-means of directions: the angle between words is what their vectors mean, their lengths follow how common they are. */
async function clustered(
  rows: readonly Float64Array[], k: number, { dimension, origin }: WordVectors, run: ClusterRun, what: string,
): Promise<{ labels: Uint32Array; count: number; silhouette: number }> {
  if (rows.length === 0) {
    throw new ConfigError("CONFIG_CLUSTER_VECTORS", `No ${what} has a vector in ${origin}.`, { hint: "Leave `vectors` out to use the catalogue's own text." });
  }
  const points = new Float64Array(rows.length * dimension);
  rows.forEach((row, at) => points.set(unit(row), at * dimension));
  const { labels, centroids } = await kMeans(points, dimension, { k: Math.min(k, rows.length), restarts: rows.length < MANY ? 50 : 5, ...run });
  return { labels, count: centroids.length / dimension, silhouette: await silhouette(points, dimension, labels, run) };
}

/** The three words that set the titles of a cluster apart: count times ln(rate here / rate in all titles), ties alphabetically. */
function typicalWords(dataset: Dataset, labels: Uint32Array, label: number, frequency: ReadonlyMap<string, number>): string {
  const counts = new Map<string, number>();
  let size = 0;
  labels.forEach((own, item) => {
    if (own !== label) return;
    size++;
    for (const word of new Set(titleWords(dataset.title(item)))) counts.set(word, (counts.get(word) ?? 0) + 1);
  });
  const weights = [...counts].map(([word, count]) => ({ word, weight: count * log((count * dataset.itemCount) / (size * frequency.get(word)!)) }));
  return weights.sort((a, b) => b.weight - a.weight || (a.word < b.word ? -1 : 1)).slice(0, 3).map(({ word }) => word).join(", ");
}

function categories(labels: Uint32Array, names: string[], method: string, seed: number, score: number, unknownWords: string[]): Categories {
  return { labels, names, method, seed, silhouette: score, unknownWords, hash: fingerprint("categories", method, labels, ...names) };
}
