import { beforeAll, describe, expect, it } from "vitest";
import fc from "fast-check";
import type { Prompt } from "../../../src/core/prompt.js";
import { positionTau } from "../../../src/generation/bias.js";
import { blend } from "../../../src/generation/blend.js";
import { combineScores, passOrders } from "../../../src/generation/combine.js";
import { embedded } from "../../../src/generation/embedded.js";
import { expectedScores } from "../../../src/generation/expected.js";
import { type GenerationFailure } from "../../../src/generation/failures.js";
import { speak, type SpeakOptions } from "../../../src/generation/modes.js";
import type { Alternative, Reply, Session, Token } from "../../../src/generation/speaker.js";
import { makePrompts } from "../../fixtures/prompts.js";

let prompt: Prompt;
beforeAll(async () => {
  [prompt] = await makePrompts({ candidateCount: 12 }) as [Prompt];
});

const options: SpeakOptions = { mode: "listwise", permutations: 1, combine: "mean", seed: 7, temperature: 0, qualityRetries: 2 };
const reply = (text: string, tokens?: Token[]): Reply => ({ text, doneReason: "stop", tokensIn: 10, tokensOut: 5, transportRetries: 0, ...(tokens ? { tokens } : {}) });
/** A model that gives each candidate the score that `scoreOf` says, by key and by its place in the prompt. */
function model(scoreOf: (key: string, place: number) => number, seen: Prompt[] = []): Session {
  return {
    answer: async (asked) => {
      seen.push(asked);
      return reply(JSON.stringify(Object.fromEntries(asked.candidates.map(({ key }, place) => [key, scoreOf(key, place)]))));
    },
    read: async (asked) => ({ alternatives: asked.candidates.map(({ key }, place) => digits(scoreOf(key, place))), tokensIn: 1, tokensOut: 1, transportRetries: 0 }),
    room: () => 100,
  };
}
const digits = (sharp: number): Alternative[] => {
  const weights = Array.from({ length: 9 }, (_, at) => Math.exp(-Math.abs(at + 1 - sharp)));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight, at) => ({ text: String(at + 1), logprob: Math.log(weight / sum) }));
};
const byKey = (key: string): number => 1 + (Number(key.slice(1)) * 37) % 100;

describe("passes over several orders", () => {
  it("begin with the prompt's own order, shuffle the others by seed and user, and need nobody else", () => {
    const orders = passOrders(prompt.candidates, 4, 3, 5);
    expect(orders[0]).toEqual(prompt.candidates.map((_, at) => at));
    for (const order of orders) expect([...order].sort((a, b) => a - b)).toEqual(orders[0]);
    expect(new Set(orders.map(String)).size).toBe(4);
    expect(passOrders(prompt.candidates, 2, 3, 5)).toEqual(orders.slice(0, 2));
    expect(passOrders(prompt.candidates, 2, 3, 6)[1]).not.toEqual(orders[1]);
  });

  it("send every order as a prompt of its own, with the same candidates, evidence and schema keys", async () => {
    const seen: Prompt[] = [];
    await speak(prompt, model(byKey, seen), { ...options, permutations: 3 });
    expect(new Set(seen.map(({ promptHash }) => promptHash)).size).toBe(3);
    expect(seen[0]).toBe(prompt);
    for (const asked of seen) {
      expect(new Set(asked.candidates)).toEqual(new Set(prompt.candidates));
      expect(asked.messages[0]).toEqual(prompt.messages[0]);
      const lines = asked.messages[1]!.content.split("\n"), first = lines.indexOf("# Candidate list") + 1;
      expect(lines.slice(first, first + 12)).toEqual(asked.candidates.map(({ key, film }) => `${key}: ${film}`));
    }
  });

  it("change nothing for a model that reads titles, and level out one that reads places", async () => {
    for (const combine of ["mean", "borda"] as const) {
      const [one, many] = [await speak(prompt, model(byKey), options), await speak(prompt, model(byKey), { ...options, permutations: 5, combine })];
      expect([...many.ranking]).toEqual([...one.ranking]);
      if (combine === "mean") expect([...many.scores]).toEqual([...one.scores]);
    }
    const follower = await speak(prompt, model((_key, place) => 90 - place), { ...options, permutations: 40 });
    expect(follower.positionTau).toBe(1);
    const spread = Math.max(...follower.scores) - Math.min(...follower.scores);
    expect(spread).toBeLessThan(6);
    expect(follower.counts.answers).toBe(40);
  });

  it("go on without a pass that has no answer, and say so", async () => {
    let calls = 0;
    const flaky = model(byKey);
    const session: Session = { ...flaky, answer: async (...asked) => (++calls <= 3 ? reply("no idea") : flaky.answer(...asked)) };
    const spoken = await speak(prompt, session, { ...options, permutations: 2 });
    expect(spoken.status).toBe("repaired");
    expect(spoken.counts).toMatchObject({ answers: 4, qualityRetries: 2, okFirst: 1, repaired: 1 });
    const dropping: Session = { ...flaky, answer: async (...asked) => {
      const { text, ...rest } = await flaky.answer(...asked), scores = JSON.parse(text) as Record<string, number>;
      delete scores[Object.keys(scores)[0]!];
      return { text: JSON.stringify(scores), ...rest };
    } };
    // Of users, not of passes.
    expect(await speak(prompt, dropping, { ...options, permutations: 3 })).toMatchObject({ status: "repaired", counts: { repaired: 1, answers: 9 } });
    const mute: Session = { ...flaky, answer: async () => reply("no idea") };
    const failure = await speak(prompt, mute, { ...options, permutations: 2 }).then(() => undefined, (error: unknown) => error as GenerationFailure);
    expect(failure).toMatchObject({ code: "GENERATION_ANSWER", counts: { answers: 6, qualityRetries: 4 } });
  });
});

