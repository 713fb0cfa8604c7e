import type { Kernels } from "./kernels.js";
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
  return { face: "js", device: "js (TypeScript)", scoreTopK, bprEpoch, lightGcnEpoch, propagate, attentionWeights, knapsack };
}
