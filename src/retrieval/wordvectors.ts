import { createReadStream, existsSync } from "node:fs";
import { DataError } from "../core/errors.js";
import { fingerprint } from "../core/fingerprint.js";
import type { RunOptions } from "../core/progress.js";
import { log } from "../core/math.js";
import { streamId } from "../core/rng.js";
import type { Dataset } from "../data/dataset.js";
import { Cooccurrence, spreadAxes } from "./cooccurrence.js";
import { symmetricEigen } from "./eigen.js";

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

/**
 * Vectors from the catalogue's own text, never from interactions, so there is nothing to forget in them. Genres: positive
 * pointwise mutual information with the genres and the common title words they share items with, rows at length 1, reduced to
 * the leading components of their Gram matrix, axes rotated to equal shares. A title word stands at the mean of the genres it
 * meets, weighted by that information. A catalogue without genres: hashed character trigrams of each title word beside the
 * hashed words it shares titles with. Cost O(items * words an item + genres^3).
 */
export function catalogueVectors(dataset: Dataset): WordVectors {
  for (let item = 0; item < dataset.itemCount; item++) if (dataset.genres(item).length > 0) return genreVectors(dataset);
  return titleVectors(dataset);
}

/** A title word says something about genres from this many titles on; rarer ones would only lengthen rows. */
const COMMON_WORD = 5;
/** Leading components kept: beyond them lies what sets a single genre apart from all others, not what groups them. */
const GENRE_COMPONENTS = 6;
/** A power of two that 8 attention heads divide. */
const GENRE_AXES = 32;

function genreVectors(dataset: Dataset): WordVectors {
  const frequency = titleFrequency(dataset);
  const meetings = new Cooccurrence(), readings = new Cooccurrence();
  for (let item = 0; item < dataset.itemCount; item++) {
    const genres = dataset.genres(item), words = [...new Set(titleWords(dataset.title(item)))];
    for (const genre of genres) {
      // A genre's meeting with itself says nothing about the others.
      for (const other of genres) if (other !== genre) meetings.add(genre, `genre ${other}`);
      for (const word of words) {
        if (frequency.get(word)! >= COMMON_WORD) meetings.add(genre, `word ${word}`);
        readings.add(word, genre);
      }
    }
  }
  const rows = [...meetings.information()].map(([genre, row]) => ({ genre, row, length: Math.sqrt([...row.values()].reduce((sum, value) => sum + value * value, 0)) }))
    .filter(({ length }) => length > 0).sort((a, b) => (a.genre < b.genre ? -1 : 1));
  const n = rows.length;
  const gram = new Float64Array(n * n);
  for (let a = 0; a < n; a++) {
    for (let b = a; b < n; b++) {
      let sum = 0;
      for (const [context, value] of rows[a].row) sum += value * (rows[b].row.get(context) ?? 0);
      gram[a * n + b] = gram[b * n + a] = sum / (rows[a].length * rows[b].length);
    }
  }
  const { values, vectors } = symmetricEigen(gram, n);
  const dimension = GENRE_AXES;
  const table = new Map<string, Float64Array>();
  rows.forEach(({ genre }, at) => {
    const axes = new Float64Array(dimension);
    for (let axis = 0; axis < Math.min(n, GENRE_COMPONENTS); axis++) axes[axis] = vectors[at * n + axis] * Math.sqrt(Math.max(0, values[axis]));
    table.set(genre, spreadAxes(axes));
  });
  const words = new Map<string, Float64Array>();
  for (const [word, row] of readings.information()) {
    const mean = new Float64Array(dimension);
    for (const [genre, weight] of row) table.get(genre)?.forEach((value, axis) => { mean[axis] += weight * value; });
    if (!table.has(word)) words.set(word, unit(mean));
  }
  return wordVectors(new Map([...table, ...words]), dimension, "catalogue text (genres and titles)");
}

const HASHED_AXES = 32;

