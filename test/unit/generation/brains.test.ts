import { Ollama } from "ollama";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Prompt } from "../../../src/core/prompt.js";
import { ollama } from "../../../src/generation/ollama/ollama.js";
import type { TokenLogprobs } from "../../fixtures/brains.js";
import { OllamaServer } from "../../fixtures/ollama-server.js";
import { makePrompts } from "../../fixtures/prompts.js";

let server: OllamaServer, prompt: Prompt;
beforeAll(async () => {
  server = await new OllamaServer().start();
  prompt = (await makePrompts({ candidateCount: 20 }))[0]!;
});
afterAll(() => server.stop());

describe("the stand-in server's probabilities", () => {
  it("lie around each score, sum to less than one, and stand for the whole text", async () => {
    const format = { type: "object", properties: { m1: { type: "integer", minimum: 1, maximum: 100 }, m2: { type: "integer", minimum: 100, maximum: 100 } } };
    const response = await fetch(`${server.url}/api/chat`, {
      method: "POST", body: JSON.stringify({ model: "toy", stream: false, messages: [{ role: "user", content: "x" }], format, logprobs: true, top_logprobs: 20 }),
    });
    const { message, logprobs } = (await response.json()) as { message: { content: string }; logprobs: TokenLogprobs[] };
    expect(logprobs.map(({ token }) => token).join("")).toBe(message.content);
    const { m1 } = JSON.parse(message.content) as { m1: number };
    for (const { token, logprob, top_logprobs } of logprobs) {
      const sum = top_logprobs.reduce((total, one) => total + Math.exp(one.logprob), 0);
      expect(sum).toBeGreaterThan(0.5);
      expect(sum).toBeLessThan(1);
      expect(top_logprobs[0]).toEqual({ token, logprob });
    }
    expect(logprobs.map(({ token }) => token)).toEqual(expect.arrayContaining([String(m1), "100"]));
  });

  it("stand beside vectors of length 1, equal for equal texts, through the real client", async () => {
    const client = new Ollama({ host: server.url });
    const { embeddings } = await client.embed({ model: "toy", input: ["a film", "another film", "a film"] });
    for (const vector of embeddings) expect(Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))).toBeCloseTo(1, 9);
    expect(embeddings[0]).toEqual(embeddings[2]);
    expect(embeddings[0]).not.toEqual(embeddings[1]);
    await expect(client.embed({ model: "other", input: "x" })).rejects.toMatchObject({ status_code: 404 });
    await expect(client.embed({ model: "toy", input: 7 as never })).rejects.toMatchObject({ status_code: 400 });
  });

  it("give every mode real values", async () => {
    const make = (mode: "listwise" | "expected" | "readout"): ReturnType<typeof ollama> => ollama({ model: "toy", host: server.url, mode });
    const [written, expected, read] = [await make("listwise").generate(prompt), await make("expected").generate(prompt), await make("readout").generate(prompt)];
    expect(expected.reply).toBe(written.reply);
    expect(expected.counts).toMatchObject({ lowMass: 0, splitScore: 0, okFirst: 1 });
    expected.scores.forEach((score, at) => {
      expect(Math.abs(score - written.scores[at]!)).toBeLessThan(2.5);
      expect(Number.isInteger(score)).toBe(false);
    });
    expect(read.counts).toMatchObject({ lowMass: 0, missingKeys: 0, okFirst: 1, tokensOut: 20 });
    for (const score of read.scores) expect(score >= 1 && score <= 100).toBe(true);
  });
});
