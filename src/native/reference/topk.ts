import { Breather, type RunOptions } from "../../core/progress.js";
import { checkOptions, checkScoreTopK } from "../check.js";
import { NO_ITEM, type ScoreTopKInput, type TopK } from "../kernels.js";
import { dot } from "./dot.js";
import { Ticker } from "./ticker.js";

/**
 * Scores of one user against all items (dot, rounded once to float32), kept only as a row of scratch, then the best k by a
 * bounded heap whose root is the worst entry kept: an item below it costs one comparison. Items come in ascending order, so an
 * equal score never replaces an entry and ties stand by lower item. Cost O(users * items * dimension); memory O(items).
 */
export async function scoreTopK(input: ScoreTopKInput, options?: RunOptions): Promise<TopK> {
  const { signal, onProgress } = checkOptions(options);
  const { users, items, dimension, mask, k, userRows, itemCount } = checkScoreTopK(input);
  const result: TopK = { items: new Uint32Array(userRows * k).fill(NO_ITEM), scores: new Float32Array(userRows * k).fill(-Infinity) };
  const scores = new Float32Array(itemCount);
  const heapItems = new Uint32Array(k), heapScores = new Float32Array(k);
  const breather = new Breather(signal), ticker = new Ticker(onProgress, userRows);
  for (let row = 0; row < userRows; row++) {
    for (let item = 0; item < itemCount; item++) scores[item] = dot(users, row * dimension, items, item * dimension, dimension);
    const masked = mask ? mask.columns.subarray(mask.offsets[row], mask.offsets[row + 1]) : undefined;
    const kept = keepBest(scores, masked, k, heapItems, heapScores);
    drain(heapItems, heapScores, kept, result.items, result.scores, row * k);
    if (breather.due()) {
      await breather.pause();
      ticker.at(row + 1);
    }
  }
  ticker.end();
  return result;
}

/** Fills the heap with the best k unmasked items and returns how many there are. */
function keepBest(
  scores: Float32Array, masked: Uint32Array | undefined, k: number, heapItems: Uint32Array, heapScores: Float32Array,
): number {
  const maskCount = masked ? masked.length : 0;
  let kept = 0, maskAt = 0;
  for (let item = 0; item < scores.length; item++) {
    if (maskAt < maskCount && masked![maskAt] === item) {
      maskAt++;
      continue;
    }
    const score = scores[item];
    if (kept < k) {
      heapItems[kept] = item;
      heapScores[kept] = score;
      kept++;
      if (kept === k) for (let at = (k >>> 1) - 1; at >= 0; at--) siftDown(heapItems, heapScores, at, k);
    } else if (score > heapScores[0]) {
      heapItems[0] = item;
      heapScores[0] = score;
      siftDown(heapItems, heapScores, 0, k);
    }
  }
  if (kept < k) for (let at = (kept >>> 1) - 1; at >= 0; at--) siftDown(heapItems, heapScores, at, kept);
  return kept;
}

/** Worst first: lower score, and among equals (-0 equals 0) the higher item. */
function siftDown(items: Uint32Array, scores: Float32Array, at: number, count: number): void {
  const item = items[at], score = scores[at];
  for (;;) {
    let child = 2 * at + 1;
    if (child >= count) break;
    if (child + 1 < count && worse(scores[child + 1], items[child + 1], scores[child], items[child])) child++;
    if (!worse(scores[child], items[child], score, item)) break;
    items[at] = items[child];
    scores[at] = scores[child];
    at = child;
  }
  items[at] = item;
  scores[at] = score;
}

function worse(score: number, item: number, otherScore: number, otherItem: number): boolean {
  return score < otherScore || (score === otherScore && item > otherItem);
}

/** Takes the worst entry off again and again, so the list is written from its end. */
function drain(heapItems: Uint32Array, heapScores: Float32Array, kept: number, items: Uint32Array, scores: Float32Array, start: number): void {
  for (let count = kept; count > 0; count--) {
    items[start + count - 1] = heapItems[0];
    scores[start + count - 1] = heapScores[0];
    heapItems[0] = heapItems[count - 1];
    heapScores[0] = heapScores[count - 1];
    siftDown(heapItems, heapScores, 0, count - 1);
  }
}
