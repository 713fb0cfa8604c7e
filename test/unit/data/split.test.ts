import fc from "fast-check";
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { ConfigError, DataError } from "../../../src/core/errors.js";
import { Interactions } from "../../../src/core/interactions.js";
import { KeyedRandom } from "../../../src/core/rng.js";
import { type Split, type SplitJson, type SplitOptions, splitDataset, splitFromJson, splitFromLabels } from "../../../src/data/split.js";
import { caught } from "../../fixtures/caught.js";
import { type Row, pairs, rowsOf, tableOf } from "./table.js";

const ITEMS = 60;
const counts = fc.array(fc.integer({ min: 0, max: 45 }), { minLength: 1, maxLength: 8 }).filter((list) => list.some((n) => n > 0));
const tables = fc.record({ counts, seed: fc.integer({ min: 0, max: 1000 }) })
  .map(({ counts, seed }) => tableOf(rowsOf(counts, ITEMS, seed), counts.length, ITEMS));
const noForget = { users: [] };

describe("splitDataset, strict", () => {
  it("gives each user floor(.2 n) test, floor(.1 n) valid, and the smallest keys to test, then valid", () => {
    fc.assert(fc.property(tables, fc.integer({ min: 0, max: 99 }), (dataset, seed) => {
      const split = splitDataset(dataset, { seed, forget: noForget });
      const random = new KeyedRandom(seed, "split");
      for (let user = 0; user < dataset.userCount; user++) {
        const n = dataset.countOf(user);
        const byKey = Array.from(dataset.itemsOf(user)).sort((a, b) => random.key(user, a) - random.key(user, b));
        const test = Math.floor(n / 5), valid = Math.floor(n / 10);
        const ascending = (items: number[]): number[] => items.sort((a, b) => a - b);
        expect(Array.from(split.test.itemsOf(user))).toEqual(ascending(byKey.slice(0, test)));
        expect(Array.from(split.valid.itemsOf(user))).toEqual(ascending(byKey.slice(test, test + valid)));
        expect(split.train.countOf(user)).toBe(n - test - valid);
        if (n > 0) expect(split.train.countOf(user)).toBeGreaterThan(0);
      }
    }), { numRuns: 60 });
  });

  it("has the sizes of 80/10/10 when asked", () => {
    const split = splitDataset(tableOf(rowsOf([30, 19, 9], ITEMS), 3, ITEMS), { ratio: "80/10/10", forget: noForget });
    expect([0, 1, 2].map((user) => [split.train.countOf(user), split.valid.countOf(user), split.test.countOf(user)]))
      .toEqual([[24, 3, 3], [17, 1, 1], [9, 0, 0]]);
  });

  it("gives the same bytes whatever the order of the input rows, and other bytes for another seed", () => {
    const rows = rowsOf([40, 33, 21, 45], ITEMS);
    const expected = splitDataset(tableOf(rows, 4, ITEMS));
    fc.assert(fc.property(fc.shuffledSubarray(rows, { minLength: rows.length }), (shuffled) => {
      const split = splitDataset(tableOf(shuffled, 4, ITEMS));
      expect(split.labels).toEqual(expected.labels);
      expect(split.hash).toBe(expected.hash);
    }), { numRuns: 20 });
    const other = splitDataset(tableOf(rows, 4, ITEMS), { seed: 2021 });
    expect(pairs(other.test)).not.toEqual(pairs(expected.test));
    expect(pairs(other.forget)).not.toEqual(pairs(expected.forget));
    expect(other.hash).not.toBe(expected.hash);
  });

  it("moves no part of another user, and at most three rows of the same user, when a row is removed", () => {
    fc.assert(fc.property(tables, fc.nat(), (dataset, pick) => {
      const removed = pick % dataset.length;
      const user = dataset.users[removed]!;
      const before = splitDataset(dataset, { forget: noForget });
      const rows: Row[] = Array.from(dataset.users, (owner, row) => ({ user: owner, item: dataset.items[row]!, rating: dataset.ratings[row]! }));
      rows.splice(removed, 1);
      if (rows.length === 0) return;
      const after = splitDataset(tableOf(rows, dataset.userCount, dataset.itemCount), { forget: noForget });
      const kept = Array.from(before.labels).filter((_, row) => row !== removed);
      const moved = kept.flatMap((label, row) => (label === after.labels[row] ? [] : [after.dataset.users[row]!]));
      expect(moved.every((owner) => owner === user)).toBe(true);
      expect(moved.length).toBeLessThanOrEqual(3);
      if (Math.floor(dataset.countOf(user) / 5) === Math.floor((dataset.countOf(user) - 1) / 5) && before.labels[removed] === 0) {
        expect(moved).toEqual([]);
      }
    }), { numRuns: 100 });
  });
});

