import { NativeError } from "../core/errors.js";
import type { RunOptions } from "../core/progress.js";
import { checkAttention, checkKnapsack, checkOptions, checkPropagate, checkScoreTopK, checkTraining } from "./check.js";
import {
  checkCholesky, checkConjugateGradient, checkCooccurrence, checkGram, checkHessianProduct, checkKMeans, checkRankUpdate,
} from "./checkmath.js";
import { AddonMemory, type Staged } from "./memory.js";
import type { Call, CudaDevice, Addon, Control, IsaName, Job } from "./binding.js";
import type { KernelName, Kernels } from "./kernels.js";

/** Where and how calls run: on the GPU where one is named; there the instruction set and the threads serve what the host does. */
export interface AddonSettings {
  isa: IsaName;
  threads: number;
  gpu?: CudaDevice;
}

/**
 * The seam: checks meaning in TypeScript, hands plain fresh objects to the addon (which copies every array and checks the
 * copies), ties `signal` and `onProgress` to the job, and turns native failures into {@link NativeError}.
 */
export function addonKernels(addon: Addon, settings: AddonSettings): Kernels {
  const { isa, threads, gpu } = settings;
  const run = async <T>(name: KernelName | "hold", call: Call<T>, input: object, { signal, onProgress }: RunOptions, total: number): Promise<T> => {
    let failure: { cause: unknown } | undefined;
    const control: Control = { device: gpu ? "cuda" : "cpu", isa, threads };
    if (onProgress) {
      control.progress = (done, of) => {
        if (failure || signal?.aborted) return;
        try {
          onProgress(done, of);
        } catch (cause) {
          failure = { cause };
          job.cancel();
        }
      };
    }
    let job: Job<T>;
    // Without an await where nothing is large: the arguments are then copied before this function returns to its caller.
    let staged: Staged | undefined;
    try {
      staged = memory.isLarge(input) ? await memory.stage(input, signal) : undefined;
      job = call(staged?.input ?? input, control);
    } catch (error) {
      throw translate(name, error);
    } finally {
      staged?.release();
    }
    const abort = (): void => job.cancel();
    signal?.addEventListener("abort", abort, { once: true });
    try {
      const result = await job.promise.catch((error: unknown) => {
        if (failure) throw failure.cause;
        signal?.throwIfAborted();
        throw translate(name, error);
      });
      if (failure) throw failure.cause;
      signal?.throwIfAborted();
      onProgress?.(total, total);
      return result;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  };
  const memory = AddonMemory.of(addon), face = memory.face;
  return {
    face: gpu ? "cuda" : "cpu",
    device: gpu ? `cuda (${gpu.name}, ${gpu.computeCapability})` : `cpu (${isa}, ${threads} ${threads === 1 ? "thread" : "threads"})`,
    async hold(data, options) {
      return memory.hold(data, checkOptions(options), (call, input, checkedOptions) => run("hold", call, input, checkedOptions, 1));
    },
    async scoreTopK(input, options) {
      const checkedOptions = checkOptions(options), checked = checkScoreTopK(input, face);
      return run("scoreTopK", addon.scoreTopK, checked, checkedOptions, checked.userRows);
    },
    async bprEpoch(state, input, options) {
      const checkedOptions = checkOptions(options), checked = checkTraining("bprEpoch", state, input, face);
      return run("bprEpoch", addon.bprEpoch, checked, checkedOptions, checked.input.epochs);
    },
    async lightGcnEpoch(state, input, options) {
      const checkedOptions = checkOptions(options), checked = checkTraining("lightGcnEpoch", state, input, face);
      return run("lightGcnEpoch", addon.lightGcnEpoch, checked, checkedOptions, checked.input.epochs);
    },
    async propagate(input, options) {
      const checkedOptions = checkOptions(options), checked = checkPropagate(input, face);
      return run("propagate", addon.propagate, checked, checkedOptions, checked.layers);
    },
    async attentionWeights(input, options) {
      const checkedOptions = checkOptions(options), checked = checkAttention(input, face);
      return run("attentionWeights", addon.attentionWeights, checked, checkedOptions, checked.groups);
    },
    async knapsack(input, options) {
      const checkedOptions = checkOptions(options), checked = checkKnapsack(input, face);
      return run("knapsack", addon.knapsack, checked, checkedOptions, checked.instances);
    },
    async kmeans(input, options) {
      const checkedOptions = checkOptions(options), checked = checkKMeans(input, face);
      return run("kmeans", addon.kmeans, checked, checkedOptions, checked.rounds);
    },
    async gram(input, options) {
      const checkedOptions = checkOptions(options), checked = checkGram(input, face);
      return run("gram", addon.gram, checked, checkedOptions, checked.columnCount);
    },
    async itemCooccurrence(input, options) {
      const checkedOptions = checkOptions(options), checked = checkCooccurrence(input, face);
      return run("itemCooccurrence", addon.itemCooccurrence, checked, checkedOptions, checked.columnCount);
    },
    async cholesky(input, options) {
      const checkedOptions = checkOptions(options), checked = checkCholesky(input, face);
      return run("cholesky", addon.cholesky, checked, checkedOptions, checked.size);
    },
    async rankUpdate(input, options) {
      const checkedOptions = checkOptions(options), checked = checkRankUpdate(input, face);
      return run("rankUpdate", addon.rankUpdate, checked, checkedOptions, checked.size);
    },
    async hessianProduct(input, options) {
      const checkedOptions = checkOptions(options), checked = checkHessianProduct(input, face);
      return run("hessianProduct", addon.hessianProduct, checked, checkedOptions, 1);
    },
    async conjugateGradient(input, options) {
      const checkedOptions = checkOptions(options), { rows: _, rowsChosen, ...checked } = checkConjugateGradient(input, face);
      return run("conjugateGradient", addon.conjugateGradient, { ...checked, ...(rowsChosen ? { rows: rowsChosen } : {}) }, checkedOptions, checked.iterations);
    },
  };
}

/** Native errors carry `code` and `hint` as plain properties. */
function translate(kernel: KernelName | "hold", error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, hint } = error as Error & { code?: unknown; hint?: unknown };
  if (typeof code !== "string" || !code.startsWith("NATIVE_")) return error;
  return new NativeError(code, `${kernel}: ${error.message}`, { cause: error, ...(typeof hint === "string" ? { hint } : {}) });
}
