import { beforeAll, describe, expect, it } from "vitest";
import type { Backbone } from "../../../src/backbone/backbone.js";
import { bpr } from "../../../src/backbone/bpr.js";
import { itemKnn } from "../../../src/backbone/itemknn.js";
import { DataError, ForgettingError } from "../../../src/core/errors.js";
import type { Interactions } from "../../../src/core/interactions.js";
import type { Prompt } from "../../../src/core/prompt.js";
import { splitDataset, type Split } from "../../../src/data/split.js";
import { synthesize } from "../../../src/data/synthetic.js";
import { embedded } from "../../../src/generation/embedded.js";
import type { Generator } from "../../../src/generation/generator.js";
import { referenceKernels } from "../../../src/native/reference.js";
import { preferenceRetriever } from "../../../src/retrieval/preference.js";
import type { RetrievalRequest, Retriever } from "../../../src/retrieval/retriever.js";
import { Cragru } from "../../../src/unlearning/cragru.js";
import type { CragruOptions } from "../../../src/unlearning/options.js";

const kernels = referenceKernels();
const backbone = itemKnn({ neighbours: 20 });
const users = [...Array(40).keys()];
let split: Split;
beforeAll(() => {
  split = splitDataset(synthesize({ users: 40, items: 60, meanPerUser: 22, seed: 6 }), { seed: 6 });
});

async function learned(options: Partial<CragruOptions> = {}, on = split): Promise<Cragru> {
  const method = new Cragru({ backbone, retriever: preferenceRetriever({ budget: 8 }), generator: embedded(), candidates: 15, seed: 6, kernels, ...options });
  await method.learn(on);
  return method;
}

/** A retriever that answers with whatever rows it is told to. */
function showing(choose: (request: RetrievalRequest) => Interactions): Retriever {
  return {
    name: "planted", budget: 100, options: {}, needs: [],
    prepare: async () => ({ details: {}, select: async (requests) => requests.map(choose) }),
  };
}

