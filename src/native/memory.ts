import { setImmediate as turn } from "node:timers/promises";
import { types } from "node:util";
import type { RunOptions } from "../core/progress.js";
import type { Addon, Call, Handle } from "./binding.js";
import { checkHoldable } from "./check.js";
import { HeldValue, shapeOf } from "./held.js";
import type { Held, Holdable, HeldCsr } from "./kernels.js";
import type { Face } from "./reader.js";

type Values = Float32Array | Float64Array | Uint32Array;

/** What one call of the addon may copy while the event loop waits: a few milliseconds. */
const COPY_AT_ONCE = 32 * 2 ** 20;
/** A piece of a longer copy: a millisecond or two. */
const PIECE = 8 * 2 ** 20;

/** Arguments of one call whose large arrays lie at the addon's side. */
export interface Staged {
  input: object;
  /** To be called when the addon has taken them. */
  release(): void;
}

/** Arrays at the addon's side: those held for later calls, and large arguments on their way to one call. */
export class AddonMemory {
  private static readonly known = new WeakMap<Addon, AddonMemory>();
  /** The addon looks into arrays by itself. */
  readonly face: Face = Object.freeze({ inspect: false });

  private constructor(private readonly addon: Addon) {}

  /** One memory per addon: kernels of the same addon share what they hold. */
  static of(addon: Addon): AddonMemory {
    let memory = AddonMemory.known.get(addon);
    if (!memory) AddonMemory.known.set(addon, memory = new AddonMemory(addon));
    return memory;
  }

  /** See Kernels.hold. `run` makes a call of the addon with the options of this one. */
  async hold<T extends Holdable>(
    data: T, options: RunOptions, run: <R>(call: Call<R>, input: object, options: RunOptions) => Promise<R>,
  ): Promise<Held<T>> {
    const checked = checkHoldable(data, this.face);
    const handles: Record<string, Handle> = {};
    try {
      if (isCsr(checked)) {
        handles.offsets = await this.upload(checked.offsets, options.signal);
        handles.columns = await this.upload(checked.columns, options.signal);
      } else {
        handles.values = await this.upload(checked, options.signal);
      }
      await run(this.addon.seal, isCsr(checked) ? { ...handles, columnCount: checked.columnCount } : handles, options);
    } catch (error) {
      for (const array of Object.values(handles)) this.addon.dispose({ array });
      throw error;
    }
    const payload = isCsr(checked) ? { ...handles, columnCount: checked.columnCount } : handles.values;
    const fetch = (array: Handle): Promise<Values> => run(this.addon.read, { array }, {});
    return new HeldValue<T>(this.face, shapeOf(checked), payload, {
      read: async () => (isCsr(checked)
        ? { offsets: await fetch(handles.offsets), columns: await fetch(handles.columns), columnCount: checked.columnCount }
        : await fetch(handles.values)) as T,
      dispose: () => { for (const array of Object.values(handles)) this.addon.dispose({ array }); },
    });
  }

  /** Whether an array of the input is too large to be copied at once. */
  isLarge(input: object): boolean {
    return Object.values(input).some((value: unknown) => {
      if (isValues(value)) return value.byteLength > COPY_AT_ONCE;
      return isGroup(value) && this.isLarge(value);
    });
  }

  /** The same input with its large arrays copied piece by piece, with turns of the event loop in between. */
  async stage(input: object, signal: AbortSignal | undefined): Promise<Staged> {
    const made: Handle[] = [];
    const walk = async (values: object): Promise<object> => {
      const fields: Record<string, unknown> = { ...values };
      for (const [name, value] of Object.entries(fields)) {
        if (isValues(value)) {
          if (value.byteLength <= COPY_AT_ONCE) continue;
          const handle = await this.upload(value, signal, true);
          made.push(handle);
          fields[name] = handle;
        } else if (isGroup(value)) {
          fields[name] = await walk(value);
        }
      }
      return fields;
    };
    const release = (): void => { for (const array of made) this.addon.dispose({ array }); };
    try {
      return { input: await walk(input), release };
    } catch (error) {
      release();
      throw error;
    }
  }

  private async upload(values: Values, signal: AbortSignal | undefined, once = false): Promise<Handle> {
    const kind = values instanceof Float32Array ? "float32" : values instanceof Float64Array ? "float64" : "uint32";
    const array = Object.assign(this.addon.allocate({ kind, length: values.length, ...(once ? { once: true as const } : {}) }), { length: values.length });
    const step = PIECE / values.BYTES_PER_ELEMENT;
    try {
      for (let at = 0; at < values.length; at += step) {
        this.addon.fill({ array, chunk: values.subarray(at, at + step) });
        if (at + step < values.length) await turn();
        signal?.throwIfAborted();
      }
    } catch (error) {
      this.addon.dispose({ array });
      throw error;
    }
    return array;
  }
}

function isValues(value: unknown): value is Values {
  return types.isFloat32Array(value) || types.isFloat64Array(value) || types.isUint32Array(value);
}

function isCsr(data: Holdable): data is HeldCsr {
  return !isValues(data);
}

/** An object with fields of its own: not an array, and not a handle, which has nothing but a length. */
function isGroup(value: unknown): value is object {
  return value instanceof Object && typeof value !== "function" && !("length" in value);
}
