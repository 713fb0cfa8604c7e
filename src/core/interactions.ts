import { DataError } from "./errors.js";

const INSPECT: unique symbol = Symbol.for("nodejs.util.inspect.custom");

/** Compressed sparse rows: row r holds `columns[offsets[r] .. offsets[r + 1])`, ascending. */
export interface Csr {
  offsets: Uint32Array;
  columns: Uint32Array;
}

export interface InteractionColumns {
  users: Uint32Array;
  items: Uint32Array;
  ratings: Float32Array;
  /** Seconds since 1970, where the source has them. */
  timestamps?: Float64Array | undefined;
}

export interface Shape {
  userCount: number;
  itemCount: number;
}

/**
 * Rows (user, item, rating, timestamp?) with dense ids, always sorted by (user, item), each pair once. Columns, not
 * objects: a million rows are 20 MB. Immutable by convention; every operation returns a new object, `of` returns views.
 */
export class Interactions {
  readonly users: Uint32Array;
  readonly items: Uint32Array;
  readonly ratings: Float32Array;
  readonly timestamps: Float64Array | undefined;
  readonly userCount: number;
  readonly itemCount: number;
  private offsetsCache: Uint32Array | undefined;

  /** `columns` must be sorted and free of duplicates; use {@link Interactions.from} for anything else. */
  constructor(columns: InteractionColumns, shape: Shape) {
    this.users = columns.users;
    this.items = columns.items;
    this.ratings = columns.ratings;
    this.timestamps = columns.timestamps;
    this.userCount = shape.userCount;
    this.itemCount = shape.itemCount;
  }

  /**
   * Sorts and checks. Cost O(rows + users + items).
   * @throws DataError on ids out of range, non-finite values, columns of unequal length, or a (user, item) pair that
   * appears twice (`duplicates: "newest"` keeps the row with the latest timestamp, without timestamps the last row).
   */
  static from(columns: InteractionColumns, shape: Shape, duplicates: "error" | "newest" = "error"): Interactions {
    const { users, items, ratings, timestamps } = columns;
    const n = users.length;
    if (items.length !== n || ratings.length !== n || (timestamps && timestamps.length !== n)) {
      throw new DataError("DATA_COLUMNS", `Columns differ in length: ${n} users, ${items.length} items, ${ratings.length} ratings.`);
    }
    for (let row = 0; row < n; row++) {
      if (users[row]! >= shape.userCount || items[row]! >= shape.itemCount) {
        throw new DataError("DATA_ID_RANGE", `Row ${row} names user ${users[row]} and item ${items[row]}; the table has ${shape.userCount} users and ${shape.itemCount} items.`, {
          hint: "Ids inside are dense: map the publisher's ids first, as loadDataset does.",
        });
      }
      if (!Number.isFinite(ratings[row]!) || (timestamps && !Number.isFinite(timestamps[row]!))) {
        throw new DataError("DATA_NOT_FINITE", `Row ${row} holds a rating or timestamp that is not a finite number.`);
      }
    }
    const order = sortedOrder(users, items, shape);
    const sorted = gather(columns, order);
    let repeats = 0;
    for (let row = 1; row < n; row++) {
      if (sorted.users[row] === sorted.users[row - 1] && sorted.items[row] === sorted.items[row - 1]) repeats++;
    }
    if (repeats === 0) return new Interactions(sorted, shape);
    if (duplicates === "error") {
      throw new DataError("DATA_DUPLICATES", `${repeats} rows repeat a (user, item) pair.`, {
        hint: 'Remove them, or keep the newest of each with { duplicates: "newest" }.',
      });
    }
    const keep: number[] = [];
    for (let row = 0; row < n; row++) {
      const last = keep[keep.length - 1];
      if (last === undefined || sorted.users[row] !== sorted.users[last] || sorted.items[row] !== sorted.items[last]) keep.push(row);
      else if (!sorted.timestamps || sorted.timestamps[row]! >= sorted.timestamps[last]!) keep[keep.length - 1] = row;
    }
    return new Interactions(gather(sorted, keep), shape);
  }

  static empty(shape: Shape): Interactions {
    return new Interactions({ users: new Uint32Array(0), items: new Uint32Array(0), ratings: new Float32Array(0) }, shape);
  }

  get length(): number {
    return this.users.length;
  }

  toString(): string {
    const count = (n: number): string => n.toLocaleString("en-US");
    return `${count(this.length)} interactions of ${count(this.userCount)} users with ${count(this.itemCount)} items`;
  }

  /** A table of a million rows prints as one line in a terminal and in a cell. */
  [INSPECT](): string {
    return this.toString();
  }

  /** Row r of user u lies in [offsets[u], offsets[u + 1]). */
  get offsets(): Uint32Array {
    if (!this.offsetsCache) {
      const offsets = new Uint32Array(this.userCount + 1);
      for (let row = 0; row < this.users.length; row++) offsets[this.users[row]! + 1]!++;
      for (let user = 0; user < this.userCount; user++) offsets[user + 1]! += offsets[user]!;
      this.offsetsCache = offsets;
    }
    return this.offsetsCache;
  }

  csr(): Csr {
    return { offsets: this.offsets, columns: this.items };
  }

  /** The rows of one user: views, nothing is copied. */
  of(user: number): Interactions {
    return this.slice(this.offsets[user]!, this.offsets[user + 1]!);
  }

  /** Item ids of one user, ascending. */
  itemsOf(user: number): Uint32Array {
    return this.items.subarray(this.offsets[user]!, this.offsets[user + 1]!);
  }

