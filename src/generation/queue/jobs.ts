import { setTimeout as sleep } from "node:timers/promises";
import type { Queue } from "bullmq";
import { ConfigError, CragruError } from "../../core/errors.js";
import type { Prompt } from "../../core/prompt.js";
import { closed, failureOf, forgotten, outdated, readFailure } from "./failure.js";
import { usersIn, type JobData, type QueuedAnswer, type QueuedRun, type QueueStore } from "./store.js";

/** A failed try is repeated after 0.3, 0.6, 1.2 ... seconds, each up to half longer. */
export const JOB = { attempts: 6, backoff: { type: "exponential", delay: 300, jitter: 0.5 }, removeOnComplete: true, removeOnFail: { age: 7 * 86_400 } } as const;

const POLL_MS = 150;

export interface QueueJobsOptions {
  /** How often jobs without an answer are looked after. */
  checkSeconds: number;
  note: (text: string) => void;
  /** How to start a worker. */
  help: string;
  /** When the run began for a user, by the store's `serverTime`: who was forgotten later is not asked about. */
  began: (user: number) => number;
}

interface Waiting {
  prompt: Prompt;
  data: JobData;
  run: QueuedRun;
  /** It lies on the queue: from now on its absence means something. */
  isSubmitted: boolean;
  resolve: (answer: QueuedAnswer) => void;
  reject: (error: unknown) => void;
  answer: Promise<QueuedAnswer>;
}

interface Share {
  answers: number;
  since: number;
}

/** The jobs of one run that wait for their answer. */
export class QueueJobs {
  private readonly waiting = new Map<string, Waiting>();
  private readonly shares = new Map<string, Share>();
  private workers: number | undefined;
  private isLooking = false;
  private isClosed = false;

  constructor(private readonly queue: Queue<JobData>, private readonly store: QueueStore, private readonly options: QueueJobsOptions) {}

  /** The answer to a job, which is put on the queue unless its answer is there already. */
  answer(id: string, prompt: Prompt, data: JobData, run: QueuedRun): Promise<QueuedAnswer> {
    let one = this.waiting.get(id);
    if (!one) {
      let resolve!: Waiting["resolve"], reject!: Waiting["reject"];
      const answer = new Promise<QueuedAnswer>((yes, no) => { [resolve, reject] = [yes, no]; });
      one = { prompt, data, run, isSubmitted: false, resolve, reject, answer };
      // Who waits hears of it; a caller that was aborted does not.
      answer.catch(() => undefined);
      this.waiting.set(id, one);
      this.submit(id, one).then(() => this.look(), (error: unknown) => this.fail(id, error));
    }
    return one.answer;
  }

  /** Puts a job on the queue unless its answer is there. One that failed before is asked again. */
  private async submit(id: string, one: Waiting, isAgain = false): Promise<void> {
    const { queue, store } = this;
    const { prompt, data, run } = one;
    one.isSubmitted = false;
    const [known] = await store.answers([id]);
    if (known) return this.take(id, known);
    await store.putRun(data.runId, run);
    if (!(await store.putPrompt(id, prompt, this.options.began, !isAgain))) return this.fail(id, outdated(prompt.user));
    // Without effect on a job that a worker holds; adding it then has none either.
    await queue.remove(id);
    await queue.add("generate", data, { ...JOB, jobId: id });
    one.isSubmitted = true;
    if (this.waiting.get(id) === one) return;
    // Purged while it was on its way here, or answered already.
    await store.dropPrompt(id);
    await queue.remove(id);
  }

  private take(id: string, answer: QueuedAnswer): void {
    const one = this.waiting.get(id);
    if (!one) return;
    this.waiting.delete(id);
    const share = this.shares.get(answer.worker) ?? { answers: 0, since: performance.now() };
    share.answers++;
    this.shares.set(answer.worker, share);
    one.resolve(answer);
  }

  private fail(id: string, error: unknown): void {
    this.waiting.get(id)?.reject(this.isClosed ? closed() : error instanceof CragruError ? error : refused(error));
    this.waiting.delete(id);
  }

  /** Collects answers for as long as any are missing, and from time to time looks what became of the others. */
  private look(): void {
    if (this.isLooking || this.waiting.size === 0) return;
    this.isLooking = true;
    void this.collect().catch((error: unknown) => {
      for (const id of [...this.waiting.keys()]) this.fail(id, error);
    }).finally(() => {
      this.isLooking = false;
      this.look();
    });
  }

  private async collect(): Promise<void> {
    const { store } = this;
    let checked = performance.now();
    while (this.waiting.size > 0) {
      if (this.isClosed) throw closed();
      const ids = [...this.waiting.keys()];
      const answers = await store.answers(ids);
      answers.forEach((answer, at) => { if (answer) this.take(ids[at]!, answer); });
      if (performance.now() - checked > this.options.checkSeconds * 1000) {
        await this.countWorkers();
        await Promise.all(ids.filter((id) => this.waiting.get(id)?.isSubmitted).map((id) => this.check(id)));
        checked = performance.now();
      }
      await sleep(POLL_MS);
    }
  }

  /** For a run's progress: "3 workers: gpu1 120 (2.1/s), gpu2 97 (1.8/s)". */
  load(): string | undefined {
    const now = performance.now();
    const parts = [...this.shares].sort(([a], [b]) => (a < b ? -1 : 1)).map(([worker, { answers, since }]) => {
      const seconds = (now - since) / 1000;
      return `${worker} ${answers}${seconds > 1 ? ` (${(answers / seconds).toFixed(1)}/s)` : ""}`;
    });
    const count = this.workers === undefined ? "" : `${this.workers} ${this.workers === 1 ? "worker" : "workers"}`;
    return [count, parts.join(", ")].filter((text) => text !== "").join(": ") || undefined;
  }

  /** Ends the wait for jobs that print rows of these users. */
  forget(users: ReadonlySet<number>): void {
    for (const [id, { prompt }] of this.waiting) if (usersIn(prompt).some((user) => users.has(user))) this.fail(id, forgotten(prompt.user));
  }

  close(): void {
    this.isClosed = true;
  }

  private async countWorkers(): Promise<void> {
    const { note, help } = this.options;
    const before = this.workers;
    this.workers = await this.queue.getWorkersCount();
    if (this.workers === 0 && before !== 0) note(`No worker is left; the jobs wait. ${help}`);
  }

  /** A job that failed is reported; one that a restart of Redis lost is put there again, unless it was purged. */
  private async check(id: string): Promise<void> {
    const { store, queue } = this;
    const state = await queue.getJobState(id);
    if (state === "failed") {
      const job = await queue.getJob(id);
      if (job) this.fail(id, failureOf(readFailure(job.failedReason)));
      return;
    }
    if (state !== "unknown" && state !== "completed") return;
    // In this order: the answer is written before the job goes.
    const [answer] = await store.answers([id]);
    const one = this.waiting.get(id);
    if (!one) return;
    if (answer) this.take(id, answer);
    else if (await store.isForgotten(id)) this.fail(id, forgotten(one.prompt.user));
    else await this.submit(id, one, true);
  }
}

/** What Redis says against a command: no memory left, read only. */
function refused(cause: unknown): ConfigError {
  return new ConfigError("CONFIG_QUEUE_DOWN", `The queue refused: ${cause instanceof Error ? cause.message : String(cause)}.`, {
    hint: "Cure Redis (memory, disk, rights); the same command goes on.", cause,
  });
}
