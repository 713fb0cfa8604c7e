import type { RunOptions } from "../../core/progress.js";
import type { Prompt } from "../../core/prompt.js";
import { KeyedRandom } from "../../core/rng.js";
import type { Combination } from "../combine.js";
import { OptionChecks } from "../checks.js";
import { answerLimit } from "../contract.js";
import { GenerationFailure } from "../failures.js";
import type { Completion, EngineInfo, Generator } from "../generator.js";
import { parseHosts } from "./hosts.js";
import { RETRY_TEMPERATURE } from "../ladder.js";
import { speak } from "../modes.js";
import { describeLoad, OllamaHosts, type Served } from "./fleet.js";
import { LONGEST_PAUSE_SECONDS, OllamaSession, TOP_P } from "./session.js";
import type { ScoringMode } from "../speaker.js";
import { isKnownVersion, isTestServer } from "./versions.js";

export interface OllamaOptions {
  /** As `ollama list` prints it, for example "llama3.1:8b"; without a tag it means ":latest". */
  model: string;
  /** One server in any spelling of OLLAMA_HOST, or several with commas. Default: OLLAMA_HOST, else http://127.0.0.1:11434. */
  host?: string;
  /** Several servers; all must hold the same model file. Those that are away are asked again later. */
  hosts?: readonly string[];
  /** How answers become scores (default "expected" where every server reports probabilities, since 0.12.11; else "listwise"). */
  mode?: ScoringMode;
  /** Passes over each user, the first in the prompt's order, the others shuffled by the seed (default 1). */
  permutations?: number;
  /** How several passes become one score (default "mean"). */
  combine?: Combination;
  /** Default 2020. Retries of an answer use seed + attempt. */
  seed?: number;
  /** Context length in tokens, equal for all requests. Default: computed from the longest prompt of a run. */
  numCtx?: number;
  /** Default 0. Above 0, top_p is 0.9. */
  temperature?: number;
  /** Deadline of one request (default 600). */
  timeoutSeconds?: number;
  /** How long the server keeps the model loaded (default "30m"). */
  keepAlive?: string | number;
  /** Requests in flight for each server (default 1, as OLLAMA_NUM_PARALLEL). */
  concurrency?: number;
  /** Repeats after a lost connection or a busy server (default 6, 0 to 6). */
  transportRetries?: number;
  /** Questions after an unusable answer (default 2, 0 to 2). */
  qualityRetries?: number;
  /** First pause before a repeat; it doubles each time (default 0.3). */
  backoffSeconds?: number;
}

const SMALLEST_CONTEXT = 4096;

/**
 * A language model behind one or more Ollama servers. Answers are bound to a JSON schema and validated again (ladder.ts);
 * prompts are never truncated; transport faults are repeated with exponential pauses whose jitter is keyed by seed and user.
 * Nothing is ever downloaded. Temperature 0 and one seed repeat on one idle server; servers do not promise it in batches.
 * @throws ConfigError on options out of range or addresses that cannot be read.
 */
export function ollama(options: OllamaOptions): Generator {
  return new OllamaGenerator(options);
}

const check = new OptionChecks("CONFIG_OLLAMA");

class OllamaGenerator implements Generator {
  readonly name: string;
  readonly concurrency: number;
  private readonly options: Required<Omit<OllamaOptions, "host" | "hosts" | "numCtx" | "mode">> & Pick<OllamaOptions, "mode"> & { numCtx: number | undefined };
  private readonly fleet: OllamaHosts;
  private readonly jitter: KeyedRandom;
  private context = 0;
  private answer = 0;
  private known: { key: string; info: EngineInfo } | undefined;

