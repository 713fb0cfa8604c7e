import { setTimeout as sleep } from "node:timers/promises";
import type { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { Interactions } from "../../core/interactions.js";
import { GenerationFailure } from "../failures.js";
import type { Generator } from "../generator.js";
import { heardOf, type JobData, type QueueStore } from "./store.js";

/** How often a worker without jobs looks for purges, and how long a purge waits for the workers to have carried it out. */
const LOOK_MS = 1000, HEAR_MS = 5000;
const POLL_MS = 20;

/**
 * A worker's side of a purge: the server beside it keeps the prompts it read last. Before each job and every second it looks
 * whether there was a purge; then it stops what it does for purged jobs, waits for the others under way (a server unloads
 * no model that it is using), lets its generators purge, and says so.
 */
export class PurgeListener {
  /** A worker that starts after a purge carries it out too: its server may have missed it. */
  private heard = 0;
  private hearing: Promise<void> | undefined;
  private readonly underWay = new Map<string, AbortController>();
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly store: QueueStore, private readonly worker: string, private readonly generators: () => Promise<Iterable<Generator>>) {
    this.timer = setInterval(() => void this.hear().catch(() => undefined), LOOK_MS);
    this.timer.unref();
  }

  /** Does a job between purges. Its signal is aborted when the job is purged. */
  async during<T>(id: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    await this.hear();
    const stop = new AbortController();
    this.underWay.set(id, stop);
    try {
      return await work(stop.signal);
    } finally {
      this.underWay.delete(id);
    }
  }

  close(): void {
    clearInterval(this.timer);
  }

  private hear(): Promise<void> {
    this.hearing ??= this.listen().finally(() => { this.hearing = undefined; });
    return this.hearing;
  }

  private async listen(): Promise<void> {
    const { store, underWay } = this;
    const purge = await store.purges();
    // The queue was cleared, or its last purge is long ago: it counts from 1 again.
    if (purge === 0) this.heard = 0;
    if (purge === this.heard) return;
    for (const [id, stop] of underWay) {
      if (await store.isForgotten(id)) stop.abort(new GenerationFailure("GENERATION_CANCELLED", "cancelled", "The job was purged."));
    }
    while (underWay.size > 0) await sleep(POLL_MS);
    const left: string[] = [];
    for (const generator of await this.generators()) left.push(...(await purgeMemory(generator)));
    await store.putHeard(this.worker, { purge, left: [...new Set(left)] });
    this.heard = purge;
  }
}

/** The users behind a purge are no business of the worker's: it drops whatever it remembers. */
async function purgeMemory(generator: Generator): Promise<string[]> {
  try {
    return (await generator.purge?.(Interactions.empty({ userCount: 0, itemCount: 0 }))) ?? [];
  } catch (error) {
    return [`${generator.name} could not be purged: ${error instanceof Error ? error.message : String(error)}`];
  }
}

/**
 * Waits until every worker that is present has carried out a purge, 5 s at most.
 * @returns the workers that have not, and in words what the others could not remove.
 */
export async function untilHeard(queue: Queue<JobData>, redis: Redis, base: string, purge: number): Promise<{ silent: string[]; left: string[] }> {
  const end = performance.now() + HEAR_MS;
  // Who leaves meanwhile may leave a server behind that remembers; who comes looks by itself.
  const present = (await queue.getWorkers()).map(({ rawname = "" }) => rawname.slice(rawname.lastIndexOf(":") + 1));
  for (;;) {
    const heard = await heardOf(redis, base);
    const silent = present.filter((worker) => (heard.get(worker)?.purge ?? 0) < purge);
    if (silent.length === 0 || performance.now() > end) {
      const left = present.flatMap((worker) => (silent.includes(worker) ? [] : heard.get(worker)!.left));
      return { silent, left: [...new Set(left)] };
    }
    await sleep(POLL_MS);
  }
}
