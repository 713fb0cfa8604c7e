import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { appendFile, chmod, open, rename, rm, stat, truncate } from "node:fs/promises";
import { createInterface } from "node:readline";
import { canonicalJson, fingerprint } from "../core/fingerprint.js";
import type { Interactions } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";
import type { Prompt } from "../core/prompt.js";
import { rankCandidates } from "./contract.js";
import { GenerationFailure } from "./failures.js";
import type { Completion, EngineInfo, GenerationCounts, Generator } from "./generator.js";

/** One recorded answer: a line of a replay file. It is personal data, as the prompt was. */
export interface ReplayEntry {
  promptHash: string;
  user: number;
  /** Dense ids of the rows that the prompt printed: what a forget request looks for. */
  evidence: number[];
  reply: string;
  scores: number[];
  status: "ok" | "repaired";
  counts: GenerationCounts;
  seconds: number;
  engine: EngineInfo;
}

export interface ReplayOptions {
  /** {@link engineId} of the answers to use; needed when a file holds answers of several engines. */
  engine?: string;
}

/** Identity of an engine with its model file and options, without the place where it ran. */
export function engineId(info: EngineInfo): string {
  return fingerprint("engine", info.engine, info.model, info.digest, canonicalJson(info.options)).slice(0, 16);
}

/**
 * Answers from a file made by {@link record}, or from entries in memory, by prompt hash: the same words get the same scores.
 * `describe` names the recorded engine, with `replayed: true`. The file is read at the first call.
 * @throws GenerationFailure `GENERATION_REPLAY_FILE` (absent, or a line that cannot be read), `GENERATION_REPLAY_MIXED`
 * (several engines and no choice), and from `generate` `GENERATION_REPLAY_MISSING`.
 */
export function replay(source: string | readonly ReplayEntry[], options: ReplayOptions = {}): Generator {
  return new Replayer(source, options);
}

class Replayer implements Generator {
  readonly name: string;
  readonly concurrency = 1;
  private loading: Promise<{ entries: Map<string, ReplayEntry>; info: EngineInfo }> | undefined;

  constructor(private readonly source: string | readonly ReplayEntry[], private readonly options: ReplayOptions) {
    this.name = typeof source === "string" ? `replay:${source}` : "replay";
  }

  async describe(): Promise<EngineInfo> {
    return (await this.load()).info;
  }

  async generate(prompt: Prompt, options: RunOptions = {}): Promise<Completion> {
    const { entries } = await this.load();
    options.signal?.throwIfAborted();
    const entry = entries.get(prompt.promptHash);
    if (!entry) {
      throw new GenerationFailure("GENERATION_REPLAY_MISSING", "permanent", `${this.name} has no answer for user ${prompt.user}, prompt ${prompt.promptHash}.`, {
        hint: "Record it again: data, split, retriever, candidates or template differ from the recorded run, or the answer was purged.",
      });
    }
    if (entry.scores.length !== prompt.candidates.length) {
      throw new GenerationFailure("GENERATION_REPLAY_FILE", "permanent", `${this.name} has ${entry.scores.length} scores for the ${prompt.candidates.length} candidates of user ${prompt.user}.`);
    }
    const scores = Float64Array.from(entry.scores);
    return {
      user: prompt.user, scores, ranking: rankCandidates(scores, prompt.candidates), status: entry.status, counts: { ...entry.counts },
      reply: entry.reply, seconds: entry.seconds, engine: replayed(entry.engine),
    };
  }

  async close(): Promise<void> {
    this.loading = undefined;
  }

  private load(): Promise<{ entries: Map<string, ReplayEntry>; info: EngineInfo }> {
    this.loading ??= this.read();
    return this.loading;
  }

  private async read(): Promise<{ entries: Map<string, ReplayEntry>; info: EngineInfo }> {
    const entries = new Map<string, ReplayEntry>();
    const engines = new Map<string, EngineInfo>();
    const take = (entry: ReplayEntry): void => {
      const id = engineId(entry.engine);
      if (this.options.engine !== undefined && id !== this.options.engine) return;
      engines.set(id, entry.engine);
      entries.set(entry.promptHash, entry);
    };
    if (typeof this.source === "string") await eachEntry(this.source, take);
    else this.source.forEach(take);
    if (engines.size > 1) {
      const list = [...engines].map(([id, { label }]) => `${id} (${label})`).join(", ");
      throw new GenerationFailure("GENERATION_REPLAY_MIXED", "permanent", `${this.name} holds answers of ${engines.size} engines: ${list}.`, {
        hint: "Choose one: replay(file, { engine: id }).",
      });
    }
    const [info] = engines.values();
    return { entries, info: info ? replayed(info) : EMPTY };
  }
}

const EMPTY: EngineInfo = {
  engine: "replay", label: "replay (empty)", isLanguageModel: false, model: undefined, digest: undefined, serverVersion: undefined,
  host: undefined, options: {}, replayed: true,
};

function replayed(info: EngineInfo): EngineInfo {
  return { ...info, label: info.replayed ? info.label : `${info.label}, replayed`, replayed: true };
}

/**
 * Passes on to `generator` and appends each answer to `file` (one JSON object a line, readable by the owner alone). A line
 * that an earlier run left half-written is removed first.
 */
