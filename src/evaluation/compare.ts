/**
 * Methods side by side, metric by metric, each against one reference: the difference over the users both have, its paired
 * bootstrap interval, Wilcoxon's p and Holm's p over the methods of one metric; and ours beside the published value.
 * Cost O(resamples * users) for each method and metric; the weights are drawn once for a set of users.
 */
import { ConfigError } from "../core/errors.js";
import type { Evaluation } from "./evaluate.js";
import { bootstrapInterval, bootstrapWeights } from "./interval.js";
import { holm, wilcoxonSignedRank } from "./significance.js";
import { alignColumns, htmlTable } from "./table.js";

export interface CompareOptions {
  /** The label the others are compared with. Without it there are values alone. */
  reference?: string;
  /** Default: the metrics of the first evaluation. */
  metrics?: readonly string[];
  /** Label -> metric -> value printed in a paper. */
  published?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Of the bootstrap. Default 2020. */
  seed?: number;
  /** Of the bootstrap. Default 1000. */
  resamples?: number;
}

/** One method under one metric. Fields without a value (the reference's own difference, say) are absent. */
export interface ComparisonRow {
  label: string;
  metric: string;
  value: number;
  /** 95 % interval of `value`. */
  low: number;
  high: number;
  /** Users in `value`. */
  n: number;
  /** Users that both this method and the reference have: the pairs of everything below. */
  pairs?: number;
  /** Mean over the pairs of this method minus the reference, with its paired 95 % interval. */
  difference?: number;
  differenceLow?: number;
  differenceHigh?: number;
  /** Wilcoxon signed-rank, two-sided. */
  p?: number;
  /** Adjusted over the methods of this metric. */
  pHolm?: number;
  published?: number;
  /** `value` minus `published`. */
  publishedDifference?: number;
}

const INSPECT: unique symbol = Symbol.for("nodejs.util.inspect.custom");

/** The rows of {@link compare}; prints itself as text, as HTML and as JSON. */
export class Comparison {
  constructor(readonly rows: readonly ComparisonRow[], readonly reference: string | undefined) {}

  /** The row of one method and metric, undefined where there is none. */
  row(label: string, metric: string): ComparisonRow | undefined {
    return this.rows.find((row) => row.label === label && row.metric === metric);
  }

  toJSON(): { reference: string | undefined; rows: readonly ComparisonRow[] } {
    return { reference: this.reference, rows: this.rows };
  }

  toString(): string {
    return `${this.caption()}\n${alignColumns(this.cells())}`;
  }

  toHtml(): string {
    return htmlTable(this.cells(), this.caption());
  }

  [INSPECT](): string {
    return this.toString();
  }

  private caption(): string {
    return this.reference === undefined ? "Mean over users with 95 % intervals"
      : `Mean over users with 95 % intervals; differences to ${this.reference} over the users both have`;
  }

  /** Columns that no row fills are left out. */
  private cells(): string[][] {
    const bounds = (low: number | undefined, high: number | undefined, show: (x: number | undefined) => string): string =>
      low === undefined ? "" : `[${show(low)}, ${show(high)}]`;
    const columns: [string, (row: ComparisonRow) => string][] = [
      ["method", (row) => row.label],
      ["metric", (row) => row.metric],
      ["value", (row) => plain(row.value)],
      ["95 %", (row) => bounds(row.low, row.high, plain)],
      ["n", (row) => String(row.n)],
      ["difference", (row) => signed(row.difference)],
      ["95 % paired", (row) => bounds(row.differenceLow, row.differenceHigh, signed)],
      ["pairs", (row) => String(row.pairs ?? "")],
      ["p", (row) => probability(row.p)],
      ["p Holm", (row) => probability(row.pHolm)],
      ["published", (row) => plain(row.published)],
      ["ours - published", (row) => signed(row.publishedDifference)],
    ];
    const filled = columns.filter(([, cell]) => this.rows.some((row) => cell(row) !== ""));
    return [filled.map(([head]) => head), ...this.rows.map((row) => filled.map(([, cell]) => cell(row)))];
  }
}

