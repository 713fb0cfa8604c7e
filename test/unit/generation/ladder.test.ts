import { beforeAll, describe, expect, it } from "vitest";
import type { Prompt } from "../../../src/core/prompt.js";
import { GenerationError } from "../../../src/core/errors.js";
import { emptyCounts } from "../../../src/generation/counts.js";
import { GenerationFailure } from "../../../src/generation/failures.js";
import { climb, type Climb } from "../../../src/generation/ladder.js";
import type { Attempt, Reply } from "../../../src/generation/speaker.js";
import { makePrompts } from "../../fixtures/prompts.js";

let prompt: Prompt;
beforeAll(async () => {
  [prompt] = (await makePrompts({ candidateCount: 4 })) as [Prompt];
});

const answerOf = (scores: (number | undefined)[]): string =>
  `{${scores.flatMap((score, at) => (score === undefined ? [] : [`"${prompt.candidates[at]!.key}":${score}`])).join(",")}}`;
const full = (): string => answerOf([10, 40, 30, 40]);

/** Answers in turn; keeps what was asked. */
async function run(replies: (Partial<Reply> & { text: string } | Error)[], options: { temperature?: number; qualityRetries?: number; seed?: number } = {}): Promise<{ result: Climb; asked: Attempt[] }> {
  const asked: Attempt[] = [];
  const result = await climb(prompt, (attempt) => {
    asked.push(attempt);
    const reply = replies[asked.length - 1]!;
    return reply instanceof Error ? Promise.reject(reply) : Promise.resolve({ doneReason: "stop", tokensIn: 100, tokensOut: 20, transportRetries: 0, ...reply });
  }, { seed: 7, temperature: 0, qualityRetries: 2, room: ({ tokensIn }) => 5000 - tokensIn, ...options });
  return { result, asked };
}
const items = (): number[] => prompt.candidates.map(({ item }) => item);

describe("the validation ladder", () => {
  it("takes a good first answer as it is", async () => {
    const { result, asked } = await run([{ text: full(), transportRetries: 2 }]);
    expect(asked).toEqual([{ number: 0, temperature: 0, seed: 7, answerLimit: 900 }]);
    expect(result.status).toBe("ok");
    expect([...result.scores]).toEqual([10, 40, 30, 40]);
    const [a, b, c, d] = items();
    expect([...result.ranking]).toEqual([b, d, c, a]);
    expect(result.counts).toEqual({ ...emptyCounts(), answers: 1, okFirst: 1, ties: 1, tokensIn: 100, tokensOut: 20, transportRetries: 2 });
    expect(result.reply).toBe(full());
  });

  it("asks again with another seed and a temperature above 0", async () => {
    const { result, asked } = await run([{ text: "no" }, { text: answerOf([1, 2, 3]) }, { text: full() }], { seed: 0xffffffff });
    expect(asked.map(({ number, temperature, seed }) => [number, temperature, seed])).toEqual([[0, 0, 0xffffffff], [1, 0.6, 0], [2, 0.6, 1]]);
    expect(result.status).toBe("ok");
    expect(result.counts).toMatchObject({ answers: 3, okFirst: 0, qualityRetries: 2, missingKeys: 5, repaired: 0, tokensIn: 300 });
  });

  it("gives a cut answer all the room there is", async () => {
    const { result, asked } = await run([{ text: full().slice(0, 12), doneReason: "length" }, { text: full() }]);
    expect(asked.map(({ answerLimit }) => answerLimit)).toEqual([900, 4900]);
    expect(result.counts).toMatchObject({ lengthStops: 1, qualityRetries: 1 });
    expect(result.status).toBe("ok");
  });

  it("does not trust an answer that did not stop by itself, even a whole one", async () => {
    const { result } = await run([{ text: full(), doneReason: "length" }, { text: full(), doneReason: "unload" }, { text: full(), doneReason: "" }]);
    expect(result.status).toBe("repaired");
    expect([...result.scores]).toEqual([10, 40, 30, 40]);
    expect(result.counts).toMatchObject({ lengthStops: 1, repaired: 1, missingKeys: 0 });
  });

  it("repairs the fullest attempt: missing candidates stand last, in backbone order", async () => {
    const { result } = await run([{ text: answerOf([undefined, 5]) }, { text: answerOf([undefined, 5, undefined, 60]) }, { text: answerOf([70]) }]);
    const [a, b, c, d] = items();
    expect(result.status).toBe("repaired");
    expect([...result.ranking]).toEqual([d, b, a, c]);
    expect([...result.scores]).toEqual([0, 5, 0, 60]);
    expect(result.counts).toMatchObject({ answers: 3, qualityRetries: 2, repaired: 1, okFirst: 0, missingKeys: 3 + 2 + 3 });
    expect(result.reply).toBe(answerOf([undefined, 5, undefined, 60]));
  });

  it("asks again after a duplicate key, but not because of an unknown one", async () => {
    const twice = `${full().slice(0, -1)},"${prompt.candidates[0]!.key}":99}`;
    const { result } = await run([{ text: twice }, { text: `${full().slice(0, -1)},"m999999":5}` }]);
    expect(result.status).toBe("ok");
    expect(result.counts).toMatchObject({ duplicateKeys: 1, unknownKeys: 1, qualityRetries: 1 });
    const { result: kept } = await run([{ text: twice }], { qualityRetries: 0 });
    expect(kept.status).toBe("repaired");
    expect(kept.scores[0]).toBe(10);
  });

  it("fails with its counts when no answer names a candidate", async () => {
    const failure = await run([{ text: "" }, { text: "{}" }, { text: '{"m0":1}' }]).then(() => undefined, (error: unknown) => error);
    expect(failure).toBeInstanceOf(GenerationError);
    expect(failure).toMatchObject({ code: "GENERATION_ANSWER", kind: "quality", counts: { answers: 3, qualityRetries: 2, missingKeys: 12, unknownKeys: 1 } });
    expect(String(failure)).toContain("user 0");
    expect(String(failure)).toContain("--on-failure backbone");
  });

  it("passes failures of the engine on, with what the earlier answers cost", async () => {
    const lost = new GenerationFailure("GENERATION_SERVER_LOST", "retryable", "gone");
    await expect(run([{ text: "no" }, lost])).rejects.toBe(lost);
    expect(lost.counts).toMatchObject({ answers: 1, qualityRetries: 1, tokensIn: 100 });
    await expect(run([new RangeError("bug")])).rejects.toThrow(RangeError);
  });
});
