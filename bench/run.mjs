// Medians of the hot verbs on invented data, for one machine and one build: a number here compares with another of the same
// machine only.
//   npm run build && node bench/run.mjs            all workloads
//   node bench/run.mjs bpr --json                  those whose name holds "bpr", as JSON on stdout
import { cpus } from "node:os";
import {
  attentionRetriever, bpr, Cragru, describeNative, embedded, evalMask, evaluate, lightGcn, loadDataset, loadKernels,
  preferenceRetriever, referenceKernels, splitDataset,
} from "../dist/index.js";

const ROUNDS = 5;
const words = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const kernels = loadKernels();
const faces = kernels.face === "js" ? [kernels] : [kernels, referenceKernels()];

const dataset = await loadDataset("synthetic", { synthetic: { users: 1000, items: 1500, meanPerUser: 100 } });
const split = splitDataset(dataset);
const users = split.test.presentUsers();
const once = { epochs: 1, evaluateEvery: 1 };

/** name -> a function that prepares and returns what is timed */
const workloads = {
  "split, 100,000 rows": () => () => splitDataset(dataset),
  ...Object.fromEntries(faces.flatMap((face) => [
    [`bpr, one epoch, ${face.face}`, () => () => bpr(once).fit(split.train, { kernels: face })],
    [`lightgcn, one epoch, ${face.face}`, () => () => lightGcn(once).fit(split.train, { kernels: face })],
    [`lists of 50 for 1,000 users, ${face.face}`, async () => {
      const model = await bpr(once).fit(split.train, { kernels: face });
      return () => model.recommend(users, 50, { mask: split.train });
    }],
  ])),
  ...Object.fromEntries([attentionRetriever, preferenceRetriever].map((retriever) => [`prompts of 1,000 users, ${retriever({ budget: 50 }).name}`, async () => {
    const method = new Cragru({ backbone: bpr(once), retriever: retriever({ budget: 50 }), generator: embedded(), kernels });
    await method.learn(split);
    return () => method.prompts(users);
  }])),
  "answers of 1,000 users, embedded": async () => {
    const method = new Cragru({ backbone: bpr(once), retriever: preferenceRetriever({ budget: 50 }), generator: embedded(), kernels });
    await method.learn(split);
    const prompts = await method.prompts(users);
    return () => method.rank(prompts);
  },
  "evaluate, 1,000 users": async () => {
    const model = await bpr(once).fit(split.train, { kernels });
    const lists = await model.recommend(users, 50, { mask: split.train });
    return () => evaluate(lists, split.test, undefined, { mask: evalMask(split) });
  },
};

const results = [];
for (const [name, prepare] of Object.entries(workloads)) {
  if (words.length > 0 && !words.some((word) => name.includes(word))) continue;
  const work = await prepare();
  await work();
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    await work();
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  const row = { name, medianMs: times[ROUNDS >> 1], lowMs: times[0], highMs: times[ROUNDS - 1] };
  results.push(row);
  process.stderr.write(`${name.padEnd(44)} ${row.medianMs.toFixed(1).padStart(9)} ms   ${row.lowMs.toFixed(1)} to ${row.highMs.toFixed(1)}\n`);
}
const machine = { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, node: process.version, device: describeNative().device };
if (process.argv.includes("--json")) process.stdout.write(`${JSON.stringify({ machine, rounds: ROUNDS, results }, null, 2)}\n`);
else process.stderr.write(`median of ${ROUNDS} after one warm-up; ${machine.cpu}, ${machine.cores} cores, node ${machine.node}, ${machine.device}\n`);