describe("combineScores", () => {
  it("counts with Borda how many are placed below, ties half", () => {
    expect([...combineScores([Float64Array.of(5, 1, 5), Float64Array.of(3, 2, 1)], "borda")]).toEqual([(1.5 + 2) / 2, (0 + 1) / 2, (1.5 + 0) / 2]);
    expect([...combineScores([Float64Array.of(4, 2), Float64Array.of(0, 4)], "mean")]).toEqual([2, 3]);
  });
});

describe("positionTau", () => {
  it("is 1 along the prompt, -1 against it, and undefined where nothing is told apart", () => {
    expect(positionTau([9, 5, 2])).toBe(1);
    expect(positionTau([2, 5, 9])).toBe(-1);
    expect(positionTau([5, 5, 5])).toBeUndefined();
    expect(positionTau([5])).toBeUndefined();
  });

  it("changes its sign with the order", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 2, maxLength: 20 }), (scores) => {
      const tau = positionTau(scores), back = positionTau([...scores].reverse());
      if (tau === undefined) return back === undefined;
      return Math.abs(tau + back!) < 1e-12 && Math.abs(tau) <= 1;
    }));
  });
});

describe("expectedScores", () => {
  const candidates = (): Prompt["candidates"] => prompt.candidates.slice(0, 3);
  const token = (text: string, alternatives: Alternative[] = [{ text, logprob: 0 }]): Token => ({ text, alternatives });

  it("is the mean of the visible scores, whatever else the model might have said", () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 100 }), fc.double({ min: 0.01, max: 1, noNaN: true })), { minLength: 2, maxLength: 15 }), (pairs) => {
      const sum = pairs.reduce((all, [, weight]) => all + weight, 0) / 0.9;
      const list: Alternative[] = [...pairs.map(([score, weight]) => ({ text: String(score), logprob: Math.log(weight / sum) })), { text: "x", logprob: Math.log(0.1) }];
      const [first] = candidates();
      const { scores, lowMass, splitScore } = expectedScores([token('{"'), token(first!.key), token('":'), token("7", list), token("}")], Float64Array.of(7), [first!]);
      const mean = pairs.reduce((all, [score, weight]) => all + score * weight, 0) / pairs.reduce((all, [, weight]) => all + weight, 0);
      return lowMass === 0 && splitScore === 0 && Math.abs(scores[0]! - mean) < 1e-9;
    }));
  });

  it("keeps the written number, and counts it, where it cannot read the distribution", () => {
    const [a, b, c] = candidates();
    const tokens = [
      token(`{"${a!.key}":`), token(" 85", [{ text: " 85", logprob: Math.log(0.3) }, { text: "no", logprob: Math.log(0.7) }]),
      token(`, "${b!.key}"`), token(": "), token("4"), token("2"), token(","), token(` "${c!.key}":`), token("61,", [{ text: "61,", logprob: Math.log(0.6) }]), token("}"),
    ];
    const { scores, lowMass, splitScore } = expectedScores(tokens, Float64Array.of(85, 42, 61), [a!, b!, c!]);
    expect([...scores]).toEqual([85, 42, expect.closeTo(61, 9)]);
    expect({ lowMass, splitScore }).toEqual({ lowMass: 1, splitScore: 1 });
    expect(expectedScores([], Float64Array.of(1, 2), [a!, b!])).toMatchObject({ lowMass: 2, splitScore: 0 });
  });

  it("is what mode expected returns, and counts beside the ladder's own counters", async () => {
    const session: Session = {
      ...model(byKey),
      answer: async (asked) => {
        const tokens = asked.candidates.flatMap(({ key }, at) => [token(`${at === 0 ? "{" : ","}"${key}":`), token("50", [{ text: "50", logprob: Math.log(0.5) }, { text: "60", logprob: Math.log(0.5) }])]);
        return reply(`${tokens.map(({ text }) => text).join("")}}`, tokens);
      },
    };
    const spoken = await speak(prompt, session, { ...options, mode: "expected" });
    expect([...spoken.scores]).toEqual(prompt.candidates.map(() => expect.closeTo(55, 9)));
    expect(spoken.status).toBe("ok");
    const silent = await speak(prompt, model(byKey), { ...options, mode: "expected" });
    expect(silent.counts.lowMass).toBe(prompt.candidates.length);
    expect([...silent.scores]).toEqual(prompt.candidates.map(({ key }) => byKey(key)));
  });
});

