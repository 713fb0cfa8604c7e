import { ConfigError } from "../core/errors.js";
import type { Interactions } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";
import { KeyedRandom, NONE, smallestKeys } from "../core/rng.js";
import { loadTensorEngine, type TensorBackend, type TensorEngine } from "../tensor/engine.js";
import type { RetrievalContext } from "./retriever.js";

export interface ProjectionOptions {
  /** Passes over the users; default 8. */
  epochs?: number;
  /** Users a step; default 32, which holds the event loop for about 10 ms on wasm. */
  batchSize?: number;
  /** Adam's; default 0.01. */
  learningRate?: number;
  /** History rows a user contributes at most, keyed draw each epoch; default 40. */
  historyRows?: number;
  backend?: TensorBackend | "auto";
}

/** Query and key vectors of every item after W_Q and W_K, [itemCount, dimension] each; heads are equal slices. */
export interface Projections {
  values: Float32Array;
  keyValues: Float32Array;
  dimension: number;
  /** `losses`: mean loss on one fixed draw of examples, before training and after each epoch. */
  details: { backend: string; losses: number[]; examples: number };
}

/** The epoch number that keys the fixed examples on which the loss is reported. */
const PROBE = NONE;

/**
 * Trains the projections of Eq. 6 with TensorFlow.js on the remaining training rows alone. One example a user and epoch: a
 * held-out row i of the history and a keyed item j outside it; each attends to the other rows (values: the item vectors
 * themselves), s(c) = c . z(c) with z(c) = sum_j a[c, j] v_j and a the mean over heads, as the filter uses it; loss
 * softplus(s(j) - s(i)). Starts at W = I, where the filter is the "slice" one. The paper trains nothing and names no vectors.
 * Deterministic on one backend: draws are keyed (stream attention/train) and steps are sequential. Every tensor is disposed.
 * @throws ConfigError on options out of range or an absent backend.
 */
export async function trainProjections(
  context: Pick<RetrievalContext, "train" | "seed">, items: { values: Float32Array; dimension: number },
  options: ProjectionOptions & { heads: number }, run: RunOptions = {},
): Promise<Projections> {
  const { heads, epochs = 8, batchSize = 32, learningRate = 0.01, historyRows = 40 } = options;
  for (const [name, value] of Object.entries({ epochs, batchSize, historyRows })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new ConfigError("CONFIG_PROJECTIONS", `${name} must be a whole number of at least 1, not ${value}.`, { hint: "Leave it out for the default." });
    }
  }
  if (!(learningRate > 0 && learningRate < Infinity)) {
    throw new ConfigError("CONFIG_PROJECTIONS", `learningRate must be a positive number, not ${learningRate}.`, { hint: "Leave it out for 0.01." });
  }
  const { train, seed } = context;
  const { dimension } = items;
  if (!Number.isInteger(heads) || heads < 1 || dimension % heads !== 0) {
    throw new ConfigError("CONFIG_HEADS", `${heads} heads do not divide item vectors of width ${dimension}.`, { hint: "Choose a divisor, for example 8 for width 64." });
  }
  run.signal?.throwIfAborted();
  const engine = await loadTensorEngine(options.backend ? { backend: options.backend } : {});
  const { tf } = engine;
  const users = train.presentUsers().filter((user) => train.countOf(user) >= 2);
  const random = new KeyedRandom(seed, "attention/train");
  const identity = Float32Array.from({ length: dimension * dimension }, (_, at) => (Math.floor(at / dimension) === at % dimension ? 1 : 0));
  // Inside tidy a variable outlives the tensor that it starts from.
  const start = (): Variable => tf.tidy(() => tf.variable(tf.tensor2d(identity, [dimension, dimension])));
  const wq = start(), wk = start();
  const adam = tf.train.adam(learningRate);
  const steps = Math.ceil(users.length / batchSize);
  let done = 0;
  /** One pass over all users in the keyed order of its epoch; mean of what `step` returns. */
  const pass = async (epoch: number, step: (examples: Examples) => number): Promise<number> => {
    const order = smallestKeys(Array.from(users, (user) => random.key(user, NONE, epoch)), users.length);
    let sum = 0;
    for (let at = 0; at < order.length; at += batchSize) {
      const batch = Array.from(order.subarray(at, at + batchSize), (place) => users[place]!);
      sum += step(drawExamples(train, items, batch, epoch, historyRows, random)) * batch.length;
      run.onProgress?.(++done, (2 * epochs + 1) * steps, "attention projections");
      await new Promise<void>((resolve) => setImmediate(resolve));
      run.signal?.throwIfAborted();
    }
    return users.length > 0 ? sum / users.length : 0;
  };
  const loss = (examples: Examples): Scalar => meanLoss(tf, wq, wk, examples, heads, dimension);
  const measure = (examples: Examples): number => tf.tidy(() => loss(examples).dataSync()[0]!);
  const learn = (examples: Examples): number => tf.tidy(() => adam.minimize(() => loss(examples), true, [wq, wk] as never)!.dataSync()[0]!);
  try {
    const losses = [await pass(PROBE, measure)];
    for (let epoch = 0; epoch < epochs; epoch++) {
      await pass(epoch, learn);
      losses.push(await pass(PROBE, measure));
    }
    const projected = (w: Variable): Float32Array =>
      tf.tidy(() => tf.tensor2d(items.values, [items.values.length / dimension, dimension]).matMul(w as never).dataSync() as Float32Array);
    return {
      values: projected(wq), keyValues: projected(wk), dimension,
      details: { backend: engine.description, losses, examples: users.length * epochs },
    };
  } finally {
    wq.dispose();
    wk.dispose();
    adam.dispose();
  }
}

