import { describe, expect, it } from "vitest";
import fc from "fast-check";
import type { Csr } from "../../src/core/interactions.js";
import { NO_ITEM } from "../../src/native/kernels.js";
import { csrOf, presentFaces, sparse } from "./faces.js";
import { agreed, everyFace } from "./isas.js";

const { faces, missing } = presentFaces();
const all = everyFace();

if (missing !== undefined) it.skip(`cpu face: ${missing} Build it with npm run build:native`, () => undefined);

/** Shared rows of every pair, by sets. */
function naiveCounts({ offsets, columns }: Csr, columnCount: number): number[][] {
  const holders = Array.from({ length: columnCount }, () => new Set<number>());
  for (let row = 0; row + 1 < offsets.length; row++) {
    for (let at = offsets[row]; at < offsets[row + 1]; at++) holders[columns[at]].add(row);
  }
  return holders.map((mine) => holders.map((theirs) => [...mine].filter((row) => theirs.has(row)).length));
}

function naiveLists(counts: number[][], k: number): { items: number[]; counts: number[] } {
  const items: number[] = [], best: number[] = [];
  counts.forEach((row, column) => {
    const others = row.map((count, other) => ({ count, other })).filter(({ count, other }) => other !== column && count > 0);
    others.sort((a, b) => b.count - a.count || a.other - b.other);
    for (let at = 0; at < k; at++) {
      items.push(others[at]?.other ?? NO_ITEM);
      best.push(others[at]?.count ?? 0);
    }
  });
  return { items, counts: best };
}

/** Columns of very different frequency, so that both ways of counting take part. */
function mixed(rows: number, columnCount: number, seed: number): Csr {
  const parts = [0.9, 0.3, 0.02].map((density, at) => sparse(rows, columnCount, density, seed + at, true));
  const lists = Array.from({ length: rows }, (_, row) => Array.from({ length: columnCount }, (_, column) => column).filter((column) => {
    const { offsets, columns } = parts[column % 7 === 0 ? 0 : column % 3 === 0 ? 1 : 2];
    return columns.subarray(offsets[row], offsets[row + 1]).includes(column);
  }));
  return csrOf(lists);
}

describe.each(faces)("$device", (kernels) => {
  it("counts a matrix small enough to check by eye", async () => {
    const positives = csrOf([[0, 2], [2], [0, 1, 2], []]);
    expect([...await kernels.gram({ positives, columnCount: 4 })]).toEqual([2, 1, 1, 2, 1, 3, 0, 0, 0, 0]);
    const lists = await kernels.itemCooccurrence({ positives, columnCount: 4, k: 2 });
    expect([...lists.items]).toEqual([2, 1, 0, 2, 0, 1, NO_ITEM, NO_ITEM]);
    expect([...lists.counts]).toEqual([2, 1, 1, 1, 2, 1, 0, 0]);
  });

  it("takes no rows, empty rows and one column", async () => {
    expect([...await kernels.gram({ positives: csrOf([]), columnCount: 2 })]).toEqual([0, 0, 0]);
    expect([...await kernels.gram({ positives: csrOf([[], []]), columnCount: 1 })]).toEqual([0]);
    expect([...await kernels.gram({ positives: csrOf([[0], [0]]), columnCount: 1 })]).toEqual([2]);
    const lists = await kernels.itemCooccurrence({ positives: csrOf([[0], [0]]), columnCount: 1, k: 3 });
    expect([...lists.items, ...lists.counts]).toEqual([NO_ITEM, NO_ITEM, NO_ITEM, 0, 0, 0]);
  });

  it("gives the same for held rows, and subtracts what a deletion takes away", async () => {
    const positives = mixed(60, 41, 5), held = await kernels.hold({ ...positives, columnCount: 41 });
    const whole = await kernels.gram({ positives: held, columnCount: 41 });
    expect(whole).toEqual(await kernels.gram({ positives, columnCount: 41 }));
    const rest = await kernels.gram({
      positives: { offsets: positives.offsets.subarray(0, 60), columns: positives.columns.subarray(0, positives.offsets[59]) }, columnCount: 41,
    });
    const last = await kernels.gram({ positives: csrOf([[...positives.columns.subarray(positives.offsets[59])]]), columnCount: 41 });
    expect([...whole].map((count, at) => count - last[at])).toEqual([...rest]);
    held.dispose();
  });

  it("refuses what it cannot count and stops when told", async () => {
    const positives = csrOf([[0, 1]]);
    await expect(kernels.gram({ positives, columnCount: 1 })).rejects.toMatchObject({ code: "NATIVE_CSR" });
    await expect(kernels.gram({ positives, columnCount: 65536 })).rejects.toMatchObject({ code: expect.stringMatching(/NATIVE_(RANGE|SHAPE)/) as string });
    for (const k of [0, 1001, 1.5]) await expect(kernels.itemCooccurrence({ positives, columnCount: 2, k })).rejects.toMatchObject({ code: "NATIVE_RANGE" });
    const reason = new Error("enough");
    await expect(kernels.gram({ positives, columnCount: 2 }, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe("all faces", () => {
  it.each([[1, 1], [7, 3], [64, 65], [65, 64], [511, 37], [513, 131], [1100, 256]])("agree with sets on %d rows of %d columns", async (rows, columnCount) => {
    const positives = mixed(rows, columnCount, rows);
    const counts = naiveCounts(positives, columnCount);
    const triangle = await agreed(all, (kernels) => kernels.gram({ positives, columnCount }));
    expect([...triangle]).toEqual(counts.flatMap((row, i) => row.slice(0, i + 1)));
    for (const k of [1, 5, 1000]) {
      const lists = await agreed(all, (kernels) => kernels.itemCooccurrence({ positives, columnCount, k }));
      const wanted = naiveLists(counts, k);
      expect([...lists.items]).toEqual(wanted.items);
      expect([...lists.counts]).toEqual(wanted.counts);
    }
  });

  it("agree on rows of bits longer than one pass", async () => {
    const positives = sparse(33000, 9, 0.6, 3), triangle = await agreed(all, (kernels) => kernels.gram({ positives, columnCount: 9 }));
    expect([...triangle]).toEqual(naiveCounts(positives, 9).flatMap((row, i) => row.slice(0, i + 1)));
  });

  it("agree where every count is equal: ties stand by index", async () => {
    const positives = csrOf(Array.from({ length: 300 }, () => Array.from({ length: 70 }, (_, column) => column)));
    const lists = await agreed(all, (kernels) => kernels.itemCooccurrence({ positives, columnCount: 70, k: 10 }));
    expect([...lists.items.subarray(50, 60)]).toEqual([0, 1, 2, 3, 4, 6, 7, 8, 9, 10]);
    expect(new Set(lists.counts)).toEqual(new Set([300]));
  });

  it("agree on random shapes", async () => {
    await fc.assert(fc.asyncProperty(
      fc.integer({ min: 1, max: 40 }), fc.integer({ min: 0, max: 90 }), fc.integer({ min: 1, max: 12 }),
      fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(1e6),
      async (columnCount, rows, k, density, seed) => {
        const positives = sparse(rows, columnCount, density * density, seed), counts = naiveCounts(positives, columnCount);
        const triangle = await agreed(all, (kernels) => kernels.gram({ positives, columnCount }));
        expect([...triangle]).toEqual(counts.flatMap((row, i) => row.slice(0, i + 1)));
        const lists = await agreed(all, (kernels) => kernels.itemCooccurrence({ positives, columnCount, k }));
        expect([...lists.items]).toEqual(naiveLists(counts, k).items);
      },
    ), { numRuns: 40 });
  });
});