/** D_f by its definition: full sort, one row after the other. */
function naiveForget(split: Split, ratio: number): string[] {
  const random = new KeyedRandom(split.seed, "forget");
  const pool = [split.train, split.valid].flatMap((part) =>
    Array.from(part.users, (user, row) => ({ user, item: part.items[row]!, train: part === split.train, key: random.key(user, part.items[row]!) })));
  const left = new Map<number, number>();
  for (const row of pool) if (row.train) left.set(row.user, (left.get(row.user) ?? 0) + 1);
  const chosen: { user: number; item: number }[] = [];
  for (const row of pool.sort((a, b) => a.key - b.key)) {
    if (chosen.length === Math.floor(ratio * pool.length + 1e-9)) break;
    if (row.train && left.get(row.user) === 1) continue;
    if (row.train) left.set(row.user, left.get(row.user)! - 1);
    chosen.push(row);
  }
  return chosen.sort((a, b) => a.user - b.user || a.item - b.item).map(({ user, item }) => `${user}:${item}`);
}

describe("D_f, strict", () => {
  it("is floor(ratio (train + valid)) rows of smallest key, skipping a user's last train row", () => {
    fc.assert(fc.property(tables, fc.constantFrom(0, 0.05, 0.1, 0.29, 0.4), (dataset, ratio) => {
      let split: Split;
      try {
        split = splitDataset(dataset, { forget: { unit: "interactions", ratio } });
      } catch (error) {
        // Users with a row or two may leave too little to take; then the error must be that one and true.
        expect(error).toMatchObject({ code: "CONFIG_FORGET_RATIO" });
        const users = dataset.presentUsers().length;
        const pool = splitDataset(dataset, { forget: noForget });
        const asked = Math.floor(ratio * pool.remain.length + 1e-9);
        if (/nothing would be forgotten/.test((error as Error).message)) expect([asked, ratio > 0]).toEqual([0, true]);
        else expect(asked).toBeGreaterThan(pool.remain.length - users);
        return;
      }
      expect(pairs(split.forget)).toEqual(naiveForget(split, ratio));
      expect(split.forget.length + split.remain.length).toBe(split.train.length + split.valid.length);
      for (const user of dataset.presentUsers()) expect(split.trainRemain.countOf(user)).toBeGreaterThan(0);
      expect(split.forgetUsers.length).toBe(0);
    }), { numRuns: 80 });
  });

  it("refuses a share that would forget nothing, and names the smallest that forgets something", () => {
    fc.assert(fc.property(tables, fc.constantFrom("interactions" as const, "users" as const), (dataset, unit) => {
      const share = (ratio: number): Split => splitDataset(dataset, { forget: { unit, ratio } });
      expect(share(0).forget.length).toBe(0);
      const error = caught(() => share(1e-7));
      expect(error).toMatchObject({ name: "ConfigError", code: "CONFIG_FORGET_RATIO", message: expect.stringContaining("nothing would be forgotten") });
      const least = /something is ([\d.e-]+) \(--forget \1\)/.exec(error.message);
      if (!least) {
        expect(error.message).toContain("Name what to forget");
        return;
      }
      const users = dataset.presentUsers().length, pool = share(0).remain.length;
      // Where every user has one train row alone, no row can be taken, whatever the share.
      if (unit === "users") expect(share(Number(least[1])).forgetUsers.length).toBe(1);
      else if (pool > users) expect(share(Number(least[1])).forget.length).toBe(1);
      const below = 0.98 * Number(least[1]);
      expect(() => share(below)).toThrow(/nothing would be forgotten/);
    }), { numRuns: 60 });
    const dataset = tableOf(rowsOf([40, 31], ITEMS), 2, ITEMS);
    expect(() => splitDataset(dataset, { protocol: "released", forget: { unit: "users", ratio: 0.4 } })).toThrow(/less than one/);
  });

  it("keeps every user's last train row where many must be skipped", () => {
    const dataset = tableOf(rowsOf([...new Array<number>(50).fill(2), 45], ITEMS), 51, ITEMS);
    const split = splitDataset(dataset, { forget: { unit: "interactions", ratio: 0.6 } });
    expect(split.forget.length).toBe(Math.floor(0.6 * (split.train.length + split.valid.length)));
    expect(pairs(split.forget)).toEqual(naiveForget(split, 0.6));
    expect(caught(() => splitDataset(dataset, { forget: { unit: "interactions", ratio: 0.8 } })))
      .toMatchObject({ name: "ConfigError", code: "CONFIG_FORGET_RATIO", message: expect.stringContaining("every user keeps a train row") });
  });

  it("takes all train and valid rows of floor(ratio users) users under the unit users", () => {
    const counts = Array.from({ length: 40 }, (_, user) => (user % 10 === 3 ? 0 : 5 + user));
    const split = splitDataset(tableOf(rowsOf(counts, ITEMS), 40, ITEMS), { forget: { unit: "users", ratio: 0.25 } });
    const random = new KeyedRandom(2020, "forget/user");
    const expected = counts.flatMap((count, user) => (count > 0 ? [user] : []))
      .sort((a, b) => random.key(a) - random.key(b)).slice(0, 9).sort((a, b) => a - b);
    expect(Array.from(split.forgetUsers)).toEqual(expected);
    expect(Array.from(split.remainUsers)).toEqual(counts.flatMap((count, user) => (count > 0 && !expected.includes(user) ? [user] : [])));
    for (let user = 0; user < 40; user++) {
      const all = split.train.countOf(user) + split.valid.countOf(user);
      expect(split.forget.countOf(user)).toBe(expected.includes(user) ? all : 0);
    }
  });

  it("changes for other users only at the tail of the key order when a row is removed", () => {
    const rows = rowsOf([45, 40, 37, 30, 44], ITEMS);
    const before = splitDataset(tableOf(rows, 5, ITEMS));
    const random = new KeyedRandom(2020, "forget");
    const keysOf = (split: Split): number[] => Array.from(split.forget.users, (user, row) => random.key(user, split.forget.items[row]!));
    for (const removed of [0, 50, 100, 150]) {
      const after = splitDataset(tableOf(rows.filter((_, at) => at !== removed), 5, ITEMS));
      const user = rows[removed]!.user;
      const shared = Math.min(Math.max(...keysOf(before)), Math.max(...keysOf(after)));
      const early = (split: Split): string[] => pairs(split.forget).filter((_, row) =>
        split.forget.users[row] !== user && keysOf(split)[row]! < shared);
      expect(early(after)).toEqual(early(before));
    }
  });

  it("obeys a request: its train and valid rows, never its test rows", () => {
    const dataset = tableOf(rowsOf([30, 30, 30], ITEMS), 3, ITEMS);
    const byUser = splitDataset(dataset, { forget: { users: [1, 1] } });
    expect(byUser.forget.length).toBe(24);
    expect(Array.from(byUser.forgetUsers)).toEqual([1]);
    expect(byUser.forgetSpec).toEqual({ request: "users", asked: 1, testRows: 6 });

    const item = dataset.items[0]!;
    const byItem = splitDataset(dataset, { forget: { items: [item] } });
    const holders = [0, 1, 2].filter((user) => dataset.has(user, item) && !byItem.test.has(user, item));
    expect(pairs(byItem.forget)).toEqual(holders.map((user) => `${user}:${item}`));

    const asked = dataset.of(2);
    const byRow = splitDataset(dataset, { forget: { interactions: asked } });
    expect(pairs(byRow.forget)).toEqual(pairs(asked.without(byRow.test)));
    expect(byRow.forgetSpec).toEqual({ request: "interactions", asked: 30, testRows: 6 });
    expect(splitDataset(dataset, { forget: { users: [] } }).forget.length).toBe(0);
  });

  it("refuses what it cannot honour, and says why", () => {
    const dataset = tableOf(rowsOf([30, 12], ITEMS), 2, ITEMS);
    const stranger = Interactions.from(
      { users: Uint32Array.of(1), items: Uint32Array.of(dataset.items.findIndex((_, item) => !dataset.has(1, item))), ratings: Float32Array.of(1) },
      { userCount: 2, itemCount: ITEMS });
    const cases: [SplitOptions, string, string][] = [
      [{ forget: { users: [2] } }, "DataError", "user index 2"],
      [{ forget: { items: [1.5] } }, "DataError", "item index 1.5"],
      [{ forget: { interactions: stranger } }, "DataError", "user u1"],
      [{ forget: { unit: "interactions", ratio: 1 } }, "ConfigError", "not 1"],
      [{ forget: { unit: "interactions", ratio: NaN } }, "ConfigError", "NaN"],
      [{ forget: { unit: "rows" as never, ratio: 0.1 } }, "ConfigError", '"rows"'],
      [{ forget: {} as never }, "ConfigError", "{}"],
      [{ protocol: "open" as never }, "ConfigError", '"open"'],
      [{ ratio: "60/20/20" as never }, "ConfigError", "60/20/20"],
      [{ seed: -1 }, "ConfigError", "-1"],
    ];
    for (const [options, name, part] of cases) {
      expect(caught(() => splitDataset(dataset, options))).toMatchObject({ name, message: expect.stringContaining(part) });
    }
    expect(() => splitDataset(tableOf([], 2, 2))).toThrow(DataError);
  });
});

