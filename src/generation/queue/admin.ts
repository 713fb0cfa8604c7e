import type { Queue } from "bullmq";
import type { Redis } from "ioredis";
import type { Interactions } from "../../core/interactions.js";
import { readFailure, type JobFailure } from "./failure.js";
import { connectQueue, PREFIX, queueNameOf, type QueueLink } from "./link.js";
import { untilHeard } from "./purging.js";
import { baseOf, FORGOTTEN_SECONDS, markOf, MODELS_KEY, serverTime, type JobData } from "./store.js";

/** A job that was given up. */
export interface DeadLetter extends JobFailure {
  id: string;
  /** Dense index. */
  user: number | undefined;
  attempts: number;
}

/** One model's queue at a moment. */
export interface QueueStatus {
  model: string;
  workers: number;
  waiting: number;
  active: number;
  /** Between two attempts. */
  delayed: number;
  failed: number;
  /** Answers since the queue began, by worker. */
  done: Record<string, number>;
  /** The failed jobs, newest first, at most 100. */
  failures: DeadLetter[];
}

export interface QueueSelection {
  url: string;
  /** Default: all that have a queue there. */
  models?: readonly string[];
}

export interface QueuePurge {
  url: string;
  models?: readonly string[];
  /** Users whose jobs, prompts and answers must go (dense indices), or the rows of a forget request: then their users. */
  users?: Iterable<number>;
  rows?: Interactions;
}

const MOST_LETTERS = 100;

/** What waits, runs, is done and was given up. @throws ConfigError as `connectQueue` says. */
export function queueStatus(selection: QueueSelection): Promise<QueueStatus[]> {
  return eachQueue(selection, async (queue, model, { redis }) => {
    const counts = await queue.getJobCounts("wait", "active", "delayed", "failed");
    const done = await redis.hgetall(`${baseOf(model)}done`);
    const failed = (await queue.getFailed(0, MOST_LETTERS - 1)) as { id?: string; data: JobData; failedReason: string; attemptsMade: number }[];
    return {
      model, workers: await queue.getWorkersCount(), waiting: counts["wait"] ?? 0, active: counts["active"] ?? 0, delayed: counts["delayed"] ?? 0, failed: counts["failed"] ?? 0,
      done: Object.fromEntries(Object.entries(done).map(([worker, count]) => [worker, Number(count)])),
      failures: failed.map(({ id, data, failedReason, attemptsMade }) => ({ id: id ?? "", user: data.user, attempts: attemptsMade, ...readFailure(failedReason) })),
    };
  });
}

/** Puts the failed jobs back. Returns how many. @throws ConfigError as `connectQueue` says. */
export async function retryFailed(selection: QueueSelection): Promise<number> {
  const counts = await eachQueue(selection, async (queue) => {
    const { failed } = await queue.getJobCounts("failed");
    await queue.retryJobs({ state: "failed" });
    return failed ?? 0;
  });
  return counts.reduce((sum, count) => sum + count, 0);
}

/**
 * Takes everything out of the queue that prints a row of these users: jobs in any state, sealed prompts and answers. A job
 * that a worker holds at the moment ends there and its answer is refused. Runs that began before this are refused prompts of
 * these users for 7 days; runs that begin later are not. Workers have their servers unload the model; this waits up to 5 s
 * for those that are present, and `left` names those that did not say so. Needs no key. Files in which Redis keeps its
 * memory (append-only file, snapshots) lose the sealed texts when Redis rewrites them.
 * @throws ConfigError as `connectQueue` says.
 */
export async function purgeQueue(purge: QueuePurge): Promise<{ removed: number; left: string[] }> {
  const { removed, left } = await purgeMarked(purge);
  return { removed, left };
}

/** As {@link purgeQueue}; also tells at what `serverTime` the last user was marked as forgotten. */
export async function purgeMarked({ url, models, users, rows }: QueuePurge): Promise<{ removed: number; left: string[]; time: number }> {
  const gone = [...new Set([...(users ?? []), ...(rows?.presentUsers() ?? [])])];
  const found = await eachQueue({ url, ...(models ? { models } : {}) }, async (queue, model, { redis }) => {
    const base = baseOf(model);
    let removed = 0, held = 0, time = 0;
    for (const user of gone) {
      time = await serverTime(redis);
      await redis.set(markOf(base, user), time, "EX", FORGOTTEN_SECONDS);
      for (const id of await redis.smembers(`${base}user:${user}`)) {
        // First the mark: who looks for the job from now on knows why it is gone.
        await redis.multi().set(`${base}forgotten:${id}`, "1", "EX", FORGOTTEN_SECONDS).del(`${base}prompt:${id}`, `${base}answer:${id}`).exec();
        if ((await queue.remove(id)) === 0 && (await queue.getJobState(id)) === "active") held++;
        removed++;
      }
      await redis.del(`${base}user:${user}`);
    }
    await queue.trimEvents(0);
    if (gone.length === 0) return { removed, time, left: [] };
    const purge = await redis.incr(`${base}purges`);
    await redis.expire(`${base}purges`, FORGOTTEN_SECONDS);
    // Counted from 1 again: what was heard before means nothing any more.
    if (purge === 1) await redis.del(`${base}heard`);
    const { silent, left } = await untilHeard(queue, redis, base, purge);
    return { removed, time, left: [...left, ...residualsOf(model, held, silent)] };
  });
  return { removed: found.reduce((sum, one) => sum + one.removed, 0), left: found.flatMap(({ left }) => left), time: Math.max(0, ...found.map(({ time }) => time)) };
}

function residualsOf(model: string, held: number, silent: readonly string[]): string[] {
  if (silent.length === 0) return [];
  return [
    ...(held > 0 ? [`${held} prompts of ${model} were with workers; their answers will be refused.`] : []),
    `${silent.length} ${silent.length === 1 ? "worker has" : "workers have"} not yet had ${model} unloaded, where prompts read last may remain until they end what they are doing: ${silent.join(", ")}`,
  ];
}

/** Removes the queues with all jobs, prompts, answers and counts, and frees their keys. @throws ConfigError as `connectQueue` says. */
export async function clearQueue(selection: QueueSelection): Promise<string[]> {
  return eachQueue(selection, async (queue, model, { redis }) => {
    await queue.obliterate({ force: true });
    await removeKeys(redis, `${baseOf(model)}*`);
    await redis.srem(MODELS_KEY, model);
    return model;
  });
}

async function removeKeys(redis: Redis, pattern: string): Promise<void> {
  let cursor = "0";
  do {
    const [next, names] = await redis.scan(cursor, "MATCH", pattern, "COUNT", 1000);
    if (names.length > 0) await redis.unlink(...names);
    cursor = next;
  } while (cursor !== "0");
}

async function eachQueue<T>({ url, models }: QueueSelection, work: (queue: Queue<JobData>, model: string, link: QueueLink) => Promise<T>): Promise<T[]> {
  const link = await connectQueue(url);
  try {
    const known = await link.redis.smembers(MODELS_KEY);
    const wanted = models?.map((model) => decodeURIComponent(queueNameOf(model)));
    const values: T[] = [];
    for (const model of known.sort().filter((one) => wanted?.includes(one) ?? true)) {
      const queue = new link.bullmq.Queue<JobData>(queueNameOf(model), { connection: link.redis, prefix: PREFIX });
      queue.on("error", () => undefined);
      try {
        values.push(await work(queue, model, link));
      } finally {
        await queue.close();
      }
    }
    return values;
  } finally {
    link.redis.disconnect();
  }
}
