import { beforeAll, describe, expect, it } from "vitest";
import { bpr } from "../../src/backbone/bpr.js";
import { Interactions } from "../../src/core/interactions.js";
import { Dataset } from "../../src/data/dataset.js";
import { splitDataset, splitFromLabels, type Split } from "../../src/data/split.js";
import { synthesize } from "../../src/data/synthetic.js";
import { embedded } from "../../src/generation/embedded.js";
import { referenceKernels } from "../../src/native/reference.js";
import { attentionRetriever } from "../../src/retrieval/attention.js";
import { noHistory, randomRetriever, recentRetriever } from "../../src/retrieval/controls.js";
import { diversityRetriever } from "../../src/retrieval/diversity.js";
import { preferenceRetriever } from "../../src/retrieval/preference.js";
import type { Retriever } from "../../src/retrieval/retriever.js";
import { Cragru } from "../../src/unlearning/cragru.js";
import type { CandidateSource } from "../../src/unlearning/options.js";

/**
 * What was in the forgotten rows must not matter: two worlds that differ in D_f alone (other items, other ratings) must give
 * the same bytes after forgetting, in prompts and in lists. With the paper's frozen backbone they must not.
 */
const kernels = referenceKernels();
let world: Split, other: Split, never: Split;

beforeAll(() => {
  const dataset = synthesize({ users: 50, items: 90, meanPerUser: 24, seed: 3 });
  world = splitDataset(dataset, { seed: 3 });
  other = replaceForgotten(world);
  never = withoutForgotten(world);
});

function replaceForgotten(split: Split): Split {
  const { dataset, forget } = split;
  const labels = new Map<string, number>();
  const rows: { user: number; item: number; rating: number; timestamp: number }[] = [];
  const taken = new Set(Array.from(dataset.users, (user, row) => `${user}:${dataset.items[row]}`));
  for (let row = 0; row < dataset.length; row++) {
    const user = dataset.users[row]!, timestamp = dataset.timestamps![row]!;
    let item = dataset.items[row]!, rating = dataset.ratings[row]!;
    if (forget.has(user, item)) {
      do item = (item + 1) % dataset.itemCount; while (taken.has(`${user}:${item}`));
      rating = 6 - rating;
    }
    taken.add(`${user}:${item}`);
    labels.set(`${user}:${item}`, split.labels[row]!);
    rows.push({ user, item, rating, timestamp });
  }
  const interactions = Interactions.from({
    users: Uint32Array.from(rows, ({ user }) => user), items: Uint32Array.from(rows, ({ item }) => item),
    ratings: Float32Array.from(rows, ({ rating }) => rating), timestamps: Float64Array.from(rows, ({ timestamp }) => timestamp),
  }, dataset);
  return worldOf(split, interactions, (user, item) => labels.get(`${user}:${item}`)!);
}

/** The world in which the forgotten rows were never given. */
function withoutForgotten(split: Split): Split {
  const { dataset, forget, labels } = split;
  return worldOf(split, dataset.without(forget), (user, item) => labels[dataset.indexOf(user, item)]!);
}

function worldOf(split: Split, interactions: Interactions, label: (user: number, item: number) => number): Split {
  const { dataset } = split;
  const items = Array.from({ length: dataset.itemCount }, (_, item) => ({ id: dataset.itemId(item), title: dataset.title(item), year: dataset.year(item), genres: dataset.genres(item) }));
  const users = Array.from({ length: dataset.userCount }, (_, user) => ({ id: dataset.userId(user), ...dataset.profile(user) }));
  const changed = new Dataset({ name: dataset.name, interactions, items, users, ratingScale: dataset.ratingScale, source: "the same world with other forgotten rows" });
  return splitFromLabels(changed, Uint8Array.from(changed.users, (user, row) => label(user, changed.items[row]!)), split);
}

async function served(split: Split, candidateSource: CandidateSource, retriever: Retriever): Promise<string> {
  const method = new Cragru({
    backbone: bpr({ dimension: 8, epochs: 6, batchCount: 4, learningRate: 0.02, evaluateEvery: 2, patience: 2 }),
    retriever, generator: embedded(), candidates: 15, candidateSource, seed: 3, kernels,
  });
  await method.learn(split);
  await method.forget({ interactions: split.forget });
  const { prompts, rankings } = await method.answer([...Array(50).keys()], 20);
  return JSON.stringify([prompts.map(({ messages }) => messages), rankings.map(({ items, scores }) => [[...items], [...scores]])]);
}

describe("worlds that differ in their forgotten rows alone", () => {
  it("hold the same remaining rows and other forgotten ones", () => {
    expect([...other.remain.items]).toEqual([...world.remain.items]);
    expect([...other.test.items]).toEqual([...world.test.items]);
    expect(other.forget.length).toBe(world.forget.length);
    expect(other.forget.intersect(world.forget).length).toBe(0);
  });

  it.each<[CandidateSource, () => Retriever]>([
    ["remain", () => attentionRetriever({ budget: 8 })],
    ["remain", () => preferenceRetriever({ budget: 8 })],
    ["remain", () => diversityRetriever({ budget: 8 })],
    ["popularity", () => attentionRetriever({ budget: 8 })],
  ])("give the same bytes with candidates from %s", async (source, retriever) => {
    expect(await served(other, source, retriever())).toBe(await served(world, source, retriever()));
  });

  it.each<[CandidateSource, () => Retriever]>([
    ["remain", () => attentionRetriever({ budget: 8 })],
    ["remain", () => diversityRetriever({ budget: 8 })],
    ["popularity", () => recentRetriever({ budget: 8 })],
    ["popularity", () => randomRetriever({ budget: 8 })],
  ])("give the bytes of a world that never held the rows, with candidates from %s", async (source, retriever) => {
    // For a given number of batches: by default that number follows the size of the original data.
    expect(never.forget.length).toBe(0);
    expect(await served(world, source, retriever())).toBe(await served(never, source, retriever()));
  });

  it("give the same bytes where whole users are forgotten", async () => {
    const users = splitDataset(world.dataset, { seed: 3, forget: { unit: "users", ratio: 0.2 } });
    const changed = replaceForgotten(users);
    expect(changed.forget.intersect(users.forget).length).toBeLessThan(users.forget.length);
    expect(changed.forgetUsers).toEqual(users.forgetUsers);
    for (const source of ["remain", "popularity"] as const) {
      expect(await served(changed, source, attentionRetriever({ budget: 8 }))).toBe(await served(users, source, attentionRetriever({ budget: 8 })));
    }
  });

  it("give different lists with the frozen backbone, even when the prompt shows no history at all", async () => {
    expect(await served(other, "full", noHistory())).not.toBe(await served(world, "full", noHistory()));
  });
});
