import { createHash } from "node:crypto";
import { totalmem } from "node:os";
import { ConfigError, ForgettingError } from "../core/errors.js";
import { fingerprintRows } from "../core/fingerprint.js";
import type { Interactions, Shape } from "../core/interactions.js";
import { Breather, type RunOptions } from "../core/progress.js";
import type { Ranking, RecommendOptions } from "../core/ranking.js";
import { KeyedRandom } from "../core/rng.js";
import type { Kernels } from "../native/kernels.js";
import { loadKernels } from "../native/load.js";
import type { FitOptions, FitReport } from "./backbone.js";
import { downdate, type Signed } from "./downdate.js";
import type { Change, ExactBackbone, ExactChange, ExactModel } from "./exact.js";
import { listLength, requireRows, requireShape, topList } from "./lists.js";
import { Profiles } from "./profiles.js";
import { addColumns, rowAt, squareOf, triangleLength } from "./triangle.js";

export interface EaseOptions {
  /** Weight of the ridge. Default 400, as for MovieLens 100K; 1000 suits 1M. Chosen on public data: it must owe nothing to D_f. */
  lambda?: number;
  /** A refactorisation from the counts after this many vectors of down-dates (default 10,000): rounding errors add up. */
  refactorEvery?: number;
  /** What the matrices may take at most (default: half of the machine's memory). */
  memoryLimitBytes?: number;
}

/** Vectors of one down-date: larger requests go block by block. */
const BLOCK = 64;

/**
 * EASE (Steck, WWW 2019): ridge regression of the user-item matrix on itself with a zero diagonal. With G = X'X the counts of
 * items seen together, P = (G + lambda I)^-1: score(u, j) = - sum over the user's other items i of P_ij / P_jj. The data acts
 * through the integers of G alone, so equal counts are equal models, and forgetting is a subtraction of integers.
 * No draw, no seed. Master in double, a serving copy in single precision. Memory: 12 bytes for each pair of items, 8 more while fitting.
 */
export class EaseModel implements ExactModel {
  readonly name = "ease";
  readonly itemVectors = undefined;
  private readonly profiles: Profiles;
  private square: Float32Array | undefined;
  private vectors = 0;
  /** Changes and reads follow each other: nobody sees half of a down-date. */
  private tail: Promise<unknown> = Promise.resolve();

  constructor(
    train: Interactions, readonly counts: Uint32Array, private inverse: Float64Array,
    readonly lambda: number, private readonly refactorEvery: number, private readonly kernels: Kernels, readonly report: FitReport,
  ) {
    this.profiles = new Profiles(train);
  }

  get train(): Interactions {
    return this.profiles.rows;
  }

  get shape(): Shape {
    return this.profiles;
  }

  recommend(users: ArrayLike<number>, k: number, options: RecommendOptions = {}): Promise<Ranking[]> {
    return this.next(() => this.lists(this.profiles, users, k, options));
  }

  /** Lists for any profiles over the same catalogue; an empty profile scores 0 everywhere. Cost O(profile * items) a user. */
  recommendFor(profiles: Interactions, users: ArrayLike<number>, k: number, options: RecommendOptions = {}): Promise<Ranking[]> {
    requireShape(profiles, this.shape, "profile table");
    return this.next(() => this.lists(profiles, users, k, options));
  }

  /**
   * Takes rows out and puts rows in. Each user whose rows change gives one vector out (the old row) and one in (the new
   * row); an item that nobody has any more is struck out by one vector of its own. Cost items^2 a vector; where that is more
   * than a fit, or after `refactorEvery` vectors, the weights are made again from the counts.
   * @throws ForgettingError `FORGET_MODEL_CORRUPT` when counts or pivots tell that the model never held the rows; it is then unchanged.
   */
  change(rows: Change, options: RunOptions = {}): Promise<ExactChange> {
    return this.next(() => this.changeTo(rows, options));
  }

