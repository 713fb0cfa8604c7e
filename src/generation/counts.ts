import type { GenerationCounts } from "./generator.js";

/** All zero. */
export function emptyCounts(): GenerationCounts {
  return {
    answers: 0, okFirst: 0, qualityRetries: 0, transportRetries: 0, repaired: 0, fallback: 0, unknownKeys: 0, duplicateKeys: 0,
    missingKeys: 0, clamped: 0, coerced: 0, lengthStops: 0, lowMass: 0, splitScore: 0, ties: 0, tokensIn: 0, tokensOut: 0,
  };
}

/** Adds `more` to `sum` in place, field by field, and returns `sum`. */
export function addCounts(sum: GenerationCounts, more: Partial<GenerationCounts>): GenerationCounts {
  for (const name of Object.keys(sum) as (keyof GenerationCounts)[]) sum[name] += more[name] ?? 0;
  return sum;
}
