import type { KernelName, Kernels } from "./kernels.js";
import { outOfMemory } from "./reader.js";
import { attentionWeights } from "./reference/attention.js";
import { knapsack } from "./reference/knapsack.js";
import { propagate } from "./reference/propagate.js";
import { scoreTopK } from "./reference/topk.js";
import { bprEpoch, lightGcnEpoch } from "./reference/train.js";

/**
 * The TypeScript face: the readable specification of every kernel, the oracle of the tests, and what runs where no
 * compiler is. Same results as the native face, bit for bit; slower by the factors in docs/kernels.md.
 */
export function referenceKernels(): Kernels {
  return {
    face: "js",
    device: "js (TypeScript)",
    scoreTopK: guarded("scoreTopK", scoreTopK),
    bprEpoch: guarded("bprEpoch", bprEpoch),
    lightGcnEpoch: guarded("lightGcnEpoch", lightGcnEpoch),
    propagate: guarded("propagate", propagate),
    attentionWeights: guarded("attentionWeights", attentionWeights),
    knapsack: guarded("knapsack", knapsack),
  };
}

/** An allocation that fails is a bare RangeError of the engine. */
function guarded<Values extends unknown[], T>(name: KernelName, call: (...values: Values) => Promise<T>): (...values: Values) => Promise<T> {
  return (...values) => call(...values).catch((error: unknown) => {
    throw error instanceof RangeError && /allocation failed|array length/i.test(error.message) ? outOfMemory(name, error) : error;
  });
}