describe("a stored split", () => {
  const dataset = tableOf(rowsOf([40, 25, 31], ITEMS), 3, ITEMS);
  const stored = (split: Split): SplitJson => JSON.parse(JSON.stringify(split)) as SplitJson;

  it("comes back as it was, under both protocols", () => {
    for (const options of [{}, { protocol: "released", forget: { unit: "users", ratio: 0.4 } }] as SplitOptions[]) {
      const split = splitDataset(dataset, options);
      const back = splitFromJson(dataset, stored(split), split.labels);
      expect(back.hash).toBe(split.hash);
      expect(back.toString()).toBe(split.toString());
      for (const part of ["train", "valid", "test", "forget", "remain", "history", "trainRemain", "validRemain"] as const) {
        expect(pairs(back[part])).toEqual(pairs(split[part]));
      }
      expect(back.forgetUsers).toEqual(split.forgetUsers);
    }
  });

  it("is refused for another data set, and both are named", () => {
    const split = splitDataset(dataset);
    const other = tableOf(rowsOf([40, 25, 31], ITEMS, 2), 3, ITEMS);
    const error = caught(() => splitFromJson(other, stored(split), split.labels));
    expect(error).toMatchObject({ name: "DataError", code: "DATA_SPLIT_DATASET" });
    expect(error.message).toContain(dataset.fingerprint);
    expect(error.message).toContain(other.fingerprint);
  });

  it("is refused when it was changed, cut or is something else", () => {
    const split = splitDataset(dataset);
    const json = stored(split);
    const changed = split.labels.slice();
    changed[changed.findIndex((label) => label === 0)] = 4;
    expect(caught(() => splitFromJson(dataset, json, changed)).code).toBe("DATA_SPLIT_HASH");
    expect(caught(() => splitFromJson(dataset, json, split.labels.subarray(1))).code).toBe("DATA_SPLIT_LABELS");
    expect(caught(() => splitFromJson(dataset, { ...json, format: "x" }, split.labels)).code).toBe("DATA_SPLIT_FORMAT");
    expect(caught(() => splitFromJson(dataset, null, split.labels)).code).toBe("DATA_SPLIT_FORMAT");
    expect(() => splitFromLabels(dataset, split.labels, { ...split, protocol: "x" as never })).toThrow(ConfigError);
    for (const bad of [3, 8, 255]) {
      const labels = split.labels.slice();
      labels[7] = bad;
      expect(caught(() => splitFromLabels(dataset, labels, split)))
        .toMatchObject({ message: expect.stringMatching(new RegExp(`Row 7 has the label ${bad}.*Make the split again: cragru split\\.`, "s")) });
    }
  });

  it("does not share its labels with the caller", () => {
    const split = splitDataset(dataset);
    const labels = split.labels.slice();
    const back = splitFromLabels(dataset, labels, split);
    labels.fill(0);
    expect(back.labels).toEqual(split.labels);
  });

  it("asserts the invariants: labels that put a forgotten row into test do not make a split", () => {
    const split = splitDataset(dataset);
    const labels = split.labels.slice();
    labels[labels.findIndex((label) => label === 2)] = 6;
    expect(caught(() => splitFromLabels(dataset, labels, split))).toMatchObject({ name: "ForgettingError" });
  });
});

describe("printing", () => {
  it("shows sizes, shares and hash, and the warning under released", () => {
    const dataset = tableOf(rowsOf([40, 25, 31], ITEMS), 3, ITEMS);
    const strict = splitDataset(dataset);
    expect(inspect(strict)).toBe([
      `Split of invented: strict, 70/10/20, seed 2020, sha256 ${strict.hash.slice(0, 12)}`,
      "  train 68  valid 9  test 19",
      "  forget 7 (10 % of the interactions)  remain 70",
    ].join("\n"));
    expect(String(splitDataset(dataset, { forget: { users: [0] } }))).toContain("(a request for 1 user; 8 test rows stay, all of 1 users)");
    const released = splitDataset(dataset, { protocol: "released", forget: { users: [1] } });
    expect(released.warning).toBe("replication with known leaks");
    expect(String(released)).toContain("replication with known leaks");
    expect(released.toJSON().warning).toBe("replication with known leaks");
    expect(strict.warning).toBeUndefined();
  });
});
