import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { Redis } from "ioredis";
import { ConfigError } from "../../core/errors.js";
import { Interactions } from "../../core/interactions.js";
import type { Prompt } from "../../core/prompt.js";
import type { EngineInfo } from "../generator.js";
import type { OllamaOptions } from "../ollama/ollama.js";
import { keyCheck, queueNameOf } from "./link.js";
import type { ReplayEntry } from "../replayfile.js";

/** What a run asks of the engine on every worker, besides the model. */
export type QueueSettings = Pick<OllamaOptions, "mode" | "permutations" | "combine" | "seed" | "numCtx" | "temperature" | "qualityRetries">;

/** A run as its workers must know it. Holds nothing of any user: only how long the longest prompt and answer are. */
export interface QueuedRun {
  settings: QueueSettings;
  /** Tokens of the longest prompt, upper estimate. */
  tokens: number;
  /** Lengths of the candidate keys of the prompt with the longest answer. */
  keyLengths: number[];
}

/** An answer on its way back. */
export interface QueuedAnswer {
  entry: ReplayEntry;
  worker: string;
}

/** Data of a job: Redis sees no more than this of a user in clear. */
export interface JobData {
  runId: string;
  /** Dense index; absent when a worker is only asked who it is. */
  user?: number;
  promptHash?: string;
  /** `engineId` and model digest that the answer must come from. */
  engine?: string;
  digest?: string;
}

/** Set of all models with a queue. */
export const MODELS_KEY = "cragru-store:models";

/** An answer counts if its prompt is still wanted, was not purged, and nobody answered before: 1 when it was taken. */
const TAKE_ANSWER = `
if redis.call('exists', KEYS[1]) == 0 then return 0 end
redis.call('del', KEYS[1])
if redis.call('exists', KEYS[2], KEYS[4]) > 0 then return 0 end
redis.call('set', KEYS[2], ARGV[1], 'EX', ARGV[2])
redis.call('hincrby', KEYS[3], ARGV[3], 1)
return 1`;

/** A prompt is put there unless a user behind it was forgotten since the run began: 1 when it was. */
const PUT_PROMPT = `
for at = 3, #KEYS, 2 do
  if tonumber(redis.call('get', KEYS[at]) or '0') > tonumber(ARGV[4 + (at - 1) / 2]) then return 0 end
end
if ARGV[4] == '1' then redis.call('del', KEYS[2]) end
redis.call('set', KEYS[1], ARGV[1], 'EX', ARGV[2])
for at = 4, #KEYS, 2 do
  redis.call('sadd', KEYS[at], ARGV[3])
  redis.call('expire', KEYS[at], ARGV[2])
end
return 1`;

/** What a worker says when it has carried out a purge. */
export interface HeardPurge {
  purge: number;
  /** In words what could not be removed. */
  left: string[];
}

/** How long the queue remembers a purge. */
export const FORGOTTEN_SECONDS = 7 * 86_400;

/**
 * Prompts and answers of one model's queue in Redis: compressed and sealed with AES-256-GCM under the queue's key, bound to
 * their place, gone after `lifeSeconds`. For every user whose rows a prompt prints a set of job ids stays in clear, so that
 * they can be purged without the key.
 */
export class QueueStore {
  private readonly base: string;

  constructor(private readonly redis: Redis, private readonly model: string, private readonly key: Buffer, private readonly lifeSeconds: number) {
    this.base = baseOf(model);
  }

  /** Fixes the key of this queue, or checks that ours is the one. @throws ConfigError `CONFIG_QUEUE_KEY`. */
  async checkKey(): Promise<void> {
    const own = keyCheck(this.key);
    await this.redis.set(`${this.base}key`, own, "NX");
    await this.redis.sadd(MODELS_KEY, decodeURIComponent(queueNameOf(this.model)));
    const found = await this.redis.get(`${this.base}key`);
    if (found === own || found === null) return;
    throw new ConfigError("CONFIG_QUEUE_KEY", `The queue of ${this.model} is sealed with another key than ours.`, {
      hint: "Use the same CRAGRU_QUEUE_KEY everywhere; to start anew and lose what waits there: cragru queue --queue <url> --clear",
    });
  }

