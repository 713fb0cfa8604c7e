import { types } from "node:util";
import { NativeError } from "../core/errors.js";
import type { Csr } from "../core/interactions.js";
import { heldPayload } from "./held.js";
import type { KernelName } from "./kernels.js";

/** Row numbers and counts stay below 2^31. */
export const MAX_ROWS = 0x7fffffff;
/** Kernels number samples and both directions of an edge in 32 bits. */
const MAX_ENTRIES = 2 ** 29;

/**
 * Whose arguments are read. The TypeScript face copies every array and walks over its contents here; the addon copies them at its
 * side and walks there, on a thread that holds up nobody, so this side looks at types and lengths alone.
 */
export interface Face {
  readonly inspect: boolean;
}

/** The TypeScript face; it also owns what its kernels hold. */
export const TYPESCRIPT: Face = Object.freeze({ inspect: true });

/** Reads and checks the fields of one argument object. */
export class Reader {
  constructor(
    private readonly kernel: KernelName | "hold",
    private readonly source: unknown,
    private readonly face: Face,
    private readonly prefix = "",
  ) {
    if (source === null || typeof source !== "object") {
      const place = prefix ? ` as ${prefix.slice(0, -1)}` : "";
      throw new NativeError("NATIVE_INPUT", `${kernel} wants an object${place}, not ${show(source)}.`, {
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
      throw new NativeError("NATIVE_INPUT", `${this.label(name)} cannot be read.`, {
        cause, hint: "Pass plain values, not getters that throw.",
      });
    }
  }

  inner(name: string): Reader {
    return new Reader(this.kernel, this.get(name), this.face, `${this.prefix}${name}.`);
  }

  whole(name: string, min: number, max: number): number {
    const value = this.get(name);
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      const wanted = `a whole number from ${min} to ${max}`;
      throw new NativeError("NATIVE_RANGE", `${this.label(name)} must be ${wanted}, not ${show(value)}.`);
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
      const wanted = values.map((one) => `"${one}"`).join(" or ");
      throw new NativeError("NATIVE_RANGE", `${this.label(name)} must be ${wanted}, not ${show(value)}.`);
    }
    return value as T;
  }

  float32(name: string): Float32Array {
    return this.array(name, "float32", "Float32Array", types.isFloat32Array, (value) => new Float32Array(value));
  }

  float64(name: string): Float64Array {
    return this.array(name, "float64", "Float64Array", types.isFloat64Array, (value) => new Float64Array(value));
  }

  /** As {@link float32}, for an array that the kernel will change: what is held stays as it is. The addon copies by itself. */
  ownFloat32(name: string): Float32Array {
    const array = this.float32(name);
    return this.face.inspect && heldPayload(this.get(name), "float32", this.face, this.label(name)) ? array.slice() : array;
  }

  /** A matrix that the kernel changes: in place where it is held. */
  matrix(name: string): { values: Float64Array; held: boolean } {
    const held = heldPayload(this.get(name), "float64", this.face, this.label(name));
    return held ? { values: held as Float64Array, held: true } : { values: this.float64(name), held: false };
  }

  uint32(name: string): Uint32Array {
    const value = this.get(name);
    if (!types.isUint32Array(value)) throw this.wrongType(name, "Uint32Array", value);
    return this.own(name, value, () => new Uint32Array(value));
  }

  /** A held array comes back as what its face keeps: a typed array, or the addon's handle, which has a `length` too. */
  private array<T extends Float32Array | Float64Array>(
    name: string, kind: "float32" | "float64", type: string, is: (value: unknown) => value is T, copyOf: (value: T) => T,
  ): T {
    const value = this.get(name);
    const held = heldPayload(value, kind, this.face, this.label(name));
    if (held !== undefined) return held as T;
    if (!is(value)) throw this.wrongType(name, type, value);
    const array = this.own(name, value, () => copyOf(value));
    if (this.face.inspect) this.finite(name, array);
    return array;
  }

  /** `rows` rows (any number where it is left out), columns below `columnCount`, strictly ascending in each row. */
  csr(name: string, rows: number | undefined, columnCount: number): Csr {
    const held = heldPayload(this.get(name), "csr", this.face, this.label(name)) as (Csr & { columnCount: number }) | undefined;
    if (held) {
      if (rows === undefined || held.offsets.length === rows + 1) {
        if (held.columnCount <= columnCount) return { offsets: held.offsets, columns: held.columns };
      }
      const found = `${held.offsets.length - 1} rows below ${held.columnCount}`;
      throw new NativeError("NATIVE_CSR", `${this.label(name)} was held with ${found}, and ${rows ?? "any number of"} rows below ${columnCount} are wanted.`, {
        hint: "Hold the rows that this call is about.",
      });
    }
    const inner = this.inner(name);
    const offsets = inner.uint32("offsets"), columns = inner.uint32("columns");
    if (columns.length > MAX_ENTRIES) {
      const limit = `the kernels count up to ${MAX_ENTRIES}`;
      throw new NativeError("NATIVE_SHAPE", `${this.label(name)} holds ${columns.length} entries; ${limit}.`);
    }
    if (offsets.length === 0) throw new NativeError("NATIVE_CSR", `${this.label(`${name}.offsets`)} must hold at least one entry, 0.`);
    this.offsets(`${name}.offsets`, offsets, rows ?? offsets.length - 1, columns.length);
    const at = this.face.inspect ? badCsrRow(offsets, columns, columnCount) : -1;
    if (at >= 0) {
      const found = Array.from(columns.subarray(offsets[at], Math.min(offsets[at + 1], offsets[at] + 8))).join(", ");
      const rule = `must ascend, once each, below ${columnCount}`;
      throw new NativeError("NATIVE_CSR", `${this.label(name)}: columns of row ${at} ${rule}; they begin ${found}.`, {
        hint: "Interactions.csr() gives rows in this form.",
      });
    }
    return { offsets, columns };
  }

  /** Offsets of `groups` groups over `total` entries: 0 first, never falling, `total` last. */
  offsets(name: string, offsets: Uint32Array, groups: number, total: number): void {
    if (offsets.length !== groups + 1) {
      const wanted = `${groups + 1} entries (one more than rows)`;
      throw new NativeError("NATIVE_CSR", `${this.label(name)} must hold ${wanted}, not ${offsets.length}.`);
    }
    if (!this.face.inspect) return;
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
      const rule = `${wanted} values (${meaning})`;
      throw new NativeError("NATIVE_SHAPE", `${this.label(name)} must hold ${rule}, not ${array.length}.`, {
        hint: "Arrays are row-major; check the counts passed beside it.",
      });
    }
  }

