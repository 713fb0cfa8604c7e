import type { Csr } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";
import { KeyedRandom } from "../core/rng.js";
import type { Roofs } from "../native/binding.js";
import type { KernelName, Kernels, LossInput, TrainingState } from "../native/kernels.js";

/** One call of one kernel on invented data. */
export interface KernelCase {
  kernel: KernelName;
  /** What a person counts. */
  units: number;
  unit: string;
  /** What the machine does, in operations or bytes, and the roof that bounds it. */
  work: number;
  roof: keyof Roofs;
  run(kernels: Kernels, options: RunOptions): Promise<ArrayBufferView[]>;
}

export interface CaseShape {
  users: number;
  items: number;
  /** Rows of the data of each user. */
  each: number;
  dimension: number;
  /** Users of an attention batch, with `each` keys and a quarter of that many queries. */
  readers: number;
  instances: number;
  points: number;
  /** Rows of a symmetric matrix. */
  order: number;
}

/** What the TypeScript face does in well under a second. */
export const SMALL: CaseShape = { users: 200, items: 500, each: 20, dimension: 32, readers: 10, instances: 50, points: 300, order: 60 };
/** What keeps the threads of a native face busy for some ten milliseconds. */
export const LARGE: CaseShape = { users: 3000, items: 2500, each: 100, dimension: 64, readers: 300, instances: 3000, points: 8000, order: 1200 };

const LAYERS = 2, HEADS = 4, CATEGORIES = 18, LEVELS = 10, CAPACITY = 100, CLUSTERS = 16, AXES = 32, RANK = 16, ITERATIONS = 3;

/** A call of each kernel, in the order of the contract. Work counts a multiply and an add as two, and a row of floats as its bytes. */
export function kernelCases(shape: CaseShape): KernelCase[] {
  return [...rankingCases(shape), ...matrixCases(shape), ...curvatureCases(shape)];
}

const random = new KeyedRandom(1, "probe");

function floats(rows: number, width: number, row0: number): Float32Array {
  const values = new Float32Array(rows * width), row = new Float32Array(width);
  for (let at = 0; at < rows; at++) {
    random.normals(row0 + at, row, 0.1);
    values.set(row, at * width);
  }
  return values;
}

function graphOf({ users, items, each }: CaseShape): Csr {
  const offsets = Uint32Array.from({ length: users + 1 }, (_, user) => user * each);
  const columns = new Uint32Array(users * each), gap = Math.floor(items / each);
  for (let row = 0; row < columns.length; row++) columns[row] = (row % each) * gap + ((Math.floor(row / each) * 7) % gap);
  return { offsets, columns };
}

function rankingCases(shape: CaseShape): KernelCase[] {
  const { users: userCount, items: itemCount, each, dimension, readers, instances } = shape;
  const users = floats(userCount, dimension, 0), items = floats(itemCount, dimension, userCount);
  const positives = graphOf(shape), rows = positives.columns.length, bytes = 4 * dimension;
  const parameters = new Float32Array(users.length + items.length);
  parameters.set(users);
  parameters.set(items, users.length);
  const state = (): TrainingState => ({
    userCount, itemCount, dimension, parameters: parameters.slice(),
    first: new Float32Array(parameters.length), second: new Float32Array(parameters.length), step: 0,
  });
  const batchCount = Math.max(4, Math.ceil(rows / 8192));
  const training = { positives, seed: 1, firstEpoch: 0, epochs: 1, batchCount, learningRate: 0.01, regularisation: 0.001, optimiser: "adam" } as const;
  const queries = Math.ceil(each / 4);
  const every = (step: number): Uint32Array => Uint32Array.from({ length: readers + 1 }, (_, reader) => reader * step);
  const attention = {
    queries: floats(readers * queries, dimension, 0), queryOffsets: every(queries), keys: floats(readers * each, dimension, 1), keyOffsets: every(each),
    dimension, heads: HEADS, output: "max",
  } as const;
  const choice = {
    categoryOffsets: Uint32Array.from({ length: instances + 1 }, (_, at) => CATEGORIES * at), levels: new Uint32Array(CATEGORIES * instances).fill(LEVELS),
    values: Float64Array.from({ length: instances * CATEGORIES * LEVELS }, (_, at) => random.uniform(at, 1)),
    capacities: new Uint32Array(instances).fill(CAPACITY), boundary: "exact",
  } as const;
  return [
    {
      kernel: "scoreTopK", units: userCount * itemCount, unit: "scores", work: 2 * userCount * itemCount * dimension, roof: "floats",
      run: async (kernels, options) => {
        const { items: best, scores } = await kernels.scoreTopK({ users, items, dimension, mask: positives, k: 20 }, options);
        return [best, scores];
      },
    },
    {
      // Three rows are read twice and written once a sample.
      kernel: "bprEpoch", units: rows, unit: "samples", work: rows * 9 * bytes, roof: "cache",
      run: async (kernels, options) => [(await kernels.bprEpoch(state(), training, options)).state.parameters],
    },
    {
      kernel: "lightGcnEpoch", units: rows, unit: "samples", work: (batchCount * 2 * LAYERS * 2 + 9) * rows * bytes, roof: "cache",
      run: async (kernels, options) => [(await kernels.lightGcnEpoch(state(), { ...training, layers: LAYERS }, options)).state.parameters],
    },
    {
      kernel: "propagate", units: 2 * LAYERS * rows, unit: "edges", work: 2 * LAYERS * rows * bytes, roof: "cache",
      run: async (kernels, options) => [await kernels.propagate({ userCount, itemCount, dimension, parameters, positives, layers: LAYERS }, options)],
    },
    {
      // About twelve operations an exponential.
      kernel: "attentionWeights", units: readers * queries * each, unit: "weights", work: readers * queries * each * (2 * dimension + 12 * HEADS), roof: "floats",
      run: async (kernels, options) => [(await kernels.attentionWeights(attention, options)).weights],
    },
    {
      kernel: "knapsack", units: instances, unit: "instances", work: instances * CATEGORIES * LEVELS * CAPACITY * 2, roof: "doubles",
      run: async (kernels, options) => {
        const { choices, totals } = await kernels.knapsack(choice, options);
        return [choices, totals];
      },
    },
  ];
}

