/**
 * Training epochs of BPR and LightGCN; BPR is the case S = identity, so both share every line. One step, on a batch of B
 * samples (u, i, j) and share = 1 / B (native/cpu/train.cpp copies each operation in this order):
 *   E = S E0                                                        float32, see propagate.ts
 *   x = sum over d of E_u[d] * (E_i[d] - E_j[d])                    double, d ascending from 0
 *   c = sigmoid(-x), loss += softplus(-x)                           double, core/math.ts
 *   A_u += -c * (E_i - E_j), A_i += -c * E_u, A_j -= -c * E_u       double; samples in order: user, positive, negative
 *   H = S float32(A * share)                                        float32
 *   g = H + ((regularisation * share) * occurrences) * E0           double; H alone for rows that are not in the batch
 *   Adam: m = 0.9 m + 0.1 g, v = 0.999 v + 0.001 (g g), E0 -= (rate * m) / (sqrt(v) + 1e-8), with the m and v just computed
 *   in double and rate = (learningRate * sqrt(1 - 0.999^t)) / (1 - 0.9^t); powers by squaring from the lowest bit.
 *   SGD: E0 -= learningRate * g. E0, m and v are then stored as float32.
 */
import { NativeError } from "../../core/errors.js";
import { sigmoid, softplus } from "../../core/math.js";
import { Breather, type RunOptions } from "../../core/progress.js";
import { checkOptions, checkTraining, type CheckedTraining } from "../check.js";
import type { BprInput, EpochResult, LightGcnInput, TrainingState } from "../kernels.js";
import { applyS, buildGraph, propagateScratch } from "./propagate.js";
import { drawEpoch, rowUsers, type EpochSamples } from "./sample.js";
import { Ticker } from "./ticker.js";

/** `Kernels.bprEpoch`, plainly. @throws NativeError on a state or an input that the contract refuses */
/** Epochs of BPR (Rendle et al., UAI 2009). Cost of an epoch: O(rows * dimension + batches * parameters). */
export async function bprEpoch(state: TrainingState, input: BprInput, options?: RunOptions): Promise<EpochResult> {
  return train("bprEpoch", checkOptions(options), checkTraining("bprEpoch", state, input));
}

/** `Kernels.lightGcnEpoch`, plainly. @throws NativeError on a state or an input that the contract refuses */
/** Epochs of LightGCN (He et al., SIGIR 2020). Each batch propagates twice: O(batches * layers * rows * dimension). */
export async function lightGcnEpoch(state: TrainingState, input: LightGcnInput, options?: RunOptions): Promise<EpochResult> {
  return train("lightGcnEpoch", checkOptions(options), checkTraining("lightGcnEpoch", state, input));
}

async function train(kernel: string, { signal, onProgress }: RunOptions, { state, input }: CheckedTraining): Promise<EpochResult> {
  const { userCount, itemCount, dimension, parameters } = state;
  const { positives, layers, epochs, batchCount } = input;
  const rows = userCount + itemCount;
  const breather = new Breather(signal), ticker = new Ticker(onProgress, epochs);
  const users = rowUsers(positives), losses = new Float64Array(epochs);
  const graph = layers > 0 ? buildGraph(positives, userCount, itemCount) : undefined;
  const scratch = graph ? propagateScratch(rows, dimension) : undefined;
  const embeddings = graph ? new Float32Array(rows * dimension) : parameters;
  const gradient = new Float32Array(rows * dimension);
  const propagated = graph ? new Float32Array(rows * dimension) : gradient;
  const batch = new BatchGradient(rows, dimension);

  for (let epoch = 0; epoch < epochs; epoch++) {
    const samples = await drawEpoch(positives, users, itemCount, input.seed, input.firstEpoch + epoch, batchCount, breather);
    let loss = 0;
    for (let number = 0; number < batchCount; number++) {
      const from = samples.offsets[number], to = samples.offsets[number + 1];
      if (from === to) continue;
      if (graph && scratch) await applyS(graph, parameters, dimension, layers, embeddings, scratch, breather);
      loss = batch.coefficients(samples, from, to, embeddings, userCount, loss);
      batch.accumulate(samples, from, to, embeddings, userCount, gradient);
      if (graph && scratch) await applyS(graph, gradient, dimension, layers, propagated, scratch, breather);
      state.step++;
      const weight = input.regularisation * (1 / (to - from));
      if (input.optimiser === "adam") adam(state, propagated, batch.occurrences, weight, input.learningRate);
      else sgd(state, propagated, batch.occurrences, weight, input.learningRate);
      batch.clear(gradient);
      if (breather.due()) await breather.pause();
      ticker.at(epoch + (number + 1) / batchCount);
    }
    losses[epoch] = users.length > 0 ? loss / users.length : 0;
    refuseDivergence(kernel, input.firstEpoch + epoch, losses[epoch], state);
  }
  ticker.end();
  return { state, losses };
}

/** Sums of one batch: `accumulate` leaves float32(A * share) in the touched rows of the dense gradient, 0 elsewhere. */
class BatchGradient {
  /** How often each row occurs in the batch [rows]. */
  readonly occurrences: Uint32Array;
  private readonly slots: Int32Array;
  private touched: number[] = [];
  private sums = new Float64Array(0);
  private weights = new Float64Array(0);

