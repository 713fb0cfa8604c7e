import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Generator } from "../../src/generation/generator.js";
import { journaled } from "../../src/generation/journal.js";
import { ollama } from "../../src/generation/ollama/ollama.js";
import { queueStatus } from "../../src/generation/queue/admin.js";
import { queued } from "../../src/generation/queue/queue.js";
import { generateAll } from "../../src/generation/schedule.js";
import { spawnHost, spawnNode, type Child } from "../fixtures/children.js";
import { OllamaServer } from "../fixtures/ollama-server.js";
import { makePrompts } from "../fixtures/prompts.js";
import { hasRedis, RedisServer, until } from "../fixtures/redis.js";

const KEY = "a key of the tests, longer than thirty-two characters";
const children: Child[] = [];
const closing: (() => Promise<unknown>)[] = [];

function worker(redis: RedisServer, host: string, name: string, ...more: string[]): Child {
  const child = spawnNode("src/cli/main.ts", [
    "worker", "--queue", redis.url, "--host", host, "--model", "toy", "--concurrency", "2", "--name", name, "--lock", "2", ...more,
  ], { CRAGRU_QUEUE_KEY: KEY });
  children.push(child);
  return child;
}

async function host(pieceDelayMs: number, port?: number): Promise<Awaited<ReturnType<typeof spawnHost>>> {
  const child = await spawnHost({ models: ["toy"], pieceDelayMs }, port);
  children.push(child);
  return child;
}

async function redisServer(): Promise<RedisServer> {
  const redis = await new RedisServer().start();
  closing.push(() => redis.remove());
  return redis;
}

function run(redis: RedisServer, more: Partial<Parameters<typeof queued>[0]> = {}): Generator {
  const generator = queued({ url: redis.url, model: "toy", key: KEY, checkSeconds: 0.5, ...more });
  closing.push(() => generator.close());
  return generator;
}

afterEach(async () => {
  for (const one of children.splice(0)) {
    if (one.process.exitCode === null && one.process.signalCode === null) one.process.kill("SIGKILL");
    await one.ended;
  }
  for (const close of closing.splice(0).reverse()) await close();
});

describe.skipIf(!hasRedis())(hasRedis() ? "a fleet of workers" : "redis-server is not installed (apt-get install redis-server)", () => {
  it("answers 500 users once each while a worker, a host and Redis are killed", { timeout: 300_000 }, async () => {
    const redis = await redisServer();
    const hosts = await Promise.all([host(2), host(2), host(2)]);
    const workers = hosts.map(({ url }, at) => worker(redis, url, `w${at}`));
    const prompts = await makePrompts({ userCount: 500, candidateCount: 8, historyCount: 4 });
    const folder = mkdtempSync(join(tmpdir(), "cragru-fleet-"));
    closing.push(async () => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, "replies.jsonl");
    const generator = run(redis), journal = journaled(generator, file);

    const notes: string[] = [];
    let done = 0, step = 0;
    const events: Promise<unknown>[] = [];
    const generated = await generateAll(prompts, journal, {
      onProgress: (_done, _total, note) => { if (note) notes.push(note); },
      onCompletion: () => {
        done++;
        if (done >= 80 && step === 0) {
          step = 1;
          workers[0]!.process.kill("SIGKILL");
        } else if (done >= 160 && step === 1) {
          step = 2;
          hosts[1]!.process.kill("SIGKILL");
        } else if (done >= 240 && step === 2) {
          step = 3;
          events.push(redis.kill().then(() => redis.start()));
        } else if (done >= 320 && step === 3) {
          step = 4;
          events.push(host(2, hosts[1]!.port));
        }
      },
    });
    await Promise.all(events);
    expect(step).toBe(4);

    // Every user exactly one answer, in the list and in the journal.
    expect(generated.completions.map(({ user }) => user)).toEqual(prompts.map(({ user }) => user));
    const lines = readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line) as { user: number });
    expect(lines.map(({ user }) => user).sort((a, b) => a - b)).toEqual([...Array(500).keys()]);
    // The same scores as one server gives without a queue.
    const single = await new OllamaServer({ models: ["toy"] }).start();
    closing.push(() => single.stop());
    const alone = await generateAll(prompts, ollama({ model: "toy", host: single.url, concurrency: 8 }));
    expect(generated.completions.map(({ scores }) => [...scores])).toEqual(alone.completions.map(({ scores }) => [...scores]));
    // Nobody's answer is counted twice, and all three took part.
    const [status] = await queueStatus({ url: redis.url });
    expect(Object.keys(status!.done).sort()).toEqual(["w0", "w1", "w2"]);
    expect(Object.values(status!.done).reduce((sum, count) => sum + count, 0)).toBe(500);
    expect(status).toMatchObject({ waiting: 0, delayed: 0, failed: 0 });
    expect(notes.some((note) => /workers?: .*w2 \d+ \(\d+\.\d\/s\)/.test(note))).toBe(true);
    // The worker whose host died paused itself, came back when it returned, and leaves in order.
    await until(() => workers[1]!.err().includes("The server answers again."));
    expect(workers[1]!.err()).toContain("Paused: No server answers at");
    workers[2]!.process.kill("SIGTERM");
    workers[1]!.process.kill("SIGTERM");
    expect(await workers[2]!.ended).toEqual({ code: 0, signal: null });
    expect(await workers[1]!.ended).toEqual({ code: 0, signal: null });
  });

  it("ends what it has begun when it is asked to stop, and leaves the rest to others", { timeout: 180_000 }, async () => {
    const redis = await redisServer();
    const slow = await host(25);
    const first = worker(redis, slow.url, "first", "--json");
    const prompts = await makePrompts({ userCount: 12, candidateCount: 8, historyCount: 4 });
    let done = 0;
    const all = generateAll(prompts, run(redis), { onCompletion: () => { done++; } });
    await until(() => done >= 3);
    first.process.kill("SIGTERM");
    expect(await first.ended).toEqual({ code: 0, signal: null });
    const report = JSON.parse(first.out()) as { answered: number; failed: number; returned: number };
    expect(report.answered).toBeGreaterThanOrEqual(3);
    expect(report.answered).toBeLessThan(12);
    expect(report).toMatchObject({ failed: 0, returned: 0 });
    const [status] = await queueStatus({ url: redis.url });
    expect(status).toMatchObject({ active: 0, waiting: 12 - report.answered, done: { first: report.answered } });
    worker(redis, slow.url, "second");
    expect((await all).completions).toHaveLength(12);
    expect((await queueStatus({ url: redis.url }))[0]!.done).toEqual({ first: report.answered, second: 12 - report.answered });
  });
});
