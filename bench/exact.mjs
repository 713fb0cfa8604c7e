// What exact forgetting costs in EASE: a fit, one user, one row, a hundred users at once, the drift after all of it, and a list before and
// after the serving copy is made again. Wall times; medians where a line is done several times. Work by plain TypeScript but for the
// fit and batches (kernels gram, cholesky, rankUpdate).
//   npm run build && node bench/exact.mjs ml-100k ml-1m          (from CRAGRU_DATA, or downloaded before)
//   node bench/exact.mjs synthetic --json                        as JSON on stdout
import { ease, formatSeconds, loadDataset, loadKernels, splitDataset } from "../dist/index.js";
import { describe, machine } from "./lib/machine.mjs";

const USERS = 41, ROWS = 21, BATCH = 100;
const args = process.argv.slice(2), names = args.filter((word) => !word.startsWith("--")), json = args.includes("--json");
const on = machine(), kernels = loadKernels(), results = [];
const say = (text) => { if (!json) process.stdout.write(`${text}\n`); };
const timed = async (work) => {
  const start = performance.now();
  const value = await work();
  return [(performance.now() - start) / 1000, value];
};
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

say(`${describe(on)}; ${kernels.device}`);
for (const name of names.length > 0 ? names : ["ml-100k"]) {
  const dataset = await loadDataset(name), { train } = splitDataset(dataset, { seed: 2020 });
  const users = train.presentUsers();
  const [fit, model] = await timed(() => ease({ lambda: dataset.itemCount > 3000 ? 1000 : 400 }).fit(train, { kernels }));
  const forget = async (rows) => (await timed(() => model.change({ gone: rows })))[0];
  const user = [], row = [];
  for (const one of users.slice(0, USERS)) user.push(await forget(train.of(one)));
  for (const one of users.slice(USERS, USERS + ROWS)) row.push(await forget(train.of(one).slice(0, 1)));
  const batch = users.slice(USERS + ROWS, USERS + ROWS + BATCH);
  const hundred = await forget(batch.reduce((rows, one) => rows.union(train.of(one)), train.of(batch[0])));
  const asked = [users.at(-1)];
  const [first] = await timed(() => model.recommend(asked, 10)), [next] = await timed(() => model.recommend(asked, 10));
  const drift = await model.drift();
  results.push({ name, items: dataset.itemCount, rows: train.length, seconds: { fit, user: median(user), row: median(row), hundred, first, next }, drift });
  say(`${name}, ${train.length.toLocaleString("en-US")} rows, ${dataset.itemCount.toLocaleString("en-US")} items: fit ${formatSeconds(fit)}; forget a user ${formatSeconds(median(user))}, `
    + `a row ${formatSeconds(median(row))}, ${BATCH} users ${formatSeconds(hundred)}; first list afterwards ${formatSeconds(first)}, the next ${formatSeconds(next)}; drift ${drift.toExponential(1)}`);
}
if (json) process.stdout.write(`${JSON.stringify({ machine: on, device: kernels.device, results })}\n`);
