import { appendFile, open, stat } from "node:fs/promises";
import { fingerprint } from "../core/fingerprint.js";
import type { Interactions } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";
import type { Prompt } from "../core/prompt.js";
import { GenerationFailure } from "./failures.js";
import type { Completion, EngineInfo, Generator } from "./generator.js";
import { completionOf, engineId } from "./replay.js";
import { eachEntry, purgeReplies, readEntry, removeTornLine, touches, type ReplayEntry } from "./replayfile.js";

/** A generator that keeps its answers. */
export interface Journaled extends Generator {
  /** How many of these prompts have their answer in the journal already. */
  known(prompts: readonly Prompt[], options?: RunOptions): Promise<number>;
  purge(rows: Interactions): Promise<string[]>;
}

/**
 * Keeps each answer of `generator` in `file` (one JSON object a line, readable by the owner alone) before it is handed on, and
 * gives kept answers again instead of asking: by prompt, model digest and options, so another model or seed never mixes in.
 * A killed process loses nothing that was answered; a line that it left half-written is removed when the file is opened.
 * `purge` takes out, before it returns, every answer of a user whose rows are named and every answer to a prompt that printed
 * one of them; answers still on their way are then dropped. In memory: 16 bytes of key and a place for each answer.
 */
export function journaled(generator: Generator, file: string): Journaled {
  return new Journal(generator, file);
}

interface Place {
  at: number;
  bytes: number;
}

class Journal implements Journaled {
  readonly name: string;
  readonly concurrency?: number;
  readonly prepare?: (prompts: readonly Prompt[]) => void;
  /** Undefined until the file was read, and after a purge. */
  private places: Map<string, Place> | undefined;
  /** Writes, purges and reads follow each other. */
  private tail: Promise<unknown> = Promise.resolve();
  /** Purges so far: an answer that was asked for before one of them may have to go. */
  private readonly purges: Interactions[] = [];

  constructor(private readonly inner: Generator, private readonly file: string) {
    this.name = inner.name;
    if (inner.concurrency !== undefined) this.concurrency = inner.concurrency;
    if (inner.prepare) this.prepare = (prompts) => inner.prepare!(prompts);
  }

  describe(options?: RunOptions): Promise<EngineInfo> {
    return this.inner.describe(options);
  }

  async generate(prompt: Prompt, options: RunOptions = {}): Promise<Completion> {
    // First of all: a purge that arrives from here on concerns this answer.
    const seen = this.purges.length;
    this.inner.prepare?.([prompt]);
    const engine = await this.inner.describe(options);
    const kept = await this.next(() => this.find(prompt, engineId(engine)));
    if (kept) return { ...completionOf(kept, prompt), engine, isKept: true };
    const completion = await this.inner.generate(prompt, options);
    options.signal?.throwIfAborted();
    await this.next(() => this.write(entryOf(prompt, completion), seen));
    return completion;
  }

  async known(prompts: readonly Prompt[], options: RunOptions = {}): Promise<number> {
    const places = await this.next(() => this.index());
    if (places.size === 0) return 0;
    const id = engineId(await this.inner.describe(options));
    return prompts.filter(({ promptHash }) => places.has(keyOf(promptHash, id))).length;
  }

  async purge(rows: Interactions): Promise<string[]> {
    this.purges.push(rows);
    await this.next(async () => {
      this.places = undefined;
      if ((await sizeOf(this.file)) === undefined) return;
      await purgeReplies(this.file, { rows, users: rows.presentUsers() });
    });
    return this.inner.purge?.(rows) ?? [];
  }

  hostLoad(): string | undefined {
    return this.inner.hostLoad?.();
  }

  async close(): Promise<void> {
    await this.tail;
    await this.inner.close();
  }

  private async index(): Promise<Map<string, Place>> {
    if (this.places) return this.places;
    await removeTornLine(this.file);
    const places = new Map<string, Place>();
    if ((await sizeOf(this.file)) !== undefined) {
      await eachEntry(this.file, (entry, line, at) => {
        places.set(keyOf(entry.promptHash, engineId(entry.engine)), { at, bytes: Buffer.byteLength(line) + 1 });
      });
    }
    this.places = places;
    return places;
  }

  private async write(entry: ReplayEntry, seen: number): Promise<void> {
    if (this.purges.slice(seen).some((rows) => touches(entry, { rows, users: rows.presentUsers() }))) {
      throw new GenerationFailure("GENERATION_CANCELLED", "cancelled", "A row behind this answer was forgotten while it was being made; the answer was dropped.");
    }
    const places = await this.index();
    const line = Buffer.from(`${JSON.stringify(entry)}\n`);
    try {
      await appendFile(this.file, line, { mode: 0o600 });
    } catch (error) {
      // What a failed write left of its line must not stand before the next one.
      await removeTornLine(this.file).catch(() => undefined);
      throw error;
    }
    // Where it ends is where the file ends, also when another journal writes into the same one.
    const end = (await sizeOf(this.file)) ?? line.length;
    places.set(keyOf(entry.promptHash, engineId(entry.engine)), { at: end - line.length, bytes: line.length });
  }

  /** The kept answer to a prompt by an engine. One that is not where it was (another process changed the file) is looked for again, once. */
  private async find(prompt: Prompt, engine: string): Promise<ReplayEntry | undefined> {
    for (const isAgain of [false, true]) {
      const place = (await this.index()).get(keyOf(prompt.promptHash, engine));
      if (!place) return undefined;
      const entry = await this.read(place).catch((error: unknown) => {
        if (isAgain) throw error;
      });
      if (entry?.promptHash === prompt.promptHash && engineId(entry.engine) === engine) return entry;
      this.places = undefined;
    }
    return undefined;
  }

  private async read({ at, bytes }: Place): Promise<ReplayEntry> {
    const handle = await open(this.file, "r");
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, at);
      return readEntry(buffer.toString("utf8", 0, bytesRead - 1), this.file, undefined);
    } finally {
      await handle.close();
    }
  }

  private next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.tail.then(work);
    this.tail = done.catch(() => undefined);
    return done;
  }
}

/** The entry of an answer. */
export function entryOf(prompt: Prompt, completion: Completion): ReplayEntry {
  const { similar } = prompt;
  return {
    promptHash: prompt.promptHash, user: prompt.user, evidence: Array.from(prompt.evidence.items),
    ...(similar && similar.length > 0 ? { similar: Array.from(similar.items, (item, row) => [similar.users[row]!, item]) } : {}),
    reply: completion.reply, scores: Array.from(completion.scores), positionTau: completion.positionTau ?? null,
    status: completion.status === "ok" ? "ok" : "repaired", counts: completion.counts, seconds: completion.seconds, engine: completion.engine,
  };
}

function keyOf(promptHash: string, engine: string): string {
  return Buffer.from(fingerprint("answer", promptHash, engine).slice(0, 32), "hex").toString("latin1");
}

/** Undefined where there is no file. */
async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