describe("Cragru refuses planted overlaps itself", () => {
  const planted: [string, (request: RetrievalRequest) => Interactions, typeof DataError | typeof ForgettingError, string][] = [
    ["forgotten rows", ({ user, history }) => history.union(split.forget.of(user).intersect(split.train)), ForgettingError, "FORGET_EVIDENCE"],
    ["test rows", ({ user, history }) => history.union(split.test.of(user)), DataError, "DATA_EVIDENCE_TEST"],
    ["valid rows", ({ user, history }) => history.union(split.validRemain.of(user)), DataError, "DATA_EVIDENCE_UNKNOWN"],
    ["rows of another user", ({ user }) => split.trainRemain.of((user + 1) % 40), DataError, "DATA_EVIDENCE_USER"],
  ];
  it.each(planted)("%s as evidence", async (_, choose, type, code) => {
    // Before the request a forgotten row is a row like any other, so the plant works after it alone.
    const method = await learned({ retriever: showing(choose) });
    await method.forget({ interactions: split.forget });
    for (const ask of [() => method.prompts(users), () => method.recommend(users, 5)]) {
      const error: unknown = await ask().then(() => undefined, (thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(type);
      expect(error).toMatchObject({ code });
    }
  });

  it("held rows as candidates, from a backbone that ignores the mask", async () => {
    const deaf: Backbone = {
      name: "deaf", options: {},
      async fit(train, options) {
        const model = await backbone.fit(train, options);
        return { name: "deaf", report: model.report, itemVectors: undefined, recommend: (ids, k) => model.recommend(ids, k) };
      },
    };
    // Nothing is printed, so no evidence row could betray it.
    const method = await learned({ backbone: deaf, retriever: showing(({ history }) => history.slice(0, 0)) });
    await expect(method.prompts(users)).rejects.toMatchObject({ code: "DATA_CANDIDATE_HELD" });
  });

  it("a split that leaks, before it learns anything from it", async () => {
    const leaking = Object.create(split) as Split;
    Object.defineProperty(leaking, "train", { value: split.train.union(split.test.slice(0, 1)) });
    const method = await learned();
    const before = await method.recommend(users, 5);
    await expect(method.learn(leaking)).rejects.toMatchObject({ code: "DATA_SPLIT_OVERLAP" });
    expect(await method.recommend(users, 5)).toEqual(before);
  });
});

describe("Cragru with the full mask", () => {
  it("keeps forgotten items out of their users' lists, and declares that this shows", async () => {
    const [remain, full] = [await learned(), await learned({ mask: "full" })];
    const receipts = [await remain.forget({ interactions: split.forget }), await full.forget({ interactions: split.forget })];
    expect(receipts.map(({ residuals }) => residuals.filter((text) => text.startsWith("mask full")).length)).toEqual([0, 1]);
    expect(full.name).toBe("cragru (preference, full itemknn, full mask)");
    const shown = async (method: Cragru): Promise<number> => (await method.recommend(users, 40))
      .reduce((sum, { user, items }) => sum + items.filter((item) => split.forget.has(user, item)).length, 0);
    expect(await shown(remain)).toBeGreaterThan(0);
    expect(await shown(full)).toBe(0);
  });

  it("exists for the frozen backbone alone", async () => {
    for (const candidateSource of ["remain", "popularity"] as const) {
      await expect(learned({ candidateSource, mask: "full" })).rejects.toMatchObject({ code: "CONFIG_MASK" });
    }
    await expect(learned({ mask: "none" as "full" })).rejects.toMatchObject({ code: "CONFIG_MASK" });
  });
});

describe("what Cragru declares", () => {
  const stopping = bpr({ dimension: 8, epochs: 4, batchSize: 256, evaluateEvery: 2 });
  it.each([
    ["train rows", () => split.forget.intersect(split.train), "fitted on rows"],
    ["valid rows", () => split.forget.intersect(split.valid), "stopped early on rows"],
    ["both", () => split.forget, "fitted and stopped early on rows"],
  ])("names what the frozen backbone read: %s", async (_, rows, words) => {
    const { residuals } = await (await learned({ backbone: stopping })).forget({ interactions: rows() });
    expect(residuals).toHaveLength(1);
    expect(residuals[0]).toContain(words);
    expect((await (await learned({ backbone: stopping, candidateSource: "remain" })).forget({ interactions: rows() })).residuals).toEqual([]);
  });

  it("declares nothing for valid rows where the backbone reads none", async () => {
    expect((await (await learned()).forget({ interactions: split.forget.intersect(split.valid) })).residuals).toEqual([]);
  });
});

describe("Cragru while requests arrive", () => {
  /** The embedded generator, held at its third prompt until `release` is called. */
  function held(): { generator: Generator; sent: Prompt[]; reached: Promise<void>; release: () => void } {
    const inner = embedded(), sent: Prompt[] = [];
    let release = (): void => {}, arrive = (): void => {};
    const gate = new Promise<void>((resolve) => { release = resolve; }), reached = new Promise<void>((resolve) => { arrive = resolve; });
    return {
      sent, reached, release: () => release(),
      generator: {
        name: "held", describe: () => inner.describe(), close: () => inner.close(),
        async generate(prompt) {
          sent.push(prompt);
          if (sent.length === 3) {
            arrive();
            await gate;
          }
          return inner.generate(prompt);
        },
      },
    };
  }

  it("sends no further prompt once rows are forgotten", async () => {
    const { generator, sent, reached, release } = held();
    const method = await learned({ generator });
    const answer = method.recommend(users, 5).catch((error: unknown) => error);
    await reached;
    const forgotten = method.forget({ interactions: split.forget });
    release();
    expect(await answer).toMatchObject({ name: "ForgettingError", code: "FORGET_STALE_ANSWER" });
    expect(sent).toHaveLength(3);
    expect((await forgotten).rows).toBe(split.forget.length);
  });

  it("refuses a prompt kept from before the request even if it prints no forgotten row", async () => {
    const method = await learned({ candidateSource: "remain" });
    const prompts = await method.prompts(users);
    await method.forget({ users: [7] });
    const others = prompts.filter(({ user }) => user !== 7);
    await expect(method.rank(others)).rejects.toMatchObject({ code: "FORGET_STALE_PROMPT" });
    expect(await method.rank(await method.prompts(users))).toHaveLength(39);
  });

  it("keeps prompts good over a request that removes nothing", async () => {
    const method = await learned();
    const prompts = await method.prompts(users);
    await method.forget({ users: [] });
    expect(await method.rank(prompts)).toHaveLength(40);
  });
});

describe("Cragru's arguments", () => {
  it.each([0, -1, 1.5, Number.NaN])("refuses lists of %s before anything is generated", async (k) => {
    let asked = 0;
    const inner = embedded();
    const generator: Generator = { ...inner, name: "counting", describe: () => inner.describe(), close: () => inner.close(), generate: (prompt) => (asked++, inner.generate(prompt)) };
    const method = await learned({ generator });
    await expect(method.recommend(users, k)).rejects.toMatchObject({ code: "CONFIG_LIST_LENGTH" });
    expect(asked).toBe(0);
  });

  it("refuses users it does not know instead of leaving them out", async () => {
    const method = await learned();
    await expect(method.prompts([0, 40])).rejects.toMatchObject({ code: "DATA_UNKNOWN_ID" });
    await expect(method.recommend([0, 40], 5)).rejects.toMatchObject({ code: "DATA_UNKNOWN_ID" });
  });
});