  /** Makes the weights again from the counts: those of a fresh fit on the same rows, byte for byte. */
  refactor(options: RunOptions = {}): Promise<void> {
    return this.next(() => this.refactorNow(options));
  }

  /**
   * How far P is from the inverse of what the counts say: max |(G + lambda I) (P E) - E| over a keyed matrix E of four columns of
   * +1 and -1. Fresh weights have about 1e-14. Cost 16 items^2.
   */
  drift(): Promise<number> {
    return this.next(async () => this.measureDrift());
  }

  /**
   * SHA-256 of the counts in canonical form: "GRAM1", the number of items, the SHA-256 of their ids in order, the upper triangle
   * row by row as 32-bit integers, little endian. Equal rows give equal digests, whatever was asked before. Not for
   * publication: who knows all rows but one user's can test guesses against it.
   */
  gramDigest(itemIds: readonly string[]): Promise<string> {
    return this.next(async () => {
      const n = this.profiles.itemCount, hash = createHash("sha256").update("GRAM1"), row = Buffer.alloc(4 * n), head = Buffer.alloc(4);
      head.writeUInt32LE(n);
      hash.update(head).update(createHash("sha256").update(JSON.stringify(itemIds)).digest());
      for (let i = 0; i < n; i++) {
        for (let j = i; j < n; j++) row.writeUInt32LE(this.counts[rowAt(j) + i]!, 4 * (j - i));
        hash.update(row.subarray(0, 4 * (n - i)));
      }
      return hash.digest("hex");
    });
  }

  /** The weights as they are: lower triangle of P. A copy. */
  weights(): Promise<Float64Array> {
    return this.next(async () => this.inverse.slice());
  }

  private async lists(profiles: Pick<Interactions, "itemsOf">, users: ArrayLike<number>, k: number, { mask, signal }: RecommendOptions): Promise<Ranking[]> {
    signal?.throwIfAborted();
    const n = this.profiles.itemCount, length = listLength(users, k, this.shape, mask), breather = new Breather(signal);
    const square = this.square ??= squareOf(this.inverse, n);
    const sums = new Float64Array(n), scores = new Float32Array(n), lists: Ranking[] = [];
    for (let at = 0; at < users.length; at++) {
      if (breather.due()) await breather.pause();
      const user = users[at]!, profile = profiles.itemsOf(user);
      sums.fill(0);
      for (const item of profile) {
        const row = square.subarray(item * n, (item + 1) * n);
        for (let j = 0; j < n; j++) sums[j]! += row[j]!;
        // B has a zero diagonal: an item does not speak for itself.
        sums[item]! -= row[item]!;
      }
      for (let j = 0; j < n; j++) scores[j] = -sums[j]! / this.inverse[rowAt(j) + j]!;
      lists.push(topList(user, scores, length, mask?.itemsOf(user)));
    }
    return lists;
  }

