// What scaling.mjs varies: for each kernel and each size of its input, calls on invented data around one middle shape.
import { normals, powerLaw, ridgeGram, triples, uniforms } from "./data.mjs";

const MIDDLE = { users: 3000, items: 3000, history: 60, dimension: 64, k: 50, layers: 2, candidates: 50, read: 160, readers: 150, heads: 8 };

const rows = ({ users, items, history }) => {
  const data = powerLaw(users, items, users * history, Math.ceil(history / 5), Math.min(items / 2, history * 20), 1, 1, 100);
  return { ...data, held: { ...data.csr, columnCount: items } };
};
const every = (count, size) => Uint32Array.from({ length: count + 1 }, (_, at) => at * size);

/** A call of one kernel on a shape: (kernels, shape) -> run(). */
const calls = {
  async scoreTopK(kernels, { users, items, dimension, k }) {
    const input = {
      users: await kernels.hold(normals(Float32Array, users * dimension, 1)), items: await kernels.hold(normals(Float32Array, items * dimension, 2)), dimension, k,
    };
    return () => kernels.scoreTopK(input);
  },
  async propagate(kernels, shape) {
    const { held } = rows(shape), { users: userCount, items: itemCount, dimension, layers } = shape;
    const input = {
      userCount, itemCount, dimension, layers, parameters: await kernels.hold(normals(Float32Array, (userCount + itemCount) * dimension, 3, 0.1)), positives: await kernels.hold(held),
    };
    return () => kernels.propagate(input);
  },
  bprEpoch: (kernels, shape) => training(kernels, shape, (state, input) => kernels.bprEpoch(state, { ...input, optimiser: "sgd" }), 0),
  lightGcnEpoch: (kernels, shape) => training(kernels, shape, (state, input) => kernels.lightGcnEpoch(state, { ...input, optimiser: "adam", layers: shape.layers }), 1),
  async attentionWeights(kernels, { readers, candidates, read, dimension, heads, k }) {
    const input = {
      queries: await kernels.hold(normals(Float32Array, readers * candidates * dimension, 4)), keys: await kernels.hold(normals(Float32Array, readers * read * dimension, 5)),
      queryOffsets: every(readers, candidates), keyOffsets: every(readers, read), dimension, heads, output: "top", k: Math.min(k, 10),
    };
    return () => kernels.attentionWeights(input);
  },
  async knapsack(kernels, { instances = 2000, categories = 18, levels = 10, capacity = 100 }) {
    const input = {
      categoryOffsets: every(instances, categories), levels: new Uint32Array(instances * categories).fill(levels),
      values: uniforms(Float64Array, instances * categories * levels, 6), capacities: new Uint32Array(instances).fill(capacity), boundary: "atMost",
    };
    return () => kernels.knapsack(input);
  },
  async kmeans(kernels, { points = 4000, clusters = 20, dimension }) {
    const all = normals(Float64Array, points * dimension, 7);
    return () => kernels.kmeans({ points: all, dimension, centroids: all.slice(0, clusters * dimension), rounds: 5 });
  },
  async gram(kernels, shape) {
    const input = { positives: await kernels.hold(rows(shape).held), columnCount: shape.items };
    return () => kernels.gram(input);
  },
  async itemCooccurrence(kernels, shape) {
    const input = { positives: await kernels.hold(rows(shape).held), columnCount: shape.items, k: shape.k };
    return () => kernels.itemCooccurrence(input);
  },
  async cholesky(kernels, { order = 1000 }) {
    const matrix = spread(order);
    return () => kernels.cholesky({ matrix, size: order, output: "inverse" });
  },
  async rankUpdate(kernels, { order = 1000, rank = 16 }) {
    const matrix = await kernels.hold(spread(order)), vectors = normals(Float64Array, rank * order, 8);
    return () => kernels.rankUpdate({ matrix, size: order, vectors, weights: new Float64Array(rank).fill(1e-6) });
  },
  async hessianProduct(kernels, shape) {
    const input = await curvature(kernels, shape), vector = normals(Float64Array, input.parameters.length, 9);
    return () => kernels.hessianProduct({ ...input, vector });
  },
  async conjugateGradient(kernels, shape) {
    const input = await curvature(kernels, shape), gradient = normals(Float64Array, input.parameters.length, 9);
    return () => kernels.conjugateGradient({ ...input, gradient, hessian: "gn", damping: 0.01, tolerance: 0, iterations: shape.iterations ?? 4 });
  },
};

function spread(order) {
  return ridgeGram(rows({ users: 300, items: order, history: 20 }), order, 50);
}

