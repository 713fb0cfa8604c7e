import { beforeAll, describe, expect, it } from "vitest";
import { bpr } from "../../../src/backbone/bpr.js";
import { lightGcn } from "../../../src/backbone/lightgcn.js";
import { initialState, resolveSettings, type Defaults } from "../../../src/backbone/train.js";
import { validationNdcg } from "../../../src/backbone/validation.js";
import { ConfigError, DataError } from "../../../src/core/errors.js";
import { Interactions } from "../../../src/core/interactions.js";
import { splitDataset, type Split } from "../../../src/data/split.js";
import { synthesize } from "../../../src/data/synthetic.js";
import type { Kernels } from "../../../src/native/kernels.js";
import { referenceKernels } from "../../../src/native/reference.js";

const kernels = referenceKernels();
const small = { dimension: 8, batchSize: 200, learningRate: 0.02, evaluateEvery: 2, patience: 2 };
const defaults: Defaults = {
  dimension: 8, epochs: 1, batchSize: 64, learningRate: 0.01, regularisation: 0, optimiser: "adam", initial: "normal", initialScale: 0.1, evaluateEvery: 5, patience: 5,
};
let split: Split;
beforeAll(() => {
  split = splitDataset(synthesize({ users: 60, items: 80, meanPerUser: 25, seed: 3 }), { seed: 1 });
});

describe("training", () => {
  it("stops after its patience and keeps the best epoch: the same bytes as training to that epoch", async () => {
    const model = await bpr({ ...small, epochs: 200 }).fit(split.train, { valid: split.valid, seed: 9, kernels });
    const { report } = model;
    expect(report.epochs).toBeLessThan(200);
    expect(report.epochs).toBe(report.bestEpoch + small.patience * small.evaluateEvery);
    const best = Math.max(...report.validation.map(([, value]) => value));
    expect(report.validation.find(([, value]) => value === best)![0]).toBe(report.bestEpoch);
    const plain = await bpr({ ...small, epochs: report.bestEpoch }).fit(split.train, { seed: 9, kernels });
    expect(plain.report.epochs).toBe(report.bestEpoch);
    expect(plain.parts.parameters).toEqual(model.parts.parameters);
    expect(plain.report.losses).toEqual(report.losses.slice(0, report.bestEpoch));
  });

  it("runs the fixed number of epochs without validation rows, whatever the chunks", async () => {
    const whole = await bpr({ ...small, epochs: 7, evaluateEvery: 7 }).fit(split.train, { kernels });
    const pieces = await bpr({ ...small, epochs: 7, evaluateEvery: 3 }).fit(split.train, { kernels, valid: Interactions.empty(split.train) });
    expect(pieces.report).toMatchObject({ epochs: 7, bestEpoch: 7, validation: [] });
    expect(pieces.parts.parameters).toEqual(whole.parts.parameters);
  });

  it("learns: the loss falls and validation beats the start", async () => {
    for (const recipe of [bpr({ ...small, epochs: 20 }), lightGcn({ ...small, epochs: 12, layers: 2 })]) {
      const { report, parts } = await recipe.fit(split.train, { valid: split.valid, kernels });
      expect(report.losses.at(-1)!).toBeLessThan(0.8 * report.losses[0]!);
      const start = await validationNdcg(kernels, initialState(split.train, resolveSettings("bpr", "cragru", { dimension: 8 }, defaults, 1), 2020).parameters, 8, split.train, split.valid);
      expect(await validationNdcg(kernels, parts.vectors, 8, split.train, split.valid)).toBeGreaterThan(1.5 * start);
    }
  });

  it("reports progress by epoch, with the validation value in the note", async () => {
    const seen: [done: number, total: number, note?: string, kept?: number][] = [];
    await bpr({ ...small, epochs: 4 }).fit(split.train, { valid: split.valid, kernels, onProgress: (...call) => seen.push(call) });
    const done = seen.map(([at]) => at);
    expect(done.every((at, index) => index === 0 || at >= done[index - 1]!)).toBe(true);
    expect(seen.at(-1)).toEqual([4, 4, expect.stringMatching(/^epoch 4, validation NDCG@10 0\.\d{4} \(best 0\.\d{4} at [24]\)$/)]);
    expect(seen.every(([, total]) => total === 4)).toBe(true);
  });

  it("keeps E0 of LightGCN and serves its propagation", async () => {
    const { parts, itemVectors, userVectors } = await lightGcn({ ...small, epochs: 2, layers: 2 }).fit(split.train, { kernels });
    const propagated = await kernels.propagate({ ...parts.shape, dimension: 8, parameters: parts.parameters, positives: split.train.csr(), layers: 2 });
    expect(parts.vectors).toEqual(propagated);
    expect([...userVectors, ...itemVectors.values]).toEqual([...propagated]);
    expect(parts.settings).toMatchObject({ layers: 2, dimension: 8 });
  });

  it("without layers LightGCN is BPR", async () => {
    const same = { ...small, epochs: 3, initialScale: 0.1, regularisation: 1e-3, learningRate: 0.01, batchSize: 128 };
    const graph = await lightGcn({ ...same, layers: 0 }).fit(split.train, { kernels });
    expect(graph.parts.vectors).toEqual((await bpr(same).fit(split.train, { kernels })).parts.vectors);
  });

  it("refuses validation rows that were trained on, or of another table", async () => {
    await expect(bpr(small).fit(split.train, { valid: split.train.slice(0, 3), kernels })).rejects.toMatchObject({ code: "DATA_VALID_IN_TRAIN" });
    await expect(bpr(small).fit(split.train, { valid: Interactions.empty({ userCount: 1, itemCount: 1 }), kernels })).rejects.toThrow(DataError);
  });

  it("says so when the loss is lost", async () => {
    const broken: Kernels = { ...kernels, bprEpoch: async (state, input) => ({ state, losses: new Float64Array(input.epochs).fill(Number.NaN) }) };
    await expect(bpr(small).fit(split.train, { kernels: broken })).rejects.toMatchObject({ code: "CONFIG_DIVERGED" });
  });

  it("trains with plain gradient descent too", async () => {
    const { report, parts } = await bpr({ dimension: 4, optimiser: "sgd", learningRate: 5, epochs: 6, batchSize: 64, initialScale: 0.1 }).fit(split.train, { kernels });
    expect(report.losses.at(-1)!).toBeLessThan(report.losses[0]!);
    expect(parts.settings["optimiser"]).toBe("sgd");
  });

  it("knows the released code's settings", async () => {
    const shape = { userCount: 300, itemCount: 500 };
    const options = bpr({ profile: "recbole" }).sizedFor(70_000).options;
    expect(options).toMatchObject({ learningRate: 0.001, batchCount: 35, regularisation: 0, epochs: 300, initial: "normal", initialScale: "xavier" });
    expect(lightGcn({ profile: "recbole" }).sizedFor(70_000).options)
      .toMatchObject({ layers: 2, learningRate: 0.001, batchCount: 35, regularisation: 2e-7, initial: "uniform", initialScale: "xavier" });
    const { parameters } = initialState(shape, resolveSettings("bpr", "recbole", { initialScale: "xavier", dimension: 64 }, defaults, 1), 1);
    const spread = (from: number, to: number): number => Math.sqrt(parameters.slice(from, to).reduce((sum, value) => sum + value * value, 0) / (to - from));
    expect(spread(0, 300 * 64) / Math.sqrt(2 / 365)).toBeCloseTo(1, 1);
    expect(spread(300 * 64, 800 * 64) / Math.sqrt(2 / 565)).toBeCloseTo(1, 1);
    const uniform = initialState(shape, resolveSettings("lightgcn", "recbole", { initial: "uniform", initialScale: "xavier", dimension: 64 }, defaults, 1), 1).parameters;
    const bound = Math.sqrt(6 / 365);
    const users = uniform.slice(0, 300 * 64);
    expect(users.every((value) => Math.abs(value) <= bound)).toBe(true);
    expect(users.some((value) => value > 0.99 * bound) && users.some((value) => value < -0.99 * bound)).toBe(true);
    expect(Math.abs(users.reduce((sum, value) => sum + value, 0) / users.length)).toBeLessThan(0.02 * bound);
  });

  it("keys initial values by row: a larger catalogue starts like the smaller one", () => {
    const settings = resolveSettings("bpr", "cragru", { dimension: 6 }, defaults, 1);
    const few = initialState({ userCount: 3, itemCount: 4 }, settings, 8).parameters, more = initialState({ userCount: 5, itemCount: 9 }, settings, 8).parameters;
    expect(more.slice(0, 18)).toEqual(few.slice(0, 18));
    expect(more.slice(30, 30 + 24)).toEqual(few.slice(18));
    expect(initialState({ userCount: 3, itemCount: 4 }, settings, 9).parameters).not.toEqual(few);
  });

  it.each([
    [{ dimension: 0 }, /dimension/], [{ epochs: 1.5 }, /epochs/], [{ learningRate: 0 }, /learningRate/], [{ learningRate: Number.NaN }, /learningRate/],
    [{ regularisation: -1 }, /regularisation/], [{ batchSize: 0 }, /batchSize|batchCount/], [{ batchCount: 0.5 }, /batchCount/], [{ patience: 0 }, /patience/],
    [{ initialScale: 0 }, /initialScale/], [{ optimiser: "rmsprop" as "adam" }, /optimiser/], [{ initial: "zeros" as "normal" }, /initial/],
    [{ profile: "other" as "recbole" }, /profile/],
  ])("refuses %j before any work", (options, named) => {
    for (const make of [bpr, lightGcn]) {
      expect(() => make(options)).toThrow(ConfigError);
      expect(() => make(options)).toThrow(named);
    }
    expect(() => lightGcn({ layers: -1 })).toThrow(ConfigError);
  });
});

