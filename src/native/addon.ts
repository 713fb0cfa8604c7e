import { NativeError } from "../core/errors.js";
import type { RunOptions } from "../core/progress.js";
import { checkAttention, checkKnapsack, checkOptions, checkPropagate, checkScoreTopK, checkTraining } from "./check.js";
import type { EpochResult, KernelName, Kernels, KnapsackResult, TopK } from "./kernels.js";

/** Instruction sets of the cpu face; all give the same bits. */
export const ISA_NAMES = ["base", "avx2", "avx512"] as const;
export type IsaName = (typeof ISA_NAMES)[number];

/** Raised when the addon's calls change, so that a stale build is refused by name and not by a crash. */
export const ADDON_CONTRACT = 1;

export interface CudaDevice {
  name: string;
  memoryBytes: number;
  /** For example "9.0". */
  computeCapability: string;
}

/** What the compiled addon says about itself and the machine. */
export interface AddonDescription {
  contract: number;
  /** Supported by this build and this processor, lowest first. */
  isas: IsaName[];
  cores: number;
  cuda: { devices: CudaDevice[]; text: string };
}

interface Control {
  isa: IsaName;
  threads: number;
  progress?: (done: number, total: number) => void;
}

interface Job<T> {
  promise: Promise<T>;
  cancel(): void;
}

type Call<T> = (input: object, control: Control) => Job<T>;

/** The module as `require` returns it: the six calls of the contract, and `describe`, which is not enumerable. */
export interface Addon {
  scoreTopK: Call<TopK>;
  bprEpoch: Call<EpochResult>;
  lightGcnEpoch: Call<EpochResult>;
  propagate: Call<Float32Array>;
  attentionWeights: Call<Float32Array>;
  knapsack: Call<KnapsackResult>;
  describe(): AddonDescription;
}

/**
 * The seam: checks meaning in TypeScript, hands plain fresh objects to the addon (which copies every array and checks the
 * copies again), ties `signal` and `onProgress` to the job, and turns native failures into {@link NativeError}.
 */
export function addonKernels(addon: Addon, settings: { isa: IsaName; threads: number }): Kernels {
  const run = async <T>(name: KernelName, call: Call<T>, input: object, { signal, onProgress }: RunOptions, total: number): Promise<T> => {
    let failure: { cause: unknown } | undefined;
    const control: Control = { isa: settings.isa, threads: settings.threads };
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
    try {
      job = call(input, control);
    } catch (error) {
      throw translate(name, error);
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
  const { isa, threads } = settings;
  return {
    face: "cpu",
    device: `cpu (${isa}, ${threads} ${threads === 1 ? "thread" : "threads"})`,
    async scoreTopK(input, options) {
      const checkedOptions = checkOptions(options), checked = checkScoreTopK(input, false);
      return run("scoreTopK", addon.scoreTopK, checked, checkedOptions, checked.userRows);
    },
    async bprEpoch(state, input, options) {
      const checkedOptions = checkOptions(options), checked = checkTraining("bprEpoch", state, input, false);
      return run("bprEpoch", addon.bprEpoch, checked, checkedOptions, checked.input.epochs);
    },
    async lightGcnEpoch(state, input, options) {
      const checkedOptions = checkOptions(options), checked = checkTraining("lightGcnEpoch", state, input, false);
      return run("lightGcnEpoch", addon.lightGcnEpoch, checked, checkedOptions, checked.input.epochs);
    },
    async propagate(input, options) {
      const checkedOptions = checkOptions(options), checked = checkPropagate(input, false);
      return run("propagate", addon.propagate, checked, checkedOptions, checked.layers);
    },
    async attentionWeights(input, options) {
      const checkedOptions = checkOptions(options), checked = checkAttention(input, false);
      return run("attentionWeights", addon.attentionWeights, checked, checkedOptions, checked.groups);
    },
    async knapsack(input, options) {
      const checkedOptions = checkOptions(options), checked = checkKnapsack(input, false);
      return run("knapsack", addon.knapsack, checked, checkedOptions, checked.instances);
    },
  };
}

/** Native errors carry `code` and `hint` as plain properties. */
function translate(kernel: KernelName, error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, hint } = error as Error & { code?: unknown; hint?: unknown };
  if (typeof code !== "string" || !code.startsWith("NATIVE_")) return error;
  return new NativeError(code, `${kernel}: ${error.message}`, { cause: error, ...(typeof hint === "string" ? { hint } : {}) });
}
