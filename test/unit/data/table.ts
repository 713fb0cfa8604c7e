import { Interactions } from "../../../src/core/interactions.js";
import { KeyedRandom } from "../../../src/core/rng.js";
import { Dataset } from "../../../src/data/dataset.js";

export interface Row {
  user: number;
  item: number;
  rating?: number;
}

/** A small invented data set. User and item ids are "u<n>" and "i<n>", so that they differ from the dense indices. */
export function tableOf(rows: readonly Row[], userCount: number, itemCount: number): Dataset {
  const columns = {
    users: Uint32Array.from(rows, (row) => row.user),
    items: Uint32Array.from(rows, (row) => row.item),
    ratings: Float32Array.from(rows, (row) => row.rating ?? 3),
  };
  return new Dataset({
    name: "invented",
    interactions: Interactions.from(columns, { userCount, itemCount }),
    items: Array.from({ length: itemCount }, (_, item) => ({ id: `i${item}`, title: `Film ${item}`, genres: [] })),
    users: Array.from({ length: userCount }, (_, user) => ({ id: `u${user}` })),
    ratingScale: { min: 1, max: 5 },
    source: "invented",
  });
}

/** Rows of a table in which user u has `counts[u]` rows, on items drawn by key. */
export function rowsOf(counts: readonly number[], itemCount: number, seed = 1): Row[] {
  const random = new KeyedRandom(seed, "synthetic/row");
  return counts.flatMap((count, user) =>
    Array.from({ length: itemCount }, (_, item) => ({ user, item, key: random.key(user, item) }))
      .sort((a, b) => a.key - b.key)
      .slice(0, count)
      .map(({ item }) => ({ user, item, rating: 1 + random.integer(5, user, item, 1) })));
}

/** "user:item" of each row. */
export function pairs(rows: Interactions): string[] {
  return Array.from(rows.users, (user, row) => `${user}:${rows.items[row]}`);
}
