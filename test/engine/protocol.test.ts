import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Prompt } from "../../src/core/prompt.js";
import { LlamaEngine } from "../../src/generation/llamacpp/engine.js";
import { ollama, type OllamaOptions } from "../../src/generation/ollama/ollama.js";
import { generateAll } from "../../src/generation/schedule.js";
import { EngineBrain, schemaGrammar } from "../fixtures/engine-brain.js";
import { OllamaServer, type ServerOptions } from "../fixtures/ollama-server.js";
import { makePrompts } from "../fixtures/prompts.js";
import { engineFolder, engineMissing, rawExpectation, titled, Toys } from "./engine.js";

/** The real client over HTTP to a server that runs a real engine. */
const toys = new Toys();
let brain: EngineBrain, engine: LlamaEngine, server: OllamaServer, prompts: Prompt[], prompt: Prompt;
const servers: OllamaServer[] = [];
const serve = async (options: ServerOptions = {}): Promise<OllamaServer> => {
  const one = await new OllamaServer({ brain, slots: 2, ...options }).start();
  servers.push(one);
  return one;
};
const make = (options: Partial<OllamaOptions> = {}): ReturnType<typeof ollama> => ollama({ model: "toy", host: server.url, backoffSeconds: 0.001, ...options });
const post = async (path: string, body: object): Promise<{ status: number; answer: Record<string, unknown> }> => {
  const response = await fetch(`${server.url}${path}`, { method: "POST", body: JSON.stringify({ model: "toy", stream: false, ...body }) });
  return { status: response.status, answer: (await response.json()) as Record<string, unknown> };
};
const failureOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => { throw new Error("nothing failed"); }, (error: unknown) => error);

