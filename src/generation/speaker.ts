import type { Prompt } from "../core/prompt.js";

/**
 * How a language model gives scores. `listwise`: one JSON object with a whole score for every candidate, as published.
 * `expected`: the same answer, each score replaced by its expectation under the model's probabilities, so that few are equal.
 * `readout`: nothing is written; each candidate is asked for alone and its score read from the next token's probabilities.
 */
export const SCORING_MODES = ["listwise", "expected", "readout"] as const;
export type ScoringMode = (typeof SCORING_MODES)[number];

/** How one question is put. */
export interface Attempt {
  /** 0 for the first. */
  number: number;
  temperature: number;
  seed: number;
  /** Token limit of the answer. */
  answerLimit: number;
}

/** One answer of the engine. */
export interface Reply {
  text: string;
  /** "stop" for a finished answer, "length" at the token limit, or what else the engine says. */
  doneReason: string;
  tokensIn: number;
  tokensOut: number;
  transportRetries: number;
  /** Where they were asked for and the engine reports them. */
  tokens?: readonly Token[];
}

/** One token of an answer, as servers report it. */
export interface Token {
  text: string;
  /** The likeliest tokens at this place with their natural logarithms of probability; the grammar is not applied to them. */
  alternatives: readonly Alternative[];
}

export interface Alternative {
  text: string;
  logprob: number;
}

/** What the next token would be after the question about each candidate. */
export interface ReadoutReply {
  /** One list for each candidate, candidate order. */
  alternatives: readonly (readonly Alternative[])[];
  tokensIn: number;
  tokensOut: number;
  transportRetries: number;
}

/** One user's conversation with a model: everything in it goes to the same host, where the shared beginning stays computed. */
export interface Session {
  /** An answer bound to the prompt's schema; `withTokens` asks for {@link Token}s too. */
  answer(prompt: Prompt, attempt: Attempt, withTokens: boolean): Promise<Reply>;
  /** The pointwise questions of `readoutMessages`, one token each. */
  read(prompt: Prompt): Promise<ReadoutReply>;
  /** Tokens left for an answer beside the prompt, after an answer that was cut. */
  room(prompt: Prompt, reply: Reply): number;
}
