import { createReadStream } from "node:fs";
import { CragruError, DataError } from "../core/errors.js";
import { Breather, type RunOptions } from "../core/progress.js";

const LONGEST_WORD = 2000, WIDEST = 10_000;
const NEWLINE = 10, SPACE = 32;

export interface Word2VecEntries {
  /** Under the words that were asked for, not under the spelling that the file has. */
  vectors: Map<string, Float32Array>;
  dimension: number;
  /** Words in the file. */
  count: number;
}

/**
 * Streams a file in the word2vec binary format ("count dimension\n", then word, space, dimension little-endian float32, and a
 * newline that some writers leave out) and keeps only `words`, in a constant few megabytes. A word is found under its own
 * spelling, in lower case, with "_" for spaces and hyphens, or without a final "'s", in that order; of equal entries the first.
 * @throws DataError on a missing, truncated or foreign file, or a wanted value that is not finite; names the byte.
 */
export async function readWord2Vec(path: string, words: Iterable<string>, options: RunOptions = {}): Promise<Word2VecEntries> {
  const { signal, onProgress } = options;
  const entries = new EntryReader(path, spellings(words));
  const breather = new Breather(signal);
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, ...(signal ? { signal } : {}) }) as AsyncIterable<Buffer>) {
      entries.push(chunk);
      if (breather.due()) {
        onProgress?.(entries.read, entries.count, "word vectors");
        await breather.pause();
      }
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof CragruError) throw error;
    throw entries.fault(0, (error as NodeJS.ErrnoException).code === "ENOENT" ? "there is no such file" : "the file cannot be read", error);
  }
  const { found, dimension, count } = entries.end();
  onProgress?.(count, count, "word vectors");
  return { vectors: new Map([...found].map(([word, { vector }]) => [word, vector])), dimension, count };
}

interface Spelling {
  word: string;
  /** 0 for the word itself; the lowest rank that the file has wins. */
  rank: number;
}

function spellings(words: Iterable<string>): Map<string, Spelling[]> {
  const wanted = new Map<string, Spelling[]>();
  for (const word of new Set(words)) {
    const joined = word.replace(/[\s-]+/g, "_"), owner = word.replace(/['\u2019]s$/, "");
    [...new Set([word, word.toLowerCase(), joined, joined.toLowerCase(), owner, owner.toLowerCase()])].forEach((spelling, rank) => {
      const same = wanted.get(spelling);
      if (same) same.push({ word, rank });
      else wanted.set(spelling, [{ word, rank }]);
    });
  }
  return wanted;
}

/** Takes the file chunk by chunk; holds back at most one unfinished entry. */
class EntryReader {
  readonly found = new Map<string, { rank: number; vector: Float32Array }>();
  count = 0;
  dimension = 0;
  read = 0;
  private rest: Buffer = Buffer.alloc(0);
  /** Byte of the file at which `rest` starts. */
  private offset = 0;

  constructor(private readonly path: string, private readonly wanted: ReadonlyMap<string, Spelling[]>) {}

  push(chunk: Buffer): void {
    this.rest = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk;
    if (this.count === 0 && !this.header()) return;
    let at = 0;
    while (this.read < this.count) {
      const next = this.entry(at);
      if (next < 0) break;
      at = next;
      this.read++;
    }
    if (this.read === this.count) at = this.afterLast(at);
    this.offset += at;
    this.rest = this.rest.subarray(at);
  }

  /** @throws DataError when the file ended too early. */
  end(): this {
    if (this.count === 0) throw this.fault(0, "no header line with count and dimension");
    if (this.read < this.count) throw this.fault(this.offset + this.rest.length, `the file ends after ${this.read} of ${this.count} words`);
    return this;
  }

  fault(at: number, what: string, cause?: unknown): DataError {
    return new DataError("DATA_WORD_VECTORS", `${this.path}, byte ${at}: ${what}.`, {
      hint: "Expected the word2vec binary format, for example GoogleNews-vectors-negative300.bin (unpacked).", cause,
    });
  }

  private header(): boolean {
    const end = this.rest.indexOf(NEWLINE);
    if (end < 0 || end > 64) {
      if (this.rest.length > 64) throw this.fault(0, "no header line with count and dimension");
      return false;
    }
    const match = /^(\d+) (\d+) ?\r?$/.exec(this.rest.toString("latin1", 0, end));
    if (!match) throw this.fault(0, "the first line is not \"count dimension\"");
    const count = Number(match[1]), dimension = Number(match[2]);
    if (count < 1 || !Number.isSafeInteger(count) || dimension < 1 || dimension > WIDEST) throw this.fault(0, `${count} words of ${dimension} axes`);
    this.count = count;
    this.dimension = dimension;
    this.rest = this.rest.subarray(end + 1);
    this.offset += end + 1;
    return true;
  }

  /** Reads the entry at `at`; where the next one starts, or -1 when this one is not complete. */
  private entry(at: number): number {
    const { rest } = this;
    let begin = at;
    while (begin < rest.length && rest[begin] === NEWLINE) begin++;
    const space = rest.indexOf(SPACE, begin);
    if (space === begin || (space < 0 ? rest.length : space) - begin > LONGEST_WORD) {
      throw this.fault(this.offset + begin, space === begin ? "an empty word" : `a word longer than ${LONGEST_WORD} bytes`);
    }
    const end = space + 1 + 4 * this.dimension;
    if (space < 0 || rest.length < end) return -1;
    if (this.read === 0 && /^[\d.eE+\- \r\n]*\d[\d.eE+\- \r\n]*$/.test(rest.toString("latin1", space + 1, end))) {
      throw this.fault(this.offset + space + 1, "numbers written out: this is word2vec's text format");
    }
    const asked = this.wanted.get(rest.toString("utf8", begin, space));
    if (asked) this.keep(asked, space + 1);
    return end;
  }

  private keep(asked: readonly Spelling[], start: number): void {
    const vector = new Float32Array(this.dimension);
    for (let axis = 0; axis < vector.length; axis++) vector[axis] = this.rest.readFloatLE(start + 4 * axis);
    if (!vector.every(Number.isFinite)) throw this.fault(this.offset + start, "a value that is not a finite number");
    for (const { word, rank } of asked) if ((this.found.get(word)?.rank ?? Infinity) > rank) this.found.set(word, { rank, vector });
  }

  /** Bytes after the last entry betray another format (word2vec's text format has the same header). */
  private afterLast(at: number): number {
    const { rest } = this;
    while (at < rest.length && (rest[at] === NEWLINE || rest[at] === 13)) at++;
    if (at < rest.length) throw this.fault(this.offset + at, `more bytes than ${this.count} words of ${this.dimension} axes fill`);
    return at;
  }
}
