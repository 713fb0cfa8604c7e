import { DataError } from "../core/errors.js";
import { Interactions, type InteractionColumns, type Shape } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";
import type { Key } from "./catalogue.js";
import { lineError, type Place } from "./lines.js";

export interface ReadOptions extends RunOptions {
  /** A (user, item) pair that stands twice is an error (default), or its newest row is kept. */
  duplicates?: "error" | "newest";
}

/** One rating as a file gives it. `user` and `item` are the publisher's numbers or dense ids, as the reader says. */
export type RowVisitor = (user: number, item: number, rating: number, timestamp: number, at: Place) => void;

const FIRST_CAPACITY = 1024;

/**
 * Growing typed columns: amortised O(1) a row, at most twice the memory of the rows they hold. A timestamp of NaN says that
 * the source has none; the first row decides for all.
 */
export class GrowingColumns {
  private users = new Uint32Array(FIRST_CAPACITY);
  private items = new Uint32Array(FIRST_CAPACITY);
  private ratings = new Float32Array(FIRST_CAPACITY);
  private timestamps: Float64Array | undefined;
  length = 0;

  push(user: number, item: number, rating: number, timestamp: number): void {
    const row = this.length;
    if (row === 0 && timestamp === timestamp) this.timestamps = new Float64Array(FIRST_CAPACITY);
    if (row === this.users.length) this.grow();
    this.users[row] = user;
    this.items[row] = item;
    this.ratings[row] = rating;
    if (this.timestamps) this.timestamps[row] = timestamp;
    this.length = row + 1;
  }

  /** Views on the rows so far. */
  view(): InteractionColumns {
    const n = this.length;
    return {
      users: this.users.subarray(0, n), items: this.items.subarray(0, n),
      ratings: this.ratings.subarray(0, n), timestamps: this.timestamps?.subarray(0, n),
    };
  }

  private grow(): void {
    const capacity = this.users.length * 2;
    const wider = <T extends Uint32Array | Float32Array | Float64Array>(column: T): T => {
      const out = new (column.constructor as new (length: number) => T)(capacity);
      out.set(column as never);
      return out;
    };
    this.users = wider(this.users);
    this.items = wider(this.items);
    this.ratings = wider(this.ratings);
    if (this.timestamps) this.timestamps = wider(this.timestamps);
  }
}

/**
 * {@link Interactions.from}, but a repeated pair is reported with the file and both line numbers of its first repeat.
 * The rows keep no line numbers (a hundred million of them would be 400 MB); they are read once more on the way to the error.
 * `name(row)` gives the publisher's ids of a row; `reread` visits the rows once more, in the same order.
 */
export async function interactionsFrom(
  columns: InteractionColumns, shape: Shape, duplicates: "error" | "newest",
  name: (row: number) => { user: Key; item: Key }, reread: (visit: RowVisitor) => Promise<void>,
): Promise<Interactions> {
  try {
    return Interactions.from(columns, shape, duplicates);
  } catch (error) {
    if (!(error instanceof DataError) || error.code !== "DATA_DUPLICATES") throw error;
    const [first, second] = firstRepeat(columns, shape);
    const places: Place[] = [];
    let row = 0;
    await reread((_user, _item, _rating, _timestamp, at) => {
      if (row === first || row === second) places.push({ ...at });
      row++;
    });
    const { user, item } = name(second);
    const [earlier, later] = places;
    if (!earlier || !later) throw error;
    const where = earlier.file === later.file ? `line ${earlier.line}` : `${earlier.file}, line ${earlier.line}`;
    throw lineError(later, "DATA_DUPLICATES", `user ${user} and item ${item} stand together already in ${where}.`,
      'Remove one of the lines, or keep the newest of each pair with { duplicates: "newest" }.', error);
  }
}

/** Rows (earlier, later) of the first pair that comes again, in row order. The caller knows that there is one. */
function firstRepeat({ users, items }: InteractionColumns, shape: Shape): [number, number] {
  const key = (row: number): number => users[row]! * shape.itemCount + items[row]!;
  const sorted = Float64Array.from(users, (_, row) => key(row)).sort();
  const repeated = new Set<number>();
  for (let at = 1; at < sorted.length; at++) if (sorted[at] === sorted[at - 1]) repeated.add(sorted[at]!);
  const seen = new Map<number, number>();
  for (let row = 0; ; row++) {
    const pair = key(row);
    if (!repeated.has(pair)) continue;
    const earlier = seen.get(pair);
    if (earlier !== undefined) return [earlier, row];
    seen.set(pair, row);
  }
}

/** Publisher's numeric ids of rows, renumbered 0, 1, 2, ... in ascending order of the ids. */
export function denseNumbers(ids: Uint32Array): { dense: Uint32Array; ids: Uint32Array } {
  let max = 0;
  for (const id of ids) if (id > max) max = id;
  const dense = new Uint32Array(ids.length);
  if (max < 1 << 26) {
    // Ids of real sources are small numbers: a table is far faster than a hash.
    const table = new Uint32Array(max + 1);
    for (const id of ids) table[id] = 1;
    let next = 0;
    for (let id = 0; id <= max; id++) if (table[id] === 1) table[id] = next++;
    const distinct = new Uint32Array(next);
    for (let row = 0; row < ids.length; row++) {
      const index = table[ids[row]!]!;
      dense[row] = index;
      distinct[index] = ids[row]!;
    }
    return { dense, ids: distinct };
  }
  const distinct = Uint32Array.from(new Set(ids)).sort();
  const index = new Map<number, number>();
  distinct.forEach((id, at) => index.set(id, at));
  for (let row = 0; row < ids.length; row++) dense[row] = index.get(ids[row]!)!;
  return { dense, ids: distinct };
}
