import { appendFileSync, cpSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { buildPrompts } from "../../../src/augmentation/prompt.js";
import { ConfigError, DataError, ForgettingError } from "../../../src/core/errors.js";
import { readPerUser } from "../../../src/experiment/peruser.js";
import { cluster } from "../../../src/experiment/steps/cluster.js";
import { evaluate } from "../../../src/experiment/steps/evaluate.js";
import { alone, finishStep, hashText, openRun, PLACES, readStep, type Step } from "../../../src/experiment/steps/folder.js";
import { prompt, type PromptRecord } from "../../../src/experiment/steps/prompt.js";
import { readCandidates, type PromptLine } from "../../../src/experiment/steps/promptfile.js";
import { recommend, RecommendStep } from "../../../src/experiment/steps/recommend.js";
import { split } from "../../../src/experiment/steps/split.js";
import { OllamaServer } from "../../fixtures/ollama-server.js";
import { temporaryFolder, TINY } from "./tiny.js";

const folder = temporaryFolder();
const run = join(folder, "run");
const small = { candidates: 15, history: 10 };
const read = (...parts: string[]): string => readFileSync(join(run, ...parts), "utf8");

beforeAll(async () => {
  await split("synthetic", { run, synthetic: TINY, seed: 5 });
  await cluster({ run, k: 3 });
  await prompt({ run, retriever: "diversity", ...small });
  await recommend({ run, generator: "embedded" });
  await evaluate({ run });
}, 60_000);

/** A copy of the finished run, to be spoiled. */
function copyOf(name: string): string {
  const copy = join(folder, name);
  cpSync(run, copy, { recursive: true });
  return copy;
}

describe("the five steps", () => {
  it("carry the split's hash from the first artefact to the last", async () => {
    const { split: opened } = await openRun({ run });
    for (const file of ["2-clusters/categories.json", "3-prompts/prompts.json", "4-rankings/rankings.json", "5-metrics/metrics.json"]) {
      expect((JSON.parse(read(file)) as { splitHash: string }).splitHash).toBe(opened.hash);
    }
    expect(statSync(join(run, "1-split", "labels.bin")).size).toBe(opened.dataset.length);
  });

  it("write prompts whose history holds no forgotten row, no test row and no candidate, in the publisher's ids", async () => {
    const { split: opened, dataset } = await openRun({ run });
    const lines = read("3-prompts", "prompts.jsonl").trim().split("\n").map((line) => JSON.parse(line) as { user: string; candidateIds: string[]; historyIds: string[] });
    expect(lines).toHaveLength(40);
    for (const { user, candidateIds, historyIds } of lines) {
      const index = dataset.userOf(user);
      expect(candidateIds).toHaveLength(15);
      expect(historyIds.length).toBeLessThanOrEqual(10);
      for (const id of historyIds) {
        const item = dataset.itemOf(id);
        expect(opened.train.has(index, item) && !opened.forget.has(index, item)).toBe(true);
        expect(candidateIds).not.toContain(id);
      }
    }
  });

  it("keep the model and do not fit it twice", async () => {
    const first = await prompt({ run: copyOf("model"), ...small, retriever: "recent" });
    expect(first.record.models).toMatchObject([{ fitted: false }]);
    expect(String(first)).toContain("read, fitted earlier");
    const clean = await prompt({ run: join(folder, "model"), ...small, retriever: "recent", candidateSource: "remain" });
    expect(clean.record.models.map(({ fitted }) => fitted)).toEqual([false, true]);
    expect(clean.record.receipt.residuals).toEqual([]);
  });

  it("write metrics of the groups, beside the backbone's order", async () => {
    const metrics = JSON.parse(read("5-metrics", "metrics.json")) as Record<string, Record<string, { n: number; metrics: Record<string, { value: number }> }>>;
    expect(metrics["groups"]!["remaining"]!.n).toBe(40);
    const rows = await readPerUser(join(run, "5-metrics", "per-user.parquet"));
    const mean = rows.metrics["ndcg@10"]!.reduce((sum, value) => sum + value, 0) / rows.users.length;
    expect(metrics["groups"]!["remaining"]!.metrics["ndcg@10"]!.value).toBeCloseTo(mean, 12);
    expect(metrics["backboneOrder"]!["remaining"]!.metrics["ndcg@10"]!.value).toBeGreaterThan(0);
    const step = await evaluate({ run: copyOf("second-table"), mask: "serve" });
    expect(step.record.mask).toBe("serve");
    expect(String(step)).toContain("forgotten items allowed");
    expect(JSON.parse(JSON.stringify(step))).toMatchObject({ mask: "serve", comparison: { reference: "backbone order" } });
  });

  it("give the lists that the composed method gives", async () => {
    const copy = copyOf("none");
    await prompt({ run: copy, retriever: "none", ...small });
    await recommend({ run: copy, generator: "embedded", restart: true });
    const { record } = await evaluate({ run: copy });
    // Without history the embedded generator keeps the backbone's order.
    expect(record.groups).toEqual(record.backboneOrder);
  });
});

describe("clusters from a file of word vectors", () => {
  it("are made from that file, and the prompts after them too", async () => {
    const copy = copyOf("vectors"), file = join(folder, "words.bin");
    const { dataset } = await openRun({ run: copy });
    const genres = [...new Set(Array.from({ length: dataset.itemCount }, (_, item) => dataset.genres(item)).flat())].sort();
    // Two bundles of words: the first half points one way, the second the other.
    const lines = genres.map((genre, at) => Buffer.concat([
      Buffer.from(`${genre} `), Buffer.from(Float32Array.of(at < genres.length / 2 ? 1 : -1, at / 100, 0.5).buffer), Buffer.from("\n"),
    ]));
    writeFileSync(file, Buffer.concat([Buffer.from(`${genres.length} 3\n`), ...lines]));
    const { record } = await cluster({ run: copy, k: 2, vectors: file });
    expect([record.k, record.vectors, record.names.length]).toEqual([2, file, 2]);
    expect(new Set(record.labels).size).toBe(2);
    const { record: prompts } = await prompt({ run: copy, retriever: "preference", ...small });
    expect(prompts.categoriesHash).toBe(record.hash);
    await expect(cluster({ run: copy, vectors: join(folder, "no.bin") })).rejects.toThrow(/no such file/);
  });
});

describe("a missing or foreign step", () => {
  it("is an error that names the verb which makes it", async () => {
    const empty = join(folder, "empty");
    for (const step of [cluster, prompt, recommend, evaluate]) await expect(step({ run: empty })).rejects.toThrow(/cragru split ml-100k/);
    await split("synthetic", { run: empty, synthetic: TINY });
    await expect(prompt({ run: empty, retriever: "preference" })).rejects.toThrow(/cragru cluster/);
    await expect(recommend({ run: empty })).rejects.toThrow(/cragru prompt/);
    await prompt({ run: empty, ...small });
    await expect(evaluate({ run: empty })).rejects.toThrow(/cragru recommend/);
    expect(existsSync(join(empty, "4-rankings"))).toBe(false);
  });

  it("is refused when it belongs to another split", async () => {
    const copy = copyOf("resplit");
    await split("synthetic", { run: copy, synthetic: TINY, seed: 6 });
    await expect(recommend({ run: copy, generator: "embedded" })).rejects.toThrow(DataError);
    await expect(evaluate({ run: copy })).rejects.toThrow(/was made with split/);
  });

  it("is refused when the data or a file changed", async () => {
    const labels = copyOf("labels");
    const bytes = readFileSync(join(labels, "1-split", "labels.bin"));
    bytes[3] = bytes[3]! === 0 ? 1 : 0;
    writeFileSync(join(labels, "1-split", "labels.bin"), bytes);
    await expect(cluster({ run: labels })).rejects.toThrow();
    const prompts = copyOf("prompts");
    appendFileSync(join(prompts, "3-prompts", "prompts.jsonl"), "{}\n");
    await expect(recommend({ run: prompts, generator: "embedded" })).rejects.toThrow(/was changed/);
    const lists = copyOf("lists");
    appendFileSync(join(lists, "4-rankings", "rankings.run"), "1 Q0 1 99 1 t\n");
    await expect(evaluate({ run: lists })).rejects.toThrow(/was changed/);
    const other = copyOf("prompts-again");
    await prompt({ run: other, retriever: "recent", ...small });
    await expect(evaluate({ run: other })).rejects.toThrow(/answer other prompts/);
  });

  it("is refused when categories are another version's", async () => {
    const copy = copyOf("categories");
    const record = JSON.parse(readFileSync(join(copy, ...PLACES.cluster), "utf8")) as { seal?: string; hash: string };
    delete record.seal;
    await finishStep(copy, "cluster", { ...record, hash: record.hash.replace(/^.{8}/, "00000000") });
    await expect(prompt({ run: copy, retriever: "preference", ...small })).rejects.toThrow(/not those that this version makes[^]*cragru cluster/);
  });

  it.each<[Step, () => Promise<unknown>]>([
    ["split", () => cluster({ run: join(folder, "edited-split") })],
    ["cluster", () => prompt({ run: join(folder, "edited-cluster"), retriever: "preference", ...small })],
    ["prompt", () => recommend({ run: join(folder, "edited-prompt"), generator: "embedded" })],
    ["recommend", () => evaluate({ run: join(folder, "edited-recommend") })],
  ])("is refused when the record of %s is torn, of another type or edited", async (step, next) => {
    const file = join(copyOf(`edited-${step}`), ...PLACES[step]), whole = readFileSync(file, "utf8");
    const edits = ["", "null", "[]", "7", "{}", whole.slice(0, 100), whole.replace('"format": "cragru', '"format": "crogru'), whole.replace(/"seal": "."/, '"seal": "x')];
    for (const edit of [...edits, whole.replace(/: (\d+)/, ': "$1"')].filter((text) => text !== whole)) {
      writeFileSync(file, edit);
      await expect(next(), JSON.stringify(edit.slice(0, 30))).rejects.toThrow(new RegExp(`^${file}[^]*cragru ${step}`));
      await expect(next()).rejects.toThrow(DataError);
    }
    rmSync(join(folder, `edited-${step}`, "1-split", "labels.bin"));
    if (step === "recommend") writeFileSync(file, whole);
    await expect(next()).rejects.toThrow(/cragru split/);
  });
});

describe("a forged prompt whose hashes all agree", () => {
  it.each(["forgotten", "test"] as const)("is not sent when it shows a %s row", async (kind) => {
    const copy = copyOf(`forged-${kind}`), { split: opened, dataset } = await openRun({ run: copy });
    const file = join(copy, "3-prompts", "prompts.jsonl");
    const record = await readStep<PromptRecord>(copy, "prompt", opened);
    const lists = await readCandidates(join(copy, "3-prompts", "candidates.jsonl"), record.candidatesHash, dataset);
    const rows = kind === "test" ? opened.test : opened.forget;
    const lines = readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line) as PromptLine);
    const line = lines.find(({ user, candidateIds }) => Array.from(rows.itemsOf(dataset.userOf(user))).some((item) => !candidateIds.includes(dataset.itemId(item))))!;
    const user = dataset.userOf(line.user);
    const leaked = Array.from(rows.itemsOf(user), (item) => dataset.itemId(item)).find((id) => !line.candidateIds.includes(id))!;
    line.historyIds = [...line.historyIds, leaked];
    const evidence = dataset.select(line.historyIds.map((id) => dataset.indexOf(user, dataset.itemOf(id))).sort((a, b) => a - b));
    const items = Uint32Array.from(line.candidateIds, (id) => dataset.itemOf(id));
    const [forged] = await buildPrompts({ dataset, candidates: [{ user, items, scores: lists.get(user)!.scores.slice(0, items.length) }], evidence: [evidence] });
    Object.assign(line, { promptHash: forged!.promptHash, messages: forged!.messages });
    const text = lines.map((each) => `${JSON.stringify(each)}\n`).join("");
    writeFileSync(file, text);
    await finishStep(copy, "prompt", { ...record, promptsHash: hashText(text) });
    await expect(recommend({ run: copy, generator: "embedded", restart: true })).rejects.toThrow(kind === "forgotten" ? ForgettingError : /test/);
    expect(existsSync(join(copy, "4-rankings", "replies.jsonl"))).toBe(true);
    expect(readFileSync(join(copy, "4-rankings", "replies.jsonl"), "utf8")).toBe(read("4-rankings", "replies.jsonl"));
  });
});

