// Puts results into docs/benchmarks.md: between the marks <!-- table: NAME --> and <!-- end --> stands what the JSON file of a program gives,
// nothing by hand. NAME is peers-1, peers-2 or scaling.
//   node bench/document.mjs peers-1=FILE.json peers-2=FILE.json scaling=FILE.json
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe } from "./lib/machine.mjs";
import { peersTable, roofsLine, roofsTable, scalingOfThreads, scalingTable } from "./lib/table.mjs";

const DOCUMENT = fileURLToPath(new URL("../docs/benchmarks.md", import.meta.url));

function peers(result) {
  const loads = result.lines.flatMap((line) => line.load);
  return [
    `${describe(result.machine)}, from ${Math.min(...loads)} to ${Math.max(...loads)} during the run; ${result.runs} runs each, ${result.threads} ${result.threads === 1 ? "thread" : "threads"}.`,
    `Roofs in the same run: ${roofsLine(result.roofs)}.`,
    peersTable(result, true), roofsTable(result, true), scalingOfThreads(result, true),
  ].filter((part) => part !== "").join("\n\n");
}

const render = { peers, scaling: (result) => `${describe(result.machine)}; median of ${result.runs} runs.\n\n${scalingTable(result, true)}` };

let text = readFileSync(DOCUMENT, "utf8");
for (const word of process.argv.slice(2)) {
  const [name, path] = word.split("=");
  const result = JSON.parse(readFileSync(path, "utf8"));
  const from = text.indexOf(`<!-- table: ${name} -->`), to = text.indexOf("<!-- end -->", from);
  if (from < 0 || to < 0) throw new Error(`docs/benchmarks.md has no place called ${name}`);
  text = `${text.slice(0, from)}<!-- table: ${name} -->\n${render[result.program](result)}\n${text.slice(to)}`;
}
writeFileSync(DOCUMENT, text);
