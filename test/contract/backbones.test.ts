import type { Csr } from "../../src/core/interactions.js";
import { beforeAll, describe, expect, it } from "vitest";
import type { Backbone, FittedBackbone } from "../../src/backbone/backbone.js";
import { bpr } from "../../src/backbone/bpr.js";
import { itemKnn } from "../../src/backbone/itemknn.js";
import { lightGcn } from "../../src/backbone/lightgcn.js";
import { fitOnce } from "../../src/backbone/memo.js";
import { popularityBackbone } from "../../src/backbone/popularity.js";
import { ConfigError, DataError } from "../../src/core/errors.js";
import { fingerprintRows } from "../../src/core/fingerprint.js";
import { Interactions } from "../../src/core/interactions.js";
import type { Ranking } from "../../src/core/ranking.js";
import { splitDataset } from "../../src/data/split.js";
import { synthesize } from "../../src/data/synthetic.js";
import { referenceKernels } from "../../src/native/reference.js";

const kernels = referenceKernels();
const small = { dimension: 8, epochs: 6, batchSize: 128, learningRate: 0.01, evaluateEvery: 2 };
const backbones: [string, () => Backbone, boolean][] = [
  ["popularity", popularityBackbone, false],
  ["itemknn", () => itemKnn({ neighbours: 12, shrink: 2 }), false],
  ["bpr", () => bpr(small), true],
  ["lightgcn", () => lightGcn({ ...small, layers: 2 }), true],
  ["bpr, fitted once", () => fitOnce(bpr(small)), true],
];

let train: Interactions, valid: Interactions, test: Interactions;
const COLD = 3;
beforeAll(() => {
  const data = synthesize({ users: 50, items: 70, meanPerUser: 18, seed: 11 });
  const split = splitDataset(data, { seed: 4 });
  ({ valid, test } = split);
  train = split.train.filter((row) => split.train.users[row] !== COLD);
});

const text = (lists: Ranking[]): string => JSON.stringify(lists.map(({ user, items, scores }) => [user, [...items], [...scores]]));
const everyone = (): number[] => Array.from({ length: train.userCount }, (_, user) => user);

