import { describe, expect, it } from "vitest";
import { ollama } from "../../src/generation/ollama/ollama.js";
import { generateAll } from "../../src/generation/schedule.js";
import { makePrompts } from "../fixtures/prompts.js";

const host = process.env["CRAGRU_TEST_OLLAMA_HOST"];
const model = process.env["CRAGRU_TEST_OLLAMA_MODEL"];
const why = host && model ? "" : " (skipped: set CRAGRU_TEST_OLLAMA_HOST and CRAGRU_TEST_OLLAMA_MODEL, for example 127.0.0.1:11434 and llama3.1:8b)";

describe.skipIf(!host || !model)(`a real Ollama server${why}`, () => {
  const make = (): ReturnType<typeof ollama> => ollama({ model: model!, host: host! });

  it("names itself as a language model with version and digest", async () => {
    const info = await make().describe();
    expect(info).toMatchObject({ engine: "ollama", isLanguageModel: true, model });
    expect(info.digest).toMatch(/^[0-9a-f]{64}$/);
  });

  it("scores every candidate of three users, once each", async () => {
    const prompts = await makePrompts({ userCount: 3, candidateCount: 20, historyCount: 10 });
    const { completions, counts } = await generateAll(prompts, make());
    for (const [at, { ranking, scores, status }] of completions.entries()) {
      expect(status).toBe("ok");
      expect([...ranking].sort((a, b) => a - b)).toEqual(prompts[at]!.candidates.map(({ item }) => item).sort((a, b) => a - b));
      for (const score of scores) expect(Number.isInteger(score) && score >= 1 && score <= 100).toBe(true);
    }
    expect(counts).toMatchObject({ unknownKeys: 0, duplicateKeys: 0, missingKeys: 0, fallback: 0 });
  }, 600_000);

  it("refuses a prompt that is longer than its context", async () => {
    const [prompt] = await makePrompts();
    const long = { ...prompt!, tokenEstimate: 0, messages: [{ role: "user" as const, content: "A film. ".repeat(4000) }] };
    await expect(ollama({ model: model!, host: host!, numCtx: 1024 }).generate(long)).rejects.toMatchObject({ code: "GENERATION_CONTEXT" });
  }, 120_000);

  it("stops in mid-stream when told to", async () => {
    const [prompt] = await makePrompts({ candidateCount: 50 });
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("enough")), 300);
    await expect(make().generate(prompt!, { signal: controller.signal })).rejects.toThrow("enough");
  }, 120_000);

  it("names the command for a model that is not there", async () => {
    await expect(ollama({ model: "cragru-no-such-model:1b", host: host! }).describe())
      .rejects.toMatchObject({ code: "GENERATION_MODEL_MISSING", hint: "Run: ollama pull cragru-no-such-model:1b" });
  });
});
