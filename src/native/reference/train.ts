/**
 * Training epochs of BPR and LightGCN; BPR is the case S = identity, so both share every line. One step, on a batch of B
 * samples (u, i, j) and scale = 1 / B, under SGD times the learning rate (native/cpu/train_blocks.cpp has each operation in this order):
 *   E = S E0                                                      float32, see propagate.ts
 *   x = sum over d of E_u[d] * (E_i[d] - E_j[d])                  double, in the order of dot
 *   e = e^-|x|, c = (x > 0 ? e : 1) / (1 + e) = sigma(-x)         double, core/math.ts
 *   loss = max(-x, 0) + log(1 + e)                                double; summed over the batch in the order of dot
 *   r = float32(-(c * scale))
 * and from here on float32, every operation rounded:
 *   A_u += r * (E_i - E_j), A_i += r * E_u, A_j -= r * E_u        from 0; samples in order: user, positive, negative
 *   H = S A
 *   g = H + decay * E0 with decay = float32((regularisation * scale) * occurrences); H alone for rows that are not in the batch
 *   SGD: E0 = E0 - g
 *   Adam: m = .9 m + .1 g, v = .999 v + .001 (g * g), E0 = E0 - R * (m / (sqrt(v) + 1e-8)), with the m and v just computed
 *   and rate_t = (learningRate * sqrt(1 - .999^t)) / (1 - .9^t) in double; powers by squaring from the lowest bit.
 * Adam moves every row at every step. With a graph R = rate_t. Without one, the steps that do not read a row have g = 0 for it: they
 * leave .9^k m and .999^k v after k of them and move it along m / sqrt(v) alone, so they are taken together with the step
 * before them, R = sum over s = 0 .. k of rate_(t + s) (.9 / sqrt(.999))^s in double, ascending, then float32; m and v are
 * multiplied by float32(.9^k) and float32(.999^k) (1 for k = 0). This happens inside windows of 64 steps of an epoch: the first
 * window begins at its first step, k ends at the end of the window, and steps before the first one that reads a row are
 * taken at the start of the window (R then without s = 0). The eps of such steps is that of the first: they differ from the sum of single
 * steps in rounding alone, as long as sqrt(v) is far above 1e-8.
 * Hogwild: the step of one sample after the other, scale = learningRate, without sums: u -= r (i - j) + decay u,
 * i -= r u + decay i, j -= decay j - r u, with the u and i - j from before, and j read after i is written; the loss is
 * summed over each 4096 samples in the order of dot, then over these.
 */
import { NativeError } from "../../core/errors.js";
import { bprFall, bprLoss, bprSlope } from "../../core/math.js";
import { Breather, type RunOptions } from "../../core/progress.js";
import { checkOptions, checkTraining, type CheckedTraining } from "../check.js";
import type { BprInput, EpochResult, LightGcnInput, TrainingState } from "../kernels.js";
import { BatchGradient, difference, sumOf, type Range } from "./gradient.js";
import { applyS, buildGraph, propagateScratch } from "./propagate.js";
import { drawEpoch, rowUsers, type EpochSamples } from "./sample.js";
import { Ticker } from "./ticker.js";
import { adamRow, AdamWindow, idleRow, Readings, sgdRow, WINDOW } from "./update.js";

const { fround } = Math;
const HOGWILD_CHUNK = 4096;

/** Epochs of BPR (Rendle et al., UAI 2009). Cost of an epoch: O(rows * dimension + batches / 64 * parameters). */
export async function bprEpoch(state: TrainingState, input: BprInput, options?: RunOptions): Promise<EpochResult> {
  return train("bprEpoch", checkOptions(options), checkTraining("bprEpoch", state, input));
}

/** Epochs of LightGCN (He et al., SIGIR 2020). Each batch propagates twice: O(batches * layers * rows * dimension). */
export async function lightGcnEpoch(state: TrainingState, input: LightGcnInput, options?: RunOptions): Promise<EpochResult> {
  return train("lightGcnEpoch", checkOptions(options), checkTraining("lightGcnEpoch", state, input));
}