function matrixCases(shape: CaseShape): KernelCase[] {
  const { users, items, each, points: pointCount, order } = shape;
  const positives = graphOf(shape);
  const points = Float64Array.from(floats(pointCount, AXES, 2)), centroids = points.slice(0, CLUSTERS * AXES);
  const matrix = Float64Array.from({ length: (order * (order + 1)) / 2 }, (_, at) => random.uniform(at, 2));
  for (let row = 0; row < order; row++) matrix[(row * (row + 1)) / 2 + row] = order;
  const update = { matrix, size: order, vectors: Float64Array.from(floats(RANK, order, 3)), weights: new Float64Array(RANK).fill(0.5) };
  const pairs = (users * each * each) / 2;
  return [
    {
      kernel: "kmeans", units: pointCount * CLUSTERS * 4, unit: "distances", work: 4 * 3 * pointCount * CLUSTERS * AXES, roof: "doubles",
      run: async (kernels, options) => {
        const { labels, centroids: moved, distances } = await kernels.kmeans({ points, dimension: AXES, centroids, rounds: 4 }, options);
        return [labels, moved, distances];
      },
    },
    {
      // One bit a row and column: pairs of bit rows, 8 bytes a 64 rows.
      kernel: "gram", units: pairs, unit: "pairs", work: (items * items * users) / 8, roof: "cache",
      run: async (kernels, options) => [await kernels.gram({ positives, columnCount: items }, options)],
    },
    {
      kernel: "itemCooccurrence", units: pairs, unit: "pairs", work: (items * items * users) / 4, roof: "cache",
      run: async (kernels, options) => {
        const { items: best, counts } = await kernels.itemCooccurrence({ positives, columnCount: items, k: 10 }, options);
        return [best, counts];
      },
    },
    {
      kernel: "cholesky", units: order, unit: "columns", work: order ** 3, roof: "doubles",
      run: async (kernels, options) => [await kernels.cholesky({ matrix, size: order, output: "inverse" }, options)],
    },
    {
      kernel: "rankUpdate", units: RANK * matrix.length, unit: "entries", work: 2 * RANK * matrix.length, roof: "doubles",
      run: async (kernels, options) => [await kernels.rankUpdate(update, options)],
    },
  ];
}

function curvatureCases(shape: CaseShape): KernelCase[] {
  const { users: userCount, items: itemCount, dimension } = shape;
  const positives = graphOf(shape), rows = positives.columns.length, values = (userCount + itemCount) * dimension;
  const loss: LossInput = {
    userCount, itemCount, dimension, parameters: floats(userCount + itemCount, dimension, 4), layers: 1, positives, loss: "bpr",
    users: Uint32Array.from({ length: rows }, (_, row) => Math.floor(row / shape.each)), items: positives.columns,
    negatives: Uint32Array.from(positives.columns, (item) => (item + 1) % itemCount), regularisation: 0.01, hessian: "gn",
  };
  const vector = Float64Array.from(floats(userCount + itemCount, dimension, 5)).subarray(0, values);
  // Six rows of doubles a sample, and two hops of the vector.
  const bytes = rows * dimension * 8 * (6 + 4);
  return [
    {
      kernel: "hessianProduct", units: rows, unit: "samples", work: bytes, roof: "cache",
      run: async (kernels, options) => [await kernels.hessianProduct({ ...loss, vector }, options)],
    },
    {
      kernel: "conjugateGradient", units: rows * ITERATIONS, unit: "samples", work: bytes * (ITERATIONS + 1), roof: "cache",
      run: async (kernels, options) => [(await kernels.conjugateGradient(
        { ...loss, gradient: vector, damping: 0.1, tolerance: 0, iterations: ITERATIONS }, options,
      )).solution],
    },
  ];
}
