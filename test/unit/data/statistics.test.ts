import { inspect } from "node:util";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Interactions } from "../../../src/core/interactions.js";
import { statistics } from "../../../src/data/statistics.js";
import { loadMovielens } from "../../../src/data/movielens.js";
import { join } from "node:path";
import { FIXTURES } from "./scratch.js";

describe("statistics", () => {
  it("agrees with counting by hand on any table", () => {
    const pairs = fc.uniqueArray(fc.tuple(fc.nat(9), fc.nat(7)), { minLength: 1, maxLength: 60, selector: ([user, item]) => user * 10 + item });
    fc.assert(fc.property(pairs, (rows) => {
      const found = statistics(Interactions.from({
        users: Uint32Array.from(rows, (row) => row[0]), items: Uint32Array.from(rows, (row) => row[1]), ratings: new Float32Array(rows.length).fill(3),
      }, { userCount: 12, itemCount: 8 }));
      const counts = Array.from({ length: 12 }, (_, user) => rows.filter((row) => row[0] === user).length).filter((count) => count > 0).sort((a, b) => a - b);
      const middle = counts.length % 2 === 1 ? counts[(counts.length - 1) / 2]! : (counts[counts.length / 2 - 1]! + counts[counts.length / 2]!) / 2;
      const rated = new Set(rows.map((row) => row[1])).size;
      expect({ ...found }).toEqual({
        name: "interactions", users: 12, activeUsers: counts.length, items: 8, ratedItems: rated, interactions: rows.length,
        meanPerUser: rows.length / counts.length, minPerUser: counts[0], medianPerUser: middle, maxPerUser: counts.at(-1),
        sparsity: 1 - rows.length / (counts.length * rated),
      });
    }));
  });

  it("prints itself as a table, in a terminal and as text", async () => {
    const found = statistics(await loadMovielens("ml-100k", join(FIXTURES, "ml-100k")));
    expect(String(found)).toBe([
      "ml-100k",
      "  users                         5",
      "  items                         6 (5 rated)",
      "  interactions                  7",
      "  mean per user                 1.4",
      "  per user, min / median / max  1 / 1 / 2",
      "  sparsity                      72.00%",
    ].join("\n"));
    expect(inspect(found)).toBe(String(found));
    expect(JSON.parse(JSON.stringify(found))).toMatchObject({ name: "ml-100k", interactions: 7 });
  });

  it("has no numbers where there are no rows", () => {
    const found = statistics(Interactions.empty({ userCount: 3, itemCount: 2 }));
    expect(found.activeUsers).toBe(0);
    expect(String(found)).toContain("sparsity                      -");
  });
});
