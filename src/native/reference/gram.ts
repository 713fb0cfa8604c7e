import { Breather, type RunOptions } from "../../core/progress.js";
import { checkOptions } from "../check.js";
import { checkCooccurrence, checkGram } from "../checkmath.js";
import { NO_ITEM, type Cooccurrence, type CooccurrenceInput, type GramInput } from "../kernels.js";
import type { Csr } from "../../core/interactions.js";
import { Ticker } from "./ticker.js";

/** Every pair of columns of every row, counted into the triangle. Cost O(sum of squared row lengths + columnCount^2). */
export async function gram(input: GramInput, options?: RunOptions): Promise<Uint32Array> {
  const { signal, onProgress } = checkOptions(options);
  const { positives: { offsets, columns }, columnCount } = checkGram(input);
  const counts = new Uint32Array((columnCount * (columnCount + 1)) / 2);
  const breather = new Breather(signal), ticker = new Ticker(onProgress, offsets.length - 1);
  for (let row = 0; row + 1 < offsets.length; row++) {
    for (let at = offsets[row]; at < offsets[row + 1]; at++) {
      const first = (columns[at] * (columns[at] + 1)) / 2;
      // Columns ascend: those before `at` are the smaller ones.
      for (let other = offsets[row]; other <= at; other++) counts[first + columns[other]]++;
      if (breather.due()) {
        await breather.pause();
        ticker.at(row);
      }
    }
  }
  ticker.end();
  return counts;
}

/**
 * One column at a time: count the columns of all its rows, then order those that were met by shared rows, descending, and by index.
 * Cost O(sum of squared row lengths + k columnCount); memory O(columnCount) beside the result.
 */
export async function itemCooccurrence(input: CooccurrenceInput, options?: RunOptions): Promise<Cooccurrence> {
  const { signal, onProgress } = checkOptions(options);
  const { positives, columnCount, k } = checkCooccurrence(input);
  const { offsets, columns } = positives, holders = rowsByColumn(positives, columnCount);
  const items = new Uint32Array(columnCount * k).fill(NO_ITEM), best = new Uint32Array(columnCount * k);
  const counts = new Uint32Array(columnCount);
  const breather = new Breather(signal), ticker = new Ticker(onProgress, columnCount);
  for (let column = 0; column < columnCount; column++) {
    const met: number[] = [];
    for (let entry = holders.offsets[column]; entry < holders.offsets[column + 1]; entry++) {
      const row = holders.columns[entry];
      for (let at = offsets[row]; at < offsets[row + 1]; at++) {
        const other = columns[at];
        if (other !== column && counts[other]++ === 0) met.push(other);
      }
      if (breather.due()) {
        await breather.pause();
        ticker.at(column);
      }
    }
    met.sort((a, b) => counts[b] - counts[a] || a - b);
    for (let at = 0; at < Math.min(k, met.length); at++) {
      items[column * k + at] = met[at];
      best[column * k + at] = counts[met[at]];
    }
    for (const other of met) counts[other] = 0;
  }
  ticker.end();
  return { items, counts: best };
}

/** The transpose: for each column its rows, ascending. */
function rowsByColumn({ offsets, columns }: Csr, columnCount: number): Csr {
  const starts = new Uint32Array(columnCount + 1), rows = new Uint32Array(columns.length);
  for (const column of columns) starts[column + 1]++;
  for (let column = 0; column < columnCount; column++) starts[column + 1] += starts[column];
  const next = starts.slice(0, columnCount);
  for (let row = 0; row + 1 < offsets.length; row++) {
    for (let at = offsets[row]; at < offsets[row + 1]; at++) rows[next[columns[at]]++] = row;
  }
  return { offsets: starts, columns: rows };
}
