import { beforeAll, describe, expect, it } from "vitest";
import type { Prompt } from "../../../src/core/prompt.js";
import { embedded } from "../../../src/generation/embedded.js";
import type { Completion, Generator } from "../../../src/generation/generator.js";
import { generateAll, generateEach } from "../../../src/generation/schedule.js";
import { makePrompts } from "../../fixtures/prompts.js";

let prompts: Prompt[];
beforeAll(async () => {
  prompts = await makePrompts({ userCount: 20, candidateCount: 6 });
});
const tick = (milliseconds = 0): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** embedded() that takes its time. */
function slowly(concurrency: number, before: (prompt: Prompt) => void = () => undefined): Generator {
  const inner = embedded();
  return {
    name: "slow", concurrency, describe: () => inner.describe(), close: () => inner.close(),
    async generate(prompt, options) {
      await tick((prompt.user * 7) % 5);
      before(prompt);
      return inner.generate(prompt, options);
    },
  };
}

/** The prompts as a stream that reports what was taken, and whether it was cleaned up. */
function streamed(fails = Infinity) {
  const state = { taken: 0, overlaps: 0, closed: false };
  let inside = false;
  const make = async function* (): AsyncGenerator<Prompt> {
    try {
      for (const prompt of prompts) {
        if (inside) state.overlaps++;
        inside = true;
        await tick();
        inside = false;
        if (state.taken === fails) throw new Error("the disk is gone");
        state.taken++;
        yield prompt;
      }
    } finally {
      state.closed = true;
    }
  };
  return { state, prompts: make() };
}

describe("generateEach", () => {
  it("gives what generateAll gives, without keeping it", async () => {
    const all = await generateAll(prompts, embedded());
    for (const source of [prompts, new Set(prompts), streamed().prompts]) {
      const found = new Array<Completion>(20);
      const { counts, tieRate, engine, ...rest } = await generateEach(source, slowly(4), { onCompletion: (completion, index) => { found[index] = completion; } });
      expect(found.map(({ user, ranking }) => [user, [...ranking]])).toEqual(all.completions.map(({ user, ranking }) => [user, [...ranking]]));
      expect([counts, tieRate, engine]).toEqual([all.counts, all.tieRate, all.engine]);
      expect(rest.positionTau).toBeCloseTo(all.positionTau!, 12);
      expect(rest).not.toHaveProperty("completions");
    }
  });

  it("takes a prompt when there is a place for it and not before, one at a time", async () => {
    const { state, prompts: stream } = streamed();
    let done = 0, most = 0;
    await generateEach(stream, slowly(3, () => { most = Math.max(most, state.taken - done); }), { onCompletion: () => { done++; } });
    expect([done, state.taken, state.overlaps, state.closed]).toEqual([20, 20, 0, true]);
    expect(most).toBeLessThanOrEqual(3);
    expect(most).toBeGreaterThan(1);
  });

  it("ends with the failure of the stream, and cleans the stream up after its own", async () => {
    const broken = streamed(5);
    await expect(generateEach(broken.prompts, slowly(3))).rejects.toThrow("the disk is gone");
    expect(broken.state.taken).toBe(5);
    const left = streamed();
    await expect(generateEach(left.prompts, slowly(2, ({ user }) => { if (user === 3) throw new TypeError("bug"); }))).rejects.toThrow("bug");
    expect(left.state.closed).toBe(true);
    expect(left.state.taken).toBeLessThan(10);
  });

  it("says in its progress that the total is unknown", async () => {
    const calls: number[][] = [];
    await generateEach(streamed().prompts, embedded(), { onProgress: (done, total) => calls.push([done, total]) });
    expect(calls.length).toBeGreaterThan(0);
    expect(calls.every(([, total]) => total === 0)).toBe(true);
  });
});

it("generateAll's sums do not depend on the order of arrival, to the last bit", async () => {
  const many = await makePrompts({ userCount: 60, candidateCount: 9, historyCount: 7 });
  const varied = many.map((prompt, at) => ({ ...prompt, history: prompt.history.slice(at % 5), candidates: prompt.candidates.slice(at % 4) }));
  const one = await generateAll(varied, embedded()), other = await generateAll(varied, slowly(7));
  expect(other.positionTau).toBe(one.positionTau);
});
