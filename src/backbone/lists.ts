import { ConfigError, DataError } from "../core/errors.js";
import type { Interactions, Shape } from "../core/interactions.js";
import type { Ranking } from "../core/ranking.js";

/** @throws DataError when there is nothing to learn from. */
export function requireRows(train: Interactions, name: string): void {
  if (train.length > 0) return;
  throw new DataError("DATA_EMPTY_TRAIN", `${name} was given no training rows (${train.userCount} users, ${train.itemCount} items, 0 rows).`, {
    hint: "Forget fewer rows, or serve a list that needs no data.",
  });
}

/**
 * Checks the arguments that every `recommend` shares and returns the list length: `k`, at most the catalogue.
 * @throws DataError on users that the model does not know or a mask of another table; ConfigError on `k`.
 */
export function listLength(users: ArrayLike<number>, k: number, shape: Shape, mask: Interactions | undefined): number {
  if (!Number.isInteger(k) || k < 1) {
    throw new ConfigError("CONFIG_LIST_LENGTH", `The list length k must be a whole number of at least 1, not ${k}.`, { hint: "Example: recommend(users, 20)." });
  }
  for (let at = 0; at < users.length; at++) {
    const user = users[at]!;
    if (!Number.isInteger(user) || user < 0 || user >= shape.userCount) {
      throw new DataError("DATA_UNKNOWN_ID", `The model has no user index ${user}; it was fitted with ${shape.userCount} users.`, {
        hint: "Users are dense indices here; dataset.userOf(id) gives them.",
      });
    }
  }
  requireShape(mask, shape, "mask");
  return Math.min(k, shape.itemCount);
}

/** @throws DataError when `rows` belong to a table of another size than the model's. */
export function requireShape(rows: Interactions | undefined, shape: Shape, what: string): void {
  if (!rows || (rows.userCount === shape.userCount && rows.itemCount === shape.itemCount)) return;
  throw new DataError("DATA_SHAPE", `The ${what} has ${rows.userCount} users and ${rows.itemCount} items, the model ${shape.userCount} and ${shape.itemCount}.`, {
    hint: "Use rows of the data set that the model was fitted on; its counts never shrink.",
  });
}

/**
 * The best `k` entries of `scores` outside `masked` (ascending item indices), ties by lower index: a binary heap that keeps
 * the worst kept item on top. Cost O(items + k log k) on average.
 */
export function topList(user: number, scores: Float32Array, k: number, masked: Uint32Array | undefined): Ranking {
  const heap = new Uint32Array(k);
  let size = 0, mask = 0;
  const worse = (a: number, b: number): boolean => scores[a]! < scores[b]! || (scores[a] === scores[b] && a > b);
  const sink = (at: number, end: number): void => {
    for (let child = 2 * at + 1; child < end; child = 2 * at + 1) {
      if (child + 1 < end && worse(heap[child + 1]!, heap[child]!)) child++;
      if (!worse(heap[child]!, heap[at]!)) return;
      const moved = heap[at]!;
      heap[at] = heap[child]!;
      heap[child] = moved;
      at = child;
    }
  };
  for (let item = 0; item < scores.length; item++) {
    if (masked && mask < masked.length && masked[mask] === item) {
      mask++;
      continue;
    }
    if (size < k) {
      heap[size++] = item;
      if (size === k) for (let at = (k >> 1) - 1; at >= 0; at--) sink(at, k);
    } else if (scores[item]! > scores[heap[0]!]!) {
      // Items come in ascending order, so an equal score never displaces an earlier one.
      heap[0] = item;
      sink(0, k);
    }
  }
  const items = heap.slice(0, size).sort((a, b) => (worse(a, b) ? 1 : -1));
  return { user, items, scores: Float32Array.from(items, (item) => scores[item]!) };
}
