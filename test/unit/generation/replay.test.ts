import { mkdtemp, readFile, rm, stat, writeFile, readdir, appendFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Prompt } from "../../../src/core/prompt.js";
import { embedded } from "../../../src/generation/embedded.js";
import type { Completion, Generator } from "../../../src/generation/generator.js";
import { entryOf, journaled } from "../../../src/generation/journal.js";
import { engineId, replay } from "../../../src/generation/replay.js";
import { purgeReplies, type ReplayEntry } from "../../../src/generation/replayfile.js";
import { generateAll } from "../../../src/generation/schedule.js";
import { makePrompts, makeRows } from "../../fixtures/prompts.js";

let folder: string, file: string, prompts: Prompt[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cragru-replay-"));
  file = join(folder, "replies.jsonl");
  prompts = await makePrompts({ userCount: 6, candidateCount: 9 });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const lines = async (): Promise<ReplayEntry[]> =>
  (await readFile(file, "utf8")).split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as ReplayEntry);
const comparable = ({ engine: _, ...rest }: Completion): object => ({ ...rest, scores: [...rest.scores], ranking: [...rest.ranking] });

/** A generator with another name, whose reply holds every kind of line separator. */
const speaking = (label: string): Generator => ({
  ...embedded(), name: label, describe: async () => ({ ...(await embedded().describe()), engine: "ollama", label, model: label, isLanguageModel: true }),
  generate: async (prompt) => {
    const completion = await embedded().generate(prompt);
    return { ...completion, reply: `{"a":1}\u2028\u2029\r\n\u0085é${label}`, engine: { ...completion.engine, engine: "ollama", label, model: label, isLanguageModel: true } };
  },
  close: async () => undefined,
});

