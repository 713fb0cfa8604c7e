import { beforeAll, describe, expect, it } from "vitest";
import type { Backbone } from "../../src/backbone/backbone.js";
import { bpr } from "../../src/backbone/bpr.js";
import { fitOnce } from "../../src/backbone/memo.js";
import { DataError, ForgettingError } from "../../src/core/errors.js";
import { Interactions } from "../../src/core/interactions.js";
import { splitDataset, type Split } from "../../src/data/split.js";
import { synthesize } from "../../src/data/synthetic.js";
import { embedded } from "../../src/generation/embedded.js";
import { referenceKernels } from "../../src/native/reference.js";
import { attentionRetriever } from "../../src/retrieval/attention.js";
import { noHistory } from "../../src/retrieval/controls.js";
import { diversityRetriever } from "../../src/retrieval/diversity.js";
import { preferenceRetriever } from "../../src/retrieval/preference.js";
import { Cragru } from "../../src/unlearning/cragru.js";
import { retrain } from "../../src/unlearning/retrain.js";
import type { Unlearner } from "../../src/unlearning/unlearner.js";

const kernels = referenceKernels();
const backbone = fitOnce(bpr({ dimension: 8, epochs: 4, batchSize: 256, learningRate: 0.01, evaluateEvery: 2 }));
const cragru = (candidateSource: "full" | "remain" | "popularity", retriever = preferenceRetriever({ budget: 10 })): Cragru =>
  new Cragru({ backbone, retriever, generator: embedded(), candidates: 12, candidateSource, seed: 7, kernels });

const methods: [string, () => Unlearner][] = [
  ["retrain", () => retrain(backbone, { seed: 7, kernels })],
  ["cragru, full, preference", () => cragru("full")],
  ["cragru, remain, attention", () => cragru("remain", attentionRetriever({ budget: 10 }))],
  ["cragru, remain, diversity", () => cragru("remain", diversityRetriever({ budget: 10 }))],
  ["cragru, popularity, none", () => cragru("popularity", noHistory())],
];

let split: Split;
beforeAll(() => {
  split = splitDataset(synthesize({ users: 60, items: 80, meanPerUser: 25, seed: 5 }), { seed: 7, forget: { unit: "interactions", ratio: 0.1 } });
});

const lists = async (unlearner: Unlearner, users = [0, 1, 2, 3, 20, 59]): Promise<string> =>
  JSON.stringify((await unlearner.recommend(users, 10)).map(({ user, items, scores }) => [user, [...items], [...scores]]));
const someRows = (of: Interactions, every: number): Interactions => of.filter((row) => row % every === 0);

