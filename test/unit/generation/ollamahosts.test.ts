import { beforeAll, describe, expect, it } from "vitest";
import type { Prompt } from "../../../src/core/prompt.js";
import { GenerationFailure } from "../../../src/generation/failures.js";
import { parseHosts } from "../../../src/generation/ollama/hosts.js";
import { ollama } from "../../../src/generation/ollama/ollama.js";
import { OllamaHosts } from "../../../src/generation/ollama/fleet.js";
import { generateAll } from "../../../src/generation/schedule.js";
import type { OllamaServer } from "../../fixtures/ollama-server.js";
import { makePrompts } from "../../fixtures/prompts.js";
import { testServers } from "../../fixtures/servers.js";

const CHAT = "/api/chat", GENERATE = "/api/generate";
const serve = testServers();
let prompts: Prompt[];
beforeAll(async () => {
  prompts = await makePrompts({ userCount: 10, candidateCount: 8 });
});
const loads = (server: OllamaServer): unknown[] => server.requests.filter(({ path }) => path === GENERATE).map(({ body }) => body);

describe("a model is loaded before the first question", () => {
  it("once on each server, with the context of the run, so that no answer waits for it", async () => {
    const [a, b] = [await serve(), await serve()];
    await generateAll(prompts, ollama({ model: "toy", hosts: [a.url, b.url], keepAlive: "5m" }));
    for (const server of [a, b]) {
      expect(loads(server)).toEqual([{ model: "toy", prompt: "", stream: false, keep_alive: "5m", options: { num_ctx: 4096 } }]);
      expect(server.requests.findIndex(({ path }) => path === GENERATE)).toBeLessThan(server.requests.findIndex(({ path }) => path === CHAT));
    }
  });

  it("again after the server was lost, and not for a run that is answered elsewhere", async () => {
    const server = await serve({ faults: [{ path: CHAT, calls: [2], destroyAfterBytes: 10 }] });
    const idle = await serve();
    const { counts } = await generateAll(prompts.slice(0, 3), ollama({ model: "toy", host: server.url, backoffSeconds: 0.001 }));
    expect(counts.transportRetries).toBe(1);
    expect(loads(server).length).toBe(2);
    await ollama({ model: "toy", host: idle.url }).describe();
    expect(loads(idle)).toEqual([]);
  });

  it("and out of memory is said then, with the cure", async () => {
    const server = await serve({ faults: [{ path: GENERATE, status: 500, body: "model requires more system memory (9 GiB) than is available" }] });
    await expect(generateAll(prompts, ollama({ model: "toy", host: server.url, backoffSeconds: 0.001 }), { onFailure: "backbone" }))
      .rejects.toMatchObject({ code: "GENERATION_MEMORY", hint: expect.stringContaining("smaller") as string });
    expect(server.callsOf(CHAT)).toBe(0);
  });
});

describe("servers that come and go", () => {
  it("work starts on those that are there, and names the others", async () => {
    const [a, b] = [await serve(), await serve()];
    await b.stop();
    const hosts = new OllamaHosts(parseHosts(`${a.url},${b.url}`), { model: "toy", timeoutSeconds: 5, keepAlive: "1m", concurrency: 1 });
    expect((await hosts.serve(undefined)).absent).toEqual([b.url]);
    expect(hosts.pool.load().map(({ isPaused }) => isPaused)).toEqual([false, true]);
    const { completions } = await generateAll(prompts, ollama({ model: "toy", hosts: [a.url, b.url], backoffSeconds: 0.001 }));
    expect(completions.every(({ status }) => status === "ok")).toBe(true);
    expect(b.callsOf(CHAT)).toBe(0);
  });

  it("nothing starts where none is there, or where one is too old or without the model", async () => {
    const [a, b] = [await serve(), await serve()];
    await a.stop();
    await b.stop();
    await expect(ollama({ model: "toy", hosts: [a.url, b.url] }).describe()).rejects.toMatchObject({ code: "GENERATION_SERVER_DOWN" });
    const [fine, old, bare] = [await serve(), await serve({ version: "0.9.0" }), await serve({ models: ["other"] })];
    await expect(ollama({ model: "toy", hosts: [fine.url, old.url] }).describe()).rejects.toMatchObject({ code: "GENERATION_VERSION" });
    await expect(ollama({ model: "toy", hosts: [fine.url, bare.url] }).describe()).rejects.toMatchObject({ code: "GENERATION_MODEL_MISSING" });
  });

  it("one that comes back with another model file is not used", async () => {
    const [a, b] = [await serve(), await serve({ build: "other" })];
    await b.stop();
    const hosts = new OllamaHosts(parseHosts(`${a.url},${b.url}`), { model: "toy", timeoutSeconds: 5, keepAlive: "1m", concurrency: 1 });
    await hosts.serve(undefined);
    await b.start();
    const check = (hosts as unknown as { check: (host: unknown) => Promise<void> }).check.bind(hosts);
    await expect(check(hosts.hosts[1])).rejects.toBeInstanceOf(GenerationFailure);
    await expect(check(hosts.hosts[1])).rejects.toMatchObject({ code: "GENERATION_MIXED_MODELS" });
    await expect(check(hosts.hosts[0])).resolves.toBeUndefined();
  });

  it("nor one that comes back too old for the run's mode", async () => {
    const [a, b] = [await serve({ version: "0.13.0" }), await serve({ version: "0.12.6" })];
    await b.stop();
    const hosts = new OllamaHosts(parseHosts(`${a.url},${b.url}`), { model: "toy", timeoutSeconds: 5, keepAlive: "1m", concurrency: 1 });
    expect((await hosts.serve(undefined)).logprobs).toBe(true);
    await b.start();
    const check = (hosts as unknown as { check: (host: unknown) => Promise<void> }).check.bind(hosts);
    await expect(check(hosts.hosts[1])).rejects.toMatchObject({ code: "GENERATION_VERSION", message: expect.stringContaining("0.12.6") as string });
  });
});

