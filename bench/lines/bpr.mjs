import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { normals, positives } from "../lib/data.mjs";

const DIMENSION = 64, BATCH = 8192;
const SEQUENTIAL = fileURLToPath(new URL("../peers/sequential_bpr.cpp", import.meta.url));

/** The sequential program, compiled here for this very processor: the strong form. */
function compiled(folder) {
  const program = join(folder, "sequential_bpr");
  execFileSync("c++", ["-std=c++17", "-O3", "-march=native", "-ffast-math", SEQUENTIAL, "-o", program, "-pthread"], { stdio: ["ignore", "ignore", "pipe"] });
  return program;
}

async function prepare(bench) {
  const data = positives("ml1m"), { userCount, itemCount, csr, rows } = data;
  const parameters = normals(Float32Array, (userCount + itemCount) * DIMENSION, 3, 0.1);
  bench.write("parameters.f32", parameters);
  bench.writeCsr("positives", csr);
  const state = { userCount, itemCount, dimension: DIMENSION, parameters, first: new Float32Array(0), second: new Float32Array(0), step: 0 };
  const variant = (name, update, learningRate) => ({
    name, roof: { name: "l3", work: rows * 6 * DIMENSION * 4 }, // three rows read and written a sample
    load: async (kernels) => {
      const held = await kernels.hold({ ...csr, columnCount: itemCount });
      return {
        run: () => kernels.bprEpoch(state, {
          positives: held, seed: 1, firstEpoch: 0, epochs: 1, batchCount: Math.ceil(rows / BATCH), learningRate, regularisation: 0.01, optimiser: "sgd", update,
        }),
      };
    },
  });
  const options = { userCount, itemCount, dimension: DIMENSION };
  return {
    // The batch form divides by the rows of a batch, so its rate is that much larger.
    variants: [variant("deterministic, batch 8,192", "batch", 0.05 * BATCH / 8), variant("hogwild", "hogwild", 0.05)],
    peers: [
      { form: "usual", program: "bpr", options },
      { form: "strong", command: () => compiled(bench.folder), args: [bench.folder, userCount, itemCount, DIMENSION, bench.threads] },
    ],
    goals: [{ variant: "deterministic, batch 8,192", form: "any", atLeast: 3 }, { variant: "hogwild", form: "any", atLeast: 5 }],
    check: (results) => `loss of the first epoch ${Object.entries(results).map(([name, { losses }]) => `${losses[0].toFixed(4)} (${name})`).join(", ")}; draws differ from the peer's, so parameters are not compared`,
  };
}

export const bprLines = [{ id: "bpr", title: "BPR epoch, SGD, 6,040 x 3,706 x 1,000,209, d 64", prepare }];