  private async changeTo({ gone, come }: Change, options: RunOptions): Promise<ExactChange> {
    const start = performance.now(), n = this.profiles.itemCount;
    options.signal?.throwIfAborted();
    const moved = this.profiles.after(gone, come);
    const done = (rank: number, isRefactored: boolean): ExactChange =>
      ({ removed: gone?.length ?? 0, added: come?.length ?? 0, rank, isRefactored, seconds: (performance.now() - start) / 1000 });
    if (moved.size === 0) return done(0, false);

    const left = this.itemsLeft(moved), struck: number[] = [];
    for (const [item, count] of left) if (count === 0 && this.counts[rowAt(item) + item]! > 0) struck.push(item);
    const isStruck = new Set(struck), changes: Signed[] = [];
    for (const [user, own] of [...moved].sort(([a], [b]) => a - b)) {
      const [before, after] = [this.profiles.itemsOf(user), own].map((items) => (struck.length > 0 ? items.filter((item) => !isStruck.has(item)) : items)) as [Uint32Array, Uint32Array];
      if (before.length === after.length && before.every((item, at) => item === after[at])) continue;
      if (before.length > 0) changes.push({ items: before, sign: -1 });
      if (after.length > 0) changes.push({ items: after, sign: 1 });
    }
    const rank = changes.length + struck.length;
    const put = (inverse: Float64Array, vectors: number): void => {
      // Nothing here can fail: rows, counts and weights change together.
      this.addCounts(changes, struck);
      this.profiles.put(moved, gone, come);
      this.inverse = inverse;
      this.vectors = vectors;
      this.square = undefined;
    };
    if (rank > n / 3 || this.vectors + rank > this.refactorEvery) {
      const counts = this.counts.slice();
      this.addCounts(changes, struck, counts);
      put(await invert(this.kernels, counts, n, this.lambda, options), 0);
      return done(0, true);
    }
    // A down-date looks before it touches anything; several, or one after a strike, work on a copy.
    let inverse = struck.length > 0 || changes.length > BLOCK ? this.inverse.slice() : this.inverse;
    for (const item of struck) strikeOut(inverse, n, item, this.lambda);
    for (let from = 0; from < changes.length; from += BLOCK) {
      options.signal?.throwIfAborted();
      inverse = await downdate(this.kernels, inverse, n, changes.slice(from, from + BLOCK), this.lambda);
    }
    put(inverse, this.vectors + rank);
    return done(rank, false);
  }

  /** Rows of each touched item after a change. @throws ForgettingError where the counts were not made of the rows held. */
  private itemsLeft(moved: ReadonlyMap<number, Uint32Array>): Map<number, number> {
    const left = new Map<number, number>();
    const add = (items: Uint32Array, sign: number): void => {
      for (const item of items) left.set(item, (left.get(item) ?? this.counts[rowAt(item) + item]!) + sign);
    };
    for (const [user, own] of moved) {
      add(this.profiles.itemsOf(user), -1);
      add(own, 1);
    }
    for (const [item, count] of left) {
      if (count >= 0) continue;
      throw new ForgettingError("FORGET_MODEL_CORRUPT", `The model counts fewer rows of item index ${item} than are to go: it was not made of these rows.`, { hint: "Fit it again on the remaining rows." });
    }
    return left;
  }

  /** Whole numbers, so the order of requests does not matter. */
  private addCounts(changes: readonly Signed[], struck: readonly number[], counts = this.counts): void {
    const n = this.profiles.itemCount;
    for (const item of struck) for (let j = 0; j < n; j++) counts[j <= item ? rowAt(item) + j : rowAt(j) + item] = 0;
    for (const { items, sign } of changes) {
      for (let a = 0; a < items.length; a++) {
        const row = rowAt(items[a]!);
        for (let b = 0; b <= a; b++) counts[row + items[b]!]! += sign;
      }
    }
  }

  private async refactorNow(options: RunOptions): Promise<void> {
    this.inverse = await invert(this.kernels, this.counts, this.profiles.itemCount, this.lambda, options);
    this.vectors = 0;
    this.square = undefined;
  }

  private measureDrift(): number {
    const n = this.profiles.itemCount, random = new KeyedRandom(2020, "probe");
    let worst = 0;
    for (let column = 0; column < 4; column++) {
      const probe = Float64Array.from({ length: n }, (_, item) => (random.draw(column, item)[0]! & 1 ? 1 : -1));
      const image = symmetricTimes(this.inverse, n, probe), back = symmetricTimes(this.counts, n, image);
      for (let item = 0; item < n; item++) worst = Math.max(worst, Math.abs(back[item]! + this.lambda * image[item]! - probe[item]!));
    }
    return worst;
  }

  private next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.tail.then(work);
    this.tail = done.catch(() => undefined);
    return done;
  }
}

/**
 * The EASE recipe.
 * @throws ConfigError on a lambda of 0 or less; `fit` throws DataError on empty rows and ConfigError `CONFIG_EASE_MEMORY` where the
 * matrices do not fit, with the size that would be needed.
 */
