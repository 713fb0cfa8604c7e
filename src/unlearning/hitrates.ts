import { KeyedRandom, smallestKeys } from "../core/rng.js";
import type { Interactions } from "../core/interactions.js";
import { Breather, type RunOptions } from "../core/progress.js";
import type { ProfileBackbone } from "../backbone/backbone.js";
import type { Categories } from "../retrieval/cluster.js";
import type { HitRates } from "../retrieval/retriever.js";

export interface HitRateOptions {
  seed: number;
  /** Levels 1..levels of `unit` each; the paper's grid is 10 levels, the released code's unit is 5 %. */
  levels?: number;
  unit?: number;
  /** At most this many users are asked (keyed draw): M is a mean, 1,000 users give it to about .015. */
  users?: number;
}

/**
 * M[c][p] of Eq. 4-5: the hit rate when p of category c is retained. Ours (`profileProxy`): a neighbour model of D_r scores
 * the profile that holds only ceil(p * |D_u,c|) rows of category c (keyed order); HR@10 on the validation rows of D_r, mean
 * over users with a row in c and a validation row. No test row and no forgotten row is read. The released code trains 50
 * backbones on the full data instead. Cost: categories * levels * users list requests.
 */
export async function measureHitRates(
  model: ProfileBackbone, history: Interactions, valid: Interactions, categories: Categories, options: HitRateOptions & RunOptions,
): Promise<HitRates> {
  const { seed, levels = 10, unit = 0.05, users: limit = 1000, signal, onProgress } = options;
  const draw = new KeyedRandom(seed, "sample/user");
  const present = valid.presentUsers().filter((user) => history.countOf(user) > 0);
  const users = smallestKeys(Array.from(present, (user) => draw.key(user)), limit).map((at) => present[at]!).sort();
  const order = new KeyedRandom(seed, "history/diversity");
  const count = categories.names.length;
  const values = new Float64Array(count * levels);
  const breather = new Breather(signal);
  for (let category = 0; category < count; category++) {
    const rows: number[][] = [];
    const asked: number[] = [];
    for (const user of users) {
      const own: number[] = [];
      for (let row = history.offsets[user]!; row < history.offsets[user + 1]!; row++) {
        if (categories.labels[history.items[row]!] === category) own.push(row);
      }
      if (own.length === 0) continue;
      const keys = own.map((row) => order.key(user, history.items[row]!));
      rows.push(Array.from(smallestKeys(keys, own.length), (at) => own[at]!));
      asked.push(user);
      if (breather.due()) await breather.pause();
    }
    for (let level = 1; level <= levels && asked.length > 0; level++) {
      const kept = rows.flatMap((own) => own.slice(0, Math.ceil((level * own.length) / Math.round(1 / unit))));
      const lists = await model.recommendFor(history.select(kept), asked, 10, { mask: history, ...(signal ? { signal } : {}) });
      const hits = lists.filter((list) => list.items.some((item) => valid.has(list.user, item))).length;
      values[category * levels + level - 1] = hits / asked.length;
      onProgress?.(category * levels + level, count * levels, "hit rates of the categories");
    }
  }
  return { values, categories: count, levels, unit, origin: `${model.name} profiles of ${users.length} users, HR@10 on validation rows of D_r` };
}
