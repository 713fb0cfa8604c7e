import { ConfigError, DataError } from "../core/errors.js";
import { fingerprintRows } from "../core/fingerprint.js";
import type { Interactions } from "../core/interactions.js";
import { refuseUnknown } from "../core/options.js";
import type { RunOptions } from "../core/progress.js";
import { KeyedRandom } from "../core/rng.js";
import type { BprInput, EpochResult, Kernels, TrainingState } from "../native/kernels.js";
import { loadKernels } from "../native/load.js";
import type { FitOptions } from "./backbone.js";
import { requireRows, requireShape } from "./lists.js";
import { validationNdcg } from "./validation.js";
import { VectorModel } from "./vectors.js";

/** Options that every trained backbone shares, resolved for a data size. */
export interface TrainSettings {
  dimension: number;
  /** Upper limit; without validation rows exactly this many are run. */
  epochs: number;
  /** Batches an epoch. A constant of the model: it must not follow the rows, or a removed row would move all others. */
  batchCount: number;
  learningRate: number;
  regularisation: number;
  optimiser: "adam" | "sgd";
  /** Standard deviation of normal, or bound of uniform initial values; "xavier" derives it from the catalogue's counts. */
  initial: "normal" | "uniform";
  initialScale: number | "xavier";
  /** Epochs between two looks at the validation rows. */
  evaluateEvery: number;
  /** Looks without a new best before training stops. */
  patience: number;
}

/** The options a caller may give; everything else follows the size of the data. */
export interface TrainOptions extends Partial<TrainSettings> {
  /** Rows a batch, about; sets batchCount = ceil(rows / batchSize) where that is not given. */
  batchSize?: number;
}

/** What distinguishes one trained backbone from another. */
export interface Trainee {
  name: string;
  /** Settings of its own, kept with the model (layers of LightGCN). */
  own?: Readonly<Record<string, unknown>>;
  /** Runs epochs. */
  learn(kernels: Kernels, state: TrainingState, input: BprInput, options: RunOptions): Promise<EpochResult>;
  /** From parameters to the vectors that are served. */
  serve(kernels: Kernels, parameters: Float32Array, train: Interactions, dimension: number, options: RunOptions): Promise<Float32Array>;
}

/** What a backbone proposes for a data size; the batch count follows from the batch size. */
export type Defaults = Omit<TrainSettings, "batchCount"> & { batchSize: number };

/** Named sets of defaults. */
export type Profile = "cragru" | "recbole";

/** Fills the gaps of `options` from `defaults` for `rows` training rows. @throws ConfigError naming the value at fault. */
export function resolveSettings(name: string, profile: Profile, options: TrainOptions, defaults: Defaults, rows: number): TrainSettings {
  refuseUnknown(name, options, [...Object.keys(defaults), "batchCount", "batchSize", "layers"]);
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as TrainOptions;
  const { batchSize, batchCount = Math.max(1, Math.ceil(rows / batchSize)), ...rest } = { ...defaults, ...given };
  const settings = { ...rest, batchCount };
  const demand = (key: string, value: unknown, holds: boolean, range: string): void => {
    if (holds) return;
    throw new ConfigError("CONFIG_BACKBONE", `${name}: ${key} must be ${range}, not ${String(value)}.`, {
      hint: `Leave ${key} out to use the default for the data's size.`,
    });
  };
  demand("profile", profile, profile === "cragru" || profile === "recbole", '"cragru" or "recbole"');
  for (const key of ["dimension", "epochs", "evaluateEvery", "patience", "batchCount"] as const) {
    demand(key, settings[key], Number.isInteger(settings[key]) && settings[key] >= 1, "a whole number of at least 1");
  }
  demand("batchSize", batchSize, batchSize >= 1, "at least 1");
  demand("learningRate", settings.learningRate, settings.learningRate > 0 && Number.isFinite(settings.learningRate), "above 0");
  demand("regularisation", settings.regularisation, settings.regularisation >= 0 && Number.isFinite(settings.regularisation), "0 or more");
  const scale = settings.initialScale;
  demand("initialScale", scale, scale === "xavier" || (scale > 0 && Number.isFinite(scale)), 'above 0, or "xavier"');
  demand("optimiser", settings.optimiser, settings.optimiser === "adam" || settings.optimiser === "sgd", '"adam" or "sgd"');
  demand("initial", settings.initial, settings.initial === "normal" || settings.initial === "uniform", '"normal" or "uniform"');
  return settings;
}

/**
 * Trains by BPR with keyed batches and negatives (the kernels do an epoch), looks at NDCG@10 on the validation rows every
 * `evaluateEvery` epochs, stops after `patience` looks without a new best and keeps the best epoch's parameters (an equal
 * value does not replace an earlier one). Without validation rows it runs `epochs` epochs. Deterministic for (rows, seed,
 * settings): every draw is keyed by user and item.
 *
 * @throws DataError on empty rows or validation rows of another table; ConfigError when the loss stops being finite.
 */
