import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { releasedSizes } from "../../../src/data/released.js";
import { splitDataset } from "../../../src/data/split.js";
import { pairs, rowsOf, tableOf } from "./table.js";

const ITEMS = 80;
const counts = Array.from({ length: 30 }, (_, user) => 1 + ((user * 7) % 60));
const dataset = tableOf(rowsOf(counts, ITEMS), 30, ITEMS);
const split = splitDataset(dataset, { protocol: "released", seed: 5 });

/** The library's rule, written after its own loop: counts by int(), then one row for each share between 0 and 1. */
function recbole(n: number): { test: number; valid: number } {
  const cut = [0, Math.trunc(0.1 * n), Math.trunc(0.1 * n)];
  cut[0] = n - cut[1]! - cut[2]!;
  for (let at = 1; at < 3; at++) {
    if (cut[0]! <= 1) break;
    if (0.1 * n > 0 && 0.1 * n < 1) {
      cut[3 - at]!++;
      cut[0]!--;
    }
  }
  return { test: cut[2]!, valid: cut[1]! };
}

describe("released", () => {
  it("sizes follow the small-n rule", () => {
    expect([1, 2, 3, 9, 10, 19, 20].map(releasedSizes)).toEqual([
      { test: 0, valid: 0 }, { test: 1, valid: 0 }, { test: 1, valid: 1 }, { test: 1, valid: 1 },
      { test: 1, valid: 1 }, { test: 1, valid: 1 }, { test: 2, valid: 2 },
    ]);
    fc.assert(fc.property(fc.integer({ min: 1, max: 5000 }), (n) => { expect(releasedSizes(n)).toEqual(recbole(n)); }));
  });

  it("splits the full data 80/10/10 by user", () => {
    for (let user = 0; user < 30; user++) {
      const { test, valid } = releasedSizes(counts[user]!);
      expect([split.test.countOf(user), split.valid.countOf(user)]).toEqual([test, valid]);
    }
    expect(split.ratio).toBe("80/10/10");
  });

  it("forgets a tenth of the users but keeps one row of each, and copies one row of every other user", () => {
    expect(split.forgetUsers.length).toBe(3);
    for (let user = 0; user < 30; user++) {
      if (split.forgetUsers.includes(user)) {
        expect(pairs(split.forget.of(user))).toEqual(pairs(dataset.of(user)));
        expect(pairs(split.remain.of(user))).toEqual(pairs(dataset.of(user)).slice(0, 1));
      } else {
        expect(split.forget.countOf(user)).toBe(1);
        expect(pairs(split.remain.of(user))).toEqual(pairs(dataset.of(user)));
      }
    }
    // Overlaps by design: one row of every user is in D_f and in D_r.
    expect(split.forget.intersect(split.remain).length).toBe(30);
  });

  it("draws the history from a second, independent split, so that it holds most test rows", () => {
    for (let user = 0; user < 30; user++) {
      const n = split.remain.countOf(user), { test, valid } = releasedSizes(n);
      expect(split.history.countOf(user)).toBe(n - test - valid);
    }
    expect(split.history.without(split.remain).length).toBe(0);
    const big = tableOf(rowsOf(new Array<number>(100).fill(60), ITEMS), 100, ITEMS);
    const released = splitDataset(big, { protocol: "released" });
    const open = released.test.intersect(released.remain);
    const leaked = open.intersect(released.history).length / open.length;
    // 540 or so independent draws with chance .8: six standard deviations.
    expect(Math.abs(leaked - 0.8)).toBeLessThan(0.1);
    expect(released.trainRemain.length).toBe(released.train.intersect(released.remain).length);
  });

  it("takes named users, and refuses what the released code cannot do", () => {
    const named = splitDataset(dataset, { protocol: "released", forget: { users: [4, 9] } });
    expect(Array.from(named.forgetUsers)).toEqual([4, 9]);
    expect(() => splitDataset(dataset, { protocol: "released", ratio: "70/10/20" })).toThrow(/80\/10\/10/);
    expect(() => splitDataset(dataset, { protocol: "released", forget: { unit: "interactions", ratio: 0.1 } })).toThrow(/whole users/);
    expect(() => splitDataset(dataset, { protocol: "released", forget: { unit: "users", ratio: 2 } })).toThrow(/below 1/);
    expect(() => splitDataset(dataset, { protocol: "released", forget: { users: [30] } })).toThrow(/user index 30/);
  });

  it("gives the same bytes for the same seed and others for another", () => {
    expect(splitDataset(dataset, { protocol: "released", seed: 5 }).hash).toBe(split.hash);
    expect(splitDataset(dataset, { protocol: "released", seed: 6 }).labels).not.toEqual(split.labels);
  });
});
