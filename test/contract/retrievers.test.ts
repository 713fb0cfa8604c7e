import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { Interactions } from "../../src/core/interactions.js";
import { KeyedRandom } from "../../src/core/rng.js";
import { synthesize } from "../../src/data/synthetic.js";
import { attentionRetriever } from "../../src/retrieval/attention.js";
import { clusterItems } from "../../src/retrieval/cluster.js";
import { noHistory, randomRetriever, recentRetriever } from "../../src/retrieval/controls.js";
import { diversityRetriever } from "../../src/retrieval/diversity.js";
import { preferenceRetriever } from "../../src/retrieval/preference.js";
import type { RetrievalContext, RetrievalRequest, Retriever, Selector } from "../../src/retrieval/retriever.js";
import { presentFaces } from "./faces.js";

const B = 10;
const training = { epochs: 1, backend: "cpu" as const, historyRows: 8 };
const retrievers: [string, (budget: number) => Retriever][] = [
  ["preference", (budget) => preferenceRetriever({ budget })],
  ["diversity, share of the budget", (budget) => diversityRetriever({ budget })],
  ["diversity, share of the category", (budget) => diversityRetriever({ budget, ratioMeaning: "categoryShare" })],
  ["diversity, at most", (budget) => diversityRetriever({ budget, dpBoundary: "atMost" })],
  ["attention, slices", (budget) => attentionRetriever({ budget })],
  ["attention, one head", (budget) => attentionRetriever({ budget, heads: 1 })],
  ["attention, mean pool and rating prior", (budget) => attentionRetriever({ budget, pool: "mean", ratingPrior: true })],
  ["attention, trained projections", (budget) => attentionRetriever({ budget, projections: "trained", training })],
  ["attention, random vectors", (budget) => attentionRetriever({ budget, vectors: "random" })],
  ["random", (budget) => randomRetriever({ budget })],
  ["recent", (budget) => recentRetriever({ budget })],
];

const dataset = synthesize({ users: 40, items: 90, meanPerUser: 25, minPerUser: 4, seed: 3 });
const { faces } = presentFaces();
const kernels = faces[faces.length - 1]!;
let context: RetrievalContext;
beforeAll(async () => {
  const categories = await clusterItems(dataset, { seed: 3 });
  const random = new KeyedRandom(9, "probe");
  const count = categories.names.length, levels = 10;
  const values = new Float32Array(dataset.itemCount * 16);
  for (let item = 0; item < dataset.itemCount; item++) random.normals(item, values.subarray(item * 16, (item + 1) * 16));
  // Two items stand at the origin: attention to them is neither wanted nor refused.
  values.fill(0, 0, 32);
  context = {
    seed: 11, kernels, ratingScale: dataset.ratingScale, train: dataset, categories,
    itemVectors: { values, dimension: 16, origin: "keyed normals" },
    hitRates: { values: Float64Array.from({ length: count * levels }, (_, at) => random.uniform(at)), categories: count, levels, unit: 0.05, origin: "keyed" },
  };
});

const request = (user: number, history: Interactions = dataset.of(user)): RetrievalRequest =>
  ({ user, history, candidates: Uint32Array.from({ length: 8 }, (_, at) => (user * 13 + at * 7) % dataset.itemCount) });
const rowsOf = (rows: Interactions): string => JSON.stringify([[...rows.users], [...rows.items], [...rows.ratings], [...(rows.timestamps ?? [])]]);
const requests = Array.from({ length: dataset.userCount }, (_, user) => request(user));

