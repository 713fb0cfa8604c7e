import { basename, resolve } from "node:path";
import { unlessAborted, type RunOptions } from "../../core/progress.js";
import type { Prompt } from "../../core/prompt.js";
import type { Combination } from "../combine.js";
import { OptionChecks } from "../checks.js";
import { answerLimit } from "../contract.js";
import type { Completion, EngineInfo, Generator } from "../generator.js";
import { RETRY_TEMPERATURE } from "../ladder.js";
import { defaultThreads, LlamaEngine } from "./engine.js";
import type { GpuChoice } from "./package.js";
import type { Adapter } from "./seats.js";
import { LlamaSession, TOP_K, TOP_P } from "./session.js";
import { modelDigest } from "./modelfile.js";
import { speak } from "../modes.js";
import type { ScoringMode } from "../speaker.js";

export interface LlamaCppOptions {
  /** A model file in GGUF form; of a model in parts the first. */
  modelPath: string;
  /** LoRA adapters in GGUF form, applied in this order. */
  lora?: readonly Adapter[];
  /** How answers become scores (default "expected"). */
  mode?: ScoringMode;
  /** Passes over each user, the first in the prompt's order, the others shuffled by the seed (default 1). */
  permutations?: number;
  /** How several passes become one score (default "mean"). */
  combine?: Combination;
  /** Default 2020. Retries of an answer use seed + attempt. */
  seed?: number;
  /** Default 0. Above 0, top_p is 0.9 and top_k 40. */
  temperature?: number;
  /** Questions after an unusable answer (default 2, 0 to 2). */
  qualityRetries?: number;
  /** Tokens of prompt and answer together. Default: what the longest prompt needs, up to what the model was trained on. */
  contextSize?: number;
  /** Users answered at once, each with a context of its own in memory (default 1; equal bytes are promised for 1 alone). */
  concurrency?: number;
  /** Default "auto": a GPU where the package brings a binary for it; false for the processor. */
  gpu?: GpuChoice;
  /** Threads on the processor (default: half of the cores). */
  threads?: number;
  /** A folder in whose node_modules, or those above it, node-llama-cpp is looked for first, for example of a global install. */
  from?: string;
}

/** Files that call themselves by this name hold the random weights of our tests. */
const TOY = /^cragru toy\b/;

/**
 * A language model in this process: a GGUF file run by llama.cpp through the optional package node-llama-cpp. Answers are
 * bound to a grammar that admits exactly the keys and whole scores 1..100, and are validated again (ladder.ts); prompts are
 * counted by the model's own tokenizer and never cut; nothing is downloaded or compiled. With one seed and concurrency 1 a
 * prompt gets the same bytes whatever was asked before. Nothing of a prompt stays in the model's memory after its answer.
 * A file whose `general.name` begins with "cragru toy" is labelled a test engine and never a language model.
 * @throws ConfigError on options out of range.
 */
export function llamaCpp(options: LlamaCppOptions): Generator {
  return new LlamaCppGenerator(options);
}

interface Loaded {
  engine: LlamaEngine;
  info: EngineInfo;
}

const check = new OptionChecks("CONFIG_LLAMACPP");

class LlamaCppGenerator implements Generator {
  readonly name: string;
  readonly concurrency: number;
  private readonly options: Required<Omit<LlamaCppOptions, "contextSize" | "from">> & { contextSize: number | undefined; from: string | undefined };
  /** Shared by all callers that come before the model is loaded. */
  private loading: Promise<Loaded> | undefined;
  private loaded: Loaded | undefined;
  private contextNeed = 0;

