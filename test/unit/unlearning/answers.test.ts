import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { itemKnn } from "../../../src/backbone/itemknn.js";
import type { Prompt } from "../../../src/core/prompt.js";
import { splitDataset, type Split } from "../../../src/data/split.js";
import { synthesize } from "../../../src/data/synthetic.js";
import { rankCandidates } from "../../../src/generation/contract.js";
import { embedded } from "../../../src/generation/embedded.js";
import type { Generator } from "../../../src/generation/generator.js";
import { journaled } from "../../../src/generation/journal.js";
import type { ReplayEntry } from "../../../src/generation/replayfile.js";
import { referenceKernels } from "../../../src/native/reference.js";
import { preferenceRetriever } from "../../../src/retrieval/preference.js";
import { Cragru } from "../../../src/unlearning/cragru.js";
import type { CragruOptions } from "../../../src/unlearning/options.js";

const kernels = referenceKernels();
const users = [...Array(40).keys()];
let split: Split, folder: string;
beforeAll(() => {
  split = splitDataset(synthesize({ users: 40, items: 60, meanPerUser: 22, seed: 6 }), { seed: 6 });
});
beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), "cragru-answers-")); });
afterEach(() => rm(folder, { recursive: true, force: true }));

async function learned(options: Partial<CragruOptions> = {}): Promise<Cragru> {
  const method = new Cragru({ backbone: itemKnn({ neighbours: 20 }), retriever: preferenceRetriever({ budget: 24 }), generator: embedded(), candidates: 15, seed: 6, kernels, ...options });
  await method.learn(split);
  return method;
}

/** A model whose scores are what `scoreOf` says of user and item. */
function judging(scoreOf: (prompt: Prompt, item: number) => number): Generator {
  const inner = embedded();
  return {
    ...inner, name: "judging", describe: () => inner.describe(), close: () => inner.close(),
    async generate(prompt, options) {
      const scores = Float64Array.from(prompt.candidates, ({ item }) => scoreOf(prompt, item));
      return { ...(await inner.generate(prompt, options)), scores, ranking: rankCandidates(scores, prompt.candidates) };
    },
  };
}

describe("kept answers and a forget request", () => {
  it("leave together: no kept answer owes anything to a forgotten row when forget reports done", async () => {
    const file = join(folder, "answers.jsonl");
    const method = await learned({ generator: journaled(embedded(), file), similar: { users: 4, rows: 6 } });
    await method.recommend(users, 10);
    const kept = async (): Promise<ReplayEntry[]> => (await readFile(file, "utf8")).split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as ReplayEntry);
    expect((await kept()).length).toBe(40);
    expect((await kept()).some(({ similar }) => (similar?.length ?? 0) > 0)).toBe(true);
    const rows = split.train.of(3).union(split.train.of(11).slice(0, 4));
    await method.forget({ interactions: rows });
    const left = await kept();
    expect(left.length).toBeGreaterThan(0);
    for (const { user, evidence, similar = [] } of left) {
      expect([3, 11]).not.toContain(user);
      for (const item of evidence) expect(rows.has(user, item)).toBe(false);
      for (const [other, item] of similar) expect(rows.has(other, item)).toBe(false);
    }
    await method.recommend(users, 10);
    for (const { similar = [] } of await kept()) for (const [other, item] of similar) expect(rows.has(other, item)).toBe(false);
  });

  it("say in the receipt what a server could not be made to forget, and purge again what failed", async () => {
    let broken = true;
    const purged: number[] = [];
    const generator: Generator = {
      ...embedded(), name: "stubborn", describe: () => embedded().describe(), generate: (prompt, options) => embedded().generate(prompt, options), close: async () => undefined,
      purge: async (rows) => {
        if (broken) throw new Error("the disk is full");
        purged.push(rows.length);
        return ["gpu7 may hold prompts"];
      },
    };
    const method = await learned({ generator });
    const rows = split.train.of(5);
    await expect(method.forget({ interactions: rows })).rejects.toThrow("the disk is full");
    // The rows are gone all the same: nothing is answered from them any more.
    expect((await method.prompts([5])).length).toBe(0);
    broken = false;
    const receipt = await method.forget({ interactions: rows });
    expect(purged).toEqual([rows.length]);
    expect(receipt.rows).toBe(0);
    expect(receipt.residuals).toContain("gpu7 may hold prompts");
  });
});

describe("rows of similar users", () => {
  it("fill what the budget leaves, never with a forgotten, a test or an own row", async () => {
    const method = await learned({ similar: { users: 5, rows: 8 } });
    await method.forget({ interactions: split.forget });
    const prompts = await method.prompts(users);
    let shown = 0;
    for (const { user, evidence, similar, messages } of prompts) {
      expect(evidence.length + similar!.length).toBeLessThanOrEqual(24);
      shown += similar!.length;
      for (let row = 0; row < similar!.length; row++) {
        const [other, item] = [similar!.users[row]!, similar!.items[row]!];
        expect(other).not.toBe(user);
        expect(split.forget.has(other, item) || split.test.has(other, item)).toBe(false);
        expect(messages[1]!.content).toContain(split.dataset.title(item).slice(0, 10));
      }
    }
    expect(shown).toBeGreaterThan(20);
    expect((await (await learned()).prompts(users)).every(({ similar }) => similar === undefined)).toBe(true);
  });

  it("are guarded again when a prompt kept from before is ranked after a request", async () => {
    const method = await learned({ similar: { users: 5, rows: 8 } });
    const old = (await method.prompts(users)).find(({ similar }) => similar!.length > 0)!;
    await method.forget({ interactions: old.similar! });
    await expect(method.rank([{ ...old }])).rejects.toMatchObject({ code: "FORGET_EVIDENCE" });
  });
});

describe("a tuned blend", () => {
  it("keeps the backbone's order where the model does not beat it on validation rows", async () => {
    const method = await learned({ blend: "tuned", generator: judging(({ user }, item) => (item * 7919 + user * 104729) % 97) });
    const found = await method.tune();
    expect(found).toMatchObject({ alpha: 1, keepsPrior: true });
    const { rankings, blend } = await method.answer(users, 10);
    expect(blend).toBe(1);
    const plain = await method.candidates(users, { k: 10 });
    expect(rankings.map(({ items }) => [...items])).toEqual(plain.map(({ items }) => [...items]));
  });

  it("trusts a model that finds validation rows, and gives the weight up when rows are forgotten", async () => {
    const seen: Prompt[] = [];
    const oracle = judging((prompt, item) => {
      seen.push(prompt);
      return split.valid.has(prompt.user, item) ? 100 : 50 - prompt.candidates.find((one) => one.item === item)!.rank;
    });
    const method = await learned({ blend: "tuned", generator: oracle });
    const found = await method.tune();
    expect(found.keepsPrior).toBe(false);
    expect(found.alpha).toBeLessThan(1);
    expect(found.gain).toBeGreaterThan(found.error);
    expect(found.tried.map(({ alpha }) => alpha)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]);
    for (const { user, history } of seen) for (const { item } of history) expect(split.test.has(user, item)).toBe(false);
    seen.length = 0;
    expect(await method.tune()).toBe(found);
    expect(seen.length).toBe(0);
    await method.forget({ interactions: split.forget });
    expect(await method.tune()).not.toBe(found);
    expect(seen.length).toBeGreaterThan(0);
  });
});
