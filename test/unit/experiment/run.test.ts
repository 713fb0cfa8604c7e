import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/core/errors.js";
import { Dataset } from "../../../src/data/dataset.js";
import { splitDataset } from "../../../src/data/split.js";
import { synthesize } from "../../../src/data/synthetic.js";
import { chooseExample } from "../../../src/experiment/example.js";
import { readResult } from "../../../src/experiment/results.js";
import { run } from "../../../src/experiment/run.js";
import type { RunResult } from "../../../src/experiment/runresult.js";
import { parseTrec } from "../../../src/experiment/trec.js";
import { temporaryFolder, TINY, TINY_RUN } from "./tiny.js";

const folder = temporaryFolder();
const results = join(folder, "results");
let result: RunResult;
const notes: string[] = [];
beforeAll(async () => {
  result = await run("quick", { ...TINY_RUN, results, note: (text) => notes.push(text) });
});

describe("run quick", () => {
  it("has a row for the sanity checks, the state before, each retriever, each clean source and the reference", () => {
    expect(result.rows.map(({ method }) => `${method.backbone} ${method.name}`)).toEqual([
      "popularity retrain", "itemknn retrain", "popularity cragru-attention", "bpr before", "bpr cragru-attention-full",
      "bpr cragru-diversity-full", "bpr cragru-none-full", "bpr cragru-attention-remain", "bpr retrain",
    ]);
    expect(new Set(result.rows.map(({ remaining }) => remaining!.n)).size).toBe(1);
    expect(result.row("bpr", "before")!.secondsToForget).toBeUndefined();
    expect(result.row("bpr", "before")!.engine).toBeUndefined();
    for (const { method, secondsToForget, engine, pHolm } of result.rows.filter(({ method: { label } }) => label.startsWith("cragru"))) {
      expect([method.name, secondsToForget! > 0, engine, pHolm! >= 0 && pHolm! <= 1]).toEqual([method.name, true, "embedded (no LLM)", true]);
    }
    expect(notes[0]).toMatch(/^Generator: embedded/);
  });

  it("gives the backbone's own order to the method without history, under evalMask", () => {
    expect(result.row("bpr", "cragru-none-full")!.remaining!.metrics).toEqual(result.row("bpr", "before")!.remaining!.metrics);
  });

  it("charges the clean source with the training that the reference shared with it", async () => {
    for (const name of ["cragru-attention-remain", "retrain"]) {
      const { details } = (await readResult(result.row("bpr", name)!.folder)).manifest;
      expect(result.row("bpr", name)!.secondsToForget!).toBeGreaterThanOrEqual((details["fit"] as { seconds: number }).seconds * 0.999);
    }
  });

  it("counts the withdrawn rows in the lists as served, for every method that was asked to forget", async () => {
    const dataset = synthesize(TINY);
    const split = splitDataset(dataset, { seed: TINY_RUN.seed });
    expect(result.row("bpr", "before")!.withdrawn).toBeUndefined();
    for (const row of result.rows.filter(({ method }) => method.name !== "before")) {
      expect(row.withdrawn!.n).toBe(split.test.presentUsers().filter((user) => split.forget.countOf(user) > 0).length);
      const { value } = row.withdrawn!.metrics["precision@10"]!;
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThanOrEqual(1);
    }
    // The weights that saw the rows bring more of them back than a fit that did not, on the same users.
    const back = (name: string): number => result.row("bpr", name)!.withdrawn!.metrics["precision@10"]!.value;
    expect(back("cragru-none-full")).toBeGreaterThan(back("retrain"));
    expect(String(result)).toContain("D_f back");
  });

  it("prints itself as text, HTML and JSON", () => {
    const text = String(result);
    for (const part of ["HR@10", "NDCG@10", "bpr, before", "embedded (no LLM)", "One user, before and after", "withdraws", results]) {
      expect(text).toContain(part);
    }
    expect(result.toHtml()).toMatch(/^<table><caption>synthetic: 40 users.*<\/table>$/s);
    const json = JSON.parse(JSON.stringify(result)) as { rows: unknown[]; comparisons: Record<string, unknown>; engine: { isLanguageModel: boolean } };
    expect(json.rows).toHaveLength(9);
    expect(Object.keys(json.comparisons)).toEqual(["popularity", "bpr"]);
    expect(json.engine.isLanguageModel).toBe(false);
  });

  it("fits a terminal of 120 columns whole, and one of 80 without intervals", () => {
    const tableOf = (text: string): string[] => text.split("\n").filter((line) => /^(method|popularity|itemknn|bpr,|cragru|retrain) /.test(line));
    const whole = tableOf(result.toText(120)), narrow = tableOf(result.toText(80));
    expect(tableOf(String(result))).toEqual(whole);
    expect([whole.length, narrow.length]).toEqual([10, 10]);
    expect(whole[1]).toMatch(/ [.\d]+-[.\d]+ /);
    expect(narrow.join("")).not.toMatch(/\d-[.\d]+ /);
    expect(Math.max(...whole.map((line) => line.length))).toBeLessThanOrEqual(120);
    expect(Math.max(...narrow.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(result.toText(80)).toContain(`intervals and more in ${results}`);
  });

  it("stores each method in a folder of its own, with what is needed to check it", async () => {
    const names = readdirSync(results).sort();
    expect(names).toContain("synthetic.bpr.cragru-attention-full.s5");
    expect(names.every((name) => !name.startsWith("."))).toBe(true);
    const stored = await readResult(join(results, "synthetic.bpr.cragru-attention-full.s5"));
    const { manifest, receipts, config } = stored;
    expect(manifest.split.hash).toMatch(/^[0-9a-f]{64}$/);
    expect(manifest.engine!.label).toBe("embedded (no LLM)");
    expect(manifest.answers).toMatchObject({ ok: stored.perUser.users.length, repaired: 0, fallback: 0 });
    expect(receipts[0]!.residuals[0]).toContain("bpr weights");
    expect(config).toMatchObject({ seed: 5, candidates: 15, protocol: "strict" });
    const dataset = synthesize(TINY), split = splitDataset(dataset, { seed: 5 });
    expect(manifest.split.hash).toBe(split.hash);
    const lists = parseTrec(readFileSync(join(stored.folder, "rankings.run"), "utf8"), dataset);
    for (const { user, items } of lists) {
      expect(items.length).toBe(20);
      for (const item of items) expect(split.train.has(user, item) || split.valid.has(user, item)).toBe(false);
    }
  });

  it("takes what is stored under the same key, says so, and gives the same table", async () => {
    const said: string[] = [];
    const again = await run("quick", { ...TINY_RUN, results, note: (text) => said.push(text) });
    expect(said.join()).toContain("9 of 9 methods were taken from");
    expect(again.rows).toEqual(result.rows);
    expect(again.parts.example).toEqual(JSON.parse(JSON.stringify(result.parts.example)));
  });

  it("computes again what another option changes", async () => {
    const said: string[] = [];
    await run("quick", { ...TINY_RUN, results, retrievers: ["none"], candidateSources: ["full"], candidates: 12, note: (text) => said.push(text) });
    // The sanity rows, the state before and the reference do not depend on the number of candidates.
    expect(said.join()).toContain("4 of 5 methods were taken from");
  });

  it("gives the same values for the same seed in another folder", async () => {
    const again = await run("quick", { ...TINY_RUN, retrievers: ["attention"], candidateSources: ["full"], results: join(folder, "again") });
    for (const name of ["before", "cragru-attention-full", "retrain"]) {
      expect(again.row("bpr", name)!.remaining).toEqual(result.row("bpr", name)!.remaining);
    }
  });

  it("stops on an aborted signal and leaves no half folder", async () => {
    const place = join(folder, "stopped");
    const controller = new AbortController();
    const onProgress = (done: number): void => {
      if (done >= 3.1) controller.abort(new Error("stop pressed"));
    };
    await expect(run("quick", { ...TINY_RUN, results: place, signal: controller.signal, onProgress })).rejects.toThrow("stop pressed");
    const names = readdirSync(place);
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => name.startsWith("."))).toEqual([]);
    const said: string[] = [];
    await run("quick", { ...TINY_RUN, results: place, note: (text) => said.push(text) });
    expect(said.join()).toMatch(new RegExp(`${names.length} of 9 methods were taken`));
  });
});