export async function trainVectors(trainee: Trainee, settings: TrainSettings, train: Interactions, options: FitOptions): Promise<VectorModel> {
  const { signal, onProgress, seed = 2020, kernels = loadKernels() } = options;
  const start = performance.now();
  signal?.throwIfAborted();
  requireRows(train, trainee.name);
  requireShape(options.valid, train, "validation table");
  const valid = options.valid && options.valid.length > 0 ? options.valid : undefined;
  const shared = valid?.intersect(train).length ?? 0;
  if (shared > 0) {
    throw new DataError("DATA_VALID_IN_TRAIN", `${shared} validation rows are training rows too.`, {
      hint: "Early stopping needs rows that training has not seen.",
    });
  }
  const { dimension, epochs, evaluateEvery, patience } = settings;
  const run: RunOptions = signal ? { signal } : {};
  let state = initialState(train, settings, seed);
  let best = { epoch: 0, value: -1, parameters: state.parameters, vectors: undefined as Float32Array | undefined };
  const losses: number[] = [], validation: [number, number][] = [];
  let note = "";
  for (let epoch = 0; epoch < epochs;) {
    const chunk = Math.min(evaluateEvery, epochs - epoch);
    const first = epoch;
    const inside: RunOptions = onProgress
      ? { ...run, onProgress: (done, total) => onProgress(first + chunk * (total > 0 ? done / total : 0), epochs, note || `epoch ${first}`) }
      : run;
    const result = await trainee.learn(kernels, state, {
      positives: train.csr(), seed, firstEpoch: first, epochs: chunk, batchCount: settings.batchCount,
      learningRate: settings.learningRate, regularisation: settings.regularisation, optimiser: settings.optimiser,
    }, inside);
    state = result.state;
    losses.push(...result.losses);
    epoch += chunk;
    if (!result.losses.every(Number.isFinite)) {
      throw new ConfigError("CONFIG_DIVERGED", `${trainee.name}: the training loss is not finite at epoch ${epoch} (learning rate ${settings.learningRate}).`, {
        hint: "Lower the learning rate or raise the regularisation.",
      });
    }
    if (!valid) best = { epoch, value: -1, parameters: state.parameters, vectors: undefined };
    else {
      const vectors = await trainee.serve(kernels, state.parameters, train, dimension, run);
      const value = await validationNdcg(kernels, vectors, dimension, train, valid, run);
      validation.push([epoch, value]);
      if (value > best.value) best = { epoch, value, parameters: state.parameters, vectors };
      note = `epoch ${epoch}, validation NDCG@10 ${value.toFixed(4)} (best ${best.value.toFixed(4)} at ${best.epoch})`;
    }
    onProgress?.(epoch, epochs, note || `epoch ${epoch}`);
    if (valid && epoch - best.epoch >= patience * evaluateEvery) break;
  }
  const vectors = best.vectors ?? await trainee.serve(kernels, best.parameters, train, dimension, run);
  return new VectorModel({
    name: trainee.name, shape: { userCount: train.userCount, itemCount: train.itemCount }, dimension,
    parameters: best.parameters, vectors, settings: { ...settings, ...trainee.own }, seed,
    report: {
      trainedOn: fingerprintRows(train), rows: train.length, epochs: losses.length, bestEpoch: best.epoch, losses, validation,
      seconds: (performance.now() - start) / 1000, device: kernels.device,
    },
  }, kernels);
}

/** Initial parameters keyed by (user or item, block): a row's values depend on nothing but the seed and its own index. */
export function initialState(shape: { userCount: number; itemCount: number }, settings: TrainSettings, seed: number): TrainingState {
  const { userCount, itemCount } = shape;
  const { dimension } = settings;
  const parameters = new Float32Array((userCount + itemCount) * dimension);
  const fill = (stream: "init/user" | "init/item", count: number, first: number): void => {
    const random = new KeyedRandom(seed, stream);
    const { initial, initialScale } = settings;
    // Glorot: the reference counts one padding row a table; counts are the catalogue's and never shrink.
    const scale = initialScale === "xavier" ? Math.sqrt((initial === "normal" ? 2 : 6) / (count + 1 + dimension)) : initialScale;
    for (let row = 0; row < count; row++) {
      const out = parameters.subarray((first + row) * dimension, (first + row + 1) * dimension);
      if (initial === "normal") random.normals(row, out, scale);
      else for (let at = 0; at < dimension; at++) out[at] = (random.draw(row, at >>> 2)[at & 3]! / 2147483648 - 1) * scale;
    }
  };
  fill("init/user", userCount, 0);
  fill("init/item", itemCount, userCount);
  const moments = settings.optimiser === "adam" ? parameters.length : 0;
  return { userCount, itemCount, dimension, parameters, first: new Float32Array(moments), second: new Float32Array(moments), step: 0 };
}
