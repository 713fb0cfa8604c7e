import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Backbone } from "../../../src/backbone/backbone.js";
import { bpr } from "../../../src/backbone/bpr.js";
import { splitDataset } from "../../../src/data/split.js";
import { synthesize } from "../../../src/data/synthetic.js";
import { RETRIEVER_NAMES } from "../../../src/experiment/config.js";
import { backboneOf, retrieverOf, sharedBackbone } from "../../../src/experiment/recipes.js";
import { storedBackbone } from "../../../src/experiment/stored.js";
import { codeVersion, packageVersion } from "../../../src/experiment/version.js";
import { referenceKernels } from "../../../src/native/reference.js";
import { temporaryFolder, TINY } from "./tiny.js";

const kernels = referenceKernels();
const split = splitDataset(synthesize(TINY), { seed: 2 });
const recipe = bpr({ dimension: 8, epochs: 3, batchSize: 128 });

/** Counts fits. */
function counted(inner: Backbone): Backbone & { fits: () => number } {
  let fits = 0;
  const watched = (backbone: Backbone): Backbone => ({
    name: backbone.name, options: backbone.options,
    async fit(train, options) {
      fits++;
      return backbone.fit(train, options);
    },
    ...(backbone.sizedFor ? { sizedFor: (rows: number) => watched(backbone.sizedFor!(rows)) } : {}),
  });
  return { ...watched(inner), fits: () => fits };
}

describe("recipes by name", () => {
  it("carry their name and budget", () => {
    expect([backboneOf("bpr", 10).name, backboneOf("lightgcn", 10).name, backboneOf("ease", 10).name]).toEqual(["bpr", "lightgcn", "ease"]);
    for (const name of RETRIEVER_NAMES) {
      const retriever = retrieverOf(name, 7);
      for (const word of name.split("-")) expect(retriever.name).toContain(word);
      expect(retriever.budget).toBe(name === "none" ? 0 : 7);
    }
  });
});

describe("the released protocol", () => {
  it("takes the authors' own filters", () => {
    for (const name of ["attention", "preference", "diversity", "recent"] as const) {
      expect(retrieverOf(name, 100, "released").name).toContain("released");
      expect(retrieverOf(name, 100, "strict").name).not.toContain("released");
    }
  });
});

describe("a shared backbone", () => {
  it("fits once for the same rows, also when asked for the size it has, and says what it saved", async () => {
    const inner = counted(recipe);
    const shared = sharedBackbone(inner, split.train.length);
    const fit = { valid: split.valid, seed: 1, kernels };
    const first = await shared.fit(split.train, fit);
    expect(shared.borrowedSeconds()).toBeLessThan(first.report.seconds);
    const second = await shared.sizedFor!(split.train.length).fit(split.train, fit);
    expect(second).toBe(first);
    expect(inner.fits()).toBe(1);
    const borrowed = shared.borrowedSeconds();
    expect(borrowed).toBeGreaterThan(0);
    expect(borrowed).toBeLessThanOrEqual(first.report.seconds);
    expect(shared.borrowedSeconds()).toBe(0);
    await shared.fit(split.trainRemain, { ...fit, valid: split.validRemain });
    expect(inner.fits()).toBe(2);
  });
});

describe("a stored backbone", () => {
  const folder = temporaryFolder();

  it("reads the model it fitted earlier, for the same rows, seed and recipe alone", async () => {
    const inner = counted(recipe);
    const fit = { valid: split.valid, seed: 1, kernels };
    const stored = storedBackbone(inner, folder);
    const first = await stored.fit(split.train, fit);
    const again = await storedBackbone(inner, folder).fit(split.train, fit);
    expect(inner.fits()).toBe(1);
    const users = [0, 5, 9];
    expect(await again.recommend(users, 10)).toEqual(await first.recommend(users, 10));
    await stored.fit(split.train, { ...fit, seed: 2 });
    await stored.fit(split.trainRemain, fit);
    await stored.sizedFor!(5000).fit(split.train, fit);
    expect(inner.fits()).toBe(4);
    expect(stored.used.map(({ fitted }) => fitted)).toEqual([true, true, true, true]);
    expect(readdirSync(folder)).toHaveLength(4);
  });

  it("owes the training that a file saved, and keeps no file that may not stay", async () => {
    const place = join(folder, "clean"), fit = { valid: split.valid, seed: 1, kernels };
    const stored = storedBackbone(recipe, place);
    const { report } = await stored.fit(split.train, fit);
    expect(stored.borrowedSeconds()).toBe(0);
    const later = storedBackbone(recipe, place, { mayKeep: (train) => train.intersect(split.forget).length === 0 });
    await later.fit(split.train, fit);
    const borrowed = later.borrowedSeconds();
    expect(borrowed).toBeGreaterThanOrEqual(0);
    expect(borrowed).toBeLessThanOrEqual(report.seconds);
    expect(later.borrowedSeconds()).toBe(0);
    await later.fit(split.trainRemain, { ...fit, valid: split.validRemain });
    expect(later.used.map(({ fitted, kept }) => [fitted, kept])).toEqual([[false, false], [true, true]]);
    expect(await later.purge()).toEqual([stored.used[0]!.file]);
    expect(readdirSync(place)).toEqual([later.used[1]!.file]);
    expect(await storedBackbone(recipe, join(place, "nowhere")).purge()).toEqual([]);
  });

  it("refuses a damaged file", async () => {
    const place = join(folder, "damaged");
    const stored = storedBackbone(recipe, place);
    await stored.fit(split.train, { seed: 1, kernels });
    const [name] = readdirSync(place);
    const file = join(place, name!);
    writeFileSync(file, readFileSync(file).subarray(0, 500));
    await expect(storedBackbone(recipe, place).fit(split.train, { seed: 1, kernels })).rejects.toThrow(/damaged|truncated/);
  });
});

describe("the code's version", () => {
  it("is the package's and a digest that names the addon too", () => {
    expect(codeVersion()).toMatch(new RegExp(`^${packageVersion().replaceAll(".", "\\.")}\\+[0-9a-f]{12}$`));
    expect(codeVersion()).toBe(codeVersion());
    expect(codeVersion(join(process.cwd(), "package.json"))).not.toBe(codeVersion());
  });
});