describe("run quick with users to forget", () => {
  it("gives them a column of their own and takes one of them for the example", async () => {
    const byUser = await run("quick", {
      ...TINY_RUN, retrievers: ["attention"], candidateSources: ["full"], forget: { unit: "users", ratio: 0.2 }, results: join(folder, "users"),
    });
    const row = byUser.row("bpr", "cragru-attention-full")!;
    expect([row.remaining!.n, row.forgotten!.n, row.all!.n]).toEqual([32, 8, 40]);
    // Who has no row left gets the popularity list, from every method.
    expect(row.forgotten!.metrics).toEqual(byUser.row("popularity", "retrain")!.forgotten!.metrics);
    expect(String(byUser)).toMatch(/forgotten +to forget[^]*forgotten: NDCG@10 of the 8 users who asked/);
    expect(byUser.parts.example!.lines.after).toBe(0);
    expect(byUser.parts.example!.lists[1]!.caption).toContain("popularity");
  });

  it("labels everything of the released protocol", async () => {
    const released = await run("quick", {
      ...TINY_RUN, protocol: "released", retrievers: ["none"], candidateSources: ["full"], results: join(folder, "released"),
    });
    expect(String(released)).toContain("replication with known leaks");
    expect(released.parts.example).toBeUndefined();
    const stored = await readResult(released.row("bpr", "cragru-none-full")!.folder);
    expect(stored.manifest.warning).toBe("replication with known leaks");
    expect(readFileSync(join(stored.folder, "rankings.run"), "utf8")).toContain(".released");
    for (const file of ["config.json", "metrics.json", "manifest.json", "receipts.json"]) {
      expect(readFileSync(join(stored.folder, file), "utf8")).toMatch(/replication with known leaks|protocol released/);
    }
    expect(Object.keys(stored.groups)).not.toContain("warning");
  });
});