  constructor({ contextSize, from, ...rest }: LlamaCppOptions) {
    this.options = {
      lora: [], mode: "expected", permutations: 1, combine: "mean", seed: 2020, temperature: 0, qualityRetries: 2, concurrency: 1,
      gpu: "auto", threads: defaultThreads(), ...rest, contextSize, from,
    };
    const { modelPath, lora, seed, temperature, qualityRetries, concurrency, gpu, threads } = this.options;
    if (typeof modelPath !== "string" || modelPath === "") throw check.bad("modelPath", modelPath, "the path of a .gguf file");
    if (!["auto", false, "cuda", "vulkan", "metal"].includes(gpu)) throw check.bad("gpu", gpu, '"auto", false, "cuda", "vulkan" or "metal"');
    check.whole("seed", seed, 0, 0xffffffff);
    check.number("temperature", temperature, 0, 2);
    check.whole("qualityRetries", qualityRetries, 0, 2);
    check.whole("concurrency", concurrency, 1, 64);
    check.whole("threads", threads, 1, 1024);
    if (contextSize !== undefined) check.whole("contextSize", contextSize, 256, 1 << 22);
    for (const { path, scale = 1 } of lora) {
      if (typeof path !== "string" || path === "") throw check.bad("lora", path, "adapters with the path of a .gguf file");
      check.number("scale of an adapter", scale, -100, 100);
    }
    check.speaking(this.options);
    this.concurrency = concurrency;
    this.name = `llamacpp:${basename(modelPath)}`;
  }

  /**
   * Reads the digest of the file and loads the model.
   * @throws GenerationFailure `GENERATION_MODEL_MISSING`, `GENERATION_REQUEST` (no GGUF file), `GENERATION_ENGINE` (package or
   * model does not load), `GENERATION_MEMORY`, `GENERATION_CONTEXT` (contextSize beyond the model's).
   */
  async describe({ signal }: RunOptions = {}): Promise<EngineInfo> {
    return (await this.load(signal)).info;
  }

  /** Notes how long the prompts of a run are by estimate, so that the context is made once. Their tokens are counted when they are asked. */
  prepare(prompts: readonly Prompt[]): void {
    for (const { tokenEstimate, candidates } of prompts) this.contextNeed = Math.max(this.contextNeed, tokenEstimate + answerLimit(candidates));
  }

  async generate(prompt: Prompt, { signal }: RunOptions = {}): Promise<Completion> {
    const start = performance.now();
    this.prepare([prompt]);
    const { engine, info } = await this.load(signal);
    const session = new LlamaSession(engine, this.contextNeed, signal);
    try {
      const spoken = await speak(prompt, session, this.options);
      return { user: prompt.user, ...spoken, seconds: (performance.now() - start) / 1000, engine: info };
    } finally {
      await session.close();
    }
  }

  /** Frees the model; answers under way are cancelled. A later call loads it again. */
  async close(): Promise<void> {
    const { loading } = this;
    this.loading = undefined;
    const loaded = await loading?.catch(() => undefined);
    this.loaded = undefined;
    await loaded?.engine.close();
  }

  private async load(signal: AbortSignal | undefined): Promise<Loaded> {
    signal?.throwIfAborted();
    if (this.loaded) return this.loaded;
    this.loading ??= this.open().catch((error: unknown) => {
      this.loading = undefined;
      throw error;
    });
    return signal ? unlessAborted(this.loading, signal) : this.loading;
  }

  private async open(): Promise<Loaded> {
    const modelPath = resolve(this.options.modelPath), lora = this.options.lora.map((adapter) => ({ ...adapter, path: resolve(adapter.path) }));
    const digest = await modelDigest(modelPath);
    const adapters: { file: string; digest: string; scale: number }[] = [];
    for (const { path, scale = 1 } of lora) adapters.push({ file: basename(path), digest: await modelDigest(path), scale });
    const engine = await LlamaEngine.load({ ...this.options, modelPath, lora });
    return (this.loaded = { engine, info: this.info(engine, digest, adapters) });
  }

  private info(engine: LlamaEngine, digest: string, adapters: readonly object[]): EngineInfo {
    const { modelPath, mode, permutations, combine, seed, temperature, qualityRetries, contextSize } = this.options;
    const toy = TOY.test(engine.name ?? ""), model = basename(modelPath, ".gguf");
    return {
      engine: toy ? "test-server" : "llama.cpp",
      label: toy ? "toy model (no LLM)" : `${model} (llama.cpp)`,
      isLanguageModel: !toy,
      model, digest, serverVersion: engine.version, host: undefined,
      options: {
        mode, permutations, ...(permutations > 1 ? { combine } : {}), seed, temperature, retryTemperature: RETRY_TEMPERATURE, topP: TOP_P, topK: TOP_K,
        numCtx: contextSize ?? null, qualityRetries, ...(adapters.length > 0 ? { lora: adapters } : {}),
      },
      replayed: false,
    };
  }
}
