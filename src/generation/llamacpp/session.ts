import { log } from "../../core/math.js";
import { readoutMessages, type Prompt } from "../../core/prompt.js";
import { addCounts, emptyCounts } from "../counts.js";
import { GenerationFailure } from "../failures.js";
import { answerGrammar } from "./grammar.js";
import { engineFailure, type LlamaEngine } from "./engine.js";
import type { LogitReply, LogitRequest } from "./package.js";
import { BATCH, type Seat } from "./seats.js";
import type { Alternative, Attempt, ReadoutReply, Reply, Session, Token } from "../speaker.js";

/** Sampling above temperature 0, as servers of the Ollama kind do it. */
export const TOP_K = 40, TOP_P = 0.9;
/** Shown besides the tokens that were asked for. */
const TOP_ALTERNATIVES = 20;
/** Asked for a readout: the digit alone, in answer to the last message. */
const ONE_TOKEN = 1;

/**
 * One user's requests to a model in this process. All of them run on one sequence: what a request has in common with the one
 * before stays computed. `tokensIn` counts the tokens that were evaluated, so what was reused is missing from it; where
 * probabilities are read, the answer counts among them, for it is evaluated a second time, all at once and without grammar.
 */
export class LlamaSession implements Session {
  private seat: Seat | undefined;
  private promptTokens = 0;

  /** `contextNeed`: tokens that the longest request of a run is expected to take, so that the context is made once. */
  constructor(private readonly engine: LlamaEngine, private readonly contextNeed: number, private readonly signal: AbortSignal | undefined) {}

  answer(prompt: Prompt, attempt: Attempt, withTokens: boolean): Promise<Reply> {
    return this.guarded(async () => {
      const tokens = this.engine.tokens(prompt.messages);
      const seat = await this.sit(prompt, tokens.length, attempt.answerLimit);
      const kept = await this.keep(seat, tokens);
      const grammarEvaluationState = await this.engine.grammar(answerGrammar(prompt.candidates));
      const answer: number[] = [];
      let isWhole = false;
      const { temperature, seed } = attempt;
      const rest = await this.feed(seat, tokens.slice(kept));
      for await (const token of seat.sequence.evaluate(rest, { temperature, topP: TOP_P, topK: TOP_K, seed, grammarEvaluationState })) {
        this.signal?.throwIfAborted();
        answer.push(token);
        // Nothing can follow the closing brace.
        isWhole = this.engine.model.detokenize([token], false, answer.slice(-9, -1)).endsWith("}");
        if (isWhole || answer.length >= attempt.answerLimit) break;
      }
      const reply = {
        text: this.engine.model.detokenize(answer), doneReason: isWhole ? "stop" : "length",
        tokensIn: tokens.length - kept, tokensOut: answer.length, transportRetries: 0,
      };
      if (!withTokens) return reply;
      const { read, evaluated } = await this.readBack(seat, tokens, answer);
      return { ...reply, tokensIn: reply.tokensIn + evaluated, tokens: read };
    });
  }

  async read(prompt: Prompt): Promise<ReadoutReply> {
    const sum = { alternatives: [] as Alternative[][], tokensIn: 0, tokensOut: 0, transportRetries: 0 };
    try {
      return await this.guarded(async () => {
        const questions = prompt.candidates.map((_, at) => this.engine.tokens(readoutMessages(prompt, at)));
        const longest = questions.reduce((a, b) => (b.length > a.length ? b : a), []);
        const seat = await this.sit(prompt, longest.length, ONE_TOKEN);
        // What all questions share comes first and alone, so that every question is evaluated in the same way.
        const shared = longest.slice(0, sharedLength(questions));
        const before = await this.keep(seat, shared);
        await seat.sequence.evaluateWithoutGeneratingNewTokens(await this.feed(seat, shared.slice(before)));
        sum.tokensIn += shared.length - before;
        for (const tokens of questions) {
          const kept = await this.keep(seat, tokens.slice(0, shared.length + 1));
          const rest = await this.feed(seat, tokens.slice(kept));
          const last = rest.pop()!;
          const replies = await seat.sequence.controlledEvaluate([...rest, [last, { generateNext: this.request(this.engine.digitTokens) }]]);
          sum.alternatives.push(this.alternatives(replies.at(-1)));
          sum.tokensIn += tokens.length - kept;
        }
        return sum;
      });
    } catch (error) {
      if (error instanceof GenerationFailure) addCounts(error.counts, { ...emptyCounts(), tokensIn: sum.tokensIn });
      throw error;
    }
  }

  room(): number {
    return (this.seat?.contextSize ?? this.engine.seats.limit) - this.promptTokens - 1;
  }

  /** Drops what the model holds of this user. */
  async close(): Promise<void> {
    const { seat } = this;
    this.seat = undefined;
    if (seat) await this.engine.seats.release(seat);
  }