describe("run table-1", () => {
  it("counts a data set beside the published numbers", async () => {
    const table = await run("table-1", { dataset: "synthetic", synthetic: TINY });
    expect(table.rows.map(({ quantity }) => quantity)).toEqual(["users", "items", "interactions", "mean per user", "sparsity"]);
    expect(table.rows[0]).toMatchObject({ dataset: "synthetic", ours: 40, published: undefined, difference: undefined });
    expect(String(table)).toContain("Table I");
    expect(table.toHtml()).toContain("<caption>Data beside");
    expect(JSON.parse(JSON.stringify(table))).toMatchObject({ rows: table.rows.map(({ ours }) => ({ ours })) });
  });

  it("names the command that fetches the data when none is there", async () => {
    await expect(run("table-1", { root: join(folder, "nothing") })).rejects.toThrow(/cragru data ml-100k/);
  });

  it("counts MovieLens as the paper does, but for the padding row", async ({ skip }) => {
    if (!process.env["CRAGRU_DATA"]) skip("CRAGRU_DATA is not set");
    const table = await run("table-1", { dataset: "ml-100k" });
    const [users, items, interactions, , sparsity] = table.rows;
    expect([users!.difference, items!.difference, interactions!.difference]).toEqual([-1, -1, 0]);
    expect(Math.abs(sparsity!.difference!)).toBeLessThan(0.0002);
  });

  it("refuses a preset that does not exist", async () => {
    await expect(run("figure-3")).rejects.toThrow(ConfigError);
  });
});

describe("the example", () => {
  it("shows a user whose genre vanishes from the prompt at once and from the list with clean candidates", async () => {
    const { parts } = await run("quick", {
      ...TINY_RUN, synthetic: { users: 150, items: 300, meanPerUser: 40, seed: 2020 }, retrievers: ["attention"], candidateSources: ["full"],
      history: 100, candidates: 50, results: join(folder, "visible"),
    });
    const example = parts.example!;
    const [before, frozen, clean] = example.lists.map(({ items }) => items.filter(({ ofGenre }) => ofGenre).length);
    expect(example.lists.map(({ caption }) => caption)).toEqual(["before", "after, frozen bpr", "after, bpr fitted on D_r"]);
    expect(example.lists[0]!.items.every(({ withdrawn }) => !withdrawn)).toBe(true);
    expect(before!).toBeGreaterThanOrEqual(5);
    // The frozen backbone still remembers; the one fitted on D_r does not.
    expect(frozen!).toBeGreaterThan(before! / 2);
    expect(clean!).toBeLessThanOrEqual(before! / 2);
    expect(example.withdrawn.ofGenre).toBeGreaterThan(10);
    // The budget held all his rows before, so every row of the genre that was in train is gone from the prompt.
    expect(example.lines.before - example.lines.after).toBe(example.vanished.length);
    expect(example.vanished.filter((line) => line.genres.includes(example.genre!)).length).toBeGreaterThan(example.withdrawn.ofGenre / 2);
  });

  it("has nobody to show when nobody qualifies", () => {
    const split = splitDataset(synthesize(TINY), { seed: 5 });
    expect(chooseExample(split, new Uint32Array(0))).toBeUndefined();
  });

  it("takes the user who lost most rows where the catalogue has no genres", () => {
    const whole = synthesize(TINY);
    const plain = new Dataset({
      name: "plain", interactions: whole, ratingScale: whole.ratingScale, source: "test",
      items: Array.from({ length: whole.itemCount }, (_, item) => ({ id: String(item), title: `Film ${item}`, genres: [] })),
      users: Array.from({ length: whole.userCount }, (_, user) => ({ id: String(user) })),
    });
    const split = splitDataset(plain, { seed: 5 });
    const { user, genre, extra } = chooseExample(split, split.test.presentUsers())!;
    expect([genre, extra.length]).toEqual([undefined, 0]);
    for (let other = 0; other < 40; other++) expect(split.forget.countOf(other)).toBeLessThanOrEqual(split.forget.countOf(user));
  });

  it("is about a user chosen by a rule that does not depend on the order of the users", () => {
    const split = splitDataset(synthesize(TINY), { seed: 5 });
    const users = split.test.presentUsers();
    const choice = chooseExample(split, users)!;
    expect(chooseExample(split, users.slice().reverse())!.user).toBe(choice.user);
    expect(choice.extra.length).toBeGreaterThan(0);
    for (const item of choice.extra.items) expect(split.dataset.genres(item)).toContain(choice.genre);
    expect(split.remain.of(choice.user).without(choice.extra).length).toBeGreaterThan(0);
    expect(choice.extra.intersect(split.test).length).toBe(0);
  });
});
