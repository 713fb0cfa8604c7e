import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { ConfigError, GenerationError } from "../../../src/core/errors.js";
import type { Prompt } from "../../../src/core/prompt.js";
import { emptyCounts } from "../../../src/generation/counts.js";
import { ollama, type OllamaOptions } from "../../../src/generation/ollama/ollama.js";
import { generateAll } from "../../../src/generation/schedule.js";
import { type OllamaServer, type ScriptedFault, type ServerOptions } from "../../fixtures/ollama-server.js";
import { makePrompts } from "../../fixtures/prompts.js";
import { testServers } from "../../fixtures/servers.js";

const CHAT = "/api/chat";
const serve = testServers();
const chatFault = (fault: Omit<ScriptedFault, "path">): ServerOptions => ({ faults: [{ path: CHAT, ...fault }] });
const make = (server: OllamaServer, options: Partial<OllamaOptions> = {}): ReturnType<typeof ollama> =>
  ollama({ model: "toy", host: server.url, backoffSeconds: 0.001, ...options });
const failureOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => { throw new Error("nothing failed"); }, (error: unknown) => error);

let prompts: Prompt[];
let prompt: Prompt;
let few: Prompt[];
beforeAll(async () => {
  prompts = await makePrompts({ userCount: 12, candidateCount: 50, historyCount: 10 });
  prompt = prompts[0]!;
  few = await makePrompts({ userCount: 12, candidateCount: 8 });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

describe("ollama: the request and the answer", () => {
  it("sends the schema, the fixed options and truncate: false, and reads the stream", async () => {
    const server = await serve();
    const completion = await make(server, { seed: 11, mode: "listwise" }).generate(prompt);
    const { body } = server.requests.find(({ path }) => path === CHAT)!;
    expect(body).toEqual({
      model: "toy", stream: true, truncate: false, keep_alive: "30m", messages: prompt.messages,
      format: expect.objectContaining({ type: "object", required: prompt.candidates.map(({ key }) => key), additionalProperties: false }),
      options: { temperature: 0, seed: 11, num_ctx: 4096, num_predict: 900 },
    });
    expect(completion.status).toBe("ok");
    expect(completion.user).toBe(prompt.user);
    expect(completion.scores).toEqual(Float64Array.from(prompt.candidates, ({ key }) => (JSON.parse(completion.reply) as Record<string, number>)[key]!));
    expect([...completion.ranking].sort((a, b) => a - b)).toEqual(prompt.candidates.map(({ item }) => item));
    expect(completion.counts).toMatchObject({ answers: 1, okFirst: 1, qualityRetries: 0, transportRetries: 0, repaired: 0, fallback: 0 });
    expect(completion.counts.tokensIn).toBeGreaterThan(300);
    expect(completion.counts.tokensOut).toBeGreaterThan(50);
  });

  it("gives the same bytes for the same seed", async () => {
    const server = await serve();
    const [a, b] = [await make(server).generate(prompt), await make(server).generate(prompt)];
    expect([...a.scores]).toEqual([...b.scores]);
    const sampled = async (seed: number): Promise<string> => (await make(server, { temperature: 0.6, seed }).generate(prompt)).reply;
    expect(await sampled(1)).toBe(await sampled(1));
    expect(await sampled(1)).not.toBe(await sampled(2));
    expect((server.requests.at(-1)!.body["options"] as object)).toMatchObject({ temperature: 0.6, top_p: 0.9 });
  });

  it("uses one num_ctx for a whole run, from its longest prompt", async () => {
    const server = await serve();
    const long = { ...prompts[5]!, tokenEstimate: 7000 };
    await generateAll([prompts[0]!, long, prompts[1]!], make(server));
    const sizes = server.requests.filter(({ path }) => path === CHAT).map(({ body }) => (body["options"] as Record<string, number>)["num_ctx"]);
    expect(sizes).toEqual([8192, 8192, 8192]);
  });

  it("asks models that think not to", async () => {
    const server = await serve({ models: ["toy", "deep"], thinking: ["deep"] });
    await make(server, { model: "deep" }).generate(prompt);
    expect(server.requests.at(-1)!.body["think"]).toBe(false);
    await make(server).generate(prompt);
    expect(server.requests.at(-1)!.body).not.toHaveProperty("think");
  });

  it("reads OLLAMA_HOST, and sends credentials as a header without printing them", async () => {
    const server = await serve();
    vi.stubEnv("OLLAMA_HOST", server.url.replace("http://", "ann:s3cret@"));
    const info = await ollama({ model: "toy" }).describe();
    expect(info.host).toBe(server.url);
    expect(server.requests.at(-1)!.authorization).toBe(`Basic ${Buffer.from("ann:s3cret").toString("base64")}`);
    await server.stop();
    const failure = await failureOf(ollama({ model: "toy" }).describe());
    expect(`${String(failure)} ${JSON.stringify(info)}`).not.toContain("s3cret");
    expect(failure).toMatchObject({ code: "GENERATION_SERVER_DOWN" });
  });

  it("refuses options that make no sense", () => {
    for (const bad of [
      { model: "" }, { model: "a b" }, { temperature: -1 }, { temperature: NaN }, { timeoutSeconds: 0 }, { concurrency: 0 }, { concurrency: 1.5 },
      { transportRetries: 7 }, { qualityRetries: 3 }, { numCtx: 10 }, { host: "a:b:c" }, { seed: -1 },
    ]) {
      expect(() => ollama({ model: "toy", ...bad }), JSON.stringify(bad)).toThrow(ConfigError);
    }
  });
});

describe("ollama: who answers", () => {
  it("names model, digest and version, and never calls the stand-in a language model", async () => {
    const stand = await make(await serve()).describe();
    expect(stand).toMatchObject({ engine: "test-server", isLanguageModel: false, serverVersion: "0.0.0-cragru-test (unknown)" });
    const real = await make(await serve({ version: "0.13.5", models: ["toy:8b"] }), { model: "toy:8b" }).describe();
    expect(real).toMatchObject({ engine: "ollama", label: "toy:8b (ollama)", isLanguageModel: true, model: "toy:8b", serverVersion: "0.13.5", replayed: false });
    expect(real.digest).toMatch(/^[0-9a-f]{64}$/);
  });

  it.each([["0.4.9", /JSON schema/], ["0.5.0", /cuts prompts/], ["0.12.5", /cuts prompts/]])("refuses version %s", async (version, why) => {
    const server = await serve({ version });
    const failure = await failureOf(make(server).generate(prompt));
    expect(failure).toMatchObject({ code: "GENERATION_VERSION", kind: "permanent" });
    expect(String(failure)).toMatch(why);
    expect(server.callsOf(CHAT)).toBe(0);
  });

  it.each(["0.12.6", "0.12.6-rc0", "0.30.1", "1.0.0", "v2.1.0"])("accepts version %s", async (version) => {
    expect((await make(await serve({ version })).generate(prompt)).status).toBe("ok");
  });

  it("names the missing model and the command that fetches it, and fetches nothing", async () => {
    const server = await serve({ models: ["toy:latest"] });
    for (const model of ["llama3.1:8b", "toy:8b", "hf.co/a/toy"]) {
      const failure = await failureOf(make(server, { model }).describe());
      expect(failure).toBeInstanceOf(GenerationError);
      expect(failure).toMatchObject({ code: "GENERATION_MODEL_MISSING", kind: "permanent", hint: `Run: ollama pull ${model}` });
    }
    expect(server.callsOf("/api/pull")).toBe(0);
    expect(server.callsOf(CHAT)).toBe(0);
  });

  it("refuses servers that hold different models under one name", async () => {
    const [a, b] = [await serve({ build: "a" }), await serve({ build: "b" })];
    const failure = await failureOf(ollama({ model: "toy", hosts: [a.url, b.url] }).describe());
    expect(failure).toMatchObject({ code: "GENERATION_MIXED_MODELS", kind: "permanent" });
    const [c, d] = [await serve({ version: "0.20.0" }), await serve({ version: "0.13.0" })];
    expect((await ollama({ model: "toy", hosts: [c.url, d.url] }).describe()).serverVersion).toBe("0.13.0");
  });
});

describe("ollama: every failure has its class", () => {
  it.each<[string, Omit<ScriptedFault, "path">, string, string, RegExp]>([
    ["model missing", { status: 404, body: "model 'toy' not found" }, "GENERATION_MODEL_MISSING", "permanent", /ollama pull toy/],
    ["unknown path behind a gateway", { status: 404, body: "no such route" }, "GENERATION_REQUEST", "permanent", /404.*no such route/],
    ["invalid format, although 500", { status: 500, body: 'invalid format: "yaml"; expected "json" or a valid JSON Schema object' }, "GENERATION_REQUEST", "permanent", /invalid format/],
    ["bad schema", { status: 400, body: JSON.stringify({ error: { code: 400, message: "failed to parse grammar", type: "invalid_request_error" } }) }, "GENERATION_REQUEST", "permanent", /failed to parse grammar/],
    ["error as an object", { status: 400, body: { error: { message: "as an object", type: "x" } } }, "GENERATION_REQUEST", "permanent", /as an object/],
    ["no permission", { status: 401, body: "unauthorized" }, "GENERATION_REQUEST", "permanent", /user:password@/],
    ["context too small", { status: 400, body: JSON.stringify({ error: { message: "too long", type: "exceed_context_size_error", n_prompt_tokens: 6050, n_ctx: 2048 } }) }, "GENERATION_CONTEXT", "permanent", /6050 tokens.*2048/],
    ["not implemented", { status: 501, body: "this model does not support chat" }, "GENERATION_REQUEST", "permanent", /501/],
    ["pull without network", { status: 500, body: "pull model manifest: Get registry: dial tcp" }, "GENERATION_REQUEST", "permanent", /manifest/],
    ["queue full", { status: 503, body: "server busy, please try again.  maximum pending requests exceeded" }, "GENERATION_SERVER_BUSY", "retryable", /busy/],
    ["too many requests", { status: 429, body: "slow down" }, "GENERATION_SERVER_BUSY", "retryable", /429/],
    ["cancelled in the queue by someone else", { status: 499, body: "request cancelled" }, "GENERATION_SERVER_BUSY", "retryable", /499/],
    ["runner killed", { status: 500, body: "model runner has unexpectedly stopped: unexpected EOF" }, "GENERATION_SERVER_LOST", "retryable", /unexpected EOF/],
    ["out of memory", { status: 500, body: "cudaMalloc failed: out of memory" }, "GENERATION_MEMORY", "retryable", /smaller numCtx/],
    ["anything else from 500", { status: 500, body: "something odd" }, "GENERATION_SERVER", "retryable", /something odd/],
    ["a gateway's page", { html502: true }, "GENERATION_SERVER", "retryable", /502.*Bad Gateway/],
    ["an error line in the stream", { errorLine: "an error was encountered while running the model" }, "GENERATION_SERVER", "retryable", /encountered/],
    ["an error line about memory", { errorLine: "CUDA error: out of memory" }, "GENERATION_MEMORY", "retryable", /memory/],
    ["a stream without its end", { cutStream: true }, "GENERATION_SERVER_LOST", "retryable", /broke off/],
    ["a line that is no JSON", { garbageLine: true }, "GENERATION_SERVER_LOST", "retryable", /not JSON/],
    ["a connection that breaks before the answer", { destroyAfterBytes: 0 }, "GENERATION_SERVER_LOST", "retryable", /broke/],
    ["a connection that breaks in the answer", { destroyAfterBytes: 2000 }, "GENERATION_SERVER_LOST", "retryable", /broke/],
  ])("%s", async (_, fault, code, kind, text) => {
    const log = vi.spyOn(console, "log"), warn = vi.spyOn(console, "warn"), wrong = vi.spyOn(console, "error");
    const server = await serve(chatFault(fault));
    const failure = await failureOf(make(server, { transportRetries: 2 }).generate(prompt));
    expect(failure).toBeInstanceOf(GenerationError);
    expect(failure).toMatchObject({ code, kind });
    expect(String(failure)).toMatch(text);
    // Sent again when that can help; without memory once only.
    const repeats = kind === "permanent" ? 0 : code === "GENERATION_MEMORY" ? 1 : 2;
    expect(server.callsOf(CHAT)).toBe(1 + repeats);
    expect((failure as { counts: object }).counts).toMatchObject({ transportRetries: repeats });
    // Results stand on stdout: the client must not write there.
    for (const spy of [log, warn, wrong]) expect(spy).not.toHaveBeenCalled();
  });

  it.each<[string, Omit<ScriptedFault, "path">]>([
    ["a full queue", { status: 503, body: "server busy, please try again.  maximum pending requests exceeded" }],
    ["a cut stream", { cutStream: true }], ["a broken connection", { destroyAfterBytes: 500 }], ["a gateway's page", { html502: true }],
    ["a garbage line", { garbageLine: true }],
  ])("heals from %s and counts the repeats", async (_, fault) => {
    const server = await serve(chatFault({ ...fault, calls: [1, 2, 3] }));
    const completion = await make(server).generate(prompt);
    expect(completion.status).toBe("ok");
    expect(completion.counts).toMatchObject({ answers: 1, okFirst: 1, transportRetries: 3, qualityRetries: 0 });
    expect(server.callsOf(CHAT)).toBe(4);
  });

  it("gives up after six repeats", async () => {
    const server = await serve(chatFault({ status: 503, body: "busy" }));
    await failureOf(make(server).generate(prompt));
    expect(server.callsOf(CHAT)).toBe(7);
  });

  it("says that nobody is there", async () => {
    const server = await serve();
    await server.stop();
    const failure = await failureOf(make(server).generate(prompt));
    expect(failure).toMatchObject({ code: "GENERATION_SERVER_DOWN", kind: "retryable", endsRun: true });
    expect(String(failure)).toMatch(/ECONNREFUSED[^]*ollama serve/);
  });

  it("survives the death and return of the server", async () => {
    const server = await serve();
    const generator = make(server, { backoffSeconds: 0.2 });
    await generator.describe();
    await server.stop();
    const running = generator.generate(prompt);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await server.start();
    const { status, counts } = await running;
    expect(status).toBe("ok");
    expect(counts.transportRetries).toBeGreaterThan(0);
  });

  it("repeats after its own deadline, and never after the caller's abort", async () => {
    const server = await serve(chatFault({ delayMs: 600_000, calls: [1] }));
    const completion = await make(server, { timeoutSeconds: 1.5 }).generate(prompt);
    expect(completion.counts).toMatchObject({ transportRetries: 1, okFirst: 1 });
    const slow = await serve(chatFault({ delayMs: 600_000 }));
    expect(await failureOf(make(slow, { timeoutSeconds: 0.2, transportRetries: 0 }).generate(prompt))).toMatchObject({ code: "GENERATION_TIMEOUT", kind: "retryable" });

    const waiting = await serve(chatFault({ delayMs: 600_000 }));
    const controller = new AbortController();
    const running = failureOf(make(waiting).generate(prompt, { signal: controller.signal }));
    await vi.waitFor(() => expect(waiting.callsOf(CHAT)).toBe(1));
    const reason = new Error("the user pressed Ctrl-C");
    controller.abort(reason);
    expect(await running).toBe(reason);
    await vi.waitFor(() => expect(waiting.disconnects).toBe(1));
    expect(waiting.callsOf(CHAT)).toBe(1);
    await expect(make(waiting).describe({ signal: controller.signal })).rejects.toBe(reason);
  });

  it("stops waiting between repeats when aborted", async () => {
    const server = await serve(chatFault({ status: 503, body: "busy" }));
    const controller = new AbortController();
    const running = failureOf(make(server, { backoffSeconds: 10 }).generate(prompt, { signal: controller.signal }));
    await vi.waitFor(() => expect(server.callsOf(CHAT)).toBe(1));
    controller.abort();
    expect(await running).toBe(controller.signal.reason);
  });
});

describe("ollama: an abort in mid-stream", () => {
  it("reaches the server, which stops and frees its slot", async () => {
    const server = await serve({ pieceDelayMs: 20 });
    const controller = new AbortController();
    const running = failureOf(make(server).generate(prompt, { signal: controller.signal }));
    await vi.waitFor(() => expect(server.busy).toBe(1));
    await new Promise((resolve) => setTimeout(resolve, 100));
    controller.abort();
    expect(await running).toBe(controller.signal.reason);
    await vi.waitFor(() => expect([server.disconnects, server.busy]).toEqual([1, 0]));
  });

  it("leaves no listener on the caller's signal", async () => {
    const server = await serve(chatFault({ cutStream: true, calls: [1] }));
    const { signal } = new AbortController();
    const added = vi.spyOn(signal, "addEventListener"), removed = vi.spyOn(signal, "removeEventListener");
    await make(server).generate(prompt, { signal });
    expect(added.mock.calls.length).toBeGreaterThan(0);
    const own = (calls: unknown[][]): number => calls.filter(([type]) => type === "abort").length;
    expect(own(removed.mock.calls)).toBeGreaterThanOrEqual(own(added.mock.calls));
  });
});

describe("ollama: prompts are never cut", () => {
  it("throws before sending when the estimate does not fit", async () => {
    const server = await serve();
    const failure = await failureOf(make(server, { numCtx: 1500 }).generate(prompt));
    expect(failure).toMatchObject({ code: "GENERATION_CONTEXT", kind: "permanent" });
    expect(String(failure)).toMatch(/user 0.*numCtx 1500/);
    expect(server.requests).toEqual([]);
  });

  it("throws on the server's refusal when the estimate was too low", async () => {
    const server = await serve();
    const failure = await failureOf(make(server, { numCtx: 1024 }).generate({ ...prompt, tokenEstimate: 0, messages: [{ role: "user", content: "x ".repeat(5000) }] }));
    expect(failure).toMatchObject({ code: "GENERATION_CONTEXT", kind: "permanent" });
    expect(String(failure)).toMatch(/2955 tokens.*1024/);
    expect(server.callsOf(CHAT)).toBe(1);
  });

  it("throws when a server cut the prompt without a word", async () => {
    const server = await serve({ ignoresTruncate: true });
    const cut = { ...prompt, tokenEstimate: 0, messages: [{ role: "user" as const, content: "x ".repeat(5000) }] };
    expect(await failureOf(make(server, { numCtx: 1024 }).generate(cut))).toMatchObject({ code: "GENERATION_CONTEXT", kind: "permanent" });
    const half = await serve({ promptEvalCount: 30 });
    expect(await failureOf(make(half).generate(prompt))).toMatchObject({ code: "GENERATION_CONTEXT" });
    // Before 0.30.1 the count leaves out cached tokens and proves nothing.
    const cached = await serve({ promptEvalCount: 3, version: "0.20.0" });
    expect((await make(cached).generate(prompt)).status).toBe("ok");
  });
});

describe("ollama: answers of poor quality", () => {
  const keys = (): string[] => prompt.candidates.map(({ key }) => key);
  it.each<[string, Omit<ScriptedFault, "path">, object]>([
    ["prose", { answer: "I would rather not." }, { missingKeys: 50 }],
    ["nothing", { answer: "" }, { missingKeys: 50 }],
    ["an answer that ends too early", { truncateAnswerAt: 100 }, {}],
    ["a missing key", { dropKey: true }, { missingKeys: 1 }],
    ["a duplicate key", { duplicateKey: true }, { duplicateKeys: 1, missingKeys: 0 }],
  ])("asks again after %s", async (_, fault, counted) => {
    const server = await serve(chatFault({ ...fault, calls: [1] }));
    const { status, counts } = await make(server).generate(prompt);
    expect(status).toBe("ok");
    expect(counts).toMatchObject({ answers: 2, okFirst: 0, qualityRetries: 1, repaired: 0, ...counted });
    const sent = server.requests.filter(({ path }) => path === CHAT).map(({ body }) => body["options"] as Record<string, number>);
    expect(sent.map(({ temperature, seed }) => [temperature, seed])).toEqual([[0, 2020], [0.6, 2021]]);
    expect(new Set(sent.map(({ num_ctx }) => num_ctx)).size).toBe(1);
  });

  it("gives more room after the token limit, and enough from the start for long keys", async () => {
    const wordy = `{${keys().map((key) => `"${key}" ${" ".repeat(100)}: 5`).join(",")}}`;
    const cut = await serve(chatFault({ answer: wordy, calls: [1] }));
    const { counts, status } = await make(cut).generate(prompt);
    expect(status).toBe("ok");
    expect(counts).toMatchObject({ lengthStops: 1, qualityRetries: 1 });
    const limits = (server: OllamaServer): number[] =>
      server.requests.filter(({ path }) => path === CHAT).map(({ body }) => (body["options"] as Record<string, number>)["num_predict"]!);
    expect(limits(cut)[1]).toBeGreaterThan(limits(cut)[0]!);
    const server = await serve();
    const candidates = prompt.candidates.map((candidate) => ({ ...candidate, key: `m${"x".repeat(36)}${candidate.item}` }));
    expect((await make(server).generate({ ...prompt, candidates })).counts).toMatchObject({ lengthStops: 0, okFirst: 1 });
    expect(limits(server)[0]).toBeGreaterThan(1500);
  });

  it("stops a model that never ends", async () => {
    const server = await serve(chatFault({ flood: true, calls: [1] }));
    const { status, counts } = await make(server).generate(prompt);
    expect(status).toBe("ok");
    expect(counts).toMatchObject({ lengthStops: 1, qualityRetries: 1, transportRetries: 0 });
    await vi.waitFor(() => expect(server.disconnects).toBe(1));
  });

  it("repairs the fullest of three answers", async () => {
    const server = await serve(chatFault({ dropKey: true }));
    const { status, counts, ranking, scores } = await make(server).generate(prompt);
    expect(status).toBe("repaired");
    expect(counts).toMatchObject({ answers: 3, qualityRetries: 2, repaired: 1, missingKeys: 3, fallback: 0 });
    expect(ranking.length).toBe(50);
    expect(ranking[49]).toBe(prompt.candidates[49]!.item);
    expect(scores[49]).toBe(0);
  });

  it("ends in an error, or in the backbone's order where that was asked for", async () => {
    const server = await serve(chatFault({ answer: "no" }));
    expect(await failureOf(make(server).generate(prompt))).toMatchObject({ code: "GENERATION_ANSWER", kind: "quality", counts: { answers: 3 } });
    await expect(generateAll([prompt], make(server))).rejects.toMatchObject({ code: "GENERATION_ANSWER" });
    const { completions, counts } = await generateAll([prompt], make(server), { onFailure: "backbone" });
    expect(completions[0]).toMatchObject({ status: "fallback", reply: "" });
    expect([...completions[0]!.ranking]).toEqual(prompt.candidates.map(({ item }) => item));
    expect(counts).toMatchObject({ ...emptyCounts(), fallback: 1, answers: 3, qualityRetries: 2, missingKeys: 150, tokensIn: expect.any(Number), tokensOut: expect.any(Number) });
  });
});

describe("ollama: many prompts, several servers", () => {
  it("keeps to the servers' slots", async () => {
    const server = await serve({ slots: 2, queue: 0, pieceDelayMs: 1 });
    const { completions, counts } = await generateAll(few, make(server, { concurrency: 2 }));
    expect(completions.map(({ user }) => user)).toEqual(few.map(({ user }) => user));
    expect(server.mostBusy).toBe(2);
    expect(counts.transportRetries).toBe(0);
    // Callers that start more at once are held back by the generator itself.
    const generator = make(server, { concurrency: 2 });
    await generator.describe();
    await Promise.all(few.map((one) => generator.generate(one)));
    expect(server.mostBusy).toBe(2);
  });

  it("gets through a burst of 503 answers", async () => {
    const server = await serve({ slots: 2, queue: 2, pieceDelayMs: 1 });
    const { completions, counts } = await generateAll(few.slice(0, 8), make(server, { concurrency: 8, backoffSeconds: 0.2 }));
    expect(completions.every(({ status }) => status === "ok")).toBe(true);
    expect(counts.transportRetries).toBeGreaterThan(0);
  });

  it("uses all servers, and finishes on one when the other dies, with the same bytes", async () => {
    const [a, b] = [await serve({ pieceDelayMs: 1 }), await serve({ pieceDelayMs: 1 })];
    const alone = await generateAll(few, make(a));
    const generator = ollama({ model: "toy", hosts: [a.url, b.url], backoffSeconds: 0.001 });
    expect(generator.concurrency).toBe(2);
    const { completions, counts } = await generateAll(few, generator, {
      onCompletion: async (_, index) => { if (index === 2) await b.stop(); },
    });
    expect(b.callsOf(CHAT)).toBeGreaterThan(0);
    expect(completions.map(({ reply }) => reply)).toEqual(alone.completions.map(({ reply }) => reply));
    expect(counts.answers).toBe(12);
  });
});
