import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError } from "../core/errors.js";
import type { RunOptions } from "../core/progress.js";
import type { Prompt } from "../core/prompt.js";
import { KeyedRandom } from "../core/rng.js";
import { answerLimit, answerSchema } from "./contract.js";
import { addCounts } from "./counts.js";
import { classifyFailure, GenerationFailure, modelMissing } from "./failures.js";
import type { Completion, EngineInfo, Generator } from "./generator.js";
import { normaliseHost, parseHosts, type Host } from "./hosts.js";
import { climb, RETRY_TEMPERATURE, type Attempt, type Reply } from "./ladder.js";
import { HostPool } from "./pool.js";
import { askCapabilities, askModels, askVersion, chat, type CallOptions } from "./transport.js";
import { atLeast, isKnownVersion, isTestServer } from "./versions.js";

export interface OllamaOptions {
  /** As `ollama list` prints it, for example "llama3.1:8b"; without a tag it means ":latest". */
  model: string;
  /** One server, in any spelling of OLLAMA_HOST. Default: OLLAMA_HOST, else http://127.0.0.1:11434. */
  host?: string;
  /** Several servers; all must hold the same model file. */
  hosts?: readonly string[];
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

const SCHEMA_FLOOR = "0.5.0";
const TRUNCATE_FLOOR = "0.12.6";
const WHOLE_COUNT_FLOOR = "0.30.1";
const SMALLEST_CONTEXT = 4096;
const LONGEST_PAUSE_SECONDS = 10;
/** Deadline of the short questions: version, models, capabilities. */
const CONNECT_SECONDS = 10;
const TOP_P = 0.9;

interface Served {
  version: string;
  digest: string;
  thinking: boolean;
}

/**
 * A language model behind one or more Ollama servers. Answers are bound to a JSON schema and validated again (ladder.ts);
 * prompts are never truncated; transport faults are repeated with exponential pauses whose jitter is keyed by seed and user.
 * Nothing is ever downloaded. Temperature 0 and one seed repeat on one idle server; servers do not promise it in batches.
 * @throws ConfigError on options out of range or addresses that cannot be read.
 */
export function ollama(options: OllamaOptions): Generator {
  return new OllamaGenerator(options);
}

class OllamaGenerator implements Generator {
  readonly name: string;
  readonly concurrency: number;
  private readonly options: Required<Omit<OllamaOptions, "host" | "hosts" | "numCtx">> & { numCtx: number | undefined };
  private readonly hosts: Host[];
  private readonly pool: HostPool;
  private readonly jitter: KeyedRandom;
  private readonly label: string;
  private context = 0;
  private answer = 0;
  private served: Served | undefined;

