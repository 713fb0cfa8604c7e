import { types } from "node:util";
import { NativeError } from "../core/errors.js";
import type { Csr } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";
import type {
  AttentionInput, BprInput, KernelName, KnapsackInput, LightGcnInput, PropagateInput, ScoreTopKInput, TrainingState,
} from "./kernels.js";

/**
 * Argument checks shared by the TypeScript face and the addon's seam. Each property is read once, so an object with
 * getters cannot show one value to the check and another to the kernel. With `copy` the arrays are copied before they
 * are looked at (the TypeScript face works on these copies); the addon copies and checks its own once more.
 */
const MAX_ROWS = 0x7fffffff;
const MAX_DIMENSION = 65536;
/** Kernels number samples and both directions of an edge in 32 bits. */
const MAX_ENTRIES = 2 ** 29;
/** Values in one result array. */
const MAX_RESULT = 0xffffffff;

class Reader {
  constructor(
    private readonly kernel: KernelName,
    private readonly source: unknown,
    private readonly copy: boolean,
    private readonly prefix = "",
  ) {
    if (source === null || typeof source !== "object") {
      throw new NativeError("NATIVE_INPUT", `${kernel} wants an object${prefix ? ` as ${prefix.slice(0, -1)}` : ""}, not ${show(source)}.`, {
        hint: "See src/native/kernels.ts for the fields of each call.",
      });
    }
  }

  label(name: string): string {
    return `${this.kernel}: ${this.prefix}${name}`;
  }

  get(name: string): unknown {
    try {
      return (this.source as Record<string, unknown>)[name];
    } catch (cause) {
      throw new NativeError("NATIVE_INPUT", `${this.label(name)} cannot be read.`, { cause, hint: "Pass plain values, not getters that throw." });
    }
  }

  inner(name: string): Reader {
    return new Reader(this.kernel, this.get(name), this.copy, `${this.prefix}${name}.`);
  }

