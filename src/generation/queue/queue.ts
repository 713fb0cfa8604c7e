import { setTimeout as sleep } from "node:timers/promises";
import type { Queue } from "bullmq";
import { ConfigError } from "../../core/errors.js";
import { canonicalJson, fingerprint } from "../../core/fingerprint.js";
import type { Interactions } from "../../core/interactions.js";
import { unlessAborted, type RunOptions } from "../../core/progress.js";
import type { Prompt } from "../../core/prompt.js";
import { answerLimit } from "../contract.js";
import { GenerationFailure } from "../failures.js";
import type { Completion, EngineInfo, Generator } from "../generator.js";
import { purgeMarked } from "./admin.js";
import { closed, failureOf, readFailure } from "./failure.js";
import { JOB, QueueJobs } from "./jobs.js";
import { connectQueue, PREFIX, queueNameOf, sealingKey, type QueueLink, type QueuePlace } from "./link.js";
import { QueueStore, usersIn, type JobData, type QueuedRun, type QueueSettings } from "./store.js";
import { completionOf, engineId } from "../replay.js";

export interface QueuedOptions extends QueuePlace {
  /** What the workers' engine is asked besides the model (seed, mode, passes ...). */
  settings?: QueueSettings;
  /** Jobs in the queue at once (default 512): no more of the run's prompts lie in Redis. */
  concurrency?: number;
  /** How long prompts and answers stay in Redis at most (default 7 days). */
  lifeSeconds?: number;
  /** How long to wait for a first worker (default 60). */
  waitSeconds?: number;
  /** How often jobs without an answer are looked after (default 5). */
  checkSeconds?: number;
  /** Sentences for people: nobody works, how to start somebody. */
  note?: (text: string) => void;
}

const DAY = 86_400;
const POLL_MS = 150;
const PATIENCE_MS = 3000;
/**
 * A language model behind any number of workers (`startWorker`, `cragru worker`), each beside its own server: one job a user,
 * all its passes in it. The queue lives in Redis; prompts and answers pass through it sealed. A job's id follows from prompt,
 * user and engine, so a run that starts again takes the answers that arrived meanwhile. Jobs are done at least once and
 * answered exactly once: answers are written before a job is acknowledged, and a second answer is ignored.
 * `describe` asks a worker who it is; every answer must come from that engine, model file and options.
 * @throws ConfigError for a model, a key or an address that cannot be.
 */
export function queued(options: QueuedOptions): Generator {
  return new QueuedGenerator(options);
}

/** Id of a user's job. The queue library refuses colons and plain numbers. */
export function jobId(prompt: Pick<Prompt, "promptHash" | "user">, engine: string): string {
  return `g-${fingerprint("job", prompt.promptHash, prompt.user, engine)}`;
}

interface Opened extends QueueLink {
  queue: Queue<JobData>;
  store: QueueStore;
  jobs: QueueJobs;
}

class QueuedGenerator implements Generator {
  readonly name: string;
  readonly concurrency: number;
  private readonly key: Buffer;
  private readonly options: Required<Omit<QueuedOptions, "key">>;
  private opening: Promise<Opened> | undefined;
  private jobs: QueueJobs | undefined;
  private readonly engines = new Map<string, Promise<EngineInfo>>();
  private readonly taken = new Map<string, readonly number[]>();
  /** Who answered first: the others must hold the same model file. */
  private first: EngineInfo | undefined;
  private isClosed = false;
  private readonly made = performance.now();
  /** Users that were purged through here, and when: what is asked about them from then on may be asked. */
  private readonly purged = new Map<number, number>();
  private tokens = 0;
  private keyLengths: number[] = [];

  constructor({ key, ...rest }: QueuedOptions) {
    this.options = { settings: {}, concurrency: 512, lifeSeconds: 7 * DAY, waitSeconds: 60, checkSeconds: 5, note: () => undefined, ...rest };
    const { model, concurrency } = this.options;
    if (!Number.isInteger(concurrency) || concurrency < 1) throw new ConfigError("CONFIG_CONCURRENCY", `concurrency must be a whole number of 1 or more, not ${concurrency}.`);
    queueNameOf(model);
    this.key = sealingKey(key);
    this.concurrency = concurrency;
    this.name = `queue:${model}`;
  }

  prepare(prompts: readonly Prompt[]): void {
    for (const { tokenEstimate, candidates } of prompts) {
      this.tokens = Math.max(this.tokens, tokenEstimate);
      const own = candidates.map(({ key }) => key.length);
      if (limitOf(own) > limitOf(this.keyLengths)) this.keyLengths = own;
    }
  }

  async describe({ signal }: RunOptions = {}): Promise<EngineInfo> {
    const run = this.run(), runId = this.runId(run);
    let asked = this.engines.get(runId);
    if (!asked) {
      asked = this.ask(runId, run);
      this.engines.set(runId, asked);
      asked.catch(() => this.engines.delete(runId));
    }
    return unlessAborted(asked, signal);
  }

  async generate(prompt: Prompt, { signal }: RunOptions = {}): Promise<Completion> {
    this.prepare([prompt]);
    const engine = await this.describe(signal ? { signal } : {});
    const id = jobId(prompt, engineId(engine));
    const data: JobData = {
      runId: this.runId(this.run()), user: prompt.user, promptHash: prompt.promptHash, engine: engineId(engine),
      ...(engine.digest === undefined ? {} : { digest: engine.digest }),
    };
    const { jobs } = await this.open();
    const { entry, worker } = await unlessAborted(jobs.answer(id, prompt, data, this.run()), signal);
    if (engineId(entry.engine) !== data.engine) throw otherEngine(worker, entry.engine, engine);
    this.taken.set(id, usersIn(prompt));
    return { ...completionOf(entry, prompt), engine: entry.engine };
  }