interface Examples {
  size: number;
  width: number;
  /** [size, 2, dimension]: the held-out item, then the negative. */
  queries: Float32Array;
  /** [size, width, dimension], zero where a history is shorter. */
  keys: Float32Array;
  /** [size, width]: 0 for a row, -1e9 for padding. */
  mask: Float32Array;
}

function drawExamples(
  train: Interactions, { values, dimension }: { values: Float32Array; dimension: number }, users: readonly number[],
  epoch: number, historyRows: number, random: KeyedRandom,
): Examples {
  const size = users.length, width = historyRows;
  const queries = new Float32Array(size * 2 * dimension), keys = new Float32Array(size * width * dimension);
  const mask = new Float32Array(size * width).fill(-1e9);
  const vector = (item: number): Float32Array => values.subarray(item * dimension, (item + 1) * dimension);
  users.forEach((user, at) => {
    const items = train.itemsOf(user);
    const [held, ...others] = smallestKeys(Array.from(items, (item) => random.key(user, item, epoch)), width + 1);
    let negative = 0;
    for (let draw = 0; draw < 100; draw++) {
      negative = random.integer(train.itemCount, user, 0, epoch, draw + 1);
      if (!train.has(user, negative)) break;
    }
    queries.set(vector(items[held!]!), at * 2 * dimension);
    queries.set(vector(negative), (at * 2 + 1) * dimension);
    others.forEach((row, place) => {
      keys.set(vector(items[row]!), (at * width + place) * dimension);
      mask[at * width + place] = 0;
    });
  });
  return { size, width, queries, keys, mask };
}

type Variable = ReturnType<TensorEngine["tf"]["variable"]>;
type Scalar = ReturnType<TensorEngine["tf"]["scalar"]>;

function meanLoss(tf: TensorEngine["tf"], wq: Variable, wk: Variable, examples: Examples, heads: number, dimension: number): Scalar {
  const { size, width } = examples;
  const depth = dimension / heads;
  const queries = tf.tensor2d(examples.queries, [size * 2, dimension]);
  const keys = tf.tensor2d(examples.keys, [size * width, dimension]);
  const mask = tf.tensor4d(examples.mask, [size, 1, 1, width]).tile([1, heads, 2, 1]);
  const q = queries.matMul(wq as never).reshape([size, 2, heads, depth]).transpose([0, 2, 1, 3]);
  const k = keys.matMul(wk as never).reshape([size, width, heads, depth]).transpose([0, 2, 3, 1]);
  const weights = q.matMul(k).div(Math.sqrt(depth)).add(mask).softmax().mean(1);
  const attended = weights.matMul(keys.reshape([size, width, dimension]));
  const scores = attended.mul(queries.reshape([size, 2, dimension])).sum(2);
  return scores.slice([0, 1], [size, 1]).sub(scores.slice([0, 0], [size, 1])).softplus().mean().asScalar();
}
