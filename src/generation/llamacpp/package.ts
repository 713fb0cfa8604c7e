import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { GenerationFailure } from "../failures.js";

/** What we use of node-llama-cpp, in its own words: the package is optional, and so are its types. */
export interface LlamaPackage {
  getLlama(options: {
    gpu: GpuChoice; build: "never"; maxThreads: number; logLevel: "error"; logger(level: string, message: string): void;
  }): Promise<LlamaRuntime>;
  resolveChatWrapper(model: LlamaModel, options: { warningLogs: boolean; customWrapperSettings: Record<string, object> }): ChatWrapper;
  LlamaGrammarEvaluationState: new (options: { model: LlamaModel; grammar: LlamaGrammar }) => GrammarState;
}

export type GpuChoice = "auto" | false | "cuda" | "vulkan" | "metal";

export interface LlamaRuntime {
  readonly gpu: string | false;
  readonly llamaCppRelease: { readonly release: string };
  loadModel(options: { modelPath: string }): Promise<LlamaModel>;
  createGrammar(options: { grammar: string }): Promise<LlamaGrammar>;
}

declare const opaque: unique symbol;
export interface LlamaGrammar { readonly [opaque]: "grammar" }
export interface GrammarState { readonly [opaque]: "state" }

export interface LlamaModel {
  readonly trainContextSize: number;
  readonly fileInfo: { readonly metadata: { readonly general?: { readonly name?: string } } };
  readonly tokenizer: unknown;
  /** Text that spells a control token stays text unless `special` is true. */
  tokenize(text: string, special?: boolean): number[];
  detokenize(tokens: readonly number[], special?: boolean, before?: readonly number[]): string;
  isSpecialToken(token: number): boolean;
  createContext(options: {
    contextSize: number; sequences: number; batchSize: number; threads: number; flashAttention: boolean; lora?: { adapters: { filePath: string; scale: number }[] };
  }): Promise<LlamaContext>;
  dispose(): Promise<void>;
}

export interface LlamaContext {
  readonly contextSize: number;
  getSequence(): LlamaSequence;
  dispose(): Promise<void>;
}

export interface LlamaSequence {
  /** Tokens held. */
  readonly nextTokenIndex: number;
  compareContextTokens(tokens: readonly number[]): { firstDifferentIndex: number };
  eraseContextTokenRanges(ranges: { start: number; end: number }[]): Promise<void>;
  clearHistory(): Promise<void>;
  evaluate(tokens: readonly number[], options: {
    temperature: number; topP: number; topK: number; seed: number; grammarEvaluationState: GrammarState;
  }): AsyncGenerator<number, void, void>;
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void>;
  controlledEvaluate(input: (number | [token: number, options: { generateNext: LogitRequest }])[]): Promise<(LogitReply | undefined)[]>;
}

/** Logits of the next token as the model gives them: no grammar, no temperature. */
export interface LogitRequest {
  logits: true | { filter: { tokens: readonly number[]; includeTop: number } };
  totalLogitWeight: true;
}

export interface LogitReply {
  next: { logits?: Map<number, number>; totalLogitWeight?: number };
}

export interface ChatWrapper {
  generateContextState(options: { chatHistory: ({ type: "system" | "user"; text: string } | { type: "model"; response: string[] })[] }): {
    contextText: { tokenize(tokenizer: unknown): number[] };
  };
}

export const PACKAGE = "node-llama-cpp";
/** The release that the tests run. */
const TESTED = "3.22.1";

/**
 * Imports node-llama-cpp as Node would find it from `from`, from this library, or from the working directory, in that order.
 * @throws GenerationFailure `GENERATION_ENGINE` with the command that installs it.
 */
export async function importLlama(from?: string): Promise<{ llama: LlamaPackage; version: string }> {
  const starts = [...(from === undefined ? [] : [resolve(from)]), dirname(fileURLToPath(import.meta.url)), process.cwd()];
  const folder = starts.map(packageFolder).find((found) => found !== undefined);
  if (folder === undefined) {
    throw new GenerationFailure("GENERATION_ENGINE", "permanent", `The package ${PACKAGE} is not installed; it runs model files without a server.`, {
      hint: `Run: npm install ${PACKAGE}@${TESTED}`,
    });
  }
  try {
    const { main, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { main: string; version: string };
    const llama = (await import(pathToFileURL(join(folder, main)).href)) as LlamaPackage;
    return { llama, version };
  } catch (error) {
    throw new GenerationFailure("GENERATION_ENGINE", "permanent", `The package ${PACKAGE} does not load: ${(error as Error).message}`, {
      hint: `Run: npm install ${PACKAGE}@${TESTED}`, cause: error,
    });
  }
}

/** The package's folder in the node_modules of `start` or of a folder above it. */
function packageFolder(start: string): string | undefined {
  for (let folder = start; ; folder = dirname(folder)) {
    const found = basename(folder) === "node_modules" ? join(folder, PACKAGE) : join(folder, "node_modules", PACKAGE);
    if (existsSync(join(found, "package.json"))) return found;
    if (dirname(folder) === folder) return undefined;
  }
}