describe.skipIf(engineMissing() !== undefined)(titled("the Ollama protocol with a real engine"), () => {
  beforeAll(async () => {
    prompts = await makePrompts({ userCount: 2, candidateCount: 6, historyCount: 4 });
    prompt = prompts[0]!;
    brain = await EngineBrain.open(toys.file("scores"), { from: engineFolder, slots: 2 });
    engine = await LlamaEngine.load({ modelPath: toys.file("scores"), from: engineFolder, lora: [], gpu: false, threads: 1, concurrency: 1, contextSize: undefined });
    server = await serve();
  });
  afterEach(async () => {
    for (const one of servers.splice(1)) await one.stop();
  });
  afterAll(async () => {
    for (const one of servers) await one.stop();
    await brain.close();
    await engine.close();
    toys.remove();
  });

  it.each(["listwise", "expected", "readout"] as const)("serves complete, valid answers: %s", async (mode) => {
    const { completions, counts } = await generateAll(prompts, make({ mode }));
    for (const { scores, ranking, status, engine: info } of completions) {
      expect(status).toBe("ok");
      expect([...ranking].sort((a, b) => a - b)).toEqual([...prompt.candidates.keys()]);
      for (const score of scores) expect(score >= 1 && score <= 100 && (mode !== "listwise" || Number.isInteger(score))).toBe(true);
      expect(info).toMatchObject({ engine: "test-server", isLanguageModel: false, digest: brain.digest });
    }
    expect(counts).toMatchObject({ answers: 2, okFirst: 2, qualityRetries: 0, transportRetries: 0, repaired: 0, missingKeys: 0 });
    if (mode === "expected") expect(counts).toMatchObject({ lowMass: 0, splitScore: 0 });
  });

  it("gives vectors of the model's own size, of length 1 and equal for equal texts", async () => {
    const { answer } = await post("/api/embed", { input: ["a film", "another film", "a film"] });
    const [a, b, c] = answer["embeddings"] as number[][];
    for (const vector of [a!, b!]) {
      expect(vector.length).toBe(64);
      expect(Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))).toBeCloseTo(1, 5);
    }
    expect(c).toEqual(a);
    expect(b).not.toEqual(a);
  });

  it("counts the tokens of the model", async () => {
    const { counts } = await make({ mode: "listwise" }).generate(prompt);
    expect(counts.tokensIn).toBe(engine.tokens(prompt.messages).length);
    const { answer } = await post("/api/chat", { messages: prompt.messages, options: { num_predict: 7, temperature: 0 } });
    expect(answer).toMatchObject({ done: true, done_reason: "length", eval_count: 7, prompt_eval_count: counts.tokensIn });
  });

  it("reports probabilities whose expectation is that of the raw logits", async () => {
    const { scores } = await make({ mode: "expected" }).generate(prompt);
    const request = server.requests.findLast(({ path }) => path === "/api/chat")!.body;
    const { answer } = await post("/api/chat", { ...request, stream: false });
    const told = (answer["logprobs"] as { token: string; logprob: number; top_logprobs: { token: string; logprob: number }[] }[]);
    const content = (answer["message"] as { content: string }).content;
    expect(told.map(({ token }) => token).join("")).toBe(content);
    expect(told.length).toBe(answer["eval_count"]);
    for (const { top_logprobs } of told) {
      expect(top_logprobs).toHaveLength(20);
      expect(top_logprobs.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)).toBeLessThan(1 + 1e-4);
    }
    const before = engine.tokens(prompt.messages), said = told.map(({ token }) => token), own = said.flatMap((text) => engine.model.tokenize(text));
    for (const [at, { key }] of prompt.candidates.entries()) {
      const place = said.findIndex((_, end) => said.slice(0, end).join("").endsWith(`"${key}":`));
      const { mean, mass } = await rawExpectation(engine, [...before, ...own.slice(0, place)], engine.scoreTokens, 1);
      expect(mass).toBeGreaterThan(0.999);
      expect(Math.abs(scores[at]! - mean)).toBeLessThan(1e-3);
    }
  });

  it("repeats an answer for the same seed alone", async () => {
    const sampled = async (seed: number): Promise<string> => (await make({ mode: "listwise", temperature: 1, seed }).generate(prompt)).reply;
    const first = await sampled(1);
    expect(await sampled(1)).toBe(first);
    expect(await sampled(2)).not.toBe(first);
  });

  it("keeps the model's answer in its schema, whatever the schema", async () => {
    const format = {
      type: "object", properties: {
        list: { type: "array", items: { type: "integer", minimum: 3, maximum: 12 } }, word: { enum: ["yes", "no"] }, sure: { type: "boolean" }, one: { const: "a\"b" },
        deep: { type: "object", properties: { number: { type: "number" }, text: { type: "string" } } },
      },
    };
    expect(schemaGrammar(format)).toContain("root ::= ");
    let finished = 0;
    for (const seed of [1, 2, 3]) {
      const { answer } = await post("/api/generate", { prompt: "Answer.", format, options: { temperature: 1, seed, num_predict: 400 } });
      if (answer["done_reason"] !== "stop") continue;
      finished++;
      const value = JSON.parse(answer["response"] as string) as { list: number[]; word: string; sure: unknown; one: string; deep: { number: number; text: string } };
      expect(Object.keys(value)).toEqual(["list", "word", "sure", "one", "deep"]);
      expect(value.list.every((one) => Number.isInteger(one) && one >= 3 && one <= 12)).toBe(true);
      expect([["yes", "no"].includes(value.word), typeof value.sure, value.one, typeof value.deep.number, typeof value.deep.text]).toEqual([true, "boolean", "a\"b", "number", "string"]);
    }
    expect(finished).toBeGreaterThan(0);
  });

  it("refuses a prompt beyond num_ctx, or cuts it where that is allowed", async () => {
    const long = { ...prompt, tokenEstimate: 0, messages: [{ role: "user" as const, content: "A film. ".repeat(300) }] };
    const failure = await failureOf(make({ numCtx: 1024 }).generate(long));
    expect(failure).toMatchObject({ code: "GENERATION_CONTEXT", kind: "permanent" });
    expect(String(failure)).toContain(`${engine.tokens(long.messages).length} tokens`);
    const { answer } = await post("/api/chat", { messages: long.messages, options: { num_ctx: 1024, num_predict: 1 } });
    expect(answer["prompt_eval_count"]).toBe(514);
  });

  it("loads, lists and unloads", async () => {
    expect((await post("/api/generate", { prompt: "" })).answer).toMatchObject({ done: true, done_reason: "load" });
    const ps = async (): Promise<unknown[]> => ((await (await fetch(`${server.url}/api/ps`)).json()) as { models: unknown[] }).models;
    expect(await ps()).toMatchObject([{ name: "toy:latest", digest: brain.digest }]);
    expect((await post("/api/generate", { prompt: "", keep_alive: 0 })).answer).toMatchObject({ done_reason: "unload" });
    expect(await ps()).toEqual([]);
  });

  it("frees the slot within a second of an abort in mid-stream", async () => {
    const slow = await serve({ slots: 1, pieceDelayMs: 5 });
    const [long] = await makePrompts({ candidateCount: 50 });
    const controller = new AbortController();
    const running = failureOf(make({ host: slow.url }).generate(long!, { signal: controller.signal }));
    await vi.waitFor(() => expect(slow.busy).toBe(1), 10_000);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const start = performance.now();
    controller.abort(new Error("enough"));
    expect(String(await running)).toContain("enough");
    await vi.waitFor(() => expect([slow.busy, slow.disconnects]).toEqual([0, 1]), 2000);
    expect(performance.now() - start).toBeLessThan(1000);
    expect((await make({ host: slow.url }).generate(prompt)).status).toBe("ok");
  });

  it("survives a broken stream and a full queue", async () => {
    const faulty = await serve({ slots: 1, queue: 0, faults: [{ path: "/api/chat", calls: [1], destroyAfterBytes: 500 }, { path: "/api/chat", calls: [2], cutStream: true }] });
    const { completions, counts } = await generateAll(prompts, make({ host: faulty.url, mode: "listwise", concurrency: 2, backoffSeconds: 0.3 }));
    expect(completions.map(({ status }) => status)).toEqual(["ok", "ok"]);
    expect(counts.transportRetries).toBeGreaterThanOrEqual(2);
  });
});
