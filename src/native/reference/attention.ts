import { exp } from "../../core/math.js";
import { Breather, type RunOptions } from "../../core/progress.js";
import { checkAttention, checkOptions } from "../check.js";
import type { AttentionInput } from "../kernels.js";
import { Ticker } from "./ticker.js";

/**
 * Softmax attention of candidates over history, mean over heads (Eq. 6 and 8). In double, in this order
 * (native/cpu/attention.cpp copies it): dot over d ascending in the head's slice; logit = dot * (1 / sqrt(dimension / heads))
 * + bias; e = exp(logit - largest); total over j ascending; weight of head = e * (1 / total); heads ascending, then / heads.
 * "mean" adds the candidates in order and divides by their number. Rounded to float32 once.
 * Cost O(candidates * history * dimension).
 */
export async function attentionWeights(input: AttentionInput, options?: RunOptions): Promise<Float32Array> {
  const { signal, onProgress } = checkOptions(options);
  const checked = checkAttention(input);
  const { queryOffsets, keyOffsets, groups, output } = checked;
  const result = new Float32Array(checked.outputLength);
  const breather = new Breather(signal), ticker = new Ticker(onProgress, groups);
  let longest = 0;
  for (let group = 0; group < groups; group++) longest = Math.max(longest, keyOffsets[group + 1] - keyOffsets[group]);
  const logits = new Float64Array(longest), weights = new Float64Array(longest), pooled = new Float64Array(longest);
  let written = 0;
  for (let group = 0; group < groups; group++) {
    const keyStart = keyOffsets[group], keyCount = keyOffsets[group + 1] - keyStart;
    const queryCount = queryOffsets[group + 1] - queryOffsets[group];
    pooled.fill(0);
    for (let query = queryOffsets[group]; query < queryOffsets[group + 1]; query++) {
      attend(checked, query, keyStart, keyCount, logits, weights);
      if (output === "weights") for (let j = 0; j < keyCount; j++) result[written++] = weights[j];
      else if (output === "mean") for (let j = 0; j < keyCount; j++) pooled[j] += weights[j];
      else for (let j = 0; j < keyCount; j++) if (weights[j] > pooled[j]) pooled[j] = weights[j];
      if (breather.due()) {
        await breather.pause();
        ticker.at(group);
      }
    }
    if (output === "max") for (let j = 0; j < keyCount; j++) result[keyStart + j] = pooled[j];
    if (output === "mean" && queryCount > 0) for (let j = 0; j < keyCount; j++) result[keyStart + j] = pooled[j] / queryCount;
  }
  ticker.end();
  return result;
}

/** weights[j] = mean over heads of one candidate's attention. */
function attend(input: AttentionInput, query: number, keyStart: number, keyCount: number, logits: Float64Array, weights: Float64Array): void {
  const { queries, keys, bias, dimension, heads } = input;
  const width = dimension / heads, scale = 1 / Math.sqrt(width);
  for (let j = 0; j < keyCount; j++) weights[j] = 0;
  for (let head = 0; head < heads; head++) {
    const q = query * dimension + head * width;
    let largest = -Infinity;
    for (let j = 0; j < keyCount; j++) {
      const k = (keyStart + j) * dimension + head * width;
      let dot = 0;
      for (let d = 0; d < width; d++) dot += queries[q + d] * keys[k + d];
      const logit = dot * scale + (bias ? bias[keyStart + j] : 0);
      logits[j] = logit;
      if (logit > largest) largest = logit;
    }
    let total = 0;
    for (let j = 0; j < keyCount; j++) {
      const e = exp(logits[j] - largest);
      logits[j] = e;
      total += e;
    }
    const inverse = 1 / total;
    for (let j = 0; j < keyCount; j++) weights[j] += logits[j] * inverse;
  }
  for (let j = 0; j < keyCount; j++) weights[j] /= heads;
}
