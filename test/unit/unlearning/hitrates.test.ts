import { describe, expect, it } from "vitest";
import { itemKnn } from "../../../src/backbone/itemknn.js";
import type { ProfileBackbone } from "../../../src/backbone/backbone.js";
import { Interactions } from "../../../src/core/interactions.js";
import { KeyedRandom } from "../../../src/core/rng.js";
import { splitDataset } from "../../../src/data/split.js";
import { synthesize } from "../../../src/data/synthetic.js";
import { genreCategories } from "../../../src/retrieval/cluster.js";
import { measureHitRates } from "../../../src/unlearning/hitrates.js";

const split = splitDataset(synthesize({ users: 40, items: 60, meanPerUser: 22, seed: 2 }), { seed: 2 });
const { train, valid, dataset } = split;
const categories = genreCategories(dataset);

describe("measureHitRates", () => {
  it("equals a naive loop over categories, shares and users", async () => {
    const model = await itemKnn({ neighbours: 20 }).fit(train);
    const { values, levels, unit, categories: count } = await measureHitRates(model, train, valid, categories, { seed: 2 });
    expect([levels, unit, count]).toEqual([10, 0.05, categories.names.length]);
    const keys = new KeyedRandom(2, "history/diversity");
    for (let category = 0; category < count; category++) {
      for (let percent = 5; percent <= 50; percent += 5) {
        let asked = 0, hits = 0;
        for (const user of valid.presentUsers()) {
          const own = [...train.itemsOf(user)].filter((item) => categories.labels[item] === category)
            .map((item) => ({ item, key: keys.key(user, item) })).sort((a, b) => a.key - b.key);
          if (own.length === 0) continue;
          asked++;
          const kept = own.slice(0, Math.ceil((percent * own.length) / 100));
          const profile = Interactions.from({
            users: Uint32Array.from(kept, () => user), items: Uint32Array.from(kept, ({ item }) => item), ratings: new Float32Array(kept.length),
          }, dataset);
          const [list] = await model.recommendFor(profile, [user], 10, { mask: train });
          if (list!.items.some((item) => valid.has(user, item))) hits++;
        }
        expect(values[category * levels + percent / 5 - 1]).toBe(asked === 0 ? 0 : hits / asked);
      }
    }
  });

  it("keeps exactly ceil(share * rows), also where the product is whole", async () => {
    // 3 * .05 * 20 = 3.0000000000000004: three rows, not four.
    const rows = (items: number[]): Interactions => Interactions.from({
      users: new Uint32Array(items.length), items: Uint32Array.from(items), ratings: new Float32Array(items.length),
    }, { userCount: 1, itemCount: 30 });
    const kept: number[] = [];
    const counting = {
      name: "counting",
      recommendFor: async (profiles: Interactions) => {
        kept.push(profiles.length);
        return [];
      },
    } as unknown as ProfileBackbone;
    const one = { ...categories, names: ["all"], labels: new Uint32Array(30) };
    await measureHitRates(counting, rows([...Array(20).keys()]), rows([25]), one, { seed: 1 });
    expect(kept).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});
