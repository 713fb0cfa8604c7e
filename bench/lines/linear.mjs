import { normals, positives, ridgeGram } from "../lib/data.mjs";
import { closeToAll } from "../lib/files.mjs";

const LAMBDA = 1000, K = 50;

function counts(name) {
  return async (bench) => {
    const { csr, itemCount } = positives("ml1m");
    bench.writeCsr("positives", csr);
    const options = { size: itemCount, k: K };
    const peers = name === "gram"
      ? [{ form: "usual", program: "linear", options: { ...options, form: "gram-sparse" } }, { form: "strong", program: "linear", options: { ...options, form: "gram-dense" } }]
      : [{ form: "usual", program: "linear", options: { ...options, form: "cooccurrence" } }];
    return {
      variants: [{
        name: "counts",
        load: async (kernels) => {
          const held = await kernels.hold({ ...csr, columnCount: itemCount });
          const input = { positives: held, columnCount: itemCount };
          return { run: () => (name === "gram" ? kernels.gram(input) : kernels.itemCooccurrence({ ...input, k: K })) };
        },
      }],
      peers,
      check: ({ counts: ours }, answersOf) => closeToAll("counts", name === "gram" ? ours : ours.counts, answersOf("counts.u32"), 0),
    };
  };
}

async function inverse(bench) {
  const data = positives("ml1m"), size = data.itemCount, matrix = ridgeGram(data, size, LAMBDA);
  bench.write("matrix.f64", matrix);
  const options = { size };
  return {
    variants: [{
      name: "inverse", roof: { name: "dgemm", work: size ** 3 },
      load: async (kernels) => ({ run: () => kernels.cholesky({ matrix, size, output: "inverse" }) }),
    }],
    peers: [{ form: "strong", program: "linear", options: { ...options, form: "inverse" } }, { form: "usual", program: "linear", options: { ...options, form: "numpy-inverse" } }],
    check: ({ inverse: ours }, answersOf) => closeToAll("inverse", ours, answersOf("matrix.f64"), 1e-10),
  };
}

/** P minus `rank` small outer products, in place; what was changed stays changed, so the values drift a little from run to run. */
function rankUpdate(rank, shape) {
  return async (bench) => {
    const data = positives(shape), size = data.itemCount, weight = -1e-3;
    const matrix = ridgeGram(data, size, LAMBDA), vectors = normals(Float64Array, rank * size, 8);
    bench.write("matrix.f64", matrix);
    bench.write("vectors.f64", vectors);
    const peer = (form, name) => ({ form, program: "linear", options: { size, form: name, weight } });
    return {
      variants: [{
        name: "in place", roof: rank > 1 ? { name: "dgemm", work: rank * size * (size + 1) } : { name: "triad", work: 8 * size * (size + 1) },
        load: async (kernels) => {
          const held = await kernels.hold(matrix);
          let first = true;
          return {
            run: async () => {
              const nothing = await kernels.rankUpdate({ matrix: held, size, vectors, weights: new Float64Array(rank).fill(weight) });
              if (!first) return nothing;
              first = false;
              return held.read();
            },
          };
        },
      }],
      peers: rank > 1 ? [peer("usual", "rank-numpy"), peer("strong", "rank-dsyrk")] : [peer("usual", "rank-numpy"), peer("strong", "rank-dger"), peer("one triangle", "rank-dsyr")],
      check: (results, answersOf) => closeToAll("matrix", results["in place"], answersOf("matrix.f64"), 1e-12),
    };
  };
}

export const linearLines = [
  { id: "gram", title: "Gram matrix X'X in exact counts, 6,040 x 3,706 x 1,000,209", prepare: counts("gram") },
  { id: "cooccurrence", title: "the 50 columns that share most rows with each, same shape", prepare: counts("cooccurrence") },
  { id: "inverse", title: "inverse of a positive definite matrix of order 3,706", prepare: inverse, slow: true },
  { id: "rank-1", title: "rank-1 update in place, order 3,706", prepare: rankUpdate(1, "ml1m") },
  { id: "rank-1-small", title: "rank-1 update in place, order 1,682", prepare: rankUpdate(1, "ml100k") },
  { id: "rank-100", title: "rank-100 update in place, order 3,706", prepare: rankUpdate(100, "ml1m") },
];
