import { log } from "../core/math.js";

/**
 * Counts of words met in contexts, and what they say: positive pointwise mutual information,
 * max(0, ln(n(w, c) n / (n(w) n(c)))) (Bullinaria and Levy, Behavior Research Methods 2007). Sums run in the order of first
 * meeting, so equal catalogues give equal bits. Cost O(distinct pairs).
 */
export class Cooccurrence {
  private readonly counts = new Map<string, Map<string, number>>();

  add(word: string, context: string): void {
    let row = this.counts.get(word);
    if (!row) this.counts.set(word, (row = new Map()));
    row.set(context, (row.get(context) ?? 0) + 1);
  }

  /** Contexts with positive information, word by word; an empty row for a word that says nothing. */
  information(): Map<string, Map<string, number>> {
    const words = new Map<string, number>(), contexts = new Map<string, number>();
    let total = 0;
    for (const [word, row] of this.counts) {
      for (const [context, count] of row) {
        words.set(word, (words.get(word) ?? 0) + count);
        contexts.set(context, (contexts.get(context) ?? 0) + count);
        total += count;
      }
    }
    const informed = new Map<string, Map<string, number>>();
    for (const [word, row] of this.counts) {
      const kept = new Map<string, number>();
      for (const [context, count] of row) {
        const value = log((count * total) / (words.get(word)! * contexts.get(context)!));
        if (value > 0) kept.set(context, value);
      }
      informed.set(word, kept);
    }
    return informed;
  }
}

/**
 * Rotates a vector by the Hadamard matrix of its length (a power of two), in place: lengths and angles stay, and every axis then
 * carries an equal share of each component. Standardising axes or slicing them into heads is harmless only after that.
 */
export function spreadAxes(vector: Float64Array): Float64Array {
  const scale = 1 / Math.sqrt(vector.length);
  for (let half = 1; half < vector.length; half *= 2) {
    for (let start = 0; start < vector.length; start += 2 * half) {
      for (let at = start; at < start + half; at++) {
        const a = vector[at]!, b = vector[at + half]!;
        vector[at] = a + b;
        vector[at + half] = a - b;
      }
    }
  }
  for (let at = 0; at < vector.length; at++) vector[at]! *= scale;
  return vector;
}
