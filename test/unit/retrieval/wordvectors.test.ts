import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { synthesize } from "../../../src/data/synthetic.js";
import { catalogueVectors, genresOf, itemTextVectors, meanVector, readWordVectors, titleFrequency, titleWords, unit } from "../../../src/retrieval/wordvectors.js";
import { datasetOf, vectorsOf } from "./fixtures.js";

const cosine = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let dot = 0, aa = 0, bb = 0;
  for (let at = 0; at < a.length; at++) {
    dot += a[at]! * b[at]!;
    aa += a[at]! ** 2;
    bb += b[at]! ** 2;
  }
  return dot / Math.sqrt(aa * bb);
};
/** Two shelves that never mix: Red, Pink, Rose and Blue, Navy, Teal; items name two of a shelf. */
const shelves = datasetOf(Array.from({ length: 60 }, (_, at): [string, string[]] => {
  const shelf = at % 2 ? ["Red", "Pink", "Rose"] : ["Blue", "Navy", "Teal"];
  return [`The ${at % 2 ? "warm" : "cold"} story ${at}`, [shelf[at % 3]!, shelf[(at + 1) % 3]!]];
}));

describe("words of a catalogue", () => {
  it("are letters and digits of at least three characters, lower case, in any script", () => {
    expect(titleWords("Léon: The Professional (a.k.a. 101 Dalmatians), 东京物语 II")).toEqual(["léon", "the", "professional", "101", "dalmatians", "东京物语"]);
    expect(titleWords("It")).toEqual([]);
  });

  it("are counted once a title; genres come sorted", () => {
    const dataset = datasetOf([["Bad Bad Boys", ["Drama", "Action"]], ["Bad Girls", ["Drama"]]]);
    expect([...titleFrequency(dataset)]).toEqual([["bad", 2], ["boys", 1], ["girls", 1]]);
    expect(genresOf(dataset)).toEqual(["Action", "Drama"]);
  });
});

describe("catalogueVectors", () => {
  it("puts genres of one shelf together and shelves apart, at length 1", () => {
    const vectors = catalogueVectors(shelves);
    expect(vectors.words).toEqual(["Blue", "Navy", "Pink", "Red", "Rose", "Teal"]);
    for (const a of vectors.words) {
      expect(cosine(vectors.get(a)!, vectors.get(a)!)).toBeCloseTo(1, 6);
      expect(vectors.get(a)!.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(1, 5);
      for (const b of vectors.words) {
        const same = ["Red", "Pink", "Rose"].includes(a) === ["Red", "Pink", "Rose"].includes(b);
        if (a !== b) expect(cosine(vectors.get(a)!, vectors.get(b)!) > 0.5).toBe(same);
      }
    }
  });

  it("leaves out a genre that meets nothing", () => {
    const vectors = catalogueVectors(datasetOf([["One", ["Alone"]], ["Two", ["Drama", "War"]], ["Six", ["Drama", "Action"]]]));
    expect(vectors.get("Alone")).toBeUndefined();
    expect(vectors.words).not.toContain("Alone");
  });

  it("uses spelling where there are no genres: words of one stem are near", () => {
    const vectors = catalogueVectors(datasetOf([["Returning Home", []], ["The Returned", []], ["Zebra Crossing", []]]));
    expect(vectors.origin).toContain("trigrams");
    expect(cosine(vectors.get("returning")!, vectors.get("returned")!)).toBeGreaterThan(0.5);
    expect(cosine(vectors.get("returning")!, vectors.get("zebra")!)).toBeLessThan(0.3);
  });

  it("reads no interaction, and says by its hash whether anything changed", () => {
    const few = synthesize({ users: 20, items: 80, meanPerUser: 20, seed: 2 }), many = synthesize({ users: 60, items: 80, meanPerUser: 30, seed: 2 });
    expect(catalogueVectors(few).hash).toBe(catalogueVectors(many).hash);
    expect(catalogueVectors(few).hash).not.toBe(catalogueVectors(synthesize({ users: 20, items: 81, meanPerUser: 20, seed: 2 })).hash);
  });

  it("holds its own on a catalogue of nothing", () => {
    const vectors = catalogueVectors(datasetOf([["", []]]));
    expect(vectors.words).toEqual([]);
    expect([...itemTextVectors(datasetOf([["", []]]), vectors).values]).toEqual(new Array(64).fill(0));
  });
});

describe("meanVector and itemTextVectors", () => {
  const vectors = vectorsOf({ Drama: [1, 0, 0], War: [0, 2, 0], story: [0, 0, 5] });
  it("average the known words, weighted where asked", () => {
    expect([...meanVector(["Drama", "War", "unknown"], vectors)!]).toEqual([0.5, 1, 0]);
    expect([...meanVector(["Drama", "War"], vectors, (word) => (word === "War" ? 3 : 1))!]).toEqual([0.25, 1.5, 0]);
    expect(meanVector(["unknown"], vectors)).toBeUndefined();
    expect([...unit(Float64Array.of(0, 0))]).toEqual([0, 0]);
  });

  it("give genres, else title words, else zero, at mean square 1 and a width that 8 divides", () => {
    const dataset = datasetOf([["A story", ["Drama", "War"]], ["Story", []], ["Void", ["Other"]], ["Story", ["Other"]]]);
    const { values, dimension, origin } = itemTextVectors(dataset, vectors);
    expect([dimension, origin, values.length]).toEqual([8, "by hand", 32]);
    const row = (item: number): number[] => [...values.subarray(item * 8, (item + 1) * 8)];
    expect(row(0)[1]! / row(0)[0]!).toBeCloseTo(2, 5);
    expect(row(1)).toEqual([0, 0, Math.fround(Math.sqrt(8)), 0, 0, 0, 0, 0]);
    expect(row(2)).toEqual(new Array(8).fill(0));
    expect(row(3)).toEqual(row(1));
    for (const item of [0, 1, 3]) expect(row(item).reduce((sum, value) => sum + value * value, 0) / 8).toBeCloseTo(1, 5);
  });
});

describe("readWordVectors", () => {
  it("gives the words of a word2vec file, sorted, without zero vectors", async () => {
    const folder = mkdtempSync(join(tmpdir(), "wordvectors-"));
    try {
      const path = join(folder, "v.bin");
      const entry = (word: string, ...vector: number[]): Buffer => Buffer.concat([Buffer.from(`${word} `), Buffer.from(Float32Array.from(vector).buffer)]);
      writeFileSync(path, Buffer.concat([Buffer.from("3 2\n"), entry("war", 1, 2), entry("drama", 3, 4), entry("zero", 0, 0)]));
      const vectors = await readWordVectors(path, ["War", "Drama", "zero", "absent"]);
      expect([vectors.words, vectors.dimension, vectors.origin]).toEqual([["Drama", "War"], 2, "word2vec file (3 words)"]);
      expect([...vectors.get("War")!]).toEqual([1, 2]);
      expect(vectors.get("zero")).toBeUndefined();
      expect(vectors.hash).toMatch(/^[0-9a-f]{64}$/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
