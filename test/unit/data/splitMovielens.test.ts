import { existsSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { Dataset } from "../../../src/data/dataset.js";
import { loadDataset } from "../../../src/data/load.js";
import { splitDataset } from "../../../src/data/split.js";

const root = process.env.CRAGRU_DATA;
const missing = root === undefined || !existsSync(join(root, "ml-100k"));
const why = missing ? " (skipped: CRAGRU_DATA names no folder with ml-100k)" : "";

describe.skipIf(missing)(`splits of ml-100k${why}`, () => {
  let dataset: Dataset;
  beforeAll(async () => {
    dataset = await loadDataset("ml-100k", { root: root! });
  });

  it("strict has the sizes that the floors give, whatever the seed", () => {
    // Sums of floor(.2 n) and floor(.1 n) over the 943 users, counted in the file itself.
    for (const seed of [2020, 7]) {
      const { train, valid, test, forget, remain } = splitDataset(dataset, { seed });
      expect([train, valid, test, forget, remain].map((rows) => rows.length)).toEqual([70771, 9596, 19633, 8036, 72331]);
    }
    const users = splitDataset(dataset, { forget: { unit: "users", ratio: 0.1 } });
    expect(users.forgetUsers.length).toBe(94);
    expect(users.remainUsers.length).toBe(849);
  });

  it("the history holds no test row under strict, and most of them under released", () => {
    const strict = splitDataset(dataset);
    expect(strict.history.intersect(strict.test).length).toBe(0);
    const released = splitDataset(dataset, { protocol: "released" });
    expect([released.train, released.valid, released.test].map((rows) => rows.length)).toEqual([80808, 9596, 9596]);
    const asked = new Set(released.forgetUsers);
    const test = released.test.filter((row) => !asked.has(released.test.users[row]!));
    const share = released.history.intersect(test).length / test.length;
    expect(share).toBeGreaterThan(0.77);
    expect(share).toBeLessThan(0.84);
    expect(released.history.intersect(released.test).length).toBe(7000);
  });
});