  constructor(rows: number, private readonly dimension: number) {
    this.occurrences = new Uint32Array(rows);
    this.slots = new Int32Array(rows).fill(-1);
  }

  /** c = sigmoid(-x) of each sample; returns `loss` plus the samples' softplus(-x), one after the other. */
  coefficients(samples: EpochSamples, from: number, to: number, embeddings: Float32Array, userCount: number, loss: number): number {
    const { dimension } = this;
    if (this.weights.length < to - from) this.weights = new Float64Array(to - from);
    for (let sample = from; sample < to; sample++) {
      const u = samples.users[sample] * dimension;
      const i = (userCount + samples.items[sample]) * dimension, j = (userCount + samples.negatives[sample]) * dimension;
      let x = 0;
      for (let d = 0; d < dimension; d++) x += embeddings[u + d] * (embeddings[i + d] - embeddings[j + d]);
      this.weights[sample - from] = sigmoid(-x);
      loss += softplus(-x);
    }
    return loss;
  }

  accumulate(samples: EpochSamples, from: number, to: number, embeddings: Float32Array, userCount: number, gradient: Float32Array): void {
    const { dimension, weights } = this;
    for (let sample = from; sample < to; sample++) {
      this.touch(samples.users[sample]);
      this.touch(userCount + samples.items[sample]);
      this.touch(userCount + samples.negatives[sample]);
    }
    const size = this.touched.length * dimension;
    if (this.sums.length < size) this.sums = new Float64Array(size);
    else this.sums.fill(0, 0, size);
    const { sums, slots } = this;
    for (let sample = from; sample < to; sample++) {
      const user = samples.users[sample], item = userCount + samples.items[sample], negative = userCount + samples.negatives[sample];
      const r = -weights[sample - from];
      const u = user * dimension, i = item * dimension, j = negative * dimension;
      const uTo = slots[user] * dimension, iTo = slots[item] * dimension, jTo = slots[negative] * dimension;
      for (let d = 0; d < dimension; d++) {
        const pull = r * embeddings[u + d];
        sums[uTo + d] += r * (embeddings[i + d] - embeddings[j + d]);
        sums[iTo + d] += pull;
        sums[jTo + d] -= pull;
      }
    }
    const share = 1 / (to - from);
    for (let slot = 0; slot < this.touched.length; slot++) {
      const row = this.touched[slot] * dimension, at = slot * dimension;
      for (let d = 0; d < dimension; d++) gradient[row + d] = sums[at + d] * share;
    }
  }

  /** Forgets the batch: zeroes what it wrote. */
  clear(gradient: Float32Array): void {
    for (const row of this.touched) {
      gradient.fill(0, row * this.dimension, (row + 1) * this.dimension);
      this.slots[row] = -1;
      this.occurrences[row] = 0;
    }
    this.touched = [];
  }

  private touch(row: number): void {
    this.occurrences[row]++;
    if (this.slots[row] < 0) this.slots[row] = this.touched.push(row) - 1;
  }
}

function adam(state: TrainingState, gradient: Float32Array, occurrences: Uint32Array, weight: number, learningRate: number): void {
  const { parameters, first, second, dimension, step } = state;
  const rate = (learningRate * Math.sqrt(1 - power(0.999, step))) / (1 - power(0.9, step));
  for (let row = 0; row < occurrences.length; row++) {
    const count = occurrences[row], pull = weight * count, end = (row + 1) * dimension;
    for (let at = row * dimension; at < end; at++) {
      const value = parameters[at];
      const g = count > 0 ? gradient[at] + pull * value : gradient[at];
      const m = 0.9 * first[at] + 0.1 * g;
      const v = 0.999 * second[at] + 0.001 * (g * g);
      parameters[at] = value - (rate * m) / (Math.sqrt(v) + 1e-8);
      first[at] = m;
      second[at] = v;
    }
  }
}

function sgd(state: TrainingState, gradient: Float32Array, occurrences: Uint32Array, weight: number, learningRate: number): void {
  const { parameters, dimension } = state;
  for (let row = 0; row < occurrences.length; row++) {
    const count = occurrences[row], pull = weight * count, end = (row + 1) * dimension;
    for (let at = row * dimension; at < end; at++) {
      const value = parameters[at];
      const g = count > 0 ? gradient[at] + pull * value : gradient[at];
      parameters[at] = value - learningRate * g;
    }
  }
}

/** base^exponent by squaring: the same few products in C++, whatever the step it starts from. */
export function power(base: number, exponent: number): number {
  let result = 1;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= base;
    base *= base;
  }
  return result;
}

function refuseDivergence(kernel: string, epoch: number, loss: number, { parameters, first, second }: TrainingState): void {
  if (Number.isFinite(loss) && allFinite(parameters) && allFinite(first) && allFinite(second)) return;
  throw new NativeError("NATIVE_DIVERGED", `${kernel}: training diverged in epoch ${epoch} (loss ${loss}).`, {
    hint: "Lower the learning rate or the regularisation.",
  });
}

/** x - x is 0 for finite x and NaN otherwise. */
function allFinite(values: Float32Array): boolean {
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += values[at] - values[at];
  return sum === 0;
}