export function ease(options: EaseOptions = {}): ExactBackbone {
  const { lambda = 400, refactorEvery = 10_000, memoryLimitBytes = totalmem() / 2 } = options;
  if (!(lambda > 0 && Number.isFinite(lambda))) throw new ConfigError("CONFIG_EASE", `lambda must be a number above 0, not ${lambda}.`, { hint: "Example: ease({ lambda: 400 })." });
  if (!Number.isInteger(refactorEvery) || refactorEvery < 1) throw new ConfigError("CONFIG_EASE", `refactorEvery must be a whole number of 1 or more, not ${refactorEvery}.`);
  return {
    name: "ease",
    isExact: true,
    options: { lambda },
    async fit(train: Interactions, fit: FitOptions = {}): Promise<EaseModel> {
      const start = performance.now();
      fit.signal?.throwIfAborted();
      requireRows(train, "ease");
      requireMemory(train.itemCount, memoryLimitBytes);
      const kernels = fit.kernels ?? loadKernels(), quiet = { ...(fit.signal ? { signal: fit.signal } : {}) };
      const counts = await kernels.gram({ positives: train.csr(), columnCount: train.itemCount }, quiet);
      const inverse = await invert(kernels, counts, train.itemCount, lambda, fit);
      const report: FitReport = {
        trainedOn: fingerprintRows(train), rows: train.length, epochs: 0, bestEpoch: 0, losses: [], validation: [],
        seconds: (performance.now() - start) / 1000, device: kernels.device,
      };
      return new EaseModel(train, counts, inverse, lambda, refactorEvery, kernels, report);
    },
  };
}

/** (G + lambda I)^-1 by a Cholesky factor of fixed order: the same bytes on any face and any number of threads. */
async function invert(kernels: Kernels, counts: Uint32Array, n: number, lambda: number, options: RunOptions): Promise<Float64Array> {
  const matrix = Float64Array.from(counts);
  for (let item = 0; item < n; item++) matrix[rowAt(item) + item]! += lambda;
  return kernels.cholesky({ matrix, size: n, output: "inverse" }, options);
}

/** Item j leaves: P - p_j p_j' / P_jj, then only 1 / lambda is left in its row. */
function strikeOut(inverse: Float64Array, n: number, item: number, lambda: number): void {
  const column = new Float64Array(n);
  addColumns(inverse, n, [item], column);
  const weight = -1 / column[item]!;
  for (let i = 0, at = 0; i < n; i++) {
    const factor = weight * column[i]!;
    for (let j = 0; j <= i; j++, at++) inverse[at] = i === item || j === item ? 0 : inverse[at]! + factor * column[j]!;
  }
  inverse[rowAt(item) + item] = 1 / lambda;
}

function symmetricTimes(matrix: Float64Array | Uint32Array, n: number, v: Float64Array): Float64Array {
  const out = new Float64Array(n);
  for (let i = 0, at = 0; i < n; i++) {
    let sum = 0;
    const own = v[i]!;
    for (let j = 0; j < i; j++, at++) {
      sum += matrix[at]! * v[j]!;
      out[j]! += matrix[at]! * own;
    }
    out[i]! += sum + matrix[at++]! * own;
  }
  return out;
}

function requireMemory(items: number, limit: number): void {
  // Counts, master, serving copy, and one more master while fitting.
  const needed = triangleLength(items) * (4 + 8 + 8) + items * items * 4;
  if (needed <= limit) return;
  const gigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  throw new ConfigError("CONFIG_EASE_MEMORY", `ease on ${items.toLocaleString("en-US")} items needs about ${gigabytes(needed)}, more than ${gigabytes(limit)}.`, {
    hint: "Use itemKnn(), which keeps a few neighbours an item, take a window of the items, or raise memoryLimitBytes.",
  });
}

