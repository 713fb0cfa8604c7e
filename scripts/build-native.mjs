// Builds the native addon with what this machine has: cmake-js where CMake is (CPU, and the CUDA part where nvcc is), else
// node-gyp (CPU), else nothing and one sentence, since everything also runs on the TypeScript face. Downloads nothing where
// Node brings its headers. Does nothing when the addon was built from these very sources.
//   node scripts/build-native.mjs [--force]
//   CRAGRU_NATIVE=auto (default) | required (fails without an addon) | off | cmake-js | node-gyp (that way only, required)
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const at = (...parts) => join(root, ...parts);
const say = (text) => process.stderr.write(`native: ${text}\n`);
const MODES = ["auto", "required", "off", "cmake-js", "node-gyp"];

/** Runs a program silently; what it printed is kept for the case of failure. */
function run(command, args) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 64 << 20, stdio: ["ignore", "pipe", "pipe"] });
  return { ok: status === 0, output: error ? error.message : `${stdout}${stderr}` };
}

function installed(path) {
  try {
    return createRequire(at("package.json")).resolve(path);
  } catch {
    return undefined;
  }
}

/** node-gyp wants full headers: most installations of Node have them two folders above the binary; only else it downloads. */
function nodeHeaders() {
  const prefix = resolve(realpathSync(process.execPath), "../..");
  return existsSync(join(prefix, "include/node/common.gypi")) ? [`--nodedir=${prefix}`] : [];
}

const runs = (...commands) => commands.some((command) => run(command, ["--version"]).ok);

/** On Windows the build tools find the compiler by themselves. */
const compilerMissing = () =>
  process.platform === "win32" || runs(...(process.env.CXX ? [process.env.CXX.split(" ")[0]] : []), "c++", "g++", "clang++") ? undefined : "no C++ compiler";

const ways = [
  {
    name: "cmake-js",
    cli: "cmake-js/bin/cmake-js",
    args: () => ["compile", "--out", "build/cmake", "--parallel", String(availableParallelism())],
    addon: "build/cmake/Release/cragru.node",
    needs: () => compilerMissing() ?? (runs("cmake") ? undefined : "no CMake"),
  },
  {
    // Its `rebuild` empties build/, which is why CMake writes to a folder that is built first and kept when it worked.
    name: "node-gyp",
    cli: "node-gyp/bin/node-gyp.js",
    args: () => ["rebuild", "--jobs", String(availableParallelism()), ...nodeHeaders()],
    addon: "build/Release/cragru.node",
    needs: () => compilerMissing() ?? (runs("python3", "python") ? undefined : "no Python"),
  },
];

/** Digest of everything that goes into the addon: contents, not times. */
function sourcesDigest(name) {
  const files = readdirSync(at("native"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .concat(["CMakeLists.txt", "binding.gyp"].map((file) => at(file)).filter((file) => existsSync(file)))
    .sort();
  const hash = createHash("sha256").update(JSON.stringify([name, process.platform, process.arch, process.versions.modules]));
  for (const file of files) hash.update(`${file.slice(root.length)}\0`).update(readFileSync(file)).update("\0");
  return hash.digest("hex");
}

const stampOf = (way) => `${at(way.addon)}.sources`;

function isFresh(way) {
  return existsSync(at(way.addon)) && existsSync(stampOf(way)) && readFileSync(stampOf(way), "utf8") === sourcesDigest(way.name);
}

/** In a child: a binary that crashes at load is a failed build and must not take this process along. */
function loads(way) {
  const code = `const addon = require(${JSON.stringify(at(way.addon))}); if (typeof addon.describe !== "function") throw new Error("no describe()");`;
  return run(process.execPath, ["-e", code]);
}

/** undefined when the addon stands, else why it does not. */
function build(way) {
  const cli = installed(way.cli);
  if (!cli) return `${way.name}: the package is not installed`;
  const missing = way.needs();
  if (missing) return `${way.name}: ${missing}`;
  const built = run(process.execPath, [cli, ...way.args()]);
  if (!built.ok) {
    say(`${way.name} failed:\n${built.output.trimEnd()}`);
    return `${way.name} failed (above)`;
  }
  const loaded = loads(way);
  if (!loaded.ok) {
    say(`the addon built with ${way.name} does not load:\n${loaded.output.trimEnd()}`);
    return `${way.name}: the addon does not load (above)`;
  }
  mkdirSync(dirname(stampOf(way)), { recursive: true });
  writeFileSync(stampOf(way), sourcesDigest(way.name));
  return undefined;
}

const mode = process.env.CRAGRU_NATIVE || "auto";
const force = process.argv.includes("--force");
if (!MODES.includes(mode)) {
  say(`CRAGRU_NATIVE=${mode} is unknown; it is one of ${MODES.join(", ")}.`);
  process.exitCode = 2;
} else if (mode !== "off") {
  const chosen = ways.filter((way) => mode === "auto" || mode === "required" || mode === way.name);
  const fresh = force ? undefined : chosen.find(isFresh);
  const reasons = [];
  const built = fresh ?? chosen.find((way) => {
    const reason = build(way);
    if (reason) reasons.push(reason);
    return reason === undefined;
  });
  if (!built) {
    say(`no addon was built (${reasons.join("; ")}). Everything runs on the TypeScript face, only slower; for the native one install a C++ compiler and CMake or Python 3.`);
    if (mode !== "auto") process.exitCode = 1;
  } else if (built !== fresh) {
    say(`built with ${built.name}`);
  }
}
