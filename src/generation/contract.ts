import type { Candidate } from "../core/prompt.js";

export const LOWEST_SCORE = 1;
export const HIGHEST_SCORE = 100;

const SCORE = Object.freeze({ type: "integer", minimum: LOWEST_SCORE, maximum: HIGHEST_SCORE } as const);

/** The answer as JSON schema: every candidate key once, in candidate order, a whole number 1..100, nothing else. */
export interface AnswerSchema {
  type: "object";
  properties: Record<string, { type: "integer"; minimum: number; maximum: number }>;
  required: string[];
  additionalProperties: false;
}

/**
 * The schema that a server turns into a grammar. Keys begin with a letter: JavaScript would sort bare numbers ascending and
 * so change the order of schema and answer. An object, because servers do not enforce distinct entries of arrays.
 */
export function answerSchema(candidates: readonly Candidate[]): AnswerSchema {
  return {
    type: "object",
    properties: Object.fromEntries(candidates.map(({ key }) => [key, SCORE])),
    required: candidates.map(({ key }) => key),
    additionalProperties: false,
  };
}

/**
 * Token limit of one answer: about twice a pretty-printed one (8.6 tokens a key measured with a Llama-3 tokenizer), never
 * unlimited; 900 for up to 50 usual keys.
 */
export function answerLimit(candidates: readonly Candidate[]): number {
  let tokens = 0;
  for (const { key } of candidates) tokens += Math.ceil(key.length / 2) + 14;
  return Math.max(900, tokens);
}

/** Dense item ids by score, highest first; equal scores stand by backbone rank. */
export function rankCandidates(scores: ArrayLike<number>, candidates: readonly Candidate[]): Uint32Array {
  const order = candidates.map((_, at) => at);
  order.sort((a, b) => scores[b]! - scores[a]! || candidates[a]!.rank - candidates[b]!.rank);
  return Uint32Array.from(order, (at) => candidates[at]!.item);
}

/** Candidates that share their score with an earlier one: n minus the number of distinct scores. */
export function countTies(scores: ArrayLike<number>): number {
  const sorted = Float64Array.from(scores).sort();
  let ties = 0;
  for (let at = 1; at < sorted.length; at++) if (sorted[at] === sorted[at - 1]) ties++;
  return ties;
}
