import { createServer, type AddressInfo, type Server } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { GenerationFailure, type FailureCode } from "../../../src/generation/failures.js";
import { failureOf, failureText, isAway, isIll, readFailure } from "../../../src/generation/queue/failure.js";
import { connectQueue, keyCheck, queueNameOf, sealingKey } from "../../../src/generation/queue/link.js";
import { jobId, otherEngine, queued } from "../../../src/generation/queue/queue.js";
import { startWorker } from "../../../src/generation/queue/worker.js";
import { embedded } from "../../../src/generation/embedded.js";
import { caught } from "../../fixtures/caught.js";
import { freePort } from "../../fixtures/redis.js";

const KEY = "a key of the tests, longer than thirty-two characters";
let server: Server | undefined;

/** Speaks enough of the protocol to say which version it is. */
async function pretendedRedis(version: string): Promise<string> {
  server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      for (const line of chunk.toString().toLowerCase().match(/^(info|hello|client)\r?$/gm)?.map((text) => text.trim()) ?? []) {
        const info = `redis_version:${version}\r\nloading:0\r\n`;
        socket.write(line === "info" ? `$${info.length}\r\n${info}\r\n` : line === "client" ? "+OK\r\n" : version < "6" ? "-ERR unknown command\r\n" : "%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n");
      }
    });
  });
  await new Promise<void>((done) => server!.listen(0, "127.0.0.1", done));
  return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

afterEach(async () => {
  vi.doUnmock("bullmq");
  vi.resetModules();
  vi.unstubAllEnvs();
  await new Promise<unknown>((done) => (server ? server.close(done) : done(undefined)));
  server = undefined;
});

describe("a job's id", () => {
  it("follows from prompt, user and engine, and is one that the queue library takes", () => {
    const id = jobId({ promptHash: "aa", user: 3 }, "engine");
    expect(id).toMatch(/^g-[0-9a-f]{64}$/);
    expect(jobId({ promptHash: "aa", user: 3 }, "engine")).toBe(id);
    const others = [jobId({ promptHash: "ab", user: 3 }, "engine"), jobId({ promptHash: "aa", user: 4 }, "engine"), jobId({ promptHash: "aa", user: 3 }, "other")];
    expect(new Set([id, ...others]).size).toBe(4);
  });
});

describe("a queue's name", () => {
  it("is one for one model, differs for others, and has no colon", () => {
    expect(queueNameOf("llama3.1")).toBe(queueNameOf("llama3.1:latest"));
    const names = ["llama3.1:8b", "llama3.1_8b:latest", "llama3.1%3A8b", "registry:5000/a/b", "a*b", "a?b"].map(queueNameOf);
    expect(new Set(names).size).toBe(6);
    for (const name of names) expect(name).not.toMatch(/[:*?[\]\\]/);
    expect(caught(() => queueNameOf("two words"))).toMatchObject({ code: "CONFIG_QUEUE_MODEL" });
  });
});

describe("a queue's key", () => {
  it("is asked for with one that could be taken, and short ones are refused", () => {
    vi.stubEnv("CRAGRU_QUEUE_KEY", "");
    const { code, message } = caught(() => queued({ url: "redis://127.0.0.1", model: "toy" }));
    expect(code).toBe("CONFIG_QUEUE_KEY");
    const offered = /export CRAGRU_QUEUE_KEY=(\S+)/.exec(message)![1]!;
    expect(sealingKey(offered)).toHaveLength(32);
    expect(caught(() => sealingKey(undefined)).message).not.toContain(offered);
    expect(caught(() => sealingKey("short"))).toMatchObject({ code: "CONFIG_QUEUE_KEY", message: expect.stringContaining("has 5 characters; it needs 32") as string });
    vi.stubEnv("CRAGRU_QUEUE_KEY", KEY);
    expect(sealingKey(undefined)).toEqual(sealingKey(KEY));
  });

  it("is told from another without being told", () => {
    const check = keyCheck(sealingKey(KEY));
    expect(check).toBe(keyCheck(sealingKey(KEY)));
    expect(check).not.toBe(keyCheck(sealingKey(`${KEY}.`)));
    expect(sealingKey(KEY).toString("hex")).not.toContain(check);
  });
});

