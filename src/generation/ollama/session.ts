import { setTimeout as sleep } from "node:timers/promises";
import { unlessAborted } from "../../core/progress.js";
import { readoutMessages, type Message, type Prompt } from "../../core/prompt.js";
import type { KeyedRandom } from "../../core/rng.js";
import { answerSchema } from "../contract.js";
import { addCounts, emptyCounts } from "../counts.js";
import { classifyFailure, GenerationFailure } from "../failures.js";
import type { Host } from "./hosts.js";
import type { HostOutcome } from "./pool.js";
import type { OllamaHosts } from "./fleet.js";
import type { Attempt, ReadoutReply, Reply, Session } from "../speaker.js";
import { chat, type StreamRequest } from "./transport.js";
import { atLeast } from "./versions.js";

const WHOLE_COUNT_FLOOR = "0.30.1";
export const LONGEST_PAUSE_SECONDS = 10;
/** Likeliest tokens that a server reports at each place, at most. */
const ALTERNATIVES = 20;
export const TOP_P = 0.9;

export interface SessionOptions {
  model: string;
  keepAlive: string | number;
  temperature: number;
  seed: number;
  timeoutSeconds: number;
  transportRetries: number;
  backoffSeconds: number;
  /** num_ctx and num_predict, equal for all requests of a run. */
  context: number;
  answer: number;
}

type Asked = Omit<Reply, "transportRetries">;

/**
 * One user's requests, on one host for as long as it answers: its passes share the beginning of the prompt. Transport faults
 * are repeated elsewhere, with exponential pauses whose jitter is keyed by seed and user.
 */
export class OllamaSession implements Session {
  private held: Host | undefined;

  constructor(
    private readonly user: number, private readonly fleet: OllamaHosts, private readonly options: SessionOptions,
    private readonly jitter: KeyedRandom, private readonly signal: AbortSignal | undefined,
  ) {}

  answer(prompt: Prompt, attempt: Attempt, withTokens: boolean): Promise<Reply> {
    const { answer, context } = this.options;
    return this.ask(prompt.messages, attempt.number, () => ({
      ...this.request(prompt.messages),
      format: answerSchema(prompt.candidates),
      ...(withTokens ? { logprobs: true, top_logprobs: ALTERNATIVES } : {}),
      options: {
        temperature: attempt.temperature, seed: attempt.seed, num_ctx: context, num_predict: Math.max(answer, attempt.answerLimit),
        ...(attempt.temperature > 0 ? { top_p: TOP_P } : {}),
      },
    }));
  }

  async read(prompt: Prompt): Promise<ReadoutReply> {
    const { seed, context } = this.options;
    const sum: ReadoutReply & { alternatives: unknown[] } = { alternatives: [], tokensIn: 0, tokensOut: 0, transportRetries: 0 };
    for (const at of prompt.candidates.keys()) {
      const messages = readoutMessages(prompt, at);
      let reply: Reply;
      try {
        reply = await this.ask(messages, at, () => ({
          ...this.request(messages), logprobs: true, top_logprobs: ALTERNATIVES, options: { temperature: 0, seed, num_ctx: context, num_predict: 1 },
        }));
      } catch (error) {
        if (error instanceof GenerationFailure) addCounts(error.counts, { ...emptyCounts(), tokensIn: sum.tokensIn, tokensOut: sum.tokensOut, transportRetries: sum.transportRetries });
        throw error;
      }
      sum.alternatives.push(reply.tokens?.[0]?.alternatives ?? []);
      sum.tokensIn += reply.tokensIn;
      sum.tokensOut += reply.tokensOut;
      sum.transportRetries += reply.transportRetries;
    }
    return sum;
  }

  room(prompt: Prompt, { tokensIn }: Reply): number {
    return this.options.context - (tokensIn > 0 ? tokensIn : prompt.tokenEstimate);
  }

  /** Gives the host back. */
  close(): void {
    this.release("ok");
  }

