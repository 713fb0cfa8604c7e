import { normals } from "../lib/data.mjs";
import { closeToAll } from "../lib/files.mjs";

const USERS = 1000, CANDIDATES = 50, HISTORY = 165, DIMENSION = 64, HEADS = 8, TOP = 10;

function prepare({ form, output, goals }) {
  return async (bench) => {
    const queries = normals(Float32Array, USERS * CANDIDATES * DIMENSION, 4), keys = normals(Float32Array, USERS * HISTORY * DIMENSION, 5);
    bench.write("queries.f32", queries);
    bench.write("keys.f32", keys);
    const every = (size) => Uint32Array.from({ length: USERS + 1 }, (_, user) => user * size);
    const shape = { dimension: DIMENSION, heads: HEADS, queryOffsets: every(CANDIDATES), keyOffsets: every(HISTORY) };
    const peer = (name, block) => ({
      form: name, program: "attention",
      options: { form, users: USERS, candidates: CANDIDATES, history: HISTORY, dimension: DIMENSION, heads: HEADS, k: TOP, block },
    });
    return {
      variants: [{
        name: form, roof: { name: "fma32", work: 2 * USERS * CANDIDATES * HISTORY * DIMENSION },
        load: async (kernels) => {
          const input = { ...shape, queries: await kernels.hold(queries), keys: await kernels.hold(keys), output, ...(output === "top" ? { k: TOP } : {}) };
          return { run: () => kernels.attentionWeights(input) };
        },
      }],
      peers: [peer("usual", USERS), peer("strong", 8)],
      goals: [{ variant: form, form: "usual", atLeast: goals[0] }, { variant: form, form: "strong", atLeast: goals[1] }],
      check: (results, answersOf) => closeToAll("weights", results[form].weights, answersOf("weights.f32"), 1e-5),
    };
  };
}

export const attentionLines = [
  { id: "attention-mean", title: "attention, 1,000 users x 50 x 165, 8 heads: mean over heads of every weight", prepare: prepare({ form: "mean", output: "weights", goals: [13, 4] }) },
  { id: "attention-top", title: "attention, 1,000 users x 50 x 165, 8 heads: top 10 of each candidate", prepare: prepare({ form: "top", output: "top", goals: [9, 4] }) },
];
