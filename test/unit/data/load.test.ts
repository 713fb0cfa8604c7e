import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { DATASET_NAMES, loadDataset } from "../../../src/data/load.js";
import { statistics } from "../../../src/data/statistics.js";
import { dataError, FIXTURES, scratch } from "./scratch.js";

describe("loadDataset", () => {
  it("finds each data set by name under the root, and a folder by its path", async () => {
    expect((await loadDataset("ml-100k", { root: FIXTURES })).length).toBe(7);
    expect((await loadDataset("ml-1m", { root: FIXTURES })).length).toBe(4);
    expect((await loadDataset("ml-latest-small", { root: FIXTURES })).length).toBe(3);
    expect((await loadDataset("netflix", { root: FIXTURES, netflix: { minRatings: 3 } })).length).toBe(3);
    expect((await loadDataset(join(FIXTURES, "shop"), { ratingScale: { min: 0, max: 5 } })).ratingScale).toEqual({ min: 0, max: 5 });
  });

  it("makes synthetic data from nothing, the same for the same seed", async () => {
    const synthetic = { users: 30, items: 40, meanPerUser: 8, seed: 7 };
    const [one, two] = [await loadDataset("synthetic", { synthetic }), await loadDataset("synthetic", { synthetic })];
    expect(one.userCount).toBe(30);
    expect(one.fingerprint).toBe(two.fingerprint);
  });

  it("names the exact command when a data set is not on disk, and fetches nothing", async () => {
    const root = scratch();
    for (const name of ["ml-100k", "ml-1m", "ml-latest-small"]) {
      await dataError(() => loadDataset(name, { root }), "DATA_NOT_ON_DISK", `npx cragru data ${name} --accept-licence`, root, "CRAGRU_DATA");
    }
    await dataError(() => loadDataset("netflix", { root }), "DATA_NOT_ON_DISK", "movie_titles.txt");
  });

  it("goes to the publisher when the licence is accepted, and only then", async () => {
    const asked: string[] = [];
    vi.stubGlobal("fetch", async (url: string) => {
      asked.push(url);
      return new Response("gone", { status: 404 });
    });
    try {
      await dataError(() => loadDataset("ml-1m", { root: scratch(), acceptLicence: true }), "DATA_DOWNLOAD_REFUSED", "404");
      await dataError(() => loadDataset("ml-1m", { root: scratch() }), "DATA_NOT_ON_DISK");
    } finally {
      vi.unstubAllGlobals();
    }
    expect(asked).toEqual(["https://files.grouplens.org/datasets/movielens/ml-1m.zip"]);
  });

  it("lists what there is when the name is unknown", async () => {
    const error = await dataError(() => loadDataset("ml-100m"), "DATA_UNKNOWN_DATASET", '"ml-100m"');
    for (const name of DATASET_NAMES) expect(error.message).toContain(name);
    const file = join(scratch(), "file");
    writeFileSync(file, "x");
    await dataError(() => loadDataset(file), "DATA_NOT_A_FOLDER", file);
  });

  it("reads the root from CRAGRU_DATA, and passes options on", async () => {
    const before = process.env["CRAGRU_DATA"];
    process.env["CRAGRU_DATA"] = FIXTURES;
    try {
      const seen: number[] = [];
      await loadDataset("ml-1m", { onProgress: (done) => seen.push(done) });
      expect(seen.length).toBeGreaterThan(0);
      await expect(loadDataset("ml-1m", { signal: AbortSignal.abort(new Error("no")) })).rejects.toThrow("no");
    } finally {
      if (before === undefined) delete process.env["CRAGRU_DATA"];
      else process.env["CRAGRU_DATA"] = before;
    }
  });

  it("takes netflix-titles where there is no netflix folder", async () => {
    const root = scratch();
    mkdirSync(join(root, "netflix-titles"));
    writeFileSync(join(root, "netflix-titles", "movie_titles.txt"), "1,1999,Lamp\n");
    writeFileSync(join(root, "netflix-titles", "sample.csv"), "user_id,movie_id,rating\n5,1,3\n");
    expect((await loadDataset("netflix", { root })).length).toBe(1);
  });
});

const root = process.env["CRAGRU_DATA"];

describe.skipIf(!root)("real data (skipped: set CRAGRU_DATA to a folder that holds them)", () => {
  it("MovieLens 100K", async () => {
    const data = await loadDataset("ml-100k");
    expect(createHash("sha256").update(readFileSync(join(root!, "ml-100k", "u.data"))).digest("hex")).toBe("06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490");
    expect(statistics(data)).toMatchObject({ users: 943, items: 1682, ratedItems: 1682, interactions: 100_000, minPerUser: 20, medianPerUser: 65, maxPerUser: 737 });
    expect([data.title(data.itemOf(543)), data.year(data.itemOf(543)), data.genres(data.itemOf(543))]).toEqual(["Les Misérables", 1995, ["Drama", "Musical"]]);
    expect(data.title(data.itemOf(267))).toBe("unknown");
    expect(data.profile(data.userOf(1))).toEqual({ age: "24", gender: "man", occupation: "technician" });
    expect(data.itemOf(1682)).toBe(1681);
    const row = data.indexOf(data.userOf(196), data.itemOf(242));
    expect([data.ratings[row], data.timestamps![row]]).toEqual([3, 881250949]);
  });

  it("MovieLens 1M", async () => {
    const data = await loadDataset("ml-1m");
    expect(statistics(data)).toMatchObject({ users: 6040, items: 3883, ratedItems: 3706, interactions: 1_000_209, minPerUser: 20, maxPerUser: 2314 });
    expect([data.title(data.itemOf(73)), data.year(data.itemOf(73))]).toEqual(["Les Misérables", 1995]);
    expect(data.profile(data.userOf(1))).toEqual({ age: "under 18", gender: "woman", occupation: "school student" });
    expect(data.ratings[data.indexOf(data.userOf(1), data.itemOf(1193))]).toBe(5);
  });

  it("MovieLens latest-small", async () => {
    const data = await loadDataset("ml-latest-small");
    expect(statistics(data)).toMatchObject({ users: 610, items: 9742, ratedItems: 9724, interactions: 100_836 });
    expect(data.ratingScale).toEqual({ min: 0.5, max: 5 });
    expect(data.ratings.some((rating) => rating === 0.5)).toBe(true);
    expect([data.title(data.itemOf(73)), data.year(data.itemOf(73))]).toEqual(["Les Misérables", 1995]);
  });

  it("Netflix: a sample with the Prize's own movie ids", async () => {
    const data = await loadDataset("netflix");
    expect(statistics(data)).toMatchObject({ activeUsers: 102_388, items: 17_770, ratedItems: 2898, interactions: 761_635 });
    expect([data.title(data.itemOf(6483)), data.year(data.itemOf(6483))]).toEqual(["Smokey Joe's Café", 2001]);
    expect(data.year(data.itemOf(4388))).toBeUndefined();
    const some = await loadDataset("netflix", { netflix: { minRatings: 50, maxRatings: 100 } });
    expect(statistics(some).minPerUser).toBeGreaterThanOrEqual(50);
    expect(statistics(some).maxPerUser).toBeLessThanOrEqual(100);
  });
});
