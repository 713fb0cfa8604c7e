import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/core/errors.js";
import { chooseGenerator } from "../../../src/generation/choose.js";
import { llamaCpp } from "../../../src/generation/llamacpp/llamacpp.js";
import { importLlama } from "../../../src/generation/llamacpp/package.js";
import { modelDigest } from "../../../src/generation/llamacpp/modelfile.js";

/** What needs no engine; the rest stands in test/engine. */
const folder = mkdtempSync(join(tmpdir(), "cragru-llama-"));
afterAll(() => rmSync(folder, { recursive: true }));
const put = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

describe("llamaCpp", () => {
  it("refuses options that make no sense", () => {
    for (const bad of [
      { modelPath: "" }, { seed: -1 }, { seed: 0.5 }, { temperature: 3 }, { temperature: NaN }, { qualityRetries: 3 }, { concurrency: 0 }, { threads: 0 },
      { contextSize: 10 }, { permutations: 0 }, { mode: "all" as never }, { combine: "best" as never }, { gpu: "yes" as never },
      { lora: [{ path: "" }] }, { lora: [{ path: "a.gguf", scale: Infinity }] },
    ]) {
      expect(() => llamaCpp({ modelPath: "a.gguf", ...bad }), JSON.stringify(bad)).toThrow(ConfigError);
    }
  });

  it("is named after its file, without the folder", () => {
    expect(llamaCpp({ modelPath: join(folder, "some.gguf") })).toMatchObject({ name: "llamacpp:some.gguf", concurrency: 1 });
  });

  it("says which file is missing, or is no model, before it looks for the package", async () => {
    await expect(chooseGenerator(`llamacpp:${join(folder, "none.gguf")}`)).rejects.toMatchObject({ code: "GENERATION_MODEL_MISSING", kind: "permanent" });
    await expect(chooseGenerator(`llamacpp:${put("text.gguf", "hello")}`)).rejects.toMatchObject({ code: "GENERATION_REQUEST" });
    await expect(chooseGenerator("llamacpp:")).rejects.toMatchObject({ code: "CONFIG_GENERATOR", hint: expect.stringContaining("llamacpp:<file.gguf>") as string });
  });

  it.skipIf(existsSync("node_modules/node-llama-cpp"))("names the command that installs the package", async () => {
    await expect(importLlama(folder)).rejects.toMatchObject({ code: "GENERATION_ENGINE", kind: "permanent", hint: "Run: npm install node-llama-cpp@3.22.1" });
    await expect(llamaCpp({ modelPath: put("model.gguf", "GGUF") }).describe()).rejects.toMatchObject({ code: "GENERATION_ENGINE" });
  });

  it("finds a package in the node_modules of a folder or above it, and says why one does not load", async () => {
    const own = join(folder, "node_modules/node-llama-cpp");
    mkdirSync(own, { recursive: true });
    writeFileSync(join(own, "package.json"), JSON.stringify({ version: "3.99.0", main: "./index.mjs" }));
    writeFileSync(join(own, "index.mjs"), "export const getLlama = 1;");
    for (const from of [folder, join(folder, "deep/er"), join(folder, "node_modules")]) expect((await importLlama(from)).version).toBe("3.99.0");
    writeFileSync(join(own, "package.json"), JSON.stringify({ version: "3.99.1", main: "./none.mjs" }));
    await expect(importLlama(folder)).rejects.toMatchObject({ code: "GENERATION_ENGINE", message: expect.stringMatching(/does not load/) as string });
    rmSync(join(folder, "node_modules"), { recursive: true });
  });
});

describe("modelDigest", () => {
  it("is the SHA-256 of the file, read again only when size or time changed", async () => {
    const path = put("a.gguf", "GGUF and more");
    const sha = (text: string): string => createHash("sha256").update(text).digest("hex");
    expect(await modelDigest(path)).toBe(sha("GGUF and more"));
    utimesSync(path, 1000, 1000);
    const old = await modelDigest(path);
    writeFileSync(path, "GGUF and MORE");
    utimesSync(path, 1000, 1000);
    expect(await modelDigest(path)).toBe(old);
    utimesSync(path, 2000, 2000);
    expect(await modelDigest(path)).toBe(sha("GGUF and MORE"));
  });

  it("covers every part of a model in parts", async () => {
    const first = put("big-00001-of-00002.gguf", "GGUF one");
    await expect(modelDigest(first)).rejects.toMatchObject({ code: "GENERATION_MODEL_MISSING", message: expect.stringContaining("big-00002-of-00002.gguf") as string });
    put("big-00002-of-00002.gguf", "GGUF two");
    const before = await modelDigest(first);
    put("big-00002-of-00002.gguf", "GGUF three");
    expect(await modelDigest(first)).not.toBe(before);
  });
});