describe.each(retrievers)("retriever contract: %s", (_, make) => {
  let selector: Selector, chosen: Interactions[];
  beforeAll(async () => {
    selector = await make(B).prepare(context);
    chosen = await selector.select(requests);
  });

  it("gives exactly min(B, m) rows, each of the user's own history, none twice", () => {
    expect(requests.some(({ history }) => history.length < B)).toBe(true);
    expect(requests.filter(({ history }) => history.length > B).length).toBeGreaterThan(20);
    chosen.forEach((rows, at) => {
      const { user, history } = requests[at]!;
      expect(rows.length).toBe(Math.min(B, history.length));
      expect(new Set(rows.items).size).toBe(rows.length);
      for (let row = 0; row < rows.length; row++) {
        const source = history.indexOf(user, rows.items[row]!);
        expect(source).toBeGreaterThanOrEqual(0);
        expect([rows.users[row], rows.ratings[row], rows.timestamps?.[row]]).toEqual([user, history.ratings[source], history.timestamps?.[source]]);
      }
    });
  });

  it("does not depend on the other requests nor on their order", async () => {
    await fc.assert(fc.asyncProperty(fc.shuffledSubarray(requests.map((__, at) => at), { minLength: 1 }), async (order) => {
      const again = await selector.select(order.map((at) => requests[at]!));
      expect(again.map(rowsOf)).toEqual(order.map((at) => rowsOf(chosen[at]!)));
    }), { numRuns: 8 });
  });

  it("does not depend on the order in which rows arrived, and prepares the same again", async () => {
    const reverse = <T extends Uint32Array | Float32Array | Float64Array>(column: T): T => column.slice().reverse() as T;
    const reversed = Interactions.from({
      users: reverse(dataset.users), items: reverse(dataset.items), ratings: reverse(dataset.ratings), timestamps: reverse(dataset.timestamps!),
    }, dataset);
    const other = await make(B).prepare({ ...context, train: reversed });
    const again = await other.select(requests.map(({ user }) => request(user, reversed.of(user))));
    expect(again.map(rowsOf)).toEqual(chosen.map(rowsOf));
    expect(other.details).toEqual(selector.details);
  });

  it("returns the whole history where the budget holds it", async () => {
    const all = await (await make(1000).prepare(context)).select(requests);
    expect(all.map(rowsOf)).toEqual(requests.map(({ history }) => rowsOf(history)));
    const exact = requests.find(({ history }) => history.length > 15)!;
    const [rows] = await (await make(exact.history.length).prepare(context)).select([exact]);
    expect(rowsOf(rows!)).toBe(rowsOf(exact.history));
  });

  it("gives nothing for an empty history, and works without candidates or requests", async () => {
    const none = dataset.of(0).slice(0, 0);
    const [empty, bare] = await selector.select([request(0, none), { ...requests[1]!, candidates: new Uint32Array(0) }]);
    expect(empty!.length).toBe(0);
    expect(bare!.length).toBe(Math.min(B, requests[1]!.history.length));
    expect(await selector.select([])).toEqual([]);
  });

  it("never brings back a removed row, and keeps the count while rows are left", async () => {
    const removed = dataset.filter((row) => row % 3 === 0);
    const left = dataset.without(removed);
    const later = await make(B).prepare({ ...context, train: left });
    const rows = await later.select(requests.map(({ user }) => request(user, left.of(user))));
    rows.forEach((own, user) => {
      expect(own.intersect(removed).length).toBe(0);
      expect(own.length).toBe(Math.min(B, left.countOf(user)));
    });
  });

  it("stops when it is told to", async () => {
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    await expect(selector.select(requests, { signal })).rejects.toBe(reason);
  });

  it("has a name, its options and its budget", () => {
    const retriever = make(B);
    expect(retriever.name).not.toBe("");
    expect(retriever.budget).toBe(B);
    expect(retriever.options).toMatchObject({ budget: B });
    expect(() => make(0)).toThrow(/CONFIG_BUDGET/);
    expect(() => make(2.5)).toThrow(/CONFIG_BUDGET/);
  });

  it("names what is missing from the context", async () => {
    const { categories: _c, hitRates: _h, itemVectors: _v, ...bare } = context;
    const retriever = make(B);
    if (retriever.needs.length === 0) await expect(retriever.prepare(bare)).resolves.toBeDefined();
    else await expect(retriever.prepare(bare)).rejects.toThrow(/CONFIG_RETRIEVAL_CONTEXT/);
  });
});

describe("retriever contract: none", () => {
  it("shows no row, whatever is asked", async () => {
    const retriever = noHistory();
    expect([retriever.name, retriever.budget, retriever.needs]).toEqual(["none", 0, []]);
    const rows = await (await retriever.prepare(context)).select(requests);
    expect(rows.map((own) => own.length)).toEqual(requests.map(() => 0));
  });
});
