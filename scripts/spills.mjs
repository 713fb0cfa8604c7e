// Looks into the machine code of the inner loops: a vector register that goes to the stack inside an innermost loop with
// multiply-adds is a sum that no longer fits, and costs up to three times the speed. Compilers do it without a word.
//   node scripts/spills.mjs FOLDER [--all]      a CMake build folder; x86-64 with objdump only; --all: also loops that are no tile
// Exit status 1 where a function of TILES has such a loop.
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";

// Those whose sums are meant to fill the registers. Others may keep a local array on the stack on purpose.
const TILES = { multiplyFloats: "score", multiplyIntegers: "score", hopRow: "propagate", subtractTile: "cholesky", logitsOf: "attention", assignPanel: "kmeans" };
const folder = process.argv[2] ?? "build/core", all = process.argv.includes("--all");
const objects = readdirSync(folder, { recursive: true }).filter((name) => /isa_avx[^/]*\.dir.*_blocks\.cpp\.o$/.test(name)).sort();
if (objects.length === 0) throw new Error(`no objects of vector instruction sets under ${folder}`);

const STORE = /^vmov\S+\s+%[xyz]mm\d+,-?(0x[0-9a-f]+)?\(%r[sb]p/, MULTIPLY = /^(vfn?madd|vfn?msub|vpdpbusd)/;
/** Lines of one function: { at, text }. Innermost loops are the spans of a jump back that hold no other such span. */
function spillsOf(lines) {
  const loops = lines.flatMap(({ at, text }, end) => {
    const jump = /^j\S+\s+([0-9a-f]+)/.exec(text), target = jump ? parseInt(jump[1], 16) : Infinity;
    const start = target <= at ? lines.findIndex((line) => line.at === target) : -1;
    return start >= 0 ? [{ start, end }] : [];
  });
  const inner = loops.filter((loop) => !loops.some((other) => other !== loop && other.start >= loop.start && other.end <= loop.end));
  return inner.flatMap(({ start, end }) => {
    const body = lines.slice(start, end + 1).map(({ text }) => text);
    const spills = body.filter((text) => STORE.test(text)).length, work = body.filter((text) => MULTIPLY.test(text)).length;
    return spills > 0 && work > 0 ? [`${spills} stores beside ${work} multiply-adds in a loop of ${body.length} instructions`] : [];
  });
}

const names = new Set(Object.keys(TILES));
let found = 0, functions = 0;
for (const object of objects) {
  const listing = execFileSync("objdump", ["-dC", "--no-show-raw-insn", join(folder, object)], { encoding: "utf8", maxBuffer: 256 << 20 });
  for (const part of listing.split(/\n(?=[0-9a-f]+ <.*>:\n)/).slice(1)) {
    const [head, ...rest] = part.split("\n");
    const lines = rest.flatMap((line) => {
      const match = /^\s*([0-9a-f]+):\t(.*)$/.exec(line);
      return match ? [{ at: parseInt(match[1], 16), text: match[2].trim() }] : [];
    });
    const tile = Object.keys(TILES).find((name) => head.includes(name));
    names.delete(tile);
    if (!tile && !all) continue;
    functions++;
    for (const spill of spillsOf(lines)) {
      if (tile) found++;
      process.stdout.write(`${object.replace(/^.*isa_/, "").replace(".dir/native/cpu/", " ")}: ${head.replace(/^\S+ <|>:$/g, "").replace(/\(.*/, "")}: ${spill}\n`);
    }
  }
}
if (names.size > 0) process.stdout.write(`no function is called ${[...names].join(", ")}: was it renamed?\n`);
process.stdout.write(`${functions} functions of ${objects.length} objects, ${found} loops of register tiles with spills\n`);
process.exitCode = found > 0 || names.size > 0 ? 1 : 0;
