import { describe, expect, it } from "vitest";
import { loadDataset } from "../../../src/data/load.js";
import { synthesize } from "../../../src/data/synthetic.js";
import { clusterItems, genreCategories } from "../../../src/retrieval/cluster.js";
import { datasetOf, vectorsOf } from "./fixtures.js";

const near = vectorsOf({ Red: [1, 0.1], Pink: [3, 0], Blue: [0, 1], Navy: [0.1, 2] });

describe("clusterItems", () => {
  it("clusters genre words by direction; an item follows most of its genres, ties to the smaller id", async () => {
    const dataset = datasetOf([
      ["a", ["Red", "Pink"]], ["b", ["Blue"]], ["c", ["Navy", "Red", "Blue"]], ["d", ["Red", "Navy"]], ["e", []], ["f", ["Odd"]],
    ]);
    const { labels, names, unknownWords, silhouette, method } = await clusterItems(dataset, { k: 2, vectors: near });
    expect(names).toEqual(["Blue, Navy", "Pink, Red", "no genre"]);
    expect([...labels]).toEqual([1, 0, 0, 0, 2, 2]);
    expect(unknownWords).toEqual(["Odd"]);
    expect(silhouette).toBeGreaterThan(0.8);
    expect(method).toBe("k-means of genre words, by hand");
  });

  it("makes fewer clusters where there are fewer words, or fewer directions, and none without a name", async () => {
    const dataset = datasetOf([["a", ["Red"]], ["b", ["Blue"]], ["c", ["Twin"]]]);
    expect((await clusterItems(dataset, { k: 5, vectors: near })).names).toEqual(["Blue", "Red", "no genre"]);
    const twins = vectorsOf({ Red: [1, 0], Twin: [2, 0], Blue: [0, 1] });
    expect((await clusterItems(dataset, { k: 3, vectors: twins })).names).toEqual(["Blue", "Red, Twin"]);
    expect((await clusterItems(dataset, { k: 1, vectors: twins })).names).toEqual(["Blue, Red, Twin"]);
  });

  it("clusters titles where there are no genres, and names clusters by what sets them apart", async () => {
    const dataset = datasetOf([
      ...Array.from({ length: 12 }, (_, at): [string, string[]] => [`The dragon ${at}00`, []]),
      ...Array.from({ length: 12 }, (_, at): [string, string[]] => [`The tango ${at}00`, []]), ["It", []],
    ]);
    const words = vectorsOf({ the: [1, 1], dragon: [9, 0], tango: [0, 9] });
    const { labels, names, unknownWords } = await clusterItems(dataset, { k: 2, vectors: words });
    expect(labels.slice(0, 12).every((label) => label === labels[0])).toBe(true);
    expect(labels.slice(12, 24).every((label) => label === labels[12])).toBe(true);
    expect(labels[0]).not.toBe(labels[12]);
    expect(names[labels[0]!]).toMatch(/^dragon/);
    expect(names[labels[12]!]).toMatch(/^tango/);
    expect(names[labels[24]!]).toBe("no known word");
    expect(unknownWords).toContain("100");
  });

  it("reads no interaction: other users, same categories", async () => {
    const few = await clusterItems(synthesize({ users: 10, items: 60, meanPerUser: 20, seed: 4 })), many = await clusterItems(synthesize({ users: 30, items: 60, meanPerUser: 25, seed: 4 }));
    expect(many).toEqual(few);
    expect(few.hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it("refuses k out of range and vectors that know no word", async () => {
    const dataset = datasetOf([["a", ["Red"]], ["b", ["Blue"]]]);
    await expect(clusterItems(dataset, { k: 0, vectors: near })).rejects.toThrow(/CONFIG_CLUSTERS/);
    await expect(clusterItems(dataset, { vectors: vectorsOf({ other: [1] }) })).rejects.toThrow(/No genre of shelf.*CONFIG_CLUSTER_VECTORS/s);
    await expect(clusterItems(datasetOf([["Abc", []]]), { vectors: vectorsOf({ other: [1] }) })).rejects.toThrow(/No title word.*CONFIG_CLUSTER_VECTORS/s);
    await expect(clusterItems(dataset, { k: 2, vectors: near, signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  });
});

describe("genreCategories", () => {
  it("takes the first genre of each item, with a category of their own for items without", () => {
    const { labels, names } = genreCategories(datasetOf([["a", ["War", "Drama"]], ["b", ["Drama"]], ["c", []]]));
    expect(names).toEqual(["Drama", "War", "no genre"]);
    expect([...labels]).toEqual([1, 0, 2]);
    expect(genreCategories(datasetOf([["a", ["War"]]])).names).toEqual(["War"]);
  });
});

describe.skipIf(!process.env["CRAGRU_DATA"])("clusters of MovieLens 100K (needs CRAGRU_DATA)", () => {
  it("make sense to a person", async () => {
    const { names, labels, silhouette } = await clusterItems(await loadDataset("ml-100k"));
    const cluster = (genre: string): number => names.findIndex((name) => name.split(", ").includes(genre));
    for (const group of [["Animation", "Children's", "Musical"], ["Crime", "Film-Noir", "Mystery", "Thriller"], ["Drama", "Romance"], ["Action", "Sci-Fi", "War"]]) {
      expect(new Set(group.map(cluster)).size, group.join(", ")).toBe(1);
    }
    expect(new Set(["Animation", "Thriller", "Drama", "Action"].map(cluster)).size).toBe(4);
    expect(silhouette).toBeGreaterThan(0.3);
    expect(Math.max(...labels)).toBe(names.length - 1);
  });
});
