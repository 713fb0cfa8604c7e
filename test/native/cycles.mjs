// Thousands of calls made, cancelled, failed and finished, and of held arrays made, used, disposed of or forgotten, must leave
// no memory behind: after a warm-up the resident memory of the process may grow by a few MB and no more. Exit status 1 otherwise.
//   npm run build && node --expose-gc test/native/cycles.mjs [cycles] [most MB]
import { setTimeout as wait } from "node:timers/promises";
import { describeNative, loadKernels } from "../../dist/index.js";

const cycles = Number(process.argv[2] ?? 10_000), mostMb = Number(process.argv[3] ?? 8);
const kernels = loadKernels({ threads: 2 });
if (kernels.face !== "cpu") throw new Error(`the native addon is not there: ${describeNative().reason}`);
if (!globalThis.gc) throw new Error("run with node --expose-gc");

const floats = (length) => Float32Array.from({ length }, (_, at) => Math.sin(at + 1) / 4);
const csr = { offsets: Uint32Array.of(0, 2, 2, 4, 5), columns: Uint32Array.of(0, 3, 1, 5, 2) };
const shape = { userCount: 4, itemCount: 6, dimension: 5 };
const state = () => ({ ...shape, parameters: floats(50), first: new Float32Array(50), second: new Float32Array(50), step: 0 });
const training = { positives: csr, seed: 1, firstEpoch: 0, epochs: 2, batchCount: 2, learningRate: 0.01, regularisation: 0.01, optimiser: "adam" };
const triangle = () => Float64Array.of(4, 1, 4, 1, 1, 4);
const loss = { ...shape, parameters: floats(50), layers: 1, positives: csr, loss: "bpr", users: Uint32Array.of(0, 2), items: Uint32Array.of(3, 1), negatives: Uint32Array.of(1, 2), regularisation: 0.1, hessian: "gn" };

/** One call of each kernel, with the options given. */
const calls = [
  (options) => kernels.scoreTopK({ users: floats(20), items: floats(30), dimension: 5, k: 3, mask: csr }, options),
  (options) => kernels.bprEpoch(state(), training, options),
  (options) => kernels.lightGcnEpoch(state(), { ...training, layers: 2 }, options),
  (options) => kernels.propagate({ ...shape, parameters: floats(50), positives: csr, layers: 2 }, options),
  (options) => kernels.attentionWeights({ queries: floats(15), queryOffsets: Uint32Array.of(0, 3), keys: floats(20), keyOffsets: Uint32Array.of(0, 4), dimension: 5, heads: 1, output: "top", k: 2 }, options),
  (options) => kernels.knapsack({ categoryOffsets: Uint32Array.of(0, 2), levels: Uint32Array.of(3, 3), values: Float64Array.of(1, 2, 3, 3, 2, 1), capacities: Uint32Array.of(4), boundary: "exact" }, options),
  (options) => kernels.kmeans({ points: Float64Array.of(1, 2, 3, 9), dimension: 1, centroids: Float64Array.of(0, 5), rounds: 3 }, options),
  (options) => kernels.gram({ positives: csr, columnCount: 6 }, options),
  (options) => kernels.itemCooccurrence({ positives: csr, columnCount: 6, k: 2 }, options),
  (options) => kernels.cholesky({ matrix: triangle(), size: 3, output: "inverse" }, options),
  (options) => kernels.rankUpdate({ matrix: triangle(), size: 3, vectors: Float64Array.of(1, 0, 1), weights: Float64Array.of(0.5) }, options),
  (options) => kernels.hessianProduct({ ...loss, vector: new Float64Array(50).fill(1) }, options),
  (options) => kernels.conjugateGradient({ ...loss, gradient: new Float64Array(50).fill(1), damping: 0.1, tolerance: 1e-6, iterations: 4 }, options),
];
const seen = { finished: 0, cancelled: 0, refused: 0, held: 0 };

async function cycle(number) {
  const call = calls[number % calls.length];
  switch (number % 5) {
    case 0:
      await call({ onProgress: () => {} });
      seen.finished++;
      return;
    case 1: { // cancelled while it waits or runs, or just too late
      const abort = new AbortController();
      const job = call({ signal: abort.signal });
      if (number % 2) await Promise.resolve();
      abort.abort();
      await job.then(() => seen.finished++, () => seen.cancelled++);
      return;
    }
    case 2: // refused on the worker thread
      await kernels.scoreTopK({ users: floats(20).fill(NaN, 3, 4), items: floats(30), dimension: 5, k: 3 }).then(() => { throw new Error("NaN went through"); }, () => seen.refused++);
      return;
    case 3: { // held, used after its disposal was asked for
      const users = await kernels.hold(floats(2000)), items = await kernels.hold(floats(3000)), mask = await kernels.hold({ ...csr, columnCount: 6 });
      const job = kernels.scoreTopK({ users, items, dimension: 5, k: 3 });
      for (const one of [users, items, mask, mask]) one.dispose();
      await job;
      seen.held++;
      return;
    }
    default: { // held and forgotten: the garbage collector frees it; a matrix changed in place
      const matrix = await kernels.hold(triangle());
      await kernels.rankUpdate({ matrix, size: 3, vectors: Float64Array.of(1, 0, 1), weights: Float64Array.of(0.5) });
      await kernels.cholesky({ matrix, size: 3, output: "factor" });
      await matrix.read();
      await kernels.hold(floats(5000));
      seen.held++;
    }
  }
}

async function memory() {
  for (let round = 0; round < 4; round++) {
    globalThis.gc();
    await wait(10); // finalisers run between turns
  }
  return process.memoryUsage().rss / 2 ** 20;
}

// The allocator keeps what the busiest moment needed: growth is counted from where that is reached.
const warmUp = Math.min(6000, cycles);
for (let number = 0; number < warmUp; number++) await cycle(number);
const before = await memory();
for (let number = 0; number < cycles; number++) await cycle(number);
const after = await memory();
const grown = after - before;
process.stdout.write(`${cycles} cycles (${Object.entries(seen).map(([name, count]) => `${count} ${name}`).join(", ")}): ${before.toFixed(1)} MB before, ${after.toFixed(1)} MB after\n`);
if (grown > mostMb) {
  process.stdout.write(`memory grew by ${grown.toFixed(1)} MB, more than ${mostMb}\n`);
  process.exitCode = 1;
}
