import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { Interactions } from "../../../src/core/interactions.js";
import { SimilarUsers } from "../../../src/retrieval/similar.js";

const shape = { userCount: 8, itemCount: 10 };
const rows = fc.uniqueArray(fc.tuple(fc.nat(7), fc.nat(9), fc.integer({ min: 1, max: 5 })), { maxLength: 60, selector: ([user, item]) => user * 10 + item })
  .map((list) => Interactions.from({
    users: Uint32Array.from(list, ([user]) => user), items: Uint32Array.from(list, ([, item]) => item), ratings: Float32Array.from(list, ([, , rating]) => rating),
  }, shape));

/** Cosines as written. */
function oracle(history: Interactions, user: number): number[] {
  const sets = Array.from({ length: 8 }, (_, one) => new Set(history.itemsOf(one)));
  const cosine = (other: number): number => [...sets[user]!].filter((item) => sets[other]!.has(item)).length / Math.sqrt(sets[user]!.size * sets[other]!.size);
  return [...Array(8).keys()].filter((other) => other !== user && cosine(other) > 0).sort((a, b) => (Math.abs(cosine(b) - cosine(a)) < 1e-12 ? a - b : cosine(b) - cosine(a)));
}

describe("SimilarUsers", () => {
  it("finds the nearest by cosine, and asks leave no trace in the next", () => {
    fc.assert(fc.property(rows, (history) => {
      const similar = new SimilarUsers(history);
      for (const user of [0, 3, 7, 0]) expect(similar.nearest(user, 3)).toEqual(oracle(history, user).slice(0, 3));
    }));
  });

  it("gives rows of neighbours alone, none of an item that the user has, as many as asked for where there are", () => {
    fc.assert(fc.property(rows, fc.nat(12), (history, limit) => {
      const similar = new SimilarUsers(history);
      for (let user = 0; user < 8; user++) {
        const found = similar.rowsFor(user, { users: 3, rows: limit }), near = new Set(similar.nearest(user, 3));
        const possible = [...near].reduce((sum, other) => sum + Array.from(history.itemsOf(other)).filter((item) => !history.has(user, item)).length, 0);
        expect(found.length).toBe(Math.min(limit, possible));
        for (let row = 0; row < found.length; row++) {
          expect(near.has(found.users[row]!)).toBe(true);
          expect(history.has(found.users[row]!, found.items[row]!)).toBe(true);
          expect(history.has(user, found.items[row]!)).toBe(false);
        }
      }
    }));
  });

  it("takes what a neighbour liked best first", () => {
    const history = Interactions.from({
      users: Uint32Array.of(0, 1, 1, 1, 1), items: Uint32Array.of(0, 0, 1, 2, 3), ratings: Float32Array.of(4, 4, 2, 5, 3),
    }, shape);
    expect([...new SimilarUsers(history).rowsFor(0, { rows: 2 }).items]).toEqual([2, 3]);
  });
});
