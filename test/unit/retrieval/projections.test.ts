import { beforeAll, describe, expect, it } from "vitest";
import { bpr } from "../../../src/backbone/bpr.js";
import type { ItemVectors } from "../../../src/backbone/backbone.js";
import { Interactions } from "../../../src/core/interactions.js";
import { synthesize } from "../../../src/data/synthetic.js";
import { attentionRetriever } from "../../../src/retrieval/attention.js";
import { trainProjections, type ProjectionOptions } from "../../../src/retrieval/projections.js";
import { loadTensorEngine } from "../../../src/tensor/engine.js";
import { contextOf, kernels } from "./fixtures.js";

const train = synthesize({ users: 120, items: 100, meanPerUser: 25, seed: 6 });
let items: ItemVectors;
beforeAll(async () => {
  items = (await bpr({ dimension: 16, epochs: 30, learningRate: 0.01 }).fit(train, { kernels, seed: 1 })).itemVectors!;
});
const go = (options: ProjectionOptions = {}, signal?: AbortSignal, rows: Interactions = train): ReturnType<typeof trainProjections> =>
  trainProjections({ train: rows, seed: 3 }, items, { heads: 4, backend: "wasm", ...options }, signal ? { signal } : {});
const tensors = async (): Promise<number> => (await loadTensorEngine({ backend: "wasm" })).tf.memory().numTensors;

describe("trainProjections", () => {
  it("lowers the loss on planted tastes, from where the slice filter stands", async () => {
    const { values, keyValues, details } = await go();
    const { losses } = details;
    expect(losses.length).toBe(9);
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
    expect(values.some((value, at) => value !== items.values[at])).toBe(true);
    expect(keyValues.some((value, at) => value !== items.values[at])).toBe(true);
    expect(details.backend).toContain("wasm");
  });

  it("starts at the identity: with a vanishing step it is the slice filter", async () => {
    const { values, keyValues, details } = await go({ epochs: 1, learningRate: 1e-12 });
    for (const projected of [values, keyValues]) projected.forEach((value, at) => expect(value).toBeCloseTo(items.values[at]!, 6));
    expect(details.losses[1]).toBeCloseTo(details.losses[0]!, 6);
  });

  it.each(["wasm", "cpu"] as const)("gives the same bytes for the same seed on %s", async (backend) => {
    const one = await go({ epochs: 2, backend }), two = await go({ epochs: 2, backend });
    expect(Buffer.from(two.values.buffer).equals(Buffer.from(one.values.buffer))).toBe(true);
    expect(two).toEqual(one);
  });

  it("leaves no tensor behind: after success, abort and failure", async () => {
    const before = await tensors();
    await go({ epochs: 1 });
    expect(await tensors()).toBe(before);

    const controller = new AbortController(), reason = new Error("enough");
    let steps = 0;
    const running = trainProjections({ train, seed: 3 }, items, { heads: 4, backend: "wasm" }, {
      signal: controller.signal, onProgress: () => { if (++steps === 7) controller.abort(reason); },
    });
    await expect(running).rejects.toBe(reason);
    expect(steps).toBe(7);
    expect(await tensors()).toBe(before);

    const foreign = { ...items, values: items.values.subarray(0, items.values.length - 3) };
    await expect(trainProjections({ train, seed: 3 }, foreign, { heads: 4, epochs: 1, backend: "wasm" })).rejects.toThrow();
    expect(await tensors()).toBe(before);
  });

  it("refuses heads that do not divide the width", async () => {
    for (const heads of [3, 0, 1.5]) await expect(trainProjections({ train, seed: 3 }, items, { heads, backend: "wasm" })).rejects.toThrow(/CONFIG_HEADS/);
  });

  it("does not begin when it is told to stop before", async () => {
    const reason = new Error("enough");
    await expect(go({}, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it("keeps the identity where nobody has two rows", async () => {
    const { values, details } = await go({ epochs: 2 }, undefined, Interactions.empty(train));
    values.forEach((value, at) => expect(value).toBeCloseTo(items.values[at]!, 6));
    expect([details.losses, details.examples]).toEqual([[0, 0, 0], 0]);
  });

  it.each([{ epochs: 0 }, { batchSize: 1.5 }, { historyRows: -1 }, { learningRate: 0 }, { learningRate: NaN }])("refuses %j", async (options) => {
    await expect(go(options)).rejects.toThrow(/CONFIG_PROJECTIONS/);
  });

  it("serves the attention filter, which reports the losses", async () => {
    const retriever = attentionRetriever({ budget: 5, heads: 4, projections: "trained", training: { epochs: 1, backend: "wasm" } });
    expect(retriever.name).toBe("attention (trained)");
    const selector = await retriever.prepare(contextOf(train, { itemVectors: items }));
    expect((selector.details["losses"] as number[]).length).toBe(2);
    const [rows] = await selector.select([{ user: 0, history: train.of(0), candidates: Uint32Array.of(1, 2, 3) }]);
    expect(rows!.length).toBe(5);
  });
});
