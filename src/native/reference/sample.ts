/**
 * The keyed draws of training (native/cpu/sample.cpp is its twin): which batch a row goes to, where it stands there, and
 * its negative item. Values equal core/rng.ts; the high half of the 32-bit products is taken here with integer operations
 * only, because an epoch needs two to three draws a row. Cost O(rows). Deterministic by key.
 */
import type { Csr } from "../../core/interactions.js";
import { streamId } from "../../core/rng.js";
import type { Breather } from "../../core/progress.js";

const MOST_DRAWS = 100;
const ORDER = streamId("order");
const NEGATIVE = streamId("negative");

/** High 32 bits of a * b; every intermediate sum stays below 2^32. */
export function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff, aHigh = a >>> 16, bLow = b & 0xffff, bHigh = b >>> 16;
  const middle = (Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)) | 0;
  const upper = (Math.imul(aLow, bHigh) + (middle & 0xffff)) | 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (upper >>> 16)) | 0;
}

/** Philox4x32-10, lanes 0 and 1 into `lanes` (the other two are not needed here). */
export function philoxPair(c0: number, c1: number, c2: number, c3: number, k0: number, k1: number, lanes: Uint32Array): void {
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0), low0 = Math.imul(0xd2511f53, c0);
    const high1 = multiplyHigh(0xcd9e8d57, c2), low1 = Math.imul(0xcd9e8d57, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  lanes[0] = c0;
  lanes[1] = c1;
}

/** The rows of one epoch in batch order. Sample s of batch b: offsets[b] <= s < offsets[b + 1]. */
export interface EpochSamples {
  offsets: Uint32Array;
  users: Uint32Array;
  items: Uint32Array;
  negatives: Uint32Array;
}

/** Users of the rows of a CSR [rows]. */
export function rowUsers(positives: Csr): Uint32Array {
  const users = new Uint32Array(positives.columns.length);
  for (let user = 0; user + 1 < positives.offsets.length; user++) users.fill(user, positives.offsets[user], positives.offsets[user + 1]);
  return users;
}

/** One stable counting pass: `order` resorted by `keys[row]`, keys below `range`. */
function stablePass(order: Uint32Array, range: number, key: (row: number) => number): { order: Uint32Array; starts: Uint32Array } {
  const starts = new Uint32Array(range + 1), sorted = new Uint32Array(order.length);
  for (let at = 0; at < order.length; at++) starts[key(order[at]) + 1]++;
  for (let value = 0; value < range; value++) starts[value + 1] += starts[value];
  const next = starts.slice(0, range);
  for (let at = 0; at < order.length; at++) sorted[next[key(order[at])]++] = order[at];
  return { order: sorted, starts };
}

export interface EpochDraw {
  positives: Csr;
  itemCount: number;
  seed: number;
  batchCount: number;
  /** Samples of a batch stand by (lane1, user, item) instead of (user, item). */
  placed: boolean;
}

/**
 * Orders the rows of one epoch by batch: rows already stand by (user, item) and each pass is stable.
 * @param users the user of each row, see {@link rowUsers}
 */
export async function drawEpoch(draw: EpochDraw, users: Uint32Array, epoch: number, breather: Breather): Promise<EpochSamples> {
  const { positives, itemCount, seed, batchCount, placed } = draw;
  const { columns, offsets: rowOffsets } = positives;
  const count = columns.length;
  const batches = new Uint32Array(count), places = new Uint32Array(placed ? count : 0), negatives = new Uint32Array(count);
  const drawRows = (from: number, to: number): void => {
    const lanes = new Uint32Array(2);
    for (let row = from; row < to; row++) {
      const user = users[row], item = columns[row];
      philoxPair(user, item, epoch, 0, seed, ORDER, lanes);
      batches[row] = multiplyHigh(lanes[0], batchCount);
      if (placed) places[row] = lanes[1];
      for (let attempt = 0; attempt < MOST_DRAWS; attempt++) {
        philoxPair(user, item, epoch, attempt, seed, NEGATIVE, lanes);
        const negative = multiplyHigh(lanes[0], itemCount) >>> 0;
        negatives[row] = negative;
        if (!contains(columns, rowOffsets[user], rowOffsets[user + 1], negative)) break;
      }
    }
  };
  for (let from = 0; from < count; from += 4096) {
    drawRows(from, Math.min(count, from + 4096));
    if (breather.due()) await breather.pause();
  }
  let order: Uint32Array = new Uint32Array(count);
  for (let row = 0; row < count; row++) order[row] = row;
  if (placed) {
    order = stablePass(order, 2048, (row) => places[row] & 2047).order;
    order = stablePass(order, 2048, (row) => (places[row] >>> 11) & 2047).order;
    order = stablePass(order, 1024, (row) => places[row] >>> 22).order;
  }
  const last = stablePass(order, batchCount, (row) => batches[row]);
  const samples = {
    offsets: last.starts, users: new Uint32Array(count), items: new Uint32Array(count), negatives: new Uint32Array(count),
  };
  for (let to = 0; to < count; to++) {
    const row = last.order[to];
    samples.users[to] = users[row];
    samples.items[to] = columns[row];
    samples.negatives[to] = negatives[row];
  }
  return samples;
}

/** Whether sorted[from .. to) holds value. */
function contains(sorted: Uint32Array, from: number, to: number, value: number): boolean {
  let low = from, high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low < to && sorted[low] === value;
}
