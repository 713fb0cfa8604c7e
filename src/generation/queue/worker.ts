import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Job, Worker } from "bullmq";
import { ConfigError } from "../../core/errors.js";
import type { RunOptions } from "../../core/progress.js";
import { hashMessages } from "../../core/prompt.js";
import { GenerationFailure } from "../failures.js";
import type { Generator } from "../generator.js";
import { entryOf } from "../journal.js";
import { otherEngine } from "./queue.js";
import { asRunFailure, failureText, isAway, isIll, isUnfit } from "./failure.js";
import { connectQueue, PREFIX, queueNameOf, sealingKey, type QueueLink, type QueuePlace } from "./link.js";
import { PurgeListener } from "./purging.js";
import { longestOf, QueueStore, type JobData, type QueueSettings } from "./store.js";
import { engineId } from "../replay.js";

export interface WorkerOptions extends RunOptions {
  queue: QueuePlace;
  /** What answers: a generator, or what makes one that answers with a run's settings. Its `purge` is called with no rows: all goes. */
  generator: Generator | ((settings: QueueSettings) => Generator);
  /** Jobs at once (default 1): as many as the server has slots. */
  concurrency?: number;
  /** For counts and messages (default: name of the machine and process number). */
  name?: string;
  /** Sentences for people: the server is away, it is back. */
  note?: (text: string) => void;
  /** A job belongs to its worker this long without a sign of life (default 30); then another one takes it. */
  lockSeconds?: number;
  /** How often jobs of dead workers are looked for (default 30). */
  stalledSeconds?: number;
  /** First pause when the server is away (default 1); it doubles up to a minute. */
  probeSeconds?: number;
}

/** What a worker has done. */
export interface WorkerReport {
  name: string;
  answered: number;
  /** Jobs given up for good. */
  failed: number;
  /** Jobs returned to the queue because no server was reached. */
  returned: number;
  seconds: number;
}

/** A worker at work. */
export interface QueueWorker {
  readonly name: string;
  /** Resolves when the worker has ended; rejects when it cannot serve (other model file, model gone, other key). */
  readonly finished: Promise<WorkerReport>;
  report(): WorkerReport;
  /** Takes no new job, ends those it has, and leaves. */
  close(): Promise<WorkerReport>;
}

const DRAIN_POLL_MS = 20, ACKNOWLEDGE_MS = 5000;
const STRIKES = 3, LONGEST_PROBE_SECONDS = 60;
/** Pause before the queue library asks a Redis again that was away; its own 15 s would idle the fleet after each restart. */
const LINK_RETRY_MS = 1000;
/** A job may lose this many workers before it is given up. */
const MOST_STALLS = 3;
/** Runs whose generator is kept. */
const MOST_RUNS = 8;

/**
 * Starts a worker: takes jobs of one model, answers them, writes each answer before it acknowledges the job. Three failures
 * of its server in a row pause it, with the jobs back in the queue for others, until its server answers again. `signal` drains
 * it as `close` does. The generator should leave transport faults to the queue (`transportRetries: 0`).
 * @throws GenerationFailure when the engine cannot serve; ConfigError as for `queued`.
 */
export async function startWorker(options: WorkerOptions): Promise<QueueWorker> {
  const { queue, generator, signal } = options;
  const key = sealingKey(queue.key), make = typeof generator === "function" ? generator : () => generator;
  const { concurrency = 1 } = options;
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > 256) {
    throw new ConfigError("CONFIG_CONCURRENCY", `concurrency must be a whole number from 1 to 256, not ${concurrency}.`);
  }
  await make({}).describe(signal ? { signal } : {});
  const link = await connectQueue(queue.url);
  const store = new QueueStore(link.redis, queue.model, key, 7 * 86_400);
  try {
    await store.checkKey();
    signal?.throwIfAborted();
  } catch (error) {
    link.redis.disconnect();
    throw error;
  }
  return new RunningWorker(options, make, link, store);
}

class RunningWorker implements QueueWorker {
  readonly name: string;
  readonly finished: Promise<WorkerReport>;
  private readonly worker: Worker<JobData>;
  private readonly counts = { answered: 0, failed: 0, returned: 0 };
  private readonly started = performance.now();
  private readonly runs = new Map<string, Promise<Generator | undefined>>();
  private readonly purges: PurgeListener;
  private readonly ending = new AbortController();
  private readonly unacknowledged = new Set<string>();
  private working = 0;
  private strikes = 0;
  private isResting = false;
  private isLinkNoted = false;
  private unfit: unknown;
  private end!: { resolve: (report: WorkerReport) => void; reject: (error: unknown) => void };

