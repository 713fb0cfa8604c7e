import { appendFile, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Prompt } from "../../../src/core/prompt.js";
import { embedded } from "../../../src/generation/embedded.js";
import type { Generator } from "../../../src/generation/generator.js";
import { journaled } from "../../../src/generation/journal.js";
import { generateAll } from "../../../src/generation/schedule.js";
import type { ReplayEntry } from "../../../src/generation/replayfile.js";
import { makePrompts, makeRows } from "../../fixtures/prompts.js";

let folder: string, file: string, prompts: Prompt[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cragru-journal-"));
  file = join(folder, "answers.jsonl");
  prompts = await makePrompts({ userCount: 6, candidateCount: 8, historyCount: 4 });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** An engine that notes whom it was asked about; `gate` holds its answers back. */
function watched(options: { seed?: number; gate?: Promise<void> } = {}): Generator & { asked: number[] } {
  const asked: number[] = [], inner = embedded();
  const info = async (): Promise<Awaited<ReturnType<Generator["describe"]>>> => ({ ...(await inner.describe()), options: { seed: options.seed ?? 1 } });
  return {
    asked, name: "watched", describe: info,
    async generate(prompt, run) {
      asked.push(prompt.user);
      await options.gate;
      return { ...(await inner.generate(prompt, run)), engine: await info() };
    },
    close: async () => undefined,
  };
}
const entries = async (): Promise<ReplayEntry[]> => (await readFile(file, "utf8")).split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as ReplayEntry);
const shapeOf = ({ evidence }: Prompt): { userCount: number; itemCount: number } => ({ userCount: evidence.userCount, itemCount: evidence.itemCount });

describe("journaled", () => {
  it("asks for each answer once, also in a later process, and gives the same one again", async () => {
    const first = watched();
    const before = await generateAll(prompts.slice(0, 4), journaled(first, file), { concurrency: 3 });
    const second = watched(), journal = journaled(second, file);
    expect(await journal.known(prompts)).toBe(4);
    const after = await generateAll(prompts, journal, { concurrency: 3 });
    expect(second.asked).toEqual([4, 5]);
    for (const at of [0, 1, 2, 3]) {
      const { seconds: _a, ...a } = before.completions[at]!, { seconds: _b, ...b } = after.completions[at]!;
      expect(b).toEqual({ ...a, isKept: true });
    }
    expect(await journal.known(prompts)).toBe(6);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it("never takes the answer of another model, seed or option for its own", async () => {
    await generateAll(prompts, journaled(watched({ seed: 1 }), file));
    const other = watched({ seed: 2 });
    await generateAll(prompts, journaled(other, file));
    expect(other.asked).toEqual([0, 1, 2, 3, 4, 5]);
    const again = watched({ seed: 1 });
    await generateAll(prompts, journaled(again, file));
    expect(again.asked).toEqual([]);
  });

  it("loses nothing but a half-written line to a crash", async () => {
    await generateAll(prompts.slice(0, 3), journaled(watched(), file));
    const whole = await readFile(file, "utf8");
    for (let cut = 1; cut < 400; cut += 57) {
      await rm(file);
      await appendFile(file, whole + whole.slice(0, cut));
      const engine = watched();
      await generateAll(prompts.slice(0, 4), journaled(engine, file));
      expect(engine.asked).toEqual([3]);
      expect((await entries()).map(({ user }) => user)).toEqual([0, 1, 2, 3]);
    }
  });

  it("purges every answer of a user whose row is named, and every answer that printed it, and goes on", async () => {
    const similar = makeRows([{ user: 2, item: 9, rating: 5 }], shapeOf(prompts[0]!));
    const asked = prompts.map((prompt) => (prompt.user === 5 ? { ...prompt, similar } : prompt));
    const engine = watched(), journal = journaled(engine, file);
    await generateAll(asked, journal);
    // Item 9 is a row of user 2 that stands in 2's own prompt and, as a similar user's row, in 5's.
    expect(await journal.purge(similar)).toEqual([]);
    expect((await entries()).map(({ user }) => user)).toEqual([0, 1, 3, 4]);
    // A row that no prompt printed: still, its user's answers were made for somebody who held it.
    await journal.purge(makeRows([{ user: 0, item: 0, rating: 1 }], shapeOf(prompts[0]!)));
    expect((await entries()).map(({ user }) => user)).toEqual([1, 3, 4]);
    engine.asked.length = 0;
    await generateAll(asked, journal);
    expect(engine.asked).toEqual([0, 2, 5]);
    expect((await entries()).length).toBe(6);
  });

  it("drops an answer that was on its way when its row was forgotten, and keeps the others", async () => {
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => { open = resolve; });
    const journal = journaled(watched({ gate }), file);
    const running = prompts.map((prompt) => journal.generate(prompt).then(() => "kept", (error: unknown) => (error as { code: string }).code));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await journal.purge(prompts[3]!.evidence);
    open();
    expect(await Promise.all(running)).toEqual(["kept", "kept", "kept", "GENERATION_CANCELLED", "kept", "kept"]);
    expect((await entries()).map(({ user }) => user).sort((a, b) => a - b)).toEqual([0, 1, 2, 4, 5]);
  });

  it("drops an answer whose row was forgotten before the file was so much as opened", async () => {
    await generateAll(prompts.slice(0, 1), journaled(watched(), file));
    const journal = journaled(watched(), file);
    const asked = journal.generate(prompts[1]!).then(() => "kept", (error: unknown) => (error as { code: string }).code);
    await journal.purge(prompts[1]!.evidence);
    expect(await asked).toBe("GENERATION_CANCELLED");
    expect((await entries()).map(({ user }) => user)).toEqual([0]);
  });

  it("never hands out another user's answer while a purge moves the lines", async () => {
    await generateAll(prompts, journaled(watched(), file));
    const expected = await generateAll(prompts, embedded());
    for (let turn = 0; turn < 5; turn++) {
      const journal = journaled(watched(), file);
      await journal.known(prompts);
      const work = prompts.slice(1).map((prompt) => journal.generate(prompt));
      const purging = journal.purge(prompts[0]!.evidence);
      work.push(...prompts.slice(1).map((prompt) => journal.generate(prompt)));
      await purging;
      for (const { user, scores } of await Promise.all(work)) expect([...scores]).toEqual([...expected.completions[user]!.scores]);
    }
  });

  it("shares its file with another journal", async () => {
    const [one, two] = [journaled(watched({ seed: 1 }), file), journaled(watched({ seed: 2 }), file)];
    for (const prompt of prompts) await Promise.all([one.generate(prompt), two.generate(prompt)]);
    for (const journal of [one, two]) for (const prompt of prompts) expect((await journal.generate(prompt)).isKept).toBe(true);
    expect((await entries()).length).toBe(12);
  });

  it("hands purge, load and width on to the engine behind it", async () => {
    const purged: number[] = [];
    const engine: Generator = { ...watched(), concurrency: 4, hostLoad: () => "gpu1 2", purge: async (rows) => { purged.push(rows.length); return ["gpu1 may remember"]; } };
    const journal = journaled(engine, file);
    expect(await journal.purge(prompts[0]!.evidence)).toEqual(["gpu1 may remember"]);
    expect([purged, journal.concurrency, journal.hostLoad!()]).toEqual([[4], 4, "gpu1 2"]);
  });
});
