import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterEach, describe, expect, it } from "vitest";
import { cli } from "../../src/cli/program.js";
import type { Prompt } from "../../src/core/prompt.js";
import { prompt as promptStep } from "../../src/experiment/steps/prompt.js";
import { recommend as recommendStep } from "../../src/experiment/steps/recommend.js";
import { split as splitStep } from "../../src/experiment/steps/split.js";
import { embedded } from "../../src/generation/embedded.js";
import type { Generator } from "../../src/generation/generator.js";
import { ollama } from "../../src/generation/ollama/ollama.js";
import { clearQueue, purgeQueue, queueStatus, retryFailed } from "../../src/generation/queue/admin.js";
import { queued, type QueuedOptions } from "../../src/generation/queue/queue.js";
import { sealingKey } from "../../src/generation/queue/link.js";
import { QueueStore, type QueuedAnswer } from "../../src/generation/queue/store.js";
import { generateAll } from "../../src/generation/schedule.js";
import { startWorker, type QueueWorker, type WorkerOptions } from "../../src/generation/queue/worker.js";
import { HashBrain, type Piece } from "../fixtures/brains.js";
import { OllamaServer, type ServerOptions } from "../fixtures/ollama-server.js";
import { makePrompts, makeRows } from "../fixtures/prompts.js";
import { hasRedis, RedisServer, until } from "../fixtures/redis.js";

const KEY = "a key of the tests, longer than thirty-two characters";
const closing: (() => Promise<unknown>)[] = [];

async function redisServer(): Promise<RedisServer> {
  const redis = await new RedisServer().start();
  closing.push(() => redis.remove());
  return redis;
}

async function ollamaServer(options: ServerOptions = {}): Promise<OllamaServer> {
  const server = await new OllamaServer({ models: ["toy"], ...options }).start();
  closing.push(() => server.stop());
  return server;
}

function run({ url }: RedisServer, more: Partial<QueuedOptions> = {}): Generator {
  const generator = queued({ url, model: "toy", key: KEY, checkSeconds: 0.3, ...more });
  closing.push(() => generator.close());
  return generator;
}

async function serve({ url }: RedisServer, host: OllamaServer, more: Partial<WorkerOptions> = {}): Promise<QueueWorker> {
  const worker = await startWorker({
    queue: { url, model: "toy", key: KEY }, lockSeconds: 2, stalledSeconds: 1, probeSeconds: 0.1,
    generator: (settings) => ollama({ ...settings, model: "toy", host: host.url, transportRetries: 0 }), ...more,
  });
  closing.push(() => worker.close().catch(() => undefined));
  return worker;
}

/** Every text in Redis, keys and values, one after the other. */
async function dump(url: string): Promise<string> {
  const redis = new Redis(url), texts: string[] = [];
  try {
    for (const name of await redis.keys("*")) {
      texts.push(name);
      const type = await redis.type(name);
      if (type === "string") texts.push((await redis.getBuffer(name))?.toString("latin1") ?? "");
      else if (type === "hash") texts.push(JSON.stringify(await redis.hgetall(name)));
      else if (type === "set") texts.push(...(await redis.smembers(name)));
      else if (type === "list") texts.push(...(await redis.lrange(name, 0, -1)));
      else if (type === "zset") texts.push(...(await redis.zrange(name, "0", "-1")));
      else if (type === "stream") texts.push(JSON.stringify(await redis.xrange(name, "-", "+")));
    }
  } finally {
    redis.disconnect();
  }
  return texts.join("\n");
}

/** What a verb prints on stdout. */
async function cragru(...argv: string[]): Promise<string> {
  const stdout = new PassThrough(), stderr = new PassThrough();
  expect(await cli(argv, { stdout, stderr } as never)).toBe(0);
  return String(stdout.read());
}

const chats = (server: OllamaServer): number => server.callsOf("/api/chat");
/** How often the server was told to unload the model. */
const unloads = (server: OllamaServer): number => server.requests.filter(({ body }) => body["keep_alive"] === 0).length;
const rowsOfUser = (prompt: Prompt): ReturnType<typeof makeRows> =>
  makeRows([{ user: prompt.user, item: prompt.evidence.items[0]!, rating: 1 }], prompt.evidence);

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