  putRun(runId: string, run: QueuedRun): Promise<unknown> {
    const name = `${this.base}run:${runId}`;
    return this.redis.set(name, this.seal(name, run), "EX", this.lifeSeconds);
  }

  run(runId: string): Promise<QueuedRun | undefined> {
    return this.get<QueuedRun>(`${this.base}run:${runId}`);
  }

  putEngine(id: string, info: EngineInfo): Promise<unknown> {
    const name = `${this.base}engine:${id}`;
    return this.redis.set(name, this.seal(name, info), "EX", 600);
  }

  engine(id: string): Promise<EngineInfo | undefined> {
    return this.get<EngineInfo>(`${this.base}engine:${id}`);
  }

  /**
   * Before the job is added: a worker that finds no prompt takes the job for done. False when one of the prompt's users was
   * forgotten after `began(user)`, by {@link serverTime}: then nothing changes. `isNew`: the run asks for the first time, and
   * may ask what was purged before it began.
   */
  async putPrompt(id: string, prompt: Prompt, began: (user: number) => number, isNew = true): Promise<boolean> {
    const name = `${this.base}prompt:${id}`;
    const users = usersIn(prompt);
    const keys = [name, `${this.base}forgotten:${id}`, ...users.flatMap((user) => [markOf(this.base, user), `${this.base}user:${user}`])];
    const sealed = this.seal(name, plainPrompt(prompt));
    return (await this.redis.eval(PUT_PROMPT, keys.length, ...keys, sealed, this.lifeSeconds, id, isNew ? "1" : "0", ...users.map(began))) === 1;
  }

  serverTime(): Promise<number> {
    return serverTime(this.redis);
  }

  /** Number of the last purge; 0 when there was none. */
  async purges(): Promise<number> {
    return Number((await this.redis.get(`${this.base}purges`)) ?? 0);
  }

  /** A worker has carried out a purge. */
  async putHeard(worker: string, heard: HeardPurge): Promise<void> {
    const name = `${this.base}heard`;
    await this.redis.multi().hset(name, worker, JSON.stringify(heard)).expire(name, FORGOTTEN_SECONDS).exec();
  }

  dropPrompt(id: string): Promise<unknown> {
    return this.redis.del(`${this.base}prompt:${id}`);
  }

  /** Undefined when it was answered, purged, or has expired. */
  async prompt(id: string): Promise<Prompt | undefined> {
    if (await this.isForgotten(id)) return undefined;
    const plain = await this.get<PlainPrompt>(`${this.base}prompt:${id}`);
    return plain && { ...plain, evidence: rowsOf(plain.evidence), similar: plain.similar && rowsOf(plain.similar) } as Prompt;
  }

  /** Keeps an answer and drops its prompt. False when the prompt is gone (purged) or was answered before: then nothing changes. */
  async putAnswer(id: string, answer: QueuedAnswer): Promise<boolean> {
    const name = `${this.base}answer:${id}`;
    const taken = await this.redis.eval(TAKE_ANSWER, 4, `${this.base}prompt:${id}`, name, `${this.base}done`, `${this.base}forgotten:${id}`, this.seal(name, answer), this.lifeSeconds, answer.worker);
    return taken === 1;
  }

  /** In the order of `ids`; undefined where there is none yet. */
  async answers(ids: readonly string[]): Promise<(QueuedAnswer | undefined)[]> {
    if (ids.length === 0) return [];
    const names = ids.map((id) => `${this.base}answer:${id}`);
    const found = await this.redis.mgetBuffer(...names);
    return found.map((sealed, at) => (sealed ? this.open<QueuedAnswer>(names[at]!, sealed) : undefined));
  }

  /** Removes answers that are kept elsewhere now. */
  async drop(kept: Iterable<readonly [id: string, users: readonly number[]]>): Promise<void> {
    const work = this.redis.pipeline();
    for (const [id, users] of kept) {
      work.unlink(`${this.base}answer:${id}`);
      for (const user of users) work.srem(`${this.base}user:${user}`, id);
    }
    await work.exec();
  }

