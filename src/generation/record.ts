import { appendFile } from "node:fs/promises";
import type { Prompt } from "../core/prompt.js";
import type { Completion, Generator } from "./generator.js";
import { removeTornLine, type ReplayEntry } from "./replayfile.js";

/**
 * Passes on to `generator` and appends each answer to `file` (one JSON object a line, readable by the owner alone). A line
 * that an earlier run left half-written is removed first.
 */
export function record(generator: Generator, file: string): Generator {
  let tail = undefined as Promise<void> | undefined;
  const append = (line: string): Promise<void> => {
    const done = (tail ?? removeTornLine(file)).then(() => appendFile(file, line, { mode: 0o600 }));
    // A failed write fails its own answer; what it left of a line goes before the next one.
    tail = done.catch(() => removeTornLine(file)).catch(() => undefined);
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
