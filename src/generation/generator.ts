import type { Interactions } from "../core/interactions.js";
import type { Prompt } from "../core/prompt.js";
import type { RunOptions } from "../core/progress.js";

/** Counted at every rung of the ladder schema, validate, retry, repair, fallback. Sums over a run are printed with every table. */
export interface GenerationCounts {
  answers: number;
  okFirst: number;
  qualityRetries: number;
  transportRetries: number;
  repaired: number;
  fallback: number;
  unknownKeys: number;
  duplicateKeys: number;
  missingKeys: number;
  clamped: number;
  coerced: number;
  lengthStops: number;
  /** Scores whose expectation was not read because too little of the distribution was visible, or the number had several tokens. */
  lowMass: number;
  splitScore: number;
  ties: number;
  tokensIn: number;
  tokensOut: number;
}

/** Which engine answers, as it describes itself. Nothing may be labelled an LLM result unless `isLanguageModel`. */
export interface EngineInfo {
  /** `copycat`: the leak probe. `test-server`: the stand-in that the tests run; its answers are never an Ollama result. */
  engine: "ollama" | "llama.cpp" | "embedded" | "copycat" | "replay" | "test-server";
  /** For tables: "embedded (no LLM)", "llama3.1:8b (ollama)". */
  label: string;
  isLanguageModel: boolean;
  model: string | undefined;
  digest: string | undefined;
  serverVersion: string | undefined;
  /** Host without credentials. */
  host: string | undefined;
  options: Readonly<Record<string, unknown>>;
  /** True for answers recorded earlier. */
  replayed: boolean;
}

export interface Completion {
  user: number;
  /** One finite score per candidate, candidate order. */
  scores: Float64Array;
  /** Dense item ids: score descending, then backbone rank. */
  ranking: Uint32Array;
  /** "ok" only when nothing was repaired and nothing fell back. */
  status: "ok" | "repaired" | "fallback";
  counts: GenerationCounts;
  /** The text as it came, for journals and replay, one line a pass; empty for engines that do not speak. */
  reply: string;
  /** Kendall's tau between the order of the candidates in the prompt and their scores: how far the model repeats its input. */
  positionTau: number | undefined;
  seconds: number;
  engine: EngineInfo;
  /** Given by an earlier run and read again; `seconds` and `counts` are those of that run. Left out of rates. */
  isKept?: true;
}

export interface Generator {
  readonly name: string;
  /** Prompts worth having in flight at once; 1 when absent. */
  readonly concurrency?: number;
  /**
   * Shown all prompts of a run before the first is sent, to fix what must be equal for all of them (the context length).
   * @throws GenerationError when a prompt can never be served.
   */
  prepare?(prompts: readonly Prompt[]): void;
  /** Asks the engine who it is. @throws GenerationError when it cannot serve (no server, model missing). */
  describe(options?: RunOptions): Promise<EngineInfo>;
  /** @throws GenerationError when the ladder ends without a usable answer. */
  generate(prompt: Prompt, options?: RunOptions): Promise<Completion>;
  /** Which host does how much, in a few words, for the progress of a run. */
  hostLoad?(): string | undefined;
  /**
   * Removes everything it keeps that owes something to these rows or their users: kept answers, prompts in the memory of
   * servers. Returns in words what could not be removed.
   */
  purge?(rows: Interactions): Promise<string[]>;
  close(): Promise<void>;
}
