import { fingerprint } from "../core/fingerprint.js";
import type { RunOptions } from "../core/progress.js";
import { log } from "../core/math.js";
import { streamId } from "../core/rng.js";
import type { Dataset } from "../data/dataset.js";
import { symmetricEigen } from "./eigen.js";
import { readWord2Vec } from "./word2vec.js";

/** Vectors of words, all of one dimension. */
export interface WordVectors {
  dimension: number;
  words: readonly string[];
  /** Undefined for a word without a vector; never a zero vector in its place. */
  get(word: string): Float32Array | undefined;
  /** Where they come from, for labels. */
  origin: string;
  /** SHA-256 over words and values. */
  hash: string;
}

/** Words of a title: letters and digits, lower case, at least three characters. */
export function titleWords(title: string): string[] {
  return title.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) ?? [];
}

/** All genre words of a catalogue, in alphabetical order. */
export function genresOf(dataset: Dataset): string[] {
  const genres = new Set<string>();
  for (let item = 0; item < dataset.itemCount; item++) for (const genre of dataset.genres(item)) genres.add(genre);
  return [...genres].sort();
}

/** Number of titles that hold each word. */
export function titleFrequency(dataset: Dataset): Map<string, number> {
  const frequency = new Map<string, number>();
  for (let item = 0; item < dataset.itemCount; item++) {
    for (const word of new Set(titleWords(dataset.title(item)))) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  }
  return frequency;
}

/**
 * Vectors of length 1 from the catalogue's own text, never from interactions, so there is nothing to forget in them. Genre words:
 * positive pointwise mutual information with the genres and the common title words they share items with (Bullinaria and Levy
 * 2007), one row of length 1 a genre, reduced to its leading components. A catalogue without genres: title words as hashed
 * character trigrams. Cost O(items * words an item + genres^3).
 */
export function catalogueVectors(dataset: Dataset): WordVectors {
  const genres = genresOf(dataset);
  return genres.length > 0 ? genreVectors(dataset, genres) : trigramVectors(dataset);
}

/** A title word counts as context from this many titles on; rarer ones set single items apart and group nothing. */
const COMMON_WORD = 5;
/** Leading components kept: what lies beyond sets each genre apart from all others and blurs the groups. */
const COMPONENTS = 6;

function genreVectors(dataset: Dataset, genres: readonly string[]): WordVectors {
  const n = genres.length;
  const rows = informationRows(meetings(dataset, genres));
  const gram = new Float64Array(n * n);
  for (let a = 0; a < n; a++) {
    for (let b = a; b < n; b++) {
      let sum = 0;
      for (const [context, value] of rows[a]!) sum += value * (rows[b]!.get(context) ?? 0);
      gram[a * n + b] = gram[b * n + a] = sum;
    }
  }
  // The symmetric square root of the Gram matrix, cut to its leading components: inner products are those of the reduced rows,
  // and no axis is privileged, as it would be with components for axes, so that attention heads may slice the vector.
  const { values, vectors } = symmetricEigen(gram, n);
  const table = genres.map((_, genre) => unit(Float64Array.from({ length: n }, (__, axis) => {
    let sum = 0;
    for (let part = 0; part < Math.min(COMPONENTS, n); part++) {
      sum += vectors[genre * n + part]! * Math.sqrt(Math.max(0, values[part]!)) * vectors[axis * n + part]!;
    }
    return sum;
  })));
  return named(genres, table, n, "catalogue text (genres and titles)");
}

/** How often each genre meets each context: another genre of an item, or a common word of its title. */
function meetings(dataset: Dataset, genres: readonly string[]): Map<string, number>[] {
  const frequency = titleFrequency(dataset);
  const index = new Map(genres.map((genre, at) => [genre, at]));
  const counts = genres.map(() => new Map<string, number>());
  for (let item = 0; item < dataset.itemCount; item++) {
    const own = dataset.genres(item);
    const words = [...new Set(titleWords(dataset.title(item)))].filter((word) => frequency.get(word)! >= COMMON_WORD);
    for (const genre of own) {
      const row = counts[index.get(genre)!]!;
      // A genre's meeting with itself says nothing about the others. Title words are lower case and hold no space.
      for (const context of [...own.filter((other) => other !== genre).map((other) => `genre ${other}`), ...words]) {
        row.set(context, (row.get(context) ?? 0) + 1);
      }
    }
  }
  return counts;
}

