import { ConfigError, DataError } from "../core/errors.js";
import type { Interactions } from "../core/interactions.js";
import { KeyedRandom, smallestKeys } from "../core/rng.js";
import type { Dataset } from "./dataset.js";
import { FORGOTTEN, TEST, TRAIN, partOfLabel, rowsWhere } from "./labels.js";

/** What to forget: a share drawn by key, or a request. Users and items are dense indices. */
export type ForgetOption =
  | { unit: "interactions" | "users"; ratio: number }
  | { interactions: Interactions }
  | { users: ArrayLike<number> }
  | { items: ArrayLike<number> };

/** What was asked, in a form that fits in a manifest. */
export type ForgetSpec =
  | { unit: "interactions" | "users"; ratio: number }
  /** `asked` rows, users or items; `testRows` of them (or theirs) are test rows and therefore stay. */
  | { request: "interactions" | "users" | "items"; asked: number; testRows: number };

/** floor(share * count), where a product that misses a whole number by rounding alone counts as that number. */
export function shareOf(count: number, share: number): number {
  return Math.floor(share * count + 1e-9);
}

/**
 * Marks D_f in `labels` (adds FORGOTTEN), a part of train and valid.
 * - unit "interactions": floor(ratio * |train + valid|) rows with the smallest h(forget; u, i); a row that would leave its
 *   user without a train row is skipped and the next one is taken.
 * - unit "users": floor(ratio * |users with rows|) users with the smallest h(forget/user; u), all their train and valid rows.
 * - a request: exactly the rows asked for that are train or valid.
 * Cost O(rows log rows). Ties of keys stand by row.
 * A ratio of exactly 0 forgets nothing.
 * @throws ConfigError on a ratio outside [0, 1), one above 0 that forgets nothing, or one that the skip rule cannot reach; DataError on unknown users, items or rows.
 */
export function markForgotten(dataset: Dataset, labels: Uint8Array, forget: ForgetOption, seed: number): ForgetSpec {
  if ("unit" in forget) {
    const { unit, ratio } = forget;
    checkRatio(ratio);
    if (unit === "interactions") drawInteractions(dataset, labels, ratio, seed);
    else if (unit === "users") markUsers(dataset, labels, drawUsers(dataset, ratio, new KeyedRandom(seed, "forget/user")));
    else {
      throw new ConfigError("CONFIG_FORGET_UNIT", `The unit to forget is "interactions" or "users", not "${String(unit)}".`);
    }
    return { unit, ratio };
  }
  if ("interactions" in forget) {
    const rows = rowIndices(dataset, forget.interactions);
    return { request: "interactions", asked: rows.length, testRows: mark(labels, rows) };
  }
  if ("users" in forget) {
    const users = knownIds(forget.users, dataset.userCount, "user", dataset.name);
    return { request: "users", asked: users.length, testRows: markUsers(dataset, labels, users) };
  }
  if ("items" in forget) {
    const items = knownIds(forget.items, dataset.itemCount, "item", dataset.name);
    const asked = new Uint8Array(dataset.itemCount);
    for (const item of items) asked[item] = 1;
    const rows: number[] = [];
    for (let row = 0; row < dataset.length; row++) if (asked[dataset.items[row]!]) rows.push(row);
    return { request: "items", asked: items.length, testRows: mark(labels, rows) };
  }
  throw new ConfigError("CONFIG_FORGET", `Cannot read what to forget from ${JSON.stringify(forget)}.`, {
    hint: 'Pass { unit: "interactions" | "users", ratio }, { interactions }, { users } or { items }.',
  });
}

/**
 * floor(ratio * |users with rows|) users with the smallest keys, ascending.
 * @throws ConfigError on a ratio above 0 that is less than one user.
 */
export function drawUsers(rows: Interactions, ratio: number, random: KeyedRandom): Uint32Array {
  const present = rows.presentUsers();
  const keys = Float64Array.from(present, (user) => random.key(user));
  return smallestKeys(keys, drawnOf(present.length, ratio, "user")).map((at) => present[at]!).sort();
}

/** As `shareOf`; a share that asks for something and gets nothing would pass for a request that was honoured. */
function drawnOf(count: number, ratio: number, what: string): number {
  const drawn = shareOf(count, ratio);
  if (drawn === 0 && ratio > 0) {
    throw new ConfigError("CONFIG_FORGET_RATIO", `A share of ${ratio} of ${count} ${what}${count === 1 ? "" : "s"} is less than one: nothing would be forgotten.`, {
      hint: count > 1 ? `The smallest share that forgets something is ${leastShare(count)} (--forget ${leastShare(count)}).`
        : "Name what to forget instead of a share: { users } or { interactions }.",
    });
  }
  return drawn;
}

