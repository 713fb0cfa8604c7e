import type { Csr } from "../../core/interactions.js";
import { Breather, type RunOptions } from "../../core/progress.js";
import { checkOptions, checkPropagate } from "../check.js";
import type { PropagateInput } from "../kernels.js";
import { Ticker } from "./ticker.js";

/** The bipartite graph with both sides as rows: users first, then items; columns are stacked row numbers, ascending. */
export interface Graph {
  rows: number;
  offsets: Uint32Array;
  columns: Uint32Array;
  /** 1 / sqrt(degree) rounded to float32, 0 for degree 0 [rows]. */
  scales: Float32Array;
}

/** Both sides of the graph from the users' rows: the item rows are the transpose. Cost O(edges + rows). */
export function buildGraph(positives: Csr, userCount: number, itemCount: number): Graph {
  const { offsets: userOffsets, columns: userColumns } = positives;
  const edges = userColumns.length, rows = userCount + itemCount;
  const offsets = new Uint32Array(rows + 1), columns = new Uint32Array(2 * edges);
  offsets.set(userOffsets);
  for (let edge = 0; edge < edges; edge++) {
    columns[edge] = userCount + userColumns[edge];
    offsets[userCount + userColumns[edge] + 1]++;
  }
  for (let row = userCount; row < rows; row++) offsets[row + 1] += offsets[row];
  const next = offsets.slice(userCount, rows);
  for (let user = 0; user < userCount; user++) {
    for (let edge = userOffsets[user]; edge < userOffsets[user + 1]; edge++) columns[next[userColumns[edge]]++] = user;
  }
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const degree = offsets[row + 1] - offsets[row];
    scales[row] = degree > 0 ? 1 / Math.sqrt(degree) : 0;
  }
  return { rows, offsets, columns, scales };
}

/** Scratch of {@link applyS}: operands [rows, dimension], their bits in the same memory, and the sums of one row [dimension]. */
export interface PropagateScratch {
  operands: Float32Array;
  bits: Uint32Array;
  sums: Float32Array;
  operand: "float32" | "bf16";
}

/** Work space of propagations over `rows` rows: made once, used in every step. */
export function propagateScratch(rows: number, dimension: number, operand: "float32" | "bf16"): PropagateScratch {
  const operands = new Float32Array(rows * dimension);
  return { operands, bits: new Uint32Array(operands.buffer), sums: new Float32Array(dimension), operand };
}

/**
 * output = S input. Every operation is rounded to float32, by the store into a Float32Array or by Math.fround:
 *   T = E0;  layers times: Z[r] = s_r * T[r];  T[r] = E0[r] + s_r * (Z[n1] + Z[n2] + ...), neighbours ascending, sum from 0;
 *   at the end T / (layers + 1). With 0 layers a copy.
 * With operand "bf16" each Z[r] is then rounded to bfloat16, ties to even: bits + 0x7fff + (bit 16), the lower 16 bits cleared.
 * That takes large values to infinity, keeps infinities, and rounds float32 denormals to bfloat16 ones.
 */
export async function applyS(
  graph: Graph, input: Float32Array, dimension: number, layers: number, output: Float32Array, scratch: PropagateScratch, breather: Breather,
): Promise<void> {
  output.set(input);
  const block = Math.max(1, Math.floor(4096 / dimension));
  for (let layer = 0; layer < layers; layer++) {
    scaleRows(graph.scales, output, dimension, scratch.operands);
    if (scratch.operand === "bf16") roundToBfloat16(scratch.bits);
    for (let from = 0; from < graph.rows; from += block) {
      hopRows(graph, input, dimension, from, Math.min(graph.rows, from + block), output, scratch);
      if (breather.due()) await breather.pause();
    }
  }
  if (layers > 0) for (let at = 0; at < output.length; at++) output[at] /= layers + 1;
}

function scaleRows(scales: Float32Array, from: Float32Array, dimension: number, operands: Float32Array): void {
  for (let row = 0; row < scales.length; row++) {
    const scale = scales[row], end = (row + 1) * dimension;
    for (let at = row * dimension; at < end; at++) operands[at] = scale * from[at];
  }
}

function roundToBfloat16(bits: Uint32Array): void {
  for (let at = 0; at < bits.length; at++) bits[at] = (bits[at] + 0x7fff + ((bits[at] >>> 16) & 1)) & 0xffff0000;
}

function hopRows(
  graph: Graph, input: Float32Array, dimension: number, from: number, to: number, output: Float32Array, { operands, sums }: PropagateScratch,
): void {
  for (let row = from; row < to; row++) {
    sums.fill(0);
    for (let edge = graph.offsets[row]; edge < graph.offsets[row + 1]; edge++) {
      const at = graph.columns[edge] * dimension;
      for (let d = 0; d < dimension; d++) sums[d] += operands[at + d];
    }
    const scale = graph.scales[row], base = row * dimension;
    for (let d = 0; d < dimension; d++) output[base + d] = input[base + d] + Math.fround(scale * sums[d]);
  }
}

/** S E0 for stacked embeddings. Cost O(layers * edges * dimension). */
export async function propagate(input: PropagateInput, options?: RunOptions): Promise<Float32Array> {
  const { signal, onProgress } = checkOptions(options);
  const { parameters, positives, userCount, itemCount, dimension, layers, operand, rows } = checkPropagate(input);
  const output = new Float32Array(rows * dimension);
  const graph = buildGraph(positives, userCount, itemCount);
  await applyS(graph, parameters, dimension, layers, output, propagateScratch(rows, dimension, operand), new Breather(signal));
  new Ticker(onProgress, layers).end();
  return output;
}