async function training(kernels, shape, call, moments) {
  const data = rows(shape), { users: userCount, items: itemCount, dimension } = shape;
  const parameters = normals(Float32Array, (userCount + itemCount) * dimension, 3, 0.1), positives = await kernels.hold(data.held);
  const state = { userCount, itemCount, dimension, parameters, first: new Float32Array(moments * parameters.length), second: new Float32Array(moments * parameters.length), step: 0 };
  const input = { positives, seed: 1, firstEpoch: 0, epochs: 1, batchCount: shape.batches ?? 8, learningRate: 0.001, regularisation: 1e-4 };
  return () => call(state, input);
}

async function curvature(kernels, shape) {
  const data = rows(shape), { users: userCount, items: itemCount, dimension, layers } = shape;
  return {
    userCount, itemCount, dimension, layers, ...triples(data), loss: "bpr", regularisation: 1e-4, hessian: "full",
    parameters: await kernels.hold(normals(Float32Array, (userCount + itemCount) * dimension, 3, 0.1)), positives: await kernels.hold(data.held),
  };
}

const double = (from, count) => Array.from({ length: count }, (_, at) => from * 2 ** at);
/** [kernel, variable, values, exponent of the cost formula, what the values are called] */
const PLAN = [
  ["scoreTopK", "users", double(1000, 4), 1, "users"],
  ["scoreTopK", "items", double(1000, 5), 1, "items"],
  ["scoreTopK", "dimension", double(16, 5), 1, "dimensions"],
  ["scoreTopK", "k", [1, 10, 50, 200, 1000], 0, "places of a list"],
  ["propagate", "history", double(15, 5), 1, "rows of a user"],
  ["propagate", "users", double(1000, 4), 1, "users"],
  ["propagate", "dimension", double(16, 4), 1, "dimensions"],
  ["propagate", "layers", double(1, 5), 1, "layers"],
  ["bprEpoch", "history", double(15, 5), 1, "rows of a user"],
  ["bprEpoch", "dimension", double(16, 4), 1, "dimensions"],
  ["bprEpoch", "batches", [1, 8, 64, 512], 0, "batches of an epoch"],
  ["lightGcnEpoch", "history", double(15, 4), 1, "rows of a user"],
  ["lightGcnEpoch", "layers", double(1, 4), 1, "layers"],
  ["lightGcnEpoch", "batches", double(4, 4), 1, "batches of an epoch"],
  ["attentionWeights", "readers", double(50, 4), 1, "users"],
  ["attentionWeights", "read", double(40, 5), 1, "rows of a history"],
  ["attentionWeights", "candidates", double(10, 4), 1, "candidates"],
  ["attentionWeights", "dimension", double(16, 4), 1, "dimensions"],
  ["knapsack", "instances", double(500, 4), 1, "instances"],
  ["knapsack", "capacity", [36, 60, 90, 120, 150], 1, "units of capacity"],
  ["knapsack", "levels", [6, 12, 24, 48], 1, "levels of a category"],
  ["kmeans", "points", double(1000, 4), 1, "points"],
  ["kmeans", "clusters", double(5, 4), 1, "clusters"],
  ["gram", "users", double(1000, 4), 1, "rows"],
  ["gram", "items", double(500, 4), 2, "columns"],
  ["gram", "history", double(15, 4), 2, "entries of a row"],
  ["itemCooccurrence", "users", double(1000, 4), 1, "rows"],
  ["itemCooccurrence", "k", [1, 10, 50, 200], 0, "places of a list"],
  ["cholesky", "order", double(250, 4), 3, "rows of the matrix"],
  ["rankUpdate", "order", double(500, 4), 2, "rows of the matrix"],
  ["rankUpdate", "rank", double(1, 6), 1, "vectors"],
  ["hessianProduct", "history", double(15, 4), 1, "samples of a user"],
  ["hessianProduct", "dimension", double(16, 4), 1, "dimensions"],
  ["hessianProduct", "layers", [1, 2, 4, 8], 1, "layers"],
  ["conjugateGradient", "iterations", double(2, 4), 1, "iterations"],
];

/** The series of the plan; `prepare(kernels, value)` gives what is timed. */
export const SERIES = PLAN.map(([kernel, variable, values, expected, noun]) => ({
  id: `${kernel} ${variable}`, title: `${kernel} against ${variable}`, kernel, variable, values, expected, noun,
  prepare: (kernels, value) => calls[kernel](kernels, { ...MIDDLE, [variable]: value }),
}));

/** One call of each kernel on the middle shape, against threads. */
export const THREADS = Object.keys(calls).map((kernel) => ({
  id: `${kernel} threads`, title: `${kernel} against threads`, kernel, prepare: (kernels) => calls[kernel](kernels, { ...MIDDLE, readers: 600, order: 2000, instances: 6000, points: 20_000 }),
}));
