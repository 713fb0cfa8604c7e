import { normals, positives, triples } from "../lib/data.mjs";
import { closeToAll } from "../lib/files.mjs";

const DIMENSION = 64, LAYERS = 3, REGULARISATION = 1e-4;

function prepare(layers, shape) {
  return async (bench) => {
    const data = positives(shape), { userCount, itemCount, csr } = data, samples = triples(data), size = (userCount + itemCount) * DIMENSION;
    const parameters = normals(Float32Array, size, 3, 0.1), vector = normals(Float64Array, size, 9);
    bench.writeCsr("positives", csr);
    bench.write("parameters.f32", parameters);
    bench.write("vector.f64", vector);
    for (const [name, numbers] of Object.entries(samples)) bench.write(`${name}.u32`, numbers);
    const options = { userCount, itemCount, dimension: DIMENSION, layers, regularisation: REGULARISATION };
    return {
      variants: [{
        name: "full Hessian",
        load: async (kernels) => {
          const input = { ...options, ...samples, loss: "bpr", hessian: "full", parameters: await kernels.hold(parameters), positives: await kernels.hold({ ...csr, columnCount: itemCount }) };
          return { run: () => kernels.hessianProduct({ ...input, vector }) };
        },
      }],
      peers: [{ form: "usual", program: "hessian", options: { ...options, form: "autograd" } }, { form: "strong", program: "hessian", options: { ...options, form: "closed" } }],
      check: (results, answersOf) => closeToAll("product", results["full Hessian"], answersOf("product.f64"), 1e-9),
    };
  };
}

export const hessianLines = [
  { id: "hessian", title: "Hessian product of BPR on 3 layers, all 1,000,209 rows, d 64, float64", prepare: prepare(LAYERS, "ml1m"), slow: true },
  { id: "hessian-bpr", title: "Hessian product of BPR without layers, all 1,000,209 rows, d 64, float64", prepare: prepare(0, "ml1m") },
];
