// How the time of each kernel grows with each size of its input, and falls with threads: the slope of time against size on
// logarithmic axes beside the exponent of its cost formula. One thread by CPU time; threads by wall time.
//   npm run build && node bench/scaling.mjs                    all of it, some minutes
//   node bench/scaling.mjs scoreTopK --runs 5                  one kernel
//   node bench/scaling.mjs --json FILE [--markdown]            the numbers in a file; Markdown on stdout
import { availableParallelism } from "node:os";
import { loadKernels } from "../dist/index.js";
import { parse, selected, writeJson } from "./lib/cli.mjs";
import { describe, machine, timed } from "./lib/machine.mjs";
import { SERIES, THREADS } from "./lib/series.mjs";
import { exponent, median } from "./lib/statistics.mjs";
import { scalingTable } from "./lib/table.mjs";

const options = parse(process.argv.slice(2), ["runs", "json"], ["markdown"]);
const runs = Number(options.runs ?? 3);
const say = (text) => process.stderr.write(`${text}\n`);
const result = { program: "scaling", machine: machine(), runs, series: [] };
say(describe(result.machine));

async function medianMs(kernels, prepare, key) {
  const run = await prepare(kernels);
  await run();
  const times = [];
  for (let round = 0; round < runs; round++) times.push((await timed(run))[key]);
  return median(times);
}

function sentence({ values, ms, expected, noun }, slope) {
  const factor = values.at(-1) / values[0], grown = ms.at(-1) / ms[0];
  const growth = `${Number(factor.toPrecision(3))} times the ${noun} take ${Number(grown.toPrecision(2))} times the time`;
  const gap = slope - expected;
  if (Math.abs(gap) < 0.15) return `${growth}, as its formula says.`;
  return gap < 0 ? `${growth}, less than its formula says: what does not grow weighs on the small sizes.` : `${growth}, more than its formula says: the larger sizes leave the caches.`;
}

function add(one) {
  result.series.push(one);
  say(`${one.kernel.padEnd(18)} ${one.variable.padEnd(11)} ${one.failed ?? `${one.ms.map((ms) => ms.toPrecision(3)).join(" ")}   exponent ${one.exponent.toFixed(2)}`}`);
  if (options.json) writeJson(options.json, result);
}

const single = loadKernels({ threads: 1 });
for (const series of selected(SERIES, options.words)) {
  const { kernel, variable, values, expected } = series, ms = [];
  try {
    for (const value of values) ms.push(await medianMs(single, (kernels) => series.prepare(kernels, value), "cpuMs"));
    const slope = exponent(values, ms);
    add({ kernel, variable, values, expected, ms, exponent: slope, sentence: sentence({ ...series, ms }, slope) });
  } catch (error) {
    add({ kernel, variable, values, failed: `not run (${error.message})` });
  }
}
const threads = Array.from({ length: Math.min(8, availableParallelism()) }, (_, at) => at + 1).filter((count) => (count & (count - 1)) === 0);
for (const series of threads.length > 1 ? selected(THREADS, options.words) : []) {
  const ms = [];
  try {
    for (const count of threads) ms.push(await medianMs(loadKernels({ threads: count }), series.prepare, "wallMs"));
    const faster = (ms[0] / ms.at(-1)).toFixed(2);
    add({ kernel: series.kernel, variable: "threads", values: threads, expected: -1, ms, exponent: exponent(threads, ms), sentence: `${threads.at(-1)} threads are ${faster} times as fast as one.` });
  } catch (error) {
    add({ kernel: series.kernel, variable: "threads", values: threads, failed: `not run (${error.message})` });
  }
}
if (options.markdown) process.stdout.write(`${scalingTable(result, true)}\n`);