/** max(0, ln(n(g, c) n / (n(g) n(c)))) in place of counts, each row divided by its length. */
function informationRows(counts: readonly ReadonlyMap<string, number>[]): Map<string, number>[] {
  const totals = counts.map((row) => [...row.values()].reduce((sum, count) => sum + count, 0));
  const total = totals.reduce((sum, count) => sum + count, 0);
  const contexts = new Map<string, number>();
  for (const row of counts) for (const [context, count] of row) contexts.set(context, (contexts.get(context) ?? 0) + count);
  return counts.map((row, at) => {
    const kept = [...row].map(([context, count]): [string, number] => [context, log((count * total) / (totals[at]! * contexts.get(context)!))])
      .filter(([, value]) => value > 0);
    const length = Math.sqrt(kept.reduce((sum, [, value]) => sum + value * value, 0));
    return new Map(kept.map(([context, value]) => [context, value / length]));
  });
}

const TRIGRAM_DIMENSION = 64;

function trigramVectors(dataset: Dataset): WordVectors {
  const words = [...titleFrequency(dataset).keys()].sort();
  const table = words.map((word) => {
    const vector = new Float64Array(TRIGRAM_DIMENSION);
    const padded = `^${word}$`;
    for (let at = 0; at + 3 <= padded.length; at++) {
      const hash = streamId(padded.slice(at, at + 3));
      vector[hash % TRIGRAM_DIMENSION]! += hash & 0x80000000 ? -1 : 1;
    }
    return unit(vector);
  });
  return named(words, table, TRIGRAM_DIMENSION, "catalogue text (title trigrams)");
}

/** The vector at length 1; a zero vector as it is. */
export function unit(vector: Float64Array): Float64Array {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return length > 0 ? vector.map((value) => value / length) : vector;
}

/** A word whose vector is zero points nowhere and is left out. */
function named(all: readonly string[], table: readonly (Float32Array | Float64Array)[], dimension: number, origin: string): WordVectors {
  const rows = all.map((word, at) => ({ word, vector: table[at]! })).filter(({ vector }) => vector.some((value) => value !== 0));
  const values = new Float32Array(rows.length * dimension);
  rows.forEach(({ vector }, at) => values.set(vector, at * dimension));
  const words = rows.map(({ word }) => word);
  const index = new Map(words.map((word, at) => [word, values.subarray(at * dimension, (at + 1) * dimension)]));
  return { dimension, words, origin, get: (word) => index.get(word), hash: fingerprint("word vectors", origin, dimension, JSON.stringify(words), values) };
}

/** The mean vector of some words, weighted by `weight`; undefined where none has a vector. */
export function meanVector(words: Iterable<string>, vectors: WordVectors, weight: (word: string) => number = () => 1): Float64Array | undefined {
  const mean = new Float64Array(vectors.dimension);
  let total = 0;
  for (const word of words) {
    const vector = vectors.get(word);
    if (!vector) continue;
    const share = weight(word);
    total += share;
    for (let axis = 0; axis < mean.length; axis++) mean[axis]! += share * vector[axis]!;
  }
  return total > 0 ? mean.map((value) => value / total) : undefined;
}

/**
 * Item vectors from words alone, for backbones that have none, row-major [itemCount, dimension]: the mean of the item's genre
 * vectors, or of its title words' where no genre has one; zero where neither has. Scaled to a mean square of 1 an axis, so that
 * the attention logits are neither flat nor one-sided whatever the words' own lengths. The width is padded with zeros to a
 * multiple of 8, so that 8 attention heads divide it.
 */
export function itemTextVectors(dataset: Dataset, vectors: WordVectors): { values: Float32Array; dimension: number; origin: string } {
  const dimension = Math.ceil(vectors.dimension / 8) * 8;
  const values = new Float32Array(dataset.itemCount * dimension);
  for (let item = 0; item < dataset.itemCount; item++) {
    const mean = meanVector(dataset.genres(item), vectors) ?? meanVector(titleWords(dataset.title(item)), vectors);
    if (mean) values.set(unit(mean).map((value) => value * Math.sqrt(dimension)), item * dimension);
  }
  return { values, dimension, origin: vectors.origin };
}

/**
 * Vectors of `words` from a file in the word2vec binary format: GoogleNews (3 million words, 300 axes, 3.6 GB) streams through a
 * constant few megabytes. Spellings and faults: {@link readWord2Vec}.
 * @throws DataError on a missing, truncated or foreign file, or a wanted value that is not finite; names the byte.
 */
export async function readWordVectors(path: string, words: Iterable<string>, options: RunOptions = {}): Promise<WordVectors> {
  const { vectors, dimension, count } = await readWord2Vec(path, words, options);
  const sorted = [...vectors.keys()].sort();
  return named(sorted, sorted.map((word) => vectors.get(word)!), dimension, `word2vec file (${count} words)`);
}