function titleVectors(dataset: Dataset): WordVectors {
  const frequency = titleFrequency(dataset);
  const meetings = new Cooccurrence();
  for (let item = 0; item < dataset.itemCount; item++) {
    const words = [...new Set(titleWords(dataset.title(item)))];
    for (const word of words) for (const other of words) if (other !== word && frequency.get(other)! >= COMMON_WORD) meetings.add(word, other);
  }
  const information = meetings.information();
  const table = new Map<string, Float64Array>();
  for (const word of [...frequency.keys()].sort()) {
    const spelling = new Float64Array(HASHED_AXES), company = new Float64Array(HASHED_AXES);
    const padded = `^${word}$`;
    for (let at = 0; at + 3 <= padded.length; at++) addHashed(spelling, padded.slice(at, at + 3), 1);
    for (const [other, value] of information.get(word) ?? []) addHashed(company, other, value);
    table.set(word, spreadAxes(Float64Array.from([...unit(spelling), ...unit(company)])));
  }
  return wordVectors(table, 2 * HASHED_AXES, "catalogue text (title words)");
}

/** Adds `weight` to an axis of the feature's hash, with the hash's sign: features of equal axes cancel in the mean. */
function addHashed(vector: Float64Array, feature: string, weight: number): void {
  const hash = streamId(feature);
  vector[hash % vector.length] += hash & 0x80000000 ? -weight : weight;
}

/** Number of titles that hold each word. */
export function titleFrequency(dataset: Dataset): Map<string, number> {
  const frequency = new Map<string, number>();
  for (let item = 0; item < dataset.itemCount; item++) {
    for (const word of new Set(titleWords(dataset.title(item)))) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  }
  return frequency;
}

function unit(vector: Float64Array): Float64Array {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return length > 0 ? vector.map((value) => value / length) : vector;
}

/** A table of vectors in alphabetical order; words whose vector is zero are left out, since they point nowhere. */
function wordVectors(table: ReadonlyMap<string, Float32Array | Float64Array>, dimension: number, origin: string): WordVectors {
  const words = [...table.keys()].filter((word) => table.get(word)!.some((value) => value !== 0)).sort();
  const values = new Float32Array(words.length * dimension);
  words.forEach((word, at) => values.set(table.get(word)!, at * dimension));
  const index = new Map(words.map((word, at) => [word, values.subarray(at * dimension, (at + 1) * dimension)]));
  return { dimension, words, origin, get: (word) => index.get(word), hash: fingerprint("word vectors", origin, dimension, JSON.stringify(words), values) };
}

/**
 * The mean vector of a title's words, rare words counting more: weights ln(1 + titles / titles with the word). Undefined when
 * no word has a vector. `frequency` comes from {@link titleFrequency}.
 */
export function titleVector(title: string, vectors: WordVectors, frequency: ReadonlyMap<string, number>, titles: number): Float64Array | undefined {
  const mean = new Float64Array(vectors.dimension);
  let total = 0;
  for (const word of new Set(titleWords(title))) {
    const vector = vectors.get(word);
    if (!vector) continue;
    const weight = log(1 + titles / (frequency.get(word) ?? 1));
    total += weight;
    vector.forEach((value, axis) => { mean[axis] += weight * value; });
  }
  return total > 0 ? mean.map((value) => value / total) : undefined;
}

/**
 * Item vectors from words alone, for backbones that have none: the mean of the item's genre vectors plus half the mean of its
 * title words. Centred over the catalogue and scaled to a mean square of 1, so that attention is neither flat nor one-sided; an
 * item without any known word stands at the centre (zero). The width is padded with zeros to a multiple of 8, so that 8
 * attention heads divide it.
 */
export function itemTextVectors(dataset: Dataset, vectors: WordVectors): { values: Float32Array; dimension: number; origin: string } {
  const dimension = Math.ceil(vectors.dimension / 8) * 8;
  const frequency = titleFrequency(dataset);
  const rows = Array.from({ length: dataset.itemCount }, (_, item) => {
    const row = new Float64Array(vectors.dimension);
    const genres = dataset.genres(item).flatMap((genre) => vectors.get(genre) ?? []);
    for (const vector of genres) vector.forEach((value, axis) => { row[axis] += value / genres.length; });
    const title = titleVector(dataset.title(item), vectors, frequency, dataset.itemCount);
    title?.forEach((value, axis) => { row[axis] += value * (genres.length > 0 ? 0.5 : 1); });
    return genres.length > 0 || title ? row : undefined;
  });
  const known = rows.filter((row) => row !== undefined);
  const centre = new Float64Array(vectors.dimension);
  for (const row of known) row.forEach((value, axis) => { centre[axis] += value / known.length; });
  let square = 0;
  for (const row of known) row.forEach((value, axis) => { square += (value - centre[axis]) ** 2; });
  const scale = square > 0 ? 1 / Math.sqrt(square / (known.length * vectors.dimension)) : 1;
  const values = new Float32Array(dataset.itemCount * dimension);
  rows.forEach((row, item) => row?.forEach((value, axis) => { values[item * dimension + axis] = (value - centre[axis]) * scale; }));
  const without = dataset.itemCount - known.length;
  return { values, dimension, origin: without > 0 ? `${vectors.origin}, ${without} items without a known word` : vectors.origin };
}