  /** Rows of a [rows, dimension] array. */
  rows(name: string, array: ArrayLike<number>, dimension: number): number {
    const rows = array.length / dimension;
    if (!Number.isInteger(rows) || rows > MAX_ROWS) {
      const rule = `no whole number of rows of ${dimension}`;
      throw new NativeError("NATIVE_SHAPE", `${this.label(name)} holds ${array.length} values: ${rule}.`);
    }
    return rows;
  }

  /** The array, or its copy. One on a transferred or shrunk buffer looks empty and refuses to be copied: that tells it apart. */
  private own<T extends Float32Array | Float64Array | Uint32Array>(name: string, array: T, copyOf: () => T): T {
    const copy = this.face.inspect;
    if (!copy && array.length > 0) return array;
    try {
      return copy ? copyOf() : (copyOf(), array);
    } catch (cause) {
      if (cause instanceof RangeError) throw outOfMemory(this.kernel, cause);
      throw new NativeError("NATIVE_SHAPE", `${this.label(name)} lies on a buffer that was transferred or shrunk.`, {
        cause, hint: "Pass a copy: values.slice().",
      });
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
    return new NativeError("NATIVE_INPUT", `${this.label(name)} must be a ${wanted}, not ${show(value)}.`, {
      hint: `Convert it first: ${wanted}.from(values).`,
    });
  }
}

/** For a typed array that could not be made. */
export function outOfMemory(kernel: KernelName | "hold", cause: unknown): NativeError {
  return new NativeError("NATIVE_MEMORY", `${kernel}: not enough memory.`, { cause, hint: "Pass fewer rows at a time." });
}

/** A short description of any value for a message; never runs code of the value. */
export function show(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
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