describe("readout", () => {
  it("orders candidates by the expected digit, on the scale of the other modes", async () => {
    const spoken = await speak(prompt, model((_key, place) => 1 + (place * 5) % 9), { ...options, mode: "readout" });
    expect(spoken.status).toBe("ok");
    for (const score of spoken.scores) expect(score >= 1 && score <= 100).toBe(true);
    const order = prompt.candidates.map((_, place) => place).sort((a, b) => ((b * 5) % 9) - ((a * 5) % 9) || a - b);
    expect([...spoken.ranking]).toEqual(order.map((place) => prompt.candidates[place]!.item));
  });

  it("repairs what has no digit, and fails when nothing has", async () => {
    const some: Session = { ...model(byKey), read: async (asked) => ({ alternatives: asked.candidates.map((_, at) => (at === 1 ? [{ text: "yes", logprob: 0 }] : digits(5))), tokensIn: 1, tokensOut: 1, transportRetries: 0 }) };
    const spoken = await speak(prompt, some, { ...options, mode: "readout" });
    expect(spoken).toMatchObject({ status: "repaired", counts: { missingKeys: 1, lowMass: 1, repaired: 1 } });
    expect(spoken.ranking.at(-1)).toBe(prompt.candidates[1]!.item);
    const none: Session = { ...model(byKey), read: async (asked) => ({ alternatives: asked.candidates.map(() => []), tokensIn: 1, tokensOut: 1, transportRetries: 0 }) };
    await expect(speak(prompt, none, { ...options, mode: "readout" })).rejects.toMatchObject({ code: "GENERATION_ANSWER" });
  });
});

describe("blend", () => {
  it("is the answer at 0, the backbone's order at 1, and blind to the scale of the scores", async () => {
    const spoken = await embedded().generate(prompt);
    const { candidates } = prompt;
    expect(blend(spoken, candidates, 0)).toBe(spoken);
    expect([...blend(spoken, candidates, 1).ranking]).toEqual(candidates.map(({ item }) => item));
    const scaled = { ...spoken, scores: spoken.scores.map((score) => 3 * score - 1000) };
    for (const alpha of [0.2, 0.5, 0.9]) expect([...blend(scaled, candidates, alpha).ranking]).toEqual([...blend(spoken, candidates, alpha).ranking]);
    expect(() => blend(spoken, candidates, 1.5)).toThrow(/from 0/);
  });

  it("leaves a list that fell back to the backbone as it is", async () => {
    const fallen = { ...(await embedded().generate(prompt)), status: "fallback" as const, scores: new Float64Array(prompt.candidates.length) };
    expect(blend(fallen, prompt.candidates, 0.5)).toBe(fallen);
  });
});
