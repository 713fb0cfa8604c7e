/** Prints a digest of one result of each kernel on the face that the environment asks for: run as a child process. */
import { fingerprint } from "../../src/core/fingerprint.js";
import { loadKernels } from "../../src/native/load.js";
import type { Kernels } from "../../src/native/kernels.js";
import { bytesOf, floats, freshState, sparse } from "../contract/faces.js";

export async function digest(kernels: Kernels): Promise<string> {
  const positives = sparse(150, 230, 0.1, 1, true);
  const training = { positives, seed: 3, firstEpoch: 1, epochs: 2, batchCount: 4, learningRate: 0.01, regularisation: 0.02, optimiser: "adam" } as const;
  const results = [
    await kernels.scoreTopK({ users: floats(150 * 33, 1), items: floats(230 * 33, 2), dimension: 33, k: 20, mask: positives }),
    await kernels.bprEpoch(freshState(150, 230, 33), training),
    await kernels.lightGcnEpoch(freshState(150, 230, 33), { ...training, layers: 3 }),
    await kernels.propagate({ userCount: 150, itemCount: 230, dimension: 33, parameters: floats(380 * 33, 4), positives, layers: 2 }),
    await kernels.attentionWeights({
      queries: floats(60 * 24, 5, 4), queryOffsets: Uint32Array.of(0, 20, 60), keys: floats(90 * 24, 6, 4), keyOffsets: Uint32Array.of(0, 50, 90), dimension: 24, heads: 3, output: "weights",
    }),
    await kernels.knapsack({ values: Float64Array.from(floats(40 * 50, 7)), instances: 40, categories: 5, levels: 10, capacity: 23, boundary: "exact" }),
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
