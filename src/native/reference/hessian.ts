/**
 * Hessian-vector products of BPR and BCE on propagated embeddings, and conjugate gradients on them. Everything in double, and
 * no multiply-add is fused (native/cpu/hessian.cpp copies each operation in this order):
 *   samples are put in order of user, stably: "sample order" below is that one
 *   dot(a, b) = eight sums s[l] over d = l, l + 8, ... ascending from 0; t[l] = s[l] + s[l + 4]; (t[0] + t[2]) + (t[1] + t[3])
 *   S X: s_r = 1 / sqrt(degree), 0 for degree 0; T = X; layers times: T[r] = X[r] + s_r * (s_a T[a] + s_b T[b] + ...), neighbours
 *     ascending, sum from 0; at the end T / (layers + 1). With 0 layers X itself
 *   p, q = users and items of E = S E0; v, w = users and items of S V
 *   BPR: z = q_i - q_j, x = dot(p_u, z), r = -sigmoid(-x);  BCE: z = q_i, x = dot(p_u, z), r = sigmoid(x) - y
 *   c = sigmoid(x) * sigmoid(-x)                                    these three depend on E alone: once a solve
 *   BPR: y = w_i - w_j;  BCE: y = w_i
 *   a = c * dx, where dx ends as dot does, with s[l] = (sums of v_u * z) + (sums of p_u * y)
 *   A_u += a * z + r * y, A_i += a * p_u + r * v_u, A_j -= the same (BPR); samples in order: user, positive, negative.
 *     "gn": without the terms of r
 *   H V = S (A / n) + regularisation * V; A / n is 0 where n is 0
 * Restricted to rows W: V is 0 elsewhere, and the rows of W are kept.
 *
 * Conjugate gradients, B = H_WW + damping (B p = H p + damping * p): x = 0, r = p = gradient, e = r'r; until
 * sqrt(e) <= tolerance * sqrt(gradient'gradient) or the iterations are used up: h = B p, k = p'h; unless k > 0 stop (negative
 * curvature); a = e / k, x += a * p, r -= a * h, f = r'r, p = r + (f / e) * p, e = f. The residual told at the end is that of
 * x itself, gradient - B x, not that of the recurrence. a'b of two vectors: blocks of 64 rows, in each eight sums s[l] over rows
 * and then over d ascending, d mod 8 = l, closed as a dot is; blocks added in order.
 */
import { NativeError } from "../../core/errors.js";
import { sigmoid } from "../../core/math.js";
import { Breather, type RunOptions } from "../../core/progress.js";
import { checkOptions } from "../check.js";
import { checkConjugateGradient, checkHessianProduct, type CheckedLoss } from "../checkmath.js";
import type { ConjugateGradient, ConjugateGradientInput, HessianProductInput } from "../kernels.js";
import { buildGraph, type Graph } from "./propagate.js";
import { Ticker } from "./ticker.js";

/** H v of the mean loss over given samples. Cost O(samples * dimension) and 2 propagations. */
export async function hessianProduct(input: HessianProductInput, options?: RunOptions): Promise<Float64Array> {
  const { signal, onProgress } = checkOptions(options);
  const { vector, ...loss } = checkHessianProduct(input);
  const breather = new Breather(signal);
  const output = new Float64Array(vector.length);
  await (await Curvature.of(loss, breather)).product(vector, output, breather);
  output.forEach((value) => finite("hessianProduct", value));
  new Ticker(onProgress, 1).end();
  return output;
}