  constructor(
    private readonly options: WorkerOptions, private readonly make: (settings: QueueSettings) => Generator,
    private readonly link: QueueLink, private readonly store: QueueStore,
  ) {
    const { queue, concurrency = 1, name = `${hostname()}-${process.pid}`, lockSeconds = 30, stalledSeconds = 30, signal } = options;
    this.name = name;
    this.finished = new Promise((resolve, reject) => { this.end = { resolve, reject }; });
    this.finished.catch(() => undefined);
    // Two workers may have one name; each must hear of a purge.
    const unique = `${name.replace(/[^\w.-]/g, "_")}.${randomBytes(4).toString("hex")}`;
    this.purges = new PurgeListener(store, unique, () => this.generators());
    this.worker = new link.bullmq.Worker<JobData>(queueNameOf(queue.model), (job, token) => this.work(job, token), {
      connection: link.redis, prefix: PREFIX, concurrency, name: unique,
      lockDuration: lockSeconds * 1000, stalledInterval: stalledSeconds * 1000, maxStalledCount: MOST_STALLS, drainDelay: 2, runRetryDelay: LINK_RETRY_MS,
    });
    this.worker.on("completed", (job) => this.unacknowledged.delete(job.id!));
    this.worker.on("failed", (job) => this.unacknowledged.delete(job?.id ?? ""));
    this.worker.on("error", (error) => this.linkLost(error));
    this.worker.on("ready", () => { this.isLinkNoted = false; });
    signal?.addEventListener("abort", () => void this.close().catch(() => undefined), { once: true });
  }

  report(): WorkerReport {
    return { name: this.name, ...this.counts, seconds: (performance.now() - this.started) / 1000 };
  }

  close(): Promise<WorkerReport> {
    if (!this.ending.signal.aborted) {
      this.ending.abort();
      void this.leave();
    }
    return this.finished;
  }

  /**
   * The library's own patient close never ends when it meets a connection that is being mended; so the jobs are awaited here,
   * and what is then not acknowledged in time stays with its answer for another worker to find.
   */
  private async leave(): Promise<void> {
    try {
      await this.worker.pause(true);
      while (this.working > 0) await sleep(DRAIN_POLL_MS);
      for (let waited = 0; this.unacknowledged.size > 0 && waited < ACKNOWLEDGE_MS; waited += DRAIN_POLL_MS) await sleep(DRAIN_POLL_MS);
      await this.worker.close(true);
    } finally {
      this.purges.close();
      this.link.redis.disconnect();
      if (this.unfit === undefined) this.end.resolve(this.report());
      else this.end.reject(this.unfit);
    }
  }

  private async work(job: Job<JobData>, token: string | undefined): Promise<string> {
    this.working++;
    this.unacknowledged.add(job.id!);
    try {
      return await this.attempt(job, token);
    } finally {
      this.working--;
    }
  }

  private async attempt(job: Job<JobData>, token: string | undefined): Promise<string> {
    const { UnrecoverableError, WaitingError } = this.link.bullmq;
    try {
      return await this.purges.during(job.id!, (signal) => this.answer(job, signal));
    } catch (thrown) {
      const error = asRunFailure(thrown);
      if (isAway(error) || isUnfit(error)) {
        if (isAway(error)) this.strike(error);
        else this.giveUp(error);
        this.counts.returned++;
        await job.moveToWait(token);
        this.unacknowledged.delete(job.id!);
        throw new WaitingError();
      }
      // Purged meanwhile: nothing of it is to stay, the failure included.
      if (job.name === "generate" && (await this.store.isForgotten(job.id!))) return "forgotten";
      if (!(error instanceof GenerationFailure)) throw error;
      if (isIll(error)) this.strike(error);
      const isFinal = error.kind === "permanent" || error.kind === "quality";
      if (isFinal || job.attemptsMade + 1 >= (job.opts.attempts ?? 1)) this.counts.failed++;
      throw isFinal ? new UnrecoverableError(failureText(error)) : new Error(failureText(error));
    }
  }