export function record(generator: Generator, file: string): Generator {
  let tail: Promise<void> | undefined;
  const append = (line: string): Promise<void> => {
    const before = tail ?? removeTornLine(file);
    tail = before.then(async () => {
      await appendFile(file, line, { mode: 0o600 });
    });
    // A failed write fails this answer; the next one tries again.
    const done = tail;
    tail = done.catch(() => undefined);
    return done;
  };
  return {
    name: generator.name,
    ...(generator.concurrency === undefined ? {} : { concurrency: generator.concurrency }),
    ...(generator.prepare ? { prepare: (prompts: readonly Prompt[]) => generator.prepare!(prompts) } : {}),
    describe: (options) => generator.describe(options),
    async generate(prompt, options) {
      const completion = await generator.generate(prompt, options);
      await append(`${JSON.stringify(entryOf(prompt, completion))}\n`);
      return completion;
    },
    async close() {
      await tail;
      await generator.close();
    },
  };
}

/** The entry that `record` would write. */
export function entryOf(prompt: Prompt, completion: Completion): ReplayEntry {
  return {
    promptHash: prompt.promptHash, user: prompt.user, evidence: Array.from(prompt.evidence.items), reply: completion.reply,
    scores: Array.from(completion.scores), status: completion.status === "ok" ? "ok" : "repaired", counts: completion.counts,
    seconds: completion.seconds, engine: completion.engine,
  };
}

/** What must leave a replay file: answers to these prompts, answers made from any of these rows. */
export interface Purge {
  promptHashes?: Iterable<string>;
  rows?: Interactions;
}

/**
 * Rewrites a replay file without the entries that a forget request touches. The new file takes the old one's place in one
 * step, so a crash leaves one of the two, whole; a half-written last line goes too.
 * @throws GenerationFailure `GENERATION_REPLAY_FILE`; the file then stays as it was.
 */
export async function purgeReplies(file: string, { promptHashes = [], rows }: Purge): Promise<{ removed: number; kept: number }> {
  const hashes = new Set(promptHashes);
  const fresh = `${file}.${process.pid}.purge`;
  let removed = 0, kept = 0;
  const out = await open(fresh, "w", 0o600);
  try {
    let block: string[] = [];
    await eachEntry(file, async (entry, line) => {
      if (hashes.has(entry.promptHash) || (rows && entry.evidence.some((item) => rows.has(entry.user, item)))) {
        removed++;
        return;
      }
      kept++;
      block.push(`${line}\n`);
      if (block.length < 256) return;
      await out.write(block.join(""));
      block = [];
    });
    await out.write(block.join(""));
    await out.sync();
  } catch (error) {
    await out.close();
    await rm(fresh, { force: true });
    throw error;
  }
  await out.close();
  await chmod(fresh, (await stat(file)).mode & 0o777);
  await rename(fresh, file);
  return { removed, kept };
}

/** Calls `take` for each entry in file order. A last line without its line end was never finished and is passed over. */
async function eachEntry(file: string, take: (entry: ReplayEntry, line: string) => void | Promise<void>): Promise<void> {
  let end: number;
  try {
    end = await endOfWholeLines(file);
  } catch (error) {
    throw new GenerationFailure("GENERATION_REPLAY_FILE", "permanent", `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}.`, {
      hint: "Record a run first: record(generator, file).", cause: error,
    });
  }
  if (end === 0) return;
  const lines = createInterface({ input: createReadStream(file, { end: end - 1 }), crlfDelay: Infinity });
  let number = 0;
  for await (const line of lines) {
    number++;
    if (line.trim() !== "") await take(readEntry(line, file, number), line);
  }
}

/** Bytes up to and with the last line end. Entries are read back from the end in pieces. */
async function endOfWholeLines(file: string): Promise<number> {
  const handle = await open(file, "r");
  try {
    const piece = Buffer.alloc(65536);
    for (let end = (await handle.stat()).size; end > 0;) {
      const start = Math.max(0, end - piece.length);
      const { bytesRead } = await handle.read(piece, 0, end - start, start);
      const at = piece.subarray(0, bytesRead).lastIndexOf(10);
      if (at >= 0) return start + at + 1;
      end = start;
    }
    return 0;
  } finally {
    await handle.close();
  }
}

async function removeTornLine(file: string): Promise<void> {
  try {
    const whole = await endOfWholeLines(file);
    if (whole < (await stat(file)).size) await truncate(file, whole);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function readEntry(line: string, file: string, number: number): ReplayEntry {
  let entry: Partial<ReplayEntry> | null = null;
  try {
    entry = JSON.parse(line) as Partial<ReplayEntry> | null;
  } catch {
    // Reported below with the line number.
  }
  const fine = entry !== null && typeof entry === "object" && typeof entry.promptHash === "string" && Number.isInteger(entry.user)
    && typeof entry.reply === "string" && Array.isArray(entry.scores) && entry.scores.every((score) => Number.isFinite(score))
    && Array.isArray(entry.evidence) && (entry.status === "ok" || entry.status === "repaired")
    && typeof entry.counts === "object" && entry.counts !== null && typeof entry.engine === "object" && entry.engine !== null;
  if (!fine) {
    const digest = createHash("sha256").update(line).digest("hex").slice(0, 8);
    throw new GenerationFailure("GENERATION_REPLAY_FILE", "permanent", `${file}, line ${number} is no recorded answer (${line.length} characters, SHA-256 ${digest}).`, {
      hint: "Remove that line, or record the run again.",
    });
  }
  return entry as ReplayEntry;
}
