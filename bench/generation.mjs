// What generation costs beside the language model: users a second of the embedded ranker on one core, prompts a second through the
// scheduler with an engine that answers at once, in the process and behind HTTP, with and without a journal; and memory over 100,000
// streamed prompts. Prompts of 100 history rows and 50 candidates on an invented catalogue.
//   npm run build && node bench/generation.mjs                 all of it, about two minutes
//   node bench/generation.mjs embedded --runs 9                one line: embedded, scheduler, http, journal, memory
//   node bench/generation.mjs memory --users 20000 --json FILE
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { buildPrompts, embedded, generateAll, generateEach, journaled, loadDataset, ollama } from "../dist/index.js";
import { random } from "./lib/data.mjs";
import { parse, selected, writeJson } from "./lib/cli.mjs";
import { collect, describe, machine, timed } from "./lib/machine.mjs";
import { median } from "./lib/statistics.mjs";

const options = parse(process.argv.slice(2), ["runs", "users", "json"], []);
const runs = Number(options.runs ?? 5), users = Number(options.users ?? 100_000);
const HISTORY = 100, CANDIDATES = 50, BLOCK = 200;
const result = { program: "generation", machine: machine(), runs, lines: [] };
const say = (text) => process.stdout.write(`${text}\n`);
say(describe(result.machine));

const dataset = await loadDataset("synthetic", { synthetic: { users: 400, items: 2000, meanPerUser: 200, minPerUser: 100 } });
const uniform = random(1);

/** Prompts of `count` users from `first` on; histories and candidates are drawn anew for each. */
async function prompts(first, count) {
  const evidence = [], candidates = [];
  for (let at = first; at < first + count; at++) {
    const user = at % dataset.userCount, own = dataset.of(user), skip = Math.floor(uniform() * Math.max(1, own.length - HISTORY));
    evidence.push(own.filter((row) => row >= skip && row < skip + HISTORY));
    const items = new Set();
    while (items.size < CANDIDATES) items.add(Math.floor(uniform() * dataset.itemCount));
    candidates.push({ user, items: Uint32Array.from(items), scores: Float32Array.from(items, (_, place) => 5 - Math.log(place + 1)) });
  }
  return buildPrompts({ dataset, evidence, candidates });
}

async function* stream(count) {
  for (let first = 0; first < count; first += BLOCK) yield* await prompts(first, Math.min(BLOCK, count - first));
}

/** An engine that answers at once. */
async function instant(prompt) {
  const { completions: [completion] } = await generateAll([prompt], embedded());
  return {
    name: "instant", concurrency: 8, describe: async () => completion.engine, close: async () => {},
    generate: async ({ user }) => ({ ...completion, user }),
  };
}

async function withServer(use) {
  const child = spawn(process.execPath, [fileURLToPath(new URL("lib/instant.mjs", import.meta.url))], { stdio: ["pipe", "pipe", "inherit"] });
  try {
    const [host] = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next().then(({ value }) => [value]);
    return await use(ollama({ model: "instant", host, concurrency: 16, numCtx: 8192, mode: "listwise" }));
  } finally {
    child.stdin.end();
  }
}

function add(line) {
  result.lines.push(line);
  if (options.json) writeJson(options.json, result);
  say(`${line.title.padEnd(62)} ${line.text}${line.goal ? `   goal ${whole(line.goal)}: ${line.value >= line.goal ? "reached" : "missed"}` : ""}`);
}

const whole = (number) => Math.round(number).toLocaleString("en-US");

/**
 * Median rates of `runs` runs over the same prompts, after one warm-up: by the clock, and by CPU time of this process, which is what one
 * core does whatever else the machine is busy with. The goal is about the one named by `key`.
 */
async function rate(id, title, all, work, { goal, key = "wallMs" } = {}) {
  const rates = { wallMs: [], cpuMs: [] };
  for (let run = 0; run <= runs; run++) {
    const measured = await timed(() => work(run));
    for (const one of Object.keys(rates)) if (run > 0) rates[one].push(all.length / (measured[one] / 1000));
  }
  const text = (values) => `${whole(median(values))}/s (${whole(Math.min(...values))} to ${whole(Math.max(...values))})`;
  add({ id, title, value: median(rates[key]), rates, key, goal, text: `${text(rates.wallMs)}, by CPU time ${text(rates.cpuMs)}` });
}

const LINES = [
  { id: "embedded", title: "embedded ranker", async run() {
    const all = await prompts(0, 4000), generator = embedded();
    await rate("embedded", "embedded ranker, users", all, async () => { for (const prompt of all) await generator.generate(prompt); }, { goal: 10_000, key: "cpuMs" });
  } },
  { id: "scheduler", title: "scheduler", async run() {
    const all = await prompts(0, 2000), generator = await instant(all[0]), many = Array.from({ length: 20 }, () => all).flat();
    await rate("scheduler", "scheduler, an engine in the process that answers at once", many, () => generateAll(many, generator), { goal: 2000 });
    await rate("scheduler-stream", "the same, prompts from an iterator", many, () => generateEach(many.values(), generator), { goal: 2000 });
  } },
  { id: "http", title: "http", async run() {
    const all = await prompts(0, 2000);
    await withServer((generator) => rate("http", "ollama client, a server in another process that answers at once", all, () => generateAll(all, generator), { goal: 2000 }));
  } },
  { id: "journal", title: "journal", async run() {
    const all = await prompts(0, 2000), folder = mkdtempSync(join(tmpdir(), "cragru-bench-"));
    try {
      const generator = await instant(all[0]);
      const last = (run) => journaled(generator, join(folder, `${run}.jsonl`));
      await rate("journal", "scheduler, instant engine, each answer journaled", all, async (run) => { const one = last(run); await generateAll(all, one); await one.close(); });
      await rate("resume", "the same answers from the journal", all, async (run) => { const one = last(run); await generateAll(all, one); await one.close(); });
    } finally {
      rmSync(folder, { recursive: true });
    }
  } },
  { id: "memory", title: "memory", async run() {
    const series = [], step = Math.max(1, Math.floor(users / 10));
    collect();
    const started = performance.now();
    await generateEach(stream(users), embedded(), { onCompletion: (_, index) => {
      if ((index + 1) % step) return;
      collect();
      series.push(Math.round(process.memoryUsage.rss() / 2 ** 20));
    } });
    const growth = series.at(-1) - series[1];
    add({ id: "memory", title: `memory, ${users.toLocaleString("en-US")} users streamed, embedded`, value: growth, series,
      text: `RSS ${series.join(" ")} MiB at each tenth; ${whole(users / ((performance.now() - started) / 1000))} users/s with making the prompts` });
  } },
];
for (const line of selected(LINES, options.words)) await line.run();
