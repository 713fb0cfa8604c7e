// Runs notebooks in a fresh kernel, top to bottom, and writes their outputs back: the only way in which outputs get there.
//   node scripts/notebooks.mjs                    all of notebooks/*.ipynb
//   node scripts/notebooks.mjs 00-quickstart      one of them
//   node scripts/notebooks.mjs --check            run, write nothing, fail where a text output differs
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { basename, resolve } from "node:path";
import { register } from "tsx/esm/api";

const root = resolve(import.meta.dirname, "..");
const build = spawnSync(process.execPath, [resolve(root, "scripts/build.mjs"), "--notebooks"], { stdio: "inherit" });
if (build.status !== 0) process.exit(1);

register();
const { changedOutputs, executeNotebook, readNotebook, writeNotebook } = await import("../test/notebooks/notebook.ts");

const check = process.argv.includes("--check");
const wanted = process.argv.slice(2).filter((name) => !name.startsWith("--")).map((name) => `${basename(name, ".ipynb")}.ipynb`);
const names = wanted.length > 0 ? wanted : readdirSync(resolve(root, "notebooks")).filter((name) => name.endsWith(".ipynb")).sort();
for (const name of names) {
  const started = performance.now();
  try {
    const notebook = await executeNotebook(name, {}, (done, total) => {
      if (process.stderr.isTTY) process.stderr.write(`\r${name}: cell ${done} / ${total}`);
    });
    const changed = changedOutputs(readNotebook(name), notebook);
    if (!check) writeNotebook(name, notebook);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    process.stderr.write(`\r${name}: ${notebook.cells.length} cells in ${seconds} s, ${changed.length} text outputs ${check ? "differ" : "changed"}\n`);
    for (const line of changed) process.stderr.write(`${line}\n`);
    if (check && changed.length > 0) process.exitCode = 1;
  } catch (error) {
    process.stderr.write(`\r${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
