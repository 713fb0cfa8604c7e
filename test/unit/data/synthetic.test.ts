import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { itemKnn } from "../../../src/backbone/itemknn.js";
import { popularityBackbone } from "../../../src/backbone/popularity.js";
import type { FittedBackbone } from "../../../src/backbone/backbone.js";
import { ConfigError } from "../../../src/core/errors.js";
import type { Interactions } from "../../../src/core/interactions.js";
import { KeyedRandom } from "../../../src/core/rng.js";
import { synthesize } from "../../../src/data/synthetic.js";
import { SYNTHETIC_GENRES } from "../../../src/data/titles.js";

/** A keyed third of the rows is held out: enough to see whether taste can be learned. */
function holdOut(rows: Interactions): { train: Interactions; test: Interactions } {
  const random = new KeyedRandom(7, "split");
  const held = (row: number): boolean => random.uniform(rows.users[row]!, rows.items[row]!) < 0.3;
  return { train: rows.filter((row) => !held(row)), test: rows.filter(held) };
}

async function ndcg(model: FittedBackbone, train: Interactions, test: Interactions): Promise<number> {
  const users = test.presentUsers();
  let sum = 0;
  for (const list of await model.recommend(users, 10, { mask: train })) {
    let gain = 0, ideal = 0;
    list.items.forEach((item, place) => { gain += test.has(list.user, item) ? 1 / Math.log2(place + 2) : 0; });
    for (let place = 0; place < Math.min(10, test.countOf(list.user)); place++) ideal += 1 / Math.log2(place + 2);
    sum += gain / ideal;
  }
  return sum / users.length;
}