describe.each(methods)("unlearner contract: %s", (_, make) => {
  it("gives the same bytes for the same seed", async () => {
    const [a, b] = [make(), make()];
    for (const method of [a, b]) {
      await method.learn(split);
      await method.forget({ interactions: split.forget });
    }
    expect(await lists(a)).toBe(await lists(b));
  });

  it("serves every asked user k items, best first, none of them held by the user", async () => {
    const method = make();
    await method.learn(split);
    await method.forget({ interactions: split.forget });
    const rankings = await method.recommend([3, 0, 41], 10);
    expect(rankings.map(({ user }) => user)).toEqual([3, 0, 41]);
    for (const { user, items, scores } of rankings) {
      expect(new Set(items).size).toBe(10);
      for (const item of items) expect(split.remain.has(user, item)).toBe(false);
      for (let at = 1; at < scores.length; at++) expect(scores[at]!).toBeLessThanOrEqual(scores[at - 1]!);
    }
  });

  it("forgets rows, users and items; forgetting twice or nothing changes nothing", async () => {
    const method = make();
    await method.learn(split);
    const first = await method.forget({ interactions: split.forget });
    expect(first.rows).toBe(split.forget.length);
    expect(first.before).not.toBe(first.after);
    const after = await lists(method);
    for (const request of [{ interactions: split.forget }, { users: [] }, { items: [] }, { interactions: Interactions.empty(split.dataset) }]) {
      const again = await method.forget(request);
      expect([again.rows, again.before]).toEqual([0, again.after]);
    }
    expect(await lists(method)).toBe(after);
    expect((await method.forget({ users: [2, 2] })).rows).toBe(split.remain.countOf(2));
    const items = await method.forget({ items: [split.remain.items[0]!] });
    expect(items.rows).toBeGreaterThan(0);
    expect(items.after).not.toBe(first.after);
  });

  it("treats one request and the same rows in two requests alike", async () => {
    const [once, twice] = [make(), make()];
    await once.learn(split);
    await twice.learn(split);
    const part = someRows(split.forget, 2);
    await once.forget({ interactions: split.forget });
    await twice.forget({ interactions: part });
    const last = await twice.forget({ interactions: split.forget });
    expect(last.rows).toBe(split.forget.length - part.length);
    expect(await lists(twice)).toBe(await lists(once));
  });

  it("refuses unknown ids and test rows, and loses nothing by it", async () => {
    const method = make();
    await method.learn(split);
    const before = await lists(method);
    await expect(method.forget({ users: [60] })).rejects.toThrow(DataError);
    await expect(method.forget({ items: [-1] })).rejects.toThrow(/item index -1/);
    await expect(method.forget({ interactions: someRows(split.test, 3) })).rejects.toThrow(ForgettingError);
    const foreign = Interactions.from({
      users: Uint32Array.of(0), ratings: Float32Array.of(3),
      items: Uint32Array.of([...Array(80).keys()].find((item) => !split.dataset.has(0, item))!),
    }, split.dataset);
    await expect(method.forget({ interactions: foreign })).rejects.toThrow(/DATA_UNKNOWN_ROW/);
    expect(await lists(method)).toBe(before);
  });

  it("asks to learn first, and stops on an aborted signal", async () => {
    await expect(make().recommend([0], 5)).rejects.toThrow(/learn\(split\) first/);
    const signal = AbortSignal.abort(new Error("stop pressed"));
    const fresh = bpr({ dimension: 8, epochs: 4, batchSize: 256 });
    await expect(retrain(fresh, { kernels }).learn(split, { signal })).rejects.toThrow("stop pressed");
    await expect(new Cragru({ backbone: fresh, retriever: noHistory(), generator: embedded(), kernels }).learn(split, { signal })).rejects.toThrow("stop pressed");
  });

  it("forgets while it is still learning: both end with the request applied", async () => {
    const [method, calm] = [make(), make()];
    const learning = method.learn(split);
    const receipt = await method.forget({ interactions: split.forget });
    await learning;
    await calm.learn(split);
    const expected = await calm.forget({ interactions: split.forget });
    expect({ ...receipt, seconds: 0 }).toEqual({ ...expected, seconds: 0 });
    expect(await lists(method)).toBe(await lists(calm));
  });

  it("applies requests that arrive together, one after the other, and gives each its receipt", async () => {
    const [method, calm] = [make(), make()];
    const part = someRows(split.forget, 2);
    await method.learn(split);
    const receipts = await Promise.all([{ interactions: part }, { interactions: split.forget }, { users: [2] }].map((request) => method.forget(request)));
    expect(receipts.map(({ rows }) => rows)).toEqual([part.length, split.forget.length - part.length, split.remain.countOf(2)]);
    expect(receipts.slice(1).map(({ before }) => before)).toEqual(receipts.slice(0, 2).map(({ after }) => after));
    await calm.learn(split);
    await calm.forget({ interactions: split.forget });
    await calm.forget({ users: [2] });
    expect(await lists(method)).toBe(await lists(calm));
  });

  it("drops lists that were under way when a request arrived, and serves all who ask next alike", async () => {
    const method = make();
    await method.learn(split);
    const answer = method.recommend([0, 1, 2], 10).catch((error: unknown) => error);
    const stopped = method.forget({ interactions: split.forget }, { signal: AbortSignal.abort(new Error("killed")) });
    expect(await answer).toMatchObject({ code: "FORGET_STALE_ANSWER" });
    await expect(stopped).rejects.toThrow("killed");
    const asked = await Promise.all([lists(method), lists(method), method.forget({ users: [] }).then(() => lists(method))]);
    expect(new Set(asked).size).toBe(1);
  });

  it("forgets valid rows alone", async () => {
    const [method, before] = [make(), make()];
    const rows = someRows(split.valid, 3);
    for (const each of [method, before]) await each.learn(split);
    const receipt = await method.forget({ interactions: rows });
    expect(receipt.rows).toBe(rows.length);
    const rankings = await method.recommend([...Array(60).keys()], 80);
    const held = split.train.union(split.valid).without(rows);
    for (const { user, items } of rankings) expect(new Set(items)).toEqual(new Set([...Array(80).keys()].filter((item) => !held.has(user, item))));
  });

  it("gives a user whose valid rows alone are left the popularity list, without those rows", async () => {
    const method = make();
    await method.learn(split);
    await method.forget({ interactions: split.train.of(4) });
    const [list] = await method.recommend([4], 10);
    const counts = split.train.without(split.train.of(4)).itemCounts();
    const best = [...counts.keys()].filter((item) => !split.valid.has(4, item)).sort((a, b) => counts[b]! - counts[a]! || a - b);
    expect(split.valid.countOf(4)).toBeGreaterThan(0);
    expect([...list!.items]).toEqual(best.slice(0, 10));
  });

  it("gives users without any row the popularity list of D_r", async () => {
    const method = make();
    await method.learn(split);
    await method.forget({ users: [4, 5] });
    const [four, five] = await method.recommend([4, 5], 10);
    expect([...four!.items]).toEqual([...five!.items]);
    const counts = split.train.without(split.dataset.filter((row) => [4, 5].includes(split.dataset.users[row]!))).itemCounts();
    expect(counts[four!.items[0]!]).toBe(Math.max(...counts));
  });
});