describe("record and replay", () => {
  it("give the same completions again, marked as replayed", async () => {
    const recorder = journaled(speaking("llm"), file);
    const first = await generateAll(prompts, recorder, { concurrency: 3 });
    await recorder.close();
    const again = await generateAll(prompts, replay(file));
    expect(again.completions.map(comparable)).toEqual(first.completions.map(comparable));
    expect(again.counts).toEqual(first.counts);
    expect(again.engine).toMatchObject({ engine: "ollama", label: "llm, replayed", replayed: true, isLanguageModel: true, model: "llm" });
    for (const { engine } of again.completions) expect(engine.replayed).toBe(true);
    // What was replayed can be recorded and replayed once more under the same label.
    const second = replay(again.completions.map((completion, at) => entryOf(prompts[at]!, completion)));
    expect((await second.describe()).label).toBe("llm, replayed");
    expect((await second.generate(prompts[3]!)).reply).toBe(first.completions[3]!.reply);
  });

  it("writes one line an answer, for the owner alone", async () => {
    await generateAll(prompts, journaled(embedded(), file));
    const entries = await lines();
    expect(entries.map(({ user, promptHash, evidence }) => ({ user, promptHash, evidence })))
      .toEqual(prompts.map(({ user, promptHash, evidence }) => ({ user, promptHash, evidence: [...evidence.items] })));
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it("names user and hash of a missing answer", async () => {
    await generateAll(prompts.slice(0, 2), journaled(embedded(), file));
    const generator = replay(file);
    expect((await generator.generate(prompts[1]!)).status).toBe("ok");
    await expect(generator.generate(prompts[4]!)).rejects.toMatchObject({
      code: "GENERATION_REPLAY_MISSING", kind: "permanent", endsRun: true, message: expect.stringMatching(new RegExp(`user 4, prompt ${prompts[4]!.promptHash}`)),
    });
    // Even a run that takes the backbone's order on failure does not hide it.
    await expect(generateAll(prompts, replay(file), { onFailure: "backbone" })).rejects.toMatchObject({ code: "GENERATION_REPLAY_MISSING" });
  });

  it("asks which engine when a file holds several", async () => {
    for (const label of ["a", "b"]) await generateAll(prompts, journaled(speaking(label), file));
    await expect(replay(file).describe()).rejects.toMatchObject({ code: "GENERATION_REPLAY_MIXED" });
    const id = engineId((await lines())[0]!.engine);
    const chosen = replay(file, { engine: id });
    expect((await chosen.describe()).label).toBe("a, replayed");
    expect((await chosen.generate(prompts[0]!)).reply).toMatch(/a$/);
    expect((await replay(file, { engine: "none" }).describe())).toMatchObject({ engine: "replay", isLanguageModel: false, replayed: true });
  });

  it("tells engines apart by model, digest and options, not by host", async () => {
    const info = await embedded().describe();
    expect(engineId({ ...info, host: "http://a:1" })).toBe(engineId({ ...info, host: "http://b:1" }));
    expect(new Set([info, { ...info, digest: "x" }, { ...info, model: "x" }, { ...info, options: { seed: 1 } }].map(engineId)).size).toBe(4);
  });

  it("passes over a half-written last line, and writes on behind it", async () => {
    await generateAll(prompts.slice(0, 2), journaled(embedded(), file));
    await appendFile(file, '{"promptHash":"abc","user":4,"rep');
    expect((await replay(file).generate(prompts[1]!)).status).toBe("ok");
    await generateAll(prompts.slice(2, 4), journaled(embedded(), file));
    expect((await lines()).map(({ user }) => user)).toEqual([0, 1, 2, 3]);
    // The same for a torn line longer than one piece of the search.
    await appendFile(file, "x".repeat(200_000));
    await generateAll(prompts.slice(4), journaled(embedded(), file));
    expect((await lines()).map(({ user }) => user)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it("names the line that cannot be read, and shows nothing of it", async () => {
    await generateAll(prompts.slice(0, 2), journaled(embedded(), file));
    const good = await readFile(file, "utf8");
    for (const bad of ["secret words", "null", "[]", '{"promptHash":"x"}', good.split("\n")[0]!.replace(/"scores":\[/, '"scores":[null,')]) {
      await writeFile(file, `${good}${bad}\n${good}`);
      const failure = await replay(file).describe().then(() => undefined, (error: unknown) => error);
      expect(failure).toMatchObject({ code: "GENERATION_REPLAY_FILE", kind: "permanent" });
      expect(String(failure)).toContain("replies.jsonl, line 3");
      expect(String(failure)).not.toContain("secret");
    }
    await expect(replay(join(folder, "none.jsonl")).describe()).rejects.toMatchObject({ code: "GENERATION_REPLAY_FILE" });
    await writeFile(file, "");
    expect((await replay(file).describe()).label).toBe("replay (empty)");
  });

  it("refuses an entry for another number of candidates, and a run that was cancelled", async () => {
    const completion = await embedded().generate(prompts[0]!);
    const entry = { ...entryOf(prompts[0]!, completion), scores: [1, 2] };
    await expect(replay([entry]).generate(prompts[0]!)).rejects.toMatchObject({ code: "GENERATION_REPLAY_FILE" });
    await expect(replay([entry]).generate(prompts[0]!, { signal: AbortSignal.abort(new Error("stop")) })).rejects.toThrow("stop");
  });

  it("fails an answer that cannot be stored, and goes on when it can", async () => {
    const blocked = join(folder, "later", "replies.jsonl");
    const recorder = journaled(embedded(), blocked);
    await expect(recorder.generate(prompts[0]!)).rejects.toThrow(/ENOENT/);
    await expect(recorder.generate(prompts[1]!)).rejects.toThrow(/ENOENT/);
    await writeFile(join(folder, "x"), "");
    const { mkdir } = await import("node:fs/promises");
    await mkdir(join(folder, "later"));
    expect((await recorder.generate(prompts[2]!)).status).toBe("ok");
    expect((await readFile(blocked, "utf8")).split("\n").length).toBe(2);
    const unreadable = journaled(embedded(), folder);
    await expect(unreadable.generate(prompts[0]!)).rejects.toThrow();
  });

  it("keeps a generator's preparation and width", () => {
    const seen: number[] = [];
    const wide: Generator = { ...embedded(), concurrency: 7, prepare: (all) => { seen.push(all.length); } };
    const recorder = journaled(wide, file);
    recorder.prepare!(prompts);
    expect([recorder.concurrency, ...seen]).toEqual([7, 6]);
    expect(journaled({ ...embedded(), concurrency: undefined as never, name: "n" } as Generator, file).concurrency).toBeUndefined();
  });
});

describe("purgeReplies", () => {
  beforeEach(async () => {
    await generateAll(prompts, journaled(embedded(), file));
  });

  it("leaves no entry made from a forgotten row", async () => {
    const { user, evidence } = prompts[2]!;
    const shape = { userCount: evidence.userCount, itemCount: evidence.itemCount };
    const rows = makeRows([{ user, item: evidence.items[1]!, rating: 3 }, { user: 0, item: 0, rating: 1 }], shape);
    expect(await purgeReplies(file, { rows })).toEqual({ removed: 1, kept: 5 });
    expect((await lines()).map((entry) => entry.user)).toEqual([0, 1, 3, 4, 5]);
    expect(await purgeReplies(file, { rows })).toEqual({ removed: 0, kept: 5 });
    await expect(replay(file).generate(prompts[2]!)).rejects.toMatchObject({ code: "GENERATION_REPLAY_MISSING" });
  });

  it("removes answers by prompt hash, and half-written lines with them", async () => {
    await appendFile(file, '{"promptHash":"torn');
    const before = (await readFile(file, "utf8")).split("\n");
    expect(await purgeReplies(file, { promptHashes: [prompts[0]!.promptHash, prompts[5]!.promptHash, "unknown"] })).toEqual({ removed: 2, kept: 4 });
    expect(await readFile(file, "utf8")).toBe(`${before.slice(1, 5).join("\n")}\n`);
    expect(await readdir(folder)).toEqual(["replies.jsonl"]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it("changes nothing when the file cannot be read", async () => {
    await appendFile(file, "no entry\n");
    const before = await readFile(file, "utf8");
    await expect(purgeReplies(file, { promptHashes: [prompts[0]!.promptHash] })).rejects.toMatchObject({ code: "GENERATION_REPLAY_FILE" });
    expect(await readFile(file, "utf8")).toBe(before);
    expect(await readdir(folder)).toEqual(["replies.jsonl"]);
    await expect(purgeReplies(join(folder, "none"), {})).rejects.toMatchObject({ code: "GENERATION_REPLAY_FILE" });
  });

  it("works on files of more than one block", async () => {
    const text = await readFile(file, "utf8");
    await writeFile(file, text.repeat(150));
    expect(await purgeReplies(file, { promptHashes: [prompts[1]!.promptHash] })).toEqual({ removed: 150, kept: 750 });
    expect((await lines()).length).toBe(750);
  });
});
