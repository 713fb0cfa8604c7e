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
  ties: number;
  tokensIn: number;
  tokensOut: number;
}

/** Which engine answers, as it describes itself. Nothing may be labelled an LLM result unless `isLanguageModel`. */
export interface EngineInfo {
  /** `copycat`: the leak probe. `test-server`: the stand-in that the tests run; its answers are never an Ollama result. */
  engine: "ollama" | "embedded" | "copycat" | "replay" | "test-server";
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
  /** The text as it came, for journals and replay; empty for engines that do not speak. */
  reply: string;
  seconds: number;
  engine: EngineInfo;
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
  close(): Promise<void>;
}
