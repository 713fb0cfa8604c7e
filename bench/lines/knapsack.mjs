import { uniforms } from "../lib/data.mjs";
import { close } from "../lib/files.mjs";

const INSTANCES = 6040, CATEGORIES = 18, LEVELS = 10, CAPACITY = 100;

async function prepare(bench) {
  const values = uniforms(Float64Array, INSTANCES * CATEGORIES * LEVELS, 6);
  bench.write("values.f64", values);
  const input = {
    categoryOffsets: Uint32Array.from({ length: INSTANCES + 1 }, (_, instance) => instance * CATEGORIES),
    levels: new Uint32Array(INSTANCES * CATEGORIES).fill(LEVELS), capacities: new Uint32Array(INSTANCES).fill(CAPACITY), values, boundary: "atMost",
  };
  return {
    variants: [{ name: "float64", load: async (kernels) => ({ run: () => kernels.knapsack(input) }) }],
    peers: [{ form: "usual", program: "knapsack", options: { instances: INSTANCES, categories: CATEGORIES, levels: LEVELS, capacity: CAPACITY } }],
    goals: [{ variant: "float64", form: "usual", atLeast: 17 }],
    check: ({ float64 }, answersOf) => answersOf("levels.u32").map(({ peer, values: levels }) => {
      const totals = new Float64Array(INSTANCES);
      levels.forEach((level, at) => { totals[Math.floor(at / CATEGORIES)] += values[at * LEVELS + level - 1]; });
      return close(`totals and ${peer}`, float64.totals, totals, 1e-6);
    }).join("; "),
  };
}

export const knapsackLines = [{ id: "knapsack", title: "knapsack, 6,040 instances x 18 categories x 10 levels, capacity 100", prepare }];
