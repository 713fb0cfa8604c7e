// Sanity of the backbones: HR@10 and NDCG@10 by full ranking on the test rows, train and valid masked, nothing forgotten;
// one keyed 70/10/20 split and one fit a seed, early stopping on valid. Beside ML-100K stand the means of three seeds of an
// independent implementation; the two differ in their splits and draws, so about .01 apart is agreement. About a minute.
//   npm run build && node bench/sanity.mjs ml-100k --seeds 1,2,3     (the data set is read from CRAGRU_DATA or downloaded before)
//   node bench/sanity.mjs synthetic --json                           means and values by seed as JSON on stdout
import { cpus } from "node:os";
import {
  bpr, describeNative, ease, evalMask, evaluate, itemKnn, lightGcn, loadDataset, loadKernels, popularityBackbone, splitDataset,
} from "../dist/index.js";

const METRICS = ["hr@10", "ndcg@10"];
const REFERENCE = {
  "ml-100k": { popularity: [0.747, 0.212], itemknn: [0.899, 0.377], bpr: [0.91, 0.393], lightgcn: [0.917, 0.397], ease: [0.916, 0.418] },
};

const args = process.argv.slice(2);
const at = args.indexOf("--seeds");
const seeds = (at < 0 ? "1,2,3" : args[at + 1] ?? "").split(",").map(Number);
const name = args.find((word, place) => !word.startsWith("--") && (at < 0 || place !== at + 1)) ?? "ml-100k";
const kernels = loadKernels();
const dataset = await loadDataset(name);

/** One backbone on one split: its values, the epoch it kept, and the seconds of fit and lists. */
async function measure(backbone, split, seed) {
  const started = performance.now();
  const model = await backbone.fit(split.train, { valid: split.valid, seed, kernels });
  const users = split.test.presentUsers();
  const lists = await model.recommend(users, 10, { mask: evalMask(split) });
  const found = evaluate(lists, split.test, METRICS, { users });
  return {
    values: METRICS.map((metric) => found.metrics[metric].value), users: found.n,
    epoch: model.report.bestEpoch, seconds: (performance.now() - started) / 1000,
  };
}

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
const pair = (values) => values.map((value) => value.toFixed(4).slice(1)).join("/");
const results = {};
const out = args.includes("--json") ? process.stderr : process.stdout; // stdout is the data, whichever form is asked for
for (const backbone of [popularityBackbone(), itemKnn(), bpr(), lightGcn(), ease({ lambda: dataset.itemCount > 3000 ? 1000 : 400 })]) {
  const runs = [];
  for (const seed of seeds) {
    const run = await measure(backbone, splitDataset(dataset, { seed, forget: { unit: "interactions", ratio: 0 } }), seed);
    runs.push({ seed, ...run });
    out.write(`${backbone.name.padEnd(11)} seed ${seed}  ${pair(run.values)}  ${run.users} users  epoch ${run.epoch}  ${run.seconds.toFixed(1)} s\n`);
  }
  const means = METRICS.map((_, metric) => mean(runs.map(({ values }) => values[metric])));
  results[backbone.name] = { means, reference: REFERENCE[name]?.[backbone.name], runs };
  const beside = REFERENCE[name]?.[backbone.name];
  out.write(`${backbone.name.padEnd(11)} mean    ${pair(means)}${beside ? `  reference ${pair(beside)}` : ""}\n`);
}
const machine = { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, node: process.version, device: describeNative().device };
if (args.includes("--json")) process.stdout.write(`${JSON.stringify({ machine, dataset: name, metrics: METRICS, results }, null, 2)}\n`);
else out.write(`HR@10/NDCG@10; ${machine.cpu}, ${machine.cores} cores, node ${machine.node}, ${machine.device}\n`);
