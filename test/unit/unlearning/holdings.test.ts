import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ForgettingError } from "../../../src/core/errors.js";
import type { Interactions } from "../../../src/core/interactions.js";
import { serveMask } from "../../../src/data/masks.js";
import { splitDataset } from "../../../src/data/split.js";
import { Holdings } from "../../../src/unlearning/holdings.js";
import { pairs, rowsOf, tableOf } from "../data/table.js";

const dataset = tableOf(rowsOf([40, 25, 31, 12], 60), 4, 60);
const strict = splitDataset(dataset, { seed: 4 });
const released = splitDataset(dataset, { seed: 4, protocol: "released", forget: { unit: "users", ratio: 0.5 } });

/** Any sequence of requests, as sets of rows of train and valid. */
const requests = fc.array(fc.array(fc.nat(strict.train.length + strict.valid.length - 1), { maxLength: 30 }), { minLength: 1, maxLength: 4 });

describe("Holdings", () => {
  it("after any requests are the split's sets without the forgotten rows, under strict", () => {
    const learned = strict.train.union(strict.valid);
    fc.assert(fc.property(requests, (picks) => {
      let held = Holdings.of(strict);
      const gone = new Set<number>();
      for (const pick of picks) {
        const rows = held.locate({ interactions: learned.select([...new Set(pick)]) });
        expect(rows.length).toBe(new Set(pick.filter((row) => !gone.has(row))).size);
        held = held.without(rows);
        pick.forEach((row) => gone.add(row));
      }
      const forgotten = learned.select([...gone]);
      expect(pairs(held.forgotten)).toEqual(pairs(forgotten));
      for (const [now, before] of [[held.train, strict.train], [held.valid, strict.valid], [held.history, strict.history]] as const) {
        expect(pairs(now)).toEqual(pairs(before.without(forgotten)));
      }
      expect(pairs(held.mask)).toEqual(pairs(serveMask(strict, forgotten)));
    }), { numRuns: 60 });
  });

  it("stay as the authors coded them under released, and no row is reported twice", () => {
    const start = Holdings.of(released);
    const users = [...released.forgetUsers];
    const rows = start.locate({ users });
    const held = start.without(rows);
    for (const name of ["train", "valid", "history", "mask"] as const) expect(held[name]).toBe(start[name]);
    for (const request of [{ users }, { interactions: rows }, { items: [...rows.items] }]) {
      expect(held.locate(request).intersect(rows).length).toBe(0);
    }
  });

  it("name the same rows by user, by item or one by one", () => {
    const held = Holdings.of(strict);
    const byUser = held.locate({ users: [1] }), own = held.mask.of(1);
    expect(pairs(byUser)).toEqual(pairs(own));
    expect(pairs(held.locate({ interactions: own }))).toEqual(pairs(own));
    const item = own.items[0]!;
    expect(pairs(held.locate({ items: [item] }))).toEqual(pairs(held.mask.filter((row) => held.mask.items[row] === item)));
    expect(() => held.locate({ interactions: strict.test.slice(0, 1) })).toThrow(ForgettingError);
  });

  it("refuse a split put together by hand that leaks", () => {
    const first = (rows: Interactions): Interactions => rows.slice(0, 1);
    const { train, history, remain, forget, test, valid } = strict;
    const planted = [
      { train: train.union(first(test)) }, { train: train.union(first(valid)) }, { history: history.union(first(test)) },
      { history: history.union(first(valid)) }, { remain: remain.union(first(forget)) }, { forget: forget.union(first(test)) },
    ];
    for (const change of planted) {
      const leaking = Object.assign(Object.create(strict) as typeof strict, {});
      for (const [name, value] of Object.entries(change)) Object.defineProperty(leaking, name, { value });
      expect(() => Holdings.of(leaking), Object.keys(change)[0]).toThrow(/share 1 rows/);
    }
  });
});
