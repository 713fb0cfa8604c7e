import { beforeAll, describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/core/errors.js";
import { partOf } from "../../../src/core/progress.js";
import type { Prompt } from "../../../src/core/prompt.js";
import { addCounts, emptyCounts } from "../../../src/generation/counts.js";
import { embedded } from "../../../src/generation/embedded.js";
import { GenerationFailure, type FailureCode, type FailureKind } from "../../../src/generation/failures.js";
import type { Generator } from "../../../src/generation/generator.js";
import { generateAll } from "../../../src/generation/schedule.js";
import { makePrompts } from "../../fixtures/prompts.js";

let prompts: Prompt[];
beforeAll(async () => {
  prompts = await makePrompts({ userCount: 20, candidateCount: 6 });
});

/** embedded() with something done before each answer. */
function around(before: (prompt: Prompt, signal: AbortSignal) => Promise<void> | void, more: Partial<Generator> = {}): Generator {
  const inner = embedded();
  return {
    name: "test", concurrency: 4, describe: () => inner.describe(), close: () => inner.close(), ...more,
    async generate(prompt, options) {
      await before(prompt, options!.signal!);
      return inner.generate(prompt, options);
    },
  };
}
const failing = (user: number, code: FailureCode, kind: FailureKind): Generator =>
  around((prompt) => {
    if (prompt.user === user) throw new GenerationFailure(code, kind, "planned", { counts: { ...emptyCounts(), answers: 3, missingKeys: 6 } });
  });
const tick = (milliseconds = 0): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

describe("generateAll", () => {
  it("returns answers in the order of the prompts, whatever the order of arrival", async () => {
    const arrived: number[] = [];
    const { completions, engine, counts, seconds } = await generateAll(prompts, around((prompt) => tick((prompt.user * 7) % 5)), {
      onCompletion: ({ user }, index) => { expect(user).toBe(prompts[index]!.user); arrived.push(index); },
    });
    expect(completions.map(({ user }) => user)).toEqual(prompts.map(({ user }) => user));
    expect(arrived.slice().sort((a, b) => a - b)).toEqual(prompts.map((_, at) => at));
    expect(engine.engine).toBe("embedded");
    expect(counts).toMatchObject({ answers: 20, okFirst: 20, fallback: 0 });
    expect(seconds).toBeGreaterThanOrEqual(0);
  });

  it.each([[1, 1], [3, 3], [undefined, 4], [100, 20]])("with concurrency %s has at most %i in flight", async (concurrency, most) => {
    let busy = 0, peak = 0;
    await generateAll(prompts, around(async () => {
      peak = Math.max(peak, ++busy);
      await tick(1);
      busy--;
    }), concurrency === undefined ? {} : { concurrency });
    expect(peak).toBe(most);
  });

  it("does not journal an answer that ends after the abort, even from an engine that ignores it", async () => {
    const controller = new AbortController();
    const journaled: number[] = [];
    const inner = embedded();
    const deaf: Generator = {
      name: "deaf", concurrency: 2, describe: () => inner.describe(), close: () => inner.close(),
      async generate(prompt) {
        if (prompt === prompts[4]) controller.abort(new Error("forget arrived"));
        return inner.generate(prompt);
      },
    };
    await expect(generateAll(prompts, deaf, { signal: controller.signal, onCompletion: (_, index) => { journaled.push(index); } })).rejects.toThrow("forget arrived");
    expect(journaled).not.toContain(4);
  });

  it("adds counts up", async () => {
    const { counts, completions } = await generateAll(prompts, embedded());
    const sum = emptyCounts();
    for (const completion of completions) addCounts(sum, completion.counts);
    expect(counts).toEqual(sum);
    expect(addCounts(emptyCounts(), { ties: 2 }).ties).toBe(2);
  });

  it("shows all prompts to the engine and asks who it is before the first answer", async () => {
    const order: string[] = [];
    const generator = around(() => { order.push("answer"); }, {
      prepare: (all) => { order.push(`prepare ${all.length}`); },
      describe: async () => { order.push("describe"); return embedded().describe(); },
    });
    await generateAll(prompts.slice(0, 1), generator);
    expect(order).toEqual(["prepare 1", "describe", "answer"]);
    const missing = around(() => { throw new Error("never asked"); }, {
      describe: async () => { throw new GenerationFailure("GENERATION_MODEL_MISSING", "permanent", "none"); },
    });
    await expect(generateAll(prompts, missing, { onFailure: "backbone" })).rejects.toMatchObject({ code: "GENERATION_MODEL_MISSING" });
    expect((await generateAll([], embedded())).completions).toEqual([]);
  });

  it("throws the first failure, aborts the others and awaits them", async () => {
    let busy = 0, aborted = 0, started = 0;
    const reason = new Error("broken");
    const run = generateAll(prompts, around(async (prompt, signal) => {
      busy++;
      started++;
      await new Promise<void>((resolve) => {
        if (prompt.user === 2) setTimeout(resolve, 5);
        signal.addEventListener("abort", () => { aborted++; setTimeout(resolve, 5); });
      });
      busy--;
      if (prompt.user === 2) throw reason;
      signal.throwIfAborted();
    }));
    await expect(run).rejects.toBe(reason);
    expect([busy, aborted, started]).toEqual([0, 4, 4]);
  });

  it("falls back to the backbone's order only where asked, flagged and counted", async () => {
    const generator = failing(5, "GENERATION_ANSWER", "quality");
    await expect(generateAll(prompts, generator)).rejects.toMatchObject({ code: "GENERATION_ANSWER" });
    const { completions, counts } = await generateAll(prompts, generator, { onFailure: "backbone" });
    expect(completions.map(({ status }) => status)).toEqual(prompts.map(({ user }) => (user === 5 ? "fallback" : "ok")));
    const fallen = completions[5]!;
    expect([...fallen.ranking]).toEqual(prompts[5]!.candidates.map(({ item }) => item));
    expect([...fallen.scores]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(fallen.counts).toMatchObject({ fallback: 1, answers: 3, missingKeys: 6, okFirst: 0 });
    expect(counts).toMatchObject({ fallback: 1, okFirst: 19, answers: 22 });
  });

  it.each<[FailureCode, FailureKind, boolean]>([
    ["GENERATION_ANSWER", "quality", true], ["GENERATION_TIMEOUT", "retryable", true], ["GENERATION_SERVER", "retryable", true],
    ["GENERATION_SERVER_LOST", "retryable", true], ["GENERATION_SERVER_DOWN", "retryable", false], ["GENERATION_MEMORY", "retryable", false],
    ["GENERATION_CONTEXT", "permanent", false], ["GENERATION_MODEL_MISSING", "permanent", false], ["GENERATION_CANCELLED", "cancelled", false],
  ])("%s (%s) may fall back: %s", async (code, kind, falls) => {
    const run = generateAll(prompts, failing(0, code, kind), { onFailure: "backbone" });
    if (falls) expect((await run).counts.fallback).toBe(1);
    else await expect(run).rejects.toMatchObject({ code });
  });

  it("never turns a bug into a fallback", async () => {
    const run = generateAll(prompts, around(() => { throw new TypeError("bug"); }), { onFailure: "backbone" });
    await expect(run).rejects.toThrow(TypeError);
  });

  it("ends with the error of onCompletion, which is awaited", async () => {
    let stored = 0;
    await generateAll(prompts, embedded(), { onCompletion: async () => { await tick(); stored++; } });
    expect(stored).toBe(20);
    await expect(generateAll(prompts, embedded(), { onCompletion: async () => { throw new Error("disk full"); } })).rejects.toThrow("disk full");
  });

  it("rejects with the reason of the caller's abort, before and during the run", async () => {
    const early = AbortSignal.abort(new Error("early"));
    await expect(generateAll(prompts, embedded(), { signal: early })).rejects.toThrow("early");
    const controller = new AbortController();
    const run = generateAll(prompts, around(async (_, signal) => {
      controller.abort(new Error("enough"));
      await tick(1);
      signal.throwIfAborted();
    }), { signal: controller.signal, onFailure: "backbone" });
    await expect(run).rejects.toThrow("enough");
  });

  it("reports progress up to the end, with repairs and fallbacks in the note", async () => {
    const calls: [number, number, string | undefined][] = [];
    await generateAll(prompts, failing(3, "GENERATION_ANSWER", "quality"), { onFailure: "backbone", onProgress: (...call) => calls.push(call as never) });
    expect(calls.at(-1)).toEqual([20, 20, "1 fallback", 0]);
  });

  it("counts answers of an earlier run as done, and leaves them out of the pace", async () => {
    const inner = embedded();
    const resumed = (keptUsers: number): Generator => ({
      ...around(() => undefined), concurrency: 1,
      async generate(prompt, options) {
        const isKept = prompt.user < keptUsers;
        if (!isKept) await tick(2);
        const completion = await inner.generate(prompt, options);
        const counts = { ...completion.counts, tokensIn: isKept ? 1e9 : 100, tokensOut: isKept ? 1e9 : 10 };
        return isKept ? { ...completion, counts, isKept } : { ...completion, counts };
      },
    });
    const last = async (generator: Generator): Promise<[number, number, string, number]> => {
      const calls: unknown[][] = [];
      await generateAll(prompts, generator, { onProgress: (...call) => calls.push(call) });
      return calls.at(-1) as [number, number, string, number];
    };
    const [done, total, note, kept] = await last(resumed(15));
    expect([done, total, kept]).toEqual([20, 20, 15]);
    expect(note).toMatch(/^15 kept, [\d,]+ tokens\/s read, [\d,]+ written$/);
    // 5 answers of 100 tokens in 10 ms or more: a billion a kept answer would show.
    expect(Number(/([\d,]+) tokens/.exec(note)![1]!.replaceAll(",", ""))).toBeLessThanOrEqual(51_000);
    expect(await last(resumed(20))).toEqual([20, 20, "20 kept", 20]);
  });

  it("says how many users a second where it is part of a longer run, and only there", async () => {
    const notes: [number, number, string | undefined][] = [];
    await generateAll(prompts, around(() => tick(1)), partOf({ onProgress: (...call) => notes.push(call as never) }, 2, 4, "generation"));
    expect(notes.at(-1)).toEqual([3, 4, expect.stringMatching(/^generation: 20 of 20 users, [\d.]+ users\/s$/), 0]);
    const plain: (string | undefined)[] = [];
    await generateAll(prompts, around(() => tick(1)), { onProgress: (_done, _total, note) => plain.push(note) });
    expect(plain.at(-1)).toBeUndefined();
  });

  it("reports every two seconds while requests are in flight and none is answered", async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => { release = resolve; });
    const calls: [number, number, string, number][] = [], start = performance.now(), times: number[] = [];
    const run = generateAll(prompts, around(({ user }) => (user === 0 ? undefined : held), { hostLoad: () => "gpu1 paused (0)" }), {
      concurrency: 3,
      onProgress: (...call) => {
        calls.push(call as never);
        times.push(performance.now() - start);
        if (calls.length === 3) release();
      },
    });
    await run;
    expect(calls[0]).toEqual([1, 20, "gpu1 paused (0)", 0]);
    expect(calls[1]).toEqual([1, 20, expect.stringMatching(/^3 in flight, no answer for (1\.\d|2\.\d) s, gpu1 paused \(0\)$/), 0]);
    expect(calls[2]![2]).toMatch(/^3 in flight, no answer for (3\.\d|4\.\d) s/);
    expect(times[2]! - times[1]!).toBeGreaterThan(1500);
    const after = calls.length;
    await tick(2100);
    expect(calls.length, "reports after the end").toBe(after);
  }, 20_000);

  it("ends with the error of onProgress, also while nothing is answered", async () => {
    const waiting = around((_, signal) => new Promise<void>((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    }));
    await expect(generateAll(prompts, waiting, { onProgress: () => { throw new Error("no terminal"); } })).rejects.toThrow("no terminal");
  }, 20_000);

  it("keeps the event loop alive while arithmetic answers", async () => {
    const [first] = prompts;
    const many = Array.from({ length: 8000 }, (): Prompt => first!);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await generateAll(many, embedded());
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
  });

  it("refuses options that make no sense", async () => {
    await expect(generateAll(prompts, embedded(), { concurrency: 0 })).rejects.toThrow(ConfigError);
    await expect(generateAll(prompts, embedded(), { concurrency: 1.5 })).rejects.toThrow(/CONFIG_CONCURRENCY/);
    await expect(generateAll(prompts, embedded(), { onFailure: "hide" as never })).rejects.toThrow(/CONFIG_ON_FAILURE/);
  });
});
