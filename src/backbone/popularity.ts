import { fingerprintRows } from "../core/fingerprint.js";
import type { Interactions, Shape } from "../core/interactions.js";
import { Breather } from "../core/progress.js";
import type { Ranking, RecommendOptions } from "../core/ranking.js";
import type { Backbone, FitOptions, FitReport, FittedBackbone } from "./backbone.js";
import { listLength, requireRows } from "./lists.js";

/** The same list for everybody: items by their number of training rows, ties by lower item index. A sanity row. */
export class PopularityModel implements FittedBackbone {
  readonly name = "popularity";
  readonly itemVectors = undefined;
  private readonly order: Uint32Array;

  /** `counts`: rows per item [itemCount]. */
  constructor(readonly counts: Uint32Array, readonly shape: Shape, readonly report: FitReport) {
    this.order = Uint32Array.from(counts.keys()).sort((a, b) => counts[b]! - counts[a]! || a - b);
  }

  /** Scores are the counts. Cost O(users * k). @throws DataError on unknown users; ConfigError on `k`. */
  async recommend(users: ArrayLike<number>, k: number, options: RecommendOptions = {}): Promise<Ranking[]> {
    const { mask, signal } = options;
    signal?.throwIfAborted();
    const length = listLength(users, k, this.shape, mask);
    const breather = new Breather(signal);
    const seen = new Int32Array(this.shape.itemCount).fill(-1);
    const lists: Ranking[] = [];
    for (let at = 0; at < users.length; at++) {
      if (breather.due()) await breather.pause();
      if (mask) for (const item of mask.itemsOf(users[at]!)) seen[item] = at;
      const items: number[] = [];
      for (let place = 0; place < this.order.length && items.length < length; place++) {
        if (seen[this.order[place]!] !== at) items.push(this.order[place]!);
      }
      lists.push({ user: users[at]!, items: Uint32Array.from(items), scores: Float32Array.from(items, (item) => this.counts[item]!) });
    }
    return lists;
  }
}

/** Counts of the rows given; nothing is drawn, so the seed has no effect. `fit` throws DataError on empty rows. */
export function popularityBackbone(): Backbone<PopularityModel> {
  return {
    name: "popularity",
    options: {},
    async fit(train: Interactions, options: FitOptions = {}): Promise<PopularityModel> {
      const start = performance.now();
      options.signal?.throwIfAborted();
      requireRows(train, "popularity");
      const counts = train.itemCounts();
      const report: FitReport = {
        trainedOn: fingerprintRows(train), rows: train.length, epochs: 0, bestEpoch: 0, losses: [], validation: [],
        seconds: (performance.now() - start) / 1000, device: "js",
      };
      return new PopularityModel(counts, { userCount: train.userCount, itemCount: train.itemCount }, report);
    },
  };
}
