import { normals, positives } from "../lib/data.mjs";
import { closeToAll } from "../lib/files.mjs";

const DIMENSION = 64, BATCH = 2048, LAYERS = 3, HOPS = 10;

function graphOf(bench, shape = "ml1m") {
  const data = positives(shape);
  const parameters = normals(Float32Array, (data.userCount + data.itemCount) * DIMENSION, 3, 0.1);
  bench.write("parameters.f32", parameters);
  bench.writeCsr("positives", data.csr);
  const shapeOf = { userCount: data.userCount, itemCount: data.itemCount, dimension: DIMENSION };
  return { data, parameters, shape: shapeOf, holdGraph: (kernels) => kernels.hold({ ...data.csr, columnCount: data.itemCount }) };
}

/** Bytes of the operand that a hop in both directions gathers. */
const hopBytes = (data, bytes) => 2 * data.rows * DIMENSION * bytes;

/** Layers L and L - 1 differ by S_L (L + 1) - S_(L-1) L = A~ (...): for one layer 2 S_1 E - E = A~ E, the product alone. */
const hopOf = (parameters, propagated) => propagated.map((value, at) => 2 * value - parameters[at]);

function propagation({ layers, units, form }) {
  return async (bench) => {
    const { data, parameters, shape, holdGraph } = graphOf(bench);
    const variant = (name, operand, bytes) => ({
      name, roof: { name: "l2", work: layers / units * hopBytes(data, bytes) },
      load: async (kernels) => {
        const input = { ...shape, parameters: await kernels.hold(parameters), positives: await holdGraph(kernels), operand };
        // The answer to compare is that of one hop, or of the propagation itself; what is timed is `layers` layers.
        const answer = await kernels.propagate({ ...input, layers: form === "hop" ? 1 : layers });
        let first = true;
        return {
          units,
          run: async () => {
            const result = await kernels.propagate({ ...input, layers });
            if (!first) return result;
            first = false;
            return answer;
          },
        };
      },
    });
    const options = { form, ...shape, layers };
    return {
      variants: [variant("float32", "float32", 4), variant("bf16 operand", "bf16", 2)],
      peers: [{ form: "COO", program: "graph", options: { ...options, layout: "coo" } }, { form: "CSR", program: "graph", options: { ...options, layout: "csr" } }],
      goals: form === "hop" ? [{ variant: "float32", form: "any", atLeast: 7 }, { variant: "bf16 operand", form: "any", atLeast: 11 }] : [],
      check: (results, answersOf) => Object.entries(results).map(([name, ours]) =>
        closeToAll(name, form === "hop" ? hopOf(parameters, ours) : ours, answersOf("product.f32"), name === "float32" ? 1e-5 : 1e-2)).join("; "),
    };
  };
}

async function step(bench) {
  const { data, parameters, shape, holdGraph } = graphOf(bench);
  const batchCount = Math.ceil(data.rows / BATCH), learningRate = 0.001, regularisation = 1e-4;
  const state = { ...shape, parameters, first: new Float32Array(parameters.length), second: new Float32Array(parameters.length), step: 0 };
  const variant = (name, operand, bytes) => ({
    name, roof: { name: "l2", work: 2 * LAYERS * hopBytes(data, bytes) },
    load: async (kernels) => {
      const held = await holdGraph(kernels);
      return {
        units: batchCount,
        run: () => kernels.lightGcnEpoch(state, {
          positives: held, seed: 1, firstEpoch: 0, epochs: 1, batchCount, learningRate, regularisation, optimiser: "adam", layers: LAYERS, operand,
        }),
      };
    },
  });
  return {
    variants: [variant("float32", "float32", 4), variant("bf16 operand", "bf16", 2)],
    peers: [{ form: "usual", program: "graph", options: { form: "step", layout: "coo", ...shape, layers: LAYERS, batch: BATCH, learningRate, regularisation } }],
    goals: [{ variant: "float32", form: "usual", atLeast: 10 }, { variant: "bf16 operand", form: "usual", atLeast: 14 }],
    check: (results) => `loss after an epoch ${Object.entries(results).map(([name, { losses }]) => `${losses[0].toFixed(4)} (${name})`).join(", ")}; draws differ from the peer's, so parameters are not compared`,
  };
}

export const graphLines = [
  { id: "hop", title: `one propagation hop, both sides, 6,040 x 3,706 x 1,000,209, d 64 (ours: a call of ${HOPS} layers / ${HOPS})`, prepare: propagation({ layers: HOPS, units: HOPS, form: "hop" }) },
  { id: "propagate", title: "propagation of 3 layers, whole call", prepare: propagation({ layers: 3, units: 1, form: "propagate" }) },
  { id: "lightgcn", title: "LightGCN step, 3 layers, batch 2,048, Adam (ours: a whole epoch with its draws / steps; the peer's samples are drawn before)", prepare: step, slow: true },
];
