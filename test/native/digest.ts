/** Prints a digest of one result of each kernel on the face that the environment asks for: run as a child process. */
import { fingerprint } from "../../src/core/fingerprint.js";
import { loadKernels } from "../../src/native/load.js";
import type { Kernels } from "../../src/native/kernels.js";
import { bytesOf, floats, freshState, sparse } from "../contract/faces.js";

/** Lower triangle of a positive definite matrix. */
function diagonallyDominant(size: number): Float64Array {
  const matrix = Float64Array.from(floats((size * (size + 1)) / 2, 17));
  for (let row = 0; row < size; row++) matrix[(row * (row + 1)) / 2 + row] = size;
  return matrix;
}

export async function digest(kernels: Kernels): Promise<string> {
  const positives = sparse(150, 230, 0.1, 1, true);
  const training = { positives, seed: 3, firstEpoch: 1, epochs: 2, batchCount: 4, learningRate: 0.01, regularisation: 0.02, optimiser: "adam" } as const;
  const samples = (seed: number, below: number): Uint32Array => Uint32Array.from(floats(700, seed), (value) => Math.floor((value + 0.5) * below));
  const loss = {
    userCount: 150, itemCount: 230, dimension: 33, parameters: floats(380 * 33, 4), layers: 2, positives, loss: "bpr", users: samples(14, 150),
    items: samples(15, 230), negatives: samples(16, 230), regularisation: 0.01, hessian: "full",
  } as const;
  const results = [
    await kernels.scoreTopK({ users: floats(150 * 33, 1), items: floats(230 * 33, 2), dimension: 33, k: 20, mask: positives }),
    await kernels.bprEpoch(freshState(150, 230, 33), training),
    await kernels.lightGcnEpoch(freshState(150, 230, 33), { ...training, layers: 3 }),
    await kernels.propagate({ userCount: 150, itemCount: 230, dimension: 33, parameters: floats(380 * 33, 4), positives, layers: 2 }),
    await kernels.attentionWeights({
      queries: floats(60 * 24, 5, 4), queryOffsets: Uint32Array.of(0, 20, 60), keys: floats(90 * 24, 6, 4), keyOffsets: Uint32Array.of(0, 50, 90), dimension: 24, heads: 3, output: "weights",
    }),
    await kernels.knapsack({
      categoryOffsets: Uint32Array.from({ length: 41 }, (_, at) => 5 * at), levels: new Uint32Array(200).fill(10), values: Float64Array.from(floats(40 * 50, 7)),
      capacities: Uint32Array.from({ length: 40 }, (_, at) => 10 + at), boundary: "exact",
    }),
    await kernels.propagate({ userCount: 150, itemCount: 230, dimension: 33, parameters: floats(380 * 33, 4), positives, layers: 2, operand: "bf16" }),
    await kernels.kmeans({ points: Float64Array.from(floats(300 * 7, 8)), dimension: 7, centroids: Float64Array.from(floats(5 * 7, 9)), rounds: 20 }),
    await kernels.gram({ positives, columnCount: 230 }),
    await kernels.itemCooccurrence({ positives, columnCount: 230, k: 7 }),
    await kernels.cholesky({ matrix: diagonallyDominant(77), size: 77, output: "inverse" }),
    await kernels.rankUpdate({ matrix: diagonallyDominant(77), size: 77, vectors: Float64Array.from(floats(77 * 5, 10)), weights: Float64Array.from(floats(5, 11)) }),
    await kernels.hessianProduct({ ...loss, vector: Float64Array.from(floats(380 * 33, 12)) }),
    await kernels.conjugateGradient({ ...loss, hessian: "gn", gradient: Float64Array.from(floats(380 * 33, 13)), damping: 0.1, tolerance: 1e-9, iterations: 10 }),
  ];
  return fingerprint(...results.map(bytesOf));
}

if (process.argv[2] === "print") {
  const kernels = loadKernels();
  digest(kernels).then((text) => process.stdout.write(`${kernels.device} ${text}\n`), (error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    process.exitCode = 1;
  });
}
