import { ConfigError } from "./errors.js";
import { cosTurn, log } from "./math.js";

/**
 * Keyed random numbers: Philox4x32-10 (Salmon et al., SC 2011), key = (seed, stream), counter = (user, item, epoch, draw).
 * A value depends on its own key alone, so removing a row reshuffles nothing: an original and a retrained model differ
 * through data, not through luck. native/cpu and the GPU draw the same numbers.
 */
export const STREAMS = [
  "init/user", "init/item", "order", "negative", "dropout", "partition", "probe",
  "split", "forget", "forget/user",
  "history/keyed", "history/random", "history/preference", "history/diversity", "attention/random", "attention/train",
  "cluster", "shuffle", "bootstrap", "sample/user", "retry", "permutation",
  "synthetic/item", "synthetic/user", "synthetic/taste", "synthetic/row", "synthetic/rating",
  "released/split", "released/split/remain", "released/forget", "released/copy",
] as const;
export type Stream = (typeof STREAMS)[number];

/** The counter field to use where a user or an item does not apply. */
export const NONE = 0xffffffff;

/** 32-bit FNV-1a of an ASCII name. A test asserts that no two of our streams collide. */
export function streamId(name: string): number {
  let hash = 2166136261;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 16777619);
  return hash >>> 0;
}

function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff, aHigh = a >>> 16, bLow = b & 0xffff, bHigh = b >>> 16;
  const low = aHigh * bLow + ((aLow * bLow) >>> 16);
  const middle = aLow * bHigh + (low % 65536);
  return (aHigh * bHigh + Math.floor(low / 65536) + Math.floor(middle / 65536)) >>> 0;
}

/** Ten rounds of Philox4x32. Writes four 32-bit lanes to `out`. */
export function philox(
  c0: number, c1: number, c2: number, c3: number, key0: number, key1: number, out: Uint32Array,
): void {
  let k0 = key0 >>> 0, k1 = key1 >>> 0;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0 >>> 0), low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const high1 = multiplyHigh(0xcd9e8d57, c2 >>> 0), low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  out[0] = c0; out[1] = c1; out[2] = c2; out[3] = c3;
}

/** One named stream of one seed. */
export class KeyedRandom {
  /** The four lanes of the latest draw. */
  readonly lanes = new Uint32Array(4);
  private readonly key1: number;

  constructor(readonly seed: number, stream: Stream) {
    if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff) {
      throw new ConfigError("CONFIG_SEED", `The seed must be a whole number from 0 to 4294967295, not ${seed}.`, {
        hint: "Pass for example { seed: 2020 } or --seed 2020.",
      });
    }
    this.key1 = streamId(stream);
  }

  /** Lanes for one counter; valid until the next call. */
  draw(user: number, item = NONE, epoch = 0, draw = 0): Uint32Array {
    philox(user, item, epoch, draw, this.seed, this.key1, this.lanes);
    return this.lanes;
  }

  /** The sort key h(stream; u, i) of the protocol: 53 bits of lanes 0 and 1 as one exact double. */
  key(user: number, item = NONE, epoch = 0): number {
    const lanes = this.draw(user, item, epoch);
    return lanes[0]! * 2097152 + (lanes[1]! >>> 11);
  }

  /** Uniform on [0, 1), 53 bits. */
  uniform(user: number, item = NONE, epoch = 0, draw = 0): number {
    const lanes = this.draw(user, item, epoch, draw);
    return (lanes[0]! * 2097152 + (lanes[1]! >>> 11)) / 9007199254740992;
  }

  /** Uniform whole number in [0, n): multiply-high of lane 0, as the kernels do it. */
  integer(n: number, user: number, item = NONE, epoch = 0, draw = 0): number {
    return multiplyHigh(this.draw(user, item, epoch, draw)[0]!, n);
  }

  /** Standard normals by Box-Muller: four a counter (row, block). Fills `out` for one row. */
  normals(row: number, out: Float32Array | Float64Array, scale = 1): void {
    for (let block = 0; block * 4 < out.length; block++) {
      const lanes = this.draw(row, block);
      for (let pair = 0; pair < 2; pair++) {
        const radius = Math.sqrt(-2 * log((lanes[2 * pair]! + 0.5) / 4294967296)) * scale;
        const turn = lanes[2 * pair + 1]! / 4294967296;
        const at = block * 4 + 2 * pair;
        if (at < out.length) out[at] = radius * cosTurn(turn);
        if (at + 1 < out.length) out[at + 1] = radius * cosTurn(turn >= 0.25 ? turn - 0.25 : turn + 0.75);
      }
    }
  }
}

/** The `count` smallest keys: indices into `keys`, sorted by (key, index). */
export function smallestKeys(keys: ArrayLike<number>, count: number): Uint32Array {
  const order = Uint32Array.from({ length: keys.length }, (_, index) => index);
  order.sort((a, b) => keys[a]! - keys[b]! || a - b);
  return order.slice(0, Math.max(0, Math.min(count, order.length)));
}
