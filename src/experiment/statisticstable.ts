import type { DatasetStatistics } from "../data/statistics.js";
import { alignColumns, htmlTable } from "../evaluation/table.js";
import { publishedStatistics, type PublishedStatistics } from "./published.js";

const INSPECT: unique symbol = Symbol.for("nodejs.util.inspect.custom");

export interface StatisticsRow {
  dataset: string;
  quantity: string;
  ours: number;
  published: number | undefined;
  difference: number | undefined;
}

/**
 * Counts of data sets beside Table I: ours, published, difference. The published counts hold one padding row of users and
 * one of items; our own subset of the Netflix data is another sample than the paper's, which was never published.
 */
export class StatisticsTable {
  readonly rows: readonly StatisticsRow[];

  constructor(readonly statistics: readonly DatasetStatistics[]) {
    this.rows = statistics.flatMap((counted) => {
      const printed = publishedStatistics.rows.find(({ dataset }) => dataset === counted.name);
      return rowsOf(counted, printed);
    });
  }

  toJSON(): unknown {
    return { source: publishedStatistics.source, rows: this.rows };
  }

  toString(): string {
    return [...this.captions(), alignColumns(this.cells())].join("\n");
  }

  toHtml(): string {
    return htmlTable(this.cells(), this.captions().join(" "));
  }

  [INSPECT](): string {
    return this.toString();
  }

  private captions(): string[] {
    return [
      `Data beside ${publishedStatistics.source}.`,
      "The published counts of users and items hold one padding row each; sparsity is over users and items with a row.",
      ...(this.rows.some(({ dataset }) => dataset === "netflix") ? ["The paper's Netflix subset was never published: this is another sample."] : []),
    ];
  }

  private cells(): string[][] {
    const show = (value: number | undefined, quantity: string, plus = ""): string => {
      if (value === undefined) return "";
      const text = quantity === "sparsity" ? `${(value * 100).toFixed(2)} %` : value.toLocaleString("en-US", { maximumFractionDigits: 1 });
      return value > 0 ? plus + text : text;
    };
    return [
      ["data set", "quantity", "ours", "published", "difference"],
      ...this.rows.map(({ dataset, quantity, ours, published, difference }) =>
        [dataset, quantity, show(ours, quantity), show(published, quantity), show(difference, quantity, "+")]),
    ];
  }
}

function rowsOf(counted: DatasetStatistics, printed: PublishedStatistics | undefined): StatisticsRow[] {
  const pairs: [string, number, number | undefined][] = [
    ["users", counted.activeUsers, printed?.users],
    ["items", counted.ratedItems, printed?.items],
    ["interactions", counted.interactions, printed?.interactions],
    ["mean per user", counted.meanPerUser, printed?.perUser],
    ["sparsity", counted.sparsity, printed?.sparsity],
  ];
  return pairs.map(([quantity, ours, published]) => ({
    dataset: counted.name, quantity, ours, published, difference: published === undefined ? undefined : ours - published,
  }));
}
