import type {
  AttentionResult, ConjugateGradient, Cooccurrence, EpochResult, KMeansRound, KnapsackResult, TopK,
} from "./kernels.js";

/** What the compiled addon exports; addon.ts makes kernels of it. */

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