const LONGEST_WORD = 2000;

/**
 * Reads the word2vec binary format ("count dimension\n", then word, space, dimension little-endian float32, and a newline that
 * some writers leave out) and keeps only `words`: GoogleNews (3 million words, 300 axes, 3.6 GB) streams through a constant
 * few megabytes. A word is found under its own spelling, in lower case, or with "_" for spaces and hyphens, in that order.
 * @throws DataError on a missing, truncated or foreign file, or a value that is not finite; names the byte.
 */
export async function readWordVectors(path: string, words: Iterable<string>, options: RunOptions = {}): Promise<WordVectors> {
  const fault = (at: number, what: string): DataError => new DataError("DATA_WORD_VECTORS", `${path}, byte ${at}: ${what}.`, {
    hint: "Expected the word2vec binary format, for example GoogleNews-vectors-negative300.bin (unpacked).",
  });
  if (!existsSync(path)) throw fault(0, "there is no such file");
  const wanted = new Map<string, { word: string; rank: number }[]>();
  for (const word of new Set(words)) {
    const joined = word.replace(/[\s-]+/g, "_");
    [...new Set([word, word.toLowerCase(), joined, joined.toLowerCase()])].forEach((spelling, rank) => {
      wanted.set(spelling, [...(wanted.get(spelling) ?? []), { word, rank }]);
    });
  }
  const found = new Map<string, { rank: number; vector: Float32Array }>();
  let rest: Buffer = Buffer.alloc(0), offset = 0, count = -1, dimension = 0, read = 0;
  const header = (): boolean => {
    const end = rest.indexOf(10);
    if (end < 0) {
      if (rest.length > 64) throw fault(0, "no header line with count and dimension");
      return false;
    }
    const match = /^(\d+) (\d+)\r?$/.exec(rest.toString("latin1", 0, end));
    if (!match) throw fault(0, "the first line is not \"count dimension\"");
    count = Number(match[1]);
    dimension = Number(match[2]);
    if (count < 1 || dimension < 1 || dimension > 10_000) throw fault(0, `${count} words of ${dimension} axes`);
    rest = rest.subarray(end + 1);
    offset += end + 1;
    return true;
  };
  const entries = (): void => {
    let at = 0;
    while (read < count) {
      let begin = at;
      while (begin < rest.length && rest[begin] === 10) begin++;
      const space = rest.indexOf(32, begin);
      if (space < 0) {
        if (rest.length - begin > LONGEST_WORD) throw fault(offset + begin, `a word longer than ${LONGEST_WORD} bytes`);
        break;
      }
      if (space === begin || space - begin > LONGEST_WORD) throw fault(offset + begin, "an empty or endless word");
      if (rest.length < space + 1 + 4 * dimension) break;
      const asked = wanted.get(rest.toString("utf8", begin, space));
      if (asked) {
        const vector = Float32Array.from({ length: dimension }, (_, axis) => rest.readFloatLE(space + 1 + 4 * axis));
        if (!vector.every(Number.isFinite)) throw fault(offset + space + 1, "a value that is not a finite number");
        for (const { word, rank } of asked) if ((found.get(word)?.rank ?? Infinity) > rank) found.set(word, { rank, vector });
      }
      read++;
      at = space + 1 + 4 * dimension;
    }
    rest = rest.subarray(at);
    offset += at;
  };
  const stream = createReadStream(path, { highWaterMark: 1 << 20, ...(options.signal ? { signal: options.signal } : {}) });
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
      if (count < 0 && !header()) continue;
      entries();
      options.onProgress?.(read, count, "word vectors");
    }
  } catch (error) {
    options.signal?.throwIfAborted();
    throw error;
  }
  if (count < 0) throw fault(0, "no header line with count and dimension");
  if (read < count) throw fault(offset, `the file ends after ${read} of ${count} words`);
  return wordVectors(new Map([...found].map(([word, { vector }]) => [word, vector])), dimension, `word2vec file (${count} words)`);
}