describe("one writer of a run's folder", () => {
  it("is the rule while a step works there, and the next one may begin afterwards", async () => {
    const copy = copyOf("busy");
    await alone(copy, async () => {
      await expect(cluster({ run: copy, k: 3 })).rejects.toThrow(new RegExp(`Process ${process.pid} works in [^]*\\.lock`));
      await expect(split("synthetic", { run: copy, synthetic: TINY, seed: 6 })).rejects.toThrow(ConfigError);
    });
    expect((await cluster({ run: copy, k: 3 })).record.k).toBe(3);
    expect(existsSync(join(copy, ".lock"))).toBe(false);
  });

  it.each(["4194304 17", `${process.pid} 17`, "", "no process"])("leaves nothing locked by %j, a process that is gone", async (holder) => {
    const copy = copyOf("stale");
    writeFileSync(join(copy, ".lock"), holder);
    expect((await cluster({ run: copy, k: 3 })).record.k).toBe(3);
    expect(existsSync(join(copy, ".lock"))).toBe(false);
    rmSync(copy, { recursive: true });
  });
});

describe("the fourth step after an interruption", () => {
  it("drops a torn last line, asks for that user alone again, and ends with the same lists", async () => {
    const copy = copyOf("torn"), file = join(copy, "4-rankings", "replies.jsonl");
    const whole = readFileSync(file, "utf8"), lines = whole.split("\n");
    const kept = lines.slice(0, 17).join("\n");
    writeFileSync(file, `${kept}\n${lines[17]!.slice(0, 60)}`);
    rmSync(join(copy, "4-rankings", "rankings.json"));
    await expect(evaluate({ run: copy })).rejects.toThrow(/cragru recommend/);
    const step = await recommend({ run: copy, generator: "embedded" });
    expect(step.record.resumed).toBe(17);
    expect(String(step)).toContain("17 answers from an earlier run");
    expect(readFileSync(file, "utf8").trim().split("\n").map((line) => (JSON.parse(line) as { user: number }).user).sort((a, b) => a - b)).toEqual([...Array(40).keys()]);
    expect(readFileSync(join(copy, "4-rankings", "rankings.run"), "utf8")).toBe(read("4-rankings", "rankings.run"));
    expect(step.record.counts).toEqual((JSON.parse(read("4-rankings", "rankings.json")) as { counts: unknown }).counts);
  });

  it.each(["hello", "null", "{}", "[1]", '{"promptHash":"x"}'])("names a line that is no answer: %s", async (line) => {
    const copy = copyOf("foreign"), file = join(copy, "4-rankings", "replies.jsonl");
    const lines = readFileSync(file, "utf8").split("\n");
    writeFileSync(file, [...lines.slice(0, 4), line, ...lines.slice(5)].join("\n"));
    await expect(recommend({ run: copy, generator: "embedded" })).rejects.toThrow(/replies\.jsonl, line 5 is no recorded answer[^]*Remove that line/);
    writeFileSync(join(copy, "4-rankings", "replies.json"), line);
    await expect(recommend({ run: copy, generator: "embedded" })).rejects.toThrow(/replies\.json [^]*cragru recommend --restart/);
    expect((await recommend({ run: copy, generator: "embedded", restart: true })).record.answers.ok).toBe(40);
    rmSync(copy, { recursive: true });
  });

  it("takes an answer that stands twice once", async () => {
    const copy = copyOf("twice"), file = join(copy, "4-rankings", "replies.jsonl");
    appendFileSync(file, `${readFileSync(file, "utf8").split("\n")[4]!}\n\n`);
    expect((await recommend({ run: copy, generator: "embedded" })).record.resumed).toBe(40);
    expect(readFileSync(join(copy, "4-rankings", "rankings.run"), "utf8")).toBe(read("4-rankings", "rankings.run"));
  });

  it("refuses answers of another engine and to other prompts, until told to start over", async () => {
    const copy = copyOf("engine");
    const server = await new OllamaServer({ models: ["toy:latest"] }).start();
    try {
      const asked = { run: copy, generator: "ollama:toy", host: server.url };
      await expect(recommend(asked)).rejects.toThrow(/answers of another engine/);
      await expect(recommend(asked)).rejects.toThrow(ConfigError);
      expect(readFileSync(join(copy, "4-rankings", "replies.jsonl"), "utf8")).toBe(read("4-rankings", "replies.jsonl"));
      const { record } = await recommend({ ...asked, restart: true });
      expect([record.engine.engine, record.engine.isLanguageModel]).toEqual(["test-server", false]);
      expect(record.answers.ok + record.answers.repaired).toBe(40);
      await prompt({ run: copy, retriever: "recent", ...small });
      await expect(recommend(asked)).rejects.toThrow(/answers to other prompts/);
      // What was recorded answers the same prompts again, without a server.
      await prompt({ run: copy, retriever: "diversity", ...small });
      const replayed = join(folder, "replies-of-toy.jsonl");
      cpSync(join(copy, "4-rankings", "replies.jsonl"), replayed);
      await server.stop();
      const again = await recommend({ run: copy, generator: `replay:${replayed}`, restart: true });
      expect(again.record.engine.replayed).toBe(true);
    } finally {
      await server.stop();
    }
  });

  it("counts users that fell back, names them, and goes on with their questions next time", async () => {
    const copy = copyOf("fallback");
    const server = await new OllamaServer({ models: ["toy:latest"], faults: [{ path: "/api/chat", calls: [2, 3, 4], answer: "I would rather not." }] }).start();
    try {
      const asked = { run: copy, generator: "ollama:toy", host: server.url, restart: true };
      await expect(recommend(asked)).rejects.toThrow();
      expect(existsSync(join(copy, "4-rankings", "rankings.json"))).toBe(false);
      server.faults = [{ path: "/api/chat", answer: "I would rather not." }];
      const { record } = await recommend({ ...asked, onFailure: "backbone" });
      expect(record.answers.fallback).toBe(40);
      expect(record.fallbackUsers).toHaveLength(40);
      const evaluated = await evaluate({ run: copy }), { record: metrics } = evaluated;
      // Every question was asked again in vain: both tables say so.
      expect(record.counts.qualityRetries).toBeGreaterThan(0);
      for (const text of [String(new RecommendStep(record, copy)), String(evaluated)]) {
        expect(text).toContain(`0 of 40 answers whole, asked again ${record.counts.qualityRetries}, sent again ${record.counts.transportRetries};`);
        expect(text).toMatch(/\d[KM]? tokens read, [\d.]+[KM]? written/);
      }
      expect(metrics.groups.remaining).toEqual(metrics.backboneOrder.remaining);
      server.faults = [];
      const { record: healed } = await recommend({ ...asked, restart: false, onFailure: "backbone" });
      expect([healed.answers.fallback, healed.resumed]).toEqual([0, 0]);
    } finally {
      await server.stop();
    }
  });

  it("stops on a signal with what is answered on disk, and goes on from there", async () => {
    const copy = copyOf("signal");
    const controller = new AbortController();
    const server = await new OllamaServer({ models: ["toy:latest"], pieceDelayMs: 1 }).start();
    try {
      const asked = { run: copy, generator: "ollama:toy", host: server.url };
      const timer = setInterval(() => {
        const answered = existsSync(join(copy, "4-rankings", "replies.jsonl")) ? readFileSync(join(copy, "4-rankings", "replies.jsonl"), "utf8").split("\n").length - 1 : 0;
        if (answered >= 5 && answered < 40) controller.abort(new Error("stop pressed"));
      }, 5);
      await expect(recommend({ ...asked, restart: true, signal: controller.signal })).rejects.toThrow("stop pressed").finally(() => clearInterval(timer));
      const before = server.requests.filter(({ path }) => path === "/api/chat").length;
      const { record } = await recommend(asked);
      expect(record.resumed).toBeGreaterThanOrEqual(5);
      // Nobody is asked again whose answer is on disk.
      expect(server.requests.filter(({ path }) => path === "/api/chat").length - before).toBeLessThan(40);
      const lines = readFileSync(join(copy, "4-rankings", "replies.jsonl"), "utf8").trim().split("\n");
      expect(lines.map((line) => (JSON.parse(line) as { user: number }).user).sort((a, b) => a - b)).toEqual([...Array(40).keys()]);
    } finally {
      await server.stop();
    }
  });
});