  hostLoad(): string | undefined {
    return this.jobs?.load();
  }

  async purge(rows: Interactions): Promise<string[]> {
    const { url, model } = this.options;
    const gone = new Set(rows.presentUsers());
    this.jobs?.forget(gone);
    const { left, time } = await purgeMarked({ url, models: [model], users: gone });
    for (const user of gone) this.purged.set(user, time);
    return left;
  }

  /** Removes the answers that were handed on. Jobs that wait stay: the same run finds their answers when it goes on. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    const opened = await this.opening?.catch(() => undefined);
    if (!opened) return;
    opened.jobs.close();
    if (opened.redis.status === "ready") await opened.store.drop(this.taken).catch(() => undefined);
    await opened.queue.close().catch(() => undefined);
    opened.redis.disconnect();
  }

  private run(): QueuedRun {
    return { settings: this.options.settings, tokens: this.tokens, keyLengths: this.keyLengths };
  }

  private runId({ settings, tokens, keyLengths }: QueuedRun): string {
    return fingerprint("run", canonicalJson(settings), tokens, keyLengths.join()).slice(0, 32);
  }

  private open(): Promise<Opened> {
    this.opening ??= this.connect();
    return this.opening;
  }

  private async connect(): Promise<Opened> {
    const { url, model, lifeSeconds, checkSeconds, note } = this.options;
    const link = await connectQueue(url);
    let isAway = false;
    link.redis.on("close", () => {
      if (!this.isClosed && !isAway) note(`The queue at ${link.place} is away; going on when it is back.`);
      isAway = true;
    });
    link.redis.on("ready", () => { isAway = false; });
    try {
      const store = new QueueStore(link.redis, model, this.key, lifeSeconds);
      await store.checkKey();
      const began = (await store.serverTime()) - Math.ceil((performance.now() - this.made) * 1000);
      const queue = new link.bullmq.Queue<JobData>(queueNameOf(model), { connection: link.redis, prefix: PREFIX, streams: { events: { maxLen: 100 } } });
      // The connection mends itself; without a listener the library would end the process.
      queue.on("error", () => undefined);
      this.jobs = new QueueJobs(queue, store, { checkSeconds, note, help: this.help(link.place), began: (user) => Math.max(began, this.purged.get(user) ?? 0) });
      return { ...link, queue, store, jobs: this.jobs };
    } catch (error) {
      link.redis.disconnect();
      throw error;
    }
  }

  /** Lets the first free worker say who answers. */
  private async ask(runId: string, run: QueuedRun): Promise<EngineInfo> {
    const { model, waitSeconds, note } = this.options;
    const { queue, store, place } = await this.open();
    await store.putRun(runId, run);
    const id = `d-${fingerprint("describe", runId, process.pid, performance.timeOrigin + performance.now())}`;
    await queue.add("describe", { runId }, { ...JOB, jobId: id, lifo: true });
    const hint = this.help(place);
    const start = performance.now();
    let isNoted = false;
    try {
      for (;;) {
        const info = await store.engine(id);
        if (info) {
          this.first ??= info;
          if (info.digest !== this.first.digest) throw otherEngine("that answered", info, this.first);
          return info;
        }
        const job = await queue.getJob(id);
        if (await job?.isFailed()) throw failureOf(readFailure(job!.failedReason));
        // Redis lost it, or a worker has just answered.
        if (!job && !(await store.engine(id))) {
          await store.putRun(runId, run);
          await queue.add("describe", { runId }, { ...JOB, jobId: id, lifo: true });
        }
        const waited = performance.now() - start;
        if (waited > PATIENCE_MS && !isNoted) {
          isNoted = true;
          note(`No worker has answered for ${model} yet. ${hint}`);
        }
        if (waited > waitSeconds * 1000 && (await queue.getWorkersCount()) === 0) {
          throw new GenerationFailure("GENERATION_SERVER_DOWN", "permanent", `No worker serves ${model} on ${place}; waited ${Math.round(waited / 1000)} s.`, { hint });
        }
        if (this.isClosed) throw closed();
        await sleep(POLL_MS);
      }
    } catch (error) {
      throw this.isClosed ? closed() : error;
    } finally {
      if (!this.isClosed) await queue.remove(id).catch(() => undefined);
    }
  }

  private help(place: string): string {
    return `Start one beside each server: cragru worker --queue ${place} --host <server> --model ${this.options.model}`;
  }
}

/** The answer limit of candidates whose keys have these lengths. */
function limitOf(keyLengths: readonly number[]): number {
  return answerLimit(keyLengths.map((length) => ({ key: "m".padEnd(length, "0") }) as Prompt["candidates"][number]));
}

/** The failure when a worker's engine is not the one that a run began with. */
export function otherEngine(worker: string, found: EngineInfo, wanted: Pick<EngineInfo, "digest">): GenerationFailure {
  const isOtherFile = found.digest !== wanted.digest;
  return new GenerationFailure("GENERATION_MIXED_MODELS", "permanent", isOtherFile
    ? `"${found.model}" is not the same model everywhere: worker ${worker} has ${found.digest?.slice(0, 12)}, the run began with ${wanted.digest?.slice(0, 12)}.`
    : `Worker ${worker} answers with other options than the run began with: ${JSON.stringify(found.options)}.`, {
    hint: isOtherFile ? `Run beside each worker: ollama pull ${found.model}` : "Use the same version of Ollama and of cragru everywhere.",
  });
}