  countOf(user: number): number {
    return this.offsets[user + 1]! - this.offsets[user]!;
  }

  /** Row index of (user, item), or -1. Binary search. */
  indexOf(user: number, item: number): number {
    if (user >= this.userCount) return -1;
    let low = this.offsets[user]!, high = this.offsets[user + 1]!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.items[middle]! < item) low = middle + 1;
      else high = middle;
    }
    return low < this.offsets[user + 1]! && this.items[low] === item ? low : -1;
  }

  has(user: number, item: number): boolean {
    return this.indexOf(user, item) >= 0;
  }

  /** Rows whose (user, item) is not in `rows`. */
  without(rows: Interactions): Interactions {
    const shared = this.sharedWith(rows);
    return this.filter((row) => shared[row] === 0);
  }

  /** Rows whose (user, item) is in `rows` too. */
  intersect(rows: Interactions): Interactions {
    const shared = this.sharedWith(rows);
    return this.filter((row) => shared[row] === 1);
  }

  /** Both sets; where a pair is in both, this side's row is kept. Timestamps survive only if both sides have them. */
  union(rows: Interactions): Interactions {
    const other = rows.without(this);
    const joined = <T extends Uint32Array | Float32Array | Float64Array>(a: T, b: T): T => {
      const out = new (a.constructor as new (length: number) => T)(a.length + b.length);
      out.set(a as never, 0);
      out.set(b as never, a.length);
      return out;
    };
    const timestamps = this.timestamps && other.timestamps ? joined(this.timestamps, other.timestamps) : undefined;
    const columns = { users: joined(this.users, other.users), items: joined(this.items, other.items), ratings: joined(this.ratings, other.ratings), timestamps };
    return new Interactions(gather(columns, sortedOrder(columns.users, columns.items, this)), this);
  }

  /** 1 for each row whose (user, item) is in `rows` too. A short table, as a request is, is looked up; two long ones are walked side by side. */
  private sharedWith(rows: Interactions): Uint8Array {
    const shared = new Uint8Array(this.length);
    if (rows.length < this.length / 16) {
      for (let row = 0; row < rows.length; row++) {
        const at = this.indexOf(rows.users[row]!, rows.items[row]!);
        if (at >= 0) shared[at] = 1;
      }
      return shared;
    }
    const { users, items } = this, { users: otherUsers, items: otherItems } = rows;
    for (let row = 0, other = 0; row < users.length && other < otherUsers.length;) {
      const order = users[row]! - otherUsers[other]! || items[row]! - otherItems[other]!;
      if (order === 0) shared[row] = 1;
      if (order <= 0) row++;
      if (order >= 0) other++;
    }
    return shared;
  }

  /** Keeps the rows for which `keep(row index)` is true. */
  filter(keep: (row: number) => boolean): Interactions {
    const rows = new Uint32Array(this.length);
    let kept = 0;
    for (let row = 0; row < this.length; row++) if (keep(row)) rows[kept++] = row;
    return kept === this.length ? this : new Interactions(gather(this, rows.subarray(0, kept)), this);
  }

  /** The rows with these indices, in table order whatever the order of `rows`. */
  select(rows: ArrayLike<number>): Interactions {
    const order = Uint32Array.from(rows).sort();
    return new Interactions(gather(this, order), this);
  }

  slice(start: number, end: number): Interactions {
    return new Interactions({
      users: this.users.subarray(start, end),
      items: this.items.subarray(start, end),
      ratings: this.ratings.subarray(start, end),
      timestamps: this.timestamps?.subarray(start, end),
    }, this);
  }

  /** Users with at least one row, ascending. */
  presentUsers(): Uint32Array {
    const present: number[] = [];
    for (let row = 0; row < this.length; row++) {
      if (row === 0 || this.users[row] !== this.users[row - 1]) present.push(this.users[row]!);
    }
    return Uint32Array.from(present);
  }

  /** Rows per item [itemCount]. */
  itemCounts(): Uint32Array {
    const counts = new Uint32Array(this.itemCount);
    for (const item of this.items) counts[item]!++;
    return counts;
  }
}

/** Counting sort by item, then stably by user: O(n), independent of the input order except among exact duplicates. */
function sortedOrder(users: Uint32Array, items: Uint32Array, shape: Shape): Uint32Array {
  const pass = (order: Uint32Array, keys: Uint32Array, range: number): Uint32Array => {
    const starts = new Uint32Array(range + 1);
    for (const key of keys) starts[key + 1]!++;
    for (let key = 0; key < range; key++) starts[key + 1]! += starts[key]!;
    const out = new Uint32Array(order.length);
    for (const row of order) out[starts[keys[row]!]!++] = row;
    return out;
  };
  const order = Uint32Array.from({ length: users.length }, (_, row) => row);
  return pass(pass(order, items, shape.itemCount), users, shape.userCount);
}

function gather(columns: InteractionColumns, order: ArrayLike<number>): InteractionColumns {
  const n = order.length;
  const users = new Uint32Array(n), items = new Uint32Array(n), ratings = new Float32Array(n);
  const timestamps = columns.timestamps ? new Float64Array(n) : undefined;
  for (let to = 0; to < n; to++) {
    const from = order[to]!;
    users[to] = columns.users[from]!;
    items[to] = columns.items[from]!;
    ratings[to] = columns.ratings[from]!;
    if (timestamps) timestamps[to] = columns.timestamps![from]!;
  }
  return { users, items, ratings, timestamps };
}
