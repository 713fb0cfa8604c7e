import { canonicalJson, fingerprint } from "../core/fingerprint.js";
import type { RunOptions } from "../core/progress.js";
import type { Prompt } from "../core/prompt.js";
import { rankCandidates } from "./contract.js";
import { emptyCounts } from "./counts.js";
import { GenerationFailure } from "./failures.js";
import type { Completion, EngineInfo, Generator } from "./generator.js";
import { eachEntry, type ReplayEntry } from "./replayfile.js";

export interface ReplayOptions {
  /** {@link engineId} of the answers to use; needed when a file holds answers of several engines. */
  engine?: string;
}

/**
 * Options that say where, how long and with how much room a model lies in memory, and never what it answers: no prompt is ever
 * cut, and an answer that meets its limit is asked for again with more room.
 */
const PLACE = new Set(["numCtx", "numPredict", "keepAlive"]);

const ids = new WeakMap<EngineInfo, string>();

/** Identity of an engine with its model file and options, without the place where it ran. */
export function engineId(info: EngineInfo): string {
  const known = ids.get(info);
  if (known !== undefined) return known;
  const options = Object.fromEntries(Object.entries(info.options).filter(([name]) => !PLACE.has(name)));
  const id = fingerprint("engine", info.engine, info.model, info.digest, canonicalJson(options)).slice(0, 16);
  ids.set(info, id);
  return id;
}

/** A kept answer as the answer to `prompt`. @throws GenerationFailure when it is one to other candidates. */
export function completionOf(entry: ReplayEntry, prompt: Prompt): Omit<Completion, "engine"> {
  if (entry.scores.length !== prompt.candidates.length) {
    throw new GenerationFailure("GENERATION_REPLAY_FILE", "permanent", `A kept answer has ${entry.scores.length} scores for the ${prompt.candidates.length} candidates of user ${prompt.user}.`);
  }
  const scores = Float64Array.from(entry.scores);
  return {
    user: prompt.user, scores, ranking: rankCandidates(scores, prompt.candidates), status: entry.status, counts: { ...emptyCounts(), ...entry.counts },
    reply: entry.reply, positionTau: entry.positionTau ?? undefined, seconds: entry.seconds,
  };
}

/**
 * Answers from a file made by {@link journaled}, or from entries in memory, by prompt hash: the same words get the same scores.
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
    return { ...completionOf(entry, prompt), engine: replayed(entry.engine) };
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
