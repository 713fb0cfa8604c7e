import { NativeError } from "../core/errors.js";
import type { RunOptions } from "../core/progress.js";
import type {
  AttentionInput, BprInput, KnapsackInput, LightGcnInput, PropagateInput, ScoreTopKInput, TrainingState,
} from "./kernels.js";
import { MAX_ROWS, Reader, show } from "./reader.js";

/**
 * Argument checks shared by the TypeScript face and the addon's seam. Each property is read once, so an object with
 * getters cannot show one value to the check and another to the kernel. With `copy` the arrays are copied before they
 * are looked at (the TypeScript face works on these copies); the addon copies and checks its own once more.
 */
const MAX_DIMENSION = 65536;
/** Values in one result array. */
const MAX_RESULT = 0xffffffff;

export interface CheckedScoreTopK extends ScoreTopKInput {
  userRows: number;
  itemCount: number;
}

/** Arguments of `scoreTopK`. @throws NativeError NATIVE_INPUT, NATIVE_SHAPE, NATIVE_RANGE, NATIVE_CSR, NATIVE_NOT_FINITE: so do all checks below. */
export function checkScoreTopK(input: ScoreTopKInput, copy: boolean): CheckedScoreTopK {
  const read = new Reader("scoreTopK", input, copy);
  const dimension = read.whole("dimension", 1, MAX_DIMENSION);
  const users = read.float32("users"), items = read.float32("items");
  const userRows = read.rows("users", users, dimension), itemCount = read.rows("items", items, dimension);
  if (itemCount === 0) throw new NativeError("NATIVE_SHAPE", "scoreTopK: items is empty.");
  const k = read.whole("k", 1, itemCount);
  if (userRows * k > MAX_RESULT) {
    throw new NativeError("NATIVE_SHAPE", `scoreTopK: ${userRows} lists of ${k} are too many for one array.`, { hint: "Pass fewer users at a time." });
  }
  const checked: CheckedScoreTopK = { users, items, dimension, k, userRows, itemCount };
  if (read.get("mask") !== undefined) checked.mask = read.csr("mask", userRows, itemCount);
  return checked;
}

export interface CheckedPropagate extends PropagateInput {
  rows: number;
}

/** @throws NativeError when the input of `propagate` is not what its contract says */
/** Arguments of `propagate`. @throws NativeError as {@link checkScoreTopK}. */
export function checkPropagate(input: PropagateInput, copy: boolean): CheckedPropagate {
  const read = new Reader("propagate", input, copy);
  const dimension = read.whole("dimension", 1, MAX_DIMENSION);
  const userCount = read.whole("userCount", 1, MAX_ROWS), itemCount = read.whole("itemCount", 1, MAX_ROWS);
  const rows = userCount + itemCount;
  const parameters = read.float32("parameters");
  read.shape("parameters", parameters, rows * dimension, "(userCount + itemCount) * dimension");
  const layers = read.whole("layers", 0, 1000);
  const positives = read.csr("positives", userCount, itemCount);
  return { userCount, itemCount, dimension, parameters, positives, layers, rows };
}

export interface CheckedTraining {
  state: TrainingState;
  input: LightGcnInput;
}

/** Arguments of both training kernels; BPR is given 0 layers. @throws NativeError as {@link checkScoreTopK}. */
export function checkTraining(
  kernel: "bprEpoch" | "lightGcnEpoch", state: TrainingState, input: BprInput | LightGcnInput, copy: boolean,
): CheckedTraining {
  const readState = new Reader(kernel, state, copy, "state."), read = new Reader(kernel, input, copy);
  const dimension = readState.whole("dimension", 1, MAX_DIMENSION);
  const userCount = readState.whole("userCount", 1, MAX_ROWS), itemCount = readState.whole("itemCount", 1, MAX_ROWS);
  const size = (userCount + itemCount) * dimension;
  const parameters = readState.float32("parameters");
  readState.shape("parameters", parameters, size, "(userCount + itemCount) * dimension");
  const step = readState.whole("step", 0, 2 ** 48);
  const optimiser = read.choice("optimiser", ["adam", "sgd"] as const);
  const moments = optimiser === "adam" ? size : 0;
  const first = readState.float32("first"), second = readState.float32("second");
  const meaning = optimiser === "adam" ? "as parameters" : "none under SGD";
  readState.shape("first", first, moments, meaning);
  readState.shape("second", second, moments, meaning);
  for (let at = 0; at < moments; at++) {
    if (second[at] >= 0) continue;
    throw new NativeError("NATIVE_RANGE", `${kernel}: state.second holds ${second[at]} at position ${at}; a second moment is never negative.`);
  }
  const firstEpoch = read.whole("firstEpoch", 0, 0xffffffff);
  const checked: CheckedTraining = {
    state: { userCount, itemCount, dimension, parameters, first, second, step },
    input: {
      positives: read.csr("positives", userCount, itemCount),
      seed: read.whole("seed", 0, 0xffffffff),
      firstEpoch,
      epochs: read.whole("epochs", 1, 0x100000000 - firstEpoch),
      batchCount: read.whole("batchCount", 1, 2 ** 24),
      learningRate: read.amount("learningRate"),
      regularisation: read.amount("regularisation"),
      optimiser,
      layers: kernel === "bprEpoch" ? 0 : read.whole("layers", 0, 1000),
    },
  };
  return checked;
}

