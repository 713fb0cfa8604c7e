import { ConfigError } from "../core/errors.js";
import { fingerprintRows } from "../core/fingerprint.js";
import type { Csr, Interactions, Shape } from "../core/interactions.js";
import { Breather } from "../core/progress.js";
import type { Ranking, RecommendOptions } from "../core/ranking.js";
import type { FitOptions, FitReport, ProfileBackbone, Backbone } from "./backbone.js";
import { listLength, requireRows, requireShape, topList } from "./lists.js";

export interface ItemKnnOptions {
  /** Nearest items kept for each item; default 100. */
  neighbours?: number;
  /** Added to the denominator of the cosine: damps similarities that rest on few users. Default 0. */
  shrink?: number;
}

/**
 * Item neighbours: sim(i, j) = |U_i & U_j| / (sqrt(|U_i| |U_j|) + shrink) over the users of the training rows, the nearest
 * `neighbours` kept for each target i; score(u, i) = sum of sim(i, j) over the profile items j among them. Everything is
 * closed form: no draw, no seed. Sums in double, profile items ascending, rounded once.
 */
export class ItemKnnModel implements ProfileBackbone {
  readonly name = "itemknn";
  readonly itemVectors = undefined;

  /**
   * `targets` holds for each profile item j the items i that count j among their neighbours, `weights` the similarities
   * beside them; `train` the profiles it was fitted with.
   */
  constructor(
    readonly targets: Csr, readonly weights: Float32Array, readonly train: Interactions, readonly report: FitReport,
  ) {}

  get shape(): Shape {
    return this.train;
  }

  /** As `recommendFor` with the training rows as profiles. */
  recommend(users: ArrayLike<number>, k: number, options: RecommendOptions = {}): Promise<Ranking[]> {
    return this.recommendFor(this.train, users, k, options);
  }

  /**
   * Lists for any profiles over the same catalogue; a user without profile rows scores 0 everywhere, so the list follows the
   * item index. Cost O(profile * neighbours + items) a user.
   * @throws DataError on unknown users or rows of another table; ConfigError on `k`.
   */
  async recommendFor(profiles: Interactions, users: ArrayLike<number>, k: number, options: RecommendOptions = {}): Promise<Ranking[]> {
    const { mask, signal } = options;
    signal?.throwIfAborted();
    requireShape(profiles, this.shape, "profile table");
    const length = listLength(users, k, this.shape, mask);
    const breather = new Breather(signal);
    const sums = new Float64Array(this.shape.itemCount), scores = new Float32Array(this.shape.itemCount);
    const { offsets, columns } = this.targets;
    const lists: Ranking[] = [];
    for (let at = 0; at < users.length; at++) {
      if (breather.due()) await breather.pause();
      const user = users[at]!;
      sums.fill(0);
      for (const item of profiles.itemsOf(user)) {
        for (let entry = offsets[item]!; entry < offsets[item + 1]!; entry++) sums[columns[entry]!]! += this.weights[entry]!;
      }
      scores.set(sums);
      lists.push(topList(user, scores, length, mask?.itemsOf(user)));
    }
    return lists;
  }
}

/**
 * The ItemKNN recipe. Fit costs the sum over users of rows^2, plus items^2 steps of a scan; it holds one row of counts beside
 * the kept neighbours, never a square.
 * @throws ConfigError on `neighbours` below 1 or a negative `shrink`; `fit` throws DataError on empty rows.
 */
export function itemKnn(options: ItemKnnOptions = {}): Backbone<ItemKnnModel> {
  const { neighbours = 100, shrink = 0 } = options;
  if (!Number.isInteger(neighbours) || neighbours < 1 || !(shrink >= 0 && Number.isFinite(shrink))) {
    throw new ConfigError("CONFIG_ITEMKNN", `ItemKNN needs at least 1 neighbour and a shrink of at least 0, not ${neighbours} and ${shrink}.`, {
      hint: "Example: itemKnn({ neighbours: 100, shrink: 0 }).",
    });
  }
  return {
    name: "itemknn",
    options: { neighbours, shrink },
    async fit(train: Interactions, fit: FitOptions = {}): Promise<ItemKnnModel> {
      const start = performance.now();
      fit.signal?.throwIfAborted();
      requireRows(train, "itemknn");
      const nearest = await nearestItems(train, neighbours, shrink, fit);
      const report: FitReport = {
        trainedOn: fingerprintRows(train), rows: train.length, epochs: 0, bestEpoch: 0, losses: [], validation: [],
        seconds: (performance.now() - start) / 1000, device: "js",
      };
      return new ItemKnnModel(nearest.targets, nearest.weights, train, report);
    },
  };
}

async function nearestItems(
  train: Interactions, neighbours: number, shrink: number, options: FitOptions,
): Promise<{ targets: Csr; weights: Float32Array }> {
  const { itemCount } = train;
  const breather = new Breather(options.signal);
  const counts = train.itemCounts();
  const raters = transpose(train);
  const together = new Uint32Array(itemCount);
  const similarity = new Float32Array(itemCount);
  const found: { item: Uint32Array; weight: Float32Array }[] = [];
  const sizes = new Uint32Array(itemCount + 1);
  for (let item = 0; item < itemCount; item++) {
    let steps = 0;
    for (let at = raters.offsets[item]!; at < raters.offsets[item + 1]!; at++) {
      const profile = train.itemsOf(raters.columns[at]!);
      for (const other of profile) together[other]!++;
      steps += profile.length;
      if (steps > 100_000 && breather.due()) {
        steps = 0;
        await breather.pause();
      }
    }
    together[item] = 0;
    for (let other = 0; other < itemCount; other++) {
      const shared = together[other]!;
      similarity[other] = shared === 0 ? 0 : shared / (Math.sqrt(counts[item]! * counts[other]!) + shrink);
    }
    together.fill(0);
    const best = topList(item, similarity, Math.min(neighbours, itemCount), undefined);
    let kept = 0;
    while (kept < best.items.length && best.scores[kept]! > 0) sizes[best.items[kept++]! + 1]!++;
    found.push({ item: best.items.slice(0, kept), weight: best.scores.slice(0, kept) });
    if (breather.due()) {
      options.onProgress?.(item, itemCount, "item neighbours");
      await breather.pause();
    }
  }
  // Stored by profile item: targets ascend because they are filled in ascending order.
  for (let item = 0; item < itemCount; item++) sizes[item + 1]! += sizes[item]!;
  const columns = new Uint32Array(sizes[itemCount]!), weights = new Float32Array(columns.length), next = sizes.slice();
  found.forEach(({ item: items, weight }, target) => {
    items.forEach((item, at) => {
      const entry = next[item]!++;
      columns[entry] = target;
      weights[entry] = weight[at]!;
    });
  });
  options.onProgress?.(itemCount, itemCount, "item neighbours");
  return { targets: { offsets: sizes, columns }, weights };
}

/** Users by item, ascending. */
function transpose(rows: Interactions): Csr {
  const offsets = new Uint32Array(rows.itemCount + 1);
  for (const item of rows.items) offsets[item + 1]!++;
  for (let item = 0; item < rows.itemCount; item++) offsets[item + 1]! += offsets[item]!;
  const next = offsets.slice(), columns = new Uint32Array(rows.length);
  for (let row = 0; row < rows.length; row++) columns[next[rows.items[row]!]!++] = rows.users[row]!;
  return { offsets, columns };
}
