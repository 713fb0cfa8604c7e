import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Catalogue, tokenOrder, TokenIds } from "../../../src/data/catalogue.js";
import { denseNumbers, GrowingColumns } from "../../../src/data/columns.js";

describe("Catalogue", () => {
  it("gives the same dense ids whatever the order of the lines", () => {
    fc.assert(fc.property(fc.uniqueArray(fc.nat(1e6), { minLength: 1 }), (ids) => {
      const catalogue = new Catalogue<{ id: string }>("item");
      ids.forEach((id, index) => catalogue.add(id, { id: String(id) }, { file: "f", line: index + 1 }));
      const { records } = catalogue.finish();
      expect(records.map(({ id }) => Number(id))).toEqual([...ids].sort((a, b) => a - b));
    }));
  });
});

describe("TokenIds", () => {
  it("ranks numbers as numbers, and everything else by code units", () => {
    const ranked = (tokens: string[]): string[] => {
      const ids = new TokenIds();
      for (const token of tokens) ids.intern(token);
      const { ranks, tokens: sorted } = ids.rank();
      tokens.forEach((token) => expect(sorted[ranks[ids.intern(token)]!]).toBe(token));
      return sorted;
    };
    expect(ranked(["10", "9", "0", "10", "100"])).toEqual(["0", "9", "10", "100"]);
    expect(ranked(["10", "9", "a"])).toEqual(["10", "9", "a"]);
    expect(ranked(["10", "09"])).toEqual(["09", "10"]);
    expect(ranked(["é", "z", "Z"])).toEqual(["Z", "z", "é"]);
    fc.assert(fc.property(fc.array(fc.string()), (tokens) => {
      expect(ranked(tokens)).toEqual([...new Set(tokens)].sort(tokenOrder(tokens)));
    }));
  });
});

describe("denseNumbers", () => {
  it("renumbers in ascending order, for small and for huge ids", () => {
    fc.assert(fc.property(fc.array(fc.nat(5000), { minLength: 1 }), fc.constantFrom(0, 3e9), (small, shift) => {
      const ids = Uint32Array.from(small, (id) => id + shift);
      const sorted = [...new Set(ids)].sort((a, b) => a - b);
      const found = denseNumbers(ids);
      expect([...found.ids]).toEqual(sorted);
      expect([...found.dense]).toEqual(Array.from(ids, (id) => sorted.indexOf(id)));
    }));
  });
});

describe("GrowingColumns", () => {
  it("keeps every row while it grows", () => {
    const columns = new GrowingColumns();
    for (let row = 0; row < 5000; row++) columns.push(row, row * 2, row % 5, row + 0.5);
    const { users, items, ratings, timestamps } = columns.view();
    expect(users.length).toBe(5000);
    for (let row = 0; row < 5000; row += 7) expect([users[row], items[row], ratings[row], timestamps![row]]).toEqual([row, row * 2, row % 5, row + 0.5]);
  });
});
