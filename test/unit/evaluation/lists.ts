import { Interactions } from "../../../src/core/interactions.js";
import type { Ranking } from "../../../src/core/ranking.js";

/** Rows from item sets by user. */
export function truthOf(byUser: readonly (readonly number[])[], itemCount: number): Interactions {
  const rows = byUser.flatMap((items, user) => [...new Set(items)].map((item) => ({ user, item })));
  return Interactions.from({
    users: Uint32Array.from(rows, (row) => row.user), items: Uint32Array.from(rows, (row) => row.item),
    ratings: new Float32Array(rows.length).fill(1),
  }, { userCount: byUser.length, itemCount });
}

export function rankingOf(user: number, items: readonly number[]): Ranking {
  return { user, items: Uint32Array.from(items), scores: Float32Array.from(items, (_, at) => -at) };
}
