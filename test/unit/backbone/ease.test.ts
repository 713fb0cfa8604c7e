import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { ease, type EaseModel } from "../../../src/backbone/ease.js";
import { rowAt } from "../../../src/backbone/triangle.js";
import { Interactions } from "../../../src/core/interactions.js";
import { referenceKernels } from "../../../src/native/reference.js";

const kernels = referenceKernels();
const USERS = 9, ITEMS = 8, shape = { userCount: USERS, itemCount: ITEMS };
type Pair = [number, number];
const rowsOf = (pairs: readonly Pair[]): Interactions => Interactions.from({
  users: Uint32Array.from(pairs, ([user]) => user), items: Uint32Array.from(pairs, ([, item]) => item), ratings: new Float32Array(pairs.length).fill(4),
}, shape);
const fit = async (rows: Interactions, lambda = 3): Promise<EaseModel> => ease({ lambda, refactorEvery: 1e6 }).fit(rows, { kernels }) as Promise<EaseModel>;
const everybody = [...Array(USERS).keys()];

/** P by Gauss-Jordan elimination on the dense matrix, as written in the paper. */
function dense(rows: Interactions, lambda: number): number[][] {
  const a = Array.from({ length: ITEMS }, (_, i) => Array.from({ length: 2 * ITEMS }, (_, j) => (j === ITEMS + i || j === i ? (j === i ? lambda : 1) : 0)));
  for (let user = 0; user < USERS; user++) for (const i of rows.itemsOf(user)) for (const j of rows.itemsOf(user)) a[i]![j]! += 1;
  for (let p = 0; p < ITEMS; p++) {
    const pivot = a[p]![p]!;
    for (let j = 0; j < 2 * ITEMS; j++) a[p]![j]! /= pivot;
    for (let i = 0; i < ITEMS; i++) {
      if (i === p) continue;
      const factor = a[i]![p]!;
      for (let j = 0; j < 2 * ITEMS; j++) a[i]![j]! -= factor * a[p]![j]!;
    }
  }
  return a.map((row) => row.slice(ITEMS));
}

const pairs = fc.uniqueArray(fc.tuple(fc.nat(USERS - 1), fc.nat(ITEMS - 1)), { minLength: 1, maxLength: 50, selector: ([user, item]) => user * ITEMS + item });

