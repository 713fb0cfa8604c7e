import { createReadStream, existsSync } from "node:fs";
import { DataError } from "../core/errors.js";
import { fingerprint } from "../core/fingerprint.js";
import type { RunOptions } from "../core/progress.js";
import { log } from "../core/math.js";
import { streamId } from "../core/rng.js";
import type { Dataset } from "../data/dataset.js";
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
 * Vectors from the catalogue's own text, never from interactions, so there is nothing to forget in them. Genre words: positive
 * pointwise mutual information with the genres and title words they share items with (Bullinaria and Levy 2007), reduced by an
 * eigendecomposition of its Gram matrix. A catalogue without genres: title words as hashed character trigrams.
 * Cost O(items * words an item + genres^3).
 */
export function catalogueVectors(dataset: Dataset): WordVectors {
  const genres = new Set<string>();
  for (let item = 0; item < dataset.itemCount; item++) for (const genre of dataset.genres(item)) genres.add(genre);
  return genres.size > 0 ? genreVectors(dataset, [...genres].sort()) : trigramVectors(dataset);
}

function genreVectors(dataset: Dataset, genres: readonly string[]): WordVectors {
  const index = new Map(genres.map((genre, at) => [genre, at]));
  const contexts = new Map<string, number>();
  const pairs = new Map<number, number>();
  const width = 2 ** 20;
  for (let item = 0; item < dataset.itemCount; item++) {
    const own = dataset.genres(item);
    const around = new Set([...own.map((genre) => `genre ${genre}`), ...titleWords(dataset.title(item))]);
    for (const word of around) {
      if (!contexts.has(word)) contexts.set(word, contexts.size);
      const context = contexts.get(word)!;
      for (const genre of own) {
        // A genre's meeting with itself says nothing about the others.
        if (word !== `genre ${genre}`) pairs.set(index.get(genre)! * width + context, (pairs.get(index.get(genre)! * width + context) ?? 0) + 1);
      }
    }
  }
  const genreTotals = new Float64Array(genres.length), contextTotals = new Float64Array(contexts.size);
  let total = 0;
  for (const [key, count] of pairs) {
    genreTotals[Math.floor(key / width)]! += count;
    contextTotals[key % width]! += count;
    total += count;
  }
  // Rows of PPMI, then coordinates in the space their Gram matrix spans: distances between genres stay as they are.
  const n = genres.length;
  const rows = genres.map(() => new Map<number, number>());
  for (const [key, count] of pairs) {
    const genre = Math.floor(key / width), context = key % width;
    const information = log((count * total) / (genreTotals[genre]! * contextTotals[context]!));
    if (information > 0) rows[genre]!.set(context, information);
  }
  const gram = new Float64Array(n * n);
  for (let a = 0; a < n; a++) {
    for (let b = a; b < n; b++) {
      let sum = 0;
      for (const [context, value] of rows[a]!) sum += value * (rows[b]!.get(context) ?? 0);
      gram[a * n + b] = gram[b * n + a] = sum;
    }
  }
  const { values, vectors } = symmetricEigen(gram, n);
  const dimension = n;
  const table = genres.map((_, genre) => Float32Array.from({ length: dimension }, (__, axis) => vectors[genre * n + axis]! * Math.sqrt(Math.max(0, values[axis]!))));
  return named(genres, table, dimension, "catalogue text (genres and titles)");
}

const TRIGRAM_DIMENSION = 64;

function trigramVectors(dataset: Dataset): WordVectors {
  const words = new Set<string>();
  for (let item = 0; item < dataset.itemCount; item++) for (const word of titleWords(dataset.title(item))) words.add(word);
  const sorted = [...words].sort();
  const table = sorted.map((word) => {
    const vector = new Float32Array(TRIGRAM_DIMENSION);
    const padded = `^${word}$`;
    for (let at = 0; at + 3 <= padded.length; at++) {
      const hash = streamId(padded.slice(at, at + 3));
      vector[hash % TRIGRAM_DIMENSION]! += hash & 0x80000000 ? -1 : 1;
    }
    const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
    return norm > 0 ? vector.map((value) => value / norm) : vector;
  });
  return named(sorted, table, TRIGRAM_DIMENSION, "catalogue text (title trigrams)");
}

function named(words: readonly string[], table: readonly Float32Array[], dimension: number, origin: string): WordVectors {
  const index = new Map(words.map((word, at) => [word, table[at]!]));
  return { dimension, words, origin, get: (word) => index.get(word), hash: fingerprint("word vectors", origin, dimension, ...words.flatMap((word, at) => [word, table[at]!])) };
}

/**
 * One vector per item, row-major [itemCount, dimension]: the mean of its genre words' vectors, or of its title words' where no
 * genre has one; zero where neither has. The width is padded with zeros to a multiple of 8, so that 8 attention heads divide it.
 */
export function itemTextVectors(dataset: Dataset, vectors: WordVectors): { values: Float32Array; dimension: number; origin: string } {
  const dimension = Math.ceil(vectors.dimension / 8) * 8;
  const values = new Float32Array(dataset.itemCount * dimension);
  for (let item = 0; item < dataset.itemCount; item++) {
    const found = (words: readonly string[]): Float32Array[] => words.flatMap((word) => vectors.get(word) ?? []);
    const genres = found(dataset.genres(item));
    const own = genres.length > 0 ? genres : found(titleWords(dataset.title(item)));
    for (const vector of own) vector.forEach((value, axis) => { values[item * dimension + axis]! += value / own.length; });
  }
  return { values, dimension, origin: vectors.origin };
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
  const kept = [...found.keys()].sort();
  return named(kept, kept.map((word) => found.get(word)!.vector), dimension, `word2vec file (${count} words)`);
}
