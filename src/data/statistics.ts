import { inspect } from "node:util";
import type { Interactions } from "../core/interactions.js";

/**
 * The size of a table of interactions, as in the paper's Table I. `users` and `items` count the catalogue; `activeUsers`
 * and `ratedItems` those with at least one row. Means, median and sparsity are over users and items with a row, which is
 * how the literature counts (the published table counts one padding row more on each side).
 */
export class DatasetStatistics {
  constructor(
    /** Name of the data set; "interactions" for plain rows. */
    readonly name: string,
    readonly users: number,
    readonly activeUsers: number,
    readonly items: number,
    readonly ratedItems: number,
    readonly interactions: number,
    /** Rows of an active user: mean, smallest, median, largest. NaN when there is none. */
    readonly meanPerUser: number,
    readonly minPerUser: number,
    readonly medianPerUser: number,
    readonly maxPerUser: number,
    /** Share of the empty cells of active users x rated items, 0 to 1. */
    readonly sparsity: number,
  ) {}

  /** One table, one line a number. */
  toString(): string {
    const count = (value: number): string => (Number.isNaN(value) ? "-" : value.toLocaleString("en-US", { maximumFractionDigits: 1 }));
    const lines: [string, string][] = [
      ["users", count(this.users) + (this.activeUsers === this.users ? "" : ` (${count(this.activeUsers)} with a rating)`)],
      ["items", count(this.items) + (this.ratedItems === this.items ? "" : ` (${count(this.ratedItems)} rated)`)],
      ["interactions", count(this.interactions)],
      ["mean per user", count(this.meanPerUser)],
      ["per user, min / median / max", `${count(this.minPerUser)} / ${count(this.medianPerUser)} / ${count(this.maxPerUser)}`],
      ["sparsity", Number.isNaN(this.sparsity) ? "-" : `${(this.sparsity * 100).toFixed(2)}%`],
    ];
    const width = Math.max(...lines.map(([label]) => label.length));
    return [this.name, ...lines.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`)].join("\n");
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

/** Counts a data set or any part of one. Cost O(rows + users log users). */
export function statistics(data: Interactions & { readonly name?: string }): DatasetStatistics {
  const perUser = new Float64Array(data.userCount);
  for (const user of data.users) perUser[user]!++;
  const counts = perUser.filter((count) => count > 0).sort();
  const active = counts.length;
  const ratedItems = data.itemCounts().reduce((rated, count) => rated + (count > 0 ? 1 : 0), 0);
  const at = (index: number): number => (active > 0 ? counts[index]! : NaN);
  const median = (at((active - 1) >> 1) + at(active >> 1)) / 2;
  const sparsity = active > 0 ? 1 - data.length / (active * ratedItems) : NaN;
  return new DatasetStatistics(data.name ?? "interactions", data.userCount, active, data.itemCount, ratedItems, data.length,
    active > 0 ? data.length / active : NaN, at(0), median, at(active - 1), sparsity);
}
