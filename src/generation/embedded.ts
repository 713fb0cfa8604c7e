import { exp } from "../core/math.js";
import type { RunOptions } from "../core/progress.js";
import type { HistoryLine, Prompt } from "../core/prompt.js";
import { positionTau } from "./bias.js";
import { countTies, rankCandidates } from "./contract.js";
import { emptyCounts } from "./counts.js";
import type { Completion, EngineInfo, Generator } from "./generator.js";

/**
 * Weights of the score, written by hand and never fitted: fitting them on interactions would make them a residual of
 * forgotten rows. The backbone's order keeps the larger part; presence (what was watched at all) stands above taste (how it
 * was rated), because most ratings lie close to their mean. A candidate that matches the history best can pass about 30 of
 * 50 places, so a taste that is forgotten is seen to leave the list.
 */
const PRIOR = 0.6, PRESENCE = 0.25, TASTE = 0.15;
const GENRES = 0.7, YEARS = 0.2, STEM = 0.1;
/** Rows after which a row counts half. */
const HALF_LIFE = 50;
/** 2^(-1 / HALF_LIFE) */
const DECAY = exp(-0.6931471805599453 / HALF_LIFE);
/** e^(-years apart / 10) */
const CLOSENESS = Float64Array.from({ length: 256 }, (_, years) => exp(-years / 10));

/**
 * The ranker for machines without a language model: arithmetic on what the prompt holds and nothing else, trained on nobody.
 * Similarity s(c, j) = 0.7 Jaccard of genres + 0.2 e^(-years apart / 10) + 0.1 [same title stem]; recency q_j = 2^(-age / 50),
 * age counted in rows from the newest; w_j = deviation from the user's mean rating in half scales, within [-1, 1].
 * Taste A_c = sum q w s / (1 + sum q |w|), presence B_c = sum q s / (1 + sum q), both stretched to 0..1 over the candidates;
 * prior P = 1 - (rank - 1) / (n - 1). Score = 1 + 99 (0.6 P + 0.25 B + 0.15 A): an empty history gives the prior order.
 * Reads the candidates' public genres, which the text does not print. Cost O(candidates * history), about 0.1 ms for 50 and 100;
 * deterministic, independent of the order of the history lines.
 */
export function embedded(): Generator {
  return new EmbeddedGenerator();
}

const INFO: EngineInfo = {
  engine: "embedded", label: "embedded (no LLM)", isLanguageModel: false, model: undefined, digest: undefined,
  serverVersion: undefined, host: undefined,
  options: { prior: PRIOR, presence: PRESENCE, taste: TASTE, genres: GENRES, years: YEARS, stem: STEM, halfLife: HALF_LIFE },
  replayed: false,
};

class EmbeddedGenerator implements Generator {
  readonly name = "embedded";
  readonly concurrency = 1;

  async describe(): Promise<EngineInfo> {
    return INFO;
  }

  async generate(prompt: Prompt, options: RunOptions = {}): Promise<Completion> {
    options.signal?.throwIfAborted();
    const start = performance.now();
    const scores = scoreByHistory(prompt);
    return {
      user: prompt.user, scores, ranking: rankCandidates(scores, prompt.candidates), status: "ok",
      counts: { ...emptyCounts(), answers: 1, okFirst: 1, ties: countTies(scores) },
      reply: "", positionTau: positionTau(scores), seconds: (performance.now() - start) / 1000, engine: INFO,
    };
  }

  async close(): Promise<void> {
    // Holds nothing.
  }
}

/** Scores of the candidates on 1..100, real numbers, candidate order. */
export function scoreByHistory(prompt: Prompt): Float64Array {
  const { candidates } = prompt;
  // Sums of floating-point numbers depend on their order: one fixed order for every order of input.
  const timed = prompt.history.every(({ timestamp }) => timestamp !== undefined);
  const history = [...prompt.history].sort((a, b) => (timed ? a.timestamp! - b.timestamp! : 0) || a.item - b.item);
  const n = candidates.length, m = history.length;

  const liking = weighRatings(history, prompt.ratingScale);
  const shelf = new Shelf();
  let recencySum = 0, likingSum = 0;
  // From the newest row, which counts 1, to the oldest; without timestamps no row is older than another.
  for (let j = m - 1, q = 1; j >= 0; j--, q *= timed ? DECAY : 1) {
    shelf.add(history[j]!, q * liking[j]!, q);
    recencySum += q;
    likingSum += q * Math.abs(liking[j]!);
  }
  const taste = new Float64Array(n), presence = new Float64Array(n);
  for (let c = 0; c < n; c++) {
    const sums = shelf.compare(candidates[c]!);
    taste[c] = sums.taste / (1 + likingSum);
    presence[c] = sums.presence / (1 + recencySum);
  }
  stretch(taste);
  stretch(presence);
  return Float64Array.from(candidates, ({ rank }, c) => {
    const prior = n > 1 ? 1 - (rank - 1) / (n - 1) : 1;
    return 1 + 99 * (PRIOR * prior + PRESENCE * presence[c]! + TASTE * taste[c]!);
  });
}

