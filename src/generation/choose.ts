import { ConfigError, GenerationError } from "../core/errors.js";
import type { RunOptions } from "../core/progress.js";
import { copycat } from "./copycat.js";
import { embedded } from "./embedded.js";
import type { EngineInfo, Generator } from "./generator.js";
import { llamaCpp, type LlamaCppOptions } from "./llamacpp/llamacpp.js";
import { ollama, type OllamaOptions } from "./ollama/ollama.js";
import { replay, type ReplayOptions } from "./replay.js";

/** `auto`, `embedded`, `copycat` (the leak probe), `ollama:<model>`, `llamacpp:<file.gguf>` or `replay:<file>`. */
export type GeneratorSpec = "auto" | "embedded" | "copycat" | `ollama:${string}` | `llamacpp:${string}` | `replay:${string}`;

export interface ChooseOptions extends RunOptions {
  /** The model that `auto` asks for (default llama3.1:8b). */
  model?: string;
  ollama?: Omit<OllamaOptions, "model">;
  llamacpp?: Omit<LlamaCppOptions, "modelPath">;
  replay?: ReplayOptions;
}

export interface Choice {
  generator: Generator;
  engine: EngineInfo;
  /** One sentence for stderr and the manifest: what answers, and why. */
  sentence: string;
}

export const DEFAULT_MODEL = "llama3.1:8b";

/**
 * Makes the generator that a specification names and asks it who it is. Only `auto` chooses: a server at OLLAMA_HOST (or
 * `options.ollama.host`) that answers and has the model, else the embedded ranker. A named engine that is missing is an
 * error, never a fallback.
 * @throws ConfigError for a specification that cannot be read; GenerationError when a named engine cannot serve.
 */
export async function chooseGenerator(spec: string, options: ChooseOptions = {}): Promise<Choice> {
  const found = /^(?:(auto|embedded|copycat)|(ollama|llamacpp|replay):(.+))$/s.exec(spec);
  if (!found) {
    throw new ConfigError("CONFIG_GENERATOR", `There is no generator "${spec}".`, {
      hint: "Choose auto, embedded, copycat, ollama:<model> (for example ollama:llama3.1:8b), llamacpp:<file.gguf> or replay:<file>.",
    });
  }
  const [, plain, kind, name = ""] = found;
  if (kind === "ollama") return named(ollama({ ...options.ollama, model: name }), options, "asked for by name");
  if (kind === "llamacpp") return named(llamaCpp({ ...options.llamacpp, modelPath: name }), options, "asked for by name");
  if (kind === "replay") return named(replay(name, options.replay), options, "asked for by name");
  if (plain === "embedded") return named(embedded(), options, "arithmetic on what the prompt holds, trained on nobody");
  if (plain === "copycat") return named(copycat(), options, "the leak probe: it lifts candidates that stand in the history");
  return auto(options);
}

async function auto(options: ChooseOptions): Promise<Choice> {
  const { model = DEFAULT_MODEL } = options;
  if (!options.ollama?.host && !options.ollama?.hosts && !process.env["OLLAMA_HOST"]) {
    return named(embedded(), options, "OLLAMA_HOST is not set");
  }
  const generator = ollama({ ...options.ollama, model });
  try {
    return await named(generator, options, "the server answers and has the model");
  } catch (error) {
    if (!(error instanceof GenerationError) || options.signal?.aborted) throw error;
    await generator.close();
    return named(embedded(), options, error.message.replace(/\s+/g, " "));
  }
}

async function named(generator: Generator, { signal }: RunOptions, why: string): Promise<Choice> {
  const engine = await generator.describe(signal ? { signal } : {});
  const place = engine.host ? ` at ${engine.host}` : "";
  return { generator, engine, sentence: `Generator: ${engine.label}${place} (${why.replace(/\.$/, "")}).` };
}
