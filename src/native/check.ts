import { types } from "node:util";
import { NativeError } from "../core/errors.js";
import type { Csr } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";
import type {
  AttentionInput, BprInput, Holdable, KnapsackInput, LightGcnInput, PropagateInput, ScoreTopKInput, TrainingState,
} from "./kernels.js";
import { MAX_ROWS, Reader, show, TYPESCRIPT, type Face } from "./reader.js";

/**
 * Argument checks shared by the TypeScript face and the addon's seam. Each property is read once, so an object with
 * getters cannot show one value to the check and another to the kernel. For the TypeScript face the arrays are copied and
 * their contents looked at; the addon does both at its own side (native/check.h). Held values come back as arrays (see Reader).
 */
export const MAX_DIMENSION = 65536;
/** Values in one result array. */
export const MAX_RESULT = 0xffffffff;
/** Longest list of the kernels that keep the best of each row. */
export const MAX_LIST = 1000;

export interface CheckedScoreTopK {
  users: Float32Array;
  items: Float32Array;
  dimension: number;
  k: number;
  mask?: Csr;
  userRows: number;
  itemCount: number;
}

/** Arguments of `scoreTopK`. @throws NativeError NATIVE_INPUT, NATIVE_SHAPE, NATIVE_RANGE, NATIVE_CSR, NATIVE_NOT_FINITE: so do all checks below. */
export function checkScoreTopK(input: ScoreTopKInput, face: Face = TYPESCRIPT): CheckedScoreTopK {
  const read = new Reader("scoreTopK", input, face);
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

export interface CheckedPropagate {
  userCount: number;
  itemCount: number;
  dimension: number;
  parameters: Float32Array;
  positives: Csr;
  layers: number;
  operand: "float32" | "bf16";
  rows: number;
}

/** A name that may be left out. */
function optional<T extends string>(read: Reader, name: string, values: readonly [T, ...T[]]): T {
  return read.get(name) === undefined ? values[0] : read.choice(name, values);
}

/** Arguments of `propagate`. @throws NativeError as {@link checkScoreTopK}. */
export function checkPropagate(input: PropagateInput, face: Face = TYPESCRIPT): CheckedPropagate {
  const read = new Reader("propagate", input, face);
  const dimension = read.whole("dimension", 1, MAX_DIMENSION);
  const userCount = read.whole("userCount", 1, MAX_ROWS), itemCount = read.whole("itemCount", 1, MAX_ROWS);
  const rows = userCount + itemCount;
  const parameters = read.float32("parameters");
  read.shape("parameters", parameters, rows * dimension, "(userCount + itemCount) * dimension");
  const layers = read.whole("layers", 0, 1000);
  const positives = read.csr("positives", userCount, itemCount);
  const operand = optional(read, "operand", ["float32", "bf16"]);
  return { userCount, itemCount, dimension, parameters, positives, layers, operand, rows };
}

export interface CheckedTraining {
  state: TrainingState;
  input: Required<LightGcnInput> & { positives: Csr };
}

/** Arguments of both training kernels; BPR is given 0 layers. @throws NativeError as {@link checkScoreTopK}. */
export function checkTraining(
  kernel: "bprEpoch" | "lightGcnEpoch", state: TrainingState, input: BprInput | LightGcnInput, face: Face = TYPESCRIPT,
): CheckedTraining {
  const readState = new Reader(kernel, state, face, "state."), read = new Reader(kernel, input, face);
  const dimension = readState.whole("dimension", 1, MAX_DIMENSION);
  const userCount = readState.whole("userCount", 1, MAX_ROWS), itemCount = readState.whole("itemCount", 1, MAX_ROWS);
  const size = (userCount + itemCount) * dimension;
  const parameters = readState.ownFloat32("parameters");
  readState.shape("parameters", parameters, size, "(userCount + itemCount) * dimension");
  const step = readState.whole("step", 0, 2 ** 48);
  const optimiser = read.choice("optimiser", ["adam", "sgd"] as const);
  const moments = optimiser === "adam" ? size : 0;
  const first = readState.ownFloat32("first"), second = readState.ownFloat32("second");
  const meaning = optimiser === "adam" ? "as parameters" : "none under SGD";
  readState.shape("first", first, moments, meaning);
  readState.shape("second", second, moments, meaning);
  for (let at = 0; face.inspect && at < moments; at++) {
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
      update: optional(read, "update", ["batch", "hogwild"]),
      operand: kernel === "bprEpoch" ? "float32" : optional(read, "operand", ["float32", "bf16"]),
      layers: kernel === "bprEpoch" ? 0 : read.whole("layers", 0, 1000),
    },
  };
  if (checked.input.update === "hogwild" && (optimiser !== "sgd" || kernel !== "bprEpoch")) {
    throw new NativeError("NATIVE_RANGE", `${kernel}: update "hogwild" goes with bprEpoch and optimiser "sgd" alone.`);
  }
  return checked;
}