describe("validationNdcg", () => {
  it("equals a full ranking by hand", async () => {
    const { train, valid } = split;
    const dimension = 8;
    const { parameters } = initialState(train, resolveSettings("bpr", "cragru", { dimension }, defaults, 1), 5);
    const dot = (user: number, item: number): number => {
      let sum = 0;
      for (let at = 0; at < dimension; at++) sum += parameters[user * dimension + at]! * parameters[(train.userCount + item) * dimension + at]!;
      return sum;
    };
    let sum = 0;
    const users = valid.presentUsers();
    for (const user of users) {
      const ranked = Array.from({ length: train.itemCount }, (_, item) => item).filter((item) => !train.has(user, item)).sort((a, b) => dot(user, b) - dot(user, a) || a - b);
      let gain = 0, ideal = 0;
      for (let place = 0; place < 10; place++) {
        if (valid.has(user, ranked[place]!)) gain += 1 / Math.log2(place + 2);
        if (place < valid.countOf(user)) ideal += 1 / Math.log2(place + 2);
      }
      sum += gain / ideal;
    }
    expect(await validationNdcg(kernels, parameters, dimension, train, valid)).toBeCloseTo(sum / users.length, 12);
  });

  it("is 0 when no user has both kinds of rows", async () => {
    expect(await validationNdcg(kernels, new Float32Array(8), 2, Interactions.empty({ userCount: 2, itemCount: 2 }), Interactions.empty({ userCount: 2, itemCount: 2 }))).toBe(0);
  });
});
