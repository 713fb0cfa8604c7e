import { NativeError } from "../../core/errors.js";
import { Breather, type RunOptions } from "../../core/progress.js";
import { checkKnapsack, checkOptions } from "../check.js";
import type { KnapsackInput, KnapsackResult } from "../kernels.js";
import { Ticker } from "./ticker.js";

/**
 * best[c][w] = max over x of best[c - 1][w - x] + value[c][x - 1], x ascending, a later x only when strictly better. Before
 * the first category best is 0 at w = 0 and -Infinity elsewhere; under "atMost" it is 0 at every w: what is left unspent stands
 * before the first category, so the tie rule (smaller level, last category first) holds there too.
 */
export async function knapsack(input: KnapsackInput, options?: RunOptions): Promise<KnapsackResult> {
  const { signal, onProgress } = checkOptions(options);
  const { values, instances, categories, levels, capacity, boundary } = checkKnapsack(input);
  const result: KnapsackResult = { choices: new Uint32Array(instances * categories), totals: new Float64Array(instances) };
  const width = capacity + 1;
  let best = new Float64Array(width), next = new Float64Array(width);
  const picks = new Uint16Array(categories * width);
  const breather = new Breather(signal), ticker = new Ticker(onProgress, instances);
  for (let instance = 0; instance < instances; instance++) {
    best.fill(boundary === "atMost" ? 0 : -Infinity);
    best[0] = 0;
    for (let category = 0; category < categories; category++) {
      const start = (instance * categories + category) * levels;
      chooseLevels(values, start, levels, best, next, picks, category * width);
      [best, next] = [next, best];
      if (breather.due()) await breather.pause();
    }
    if (!Number.isFinite(best[capacity])) throw knapsackOverflow(instance);
    result.totals[instance] = best[capacity];
    let left = capacity;
    for (let category = categories - 1; category >= 0; category--) {
      const level = picks[category * width + left];
      result.choices[instance * categories + category] = level;
      left -= level;
    }
    ticker.at(instance + 1);
  }
  ticker.end();
  return result;
}

function chooseLevels(
  values: Float64Array, start: number, levels: number, best: Float64Array, next: Float64Array, picks: Uint16Array, at: number,
): void {
  for (let w = 0; w < best.length; w++) {
    let most = -Infinity, pick = 0;
    const top = Math.min(levels, w);
    for (let level = 1; level <= top; level++) {
      const value = best[w - level] + values[start + level - 1];
      if (value > most) {
        most = value;
        pick = level;
      }
    }
    next[w] = most;
    picks[at + w] = pick;
  }
}

/** Finite values whose sum leaves the range of a double. */
function knapsackOverflow(instance: number): NativeError {
  return new NativeError("NATIVE_RANGE", `knapsack: the values of instance ${instance} are too large to add.`, { hint: "Scale the values." });
}