/** 1 / count, rounded up to three digits that count. */
function leastShare(count: number): number {
  const rounded = Number((1 / count).toPrecision(3));
  return shareOf(count, rounded) > 0 ? rounded : Number((1.01 / count).toPrecision(3));
}

/** @throws ConfigError unless 0 <= ratio < 1. */
export function checkRatio(ratio: number): void {
  if (!(ratio >= 0 && ratio < 1)) {
    throw new ConfigError("CONFIG_FORGET_RATIO", `The share to forget must be at least 0 and below 1, not ${ratio}.`, {
      hint: 'For ten percent pass { unit: "interactions", ratio: 0.1 }, or --forget 0.1.',
    });
  }
}

/** Ascending, each once. @throws DataError on an id outside 0 .. count - 1. */
export function knownIds(ids: ArrayLike<number>, count: number, what: "user" | "item", name: string): Uint32Array {
  const known = new Set<number>();
  for (let at = 0; at < ids.length; at++) {
    const id = ids[at]!;
    if (!Number.isInteger(id) || id < 0 || id >= count) {
      throw new DataError("DATA_UNKNOWN_ID", `${name} has no ${what} index ${id}: there are ${count} ${what}s.`, {
        hint: `Indices start at 0. For a publisher's id use dataset.${what}Of("id").`,
      });
    }
    known.add(id);
  }
  return Uint32Array.from(known).sort();
}

function rowIndices(dataset: Dataset, asked: Interactions): Uint32Array {
  const rows = new Uint32Array(asked.length);
  for (let at = 0; at < asked.length; at++) {
    const user = asked.users[at]!, item = asked.items[at]!;
    knownIds([user], dataset.userCount, "user", dataset.name);
    knownIds([item], dataset.itemCount, "item", dataset.name);
    const row = dataset.indexOf(user, item);
    if (row < 0) {
      throw new DataError(
        "DATA_UNKNOWN_ROW",
        `${dataset.name} holds no row of user ${dataset.userId(user)} and item ${dataset.itemId(item)} (indices ${user}, ${item}).`,
        { hint: "A request can name rows of the data set only; take them from dataset.of(user)." },
      );
    }
    rows[at] = row;
  }
  return rows;
}

function markUsers(rows: Interactions, labels: Uint8Array, users: Uint32Array): number {
  let testRows = 0;
  for (const user of users) {
    const first = rows.offsets[user]!;
    testRows += mark(labels, Uint32Array.from({ length: rows.countOf(user) }, (_, at) => first + at));
  }
  return testRows;
}

/** Marks train and valid rows; returns how many were test rows. */
function mark(labels: Uint8Array, rows: ArrayLike<number>): number {
  let testRows = 0;
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at]!;
    if (partOfLabel(labels[row]!) === TEST) testRows++;
    else labels[row] = labels[row]! | FORGOTTEN;
  }
  return testRows;
}

function drawInteractions(dataset: Dataset, labels: Uint8Array, ratio: number, seed: number): void {
  const random = new KeyedRandom(seed, "forget");
  const pool = rowsWhere(labels, (label) => partOfLabel(label) !== TEST);
  const count = drawnOf(pool.length, ratio, "row");
  const keys = Float64Array.from(pool, (row) => random.key(dataset.users[row]!, dataset.items[row]!));
  const trainLeft = new Uint32Array(dataset.userCount);
  for (const row of pool) if (labels[row] === TRAIN) trainLeft[dataset.users[row]!]!++;

  // The rows come in key order, but only as far as needed: sorting all rows of a large table by comparison is the costly part.
  const sorted = keys.slice().sort();
  let taken = 0, above = -1;
  for (let wanted = count; taken < count; wanted += 1024 + count - taken) {
    const upTo = sorted[Math.min(wanted, sorted.length) - 1]!;
    const next: number[] = [];
    for (let at = 0; at < pool.length; at++) if (keys[at]! > above && keys[at]! <= upTo) next.push(at);
    next.sort((a, b) => keys[a]! - keys[b]! || a - b);
    for (const at of next) {
      if (taken === count) break;
      const row = pool[at]!, user = dataset.users[row]!;
      if (labels[row] === TRAIN) {
        if (trainLeft[user] === 1) continue;
        trainLeft[user]!--;
      }
      labels[row] = labels[row]! | FORGOTTEN;
      taken++;
    }
    if (wanted >= sorted.length && taken < count) {
      throw new ConfigError(
        "CONFIG_FORGET_RATIO",
        `A share of ${ratio} is ${count} rows, but only ${taken} can be forgotten while every user keeps a train row.`,
        { hint: 'Ask for a smaller ratio, or forget whole users with { unit: "users" }, --unit users.' },
      );
    }
    above = upTo;
  }
}
