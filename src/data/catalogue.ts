import { DataError } from "../core/errors.js";
import { lineError, type Place } from "./lines.js";

/** How the rows name a record: a number where the format wants one, else text. */
export type Key = number | string;

/**
 * Records of a catalogue file, collected in any order; `finish` sorts them by the publisher's id (as numbers, unless another
 * order is given), so that dense ids do not move when rows vanish.
 */
export class Catalogue<T extends { id: string }> {
  private readonly entries = new Map<Key, { record: T; line: number }>();
  private file = "";

  constructor(private readonly what: "user" | "item", private readonly order: (a: string, b: string) => number = byNumber) {}

  /** @throws DataError when the id stands twice. */
  add(key: Key, record: T, at: Place): void {
    const before = this.entries.get(key);
    if (before) {
      throw lineError(at, "DATA_DUPLICATE_ID",
        `${this.what} ${record.id} stands already in line ${before.line}.`,
        "Remove one of the two lines, or fetch the file again.");
    }
    this.file = at.file;
    this.entries.set(key, { record, line: at.line });
  }

  finish(): FinishedCatalogue<T> {
    const sorted = [...this.entries].sort(([, { record: a }], [, { record: b }]) => this.order(a.id, b.id));
    const index = new Map<Key, number>();
    sorted.forEach(([key], dense) => index.set(key, dense));
    return new FinishedCatalogue(sorted.map(([, { record }]) => record), index, this.what, this.file);
  }
}

/** Sorted records: position = dense id. */
export class FinishedCatalogue<T extends { id: string }> {
  constructor(
    readonly records: T[],
    private readonly index: Map<Key, number>,
    private readonly what: "user" | "item",
    private readonly file: string,
  ) {}

  /** Dense id. @throws DataError when the catalogue has no such record. */
  indexOf(key: Key, at: Place): number {
    const dense = this.index.get(key);
    if (dense === undefined) {
      throw lineError(at, this.what === "item" ? "DATA_UNKNOWN_ITEM" : "DATA_UNKNOWN_USER",
        `unknown ${this.what} ${key}: ${this.file} has no line for it.`,
        `Add the ${this.what} to that file or remove the row; files of one folder must come from one release.`);
    }
    return dense;
  }
}

function byNumber(a: string, b: string): number {
  return Number(a) - Number(b);
}

function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Ids of text files whose type is not known before the last line: interned in order of appearance, then ranked:
 * numerically when every id is a plain whole number, else by code units.
 */
export class TokenIds {
  private readonly index = new Map<string, number>();
  readonly tokens: string[] = [];

  /** Number of the token, new or known. */
  intern(token: string): number {
    let number = this.index.get(token);
    if (number === undefined) {
      number = this.tokens.length;
      this.index.set(token, number);
      this.tokens.push(token);
    }
    return number;
  }

  /** Rank of each interned number, and the tokens in rank order. */
  rank(): { ranks: Uint32Array; tokens: string[] } {
    const order = Uint32Array.from({ length: this.tokens.length }, (_, number) => number);
    const compare = tokenOrder(this.tokens);
    order.sort((a, b) => compare(this.tokens[a]!, this.tokens[b]!));
    const ranks = new Uint32Array(order.length);
    order.forEach((number, rank) => { ranks[number] = rank; });
    return { ranks, tokens: Array.from(order, (number) => this.tokens[number]!) };
  }
}

/** Order of ids given as text: numeric when every one is a plain whole number without leading zeros, else by code units. */
export function tokenOrder(tokens: Iterable<string>): (a: string, b: string) => number {
  for (const token of tokens) if (!/^(?:0|[1-9]\d{0,14})$/.test(token)) return byCodeUnits;
  return byNumber;
}

/** @throws DataError when a source came out without rows. */
export function requireRows(count: number, where: string): void {
  if (count === 0) throw new DataError("DATA_NO_ROWS", `${where} holds no ratings.`, {
    hint: "Fetch or copy the file again.",
  });
}
