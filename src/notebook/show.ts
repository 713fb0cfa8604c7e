import type { Prompt } from "../core/prompt.js";
import type { Ranking } from "../core/ranking.js";
import type { Dataset } from "../data/dataset.js";
import { escapeHtml } from "../evaluation/table.js";
import { print } from "./kernel.js";
import { cellText, isPlain, isRecords, Table, type Row } from "./table.js";

export interface ShowOptions {
  /** Gives rankings their titles. */
  dataset?: Dataset;
  /** Stands above the output where the value has no caption of its own. */
  caption?: string;
  /** Rows of a ranking or of an array to show (default 10). */
  rows?: number;
}

/**
 * Shows a value: an HTML table in a notebook, text in a terminal. Rankings become lists of titles, prompts their messages;
 * results show themselves (`toHtml`, `toString`); records and plain objects become tables.
 */
export function show(x: unknown, options: ShowOptions = {}): void {
  const { text, html } = rendered(x, options);
  print(text, html);
}

/** Both forms of a value, for `show` and for tests. */
export function rendered(x: unknown, options: ShowOptions = {}): { text: string; html: string | undefined } {
  if (isPrompt(x)) return prompt(x, options);
  if (isRanking(x)) return both(ranking(x, options));
  if (Array.isArray(x) && x.length > 0 && (x.every(isPrompt) || x.every(isRanking) || x.every(hasHtml))) {
    const parts = x.map((part) => rendered(part, options));
    return { text: parts.map(({ text }) => text).join("\n\n"), html: parts.map(({ html }) => html).join("\n") };
  }
  if (hasHtml(x)) return { text: cellText(x), html: x.toHtml() };
  if (isRecords(x) && x.length > 0) return both(records(x, options));
  if (isPlain(x)) return both(new Table(Object.entries(x).map(([name, value]) => ({ name, value: nested(value) })), captionOf(options)));
  return { text: options.caption === undefined ? cellText(x) : `${options.caption}\n${cellText(x)}`, html: undefined };
}

function both(table: Table): { text: string; html: string } {
  return { text: table.toString(), html: table.toHtml() };
}

function records(rows: readonly Row[], options: ShowOptions): Table {
  const limit = options.rows ?? Infinity;
  return new Table(rows.slice(0, limit), captionOf(options));
}

function ranking(list: Ranking, options: ShowOptions): Table {
  const { dataset, rows = 10 } = options;
  const user = dataset ? dataset.userId(list.user) : `index ${list.user}`;
  const lines = Array.from(list.items.subarray(0, rows), (item, at) => ({
    rank: at + 1,
    ...(dataset ? { title: dataset.title(item), year: dataset.year(item), genres: dataset.genres(item) } : { item }),
    score: list.scores[at]!,
  }));
  return new Table(lines, { caption: options.caption ?? `User ${user}, the first ${lines.length} of ${list.items.length}` });
}

/** The words as the generator reads them, then what they rest on. */
function prompt(x: Prompt, options: ShowOptions): { text: string; html: string } {
  const title = options.caption ?? `Prompt of user index ${x.user}: ${x.history.length} rows of history, ${x.candidates.length} candidates, at most ${x.tokenEstimate} tokens`;
  const body = x.messages.map(({ role, content }) => `[${role}]\n${content}`).join("\n\n");
  return { text: `${title}\n\n${body}`, html: `<p><b>${escapeHtml(title)}</b></p><pre>${escapeHtml(body)}</pre>` };
}

const captionOf = ({ caption }: ShowOptions): { caption?: string } => (caption === undefined ? {} : { caption });

/** Records inside a record on one line: "locate 0.0010, apply 0.0003". */
function nested(value: unknown): unknown {
  return isPlain(value) ? Object.entries(value).map(([name, inner]) => `${name} ${cellText(inner)}`) : value;
}

function hasHtml(x: unknown): x is { toHtml(): string } {
  return typeof (x as { toHtml?: unknown } | null | undefined)?.toHtml === "function";
}

function isRanking(x: unknown): x is Ranking {
  const list = x as Partial<Ranking> | null | undefined;
  return list?.items instanceof Uint32Array && list.scores instanceof Float32Array && typeof list.user === "number";
}

function isPrompt(x: unknown): x is Prompt {
  const candidate = x as Partial<Prompt> | null | undefined;
  return Array.isArray(candidate?.messages) && Array.isArray(candidate.candidates) && typeof candidate.promptHash === "string";
}