async function train(kernel: string, { signal, onProgress }: RunOptions, { state, input }: CheckedTraining): Promise<EpochResult> {
  const { positives, epochs, firstEpoch, batchCount, seed } = input;
  const breather = new Breather(signal), ticker = new Ticker(onProgress, epochs);
  const users = rowUsers(positives), losses = new Float64Array(epochs);
  const hogwild = input.update === "hogwild";
  const trainer: Trainer = hogwild ? new Hogwild(state, input, breather) : new Batches(state, input, breather);
  const draw = { positives, itemCount: state.itemCount, seed, batchCount, placed: hogwild };
  for (let epoch = 0; epoch < epochs; epoch++) {
    const samples = await drawEpoch(draw, users, firstEpoch + epoch, breather);
    const loss = await trainer.epoch(samples, (done) => ticker.at(epoch + done));
    losses[epoch] = users.length > 0 ? loss / users.length : 0;
    refuseDivergence(kernel, firstEpoch + epoch, losses[epoch], state);
  }
  ticker.end();
  return { state, losses };
}

interface Trainer {
  /** Returns the sum of the losses; tells the share of the epoch that is done. */
  epoch(samples: EpochSamples, progress: (done: number) => void): Promise<number>;
}

type TrainInput = CheckedTraining["input"];

class Batches implements Trainer {
  private readonly gradient: BatchGradient;
  private readonly graph: PropagatedStep | undefined;
  private readonly readings: Readings | undefined;

  constructor(private readonly state: TrainingState, private readonly input: TrainInput, private readonly breather: Breather) {
    const rows = state.userCount + state.itemCount;
    this.gradient = new BatchGradient(rows, state.userCount, state.dimension);
    if (input.layers > 0) this.graph = new PropagatedStep(state, input, breather);
    else if (input.optimiser === "adam") this.readings = new Readings(rows);
  }

  async epoch(samples: EpochSamples, progress: (done: number) => void): Promise<number> {
    const { breather, input: { batchCount } } = this;
    const { offsets } = samples;
    const steps: number[] = [];
    for (let batch = 0; batch < batchCount; batch++) if (offsets[batch + 1] > offsets[batch]) steps.push(batch);
    let loss = 0;
    for (let begin = 0; begin < steps.length; begin += WINDOW) {
      const batches = steps.slice(begin, begin + WINDOW);
      const window = this.readings ? this.openWindow(this.readings, samples, batches) : undefined;
      for (let at = 0; at < batches.length; at++) {
        const range = { samples, from: offsets[batches[at]], to: offsets[batches[at] + 1] };
        const scale = (1 / (range.to - range.from)) * (this.input.optimiser === "sgd" ? this.input.learningRate : 1);
        const weight = this.input.regularisation * scale;
        loss += this.graph ? await this.graph.step(this.gradient, range, scale, weight) : this.step(range, scale, weight, window, at);
        this.gradient.clear();
        this.state.step++;
        if (breather.due()) await breather.pause();
        progress((batches[at] + 1) / batchCount);
      }
    }
    return loss;
  }

  /** Takes the idle steps before the first step that reads a row. */
  private openWindow(readings: Readings, { offsets, users, items, negatives }: EpochSamples, batches: number[]): OpenWindow {
    const { userCount, itemCount, step } = this.state;
    readings.clear();
    batches.forEach((batch, at) => {
      for (let sample = offsets[batch]; sample < offsets[batch + 1]; sample++) {
        readings.mark(users[sample], at);
        readings.mark(userCount + items[sample], at);
        readings.mark(userCount + negatives[sample], at);
      }
    });
    const factors = new AdamWindow(this.input.learningRate, step, batches.length), before = factors.before();
    for (let row = 0; row < userCount + itemCount; row++) {
      const idle = readings.next(row, 0, batches.length);
      if (idle > 0) idleRow(this.state, row, before[idle]);
    }
    return { factors, readings, steps: batches.length };
  }

