import { ConfigError } from "../core/errors.js";
import { Interactions } from "../core/interactions.js";
import { Evaluation } from "../evaluation/evaluate.js";
import { escapeHtml } from "../evaluation/table.js";

/** Column name -> value. */
export type Row = Readonly<Record<string, unknown>>;

export interface TableOptions {
  /** Stands above the table. */
  caption?: string;
  /** Columns to show, in this order (default: all, in order of appearance). */
  columns?: readonly string[];
}

const INSPECT: unique symbol = Symbol.for("nodejs.util.inspect.custom");

/** Rows that print themselves: as text in a terminal, as HTML in a notebook (`show`), as JSON. */
export class Table {
  readonly columns: readonly string[];
  readonly caption: string | undefined;

  constructor(readonly rows: readonly Row[], options: TableOptions = {}) {
    this.columns = options.columns ?? [...new Set(rows.flatMap((row) => Object.keys(row)))];
    this.caption = options.caption;
  }

  toJSON(): readonly Row[] {
    return this.rows;
  }

  toString(): string {
    const cells = this.cells();
    const widths = this.columns.map((name, at) => Math.max(name.length, ...cells.map((row) => row[at]!.length)));
    const line = (row: readonly string[]): string =>
      row.map((cell, at) => this.isNumeric(at) ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)).join("  ").trimEnd();
    return [...(this.caption === undefined ? [] : [this.caption]), line(this.columns), ...cells.map(line)].join("\n");
  }

  toHtml(): string {
    const line = (row: readonly string[], tag: "th" | "td"): string => `<tr>${row.map((cell, at) =>
      `<${tag} align="${this.isNumeric(at) ? "right" : "left"}">${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
    const caption = this.caption === undefined ? "" : `<caption>${escapeHtml(this.caption)}</caption>`;
    return `<table>${caption}<thead>${line(this.columns, "th")}</thead><tbody>${this.cells().map((row) => line(row, "td")).join("")}</tbody></table>`;
  }

  [INSPECT](): string {
    return this.toString();
  }

  private cells(): string[][] {
    return this.rows.map((row) => this.columns.map((name) => cellText(row[name])));
  }

  private isNumeric(column: number): boolean {
    const values = this.rows.map((row) => row[this.columns[column]!]).filter((value) => value !== undefined && value !== null);
    return values.length > 0 && values.every((value) => typeof value === "number");
  }
}

/** One value as a reader wants it: four digits behind the point, yes and no, lists with commas, nothing for what is missing. */
export function cellText(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "number") return Number.isFinite(value) && !Number.isInteger(value) ? value.toFixed(4) : String(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value;
  if (ArrayBuffer.isView(value)) return cellText(Array.from(value as unknown as ArrayLike<number>));
  if (Array.isArray(value)) {
    const head = value.slice(0, 12).map(cellText).join(", ");
    return value.length > 12 ? `${head}, ... (${value.length})` : head;
  }
  const own = (value as { toString?: unknown }).toString;
  return typeof own === "function" && own !== Object.prototype.toString ? (own as () => string).call(value) : JSON.stringify(value);
}

/**
 * The rows behind a result: an array of records, a {@link Table}, anything with `rows` (a comparison), an evaluation (one row
 * a metric), interactions (one row each).
 * @throws ConfigError for anything else
 */
export function rowsOf(x: unknown): readonly Row[] {
  if (isRecords(x)) return x;
  if (x instanceof Evaluation) return Object.entries(x.metrics).map(([metric, value]) => ({ metric, ...value }));
  if (x instanceof Interactions) {
    return Array.from(x.users, (user, row) => ({
      user, item: x.items[row]!, rating: x.ratings[row]!, ...(x.timestamps ? { timestamp: x.timestamps[row]! } : {}),
    }));
  }
  const rows = (x as { rows?: unknown } | null | undefined)?.rows;
  if (isRecords(rows)) return rows;
  throw new ConfigError("CONFIG_ROWS", `${x === null ? "null" : typeof x === "object" ? "This object" : `A ${typeof x}`} has no rows.`, {
    hint: "Pass an array of records, a table, a comparison, an evaluation or interactions.",
  });
}

/** True for arrays of plain objects; objects of a class show themselves. */
export function isRecords(x: unknown): x is readonly Row[] {
  return Array.isArray(x) && x.every(isPlain);
}

/** True for `{ ... }`, false for lists, typed arrays and objects of a class. */
export function isPlain(x: unknown): x is Record<string, unknown> {
  if (typeof x !== "object" || x === null) return false;
  const prototype: unknown = Object.getPrototypeOf(x);
  return prototype === Object.prototype || prototype === null;
}

/** A table of rows: `show(table(rows, { caption }))`. @throws ConfigError when `x` has no rows, see {@link rowsOf}. */
export function table(x: unknown, options: TableOptions = {}): Table {
  return new Table(rowsOf(x), options);
}