  /** @throws GenerationFailure `GENERATION_CONTEXT` before anything is evaluated, by the model's own count of tokens. */
  private async sit(prompt: Prompt, tokens: number, answer: number): Promise<Seat> {
    const { limit } = this.engine.seats, need = tokens + answer + 1;
    if (need > limit) {
      throw new GenerationFailure("GENERATION_CONTEXT", "permanent", `The prompt of user ${prompt.user} takes ${tokens} tokens and its answer up to ${answer}: more than the context of ${limit}.`, {
        hint: `Pass contextSize ${need} or more, or use a model with a longer context; a history is never shortened to make it fit.`,
      });
    }
    this.promptTokens = tokens;
    if (this.seat && this.seat.contextSize >= need) return this.seat;
    await this.close();
    this.seat = await this.engine.seats.acquire(Math.max(need, Math.min(limit, this.contextNeed)), this.signal);
    return this.seat;
  }

  /** Keeps what the sequence has in common with `tokens`, at most all but the last; returns how many tokens that are. */
  private async keep({ sequence }: Seat, tokens: readonly number[]): Promise<number> {
    const same = Math.min(sequence.compareContextTokens(tokens).firstDifferentIndex, tokens.length - 1);
    if (same < sequence.nextTokenIndex) await sequence.eraseContextTokenRanges([{ start: same, end: sequence.nextTokenIndex }]);
    // Models with a sliding window may give up more than that.
    return sequence.nextTokenIndex;
  }

  /** Evaluates tokens batch by batch, so that an abort is seen in between; returns the last batch, which the caller evaluates. */
  private async feed({ sequence }: Seat, tokens: readonly number[]): Promise<number[]> {
    let at = 0;
    for (; tokens.length - at > BATCH; at += BATCH) {
      this.signal?.throwIfAborted();
      await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(at, at + BATCH));
    }
    this.signal?.throwIfAborted();
    return tokens.slice(at);
  }

  /** The model's own probabilities at every token of the answer that begins a score. */
  private async readBack(seat: Seat, prompt: readonly number[], answer: readonly number[]): Promise<{ read: Token[]; evaluated: number }> {
    const texts = this.engine.texts(answer);
    const places = scorePlaces(texts);
    const read: Token[] = texts.map((text) => ({ text, alternatives: [] }));
    if (places.length === 0) return { read, evaluated: 0 };
    const known = [...prompt, ...answer];
    const kept = await this.keep(seat, known.slice(0, prompt.length + places[0]!));
    const asked = new Set(places.map((place) => prompt.length + place - 1));
    let evaluated = 0;
    for (let at = kept; at < prompt.length + places.at(-1)!; at += BATCH) {
      this.signal?.throwIfAborted();
      const batch = known.slice(at, Math.min(at + BATCH, prompt.length + places.at(-1)!));
      const replies = await seat.sequence.controlledEvaluate(
        batch.map((token, n) => (asked.has(at + n) ? [token, { generateNext: this.request(this.engine.scoreTokens) }] : token)));
      replies.forEach((reply, n) => {
        if (asked.has(at + n)) read[at + n + 1 - prompt.length]!.alternatives = this.alternatives(reply);
      });
      evaluated += batch.length;
    }
    return { read, evaluated };
  }

  private request(tokens: readonly number[]): LogitRequest {
    return { logits: { filter: { tokens, includeTop: TOP_ALTERNATIVES } }, totalLogitWeight: true };
  }

  /** Logarithms of probability over the whole vocabulary: logit - greatest - ln(sum of e^(logit - greatest)). */
  private alternatives(reply: LogitReply | undefined): Alternative[] {
    const logits = [...(reply?.next.logits ?? [])];
    const greatest = logits.reduce((most, [, logit]) => Math.max(most, logit), -Infinity);
    const rest = log(reply?.next.totalLogitWeight ?? NaN);
    return logits.map(([token, logit]) => ({ text: this.engine.model.detokenize([token]), logprob: logit - greatest - rest }));
  }

  private async guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (this.signal?.aborted) throw this.signal.reason;
      throw engineFailure(error);
    }
  }
}

/** How many tokens all of them begin with; at least one is left to each. */
function sharedLength(all: readonly (readonly number[])[]): number {
  const [first = []] = all;
  let length = Math.min(...all.map((tokens) => tokens.length - 1));
  for (const tokens of all) for (let at = 0; at < length; at++) if (tokens[at] !== first[at]) length = at;
  return length;
}

/** Places of the tokens that begin a score: what stands before them ends in a key and a colon. */
function scorePlaces(texts: readonly string[]): number[] {
  const places: number[] = [];
  let before = "";
  for (const [at, text] of texts.entries()) {
    if (at > 0 && /":$/.test(before) && /^\d/.test(text)) places.push(at);
    before = `${before}${text}`.slice(-8);
  }
  return places;
}
