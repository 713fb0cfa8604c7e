import { ConfigError } from "../core/errors.js";
import { fingerprint } from "../core/fingerprint.js";
import type { RunOptions } from "../core/progress.js";
import type { Dataset } from "../data/dataset.js";
import { kMeans, silhouette } from "./kmeans.js";
import { catalogueVectors, titleWords, type WordVectors } from "./wordvectors.js";

/** Item categories c_1..c_n of the paper (section III-B): one label an item, from public metadata only. */
export interface Categories {
  /** Label of each item [itemCount], 0 .. names.length - 1. */
  labels: Uint32Array;
  /** A readable name of each category: its genre words, or its most typical title words. */
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
  /** Number of clusters; default 5, as in the paper. Fewer where the catalogue has fewer words. */
  k?: number;
  seed?: number;
  /** Default: {@link catalogueVectors}. */
  vectors?: WordVectors;
  /** Cluster genre words, or whole titles (for catalogues without genres, as the paper does for Netflix). Default "auto". */
  by?: "genres" | "titles" | "auto";
  /** k-means starts; default 10. */
  restarts?: number;
}

/**
 * Clusters the catalogue: genre words -> vectors -> standardised axes -> k-means. An item belongs to the cluster that holds most
 * of its genre words, ties to the smaller id; items without a known genre form a category of their own. No interaction is read,
 * so a forget request changes nothing here. The released code reduces to two axes and picks a random genre's cluster instead.
 * @throws ConfigError when genres are asked for and the catalogue has none.
 */
export async function clusterItems(dataset: Dataset, options: ClusterOptions = {}): Promise<Categories> {
  const { k = 5, seed = 2020, vectors = catalogueVectors(dataset), by = "auto", restarts = 10 } = options;
  const genres = genresOf(dataset);
  if (by === "genres" && genres.length === 0) {
    throw new ConfigError("CONFIG_CLUSTER_GENRES", `${dataset.name} has no genres to cluster.`, { hint: 'Use { by: "titles" }.' });
  }
  const run = { seed, restarts, ...(options.signal ? { signal: options.signal } : {}) };
  if (by === "titles" || genres.length === 0) return clusterTitles(dataset, k, vectors, run);

  const unknownWords = genres.filter((genre) => !vectors.get(genre));
  const words = genres.filter((genre) => vectors.get(genre));
  if (words.length === 0) {
    throw new ConfigError("CONFIG_CLUSTER_VECTORS", `No genre of ${dataset.name} has a vector in ${vectors.origin}.`, { hint: "Leave `vectors` out to use the catalogue's own text." });
  }
  const points = standardised(words.map((word) => vectors.get(word)!), vectors.dimension);
  const found = await kMeans(points, vectors.dimension, { k: Math.min(k, words.length), ...run });
  const cluster = new Map(words.map((word, at) => [word, found.labels[at]!]));
  const count = Math.min(k, words.length);
  const labels = new Uint32Array(dataset.itemCount);
  let homeless = false;
  for (let item = 0; item < dataset.itemCount; item++) {
    const votes = new Uint32Array(count);
    for (const genre of dataset.genres(item)) {
      const label = cluster.get(genre);
      if (label !== undefined) votes[label]!++;
    }
    const most = Math.max(...votes);
    labels[item] = most > 0 ? votes.indexOf(most) : count;
    homeless ||= most === 0;
  }
  const names = Array.from({ length: count }, (_, label) => words.filter((word) => cluster.get(word) === label).join(", "));
  if (homeless) names.push("no genre");
  return categories(labels, names, `k-means of genre words, ${vectors.origin}`, seed, silhouette(points, vectors.dimension, found.labels, seed), unknownWords);
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

async function clusterTitles(dataset: Dataset, k: number, vectors: WordVectors, run: { seed: number; restarts: number; signal?: AbortSignal }): Promise<Categories> {
  const known: number[] = [], rows: Float32Array[] = [];
  const unknown = new Set<string>();
  for (let item = 0; item < dataset.itemCount; item++) {
    const own: Float32Array[] = [];
    for (const word of titleWords(dataset.title(item))) {
      const vector = vectors.get(word);
      if (vector) own.push(vector);
      else unknown.add(word);
    }
    if (own.length === 0) continue;
    known.push(item);
    rows.push(Float32Array.from({ length: vectors.dimension }, (_, axis) => own.reduce((sum, vector) => sum + vector[axis]!, 0) / own.length));
  }
  if (rows.length === 0) {
    throw new ConfigError("CONFIG_CLUSTER_VECTORS", `No title word of ${dataset.name} has a vector in ${vectors.origin}.`, { hint: "Leave `vectors` out to use the catalogue's own text." });
  }
  const points = standardised(rows, vectors.dimension);
  const count = Math.min(k, rows.length);
  const found = await kMeans(points, vectors.dimension, { k: count, ...run });
  const labels = new Uint32Array(dataset.itemCount).fill(count);
  known.forEach((item, at) => { labels[item] = found.labels[at]!; });
  const names = Array.from({ length: count }, (_, label) => typicalWords(dataset, known.filter((_, at) => found.labels[at] === label)));
  if (known.length < dataset.itemCount) names.push("no known word");
  return categories(labels, names, `k-means of titles, ${vectors.origin}`, run.seed, silhouette(points, vectors.dimension, found.labels, run.seed), [...unknown].sort());
}

function genresOf(dataset: Dataset): string[] {
  const genres = new Set<string>();
  for (let item = 0; item < dataset.itemCount; item++) for (const genre of dataset.genres(item)) genres.add(genre);
  return [...genres].sort();
}

/** The three commonest words of some titles, ties alphabetically. */
function typicalWords(dataset: Dataset, items: readonly number[]): string {
  const counts = new Map<string, number>();
  for (const item of items) for (const word of new Set(titleWords(dataset.title(item)))) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 3).map(([word]) => word).join(", ");
}

/** Every axis to mean 0 and variance 1; an axis without variance becomes 0. */
function standardised(rows: readonly Float32Array[], dimension: number): Float64Array {
  const points = new Float64Array(rows.length * dimension);
  for (let axis = 0; axis < dimension; axis++) {
    const mean = rows.reduce((sum, row) => sum + row[axis]!, 0) / rows.length;
    const deviation = Math.sqrt(rows.reduce((sum, row) => sum + (row[axis]! - mean) ** 2, 0) / rows.length);
    if (deviation > 1e-9) rows.forEach((row, at) => { points[at * dimension + axis] = (row[axis]! - mean) / deviation; });
  }
  return points;
}

function categories(labels: Uint32Array, names: string[], method: string, seed: number, score: number, unknownWords: string[]): Categories {
  return { labels, names, method, seed, silhouette: score, unknownWords, hash: fingerprint("categories", method, labels, ...names) };
}
