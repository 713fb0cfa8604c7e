import { NativeError } from "../core/errors.js";
import type { Holdable, Held } from "./kernels.js";

type Kind = Held["kind"];

/**
 * A held value of either face. `payload` is what the face keeps: typed arrays, or handles of the addon, in the same shape. It lies in a
 * private field, so what is held cannot be reached, or changed, from outside.
 */
export class HeldValue<T extends Holdable> implements Held<T> {
  readonly kind: Held<T>["kind"];
  readonly length: number;
  readonly bytes: number;
  readonly #owner: object;
  readonly #actions: { read(payload: object): Promise<T>; dispose(payload: object): void };
  #payload: object | undefined;

  constructor(
    owner: object, shape: { kind: Kind; length: number; bytes: number }, payload: object,
    actions: { read(payload: object): Promise<T>; dispose(payload: object): void },
  ) {
    this.kind = shape.kind as Held<T>["kind"];
    this.length = shape.length;
    this.bytes = shape.bytes;
    this.#owner = owner;
    this.#payload = payload;
    this.#actions = actions;
  }

  async read(): Promise<T> {
    return this.#actions.read(this.#alive("read"));
  }

  dispose(): void {
    const payload = this.#payload;
    this.#payload = undefined;
    if (payload) this.#actions.dispose(payload);
  }

  #alive(label: string): object {
    if (this.#payload) return this.#payload;
    throw new NativeError("NATIVE_DISPOSED", `${label}: this held ${this.kind} was disposed of.`, { hint: "Hold the data again." });
  }

  /** What `owner` keeps behind `value`; undefined where the value is not held at all. @throws NativeError where it cannot be used. */
  static payloadOf(value: unknown, kind: Kind, owner: object, label: string): object | undefined {
    if (!(value instanceof Object) || !(#payload in value)) return undefined;
    const held = value as HeldValue<Holdable>;
    if (held.#owner !== owner) {
      throw new NativeError("NATIVE_INPUT", `${label} is held by other kernels.`, { hint: "Hold it with the kernels that make the call." });
    }
    if (held.kind !== kind) throw new NativeError("NATIVE_INPUT", `${label} must be a held ${kind}, not a held ${held.kind}.`);
    return held.#alive(label);
  }
}

export const heldPayload = HeldValue.payloadOf;

/** Kind, values and bytes of data to hold. */
export function shapeOf(data: Float32Array | Float64Array | { offsets: Uint32Array; columns: Uint32Array }): { kind: Kind; length: number; bytes: number } {
  if (data instanceof Float32Array) return { kind: "float32", length: data.length, bytes: data.byteLength };
  if (data instanceof Float64Array) return { kind: "float64", length: data.length, bytes: data.byteLength };
  return { kind: "csr", length: data.columns.length, bytes: data.offsets.byteLength + data.columns.byteLength };
}
