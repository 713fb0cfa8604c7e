import { NativeError } from "../core/errors.js";
import type { RunOptions } from "../core/progress.js";
import { checkAttention, checkKnapsack, checkOptions, checkPropagate, checkScoreTopK, checkTraining } from "./check.js";
import {
  checkCholesky, checkConjugateGradient, checkCooccurrence, checkGram, checkHessianProduct, checkKMeans, checkRankUpdate,
} from "./checkmath.js";
import { AddonMemory, type Staged } from "./memory.js";
import type {
  AttentionResult, ConjugateGradient, Cooccurrence, EpochResult, KernelName, Kernels, KMeansRound, KnapsackResult, TopK,
} from "./kernels.js";

/** Instruction sets of the cpu face; all give the same bits. */
export const ISA_NAMES = ["base", "avx2", "avx512", "avx512vnni"] as const;
export type IsaName = (typeof ISA_NAMES)[number];

/** Raised when the addon's calls change, so that a stale build is refused by name and not by a crash. */
export const ADDON_CONTRACT = 2;

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

/** What the threads of a face can do at most, measured: billions a second, all threads together. */
export interface Roofs {
  /** float32 operations; a multiply and an add are two. */
  floats: number;
  /** The same in double. */
  doubles: number;
  /** Bytes read from the second-level cache. */
  cache: number;
  /** Bytes read from memory. */
  memory: number;
}

/** Where and how calls run: on the GPU where one is named; there the instruction set and the threads serve what the host does. */
export interface AddonSettings {
  isa: IsaName;
  threads: number;
  gpu?: CudaDevice;
}

/** How a call is to run. */
export interface Control {
  device: "cpu" | "cuda";
  isa: IsaName;
  threads: number;
  progress?: (done: number, total: number) => void;
}

export interface Job<T> {
  promise: Promise<T>;
  cancel(): void;
}

export type Call<T> = (input: object, control: Control) => Job<T>;

/** An array at the addon's side; only the addon can look into it. */
export type Handle = object & { length: number };

/** The module as `require` returns it: the calls of the contract; the others are not enumerable. */
export interface Addon {
  scoreTopK: Call<TopK>;
  bprEpoch: Call<EpochResult>;
  lightGcnEpoch: Call<EpochResult>;
  propagate: Call<Float32Array>;
  attentionWeights: Call<AttentionResult>;
  knapsack: Call<KnapsackResult>;
  kmeans: Call<KMeansRound>;
  gram: Call<Uint32Array>;
  itemCooccurrence: Call<Cooccurrence>;
  cholesky: Call<Float64Array>;
  rankUpdate: Call<Float64Array>;
  hessianProduct: Call<Float64Array>;
  conjugateGradient: Call<ConjugateGradient>;
  /** An empty array with room for `length` values. `once`: for one call, which may take the memory. */
  allocate(array: { kind: "float32" | "float64" | "uint32"; length: number; once?: true }): object;
  /** Appends; the array can be used when it is full. */
  fill(piece: { array: object; chunk: Float32Array | Float64Array | Uint32Array }): void;
  seal: Call<object>;
  read: Call<Float32Array | Float64Array | Uint32Array>;
  dispose(what: { array: object }): void;
  roofs: Call<Roofs>;
  describe(): AddonDescription;
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
