import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { itemKnn } from "../../../src/backbone/itemknn.js";
import { ConfigError, DataError } from "../../../src/core/errors.js";
import { Interactions } from "../../../src/core/interactions.js";

const USERS = 9, ITEMS = 8;

function table(pairs: [number, number][]): Interactions {
  const unique = [...new Set(pairs.map(([user, item]) => user * ITEMS + item))];
  return Interactions.from({
    users: Uint32Array.from(unique, (pair) => Math.floor(pair / ITEMS)), items: Uint32Array.from(unique, (pair) => pair % ITEMS), ratings: new Float32Array(unique.length).fill(1),
  }, { userCount: USERS, itemCount: ITEMS });
}

/** Dense and direct: all cosines, the nearest of each target, one sum a score. */
function naive(train: Interactions, profile: Interactions, user: number, neighbours: number, shrink: number): Float32Array {
  const has = (item: number, other: number): boolean => train.has(other, item);
  const raters = (item: number): number[] => Array.from({ length: USERS }, (_, other) => other).filter((other) => has(item, other));
  const scores = new Float32Array(ITEMS);
  for (let target = 0; target < ITEMS; target++) {
    const own = raters(target);
    const similarities = Array.from({ length: ITEMS }, (_, item) => {
      const others = raters(item);
      const shared = others.filter((other) => own.includes(other)).length;
      return { item, value: item === target || shared === 0 ? 0 : Math.fround(shared / (Math.sqrt(own.length * others.length) + shrink)) };
    });
    const near = similarities.filter(({ value }) => value > 0).sort((a, b) => b.value - a.value || a.item - b.item).slice(0, neighbours);
    let sum = 0;
    for (const item of profile.itemsOf(user)) sum += near.find((other) => other.item === item)?.value ?? 0;
    scores[target] = sum;
  }
  return scores;
}

const pairs = fc.array(fc.tuple(fc.nat({ max: USERS - 1 }), fc.nat({ max: ITEMS - 1 })), { minLength: 1, maxLength: 50 });

describe("itemKnn", () => {
  it("equals a dense computation, for its own users and for arbitrary profiles", async () => {
    await fc.assert(fc.asyncProperty(pairs, pairs, fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 3 }), async (rows, others, neighbours, shrink) => {
      const train = table(rows), profiles = table(others);
      const model = await itemKnn({ neighbours, shrink }).fit(train);
      const users = Array.from({ length: USERS }, (_, user) => user);
      for (const [profile, lists] of [[train, await model.recommend(users, ITEMS)], [profiles, await model.recommendFor(profiles, users, ITEMS)]] as const) {
        for (const { user, items, scores } of lists) {
          const wanted = naive(train, profile, user, neighbours, shrink);
          expect([...items]).toEqual([...wanted.keys()].sort((a, b) => wanted[b]! - wanted[a]! || a - b));
          expect([...scores]).toEqual([...items].map((item) => wanted[item]));
        }
      }
    }), { numRuns: 60 });
  });

  it("keeps no more than the asked neighbours of an item", async () => {
    const train = table(Array.from({ length: USERS * ITEMS }, (_, pair) => [Math.floor(pair / ITEMS), pair % ITEMS]));
    const model = await itemKnn({ neighbours: 3 }).fit(train);
    expect(model.weights.length).toBe(3 * ITEMS);
    expect([...model.weights].every((weight) => weight === 1)).toBe(true);
  });

  it("refuses profiles of another catalogue and options that mean nothing", async () => {
    const model = await itemKnn().fit(table([[0, 1], [0, 2]]));
    const foreign = Interactions.empty({ userCount: USERS, itemCount: ITEMS + 1 });
    await expect(model.recommendFor(foreign, [0], 3)).rejects.toThrow(DataError);
    for (const options of [{ neighbours: 0 }, { neighbours: 1.5 }, { shrink: -1 }, { shrink: Number.NaN }]) expect(() => itemKnn(options)).toThrow(ConfigError);
  });
});