/**
 * @param evaluations label -> evaluation, all of one split, one truth and one mask; rows come metric by metric in this order
 * @throws ConfigError when the reference or a metric is not among the evaluations
 */
export function compare(evaluations: Readonly<Record<string, Evaluation>>, options: CompareOptions = {}): Comparison {
  const labels = Object.keys(evaluations);
  const { reference, published = {} } = options;
  if (labels.length === 0) {
    throw new ConfigError("CONFIG_COMPARE", "There is nothing to compare.", { hint: "Pass { label: evaluation }." });
  }
  if (reference !== undefined && !Object.hasOwn(evaluations, reference)) {
    throw new ConfigError("CONFIG_REFERENCE", `The reference "${reference}" is not among the evaluations.`, {
      hint: `Use one of: ${labels.join(", ")}.`,
    });
  }
  const metrics = options.metrics ?? Object.keys(evaluations[labels[0]!]!.metrics);
  const pair = pairing(options);
  const rows: ComparisonRow[] = [];
  for (const metric of metrics) {
    const family: ComparisonRow[] = [];
    for (const label of labels) {
      const evaluation = evaluations[label]!;
      const own = evaluation.metrics[metric];
      if (!own) {
        throw new ConfigError("CONFIG_METRIC", `"${label}" was not evaluated for "${metric}".`, {
          hint: `It has: ${Object.keys(evaluation.metrics).join(", ")}.`,
        });
      }
      const row: ComparisonRow = { label, metric, value: own.value, low: own.low, high: own.high, n: own.n };
      if (reference !== undefined && label !== reference) {
        Object.assign(row, pair(evaluation, evaluations[reference]!, metric));
        if (row.p !== undefined) family.push(row);
      }
      const printed = published[label]?.[metric];
      if (printed !== undefined) Object.assign(row, { published: printed, publishedDifference: own.value - printed });
      rows.push(row);
    }
    const adjusted = holm(family.map((row) => row.p!));
    family.forEach((row, at) => { row.pHolm = adjusted[at]!; });
  }
  return new Comparison(rows, reference);
}

type Paired = Pick<ComparisonRow, "pairs" | "difference" | "differenceLow" | "differenceHigh" | "p">;

/** Pairs two evaluations; keeps the bootstrap weights of the last set of users, as methods nearly always share it. */
function pairing(options: CompareOptions): (own: Evaluation, reference: Evaluation, metric: string) => Paired {
  let users: readonly number[] = [];
  let weights: Uint8Array = new Uint8Array(0);
  return (own, reference, metric) => {
    const at = new Map<number, number>(Array.from(reference.users, (user, index) => [user, index]));
    const positions = Array.from(own.users.keys()).filter((index) => at.has(own.users[index]!));
    if (positions.length === 0) return { pairs: 0 };
    const common = positions.map((index) => own.users[index]!);
    const ours = positions.map((index) => own.perUser[metric]![index]!);
    const theirs = common.map((user) => reference.perUser[metric]![at.get(user)!]!);
    if (common.length !== users.length || common.some((user, index) => user !== users[index])) {
      users = common;
      weights = bootstrapWeights(common, options.seed, options.resamples);
    }
    const interval = bootstrapInterval(ours.map((value, index) => value - theirs[index]!), weights);
    return {
      pairs: common.length,
      difference: interval.value,
      differenceLow: Math.max(-1, interval.low),
      differenceHigh: Math.min(1, interval.high),
      p: wilcoxonSignedRank(ours, theirs).p,
    };
  };
}

function plain(value: number | undefined): string {
  return value === undefined ? "" : value.toFixed(4);
}

function signed(value: number | undefined): string {
  if (value === undefined) return "";
  const text = value.toFixed(4);
  return Number(text) === 0 ? "0.0000" : value > 0 ? `+${text}` : text;
}

function probability(p: number | undefined): string {
  return p === undefined ? "" : p < 0.0001 ? "<0.0001" : p.toFixed(4);
}
