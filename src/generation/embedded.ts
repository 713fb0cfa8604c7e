import { exp } from "../core/math.js";
import type { RunOptions } from "../core/progress.js";
import type { HistoryLine, Prompt } from "../core/prompt.js";
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
const LN2 = 0.6931471805599453;
const YEAR_SPAN = 10;

/**
 * The ranker for machines without a language model: arithmetic on what the prompt holds and nothing else, trained on nobody.
 * Similarity s(c, j) = 0.7 Jaccard of genres + 0.2 e^(-years apart / 10) + 0.1 [same title stem]; recency q_j = 2^(-age / 50),
 * age counted in rows from the newest; w_j = deviation from the user's mean rating in half scales, within [-1, 1].
 * Taste A_c = sum q w s / (1 + sum q |w|), presence B_c = sum q s / (1 + sum q), both stretched to 0..1 over the candidates;
 * prior P = 1 - (rank - 1) / (n - 1). Score = 1 + 99 (0.6 P + 0.25 B + 0.15 A): an empty history gives the prior order.
 * Reads the candidates' public genres, which the text does not print. Cost O(candidates * history), about 30 us a prompt;
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
      reply: "", seconds: (performance.now() - start) / 1000, engine: INFO,
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

  const features = new Features(n + m);
  for (let c = 0; c < n; c++) features.set(c, candidates[c]!);
  for (let j = 0; j < m; j++) features.set(n + j, history[j]!);

  const recency = new Float64Array(m), liking = weighRatings(history, prompt.ratingScale);
  let recencySum = 0, likingSum = 0;
  for (let j = 0; j < m; j++) {
    recency[j] = timed ? exp(-LN2 * (m - 1 - j) / HALF_LIFE) : 1;
    liking[j] = liking[j]! * recency[j]!;
    recencySum += recency[j]!;
    likingSum += Math.abs(liking[j]!);
  }
  const taste = new Float64Array(n), presence = new Float64Array(n);
  for (let c = 0; c < n; c++) {
    let a = 0, b = 0;
    for (let j = 0; j < m; j++) {
      const s = features.similarity(c, n + j);
      a += liking[j]! * s;
      b += recency[j]! * s;
    }
    taste[c] = a / (1 + likingSum);
    presence[c] = b / (1 + recencySum);
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

/** Genres as bits, years and title stems as numbers, so that a pair costs a few instructions. */
class Features {
  private static readonly closeness = Float64Array.from({ length: 128 }, (_, years) => YEARS * exp(-years / YEAR_SPAN));
  private readonly genreIds = new Map<string, number>();
  private readonly stemIds = new Map<string, number>();
  private readonly sets: Uint32Array[];
  private readonly years: Int32Array;
  private readonly stems: Int32Array;
  private readonly rows: number;

  constructor(rows: number) {
    this.rows = rows;
    // One word of 32 genres; more words are added when a catalogue has more.
    this.sets = [new Uint32Array(rows)];
    this.years = new Int32Array(rows);
    this.stems = new Int32Array(rows);
  }

  set(row: number, { title, year, genres }: { title: string; year: number | undefined; genres: readonly string[] }): void {
    for (const genre of genres) {
      const id = number(this.genreIds, genre);
      while (id >= this.sets.length * 32) this.sets.push(new Uint32Array(this.rows));
      this.sets[id >>> 5]![row]! |= 1 << (id & 31);
    }
    this.years[row] = year ?? -1;
    const stem = titleStem(title);
    this.stems[row] = stem === "" ? -1 : number(this.stemIds, stem);
  }

  similarity(a: number, b: number): number {
    let both = 0, either = 0;
    for (const set of this.sets) {
      both += bitCount(set[a]! & set[b]!);
      either += bitCount(set[a]! | set[b]!);
    }
    let s = either > 0 ? GENRES * both / either : 0;
    if (this.years[a]! >= 0 && this.years[b]! >= 0) {
      const apart = Math.abs(this.years[a]! - this.years[b]!);
      if (apart < 128) s += Features.closeness[apart]!;
    }
    return this.stems[a]! >= 0 && this.stems[a] === this.stems[b] ? s + STEM : s;
  }
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
  let stem = title.slice(0, end).trim().toLowerCase();
  for (let blank = stem.lastIndexOf(" "); blank > 0 && NUMERAL.test(stem.slice(blank + 1)); blank = stem.lastIndexOf(" ")) {
    stem = stem.slice(0, blank).trimEnd();
  }
  return stem;
}

const NUMERAL = /^(?:\d{1,3}|[ivx]+|part|episode|chapter|vol\.?)$/;
