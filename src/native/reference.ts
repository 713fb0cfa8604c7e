import type { RunOptions } from "../core/progress.js";
import { checkHoldable, checkOptions } from "./check.js";
import { HeldValue, shapeOf } from "./held.js";
import type { Held, Holdable, KernelName, Kernels } from "./kernels.js";
import { outOfMemory, TYPESCRIPT } from "./reader.js";
import { attentionWeights } from "./reference/attention.js";
import { gram, itemCooccurrence } from "./reference/gram.js";
import { conjugateGradient, hessianProduct } from "./reference/hessian.js";
import { kmeans } from "./reference/kmeans.js";
import { knapsack } from "./reference/knapsack.js";
import { cholesky, rankUpdate, settled } from "./reference/linear.js";
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
    hold: guarded("hold", hold) as Kernels["hold"],
    scoreTopK: guarded("scoreTopK", scoreTopK),
    bprEpoch: guarded("bprEpoch", bprEpoch),
    lightGcnEpoch: guarded("lightGcnEpoch", lightGcnEpoch),
    propagate: guarded("propagate", propagate),
    attentionWeights: guarded("attentionWeights", attentionWeights),
    knapsack: guarded("knapsack", knapsack),
    gram: guarded("gram", gram),
    itemCooccurrence: guarded("itemCooccurrence", itemCooccurrence),
    cholesky: guarded("cholesky", cholesky),
    rankUpdate: guarded("rankUpdate", rankUpdate),
    kmeans: guarded("kmeans", kmeans),
    hessianProduct: guarded("hessianProduct", hessianProduct),
    conjugateGradient: guarded("conjugateGradient", conjugateGradient),
  };
}

/** A private copy. */
async function hold(data: Holdable, options?: RunOptions): Promise<Held> {
  const { onProgress } = checkOptions(options);
  const payload = checkHoldable(data);
  onProgress?.(1, 1);
  return new HeldValue<Holdable>(TYPESCRIPT, shapeOf(payload), payload, {
    read: async (values) => {
      await settled(values);
      return structuredClone(values) as Holdable;
    },
    dispose: () => undefined,
  });
}

/** An allocation that fails is a bare RangeError of the engine. */
function guarded<Values extends unknown[], T>(name: KernelName | "hold", call: (...values: Values) => Promise<T>): (...values: Values) => Promise<T> {
  return (...values) => call(...values).catch((error: unknown) => {
    throw error instanceof RangeError && /allocation failed|array length/i.test(error.message) ? outOfMemory(name, error) : error;
  });
}