  constructor({ host, hosts, numCtx, ...rest }: OllamaOptions) {
    this.options = {
      seed: 2020, temperature: 0, timeoutSeconds: 600, keepAlive: "30m", concurrency: 1, transportRetries: 6, qualityRetries: 2,
      backoffSeconds: 0.3, permutations: 1, combine: "mean", ...rest, numCtx,
    };
    const { model, seed, temperature, timeoutSeconds, keepAlive, concurrency, transportRetries, qualityRetries, backoffSeconds } = this.options;
    if (typeof model !== "string" || !/^[^\s"]+$/.test(model)) throw check.bad("model", model, 'the name of a model, for example "llama3.1:8b"');
    check.number("temperature", temperature, 0, 2);
    check.number("timeoutSeconds", timeoutSeconds, 0.001, 86_400);
    check.number("backoffSeconds", backoffSeconds, 0, LONGEST_PAUSE_SECONDS);
    check.whole("concurrency", concurrency, 1, 256);
    check.whole("transportRetries", transportRetries, 0, 6);
    check.whole("qualityRetries", qualityRetries, 0, 2);
    check.speaking(this.options);
    if (numCtx !== undefined) check.whole("numCtx", numCtx, 256, 1 << 22);
    const servers = hosts ? parseHosts(hosts.join(",")) : parseHosts(host ?? process.env["OLLAMA_HOST"]);
    this.fleet = new OllamaHosts(servers, { model, timeoutSeconds, keepAlive, concurrency });
    this.jitter = new KeyedRandom(seed, "retry");
    this.concurrency = servers.length * concurrency;
    this.name = `ollama:${model}`;
  }

  /**
   * Asks every server for its version and for the model. Refuses servers below 0.12.6, which cut long prompts in silence, and
   * modes that a server is too old for.
   * @throws GenerationFailure `GENERATION_SERVER_DOWN`, `GENERATION_VERSION`, `GENERATION_MODEL_MISSING`, `GENERATION_MIXED_MODELS`.
   */
  async describe(options: RunOptions = {}): Promise<EngineInfo> {
    return this.info(await this.serve(options.signal));
  }

  /** Fixes num_ctx and the answer limit for a run. They grow for a later run if they must; a change reloads the model. */
  prepare(prompts: readonly Prompt[]): void {
    let answer = this.answer, need = this.context;
    for (const prompt of prompts) answer = Math.max(answer, answerLimit(prompt.candidates));
    for (const prompt of prompts) {
      const tokens = prompt.tokenEstimate + answer;
      need = Math.max(need, SMALLEST_CONTEXT, Math.ceil(tokens / 1024) * 1024);
      if (this.options.numCtx !== undefined && tokens > this.options.numCtx) {
        throw new GenerationFailure("GENERATION_CONTEXT", "permanent", `The prompt of user ${prompt.user} takes up to ${prompt.tokenEstimate} tokens and its answer ${answer}: more than numCtx ${this.options.numCtx}.`, {
          hint: `Pass numCtx ${Math.ceil(tokens / 1024) * 1024} or more; a history is never shortened to make it fit.`,
        });
      }
    }
    this.answer = answer;
    this.context = this.options.numCtx ?? need;
  }

  async generate(prompt: Prompt, { signal }: RunOptions = {}): Promise<Completion> {
    const start = performance.now();
    this.prepare([prompt]);
    const served = await this.serve(signal);
    const session = new OllamaSession(prompt.user, this.fleet, { ...this.options, context: this.context, answer: this.answer }, this.jitter, signal);
    try {
      const spoken = await speak(prompt, session, { ...this.options, mode: this.modeOn(served) });
      return { user: prompt.user, ...spoken, seconds: (performance.now() - start) / 1000, engine: this.info(served) };
    } finally {
      session.close();
    }
  }

  hostLoad(): string | undefined {
    return describeLoad(this.fleet);
  }

  async purge(): Promise<string[]> {
    return (await this.fleet.unload()).map((host) => `${host} could not be told to unload ${this.options.model}: its memory may hold prompts it read last`);
  }

  async close(): Promise<void> {
    // Each call gives up its own connection; nothing is held between calls.
  }

  private async serve(signal: AbortSignal | undefined): Promise<Served> {
    const served = await this.fleet.serve(signal);
    const { mode, model } = this.options;
    if (mode !== undefined && mode !== "listwise" && !served.logprobs) {
      throw new GenerationFailure("GENERATION_VERSION", "permanent", `Mode "${mode}" needs the probabilities of tokens, which Ollama ${served.version} does not report for ${model}.`, {
        hint: 'Update the server to 0.12.11 or later, or choose mode "listwise".',
      });
    }
    return served;
  }

  private modeOn({ logprobs }: Served): ScoringMode {
    return this.options.mode ?? (logprobs ? "expected" : "listwise");
  }

  /** One object for as long as nothing in it changes: it stands in every answer. */
  private info(served: Served): EngineInfo {
    const key = `${this.context} ${this.answer}`;
    if (this.known?.key !== key) this.known = { key, info: this.inform(served) };
    return this.known.info;
  }

  private inform(served: Served): EngineInfo {
    const { model, seed, temperature, keepAlive, qualityRetries, permutations, combine } = this.options;
    const { version, digest } = served;
    const test = isTestServer(version);
    return {
      engine: test ? "test-server" : "ollama",
      label: test ? "test server (no LLM)" : `${model} (ollama)`,
      isLanguageModel: !test,
      model, digest, serverVersion: isKnownVersion(version) ? version : `${version} (unknown)`,
      host: this.fleet.hosts.map(({ url }) => url).join(", "),
      options: {
        mode: this.modeOn(served), permutations, ...(permutations > 1 ? { combine } : {}), seed, temperature, retryTemperature: RETRY_TEMPERATURE, topP: TOP_P,
        numCtx: this.context || this.options.numCtx || null, numPredict: this.answer || null, qualityRetries, keepAlive,
      },
      replayed: false,
    };
  }
}