/** Deviations from the user's mean, in half scales (2 stars of 1 to 5), within [-1, 1]. */
function weighRatings(history: readonly HistoryLine[], scale: { min: number; max: number }): Float64Array {
  const half = (scale.max - scale.min) / 2;
  let sum = 0;
  for (const { rating } of history) sum += rating;
  const mean = history.length > 0 ? sum / history.length : 0;
  return Float64Array.from(history, ({ rating }) => (half > 0 ? Math.max(-1, Math.min(1, (rating - mean) / half)) : 0));
}

/** To 0..1 between the smallest and the largest value; equal values say nothing and become 0. */
function stretch(values: Float64Array): void {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const range = high - low;
  for (let at = 0; at < values.length; at++) values[at] = range > 1e-12 ? (values[at]! - low) / range : 0;
}

interface Sums {
  taste: number;
  presence: number;
}

interface Film {
  title: string;
  year: number | undefined;
  genres: readonly string[];
}

/**
 * The history by what films share. s(c, j) is a sum over genres, year and stem, so rows with equal genres, equal years or
 * equal stems are added up once, and each set of genres and each year among the candidates is compared once.
 */
class Shelf {
  private readonly genreIds = new Map<string, number>();
  private readonly byGenres = new Map<number | string, Sums & { bits: number[]; count: number }>();
  private readonly byYear = new Map<number, Sums>();
  private readonly byStem = new Map<string, Sums>();
  private readonly genresSeen = new Map<number | string, Sums>();
  private readonly yearsSeen = new Map<number, Sums>();

  add({ title, year, genres }: Film, taste: number, presence: number): void {
    if (genres.length > 0) {
      const { key, bits } = this.bitsOf(genres);
      let group = this.byGenres.get(key);
      if (!group) this.byGenres.set(key, group = { bits, count: countBits(bits), taste: 0, presence: 0 });
      group.taste += taste;
      group.presence += presence;
    }
    if (year !== undefined) addTo(this.byYear, year, taste, presence);
    const stem = titleStem(title);
    if (stem !== "") addTo(this.byStem, stem, taste, presence);
  }

  compare({ title, year, genres }: Film): Sums {
    const sums = { taste: 0, presence: 0 };
    if (genres.length > 0) plus(sums, this.compareGenres(genres), GENRES);
    if (year !== undefined) plus(sums, this.compareYear(year), YEARS);
    const stem = this.byStem.get(titleStem(title));
    if (stem) plus(sums, stem, STEM);
    return sums;
  }

  private compareGenres(genres: readonly string[]): Sums {
    const { key, bits } = this.bitsOf(genres);
    let sums = this.genresSeen.get(key);
    if (!sums) {
      sums = { taste: 0, presence: 0 };
      const count = countBits(bits);
      for (const group of this.byGenres.values()) {
        let both = 0;
        for (let word = 0; word < bits.length && word < group.bits.length; word++) both += bitCount(bits[word]! & group.bits[word]!);
        if (both > 0) plus(sums, group, both / (count + group.count - both));
      }
      this.genresSeen.set(key, sums);
    }
    return sums;
  }

  private compareYear(year: number): Sums {
    let sums = this.yearsSeen.get(year);
    if (!sums) {
      sums = { taste: 0, presence: 0 };
      for (const [other, own] of this.byYear) plus(sums, own, CLOSENESS[Math.abs(year - other)] ?? 0);
      this.yearsSeen.set(year, sums);
    }
    return sums;
  }

  /** A set of genres as bits, 32 a word, and as a key. */
  private bitsOf(genres: readonly string[]): { key: number | string; bits: number[] } {
    const bits = [0];
    for (const genre of genres) {
      const id = number(this.genreIds, genre);
      while (bits.length <= id >>> 5) bits.push(0);
      bits[id >>> 5]! |= 1 << (id & 31);
    }
    return { key: bits.length === 1 ? bits[0]! : bits.join(), bits };
  }
}

function addTo<Key>(map: Map<Key, Sums>, key: Key, taste: number, presence: number): void {
  const sums = map.get(key);
  if (sums) {
    sums.taste += taste;
    sums.presence += presence;
  } else map.set(key, { taste, presence });
}

function plus(sums: Sums, more: Sums, weight: number): void {
  sums.taste += weight * more.taste;
  sums.presence += weight * more.presence;
}

function countBits(words: readonly number[]): number {
  let count = 0;
  for (const word of words) count += bitCount(word);
  return count;
}

function number(ids: Map<string, number>, name: string): number {
  let id = ids.get(name);
  if (id === undefined) ids.set(name, id = ids.size);
  return id;
}

function bitCount(bits: number): number {
  bits -= (bits >>> 1) & 0x55555555;
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** What the films of a series share: "Alien", "Aliens 2" no, "Rocky", "Rocky II", "Rocky: The Return", "Rocky Part 3" yes. */
export function titleStem(title: string): string {
  let end = title.length;
  for (const mark of [":", " - ", " ("]) {
    const at = title.indexOf(mark);
    if (at > 0 && at < end) end = at;
  }
  let stem = (end === title.length ? title : title.slice(0, end)).trim().toLowerCase();
  for (;;) {
    const blank = stem.lastIndexOf(" ");
    // Few last words are this short; the expression is for those.
    if (blank <= 0 || stem.length - blank > 8 || !NUMERAL.test(stem.slice(blank + 1))) return stem;
    stem = stem.slice(0, blank).trimEnd();
  }
}

const NUMERAL = /^(?:\d{1,3}|[ivx]+|part|episode|chapter|vol\.?)$/;