/** Conjugate gradients on H_WW + damping I from 0 (Hestenes and Stiefel 1952). Cost: one product an iteration, and one at the end. */
export async function conjugateGradient(input: ConjugateGradientInput, options?: RunOptions): Promise<ConjugateGradient> {
  const { signal, onProgress } = checkOptions(options);
  const { gradient, rowsChosen: rows, damping, tolerance, iterations: limit, ...loss } = checkConjugateGradient(input);
  const { dimension } = loss;
  const breather = new Breather(signal), ticker = new Ticker(onProgress, limit);
  const solution = new Float64Array(gradient.length);
  const scale = finite("conjugateGradient", norm2(gradient, dimension));
  let iterations = 0, negativeCurvature = false, relative = 0;
  if (scale > 0) {
    const curvature = await Curvature.of(loss, breather);
    const full = new Float64Array((loss.userCount + loss.itemCount) * dimension), bent = new Float64Array(full.length);
    /** output = B input on the rows of W. */
    const apply = async (values: Float64Array, output: Float64Array): Promise<void> => {
      if (rows) rows.forEach((row, at) => full.set(values.subarray(at * dimension, (at + 1) * dimension), row * dimension));
      else full.set(values);
      await curvature.product(full, bent, breather);
      if (rows) rows.forEach((row, at) => output.set(bent.subarray(row * dimension, (row + 1) * dimension), at * dimension));
      else output.set(bent);
      for (let at = 0; at < output.length; at++) output[at] += damping * values[at];
    };
    const residual = gradient.slice(), direction = gradient.slice(), product = new Float64Array(gradient.length);
    const goal = tolerance * Math.sqrt(scale);
    let energy = scale;
    while (iterations < limit && !(Math.sqrt(energy) <= goal)) {
      await apply(direction, product);
      const curved = finite("conjugateGradient", inner(direction, product, dimension));
      if (!(curved > 0)) {
        negativeCurvature = true;
        break;
      }
      const step = energy / curved;
      for (let at = 0; at < solution.length; at++) {
        solution[at] += step * direction[at];
        residual[at] -= step * product[at];
      }
      const next = finite("conjugateGradient", norm2(residual, dimension)), keep = next / energy;
      for (let at = 0; at < direction.length; at++) direction[at] = residual[at] + keep * direction[at];
      energy = next;
      ticker.at(++iterations);
    }
    if (iterations > 0) await apply(solution, product);
    else product.fill(0);
    for (let at = 0; at < residual.length; at++) residual[at] = gradient[at] - product[at];
    relative = finite("conjugateGradient", Math.sqrt(norm2(residual, dimension)) / Math.sqrt(scale));
  }
  ticker.end();
  return { solution, iterations, residual: relative, negativeCurvature };
}

/** Samples between two looks at the clock. */
const STRIDE = 128;

/** H of one loss at one point: what depends on E alone is computed once. */
class Curvature {
  private readonly order: Uint32Array;
  private readonly c: Float64Array;
  private readonly r: Float64Array;
  private readonly sums: Float64Array;
  private embeddings: Float64Array;
  private readonly graph: Graph | undefined;

  static async of(loss: CheckedLoss, breather: Breather): Promise<Curvature> {
    const made = new Curvature(loss);
    made.embeddings = await made.propagate(made.embeddings, breather);
    await made.scalars(breather);
    return made;
  }

  private constructor(private readonly loss: CheckedLoss) {
    const { users, userCount, itemCount, parameters, positives, layers } = loss;
    const next = new Uint32Array(userCount + 1);
    for (const user of users) next[user + 1]++;
    for (let user = 0; user < userCount; user++) next[user + 1] += next[user];
    this.order = new Uint32Array(users.length);
    users.forEach((user, sample) => { this.order[next[user]++] = sample; });
    this.c = new Float64Array(users.length);
    this.r = new Float64Array(users.length);
    this.sums = new Float64Array(parameters.length);
    this.embeddings = Float64Array.from(parameters);
    if (layers > 0 && positives) this.graph = buildGraph(positives, userCount, itemCount);
  }

  /** output = H input, both [rows, dimension]. */
  async product(input: Float64Array, output: Float64Array, breather: Breather): Promise<void> {
    const { sums, loss: { users, regularisation } } = this;
    sums.fill(0);
    await this.accumulate(await this.propagate(input, breather), breather);
    const count = Math.max(1, users.length);
    for (let at = 0; at < sums.length; at++) sums[at] /= count;
    const back = await this.propagate(sums, breather);
    for (let at = 0; at < output.length; at++) output[at] = back[at] + regularisation * input[at];
  }

  private async scalars(breather: Breather): Promise<void> {
    const { order, c, r, embeddings: e, loss: { users, items, negatives, labels, userCount, dimension } } = this;
    const s = new Float64Array(8);
    for (let place = 0; place < order.length; place++) {
      const sample = order[place];
      const u = users[sample] * dimension, i = (userCount + items[sample]) * dimension;
      const j = negatives ? (userCount + negatives[sample]) * dimension : -1;
      s.fill(0);
      for (let d = 0; d < dimension; d++) s[d & 7] += e[u + d] * (j < 0 ? e[i + d] : e[i + d] - e[j + d]);
      const x = closed(s);
      c[place] = sigmoid(x) * sigmoid(-x);
      r[place] = labels ? sigmoid(x) - labels[sample] : -sigmoid(-x);
      if (place % STRIDE === STRIDE - 1 && breather.due()) await breather.pause();
    }
  }