export interface CheckedAttention {
  queries: Float32Array;
  queryOffsets: Uint32Array;
  keys: Float32Array;
  keyOffsets: Uint32Array;
  dimension: number;
  heads: number;
  bias?: Float32Array;
  output: AttentionInput["output"];
  /** 0 but for "top". */
  k: number;
  groups: number;
  /** Length of the weights; for the TypeScript face only, the addon counts again. */
  outputLength: number;
}

/** Arguments of `attentionWeights`, and the length of its result. @throws NativeError as {@link checkScoreTopK}. */
export function checkAttention(input: AttentionInput, face: Face = TYPESCRIPT): CheckedAttention {
  const read = new Reader("attentionWeights", input, face);
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
  const output = read.choice("output", ["heads", "weights", "max", "mean", "top"] as const);
  const k = output === "top" ? read.whole("k", 1, MAX_LIST) : 0;
  const checked: CheckedAttention = {
    queries, queryOffsets, keys, keyOffsets, dimension, heads, output, k, groups, outputLength: output === "top" ? queryRows * k : keyRows,
  };
  if (read.get("bias") !== undefined) {
    checked.bias = read.float32("bias");
    read.shape("bias", checked.bias, keyRows, "one per key");
  }
  if (output === "weights" || output === "heads") {
    checked.outputLength = 0;
    for (let group = 0; group < groups; group++) {
      checked.outputLength += (queryOffsets[group + 1] - queryOffsets[group]) * (keyOffsets[group + 1] - keyOffsets[group]);
    }
    if (output === "heads") checked.outputLength *= heads;
  }
  if (checked.outputLength > MAX_RESULT) {
    throw new NativeError("NATIVE_SHAPE", `attentionWeights: ${checked.outputLength} weights are too many for one array.`, {
      hint: 'Ask for output "max", "mean" or "top", or pass fewer users at a time.',
    });
  }
  return checked;
}

export interface CheckedKnapsack extends KnapsackInput {
  instances: number;
}

/** Arguments of `knapsack`. @throws NativeError as {@link checkScoreTopK}, and NATIVE_INFEASIBLE: no choice of levels meets the capacity. */
export function checkKnapsack(input: KnapsackInput, face: Face = TYPESCRIPT): CheckedKnapsack {
  const read = new Reader("knapsack", input, face);
  const categoryOffsets = read.uint32("categoryOffsets"), levels = read.uint32("levels"), capacities = read.uint32("capacities");
  const values = read.float64("values");
  const boundary = read.choice("boundary", ["exact", "atMost"] as const);
  if (categoryOffsets.length === 0) throw new NativeError("NATIVE_CSR", "knapsack: categoryOffsets must hold at least one entry, 0.");
  const instances = categoryOffsets.length - 1;
  read.shape("capacities", capacities, instances, "one per instance");
  read.offsets("categoryOffsets", categoryOffsets, instances, levels.length);
  const checked = { categoryOffsets, levels, values, capacities, boundary, instances };
  if (face.inspect) checkInstances(read, checked);
  return checked;
}

function checkInstances(read: Reader, { categoryOffsets, levels, values, capacities, boundary, instances }: CheckedKnapsack): void {
  let total = 0;
  for (let instance = 0; instance < instances; instance++) {
    const from = categoryOffsets[instance], to = categoryOffsets[instance + 1], categories = to - from;
    if (categories < 1 || categories > 65536) {
      throw new NativeError("NATIVE_RANGE", `knapsack: instance ${instance} must have from 1 to 65536 categories, not ${categories}.`);
    }
    let most = 0;
    for (let category = from; category < to; category++) {
      if (levels[category] < 1 || levels[category] > 65535) {
        throw new NativeError("NATIVE_RANGE", `knapsack: category ${category} of instance ${instance} must have from 1 to 65535 levels, not ${levels[category]}.`);
      }
      most += levels[category];
    }
    const capacity = capacities[instance];
    if (capacity < categories || (boundary === "exact" && capacity > most)) {
      const found = `instance ${instance} has sums from ${categories} to ${most}`;
      throw new NativeError("NATIVE_INFEASIBLE", `knapsack: ${found}; capacity ${capacity} cannot be met.`, {
        hint: capacity < categories
          ? "Raise the capacity or use fewer categories."
          : 'Use boundary "atMost", more levels, or a smaller capacity.',
      });
    }
    total += most;
  }
  read.shape("values", values, total, "one per level");
}

/** Data for Kernels.hold. @throws NativeError as {@link checkScoreTopK}. */
export function checkHoldable<T extends Holdable>(data: T, face: Face = TYPESCRIPT): T {
  const read = new Reader("hold", { data }, face);
  if (types.isFloat32Array(data)) return read.float32("data") as T;
  if (types.isFloat64Array(data)) return read.float64("data") as T;
  if (data === null || typeof data !== "object" || !("columns" in data)) {
    throw new NativeError("NATIVE_INPUT", `hold wants a Float32Array, a Float64Array or { offsets, columns, columnCount }, not ${show(data)}.`);
  }
  const columnCount = read.inner("data").whole("columnCount", 1, MAX_ROWS);
  return { ...read.csr("data", undefined, columnCount), columnCount } as T;
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