describe.skipIf(!hasRedis())(hasRedis() ? "a queue over Redis" : "redis-server is not installed (apt-get install redis-server)", () => {
  it("gives what the server itself gives, from the engine that the workers are", async () => {
    const redis = await redisServer(), host = await ollamaServer();
    await serve(redis, host, { name: "gpu1" });
    const prompts = await makePrompts({ userCount: 6 });
    const direct = ollama({ model: "toy", host: host.url, seed: 7 });
    const generator = run(redis, { settings: { seed: 7 } });
    const [queue, alone] = [await generateAll(prompts, generator), await generateAll(prompts, direct)];
    expect(queue.engine).toEqual(alone.engine);
    expect(queue.completions.map(({ scores, ranking, status, user, counts }) => ({ scores, ranking, status, user, counts })))
      .toEqual(alone.completions.map(({ scores, ranking, status, user, counts }) => ({ scores, ranking, status, user, counts })));
    expect(generator.hostLoad!()).toContain("gpu1 6");
  });

  it("holds no word of a prompt or an answer in clear, and nothing of them after the run", async () => {
    const redis = await redisServer();
    const prompts = await makePrompts({ userCount: 3 });
    const generator = run(redis);
    const asked = generateAll(prompts, generator);
    // A worker answers the question who it is and one prompt; then it leaves, so that the rest lies waiting.
    const host = await ollamaServer({ pieceDelayMs: 20 });
    const worker = await serve(redis, host);
    await until(() => worker.report().answered === 1);
    await worker.close();
    const text = await dump(redis.url);
    expect(text).toContain("prompt:g-");
    for (const word of ["Film number", "baker", "m1000", "\"scores\"", "Drama"]) expect(text).not.toContain(word);
    await serve(redis, host);
    await asked;
    await generator.close();
    expect(await dump(redis.url)).not.toMatch(/(prompt|answer|user):/);
  });

  it("takes the answers that arrived while the run was away, and asks nothing twice", async () => {
    const redis = await redisServer(), host = await ollamaServer({ pieceDelayMs: 10 });
    const worker = await serve(redis, host);
    const prompts = await makePrompts({ userCount: 10 });
    const stop = new AbortController();
    const first = run(redis);
    let seen = 0;
    await expect(generateAll(prompts, first, { signal: stop.signal, onCompletion: () => { if (++seen === 2) stop.abort(new Error("enough")); } })).rejects.toThrow("enough");
    // Killed, not closed: what it was handed lies in Redis too.
    await until(() => worker.report().answered === 10);
    expect((await generateAll(prompts, run(redis))).completions).toHaveLength(10);
    expect(chats(host)).toBe(10);
  });

  it("takes the first of two answers, none without its prompt, and opens nothing with another key or in another place", async () => {
    const redis = await redisServer(), client = new Redis(redis.url);
    closing.push(async () => client.disconnect());
    const store = new QueueStore(client, "toy", sealingKey(KEY), 60);
    const [prompt] = await makePrompts();
    const answerOf = (worker: string): QueuedAnswer => ({ entry: { user: 0, reply: "r" } as QueuedAnswer["entry"], worker });
    expect(await store.putAnswer("g-1", answerOf("early"))).toBe(false);
    const now = await store.serverTime();
    expect(await store.putPrompt("g-1", prompt!, () => now)).toBe(true);
    expect(await store.prompt("g-1")).toEqual(prompt);
    expect(await store.putAnswer("g-1", answerOf("first"))).toBe(true);
    await store.putPrompt("g-1", prompt!, () => now);
    expect(await store.putAnswer("g-1", answerOf("second"))).toBe(false);
    expect(await store.answers(["g-0", "g-1"])).toEqual([undefined, answerOf("first")]);
    expect(await store.prompt("g-1")).toBeUndefined();
    expect(await client.ttl("cragru-store:toy%3Alatest:answer:g-1")).toBeGreaterThan(50);
    const thief = new QueueStore(client, "toy", sealingKey(`${KEY}.`), 60);
    await expect(thief.answers(["g-1"])).rejects.toMatchObject({ code: "CONFIG_QUEUE_KEY" });
    await client.rename("cragru-store:toy%3Alatest:answer:g-1", "cragru-store:toy%3Alatest:answer:g-2");
    await expect(store.answers(["g-2"])).rejects.toMatchObject({ code: "CONFIG_QUEUE_KEY" });
  });

  it("asks again for jobs that Redis lost altogether", async () => {
    const redis = await redisServer(), host = await ollamaServer();
    const prompts = await makePrompts({ userCount: 8 });
    const generator = run(redis);
    const worker = await serve(redis, host);
    generator.prepare!(prompts);
    await generator.describe();
    await worker.close();
    const asked = generateAll(prompts, generator);
    const client = new Redis(redis.url);
    await until(async () => (await client.keys("cragru-store:*:prompt:*")).length === 8);
    await client.flushall();
    client.disconnect();
    await serve(redis, host);
    expect((await asked).completions.map(({ user }) => user)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it("gives a failed job up with its reason, lets the others through, and asks it again when told to", async () => {
    const redis = await redisServer();
    const host = await ollamaServer({ faults: [{ path: "/api/chat", calls: [2, 5], status: 400, body: "this cannot be" }] });
    const worker = await serve(redis, host);
    const prompts = await makePrompts({ userCount: 4 });
    await expect(generateAll(prompts, run(redis))).rejects.toMatchObject({ code: "GENERATION_REQUEST", kind: "permanent" });
    await until(async () => (await queueStatus({ url: redis.url }))[0]!.waiting === 0 && worker.report().answered === 3);
    const [status] = await queueStatus({ url: redis.url });
    expect(status).toMatchObject({ model: "toy:latest", workers: 1, failed: 1, waiting: 0, active: 0 });
    expect(status!.failures).toEqual([{
      id: expect.stringMatching(/^g-[0-9a-f]{64}$/), user: expect.any(Number) as number, attempts: 1, code: "GENERATION_REQUEST", kind: "permanent",
      message: expect.stringContaining("refused the request (400): this cannot be") as string,
    }]);
    expect(worker.report()).toMatchObject({ answered: 3, failed: 1 });
    const shown = await cragru("queue", "--queue", redis.url);
    expect(shown).toMatch(/^toy:latest: 1 worker\n {2}waiting 0, active 0, between attempts 0, failed 1, answered 3 \(\S+ 3\)\n {2}failed: user \d after 1 attempt: .*this cannot be \[GENERATION_REQUEST\]/);
    // Once by hand: the fifth call fails again. Once by the run's own command: that heals it.
    expect(await retryFailed({ url: redis.url })).toBe(1);
    await until(() => worker.report().failed === 2);
    expect((await generateAll(prompts, run(redis))).completions).toHaveLength(4);
    expect((await queueStatus({ url: redis.url }))[0]).toMatchObject({ failed: 0 });
    expect(chats(host)).toBe(6);
  });

  it("repeats a busy server's job with pauses, and turns an answer without sense into one user's failure", async () => {
    const redis = await redisServer();
    const host = await ollamaServer({ faults: [{ path: "/api/chat", calls: [1], status: 503, body: "server busy" }, { path: "/api/chat", calls: [2, 3, 4], answer: "no" }] });
    await serve(redis, host);
    const generated = await generateAll(await makePrompts({ userCount: 2 }), run(redis), { onFailure: "backbone" });
    expect(generated.completions.map(({ status }) => status).sort()).toEqual(["fallback", "ok"]);
    expect((await queueStatus({ url: redis.url }))[0]!.failures.map(({ code }) => code)).toEqual(["GENERATION_ANSWER"]);
  });

  it("gives up a prompt that breaks its connection each time, and answers the others", { timeout: 60_000 }, async () => {
    const redis = await redisServer(), prompts = await makePrompts({ userCount: 4 });
    const poison = prompts[2]!.messages.at(-1)!.content;
    class Fragile extends HashBrain {
      asked = 0;

      override async *answer(...[question, ...rest]: Parameters<HashBrain["answer"]>): AsyncGenerator<Piece> {
        if (question.messages.at(-1)!.content === poison) {
          this.asked++;
          // In the middle of its answer the server breaks the connection.
          yield { text: "{" };
          await sleep(20);
          throw new Error("crash");
        }
        yield* super.answer(question, ...rest);
      }
    }
    const brain = new Fragile();
    const worker = await serve(redis, await ollamaServer({ brain }));
    const { completions } = await generateAll(prompts, run(redis), { onFailure: "backbone" });
    expect(completions.map(({ user, status }) => [user, status])).toEqual([[0, "ok"], [1, "ok"], [2, "fallback"], [3, "ok"]]);
    const [status] = await queueStatus({ url: redis.url });
    expect(status).toMatchObject({ waiting: 0, active: 0, delayed: 0, failed: 1 });
    expect(status!.failures).toEqual([expect.objectContaining({ user: 2, attempts: 6, code: "GENERATION_SERVER_LOST" })]);
    expect({ asked: brain.asked, ...worker.report() }).toMatchObject({ asked: 6, answered: 3, failed: 1, returned: 0 });
  });

  it("pauses the worker of a dead server, gives its jobs back, and goes on when the server returns", async () => {
    const redis = await redisServer(), host = await ollamaServer({ pieceDelayMs: 5 });
    const notes: string[] = [];
    const worker = await serve(redis, host, { note: (text) => notes.push(text) });
    let done = 0;
    const asked = generateAll(await makePrompts({ userCount: 12 }), run(redis), { onCompletion: () => { done++; } });
    await until(() => done >= 3);
    await host.stop();
    await until(() => notes.some((note) => note.startsWith("Paused:")));
    const { returned } = worker.report();
    // The prompt whose connection broke may have broken it: that was an attempt. The others never reached the server.
    expect(returned).toBeGreaterThanOrEqual(2);
    await host.start();
    expect((await asked).completions).toHaveLength(12);
    expect(notes.at(-1)).toBe("The server answers again.");
    // The paused worker took no job.
    expect(worker.report()).toMatchObject({ answered: 12, failed: 0, returned });
  });

  it("refuses a worker with another model file, and the others do the work", async () => {
    const redis = await redisServer(), host = await ollamaServer(), other = await ollamaServer({ build: "other" });
    const bad = await serve(redis, other, { name: "bad" });
    const mixed = run(redis);
    const prompts = await makePrompts({ userCount: 6, candidateCount: 6 });
    mixed.prepare!(prompts);
    const engine = await mixed.describe();
    const second = await serve(redis, host, { name: "second" });
    const late = generateAll(prompts, mixed);
    await expect(second.finished).rejects.toMatchObject({ code: "GENERATION_MIXED_MODELS", hint: "Run beside each worker: ollama pull toy" });
    const { completions } = await late;
    expect(completions.map((one) => one.engine.digest)).toEqual(Array(6).fill(engine.digest));
    expect([bad.report().answered, second.report().answered]).toEqual([6, 0]);
    // Nor may the file change between two questions of one run.
    await bad.close();
    await serve(redis, host, { name: "third" });
    await expect(mixed.generate((await makePrompts({ candidateCount: 9, historyCount: 30 }))[0]!)).rejects.toMatchObject({ code: "GENERATION_MIXED_MODELS" });
  });

  it("purges the jobs, prompts and answers of users in every state", async () => {
    const redis = await redisServer(), host = await ollamaServer({ pieceDelayMs: 100 });
    const prompts = await makePrompts({ userCount: 3 });
    const generator = run(redis, { concurrency: 3 });
    generator.prepare!(prompts);
    const worker = await serve(redis, host);
    await generator.describe();
    const answers = prompts.map((prompt) => generator.generate(prompt).catch((error: unknown) => error));
    // One is under way, two wait: user 1 is purged by his row, whoever of them he is; user 2 stays.
    const inClear = /user:[01]\b|"user\\*":[01],/;
    await until(async () => host.busy === 1 && (await queueStatus({ url: redis.url }))[0]!.waiting === 2);
    expect(await dump(redis.url)).toMatch(inClear);
    const [first, second] = await Promise.all([purgeQueue({ url: redis.url, users: [0] }), generator.purge!(rowsOfUser(prompts[1]!))]);
    // The worker stopped what it did for them, and its server unloaded the model.
    expect([first, second]).toEqual([{ removed: 1, left: [] }, []]);
    expect(unloads(host)).toBeGreaterThanOrEqual(1);
    const [a, b, c] = await Promise.all(answers);
    expect([a, b]).toEqual([expect.objectContaining({ code: "GENERATION_CANCELLED" }), expect.objectContaining({ code: "GENERATION_CANCELLED" })]);
    expect(c).toMatchObject({ user: 2, status: "ok" });
    await until(async () => (await queueStatus({ url: redis.url }))[0]!.active === 0);
    expect(worker.report().answered).toBe(1);
    expect(await dump(redis.url)).not.toMatch(inClear);
    // The same words may be asked again later: by the run that purged them itself, and by one that began since.
    await expect(generator.generate(prompts[0]!)).rejects.toMatchObject({ code: "GENERATION_CANCELLED" });
    expect(await generator.generate(prompts[1]!)).toMatchObject({ user: 1, status: "ok" });
    expect(await run(redis).generate(prompts[0]!)).toMatchObject({ user: 0, status: "ok" });
  });

  it("refuses prompts of a run that began before their user was forgotten elsewhere", async () => {
    const redis = await redisServer(), host = await ollamaServer();
    await serve(redis, host);
    const prompts = await makePrompts({ userCount: 2 });
    const before = run(redis);
    before.prepare!(prompts);
    await before.describe();
    expect(await purgeQueue({ url: redis.url, users: [0] })).toEqual({ removed: 0, left: [] });
    await expect(before.generate(prompts[0]!)).rejects.toMatchObject({
      code: "GENERATION_CANCELLED", message: expect.stringContaining("of user 0 was forgotten since this run began") as string,
    });
    expect(await dump(redis.url)).not.toMatch(/(prompt|user):/);
    expect(chats(host)).toBe(0);
    expect(await before.generate(prompts[1]!)).toMatchObject({ user: 1, status: "ok" });
    expect(await run(redis).generate(prompts[0]!)).toMatchObject({ user: 0, status: "ok" });
  });

  it("has every worker's server unload the model before a purge ends, after what it does for others", async () => {
    const redis = await redisServer(), hosts = [await ollamaServer({ pieceDelayMs: 15 }), await ollamaServer({ pieceDelayMs: 15 })];
    for (const host of hosts) await serve(redis, host);
    const prompts = await makePrompts({ userCount: 3 });
    const generator = run(redis);
    await generator.generate(prompts[0]!);
    const others = Promise.all([generator.generate(prompts[1]!), generator.generate(prompts[2]!)]);
    await until(() => hosts.every(({ busy }) => busy === 1));
    expect(await generator.purge!(rowsOfUser(prompts[0]!))).toEqual([]);
    for (const host of hosts) {
      expect(unloads(host)).toBeGreaterThanOrEqual(1);
      expect(host.requests.at(-1)!.body).toMatchObject({ keep_alive: 0 });
    }
    expect((await others).map(({ user, status }) => [user, status])).toEqual([[1, "ok"], [2, "ok"]]);
    // A worker that comes later carries the purge out too: its server may have answered for an earlier worker.
    const late = await ollamaServer();
    await serve(redis, late);
    await until(() => unloads(late) === 1);
  });

  it("names the workers that did not carry a purge out, and the servers that could not be told", async () => {
    const redis = await redisServer(), gone = await ollamaServer();
    await serve(redis, gone);
    const deaf: Generator = { ...embedded(), name: "deaf", describe: () => embedded().describe(), generate: () => new Promise(() => undefined), purge: () => new Promise(() => undefined), close: async () => undefined };
    await serve(redis, gone, { name: "gpu:2", generator: deaf });
    await gone.stop();
    const { left } = await purgeQueue({ url: redis.url, users: [0] });
    expect(left).toEqual([
      expect.stringContaining(`${gone.url} could not be told to unload toy`),
      expect.stringMatching(/^1 worker has not yet had toy:latest unloaded.*: gpu_2\.[0-9a-f]{8}$/),
    ]);
  });

  it("purges failed jobs, and clears a queue with its key", async () => {
    const redis = await redisServer();
    const host = await ollamaServer({ faults: [{ path: "/api/chat", status: 400, body: "never" }] });
    await serve(redis, host);
    await expect(generateAll(await makePrompts({ userCount: 1 }), run(redis))).rejects.toThrow("never");
    expect((await queueStatus({ url: redis.url }))[0]!.failed).toBe(1);
    expect(await purgeQueue({ url: redis.url, users: [0] })).toEqual({ removed: 1, left: [] });
    expect((await queueStatus({ url: redis.url }))[0]!.failed).toBe(0);
    const otherKey = "another key, also longer than thirty-two characters";
    await expect(run(redis, { key: otherKey }).describe()).rejects.toMatchObject({ code: "CONFIG_QUEUE_KEY" });
    await expect(serve(redis, host, { queue: { url: redis.url, model: "toy", key: otherKey } })).rejects.toMatchObject({ code: "CONFIG_QUEUE_KEY" });
    expect(await clearQueue({ url: redis.url, models: ["toy"] })).toEqual(["toy:latest"]);
    expect(await queueStatus({ url: redis.url })).toEqual([]);
    expect(await dump(redis.url)).not.toContain("cragru-store");
  });

  it("can be stopped while Redis is away, and says that it is", async () => {
    const redis = await redisServer(), host = await ollamaServer({ pieceDelayMs: 20 });
    await serve(redis, host);
    const notes: string[] = [], stop = new AbortController();
    const generator = run(redis, { note: (text) => notes.push(text) });
    let done = 0;
    const asked = generateAll(await makePrompts({ userCount: 20 }), generator, { signal: stop.signal, onCompletion: () => { done++; } });
    await until(() => done > 0);
    await redis.kill();
    await until(() => notes.some((note) => note.includes("is away; going on when it is back")));
    stop.abort(new Error("enough"));
    await expect(asked).rejects.toThrow("enough");
    await generator.close();
    await redis.start();
    expect(notes).toHaveLength(1);
  });

  it("says how to start a worker when there is none", async () => {
    const redis = await redisServer();
    const notes: string[] = [];
    const generator = run(redis, { waitSeconds: 3.2, note: (text) => notes.push(text) });
    await expect(generator.describe()).rejects.toMatchObject({
      code: "GENERATION_SERVER_DOWN", hint: `Start one beside each server: cragru worker --queue ${redis.url} --host <server> --model toy`,
    });
    expect(notes).toHaveLength(1);
  });

  it("lets any generator of ours work, and refuses a worker whose engine cannot serve", async () => {
    const redis = await redisServer();
    const worker = await startWorker({ queue: { url: redis.url, model: "embedded", key: KEY }, generator: embedded(), name: "arithmetic" });
    closing.push(() => worker.close());
    const prompts = await makePrompts({ userCount: 3 });
    const [queue, alone] = [await generateAll(prompts, run(redis, { model: "embedded" })), await generateAll(prompts, embedded())];
    expect(queue.completions.map(({ scores }) => scores)).toEqual(alone.completions.map(({ scores }) => scores));
    expect(queue.engine.label).toBe("embedded (no LLM)");
    const host = await ollamaServer({ models: ["another"] });
    await expect(serve(redis, host)).rejects.toMatchObject({ code: "GENERATION_MODEL_MISSING", hint: "Run: ollama pull toy" });
  });

  it("carries step 4 of the command line, with the lists of a run without a queue", async () => {
    const redis = await redisServer(), host = await ollamaServer();
    const folder = mkdtempSync(join(tmpdir(), "cragru-queue-"));
    closing.push(async () => rmSync(folder, { recursive: true, force: true }));
    process.env["CRAGRU_QUEUE_KEY"] = KEY;
    closing.push(async () => { delete process.env["CRAGRU_QUEUE_KEY"]; });
    await splitStep("synthetic", { run: folder, synthetic: { users: 40, items: 60, meanPerUser: 20 } });
    await promptStep({ run: folder, retriever: "recent", candidates: 10, history: 8 });
    const generator = "ollama:toy";
    await expect(recommendStep({ run: folder, generator: "embedded", queue: redis.url })).rejects.toMatchObject({ code: "CONFIG_QUEUE", hint: "Name it: --generator ollama:llama3.1:8b" });
    await expect(recommendStep({ run: folder, generator, host: host.url, queue: redis.url })).rejects.toMatchObject({ code: "CONFIG_QUEUE" });
    const worker = await serve(redis, host);
    const { record } = await recommendStep({ run: folder, generator, queue: redis.url });
    expect(record.users).toBe(40);
    expect(worker.report().answered).toBe(40);
    const lists = readFileSync(join(folder, "4-rankings", "rankings.run"), "utf8");
    // The journal belongs to the engine, whoever asked it: the same command without a queue asks nothing again.
    const again = await recommendStep({ run: folder, generator, host: host.url });
    expect([again.record.resumed, chats(host)]).toEqual([40, 40]);
    await recommendStep({ run: folder, generator, host: host.url, restart: true });
    expect(readFileSync(join(folder, "4-rankings", "rankings.run"), "utf8")).toBe(lists);
  });
});