  private async accumulate(v: Float64Array, breather: Breather): Promise<void> {
    const { order, c, r: residuals, sums, embeddings: e, loss: { users, items, negatives, userCount, dimension, hessian } } = this;
    const s = new Float64Array(8), t = new Float64Array(8);
    const z = new Float64Array(dimension), y = new Float64Array(dimension);
    const full = hessian === "full";
    for (let place = 0; place < order.length; place++) {
      const sample = order[place];
      const u = users[sample] * dimension, i = (userCount + items[sample]) * dimension;
      const j = negatives ? (userCount + negatives[sample]) * dimension : -1;
      s.fill(0);
      t.fill(0);
      for (let d = 0; d < dimension; d++) {
        z[d] = j < 0 ? e[i + d] : e[i + d] - e[j + d];
        y[d] = j < 0 ? v[i + d] : v[i + d] - v[j + d];
        s[d & 7] += v[u + d] * z[d];
        t[d & 7] += e[u + d] * y[d];
      }
      for (let l = 0; l < 8; l++) s[l] += t[l];
      const a = c[place] * closed(s), r = residuals[place];
      for (let d = 0; d < dimension; d++) {
        const pull = full ? a * e[u + d] + r * v[u + d] : a * e[u + d];
        sums[u + d] += full ? a * z[d] + r * y[d] : a * z[d];
        sums[i + d] += pull;
        if (j >= 0) sums[j + d] -= pull;
      }
      if (place % STRIDE === STRIDE - 1 && breather.due()) await breather.pause();
    }
  }

  /** S input. */
  private async propagate(input: Float64Array, breather: Breather): Promise<Float64Array> {
    const { graph, loss: { layers, dimension } } = this;
    if (!graph) return input;
    const scales = Float64Array.from({ length: graph.rows }, (_, row) => {
      const degree = graph.offsets[row + 1] - graph.offsets[row];
      return degree > 0 ? 1 / Math.sqrt(degree) : 0;
    });
    const output = input.slice(), scaled = new Float64Array(input.length), sums = new Float64Array(dimension);
    for (let layer = 0; layer < layers; layer++) {
      for (let at = 0; at < scaled.length; at++) scaled[at] = scales[Math.floor(at / dimension)] * output[at];
      for (let row = 0; row < graph.rows; row++) {
        sums.fill(0);
        for (let edge = graph.offsets[row]; edge < graph.offsets[row + 1]; edge++) {
          const from = graph.columns[edge] * dimension;
          for (let d = 0; d < dimension; d++) sums[d] += scaled[from + d];
        }
        for (let d = 0; d < dimension; d++) output[row * dimension + d] = input[row * dimension + d] + scales[row] * sums[d];
        if (breather.due()) await breather.pause();
      }
    }
    for (let at = 0; at < output.length; at++) output[at] /= layers + 1;
    return output;
  }
}

/** Eight sums to one. */
function closed(s: Float64Array): number {
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

const BLOCK_ROWS = 64;

/** a'b of vectors of rows. */
function inner(a: Float64Array, b: Float64Array, dimension: number): number {
  const s = new Float64Array(8), block = BLOCK_ROWS * dimension;
  let total = 0;
  for (let from = 0; from < a.length; from += block) {
    s.fill(0);
    const to = Math.min(a.length, from + block);
    for (let row = from; row < to; row += dimension) for (let d = 0; d < dimension; d++) s[d & 7] += a[row + d] * b[row + d];
    total += closed(s);
  }
  return total;
}

const norm2 = (a: Float64Array, dimension: number): number => inner(a, a, dimension);

/** `value`; finite arguments can be so large that sums overflow. */
function finite(kernel: string, value: number): number {
  if (value - value === 0) return value;
  throw new NativeError("NATIVE_DIVERGED", `${kernel}: a sum left the finite numbers.`, { hint: "Scale the vectors and the parameters down." });
}