  private step(range: Range, scale: number, weight: number, window: OpenWindow | undefined, at: number): number {
    const { state, gradient } = this;
    const loss = gradient.fill(range, state.parameters, scale);
    const after = window?.factors.after(at);
    for (const row of gradient.touched) {
      const decay = fround(weight * gradient.occurrences[row]);
      if (window && after) adamRow(state, gradient.values, row, decay, after[window.readings.next(row, at + 1, window.steps) - at - 1]);
      else sgdRow(state.parameters, gradient.values, row, state.dimension, decay);
    }
    return loss;
  }
}

interface OpenWindow {
  factors: AdamWindow;
  readings: Readings;
  steps: number;
}

/** Steps through S: each moves every row. */
class PropagatedStep {
  private readonly graph;
  private readonly scratch;
  private readonly embeddings: Float32Array;
  private readonly propagated: Float32Array;

  constructor(private readonly state: TrainingState, private readonly input: TrainInput, private readonly breather: Breather) {
    const { userCount, itemCount, dimension } = state;
    const rows = userCount + itemCount;
    this.graph = buildGraph(input.positives, userCount, itemCount);
    this.scratch = propagateScratch(rows, dimension, input.operand);
    this.embeddings = new Float32Array(rows * dimension);
    this.propagated = new Float32Array(rows * dimension);
  }

  private propagate(from: Float32Array, to: Float32Array): Promise<void> {
    return applyS(this.graph, from, this.state.dimension, this.input.layers, to, this.scratch, this.breather);
  }

  async step(gradient: BatchGradient, range: Range, scale: number, weight: number): Promise<number> {
    const { state, propagated, input } = this;
    await this.propagate(state.parameters, this.embeddings);
    const loss = gradient.fill(range, this.embeddings, scale);
    await this.propagate(gradient.values, propagated);
    const [factors] = new AdamWindow(input.learningRate, state.step, 1).after(0);
    gradient.occurrences.forEach((count, row) => {
      const decay = count > 0 ? fround(weight * count) : undefined;
      if (input.optimiser === "adam") adamRow(state, propagated, row, decay, factors);
      else sgdRow(state.parameters, propagated, row, state.dimension, decay);
    });
    return loss;
  }
}

class Hogwild implements Trainer {
  constructor(private readonly state: TrainingState, private readonly input: TrainInput, private readonly breather: Breather) {}

  async epoch(samples: EpochSamples, progress: (done: number) => void): Promise<number> {
    const { state, breather } = this;
    const count = samples.users.length, losses = new Float64Array(HOGWILD_CHUNK);
    let loss = 0;
    for (let from = 0; from < count; from += HOGWILD_CHUNK) {
      const to = Math.min(count, from + HOGWILD_CHUNK);
      for (let sample = from; sample < to; sample++) losses[sample - from] = this.move(samples, sample);
      loss += sumOf(losses, to - from);
      if (breather.due()) await breather.pause();
      progress(to / count);
    }
    state.step += count;
    return loss;
  }

  /** One sample; returns its loss. */
  private move({ users, items, negatives }: EpochSamples, sample: number): number {
    const { parameters: p, dimension, userCount } = this.state;
    const { learningRate, regularisation } = this.input;
    const decay = fround(regularisation * learningRate);
    const u = users[sample] * dimension, i = (userCount + items[sample]) * dimension, j = (userCount + negatives[sample]) * dimension;
    const x = difference(p, u, i, j, dimension), fall = bprFall(x);
    const r = fround(-(bprSlope(x, fall) * learningRate));
    for (let d = 0; d < dimension; d++) {
      const user = p[u + d], positive = p[i + d], pull = fround(r * user);
      p[u + d] = user - fround(fround(r * fround(positive - p[j + d])) + fround(decay * user));
      p[i + d] = positive - fround(pull + fround(decay * positive));
      const negative = p[j + d];
      p[j + d] = negative - fround(fround(decay * negative) - pull);
    }
    return bprLoss(x, fall);
  }
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