  private async answer(job: Job<JobData>, signal: AbortSignal): Promise<string> {
    const { runId, engine, digest, promptHash } = job.data, id = job.id!;
    const generator = await this.generatorOf(runId);
    // Redis lost it: the run finds its job gone and puts both there again.
    if (!generator) return "of an unknown run";
    const own = await generator.describe();
    if (job.name === "describe") {
      await this.store.putEngine(id, own);
      return "described";
    }
    if (engineId(own) !== engine) throw otherEngine(this.name, own, { digest });
    const prompt = await this.store.prompt(id);
    if (!prompt) return "answered before, or purged";
    if (prompt.promptHash !== promptHash || hashMessages(prompt.messages) !== promptHash) {
      throw new GenerationFailure("GENERATION_REQUEST", "permanent", `The prompt of job ${id} is not the one that its hash names.`, { hint: "Use the same version of cragru everywhere." });
    }
    const completion = await generator.generate(prompt, { signal });
    const isNew = await this.store.putAnswer(id, { entry: entryOf(prompt, completion), worker: this.name });
    this.strikes = 0;
    if (!isNew) return "answered before, or purged";
    this.counts.answered++;
    this.options.onProgress?.(this.counts.answered, 0, this.noteOf());
    return "answered";
  }

  private noteOf(): string | undefined {
    const { failed, returned } = this.counts;
    return [...(failed > 0 ? [`${failed} failed`] : []), ...(returned > 0 ? [`${returned} returned`] : [])].join(", ") || undefined;
  }

  /** A generator with the run's settings and context length; undefined when the queue does not know the run. */
  private generatorOf(runId: string): Promise<Generator | undefined> {
    let known = this.runs.get(runId);
    if (!known) {
      known = this.generatorFor(runId);
      this.runs.set(runId, known);
      known.then((found) => found ?? this.runs.delete(runId), () => this.runs.delete(runId));
      const [oldest] = this.runs.keys();
      if (this.runs.size > MOST_RUNS) this.runs.delete(oldest!);
    }
    return known;
  }

  /** All that may have shown a prompt to the server; a fresh one when there is none: the server may remember an earlier worker's. */
  private async generators(): Promise<Set<Generator>> {
    const known = (await Promise.all([...this.runs.values()].map((one) => one.catch(() => undefined)))).filter((one) => one !== undefined);
    return new Set(known.length > 0 ? known : [this.make({})]);
  }

  private async generatorFor(runId: string): Promise<Generator | undefined> {
    const run = await this.store.run(runId);
    if (!run) return undefined;
    const generator = this.make(run.settings);
    if (run.tokens > 0) generator.prepare?.([longestOf(run)]);
    return generator;
  }

  private strike(failure: GenerationFailure): void {
    if (++this.strikes >= STRIKES && !this.isResting && !this.ending.signal.aborted) void this.rest(failure);
  }

  /** Takes no jobs until the server answers again. */
  private async rest(failure: GenerationFailure): Promise<void> {
    const { note, probeSeconds = 1 } = this.options, { signal } = this.ending;
    this.isResting = true;
    note?.(`Paused: ${failure.message}`);
    try {
      await this.worker.pause(true);
      for (let seconds = probeSeconds; ; seconds = Math.min(LONGEST_PROBE_SECONDS, 2 * seconds)) {
        await sleep(seconds * 1000, undefined, { signal });
        const probe = this.make({});
        try {
          await probe.describe({ signal });
          break;
        } catch (error) {
          if (isUnfit(error)) return this.giveUp(error);
        }
      }
      // The server may hold another model file than before: it is asked again.
      this.runs.clear();
      this.strikes = 0;
      note?.("The server answers again.");
      await this.worker.resume();
    } catch (error) {
      if (!signal.aborted) this.giveUp(error);
    } finally {
      this.isResting = false;
    }
  }

  private giveUp(error: unknown): void {
    this.unfit ??= error;
    void this.close().catch(() => undefined);
  }

  private linkLost(error: Error): void {
    if (this.isLinkNoted || this.ending.signal.aborted) return;
    this.isLinkNoted = true;
    this.options.note?.(`The queue at ${this.link.place} is in trouble (${error.message}); going on when it is back.`);
  }
}
