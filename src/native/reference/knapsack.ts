import { NativeError } from "../../core/errors.js";
import { Breather, type RunOptions } from "../../core/progress.js";
import { checkKnapsack, checkOptions } from "../check.js";
import type { KnapsackInput, KnapsackResult } from "../kernels.js";
import { Ticker } from "./ticker.js";

/**
 * best[c][w] = max over x of best[c - 1][w - x] + value[c][x - 1], x ascending, a later x only when strictly better. Before
 * the first category best is 0 at w = 0 and -Infinity elsewhere; under "atMost" it is 0 at every w: what is left unspent stands
 * before the first category, so the tie rule (smaller level, last category first) holds there too. A capacity beyond the sum of the
 * levels is cut to it. Walking back, the smallest level that gives a total is found again.
 */
export async function knapsack(input: KnapsackInput, options?: RunOptions): Promise<KnapsackResult> {
  const { signal, onProgress } = checkOptions(options);
  const { categoryOffsets, levels, values, capacities, boundary, instances } = checkKnapsack(input);
  const result: KnapsackResult = { choices: new Uint32Array(levels.length), totals: new Float64Array(instances) };
  const breather = new Breather(signal), ticker = new Ticker(onProgress, instances);
  let start = 0;
  for (let instance = 0; instance < instances; instance++) {
    const first = categoryOffsets[instance], own = levels.subarray(first, categoryOffsets[instance + 1]);
    const most = own.reduce((sum, count) => sum + count, 0), capacity = Math.min(capacities[instance], most);
    const rows = [new Float64Array(capacity + 1).fill(boundary === "atMost" ? 0 : -Infinity)];
    rows[0][0] = 0;
    for (const [category, count] of own.entries()) {
      const next = new Float64Array(capacity + 1);
      for (let w = 0; w <= capacity; w++) {
        next[w] = bestTotal(values, start, count, rows[category], w);
        if (breather.due()) await breather.pause();
      }
      rows.push(next);
      start += count;
    }
    result.totals[instance] = rows[own.length][capacity];
    if (!Number.isFinite(result.totals[instance])) throw knapsackOverflow(instance);
    let left = capacity, at = start;
    for (let category = own.length - 1; category >= 0; category--) {
      at -= own[category];
      const level = levelOf(values, at, rows[category], left, rows[category + 1][left]);
      result.choices[first + category] = level;
      left -= level;
    }
    ticker.at(instance + 1);
  }
  ticker.end();
  return result;
}

/** Best total of weight w after one more category, whose values start at `at`. */
function bestTotal(values: Float64Array, at: number, count: number, before: Float64Array, w: number): number {
  let most = -Infinity;
  for (let level = 1; level <= count && level <= w; level++) {
    const total = before[w - level] + values[at + level - 1];
    if (total > most) most = total;
  }
  return most;
}

function levelOf(values: Float64Array, at: number, before: Float64Array, w: number, total: number): number {
  let level = 1;
  while (before[w - level] + values[at + level - 1] !== total) level++;
  return level;
}

/** Finite values whose sum leaves the range of a double. */
function knapsackOverflow(instance: number): NativeError {
  return new NativeError("NATIVE_RANGE", `knapsack: the values of instance ${instance} are too large to add.`, { hint: "Scale the values." });
}