  /** One answer, with transport repeats. */
  private async ask(messages: readonly Message[], number: number, request: () => StreamRequest): Promise<Reply> {
    const { transportRetries, timeoutSeconds, context } = this.options;
    const { signal, fleet } = this;
    let avoid: Host | undefined;
    for (let repeat = 0; ; repeat++) {
      let failure: GenerationFailure;
      try {
        this.held ??= await fleet.pool.acquire(signal, avoid);
        await unlessAborted(fleet.warmUp(this.held, context), signal);
        const reply = await chat(this.held, request(), { signal, timeoutSeconds });
        this.refuseTruncation(messages, reply, this.held);
        return { ...reply, transportRetries: repeat };
      } catch (error) {
        if (signal?.aborted) {
          this.release("other");
          throw signal.reason;
        }
        failure = this.held ? classifyFailure(error, fleet.failureContext(this.held, signal)) : alreadySorted(error);
        avoid = this.held ?? avoid;
        this.lose(failure);
      }
      const repeats = failure.code === "GENERATION_MEMORY" ? Math.min(1, transportRetries) : transportRetries;
      if (failure.kind !== "retryable" || repeat >= repeats) {
        addCounts(failure.counts, { transportRetries: repeat });
        throw failure;
      }
      await this.pause(number, repeat);
    }
  }

  /** A new object each time: the client writes into it. */
  private request(messages: readonly Message[]): Omit<StreamRequest, "options"> {
    const { model, keepAlive } = this.options;
    return {
      model, messages: messages.map((message) => ({ ...message })), stream: true, truncate: false, keep_alive: keepAlive,
      ...(this.fleet.served!.thinking ? { think: false } : {}),
    };
  }

  private lose({ code }: GenerationFailure): void {
    const down = code === "GENERATION_SERVER_DOWN" || code === "GENERATION_SERVER_LOST" || code === "GENERATION_MEMORY";
    if (down && this.held) this.fleet.forget(this.held);
    this.release(down ? "down" : "other");
  }

  private release(outcome: HostOutcome): void {
    if (this.held) this.fleet.pool.release(this.held, outcome);
    this.held = undefined;
  }

  /**
   * A truncated prompt keeps num_ctx / 2 + 2 tokens, and no tokenizer in use makes fewer than one token of 4.9 bytes of our text:
   * fewer tokens than that were read from a cut prompt. The number alone proves nothing, an honest prompt may have it. Servers before 0.30.1 leave cached tokens out of the count, so there it tells nothing; nor does a count
   * that never came (0), as when we stop an answer ourselves.
   */
  private refuseTruncation(messages: readonly Message[], { tokensIn }: Asked, host: Host): void {
    const { context } = this.options;
    if (tokensIn === 0 || !atLeast(this.fleet.served!.version, WHOLE_COUNT_FLOOR)) return;
    const bytes = messages.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
    if (tokensIn >= bytes / 4.9) return;
    throw new GenerationFailure("GENERATION_CONTEXT", "permanent", `${host.url} read ${tokensIn} tokens of the prompt of user ${this.user}, which has ${bytes} bytes: it was cut.`, {
      hint: `Raise numCtx above ${context}, and check that no gateway drops "truncate": false.`,
    });
  }

  private async pause(number: number, repeat: number): Promise<void> {
    const { signal } = this;
    const jitter = 1 + 0.5 * this.jitter.uniform(this.user, number, repeat);
    const seconds = Math.min(LONGEST_PAUSE_SECONDS, this.options.backoffSeconds * 2 ** repeat * jitter);
    try {
      await sleep(seconds * 1000, undefined, signal ? { signal } : {});
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    }
  }
}

/** What the pool throws is classified already: the check of a host says why it cannot serve. */
function alreadySorted(error: unknown): GenerationFailure {
  if (error instanceof GenerationFailure) return error;
  throw error;
}
