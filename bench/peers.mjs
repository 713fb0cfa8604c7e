// Ours against what people would run instead, in one run: interleaved ours, peer, ours, peer; answers compared before; roofs of
// the machine beside. docs/benchmarks.md says how to read it.
//   npm run build && node bench/peers.mjs                     every line on one thread, judged by CPU time
//   node bench/peers.mjs score --threads 2 --runs 7           lines whose name holds "score", on two threads, judged by wall time
//   node bench/peers.mjs --json FILE [--markdown]             the numbers in a file; Markdown on stdout
//   node bench/peers.mjs --list                               the names
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compareLine } from "./lib/compare.mjs";
import { parse, selected, writeJson } from "./lib/cli.mjs";
import { arrayFiles } from "./lib/files.mjs";
import { describe, load, machine } from "./lib/machine.mjs";
import { measureRoofs } from "./lib/roofs.mjs";
import { peersTable, roofsLine, roofsTable, scalingOfThreads, setupText } from "./lib/table.mjs";
import { attentionLines } from "./lines/attention.mjs";
import { bprLines } from "./lines/bpr.mjs";
import { graphLines } from "./lines/graph.mjs";
import { hessianLines } from "./lines/hessian.mjs";
import { knapsackLines } from "./lines/knapsack.mjs";
import { linearLines } from "./lines/linear.mjs";
import { scoreLines } from "./lines/score.mjs";

const LINES = [...scoreLines, ...graphLines, ...bprLines, ...attentionLines, ...knapsackLines, ...linearLines, ...hessianLines];

const options = parse(process.argv.slice(2), ["threads", "runs", "json"], ["markdown", "list"]);
const threads = Number(options.threads ?? 1), runs = Number(options.runs ?? 5);
const lines = selected(LINES, options.words);
const say = (text) => process.stderr.write(`${text}\n`);
if (options.list || lines.length === 0) {
  for (const { id, title } of LINES) process.stdout.write(`${id.padEnd(16)} ${title}\n`);
  process.exit(options.list ? 0 : 2);
}

const result = { program: "peers", machine: machine(), threads, runs, roofs: {}, lines: [] };
say(describe(result.machine));
result.roofs = measureRoofs(threads, say);
say(`roofs on ${threads} ${threads === 1 ? "thread" : "threads"}: ${roofsLine(result.roofs)}\n`);
for (const line of lines) {
  say(`-- ${line.id}: ${line.title}`);
  const folder = mkdtempSync(join(tmpdir(), "cragru-bench-"));
  const before = load();
  const found = await compareLine(line, { threads, runs, folder, roofs: result.roofs, files: arrayFiles(folder) }, say);
  rmSync(folder, { recursive: true, force: true });
  result.lines.push({ ...found, load: [before, load()] });
  const one = { ...result, lines: [found] };
  say(`${[found.setup.length > 0 ? `   set-up, once for many calls: ${setupText(found)}; load ${before} to ${load()}` : "", peersTable(one), roofsTable(one), scalingOfThreads(one)].filter((text) => text !== "").join("\n")}\n`);
  if (options.json) writeJson(options.json, result);
}
if (options.markdown) process.stdout.write(`${[peersTable, roofsTable, scalingOfThreads].map((table) => table(result, true)).filter((text) => text !== "").join("\n\n")}\n`);