describe("a failure", () => {
  it("is the same after its way through the queue", () => {
    const options = { hint: "Run: ollama pull toy" };
    for (const error of [new GenerationFailure("GENERATION_MODEL_MISSING", "permanent", 'No model "toy".', options), new GenerationFailure("GENERATION_ANSWER", "quality", "Nothing.\nReally.")]) {
      const { code, kind, message, hint } = failureOf(readFailure(failureText(error)));
      expect({ code, kind, message, hint }).toEqual({ code: error.code, kind: error.kind, message: error.message, hint: error.hint });
    }
  });

  it("is free of charge only when no server was reached", () => {
    const failure = (code: FailureCode): GenerationFailure => new GenerationFailure(code, "retryable", "x");
    expect(isAway(failure("GENERATION_SERVER_DOWN"))).toBe(true);
    for (const code of ["GENERATION_SERVER_LOST", "GENERATION_TIMEOUT", "GENERATION_SERVER", "GENERATION_MEMORY"] as const) {
      expect([isAway(failure(code)), isIll(failure(code))]).toEqual([false, true]);
    }
  });

  it("of the queue itself is one that others may not share", () => {
    expect(readFailure("job stalled more than allowable limit")).toMatchObject({
      code: "GENERATION_SERVER_LOST", kind: "retryable", message: "The queue gave a job up: job stalled more than allowable limit.",
    });
    expect(failureOf(readFailure("null")).endsRun).toBe(false);
  });

  it("of another engine says whether the file or the options differ", () => {
    const info = { engine: "ollama", label: "toy (ollama)", isLanguageModel: true, model: "toy", digest: "b".repeat(64), serverVersion: "1.0.0", host: "h", options: { seed: 1 }, replayed: false } as const;
    expect(otherEngine("w", info, { digest: "a".repeat(64) }).message).toContain("worker w has bbbbbbbbbbbb, the run began with aaaaaaaaaaaa");
    expect(otherEngine("w", info, { digest: "b".repeat(64) }).message).toContain('other options than the run began with: {"seed":1}');
  });
});

describe("the way to Redis", () => {
  it.each(["", "127.0.0.1:6379", "http://127.0.0.1", "redis://", "redis://host/name", "redis://user:geheim@"])("refuses the address %j", async (url) => {
    const error = await connectQueue(url).catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject({ code: "CONFIG_QUEUE" });
    expect((error as Error).message).not.toContain("geheim");
  });

  it("says that nothing answers, and how to start it, without the password", async () => {
    const port = await freePort();
    const error = await connectQueue(`redis://user:geheim@127.0.0.1:${port}/1`).catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject({ code: "CONFIG_QUEUE_DOWN", hint: "Start it with: redis-server --appendonly yes" });
    expect((error as Error).message).toContain(`No queue answers at redis://127.0.0.1:${port}/1 (connect ECONNREFUSED`);
    expect((error as Error).message).not.toContain("geheim");
  });

  it("refuses a Redis before 6.2", async () => {
    const url = await pretendedRedis("6.0.16");
    await expect(connectQueue(url)).rejects.toMatchObject({ code: "CONFIG_QUEUE_VERSION", hint: expect.stringContaining("apt-get install redis-server") as string });
    await expect(connectQueue(url)).rejects.toThrow("runs Redis 6.0.16; the queue needs 6.2 or later");
  });

  it("knows an old one by its first answer", async () => {
    await expect(connectQueue(await pretendedRedis("5.0.14"))).rejects.toMatchObject({ code: "CONFIG_QUEUE_VERSION" });
  });

  it("names the command that installs the packages where they are missing", async () => {
    vi.resetModules();
    vi.doMock("bullmq", () => { throw new Error("Cannot find package 'bullmq'"); });
    const fresh = await import("../../../src/generation/queue/link.js");
    await expect(fresh.connectQueue("redis://127.0.0.1:1")).rejects.toMatchObject({ code: "CONFIG_QUEUE_PACKAGES", hint: "Run: npm install bullmq@6.7.0 ioredis@6.0.0" });
  });
});

describe("options", () => {
  it.each([0, -1, 1.5, 257])("refuse %j jobs at once for a worker", async (concurrency) => {
    await expect(startWorker({ queue: { url: "redis://127.0.0.1:1", model: "toy", key: KEY }, generator: embedded(), concurrency })).rejects.toMatchObject({ code: "CONFIG_CONCURRENCY" });
  });

  it("refuse an empty window for a run", () => {
    expect(caught(() => queued({ url: "redis://127.0.0.1", model: "toy", key: KEY, concurrency: 0 }))).toMatchObject({ code: "CONFIG_CONCURRENCY" });
  });
});