  constructor({ host, hosts, numCtx, ...rest }: OllamaOptions) {
    this.options = {
      seed: 2020, temperature: 0, timeoutSeconds: 600, keepAlive: "30m", concurrency: 1, transportRetries: 6, qualityRetries: 2,
      backoffSeconds: 0.3, ...rest, numCtx,
    };
    const { model, seed, temperature, timeoutSeconds, concurrency, transportRetries, qualityRetries, backoffSeconds } = this.options;
    if (typeof model !== "string" || !/^[^\s"]+$/.test(model)) throw badOption("model", model, 'the name of a model, for example "llama3.1:8b"');
    inRange("temperature", temperature, 0, 2);
    inRange("timeoutSeconds", timeoutSeconds, 0.001, 86_400);
    inRange("backoffSeconds", backoffSeconds, 0, LONGEST_PAUSE_SECONDS);
    inRange("concurrency", concurrency, 1, 256, true);
    inRange("transportRetries", transportRetries, 0, 6, true);
    inRange("qualityRetries", qualityRetries, 0, 2, true);
    if (numCtx !== undefined) inRange("numCtx", numCtx, 256, 1 << 22, true);
    this.hosts = hosts ? parseHosts(hosts.join(",")) : host ? [normaliseHost(host)] : parseHosts(process.env["OLLAMA_HOST"]);
    this.label = this.hosts.map(({ url }) => url).join(", ");
    this.pool = new HostPool(this.hosts, concurrency);
    this.jitter = new KeyedRandom(seed, "retry");
    this.concurrency = this.hosts.length * concurrency;
    this.name = `ollama:${model}`;
  }

  /**
   * Asks every server for its version and for the model. Refuses servers below 0.12.6, which cut long prompts in silence.
   * @throws GenerationFailure `GENERATION_SERVER_DOWN`, `GENERATION_VERSION`, `GENERATION_MODEL_MISSING`, `GENERATION_MIXED_MODELS`.
   */
  async describe(options: RunOptions = {}): Promise<EngineInfo> {
    await this.serve(options.signal);
    return this.info();
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

  async generate(prompt: Prompt, options: RunOptions = {}): Promise<Completion> {
    const start = performance.now();
    this.prepare([prompt]);
    await this.serve(options.signal);
    const { seed, temperature, qualityRetries } = this.options;
    const result = await climb(prompt, (attempt) => this.ask(prompt, attempt, options.signal), {
      seed, temperature, qualityRetries,
      room: ({ tokensIn }) => this.context - (tokensIn > 0 ? tokensIn : prompt.tokenEstimate),
    });
    return { user: prompt.user, ...result, seconds: (performance.now() - start) / 1000, engine: this.info() };
  }

  async close(): Promise<void> {
    // Each call gives up its own connection; nothing is held between calls.
  }

  /** One answer, with transport repeats. */
  private async ask(prompt: Prompt, attempt: Attempt, signal: AbortSignal | undefined): Promise<Reply> {
    const { transportRetries, timeoutSeconds } = this.options;
    let avoid: Host | undefined;
    for (let repeat = 0; ; repeat++) {
      const host = await this.pool.acquire(signal, avoid);
      let failure: GenerationFailure;
      try {
        const reply = await chat(host, this.request(prompt, attempt), { signal, timeoutSeconds });
        this.pool.release(host, "ok");
        this.refuseTruncation(prompt, reply.tokensIn, host);
        return { ...reply, transportRetries: repeat };
      } catch (error) {
        if (error instanceof GenerationFailure) throw error;
        failure = classifyFailure(error, this.failureContext(host, signal));
        this.pool.release(host, failure.code === "GENERATION_SERVER_DOWN" || failure.code === "GENERATION_SERVER_LOST" ? "down" : "other");
      }
      if (failure.kind === "cancelled") throw signal?.aborted ? signal.reason : failure;
      const repeats = failure.code === "GENERATION_MEMORY" ? Math.min(1, transportRetries) : transportRetries;
      if (failure.kind !== "retryable" || repeat >= repeats) {
        addCounts(failure.counts, { transportRetries: repeat });
        throw failure;
      }
      avoid = host;
      await this.pause(prompt.user, attempt.number, repeat, signal);
    }
  }

  /** A new object each time: the client writes into it. */
  private request(prompt: Prompt, attempt: Attempt): Parameters<typeof chat>[1] {
    const { model, keepAlive } = this.options;
    return {
      model, messages: prompt.messages.map((message) => ({ ...message })), format: answerSchema(prompt.candidates),
      stream: true, truncate: false, keep_alive: keepAlive,
      ...(this.served!.thinking ? { think: false } : {}),
      options: {
        temperature: attempt.temperature, seed: attempt.seed, num_ctx: this.context, num_predict: Math.max(this.answer, attempt.answerLimit),
        ...(attempt.temperature > 0 ? { top_p: TOP_P } : {}),
      },
    };
  }

  /**
   * A truncated prompt keeps at most num_ctx / 2 + 2 tokens, and no tokenizer in use makes fewer than one token of 4.9 bytes
   * of our text. Servers before 0.30.1 leave cached tokens out of the count, so there it tells nothing; nor does a count
   * that never came (0), as when we stop an answer ourselves.
   */
  private refuseTruncation(prompt: Prompt, tokensIn: number, host: Host): void {
    if (tokensIn === 0 || !atLeast(this.served!.version, WHOLE_COUNT_FLOOR)) return;
    const bytes = prompt.messages.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
    if (tokensIn >= bytes / 4.9 && tokensIn !== Math.floor(this.context / 2) + 2) return;
    throw new GenerationFailure("GENERATION_CONTEXT", "permanent", `${host.url} read ${tokensIn} tokens of the prompt of user ${prompt.user}, which has ${bytes} bytes: it was cut.`, {
      hint: `Raise numCtx above ${this.context}, and check that no gateway drops "truncate": false.`,
    });
  }

  private async pause(user: number, attempt: number, repeat: number, signal: AbortSignal | undefined): Promise<void> {
    const jitter = 1 + 0.5 * this.jitter.uniform(user, attempt, repeat);
    const seconds = Math.min(LONGEST_PAUSE_SECONDS, this.options.backoffSeconds * 2 ** repeat * jitter);
    try {
      await sleep(seconds * 1000, undefined, signal ? { signal } : {});
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    }
  }

  private async serve(signal: AbortSignal | undefined): Promise<Served> {
    if (this.served) return this.served;
    const all = await Promise.all(this.hosts.map((host) => this.inspect(host, signal)));
    const [first] = all as [Served, ...Served[]];
    const other = all.findIndex(({ digest }) => digest !== first.digest);
    if (other >= 0) {
      throw new GenerationFailure("GENERATION_MIXED_MODELS", "permanent", `"${this.options.model}" is not the same model everywhere: ${this.hosts[0]!.url} has ${first.digest.slice(0, 12)}, ${this.hosts[other]!.url} has ${all[other]!.digest.slice(0, 12)}.`, {
        hint: `Run on each server: ollama pull ${this.options.model}`,
      });
    }
    const oldest = all.reduce((a, b) => (atLeast(a.version, b.version) ? b : a));
    this.served = { version: oldest.version, digest: first.digest, thinking: all.every(({ thinking }) => thinking) };
    return this.served;
  }

  private async inspect(host: Host, signal: AbortSignal | undefined): Promise<Served> {
    const timeoutSeconds = Math.min(CONNECT_SECONDS, this.options.timeoutSeconds);
    for (let repeat = 0; ; repeat++) {
      try {
        return await this.question(host, { signal, timeoutSeconds });
      } catch (error) {
        const failure = classifyFailure(error, this.failureContext(host, signal, timeoutSeconds));
        if (failure.kind === "cancelled" && signal?.aborted) throw signal.reason;
        // A kept-alive connection to a server that went away since breaks once and says nothing about the server.
        if (failure.code !== "GENERATION_SERVER_LOST" || repeat > 0) throw failure;
      }
    }
  }

  private async question(host: Host, options: CallOptions): Promise<Served> {
    const { model } = this.options;
    const version = await askVersion(host, options);
    if (!atLeast(version, TRUNCATE_FLOOR)) {
      const why = atLeast(version, SCHEMA_FLOOR) ? "it cuts prompts longer than its context and does not say so" : "it cannot bind an answer to a JSON schema";
      throw new GenerationFailure("GENERATION_VERSION", "permanent", `${host.url} runs Ollama ${version}: ${why}.`, { hint: `Update it to ${TRUNCATE_FLOOR} or later.` });
    }
    const wanted = model.includes(":", model.lastIndexOf("/") + 1) ? model : `${model}:latest`;
    const found = (await askModels(host, options)).find(({ name }) => name === wanted || name === model);
    if (!found) throw modelMissing(model, host.url);
    const thinking = (await askCapabilities(host, model, options)).includes("thinking");
    return { version, digest: found.digest, thinking };
  }

  private failureContext(host: Host, signal: AbortSignal | undefined, timeoutSeconds = this.options.timeoutSeconds): Parameters<typeof classifyFailure>[1] {
    return { model: this.options.model, host: host.url, signal, timeoutSeconds };
  }

  private info(): EngineInfo {
    const { model, seed, temperature, keepAlive, qualityRetries } = this.options;
    const { version, digest } = this.served!;
    const test = isTestServer(version);
    return {
      engine: test ? "test-server" : "ollama",
      label: test ? "test server (no LLM)" : `${model} (ollama)`,
      isLanguageModel: !test,
      model, digest, serverVersion: isKnownVersion(version) ? version : `${version} (unknown)`,
      host: this.label,
      options: {
        seed, temperature, retryTemperature: RETRY_TEMPERATURE, topP: TOP_P, numCtx: this.context || this.options.numCtx || null,
        numPredict: this.answer || null, qualityRetries, keepAlive,
      },
      replayed: false,
    };
  }
}

function inRange(name: string, value: number, low: number, high: number, whole = false): void {
  if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
    throw badOption(name, value, `${whole ? "a whole number" : "a number"} from ${low} to ${high}`);
  }
}

function badOption(name: string, value: unknown, wanted: string): ConfigError {
  return new ConfigError("CONFIG_OLLAMA", `${name} must be ${wanted}, not ${String(value)}.`);
}
