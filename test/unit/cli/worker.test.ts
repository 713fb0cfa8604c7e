import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { cli } from "../../../src/cli/program.js";
import { portOf } from "../../../src/cli/worker.js";
import { normaliseHost } from "../../../src/generation/ollama/hosts.js";
import { OllamaServer } from "../../fixtures/ollama-server.js";
import { freePort } from "../../fixtures/redis.js";

const server = new OllamaServer({ models: ["toy"] });

async function cragru(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const stdout = new PassThrough(), stderr = new PassThrough();
  let out = "", err = "";
  stdout.on("data", (chunk: Buffer) => { out += chunk.toString(); });
  stderr.on("data", (chunk: Buffer) => { err += chunk.toString(); });
  const code = await cli(argv, { stdout, stderr } as never);
  return { code, out, err };
}

beforeEach(async () => {
  vi.stubEnv("CRAGRU_QUEUE_KEY", "a key of the tests, longer than thirty-two characters");
  await server.start();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server.stop();
});

describe("cragru worker", () => {
  it.each([
    [["worker"], "required option '--queue <url>' not specified"],
    [["worker", "--queue", "redis://127.0.0.1:1", "--lock", "0"], "number of seconds, above 0"],
    [["worker", "--queue", "redis://127.0.0.1:1", "--concurrency", "many"], "whole number"],
    [["worker", "--queue", "redis://127.0.0.1:1", "--host", "ftp://gpu1"], "CONFIG_HOST"],
    [["worker", "--queue", "redis://127.0.0.1:1", "--host", "gpu1,gpu2"], "A worker serves one server, not 2."],
    [["queue"], "required option '--queue <url>' not specified"],
  ])("refuses %j as wrong usage", async (argv, words) => {
    const { code, out, err } = await cragru(...argv);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(words);
  });

  it("asks for the key first, then for the model, then for the queue, each with its cure", async () => {
    const port = await freePort();
    const argv = ["worker", "--queue", `redis://127.0.0.1:${port}`, "--host", server.url, "--model"];
    const missing = await cragru(...argv, "absent");
    expect([missing.code, missing.out]).toEqual([1, ""]);
    expect(missing.err).toContain("Run: ollama pull absent");
    const down = await cragru(...argv, "toy");
    expect([down.code, down.out]).toEqual([2, ""]);
    expect(down.err).toContain("redis-server --appendonly yes");
    vi.stubEnv("CRAGRU_QUEUE_KEY", "");
    expect((await cragru(...argv, "absent")).err).toContain("export CRAGRU_QUEUE_KEY=");
  });

  it("knows the port of a server also where it is the scheme's own", () => {
    expect(["http://gpu1:80", "https://gpu1", "http://gpu1:11434", "gpu1"].map((text) => portOf(normaliseHost(text).url))).toEqual(["80", "443", "11434", "11434"]);
  });

  it("says that the server is not there", async () => {
    const { code, err } = await cragru("worker", "--queue", "redis://127.0.0.1:1", "--host", `127.0.0.1:${await freePort()}`, "--model", "toy");
    expect(code).toBe(1);
    expect(err).toContain("GENERATION_SERVER_DOWN");
  });
});

describe("cragru queue", () => {
  it("says that Redis is not there", async () => {
    const { code, out, err } = await cragru("queue", "--queue", `redis://127.0.0.1:${await freePort()}`);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain("No queue answers at");
  });
});