  whole(name: string, min: number, max: number): number {
    const value = this.get(name);
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      throw new NativeError("NATIVE_RANGE", `${this.label(name)} must be a whole number from ${min} to ${max}, not ${show(value)}.`);
    }
    return value;
  }

  /** A finite number that is not negative. */
  amount(name: string): number {
    const value = this.get(name);
    if (typeof value !== "number" || !Number.isFinite(value) || value < 0) {
      throw new NativeError("NATIVE_RANGE", `${this.label(name)} must be a finite number of at least 0, not ${show(value)}.`);
    }
    return value;
  }

  choice<T extends string>(name: string, values: readonly T[]): T {
    const value = this.get(name);
    if (!values.includes(value as T)) {
      throw new NativeError("NATIVE_RANGE", `${this.label(name)} must be ${values.map((one) => `"${one}"`).join(" or ")}, not ${show(value)}.`);
    }
    return value as T;
  }

  float32(name: string): Float32Array {
    const value = this.get(name);
    if (!types.isFloat32Array(value)) throw this.wrongType(name, "Float32Array", value);
    const array = this.own(name, value, () => new Float32Array(value));
    this.finite(name, array);
    return array;
  }

  float64(name: string): Float64Array {
    const value = this.get(name);
    if (!types.isFloat64Array(value)) throw this.wrongType(name, "Float64Array", value);
    const array = this.own(name, value, () => new Float64Array(value));
    this.finite(name, array);
    return array;
  }

  uint32(name: string): Uint32Array {
    const value = this.get(name);
    if (!types.isUint32Array(value)) throw this.wrongType(name, "Uint32Array", value);
    return this.own(name, value, () => new Uint32Array(value));
  }

  /** `rows` rows, columns below `columnCount`, strictly ascending in each row. */
  csr(name: string, rows: number, columnCount: number): Csr {
    const inner = this.inner(name);
    const offsets = inner.uint32("offsets"), columns = inner.uint32("columns");
    this.offsets(`${name}.offsets`, offsets, rows, columns.length);
    const at = badCsrRow(offsets, columns, columnCount);
    if (at >= 0) {
      const found = Array.from(columns.subarray(offsets[at], Math.min(offsets[at + 1], offsets[at] + 8)));
      throw new NativeError("NATIVE_CSR", `${this.label(name)}: columns of row ${at} must ascend, once each, below ${columnCount}; they begin ${found.join(", ")}.`, {
        hint: "Interactions.csr() gives rows in this form.",
      });
    }
    if (columns.length > MAX_ENTRIES) {
      throw new NativeError("NATIVE_SHAPE", `${this.label(name)} holds ${columns.length} entries; the kernels count up to ${MAX_ENTRIES}.`);
    }
    return { offsets, columns };
  }

  /** Offsets of `groups` groups over `total` entries: 0 first, never falling, `total` last. */
  offsets(name: string, offsets: Uint32Array, groups: number, total: number): void {
    if (offsets.length !== groups + 1) {
      throw new NativeError("NATIVE_CSR", `${this.label(name)} must hold ${groups + 1} entries (one more than rows), not ${offsets.length}.`);
    }
    let falls = offsets[0] !== 0 ? 0 : -1;
    for (let row = 0; row < groups && falls < 0; row++) if (offsets[row + 1] < offsets[row]) falls = row + 1;
    if (falls >= 0 || offsets[groups] !== total) {
      throw new NativeError("NATIVE_CSR", falls >= 0
        ? `${this.label(name)} must start at 0 and never fall; entry ${falls} is ${offsets[falls]}.`
        : `${this.label(name)} must end at the number of entries, ${total}, not at ${offsets[groups]}.`);
    }
  }

  shape(name: string, array: ArrayLike<number>, wanted: number, meaning: string): void {
    if (array.length !== wanted) {
      throw new NativeError("NATIVE_SHAPE", `${this.label(name)} must hold ${wanted} values (${meaning}), not ${array.length}.`, {
        hint: "Arrays are row-major; check the counts passed beside it.",
      });
    }
  }

  /** Rows of a [rows, dimension] array. */
  rows(name: string, array: ArrayLike<number>, dimension: number): number {
    const rows = array.length / dimension;
    if (!Number.isInteger(rows) || rows > MAX_ROWS) {
      throw new NativeError("NATIVE_SHAPE", `${this.label(name)} holds ${array.length} values: no whole number of rows of ${dimension}.`);
    }
    return rows;
  }

  /** The array, or its copy. An array on a transferred or shrunk buffer looks empty and refuses to be copied: that tells it apart. */
  private own<T extends Float32Array | Float64Array | Uint32Array>(name: string, array: T, copyOf: () => T): T {
    if (!this.copy && array.length > 0) return array;
    try {
      return this.copy ? copyOf() : (copyOf(), array);
    } catch (cause) {
      if (cause instanceof RangeError) throw outOfMemory(this.kernel, cause);
      throw new NativeError("NATIVE_SHAPE", `${this.label(name)} lies on a buffer that was transferred or shrunk.`, { cause, hint: "Pass a copy: values.slice()." });
    }
  }

  private finite(name: string, array: Float32Array | Float64Array): void {
    const { length } = array;
    for (let at = 0; at < length; at++) {
      const value = array[at];
      if (value - value !== 0) {
        throw new NativeError("NATIVE_NOT_FINITE", `${this.label(name)} holds ${value} at position ${at}.`, {
          hint: "Training that diverged gives such values: lower the learning rate.",
        });
      }
    }
  }

  private wrongType(name: string, wanted: string, value: unknown): NativeError {
    return new NativeError("NATIVE_INPUT", `${this.label(name)} must be a ${wanted}, not ${show(value)}.`, { hint: `Convert it first: ${wanted}.from(values).` });
  }
}

/** For a typed array that could not be made. */
export function outOfMemory(kernel: KernelName, cause: unknown): NativeError {
  return new NativeError("NATIVE_MEMORY", `${kernel}: not enough memory.`, { cause, hint: "Pass fewer rows at a time." });
}