describe("synthesize", () => {
  const data = synthesize();

  it("gives the same bytes everywhere: the default data set is pinned", () => {
    expect([data.userCount, data.itemCount, data.length]).toEqual([600, 500, 44821]);
    expect(data.fingerprint).toBe("5b23dcbfb586aa314596c9e464bb49cc6825925db829430593cf4957feb3e225");
    expect(synthesize({ seed: 2021 }).fingerprint).not.toBe(data.fingerprint);
  });

  it("keeps its promises for any size", () => {
    fc.assert(fc.property(
      fc.integer({ min: 1, max: 40 }), fc.integer({ min: 24, max: 120 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.double({ min: 1, max: 12, noNaN: true }),
      (users, items, seed, mean) => {
        const made = synthesize({ users, items, seed, meanPerUser: mean });
        expect([made.userCount, made.itemCount]).toEqual([users, items]);
        for (let user = 0; user < users; user++) {
          const own = made.itemsOf(user);
          expect(own.length).toBeGreaterThanOrEqual(Math.min(20, Math.floor(mean)));
          expect(own.length).toBeLessThanOrEqual(items / 2);
          for (let at = 1; at < own.length; at++) expect(own[at]!).toBeGreaterThan(own[at - 1]!);
          expect(made.userId(user)).toBe(String(user + 1));
        }
      },
    ), { numRuns: 60 });
  });

  it("looks like films rated by people", () => {
    const titles = new Set<string>();
    for (let item = 0; item < data.itemCount; item++) {
      titles.add(data.title(item));
      expect(data.title(item)).toMatch(/^[A-Z][A-Za-z0-9' :-]+$/);
      expect(data.year(item)).toBeGreaterThanOrEqual(1950);
      expect(data.year(item)).toBeLessThanOrEqual(2015);
      const genres = data.genres(item);
      expect(genres.length).toBeGreaterThanOrEqual(1);
      expect(genres.length).toBeLessThanOrEqual(3);
      expect(new Set(genres).size).toBe(genres.length);
      for (const genre of genres) expect(SYNTHETIC_GENRES).toContain(genre);
    }
    expect(titles.size).toBe(data.itemCount);
    for (let user = 0; user < data.userCount; user++) {
      expect(data.countOf(user)).toBeGreaterThanOrEqual(20);
      const { age, gender, occupation } = data.profile(user);
      expect(Number(age)).toBeGreaterThanOrEqual(16);
      expect(["female", "male"]).toContain(gender);
      expect(occupation).toMatch(/^[a-z]+$/);
    }
    const counts = [0, 0, 0, 0, 0, 0];
    data.ratings.forEach((rating, row) => {
      counts[rating]!++;
      // After the last film year and before 2022.
      expect(data.timestamps![row]! > 1451606399 && data.timestamps![row]! < 1640995200).toBe(true);
    });
    expect(counts[0]).toBe(0);
    for (const count of counts.slice(1)) expect(count).toBeGreaterThan(data.length / 200);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(data.length);
  });

  it("invents thousands of different titles without numbering them", () => {
    const many = synthesize({ users: 1, items: 4000, meanPerUser: 20 });
    const titles = Array.from({ length: 4000 }, (_, item) => many.title(item));
    expect(new Set(titles).size).toBe(4000);
    expect(titles.filter((title) => / \d/.test(title)).length).toBeLessThan(200);
    const crowded = synthesize({ users: 1, items: 60_000, meanPerUser: 20 });
    expect(new Set(Array.from({ length: 60_000 }, (_, item) => crowded.title(item))).size).toBe(60_000);
  });

  it("keys every draw: more users leave the first ones as they were", () => {
    const few = synthesize({ users: 40, items: 200, meanPerUser: 30 }), more = synthesize({ users: 90, items: 200, meanPerUser: 30 });
    for (let user = 0; user < 40; user++) {
      expect(Array.from(more.itemsOf(user))).toEqual(Array.from(few.itemsOf(user)));
      expect(Array.from(more.of(user).ratings)).toEqual(Array.from(few.of(user).ratings));
      expect(more.profile(user)).toEqual(few.profile(user));
    }
  });

  it("grows to a million rows in columns", () => {
    const big = synthesize({ users: 8000, items: 3000, meanPerUser: 130 });
    expect(big.length).toBeGreaterThan(1e6);
    expect(Math.abs(big.length / 8000 - 130)).toBeLessThan(3);
  });

  it("plants tastes that a recommender learns and popularity cannot explain", async () => {
    const { train, test } = holdOut(data);
    const popular = await ndcg(await popularityBackbone().fit(train), train, test);
    const neighbours = await ndcg(await itemKnn().fit(train), train, test);
    expect(popular).toBeGreaterThan(0.05);
    expect(neighbours).toBeGreaterThan(2.5 * popular);
  });

  it("rates what is liked higher", () => {
    // A user's most watched genre is a favourite: its rows are rated above the rest.
    let own = 0, ownCount = 0, other = 0, otherCount = 0;
    for (let user = 0; user < data.userCount; user++) {
      const favourite = favouriteOf(data, user);
      const rows = data.of(user);
      rows.items.forEach((item, at) => {
        if (data.genres(item).includes(favourite)) { own += rows.ratings[at]!; ownCount++; }
        else { other += rows.ratings[at]!; otherCount++; }
      });
    }
    expect(own / ownCount - other / otherCount).toBeGreaterThan(0.4);
  });

  it("shows a forgotten genre: it leaves the lists after fitting on what remains", async () => {
    const { train } = holdOut(data);
    const asked = Array.from({ length: 60 }, (_, at) => at * 10);
    const favourites = new Map(asked.map((user) => [user, favouriteOf(data, user)]));
    const remain = train.filter((row) => {
      const favourite = favourites.get(train.users[row]!);
      return favourite === undefined || !data.genres(train.items[row]!).includes(favourite);
    });
    const share = (lists: { user: number; items: Uint32Array }[]): number => {
      const hits = lists.map((list) => list.items.filter((item) => data.genres(item).includes(favourites.get(list.user)!)).length);
      return hits.reduce((sum, count) => sum + count, 0) / hits.length;
    };
    const before = share(await (await itemKnn().fit(train)).recommend(asked, 10, { mask: train }));
    const after = share(await (await itemKnn().fit(remain)).recommend(asked, 10, { mask: remain }));
    expect(before).toBeGreaterThan(5);
    expect(after).toBeLessThan(2);
  });

  it.each([
    [{ users: 0 }, /users/], [{ items: 23 }, /items/], [{ users: 1.5 }, /users/], [{ items: 100, meanPerUser: 51 }, /meanPerUser/],
    [{ meanPerUser: Number.NaN }, /minPerUser|meanPerUser/], [{ minPerUser: 0 }, /minPerUser/], [{ meanPerUser: 10, minPerUser: 11 }, /meanPerUser/],
    [{ seed: -1 }, /seed/],
  ])("refuses %j", (options, named) => {
    expect(() => synthesize(options)).toThrow(ConfigError);
    expect(() => synthesize(options)).toThrow(named);
  });
});

function favouriteOf(data: ReturnType<typeof synthesize>, user: number): string {
  const counts = new Map<string, number>();
  for (const item of data.itemsOf(user)) {
    const genre = data.genres(item)[0]!;
    counts.set(genre, (counts.get(genre) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1])[0]![0];
}
