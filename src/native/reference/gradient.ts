import { bprFall, bprLoss, bprSlope } from "../../core/math.js";
import type { EpochSamples } from "./sample.js";

const { fround } = Math;

/**
 * x = sum over d of p[u + d] * (p[i + d] - p[j + d]) in double, in the order of dot: eight sums over d modulo 8, then their tree.
 * The difference is rounded before the product, and the product before the sum.
 */
export function difference(p: Float32Array, u: number, i: number, j: number, dimension: number): number {
  const s = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let d = 0; d < dimension; d++) s[d & 7] += p[u + d] * (p[i + d] - p[j + d]);
  return treeOf(s);
}

/** The sum of `values` in the order of dot. */
export function sumOf(values: Float64Array, count: number): number {
  const s = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let at = 0; at < count; at++) s[at & 7] += values[at];
  return treeOf(s);
}

function treeOf(s: number[]): number {
  return s[0] + s[4] + (s[2] + s[6]) + (s[1] + s[5] + (s[3] + s[7]));
}

/** A batch: samples from .. to of an epoch. */
export interface Range {
  samples: EpochSamples;
  from: number;
  to: number;
}

/** Gradient of one batch: `values` holds H in the rows that `touched` names, 0 elsewhere. */
export class BatchGradient {
  /** [rows, dimension] */
  readonly values: Float32Array;
  /** How often each row occurs in the batch [rows]. */
  readonly occurrences: Uint32Array;
  /** Stacked numbers of the rows that occur. */
  touched: number[] = [];
  private weights = new Float32Array(0);
  private losses = new Float64Array(0);

  constructor(rows: number, private readonly userCount: number, private readonly dimension: number) {
    this.values = new Float32Array(rows * dimension);
    this.occurrences = new Uint32Array(rows);
  }

  /** Fills the gradient on `embeddings`, times `scale`; returns the sum of the losses. */
  fill({ samples, from, to }: Range, embeddings: Float32Array, scale: number): number {
    const { dimension, userCount, values } = this;
    if (this.weights.length < to - from) {
      this.weights = new Float32Array(to - from);
      this.losses = new Float64Array(to - from);
    }
    for (let at = from; at < to; at++) {
      const u = samples.users[at] * dimension;
      const i = (userCount + samples.items[at]) * dimension, j = (userCount + samples.negatives[at]) * dimension;
      const x = difference(embeddings, u, i, j, dimension), fall = bprFall(x);
      this.losses[at - from] = bprLoss(x, fall);
      this.weights[at - from] = -(bprSlope(x, fall) * scale);
    }
    for (let at = from; at < to; at++) {
      const user = samples.users[at], item = userCount + samples.items[at], negative = userCount + samples.negatives[at];
      for (const row of [user, item, negative]) if (this.occurrences[row]++ === 0) this.touched.push(row);
      const r = this.weights[at - from];
      const u = user * dimension, i = item * dimension, j = negative * dimension;
      for (let d = 0; d < dimension; d++) {
        const pull = fround(r * embeddings[u + d]);
        values[u + d] += fround(r * fround(embeddings[i + d] - embeddings[j + d]));
        values[i + d] += pull;
        values[j + d] -= pull;
      }
    }
    return sumOf(this.losses, to - from);
  }

  /** Forgets the batch. */
  clear(): void {
    for (const row of this.touched) {
      this.values.fill(0, row * this.dimension, (row + 1) * this.dimension);
      this.occurrences[row] = 0;
    }
    this.touched = [];
  }
}