/** A short description of any value for a message; never runs code of the value. */
function show(value: unknown): string {
  if (value === null || value === undefined || typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
  if (types.isTypedArray(value)) return `a typed array of another kind`;
  return Array.isArray(value) ? "a plain array" : `a value of type ${typeof value}`;
}

/** First row whose columns do not ascend strictly below `columnCount`, or -1. */
function badCsrRow(offsets: Uint32Array, columns: Uint32Array, columnCount: number): number {
  const rows = offsets.length - 1;
  for (let row = 0; row < rows; row++) {
    let previous = -1;
    for (let at = offsets[row]; at < offsets[row + 1]; at++) {
      if (columns[at] <= previous || columns[at] >= columnCount) return row;
      previous = columns[at];
    }
  }
  return -1;
}

export interface CheckedScoreTopK extends ScoreTopKInput {
  userRows: number;
  itemCount: number;
}

/** @throws NativeError NATIVE_INPUT, NATIVE_SHAPE, NATIVE_RANGE, NATIVE_CSR, NATIVE_NOT_FINITE: so do all checks below. */
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

/** Checks both training kernels; BPR is given 0 layers. */
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
  readState.shape("first", first, moments, optimiser === "adam" ? "as parameters" : "none under SGD");
  readState.shape("second", second, moments, optimiser === "adam" ? "as parameters" : "none under SGD");
  for (let at = 0; at < moments; at++) {
    if (second[at] < 0) throw new NativeError("NATIVE_RANGE", `${kernel}: state.second holds ${second[at]} at position ${at}; a second moment is never negative.`);
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

export function checkAttention(input: AttentionInput, copy: boolean): CheckedAttention {
  const read = new Reader("attentionWeights", input, copy);
  const dimension = read.whole("dimension", 1, MAX_DIMENSION);
  const heads = read.whole("heads", 1, dimension);
  if (dimension % heads !== 0) throw new NativeError("NATIVE_RANGE", `attentionWeights: ${heads} heads do not divide dimension ${dimension}.`);
  const queries = read.float32("queries"), keys = read.float32("keys");
  const queryRows = read.rows("queries", queries, dimension), keyRows = read.rows("keys", keys, dimension);
  const queryOffsets = read.uint32("queryOffsets"), keyOffsets = read.uint32("keyOffsets");
  if (queryOffsets.length === 0) throw new NativeError("NATIVE_CSR", "attentionWeights: queryOffsets must hold at least one entry, 0.");
  const groups = queryOffsets.length - 1;
  read.offsets("queryOffsets", queryOffsets, groups, queryRows);
  read.offsets("keyOffsets", keyOffsets, groups, keyRows);
  const output = read.choice("output", ["weights", "max", "mean"] as const);
  const checked: CheckedAttention = { queries, queryOffsets, keys, keyOffsets, dimension, heads, output, groups, outputLength: keyRows };
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
      throw new NativeError("NATIVE_SHAPE", `attentionWeights: ${checked.outputLength} weights are too many for one array.`, { hint: 'Ask for output "max" or "mean", or pass fewer users at a time.' });
    }
  }
  return checked;
}

/** @throws NativeError also NATIVE_INFEASIBLE: no choice of levels meets the capacity. */
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
      `knapsack: ${categories} categories of 1 to ${levels} levels give sums from ${categories} to ${most}; capacity ${capacity} cannot be met.`, {
        hint: capacity < categories ? "Raise the capacity or use fewer categories." : 'Use boundary "atMost", more levels, or a smaller capacity.',
      });
  }
  return { values, instances, categories, levels, capacity: Math.min(capacity, most), boundary };
}

/** @throws NativeError NATIVE_OPTIONS; the signal's reason when it is already aborted. */
export function checkOptions(options: RunOptions | undefined): RunOptions {
  if (options === undefined) return {};
  if (options === null || typeof options !== "object") throw new NativeError("NATIVE_OPTIONS", `Run options must be an object, not ${show(options)}.`);
  const { signal, onProgress } = options;
  // By shape, not instanceof: a notebook's signal may come from another realm.
  if (signal !== undefined && (typeof signal?.throwIfAborted !== "function" || typeof signal.addEventListener !== "function")) {
    throw new NativeError("NATIVE_OPTIONS", "signal must be an AbortSignal.", { hint: "Pass new AbortController().signal." });
  }
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw new NativeError("NATIVE_OPTIONS", `onProgress must be a function, not ${show(onProgress)}.`);
  }
  signal?.throwIfAborted();
  return { ...(signal ? { signal } : {}), ...(onProgress ? { onProgress } : {}) };
}
