import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { DataError } from "../../../src/core/errors.js";
import { canonicalJson, fingerprint, fingerprintRows } from "../../../src/core/fingerprint.js";
import { Interactions } from "../../../src/core/interactions.js";

const SHAPE = { userCount: 6, itemCount: 9 };
type Row = [user: number, item: number];

const table = (rows: readonly Row[], timestamps = true): Interactions => Interactions.from({
  users: Uint32Array.from(rows, ([user]) => user),
  items: Uint32Array.from(rows, ([, item]) => item),
  ratings: Float32Array.from(rows, ([user, item]) => 1 + ((user + item) % 5)),
  timestamps: timestamps ? Float64Array.from(rows, ([user, item]) => 100 * user + item) : undefined,
}, SHAPE);
const pairs = (rows: Interactions): string[] => Array.from(rows.users, (user, at) => `${user}:${rows.items[at]}`);
const rowSet = fc.uniqueArray(fc.tuple(fc.nat(5), fc.nat(8)) as fc.Arbitrary<Row>, { selector: ([u, i]) => `${u}:${i}` });

describe("Interactions", () => {
  it("is the same table whatever the order of the rows", () => {
    fc.assert(fc.property(rowSet, fc.infiniteStream(fc.nat()), (rows, noise) => {
      const shuffled = rows.map((row) => ({ row, key: noise.next().value as number })).sort((a, b) => a.key - b.key).map(({ row }) => row);
      expect(fingerprintRows(table(shuffled))).toBe(fingerprintRows(table(rows)));
    }));
  });

  it("behaves as a set of pairs under without, intersect, union, has", () => {
    fc.assert(fc.property(rowSet, rowSet, (a, b) => {
      const left = table(a), right = table(b);
      const leftPairs = pairs(left), rightSet = new Set(pairs(right));
      expect(pairs(left.without(right))).toEqual(leftPairs.filter((pair) => !rightSet.has(pair)));
      expect(pairs(left.intersect(right))).toEqual(leftPairs.filter((pair) => rightSet.has(pair)));
      const union = left.union(right);
      expect(new Set(pairs(union))).toEqual(new Set([...leftPairs, ...rightSet]));
      expect(union.length).toBe(new Set([...leftPairs, ...rightSet]).size);
      expect(fingerprintRows(union)).toBe(fingerprintRows(table([...a, ...b.filter(([u, i]) => !left.has(u, i))])));
      for (let user = 0; user < 6; user++) for (let item = 0; item < 9; item++) {
        expect(left.has(user, item)).toBe(leftPairs.includes(`${user}:${item}`));
      }
    }));
  });

  it("gives the rows of one user as views with the right counts", () => {
    const rows = table([[4, 1], [2, 8], [2, 0], [4, 7], [0, 3]]);
    expect([...rows.itemsOf(2)]).toEqual([0, 8]);
    expect([...rows.of(4).items]).toEqual([1, 7]);
    expect(rows.of(4).items.buffer).toBe(rows.items.buffer);
    expect(rows.of(4).has(4, 7)).toBe(true);
    expect(rows.of(4).has(2, 0)).toBe(false);
    expect([...rows.presentUsers()]).toEqual([0, 2, 4]);
    expect([...rows.itemCounts()]).toEqual([1, 1, 0, 1, 0, 0, 0, 1, 1]);
    expect(rows.countOf(5)).toBe(0);
    expect(rows.has(77, 1)).toBe(false);
    expect([...rows.csr().offsets]).toEqual([0, 1, 1, 3, 3, 5, 5]);
  });

  it("keeps ratings and timestamps beside their pair", () => {
    fc.assert(fc.property(rowSet, (rows) => {
      const sorted = table(rows);
      for (let row = 0; row < sorted.length; row++) {
        expect(sorted.ratings[row]).toBe(1 + ((sorted.users[row]! + sorted.items[row]!) % 5));
        expect(sorted.timestamps![row]).toBe(100 * sorted.users[row]! + sorted.items[row]!);
      }
    }));
  });

  it("refuses bad columns by name", () => {
    const good = { users: Uint32Array.of(0, 1), items: Uint32Array.of(2, 3), ratings: Float32Array.of(4, 5) };
    expect(() => Interactions.from({ ...good, items: Uint32Array.of(2) }, SHAPE)).toThrow(DataError);
    expect(() => Interactions.from({ ...good, users: Uint32Array.of(0, 6) }, SHAPE)).toThrow(/user 6/);
    expect(() => Interactions.from({ ...good, ratings: Float32Array.of(4, NaN) }, SHAPE)).toThrow(/finite/);
    expect(() => table([[1, 1], [1, 1]])).toThrow(/DATA_DUPLICATES/);
  });

  it("keeps the newest of a repeated pair when asked", () => {
    const columns = {
      users: Uint32Array.of(1, 1, 0, 1), items: Uint32Array.of(2, 2, 0, 2), ratings: Float32Array.of(1, 2, 3, 4),
      timestamps: Float64Array.of(10, 30, 5, 20),
    };
    const kept = Interactions.from(columns, SHAPE, "newest");
    expect([pairs(kept), [...kept.ratings]]).toEqual([["0:0", "1:2"], [3, 2]]);
    const untimed = Interactions.from({ ...columns, timestamps: undefined }, SHAPE, "newest");
    expect([...untimed.ratings]).toEqual([3, 4]);
  });
});

describe("fingerprints", () => {
  it("tell parts apart that concatenate to the same text", () => {
    expect(fingerprint("ab", "c")).not.toBe(fingerprint("a", "bc"));
    expect(fingerprint("1")).not.toBe(fingerprint(1));
    expect(fingerprint(Uint8Array.of(1, 2))).not.toBe(fingerprint(Uint8Array.of(1), Uint8Array.of(2)));
  });

  it("change with one rating, one timestamp, one row", () => {
    const rows = table([[0, 1], [2, 3]]);
    const other = new Interactions({ ...rows, ratings: Float32Array.of(5, 5) }, SHAPE);
    const prints = [rows, other, table([[0, 1], [2, 3]], false), table([[0, 1]]), Interactions.empty(SHAPE)].map(fingerprintRows);
    expect(new Set(prints).size).toBe(prints.length);
  });

  it("canonical JSON does not depend on the order of keys", () => {
    expect(canonicalJson({ b: 1, a: { d: [2, { z: 1, y: 2 }], c: null } })).toBe('{"a":{"c":null,"d":[2,{"y":2,"z":1}]},"b":1}');
  });
});