describe.each(backbones)("backbone contract: %s", (_, make, drawn) => {
  let model: FittedBackbone;
  beforeAll(async () => {
    model = await make().fit(train, { valid, seed: 5, kernels });
  });

  it("gives the same bytes for the same seed, and others for another if it draws", async () => {
    const again = await make().fit(train, { valid, seed: 5, kernels });
    expect(text(await again.recommend(everyone(), 20))).toBe(text(await model.recommend(everyone(), 20)));
    const { seconds: _seconds, ...report } = model.report, { seconds: __, ...other } = again.report;
    expect(other).toEqual(report);
    const reseeded = await make().fit(train, { valid, seed: 6, kernels });
    expect(text(await reseeded.recommend(everyone(), 20)) !== text(await model.recommend(everyone(), 20))).toBe(drawn);
  });

  it("does not depend on which users are asked together", async () => {
    const all = await model.recommend(everyone(), 7, { mask: train });
    const some = [31, 2, COLD, 2];
    expect(text(await model.recommend(some, 7, { mask: train }))).toBe(text(some.map((user) => all[user]!)));
    expect(await model.recommend([], 7)).toEqual([]);
  });

  it("leaves masked items out, orders by score and then item, and cuts at k or at what remains", async () => {
    const mask = train.union(valid);
    for (const k of [1, 10, train.itemCount, train.itemCount + 50]) {
      const lists = await model.recommend(Uint32Array.from(everyone()), k, { mask });
      for (const [at, { user, items, scores }] of lists.entries()) {
        expect(user).toBe(at);
        expect(items.length).toBe(Math.min(k, train.itemCount - mask.countOf(user)));
        expect(scores.length).toBe(items.length);
        expect(new Set(items).size).toBe(items.length);
        items.forEach((item, place) => {
          expect(mask.has(user, item)).toBe(false);
          expect(Number.isFinite(scores[place]!)).toBe(true);
          if (place > 0) {
            const before = scores[place - 1]!, now = scores[place]!;
            expect(before > now || (before === now && items[place - 1]! < item)).toBe(true);
          }
        });
      }
    }
  });

  it("is the start of its own longer list", async () => {
    const long = await model.recommend([7, COLD], train.itemCount, { mask: train });
    const short = await model.recommend([7, COLD], 5, { mask: train });
    short.forEach((list, at) => expect([...list.items]).toEqual([...long[at]!.items.slice(0, 5)]));
  });

  it("serves users without training rows", async () => {
    const [list] = await model.recommend([COLD], 10, { mask: train });
    expect(list!.items.length).toBe(10);
  });

  it("serves an empty list where everything is masked", async () => {
    const all = Interactions.from({
      users: new Uint32Array(train.itemCount).fill(8), items: Uint32Array.from({ length: train.itemCount }, (__, item) => item), ratings: new Float32Array(train.itemCount).fill(1),
    }, train);
    expect((await model.recommend([8, 9], 10, { mask: all })).map(({ items }) => items.length)).toEqual([0, 10]);
  });

  it.each([[-1], [50], [1.5], [Number.NaN]])("refuses the unknown user %j", async (user) => {
    await expect(model.recommend([0, user], 10)).rejects.toThrow(DataError);
    await expect(model.recommend([0, user], 10)).rejects.toMatchObject({ code: "DATA_UNKNOWN_ID" });
  });

  it.each([[0], [-3], [2.5], [Number.NaN]])("refuses k = %j", async (k) => {
    await expect(model.recommend([0], k)).rejects.toThrow(ConfigError);
  });

  it("refuses a mask of another table", async () => {
    await expect(model.recommend([0], 3, { mask: Interactions.empty({ userCount: 50, itemCount: 69 }) })).rejects.toMatchObject({ code: "DATA_SHAPE" });
  });

  it("refuses to learn from nothing", async () => {
    await expect(make().fit(Interactions.empty(train), { kernels })).rejects.toThrow(DataError);
    await expect(make().fit(Interactions.empty(train), { kernels })).rejects.toMatchObject({ code: "DATA_EMPTY_TRAIN" });
  });

  it("stops when asked to", async () => {
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    await expect(make().fit(train, { valid, kernels, signal })).rejects.toBe(reason);
    await expect(model.recommend([0], 3, { signal })).rejects.toBe(reason);
    if (!drawn) return;
    const controller = new AbortController();
    const fitting = make().fit(train, { valid, kernels, signal: controller.signal, onProgress: () => controller.abort(reason) });
    await expect(fitting).rejects.toBe(reason);
  });

  it("reports what it did and says which rows it learned", () => {
    const { report } = model;
    expect(report.trainedOn).toBe(fingerprintRows(train));
    expect(report.rows).toBe(train.length);
    expect(report.losses.length).toBe(report.epochs);
    expect(report.bestEpoch).toBeLessThanOrEqual(report.epochs);
    expect(report.epochs > 0).toBe(drawn);
    expect(report.validation.length).toBe(Math.ceil(report.epochs / 2));
    expect(report.seconds).toBeGreaterThanOrEqual(0);
    expect(model.itemVectors?.values.length).toBe(drawn ? train.itemCount * 8 : undefined);
  });

  it("leaves its recipe and the rows as they were", async () => {
    const recipe = make();
    const options = JSON.stringify(recipe.options), rows = fingerprintRows(train), held = fingerprintRows(valid);
    await recipe.fit(train, { valid, kernels });
    expect([JSON.stringify(recipe.options), fingerprintRows(train), fingerprintRows(valid)]).toEqual([options, rows, held]);
  });

  it("sees train and valid rows alone", async () => {
    // Whatever reaches the kernels is recorded: positives must be the training rows, and no list may be asked for beyond
    // the users of train and valid with exactly the training rows masked.
    const positives = new Set<string>(), masks: [number, number][] = [];
    const watched = {
      ...kernels,
      bprEpoch: (...call: Parameters<typeof kernels.bprEpoch>) => { positives.add([...(call[1].positives as Csr).columns].join()); return kernels.bprEpoch(...call); },
      lightGcnEpoch: (...call: Parameters<typeof kernels.lightGcnEpoch>) => { positives.add([...(call[1].positives as Csr).columns].join()); return kernels.lightGcnEpoch(...call); },
      scoreTopK: (...call: Parameters<typeof kernels.scoreTopK>) => { masks.push([call[0].users.length, (call[0].mask as Csr).columns.length]); return kernels.scoreTopK(...call); },
    };
    await make().fit(train, { valid, kernels: watched });
    const asked = [...valid.presentUsers()].filter((user) => train.countOf(user) > 0);
    expect([...positives]).toEqual(drawn ? [train.items.join()] : []);
    for (const [values, masked] of masks) {
      expect(values).toBe(asked.length * 8);
      expect(masked).toBe(asked.reduce((sum, user) => sum + train.countOf(user), 0));
    }
    expect(masks.length > 0).toBe(drawn);
    expect(test.intersect(train.union(valid)).length).toBe(0);
  });
});

describe("a removed row changes what it must", () => {
  const remove = (): Interactions => train.filter((row) => row !== 200);
  const distance = (a: Float32Array, b: Float32Array): number => Math.sqrt(a.reduce((sum, value, at) => sum + (value - b[at]!) ** 2, 0));

  it("popularity: one count", async () => {
    const before = await popularityBackbone().fit(train), after = await popularityBackbone().fit(remove());
    const changed = [...before.counts].flatMap((count, item) => count === after.counts[item] ? [] : [item]);
    expect(changed).toEqual([train.items[200]]);
  });

  it.each([["bpr", bpr(small)], ["lightgcn", lightGcn({ ...small, layers: 2 })]])("%s: the same draws, so the models stay close", async (_, recipe) => {
    const sized = recipe.sizedFor(train.length);
    const vectors = async (rows: Interactions, seed: number): Promise<Float32Array> => (await sized.fit(rows, { seed, kernels })).parts.vectors;
    const [original, without, reseeded] = [await vectors(train, 5), await vectors(remove(), 5), await vectors(train, 6)];
    const moved = distance(original, without);
    expect(moved).toBeGreaterThan(0);
    expect(moved).toBeLessThan(0.15 * distance(original, reseeded));
  });

  it("sized recipes keep batches and defaults when rows vanish", async () => {
    const sized = bpr({ epochs: 1, dimension: 4, batchSize: 100 }).sizedFor(1000);
    expect((await sized.fit(train, { kernels })).parts.settings).toMatchObject({ batchCount: 10, epochs: 1, dimension: 4 });
    expect((await bpr({ epochs: 1, dimension: 4, batchSize: 100 }).fit(train, { kernels })).parts.settings["batchCount"]).toBe(Math.ceil(train.length / 100));
    expect(lightGcn().sizedFor(1_000_000).options).toMatchObject({ layers: 2, batchCount: 123, learningRate: 0.001 });
    expect(lightGcn().sizedFor(70_000).options).toMatchObject({ layers: 3, batchCount: 35, learningRate: 0.002 });
  });
});
