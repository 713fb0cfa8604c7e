import { NativeError } from "../../core/errors.js";
import { exp32, fma32 } from "../../core/math.js";
import { Breather, type RunOptions } from "../../core/progress.js";
import { checkAttention, checkOptions, type CheckedAttention } from "../check.js";
import { NO_ITEM, type AttentionInput, type AttentionResult } from "../kernels.js";
import { Ticker } from "./ticker.js";

/** Partial sums of a softmax total. */
const LANES = 16;
/** Candidates of one user that are pooled before blocks are pooled. */
const BLOCK = 64;

/**
 * Softmax attention of candidates over history (Eq. 6 and 8). Every operation is rounded to float32; fma rounds once (fma32):
 * 1. query q[d] * s with s = 1 / sqrt(dimension / heads) rounded to float32.
 * 2. logit: from the key's bias (or 0), fma(query[d], key[d], logit) over d ascending in the head's slice. A logit that is not
 *    finite is refused.
 * 3. e[j] = exp32(logit[j] - largest logit): 0 where that is below -64.
 * 4. total: sixteen sums t[l] over j = l, l + 16, ... ascending; then t[l] += t[l + 8], t[l + 4], t[l + 2], t[l + 1].
 * 5. "heads": e[j] * (1 / total). Else, over heads ascending from 0, weight[j] = fma(e[j], 1 / (total * heads), weight[j]).
 * 6. "max", "mean": candidates ascending in blocks of 64, from 0; blocks ascending, from 0; a mean is then divided by the candidates.
 * Cost O(candidates * history * dimension).
 */
export async function attentionWeights(input: AttentionInput, options?: RunOptions): Promise<AttentionResult> {
  const { signal, onProgress } = checkOptions(options);
  const checked = checkAttention(input);
  const { queryOffsets, keyOffsets, groups, heads, output, k, outputLength } = checked;
  const weights = new Float32Array(outputLength);
  const keys = output === "top" ? new Uint32Array(outputLength).fill(NO_ITEM) : undefined;
  const breather = new Breather(signal), ticker = new Ticker(onProgress, groups);
  let longest = 0;
  for (let group = 0; group < groups; group++) longest = Math.max(longest, keyOffsets[group + 1] - keyOffsets[group]);
  const rows = { e: new Float32Array(longest), mean: new Float32Array(longest), block: new Float32Array(longest) };
  const scaled = new Float32Array(checked.dimension);
  let written = 0;
  for (let group = 0; group < groups; group++) {
    const keyStart = keyOffsets[group], keyCount = keyOffsets[group + 1] - keyStart;
    const first = queryOffsets[group], last = queryOffsets[group + 1], queryCount = last - first;
    const mean = rows.mean.subarray(0, keyCount), block = rows.block.subarray(0, keyCount), pooled = weights.subarray(keyStart, keyStart + keyCount);
    for (let query = first; query < last && keyCount > 0; query++) {
      scale(checked, query, scaled);
      mean.fill(0);
      for (let head = 0; head < heads; head++) {
        const total = exponentials(checked, scaled, head, group, rows.e);
        if (output === "heads") {
          const inverse = Math.fround(1 / total), at = written + (head * queryCount + query - first) * keyCount;
          for (let j = 0; j < keyCount; j++) weights[at + j] = rows.e[j] * inverse;
        } else {
          const inverse = Math.fround(1 / Math.fround(total * heads));
          for (let j = 0; j < keyCount; j++) mean[j] = fma32(rows.e[j], inverse, mean[j]);
        }
        if (breather.due()) {
          await breather.pause();
          ticker.at(group);
        }
      }
      if (output === "weights") weights.set(mean, written + (query - first) * keyCount);
      if (keys) keepTop(mean, k, weights, keys, query * k);
      if (output === "max" || output === "mean") {
        pool(output, mean, block);
        if ((query - first) % BLOCK === BLOCK - 1 || query === last - 1) {
          pool(output, block, pooled);
          block.fill(0);
        }
      }
    }
    if (output === "mean" && queryCount > 0) for (let j = 0; j < keyCount; j++) pooled[j] /= Math.fround(queryCount);
    if (output === "heads" || output === "weights") written += queryCount * keyCount * (output === "heads" ? heads : 1);
  }
  ticker.end();
  return keys ? { weights, keys } : { weights };
}

function scale({ queries, dimension, heads }: CheckedAttention, query: number, scaled: Float32Array): void {
  const factor = Math.fround(1 / Math.sqrt(dimension / heads));
  for (let d = 0; d < dimension; d++) scaled[d] = queries[query * dimension + d] * factor;
}

/** e[j] = e^(logit - largest logit) of one head; returns their total. */
function exponentials({ keys, keyOffsets, bias, dimension, heads }: CheckedAttention, query: Float32Array, head: number, group: number, e: Float32Array): number {
  const width = dimension / heads, from = head * width, keyStart = keyOffsets[group], keyCount = keyOffsets[group + 1] - keyStart;
  let largest = -Infinity;
  for (let j = 0; j < keyCount; j++) {
    const key = (keyStart + j) * dimension;
    let logit = bias ? bias[keyStart + j] : 0;
    for (let d = from; d < from + width; d++) logit = fma32(query[d], keys[key + d], logit);
    if (!Number.isFinite(logit)) {
      throw new NativeError("NATIVE_RANGE", `attentionWeights: the logits of user ${group} leave the range of float32.`, { hint: "Scale the vectors." });
    }
    e[j] = logit;
    if (logit > largest) largest = logit;
  }
  const totals = new Float32Array(LANES);
  for (let j = 0; j < keyCount; j++) {
    e[j] = exp32(Math.fround(e[j] - largest));
    totals[j % LANES] += e[j];
  }
  for (let half = LANES / 2; half >= 1; half /= 2) for (let lane = 0; lane < half; lane++) totals[lane] += totals[lane + half];
  return totals[0];
}

function pool(output: "max" | "mean", weights: Float32Array, pooled: Float32Array): void {
  if (output === "mean") for (let j = 0; j < weights.length; j++) pooled[j] += weights[j];
  else for (let j = 0; j < weights.length; j++) if (weights[j] > pooled[j]) pooled[j] = weights[j];
}

/** The k largest, ties to the lower key; what stands there stays where there are fewer. */
function keepTop(row: Float32Array, k: number, weights: Float32Array, keys: Uint32Array, at: number): void {
  const order = Uint32Array.from(row, (_, j) => j).sort((a, b) => row[b] - row[a] || a - b);
  for (let place = 0; place < k && place < order.length; place++) {
    weights[at + place] = row[order[place]];
    keys[at + place] = order[place];
  }
}
