import { ConfigError } from "../core/errors.js";
import type { RunOptions } from "../core/progress.js";
import { KeyedRandom, smallestKeys } from "../core/rng.js";
import { loadTensorEngine, type TensorBackend, type TensorEngine } from "../tensor/engine.js";
import type { RetrievalContext } from "./retriever.js";

export interface ProjectionOptions {
  /** Passes over the users; default 4. */
  epochs?: number;
  /** Users a step; default 128. */
  batchSize?: number;
  /** Adam's; default 0.003. */
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
  details: { backend: string; losses: number[]; examples: number };
}

/**
 * Trains the projections of Eq. 6 with TensorFlow.js on the remaining training rows alone. One example a user and epoch: a
 * held-out row i of the history and a keyed item j outside it; each attends to the other rows (values: the item vectors
 * themselves), s(c) = c . z(c) with z(c) = sum_j a[c, j] v_j and a the mean over heads, as the filter uses it; loss
 * softplus(s(j) - s(i)). Starts at W = I, where the filter is the "slice" one. The paper trains nothing and names no vectors.
 * Deterministic on one backend: draws are keyed (stream attention/train) and steps are sequential. Every tensor is disposed.
 */
export async function trainProjections(
  context: RetrievalContext, items: { values: Float32Array; dimension: number }, options: ProjectionOptions & { heads: number }, run: RunOptions = {},
): Promise<Projections> {
  const { heads, epochs = 4, batchSize = 128, learningRate = 0.003, historyRows = 40 } = options;
  for (const [name, value] of Object.entries({ epochs, batchSize, historyRows })) {
    if (!Number.isInteger(value) || value < 1) throw new ConfigError("CONFIG_PROJECTIONS", `${name} must be a whole number of at least 1, not ${value}.`);
  }
  const { train, seed } = context;
  const { dimension } = items;
  const engine = await loadTensorEngine(options.backend ? { backend: options.backend } : {});
  const { tf } = engine;
  const users = train.presentUsers().filter((user) => train.countOf(user) >= 2);
  const random = new KeyedRandom(seed, "attention/train");
  const identity = Float32Array.from({ length: dimension * dimension }, (_, at) => (Math.floor(at / dimension) === at % dimension ? 1 : 0));
  const wq = tf.variable(tf.tensor2d(identity, [dimension, dimension]));
  const wk = tf.variable(tf.tensor2d(identity, [dimension, dimension]));
  const adam = tf.train.adam(learningRate);
  const losses: number[] = [];
  const steps = Math.ceil(users.length / batchSize);
  try {
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = smallestKeys(Array.from(users, (user) => random.key(user, undefined, epoch)), users.length);
      let sum = 0;
      for (let step = 0; step < steps; step++) {
        const batch = Array.from(order.subarray(step * batchSize, (step + 1) * batchSize), (at) => users[at]!);
        const examples = drawExamples(context, items, batch, epoch, historyRows, random);
        sum += takeStep(engine, adam, wq, wk, examples, heads, dimension) * batch.length;
        run.onProgress?.(epoch * steps + step + 1, epochs * steps, "attention projections");
        await new Promise<void>((resolve) => setImmediate(resolve));
        run.signal?.throwIfAborted();
      }
      losses.push(users.length > 0 ? sum / users.length : 0);
    }
    const projected = (w: typeof wq): Float32Array => tf.tidy(() => tf.tensor2d(items.values, [items.values.length / dimension, dimension]).matMul(w).dataSync() as Float32Array);
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
  { train }: RetrievalContext, { values, dimension }: { values: Float32Array; dimension: number }, users: readonly number[],
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

function takeStep(
  { tf }: TensorEngine, adam: ReturnType<TensorEngine["tf"]["train"]["adam"]>, wq: Variable, wk: Variable, examples: Examples, heads: number, dimension: number,
): number {
  const { size, width } = examples;
  const depth = dimension / heads;
  return tf.tidy(() => {
    const queries = tf.tensor2d(examples.queries, [size * 2, dimension]);
    const keys = tf.tensor2d(examples.keys, [size * width, dimension]);
    const values = keys.reshape([size, width, dimension]);
    const mask = tf.tensor4d(examples.mask, [size, 1, 1, width]).tile([1, heads, 2, 1]);
    const cost = adam.minimize(() => {
      const q = queries.matMul(wq as never).reshape([size, 2, heads, depth]).transpose([0, 2, 1, 3]);
      const k = keys.matMul(wk as never).reshape([size, width, heads, depth]).transpose([0, 2, 3, 1]);
      const weights = q.matMul(k).div(Math.sqrt(depth)).add(mask).softmax().mean(1);
      const attended = weights.matMul(values as never);
      const scores = attended.mul(queries.reshape([size, 2, dimension])).sum(2);
      const margin = scores.slice([0, 1], [size, 1]).sub(scores.slice([0, 0], [size, 1]));
      return margin.softplus().mean().asScalar();
    }, true, [wq, wk] as never);
    return cost!.dataSync()[0]!;
  });
}
