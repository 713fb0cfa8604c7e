import { exp } from "../core/math.js";
import type { Candidate } from "../core/prompt.js";
import { HIGHEST_SCORE, LOWEST_SCORE } from "./contract.js";
import type { Alternative, Token } from "./speaker.js";

/** Probability of admissible scores that must be visible: servers show the 20 likeliest tokens alone. */
export const LEAST_MASS = 0.5;

export interface Expectation {
  scores: Float64Array;
  /** Candidates whose whole number was kept: too little of the distribution was visible, or no token was reported. */
  lowMass: number;
  /** Candidates whose whole number was kept because it was written in more than one token. */
  splitScore: number;
}

/**
 * The expectation of each score at the token that wrote it: sum p(s) s / sum p(s) over the visible whole scores 1..100. The
 * probabilities are the model's own, before the grammar, hence the division. Where less than half of the mass is visible, or
 * the number was written in pieces, the written score stands and is counted. Tokens are found in the joined text: what
 * stands before a score ends in its key, a colon and at most blanks. One pass, O(characters * keys found).
 */
export function expectedScores(tokens: readonly Token[], written: Float64Array, candidates: readonly Candidate[]): Expectation {
  const scores = Float64Array.from(written);
  const places = new Map(candidates.map(({ key }, at) => [key, at]));
  const done = new Uint8Array(candidates.length);
  let lowMass = 0, splitScore = 0, tail = "";
  for (const [number, token] of tokens.entries()) {
    const key = /"([^"\\]{1,64})"\s*:\s*$/.exec(tail)?.[1];
    const at = key === undefined ? undefined : places.get(key);
    if (at !== undefined && !done[at] && /^\s*\d/.test(token.text)) {
      done[at] = 1;
      // "85," is whole as well: what follows the digits in the same token ends the number.
      if (!/^\s*\d+\D/.test(token.text) && /^\d/.test(tokens[number + 1]?.text ?? "")) splitScore++;
      else {
        const { mass, mean } = meanOf(token.alternatives, scoreIn);
        if (mass >= LEAST_MASS) scores[at] = mean;
        else lowMass++;
      }
    }
    tail = `${tail}${token.text}`.slice(-80);
  }
  for (const seen of done) if (!seen) lowMass++;
  return { scores, lowMass, splitScore };
}

/** Mass and mean of what `valueOf` admits among the alternatives. Alternatives of one value add up ("85" and " 85"). */
export function meanOf(alternatives: readonly Alternative[], valueOf: (text: string) => number | undefined): { mass: number; mean: number } {
  let mass = 0, sum = 0;
  for (const { text, logprob } of alternatives) {
    const value = valueOf(text);
    if (value === undefined || Number.isNaN(logprob)) continue;
    const p = exp(Math.min(0, logprob));
    mass += p;
    sum += p * value;
  }
  return { mass, mean: mass > 0 ? sum / mass : NaN };
}

function scoreIn(text: string): number | undefined {
  const found = /^\s*(\d{1,3})\s*,?\s*$/.exec(text)?.[1];
  const score = found === undefined ? NaN : Number(found);
  return score >= LOWEST_SCORE && score <= HIGHEST_SCORE ? score : undefined;
}