describe("wrong arguments", () => {
  it("names the three forms of a forget request", async () => {
    const method = retrain(backbone, { seed: 7, kernels });
    await method.learn(split);
    for (const request of [{}, { interaction: split.forget }, { users: 3 }, { interactions: [[3, 5]] }, { users: [1], items: [2] }]) {
      await expect(method.forget(request as never)).rejects.toThrow(/CONFIG_FORGET_REQUEST/);
    }
  });

  it("says which part of Cragru is missing, misspelt or not called", () => {
    const parts = { backbone, retriever: noHistory(), generator: embedded() };
    expect(() => new Cragru({ ...parts, retriever: attentionRetriever as never })).toThrow(/no retriever.*\n.*attentionRetriever\(\)/);
    expect(() => new Cragru({ ...parts, generator: undefined as never })).toThrow(/no generator/);
    expect(() => new Cragru({ ...parts, retreiver: noHistory() } as never)).toThrow(/no option "retreiver"/);
    expect(() => bpr({ dimensions: 32 } as never)).toThrow(/no option "dimensions"/);
    expect(() => splitDataset(split.dataset, { sead: 3 } as never)).toThrow(/no option "sead"/);
  });
});

describe("CRAGRU", () => {
  it("declares the frozen backbone as a residual, and no residual with a clean source", async () => {
    for (const [source, residuals] of [["full", 1], ["remain", 0], ["popularity", 0]] as const) {
      const method = cragru(source);
      await method.learn(split);
      const receipt = await method.forget({ interactions: split.forget });
      expect(receipt.residuals).toHaveLength(residuals);
    }
  });

  it("prints no forgotten and no test row, and no candidate, in any prompt", async () => {
    const method = cragru("full", attentionRetriever({ budget: 10 }));
    await method.learn(split);
    await method.forget({ interactions: split.forget });
    const prompts = await method.prompts([...Array(60).keys()]);
    expect(prompts.length).toBe(60);
    for (const { user, evidence, candidates } of prompts) {
      expect(evidence.intersect(split.forget).length + evidence.intersect(split.test).length).toBe(0);
      for (const { item } of candidates) expect(evidence.has(user, item)).toBe(false);
    }
    expect(method.violations).toEqual({ test: 0, candidates: 0, forgotten: 0 });
  });

  it("refuses a prompt that was made before the request", async () => {
    const method = cragru("full");
    await method.learn(split);
    const prompts = await method.prompts([...Array(60).keys()]);
    const stale = prompts.filter(({ evidence }) => evidence.intersect(split.forget).length > 0);
    expect(stale.length).toBeGreaterThan(0);
    await method.forget({ interactions: split.forget });
    await expect(method.rank(stale.slice(0, 1))).rejects.toThrow(ForgettingError);
  });

  it("drops an answer that was under way when a request arrived", async () => {
    const method = cragru("full");
    await method.learn(split);
    const answer = method.recommend([...Array(60).keys()], 10);
    const forgotten = method.forget({ interactions: split.forget });
    await expect(answer).rejects.toThrow(/FORGET_STALE_ANSWER|forgotten/);
    expect((await forgotten).rows).toBe(split.forget.length);
  });

  it("finishes an interrupted request at the next call and never serves the old lists", async () => {
    const method = cragru("remain");
    await method.learn(split);
    const before = await lists(method);
    const signal = AbortSignal.abort(new Error("killed"));
    await expect(method.forget({ interactions: split.forget }, { signal })).rejects.toThrow("killed");
    const clean = cragru("remain");
    await clean.learn(split);
    await clean.forget({ interactions: split.forget });
    expect(await lists(method)).toBe(await lists(clean));
    expect(await lists(method)).not.toBe(before);
  });

  it("fits once for all who ask after an interrupted request", async () => {
    let fits = 0;
    const inner = bpr({ dimension: 8, epochs: 2, batchSize: 256 });
    const counted: Backbone = { name: inner.name, options: inner.options, fit: (train, options) => (fits++, inner.fit(train, options)) };
    const method = new Cragru({ backbone: counted, retriever: noHistory(), generator: embedded(), candidates: 12, candidateSource: "remain", kernels });
    await method.learn(split);
    await expect(method.forget({ interactions: split.forget }, { signal: AbortSignal.abort(new Error("killed")) })).rejects.toThrow("killed");
    fits = 0;
    await Promise.all([method.recommend([0], 5), method.candidates([1]), method.prompts([2]), method.forget({ users: [] })]);
    expect(fits).toBe(1);
  });

  it("declares the frozen backbone whatever the order in which fits end", async () => {
    // The first fit, asked for by learn, ends after the second one would have.
    let fits = 0;
    const inner = bpr({ dimension: 8, epochs: 2, batchSize: 256 });
    const late: Backbone = {
      name: inner.name, options: inner.options,
      async fit(train, options) {
        const model = await inner.fit(train, options);
        if (fits++ === 0) await new Promise((resolve) => { setTimeout(resolve, 60); });
        return model;
      },
    };
    const method = new Cragru({ backbone: late, retriever: noHistory(), generator: embedded(), candidates: 12, kernels });
    const learning = method.learn(split);
    expect((await method.forget({ interactions: split.forget })).residuals).toHaveLength(1);
    await learning;
    expect(fits).toBe(1);
  });

  it("keeps the backbone's order from rank 51 on", async () => {
    const method = cragru("remain");
    await method.learn(split);
    const [list] = await method.recommend([8], 30);
    const [plain] = await method.candidates([8], { k: 30 });
    expect(new Set(list!.items.slice(0, 12))).toEqual(new Set(plain!.items.slice(0, 12)));
    expect([...list!.items.slice(12)]).toEqual([...plain!.items.slice(12)]);
  });
});