describe("ease", () => {
  it("is the ridge regression of the paper, with a zero diagonal", async () => {
    await fc.assert(fc.asyncProperty(pairs, async (list) => {
      const rows = rowsOf(list as Pair[]), model = await fit(rows), p = dense(rows, 3), weights = await model.weights();
      for (let i = 0; i < ITEMS; i++) for (let j = 0; j <= i; j++) expect(weights[rowAt(i) + j]).toBeCloseTo(p[i]![j]!, 12);
      const lists = await model.recommend(everybody, ITEMS);
      for (const { user, items, scores } of lists) {
        items.forEach((item, at) => {
          const score = Array.from(rows.itemsOf(user)).reduce((sum, i) => sum + (i === item ? 0 : -p[i]![item]! / p[item]![item]!), 0);
          expect(scores[at]).toBeCloseTo(score, 5);
          if (at > 0) expect(scores[at]! <= scores[at - 1]!).toBe(true);
        });
      }
    }), { numRuns: 60 });
  });

  it("forgets and learns exactly: after any sequence counts are those of a fresh fit, weights within 1e-12, lists the same", async () => {
    const step = fc.record({ gone: fc.array(fc.nat(1e6), { maxLength: 14 }), come: fc.array(fc.nat(USERS * ITEMS - 1), { maxLength: 10 }), user: fc.option(fc.nat(USERS - 1)), item: fc.option(fc.nat(ITEMS - 1)) });
    await fc.assert(fc.asyncProperty(pairs, fc.array(step, { minLength: 1, maxLength: 6 }), async (list, steps) => {
      let held = list as Pair[];
      const model = await fit(rowsOf(held));
      for (const { gone, come, user, item } of steps) {
        const out = held.filter(([u, i], at) => u === user || i === item || gone.some((draw) => draw % (held.length + 3) === at));
        const kept = held.filter((row) => !out.includes(row));
        const into = [...new Set(come)].map((cell): Pair => [Math.floor(cell / ITEMS), cell % ITEMS]).filter(([u, i]) => !held.some(([a, b]) => a === u && b === i));
        const change = await model.change({ gone: rowsOf(out), come: rowsOf(into) });
        expect([change.removed, change.added]).toEqual([out.length, into.length]);
        held = [...kept, ...into];
        const fresh = await fit(rowsOf(held).length > 0 ? rowsOf(held) : rowsOf([[0, 0]]));
        if (held.length === 0) await fresh.change({ gone: rowsOf([[0, 0]]) });
        expect(model.counts).toEqual(fresh.counts);
        const [a, b] = [await model.weights(), await fresh.weights()];
        for (let at = 0; at < a.length; at++) expect(Math.abs(a[at]! - b[at]!)).toBeLessThan(1e-12);
        expect(await model.drift()).toBeLessThan(1e-10);
        expect(await model.gramDigest(["a"])).toBe(await fresh.gramDigest(["a"]));
        expect([...model.train.users, ...model.train.items]).toEqual([...fresh.train.users, ...fresh.train.items]);
        const [mine, theirs] = [await model.recommend(everybody, 3), await fresh.recommend(everybody, 3)];
        // Scores in single precision: where two are closer than its rounding, either may stand first.
        mine.forEach(({ scores }, at) => scores.forEach((score, place) => expect(score).toBeCloseTo(theirs[at]!.scores[place]!, 5)));
        await model.refactor();
        if (held.length > 0) expect(await model.weights()).toEqual(b);
      }
    }), { numRuns: 120 });
  });

  it("does not mind the order of requests, and a row that comes back is as if it had never left", async () => {
    await fc.assert(fc.asyncProperty(pairs, fc.nat(USERS - 1), fc.nat(USERS - 1), async (list, one, two) => {
      const rows = rowsOf(list as Pair[]), [a, b] = [await fit(rows), await fit(rows)];
      for (const user of [one, two]) if (a.train.countOf(user) > 0) await a.change({ gone: a.train.of(user) });
      for (const user of [two, one]) if (b.train.countOf(user) > 0) await b.change({ gone: b.train.of(user) });
      expect(a.counts).toEqual(b.counts);
      if (rows.countOf(one) > 0) await a.change({ come: rows.of(one) });
      if (one !== two && rows.countOf(two) > 0) await a.change({ come: rows.of(two) });
      expect(a.counts).toEqual((await fit(rows)).counts);
    }), { numRuns: 60 });
  });

  it("refuses rows it does not hold, or holds already, and a model that was not made of them, and changes nothing", async () => {
    const model = await fit(rowsOf([[0, 1], [0, 2], [1, 2]]));
    const before = await model.weights(), counts = model.counts.slice();
    await expect(model.change({ gone: rowsOf([[0, 1], [1, 1]]) })).rejects.toMatchObject({ code: "FORGET_ABSENT_ROW" });
    await expect(model.change({ come: rowsOf([[2, 1], [1, 2]]) })).rejects.toMatchObject({ code: "FORGET_PRESENT_ROW" });
    model.counts[rowAt(1) + 1] = 0;
    await expect(model.change({ gone: rowsOf([[0, 1]]) })).rejects.toMatchObject({ code: "FORGET_MODEL_CORRUPT" });
    model.counts.set(counts);
    expect(await model.weights()).toEqual(before);
    expect(model.train.length).toBe(3);
    expect(await model.change({})).toMatchObject({ removed: 0, added: 0, rank: 0 });
  });

  it("notices weights that belong to other counts by its pivots, and by its drift", async () => {
    const model = await fit(rowsOf([[0, 1], [0, 2], [1, 2], [2, 3]]), 0.5);
    expect(await model.drift()).toBeLessThan(1e-12);
    const weights = (model as unknown as { inverse: Float64Array }).inverse;
    weights[rowAt(2) + 2]! *= 3;
    expect(await model.drift()).toBeGreaterThan(0.01);
    await expect(model.change({ gone: rowsOf([[1, 2]]) })).rejects.toMatchObject({ code: "FORGET_MODEL_CORRUPT" });
  });

  it("makes the weights again after enough vectors, and where a request is larger than a fit", async () => {
    const list: Pair[] = everybody.flatMap((user) => [0, 1, 2, 3].map((item): Pair => [user, (item + user) % ITEMS]));
    const often = await ease({ lambda: 3, refactorEvery: 2 }).fit(rowsOf(list), { kernels });
    expect(await often.change({ gone: rowsOf([[0, 0]]) })).toMatchObject({ rank: 2, isRefactored: false });
    expect(await often.change({ gone: rowsOf([[0, 1]]) })).toMatchObject({ rank: 0, isRefactored: true });
    const bulk = await fit(rowsOf(list));
    expect(await bulk.change({ gone: rowsOf(list.slice(0, 20)) })).toMatchObject({ isRefactored: true });
    expect(await bulk.weights()).toEqual(await (await fit(rowsOf(list.slice(20)))).weights());
  });

  it("gives a golden digest of its counts, and another one for one count more", async () => {
    const rows = rowsOf([[0, 1], [0, 2]]);
    expect(await (await fit(rows)).gramDigest(["1"])).not.toBe(await (await fit(rowsOf([[0, 1], [0, 2], [1, 1]]))).gramDigest(["1"]));
    expect(await (await fit(rows)).gramDigest(["1"])).not.toBe(await (await fit(rows)).gramDigest(["2"]));
  });

  it("says how much memory it needs where there is not enough", async () => {
    await expect(ease({ memoryLimitBytes: 500 }).fit(rowsOf([[0, 1]]), { kernels })).rejects.toMatchObject({ code: "CONFIG_EASE_MEMORY", message: expect.stringContaining("GiB") as string });
    expect(() => ease({ lambda: 0 })).toThrow(/lambda/);
  });

  it("serves nobody from half of a change", async () => {
    const list: Pair[] = everybody.flatMap((user) => [0, 1, 2].map((item): Pair => [user, (item + user) % ITEMS]));
    const model = await fit(rowsOf(list));
    const changing = model.change({ gone: rowsOf(list.filter(([user]) => user === 3)) }), asked = model.recommend([3], ITEMS);
    await changing;
    // An empty profile: all scores are 0.
    expect([...(await asked)[0]!.scores]).toEqual(new Array(ITEMS).fill(0).map(() => expect.closeTo(0, 12) as number));
  });
});
