import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ConfigError } from "../../../src/core/errors.js";
import { chooseGenerator } from "../../../src/generation/choose.js";
import { embedded } from "../../../src/generation/embedded.js";
import { journaled } from "../../../src/generation/journal.js";
import { generateAll } from "../../../src/generation/schedule.js";
import { OllamaServer } from "../../fixtures/ollama-server.js";
import { makePrompts } from "../../fixtures/prompts.js";

let server: OllamaServer;
beforeEach(async () => {
  vi.stubEnv("OLLAMA_HOST", "");
  server = await new OllamaServer({ version: "0.13.5", models: ["llama3.1:8b"] }).start();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server.stop();
});

describe("chooseGenerator", () => {
  it("takes embedded by name", async () => {
    const { engine, sentence } = await chooseGenerator("embedded");
    expect(engine.engine).toBe("embedded");
    expect(sentence).toBe("Generator: embedded (no LLM) (arithmetic on what the prompt holds, trained on nobody).");
  });

  it("takes a named model, or fails", async () => {
    vi.stubEnv("OLLAMA_HOST", server.url);
    const { engine, generator, sentence } = await chooseGenerator("ollama:llama3.1:8b");
    expect(engine).toMatchObject({ engine: "ollama", model: "llama3.1:8b", isLanguageModel: true });
    expect(sentence).toBe(`Generator: llama3.1:8b (ollama) at ${server.url} (asked for by name).`);
    expect(generator.name).toBe("ollama:llama3.1:8b");
    await expect(chooseGenerator("ollama:none:1b")).rejects.toMatchObject({ code: "GENERATION_MODEL_MISSING", hint: "Run: ollama pull none:1b" });
    await server.stop();
    await expect(chooseGenerator("ollama:llama3.1:8b")).rejects.toMatchObject({ code: "GENERATION_SERVER_DOWN" });
  });

  it("takes a recorded file, or fails", async () => {
    const folder = await mkdtemp(join(tmpdir(), "cragru-choose-"));
    const file = join(folder, "a:b.jsonl");
    await generateAll(await makePrompts(), journaled(embedded(), file));
    expect((await chooseGenerator(`replay:${file}`)).sentence).toContain("embedded (no LLM), replayed");
    await rm(folder, { recursive: true });
    await expect(chooseGenerator(`replay:${file}`)).rejects.toMatchObject({ code: "GENERATION_REPLAY_FILE" });
  });

  it("chooses by itself only under auto, and says why", async () => {
    const none = await chooseGenerator("auto");
    expect([none.engine.engine, none.sentence]).toEqual(["embedded", "Generator: embedded (no LLM) (OLLAMA_HOST is not set)."]);
    vi.stubEnv("OLLAMA_HOST", server.url);
    expect((await chooseGenerator("auto")).engine).toMatchObject({ engine: "ollama", model: "llama3.1:8b" });
    const other = await chooseGenerator("auto", { model: "big:70b" });
    expect(other.engine.engine).toBe("embedded");
    expect(other.sentence).toContain("ollama pull big:70b");
    await server.stop();
    const down = await chooseGenerator("auto");
    expect(down.engine.engine).toBe("embedded");
    expect(down.sentence).toMatch(/^Generator: embedded \(no LLM\) \(No server answers/);
    await server.start();
    vi.stubEnv("OLLAMA_HOST", "");
    expect((await chooseGenerator("auto", { ollama: { host: server.url } })).engine.engine).toBe("ollama");
  });

  it("does not take a mistake or an abort for a missing server", async () => {
    vi.stubEnv("OLLAMA_HOST", "gpu1:port");
    await expect(chooseGenerator("auto")).rejects.toThrow(ConfigError);
    vi.stubEnv("OLLAMA_HOST", server.url);
    await expect(chooseGenerator("auto", { signal: AbortSignal.abort(new Error("stop")) })).rejects.toThrow("stop");
  });

  it.each(["", "llama3.1:8b", "ollama", "ollama:", "replay:", "Auto", "embedded:x"])("refuses %j", async (spec) => {
    await expect(chooseGenerator(spec)).rejects.toMatchObject({ code: "CONFIG_GENERATOR", hint: expect.stringContaining("ollama:<model>") });
  });
});
