import { createHmac, hkdfSync, randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
import { ConfigError } from "../../core/errors.js";
import { atLeast } from "../ollama/versions.js";

/** Where the jobs of one model wait. */
export interface QueuePlace {
  /** redis://[user:password@]host[:port][/number] or, over TLS, rediss://... */
  url: string;
  /** As `ollama list` prints it, for example "llama3.1:8b"; without a tag it means ":latest". */
  model: string;
  /** Secret that seals prompts and answers, 32 characters or more, the same on every machine. Default: CRAGRU_QUEUE_KEY. */
  key?: string;
}

/** An open connection and the queue library. */
export interface QueueLink {
  redis: Redis;
  bullmq: typeof import("bullmq");
  /** The address without credentials. */
  place: string;
}

/** First word of every key of the queue library. */
export const PREFIX = "cragru";
const REDIS_FLOOR = "6.2.0";
const CONNECT_MS = 5000, LONGEST_RECONNECT_MS = 2000;
const SHORTEST_KEY = 32;

/**
 * Connects to Redis. A connection that breaks later comes back by itself, and what was asked meanwhile waits for it.
 * @throws ConfigError for a missing package, an address that cannot be read, a server that does not answer or is older than 6.2.
 */
export async function connectQueue(url: string): Promise<QueueLink> {
  const place = placeOf(url);
  const { bullmq, Redis } = await loadPackages();
  let isOpen = false;
  const redis = new Redis(url, {
    lazyConnect: true, connectTimeout: CONNECT_MS, maxRetriesPerRequest: null,
    retryStrategy: (times) => (isOpen ? Math.min(LONGEST_RECONNECT_MS, 100 * 2 ** Math.min(times, 6)) : null),
  });
  let lost: unknown;
  // Without a listener the client prints to the console.
  redis.on("error", (error) => { lost = error; });
  try {
    await redis.connect();
    const version = /redis_version:(\S+)/.exec(await redis.info("server"))?.[1] ?? "0.0.0";
    if (!atLeast(version, REDIS_FLOOR)) throw tooOld(place, version);
    isOpen = true;
    return { redis, bullmq, place };
  } catch (error) {
    redis.disconnect();
    throw error instanceof ConfigError ? error : unreachable(place, lost ?? error);
  }
}

/** The queue library's name of a model's queue: it allows no colon. "llama3.1" and "llama3.1:latest" are one model. */
export function queueNameOf(model: string): string {
  if (!/^[^\s"]+$/.test(model)) throw new ConfigError("CONFIG_QUEUE_MODEL", `"${model}" is no name of a model.`, { hint: "Write for example llama3.1:8b." });
  const tagged = model.includes(":", model.lastIndexOf("/") + 1) ? model : `${model}:latest`;
  return encodeURIComponent(tagged).replaceAll("*", "%2A");
}

/** The 32 bytes that seal the queue's contents. @throws ConfigError when there is no key or a short one. */
export function sealingKey(key: string | undefined): Buffer {
  const secret = key ?? process.env["CRAGRU_QUEUE_KEY"] ?? "";
  if (secret.length < SHORTEST_KEY) {
    const what = secret === "" ? "The queue needs a key: prompts hold people's histories and are sealed on their way." : `The queue's key has ${secret.length} characters; it needs ${SHORTEST_KEY}.`;
    throw new ConfigError("CONFIG_QUEUE_KEY", what, {
      hint: `Set the same one on every machine, for example: export CRAGRU_QUEUE_KEY=${randomBytes(24).toString("base64url")}`,
    });
  }
  return Buffer.from(hkdfSync("sha256", secret, "", "cragru queue", 32));
}

/** Tells two keys apart without telling either. */
export function keyCheck(key: Buffer): string {
  return createHmac("sha256", key).update("which key").digest("hex").slice(0, 32);
}

function placeOf(text: string): string {
  const shown = text.includes("@") ? `...@${text.slice(text.lastIndexOf("@") + 1)}` : text;
  let url: URL | undefined;
  try {
    url = new URL(text.trim());
  } catch {
    // Reported below.
  }
  if (!url || !/^rediss?:$/.test(url.protocol) || url.hostname === "" || !/^(\/\d*)?$/.test(url.pathname)) {
    throw new ConfigError("CONFIG_QUEUE", `"${shown.slice(0, 80)}" is no address of a Redis server.`, {
      hint: "Write for example redis://127.0.0.1:6379, redis://user:password@queue1, or rediss://queue1:6380 over TLS.",
    });
  }
  return `${url.protocol}//${url.hostname}:${url.port || "6379"}${url.pathname === "/" ? "" : url.pathname}`;
}

function unreachable(place: string, error: unknown): ConfigError {
  const why = error instanceof Error ? error.message : String(error);
  // The client's first word, HELLO, is as young as Redis 6.
  if (/unknown command/i.test(why)) return tooOld(place, "5 or older");
  const isRefused = /NOAUTH|WRONGPASS|NOPERM/.test(why);
  return new ConfigError("CONFIG_QUEUE_DOWN", `No queue answers at ${place} (${why.replace(/\s+/g, " ").slice(0, 200)}).`, {
    hint: isRefused ? "Put the user and password into the address: redis://user:password@host" : "Start it with: redis-server --appendonly yes",
    cause: error,
  });
}

function tooOld(place: string, version: string): ConfigError {
  return new ConfigError("CONFIG_QUEUE_VERSION", `${place} runs Redis ${version}; the queue needs 6.2 or later.`, {
    hint: "Update it, on Debian with: apt-get install redis-server",
  });
}

async function loadPackages(): Promise<{ bullmq: typeof import("bullmq"); Redis: typeof Redis }> {
  try {
    const [bullmq, { Redis: client }] = await Promise.all([import("bullmq"), import("ioredis")]);
    return { bullmq, Redis: client };
  } catch (cause) {
    throw new ConfigError("CONFIG_QUEUE_PACKAGES", "The queue needs the optional packages bullmq and ioredis, which could not be loaded.", {
      hint: "Run: npm install bullmq@6.7.0 ioredis@6.0.0", cause,
    });
  }
}