describe("honest prompts", () => {
  it("of any length are no cut ones", async () => {
    const server = await serve({ version: "0.31.0", promptEvalCount: 2050 });
    const { completions } = await generateAll(prompts.slice(0, 2), ollama({ model: "toy", host: server.url, numCtx: 4096 }));
    expect(completions.every(({ status }) => status === "ok")).toBe(true);
  });
});

describe("an engine that never answers", () => {
  it("ends the run, also where single failures may fall back", async () => {
    const many = await makePrompts({ userCount: 14, candidateCount: 4 });
    for (const fault of [{ status: 500, body: "boom" }, { status: 503, body: "server busy" }, { cutStream: true }]) {
      const server = await serve({ faults: [{ path: CHAT, ...fault }] });
      const failure = await generateAll(many, ollama({ model: "toy", host: server.url, backoffSeconds: 0, transportRetries: 1 }), { onFailure: "backbone" }).then(() => undefined, (error: unknown) => error);
      expect(failure).toBeInstanceOf(GenerationFailure);
      expect((failure as GenerationFailure).kind).toBe("retryable");
    }
    // Once it has answered, a bad stretch is a bad stretch.
    const server = await serve({ faults: [{ path: CHAT, calls: Array.from({ length: 60 }, (_, call) => call + 2), status: 500, body: "boom" }] });
    const { completions } = await generateAll(many, ollama({ model: "toy", host: server.url, backoffSeconds: 0, transportRetries: 1 }), { onFailure: "backbone" });
    expect(completions.filter(({ status }) => status === "fallback").length).toBe(13);
  });
});

describe("a caller who leaves", () => {
  it("does not wait for the model to be loaded", async () => {
    const server = await serve({ faults: [{ path: GENERATE, delayMs: 20_000 }] });
    const controller = new AbortController(), started = performance.now();
    const asked = generateAll(prompts, ollama({ model: "toy", host: server.url }), { signal: controller.signal });
    setTimeout(() => controller.abort(new Error("left")), 100);
    await expect(asked).rejects.toThrow("left");
    expect(performance.now() - started).toBeLessThan(3000);
  });
});

describe("passes over several orders", () => {
  it("stay on one server for each user, one request at a time", async () => {
    const [a, b] = [await serve(), await serve()];
    const { completions, counts } = await generateAll(prompts, ollama({ model: "toy", hosts: [a.url, b.url], permutations: 3, mode: "listwise" }));
    expect(counts.answers).toBe(30);
    expect(a.callsOf(CHAT) + b.callsOf(CHAT)).toBe(30);
    expect(a.callsOf(CHAT) > 0 && b.callsOf(CHAT) > 0).toBe(true);
    const askedOn = (server: OllamaServer): Set<string> => new Set(server.requests.filter(({ path }) => path === CHAT)
      .map(({ body }) => (body["messages"] as { content: string }[])[1]!.content.split("# Candidate list")[0]!));
    expect([...askedOn(a)].some((text) => askedOn(b).has(text))).toBe(false);
    for (const { reply } of completions) expect(reply.split("\n").length).toBe(3);
    expect(a.mostBusy).toBe(1);
  });
});

describe("after a forget request", () => {
  it("each server is told to unload the model, and one that cannot be told is named", async () => {
    const [a, b] = [await serve(), await serve()];
    const generator = ollama({ model: "toy", hosts: [a.url, b.url] });
    await generateAll(prompts, generator);
    await b.stop();
    const left = await generator.purge!(prompts[0]!.evidence);
    expect(loads(a).at(-1)).toMatchObject({ model: "toy", keep_alive: 0 });
    expect(left).toEqual([expect.stringContaining(b.url)]);
    // The next answer loads it again.
    await generateAll(prompts.slice(0, 1), generator);
    expect(loads(a).at(-1)).toMatchObject({ keep_alive: "30m" });
  });

  it("modes that a server is too old for are refused, and the default is chosen by what it can", async () => {
    const old = await serve({ version: "0.12.6" });
    for (const mode of ["expected", "readout"] as const) {
      await expect(ollama({ model: "toy", host: old.url, mode }).describe()).rejects.toMatchObject({ code: "GENERATION_VERSION", hint: expect.stringContaining("listwise") as string });
    }
    expect((await ollama({ model: "toy", host: old.url }).describe()).options["mode"]).toBe("listwise");
    expect((await ollama({ model: "toy", host: (await serve({ version: "0.13.0" })).url }).describe()).options["mode"]).toBe("expected");
  });
});