  async isForgotten(id: string): Promise<boolean> {
    return (await this.redis.exists(`${this.base}forgotten:${id}`)) === 1;
  }

  private async get<T>(name: string): Promise<T | undefined> {
    const sealed = await this.redis.getBuffer(name);
    return sealed ? this.open<T>(name, sealed) : undefined;
  }

  private seal(name: string, value: unknown): Buffer {
    const nonce = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", this.key, nonce).setAAD(Buffer.from(name));
    const body = Buffer.concat([cipher.update(deflateRawSync(JSON.stringify(value))), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), body]);
  }

  private open<T>(name: string, sealed: Buffer): T {
    try {
      const cipher = createDecipheriv("aes-256-gcm", this.key, sealed.subarray(0, 12)).setAAD(Buffer.from(name)).setAuthTag(sealed.subarray(12, 28));
      return JSON.parse(inflateRawSync(Buffer.concat([cipher.update(sealed.subarray(28)), cipher.final()])).toString("utf8")) as T;
    } catch (cause) {
      throw new ConfigError("CONFIG_QUEUE_KEY", `What lies in the queue of ${this.model} was sealed with another key, or changed.`, {
        hint: "Use the same CRAGRU_QUEUE_KEY everywhere.", cause,
      });
    }
  }
}

/** First part of the names of a model's prompts and answers. */
export function baseOf(model: string): string {
  return `cragru-store:${queueNameOf(model)}:`;
}

/** Name of the time at which a user was last forgotten. */
export function markOf(base: string, user: number): string {
  return `${base}gone:${user}`;
}

/** Microseconds since 1970 by the one clock that all share. */
export async function serverTime(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1e6 + Number(micros);
}

/** What the workers have said of purges. */
export async function heardOf(redis: Redis, base: string): Promise<Map<string, HeardPurge>> {
  return new Map(Object.entries(await redis.hgetall(`${base}heard`)).map(([worker, text]) => [worker, JSON.parse(text) as HeardPurge]));
}

/** A prompt that is as long as the run's longest and says nothing: for `prepare`, which looks at lengths alone. */
export function longestOf({ tokens, keyLengths }: QueuedRun): Prompt {
  const none = Interactions.empty({ userCount: 0, itemCount: 0 });
  return {
    user: 0, messages: [], history: [], evidence: none, similar: undefined, profile: undefined, ratingScale: { min: 1, max: 5 }, templateHash: "", promptHash: "",
    words: { instructions: "", before: "", closing: "", readout: { instructions: "", question: "" } }, tokenEstimate: tokens,
    candidates: keyLengths.map((length, at) => ({ key: "m".padEnd(length, "0"), item: at, title: "", year: undefined, genres: [], rank: at + 1, prior: 0, film: "" })),
  };
}

/** Users whose rows a prompt prints. */
export function usersIn({ user, similar }: Pick<Prompt, "user" | "similar">): number[] {
  return [...new Set([user, ...(similar?.users ?? [])])];
}

interface PlainRows {
  users: number[];
  items: number[];
  ratings: number[];
  timestamps?: number[];
  userCount: number;
  itemCount: number;
}

type PlainPrompt = Omit<Prompt, "evidence" | "similar"> & { evidence: PlainRows; similar?: PlainRows | undefined };

function plainPrompt(prompt: Prompt): PlainPrompt {
  return { ...prompt, evidence: plainRows(prompt.evidence), similar: prompt.similar && plainRows(prompt.similar) };
}

function plainRows({ users, items, ratings, timestamps, userCount, itemCount }: Interactions): PlainRows {
  return {
    users: Array.from(users), items: Array.from(items), ratings: Array.from(ratings), userCount, itemCount,
    ...(timestamps ? { timestamps: Array.from(timestamps) } : {}),
  };
}

function rowsOf({ users, items, ratings, timestamps, userCount, itemCount }: PlainRows): Interactions {
  return new Interactions({
    users: Uint32Array.from(users), items: Uint32Array.from(items), ratings: Float32Array.from(ratings),
    ...(timestamps ? { timestamps: Float64Array.from(timestamps) } : {}),
  }, { userCount, itemCount });
}
