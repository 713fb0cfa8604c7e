import { availableParallelism } from "node:os";
import type { Message } from "../../core/prompt.js";
import { HIGHEST_SCORE, LOWEST_SCORE } from "../contract.js";
import { GenerationFailure } from "../failures.js";
import { importLlama, type ChatWrapper, type GpuChoice, type GrammarState, type LlamaModel, type LlamaPackage, type LlamaRuntime } from "./package.js";
import { LlamaSeats, type Adapter } from "./seats.js";

export interface EngineOptions {
  modelPath: string;
  lora: readonly Adapter[];
  gpu: GpuChoice;
  threads: number;
  concurrency: number;
  contextSize: number | undefined;
  from: string | undefined;
}

/** Llama 3 templates print today's date: this is the one they print where they are given none, so that tomorrow's bytes are today's (local time, as they print it). */
const FIXED = { todayDate: new Date(2024, 6, 26, 12) };

/** Chat forms that begin an answer with thoughts are told not to: the grammar admits none. */
const CHAT_FORMS = {
  "llama3.1": { ...FIXED, noToolInstructions: true }, "llama3.2-lightweight": FIXED, harmony: { ...FIXED, reasoningEffort: "low" },
  muse: FIXED, seed: { thinkingBudget: 0 }, qwen: { thoughts: "discourage" }, gemma4: { reasoning: false }, jinjaTemplate: { reasoning: false },
};

/** Half of the cores: its threads wait for each other in a loop, and on two busy cores two of them took a hundred times as long as one. */
export function defaultThreads(): number {
  return Math.max(1, Math.floor(availableParallelism() / 2));
}

interface Runtime {
  llama: LlamaPackage;
  version: string;
  runtime: LlamaRuntime;
  /** What llama.cpp said last: its exceptions alone rarely tell why. */
  said: string[];
}

/** Started once for each choice of package, GPU and threads, and kept: it takes a second, holds no model, and ends with the process. */
const runtimes = new Map<string, Promise<Runtime>>();

function start({ gpu, threads, from }: EngineOptions): Promise<Runtime> {
  const key = JSON.stringify([gpu, threads, from]);
  const known = runtimes.get(key) ?? open();
  runtimes.set(key, known);
  return known;

  async function open(): Promise<Runtime> {
    try {
      const { llama, version } = await importLlama(from);
      const said: string[] = [];
      const logger = (_: string, message: string): void => {
        said.push(message.trim());
        if (said.length > 3) said.shift();
      };
      return { llama, version, said, runtime: await llama.getLlama({ gpu, build: "never", maxThreads: threads, logLevel: "error", logger }) };
    } catch (error) {
      runtimes.delete(key);
      throw engineFailure(error);
    }
  }
}

/** A model file, loaded. */
export class LlamaEngine {
  /** Name and versions of what runs the model, and on what. */
  readonly version: string;
  /** What the file calls itself. */
  readonly name: string | undefined;
  /** Tokens that are a whole score, and tokens that are one digit 1..9. */
  readonly scoreTokens: readonly number[];
  readonly digitTokens: readonly number[];

  private constructor(
    private readonly library: LlamaPackage, packageVersion: string, private readonly runtime: LlamaRuntime, readonly model: LlamaModel,
    private readonly wrapper: ChatWrapper, readonly seats: LlamaSeats,
  ) {
    this.version = `node-llama-cpp ${packageVersion}, llama.cpp ${runtime.llamaCppRelease.release}, ${runtime.gpu === false ? "cpu" : runtime.gpu}`;
    this.name = model.fileInfo.metadata.general?.name;
    this.scoreTokens = this.wholeTokens(LOWEST_SCORE, HIGHEST_SCORE);
    this.digitTokens = this.wholeTokens(1, 9);
  }

  /** @throws GenerationFailure `GENERATION_ENGINE` when package or model does not load, `GENERATION_MEMORY`, `GENERATION_CONTEXT`. */
  static async load(options: EngineOptions): Promise<LlamaEngine> {
    const { llama, version, runtime, said } = await start(options);
    let model: LlamaModel | undefined;
    said.length = 0;
    try {
      model = await runtime.loadModel({ modelPath: options.modelPath });
      const wrapper = llama.resolveChatWrapper(model, { warningLogs: false, customWrapperSettings: CHAT_FORMS });
      const seats = new LlamaSeats(model, options);
      return new LlamaEngine(llama, version, runtime, model, wrapper, seats);
    } catch (error) {
      await model?.dispose();
      throw engineFailure(error, said);
    }
  }

  /** The model's own chat form, up to where its answer begins. What messages hold is text, also where it spells a control token. */
  tokens(messages: readonly Message[]): number[] {
    const history = messages.map(({ role, content }) => ({ type: role, text: content }));
    return this.wrapper.generateContextState({ chatHistory: [...history, { type: "model", response: [] }] }).contextText.tokenize(this.model.tokenizer);
  }

  /** A grammar at its beginning; each answer needs one of its own. */
  async grammar(text: string): Promise<GrammarState> {
    return new this.library.LlamaGrammarEvaluationState({ model: this.model, grammar: await this.runtime.createGrammar({ grammar: text }) });
  }

  /** The text of each token; together they are the text of all. */
  texts(tokens: readonly number[]): string[] {
    return tokens.map((token, at) => this.model.detokenize([token], false, tokens.slice(Math.max(0, at - 8), at)));
  }

  async close(): Promise<void> {
    await this.seats.close();
    await this.model.dispose();
  }

  private wholeTokens(low: number, high: number): number[] {
    return Array.from({ length: high - low + 1 }, (_, at) => this.model.tokenize(String(low + at))).flatMap((tokens) => (tokens.length === 1 ? tokens : []));
  }
}

/** Sorts what the engine threw into our codes. */
export function engineFailure(error: unknown, said: readonly string[] = []): GenerationFailure {
  if (error instanceof GenerationFailure) return error;
  const text = [error instanceof Error ? error.message : String(error), ...said].join(" ").replace(/\s+/g, " ");
  const short = text.length > 300 ? `${text.slice(0, 297)}...` : text;
  const name = error instanceof Error ? error.constructor.name : "";
  if (/\bdisposed\b/i.test(text)) return new GenerationFailure("GENERATION_CANCELLED", "cancelled", "The model was closed while it answered.", { cause: error });
  if (name === "InsufficientMemoryError" || /out of memory|failed to allocate|insufficient (?:v?ram|memory)|too large for the available/i.test(text)) {
    return new GenerationFailure("GENERATION_MEMORY", "permanent", `There is not enough memory for the model: ${short}`, {
      hint: "Use a smaller or more quantised model, a smaller contextSize, or concurrency 1.", cause: error,
    });
  }
  return new GenerationFailure("GENERATION_ENGINE", "permanent", `llama.cpp failed: ${short}`, {
    hint: "Check that the file is a text model that this release of llama.cpp knows, and that the package has a binary for this machine.", cause: error,
  });
}