export interface CheckedAttention extends AttentionInput {
  groups: number;
  /** Length of the result. */
  outputLength: number;
}

/** @throws NativeError when the input of `attentionWeights` is not what its contract says */
/** Arguments of `attentionWeights`, and the length of its result. @throws NativeError as {@link checkScoreTopK}. */
export function checkAttention(input: AttentionInput, copy: boolean): CheckedAttention {
  const read = new Reader("attentionWeights", input, copy);
  const dimension = read.whole("dimension", 1, MAX_DIMENSION);
  const heads = read.whole("heads", 1, dimension);
  if (dimension % heads !== 0) {
    throw new NativeError("NATIVE_RANGE", `attentionWeights: ${heads} heads do not divide dimension ${dimension}.`);
  }
  const queries = read.float32("queries"), keys = read.float32("keys");
  const queryRows = read.rows("queries", queries, dimension), keyRows = read.rows("keys", keys, dimension);
  const queryOffsets = read.uint32("queryOffsets"), keyOffsets = read.uint32("keyOffsets");
  if (queryOffsets.length === 0) {
    throw new NativeError("NATIVE_CSR", "attentionWeights: queryOffsets must hold at least one entry, 0.");
  }
  const groups = queryOffsets.length - 1;
  read.offsets("queryOffsets", queryOffsets, groups, queryRows);
  read.offsets("keyOffsets", keyOffsets, groups, keyRows);
  const output = read.choice("output", ["weights", "max", "mean"] as const);
  const checked: CheckedAttention = {
    queries, queryOffsets, keys, keyOffsets, dimension, heads, output, groups, outputLength: keyRows,
  };
  if (read.get("bias") !== undefined) {
    checked.bias = read.float32("bias");
    read.shape("bias", checked.bias, keyRows, "one per key");
  }
  if (output === "weights") {
    checked.outputLength = 0;
    for (let group = 0; group < groups; group++) {
      checked.outputLength += (queryOffsets[group + 1] - queryOffsets[group]) * (keyOffsets[group + 1] - keyOffsets[group]);
    }
    if (checked.outputLength > MAX_RESULT) {
      throw new NativeError("NATIVE_SHAPE", `attentionWeights: ${checked.outputLength} weights are too many for one array.`, {
        hint: 'Ask for output "max" or "mean", or pass fewer users at a time.',
      });
    }
  }
  return checked;
}

/** Arguments of `knapsack`. @throws NativeError as {@link checkScoreTopK}, and NATIVE_INFEASIBLE: no choice of levels meets the capacity. */
export function checkKnapsack(input: KnapsackInput, copy: boolean): KnapsackInput {
  const read = new Reader("knapsack", input, copy);
  const instances = read.whole("instances", 0, MAX_ROWS);
  const categories = read.whole("categories", 1, 65536), levels = read.whole("levels", 1, 65535);
  const capacity = read.whole("capacity", 0, 0xffffffff);
  const boundary = read.choice("boundary", ["exact", "atMost"] as const);
  const values = read.float64("values");
  read.shape("values", values, instances * categories * levels, "instances * categories * levels");
  const most = categories * levels;
  if (capacity < categories || (boundary === "exact" && capacity > most)) {
    throw new NativeError("NATIVE_INFEASIBLE",
      `knapsack: ${categories} categories of 1 to ${levels} give sums from ${categories} to ${most}; capacity ${capacity} cannot be met.`, {
        hint: capacity < categories
          ? "Raise the capacity or use fewer categories."
          : 'Use boundary "atMost", more levels, or a smaller capacity.',
      });
  }
  return { values, instances, categories, levels, capacity: Math.min(capacity, most), boundary };
}

/** Options of any call. @throws NativeError NATIVE_OPTIONS; the signal's reason when it is already aborted. */
export function checkOptions(options: RunOptions | undefined): RunOptions {
  if (options === undefined) return {};
  if (options === null || typeof options !== "object") {
    throw new NativeError("NATIVE_OPTIONS", `Run options must be an object, not ${show(options)}.`);
  }
  const { signal, onProgress } = options;
  // By shape, not instanceof: a notebook's signal may come from another realm.
  const isSignal = typeof signal?.throwIfAborted === "function" && typeof signal.addEventListener === "function";
  if (signal !== undefined && !isSignal) {
    throw new NativeError("NATIVE_OPTIONS", "signal must be an AbortSignal.", { hint: "Pass new AbortController().signal." });
  }
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw new NativeError("NATIVE_OPTIONS", `onProgress must be a function, not ${show(onProgress)}.`);
  }
  signal?.throwIfAborted();
  return { ...(signal ? { signal } : {}), ...(onProgress ? { onProgress } : {}) };
}
