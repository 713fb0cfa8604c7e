// What `prepare`, `prestart` and `pretest` call: brings the build up to date, step by step, and says nothing when there is
// nothing to do. A named script and not an install hook, so that it also serves machines where npm runs no install scripts.
//   node scripts/build.mjs              TypeScript to dist/, then the native core
//   node scripts/build.mjs --force      both, even when they look fresh
//   node scripts/build.mjs --notebooks  also the notebook kernel's own packages
//   node scripts/build.mjs --engine     also the language model engine of the tests, where it can be installed
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const at = (...parts) => join(root, ...parts);
const say = (text) => process.stderr.write(`build: ${text}\n`);

class BuildFailure extends Error {}

/** Files below a folder (or the file itself), sorted, without what an editor leaves behind. */
function filesOf(...names) {
  return names.flatMap((name) => {
    if (!existsSync(at(name))) return [];
    if (!name.endsWith("/")) return [name];
    return readdirSync(at(name), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !/^\.|~$/.test(entry.name))
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"));
  }).sort();
}

/** Contents, not times: a checkout, a copy or a restored cache changes times and nothing else. */
function digest(files, ...more) {
  const hash = createHash("sha256").update(JSON.stringify(more));
  for (const file of files) hash.update(`${file}\0`).update(createHash("sha256").update(readFileSync(at(file))).digest());
  return hash.digest("hex");
}

const isFresh = (stamp, value) => existsSync(at(stamp)) && readFileSync(at(stamp), "utf8") === value;

function mark(stamp, value) {
  mkdirSync(dirname(at(stamp)), { recursive: true });
  writeFileSync(at(stamp), value);
}

const seconds = (started) => `${((performance.now() - started) / 1000).toFixed(1)} s`;

function timed(label, work) {
  const started = performance.now();
  work();
  say(`${label} (${seconds(started)})`);
}

function compilerPath() {
  try {
    // By path: a notebook kernel beside us may own the name `tsc` in node_modules/.bin.
    return createRequire(at("package.json")).resolve("typescript/bin/tsc");
  } catch {
    return undefined;
  }
}

/** dist/ from src/, all or nothing: a failing compile leaves the last good dist untouched. */
function buildTypeScript(force) {
  const sources = filesOf("src/").filter((file) => /\.(ts|mts|json)$/.test(file));
  const built = existsSync(at("dist/index.js")) || existsSync(at("dist/cli/main.js"));
  if (sources.length === 0) {
    if (!built) throw new BuildFailure("there is neither src/ nor dist/; the package is incomplete. Install it again.");
    return;
  }
  const compiler = compilerPath();
  if (!compiler) {
    if (!built) throw new BuildFailure("dist/ is missing and the TypeScript compiler is not installed. Run `npm ci` with devDependencies.");
    return;
  }
  const version = JSON.parse(readFileSync(join(dirname(compiler), "../package.json"), "utf8")).version;
  const value = digest([...sources, "tsconfig.json"], version);
  if (!force && built && isFresh("dist/.sources", value)) return;
  timed("TypeScript compiled to dist/", () => {
    const { status } = spawnSync(process.execPath, [compiler, "-p", at("tsconfig.json"), "--noEmitOnError"], { cwd: root, stdio: ["ignore", 2, 2] });
    if (status !== 0) throw new BuildFailure("the TypeScript compiler found errors (above); dist/ was not changed.");
    removeOrphans(sources);
  });
  if (existsSync(at("dist/cli/main.js"))) chmodSync(at("dist/cli/main.js"), 0o755);
  mark("dist/.sources", value);
}

/** Outputs whose source is gone would still be importable, and would be packed. */
function removeOrphans(sources) {
  const stems = new Set(sources.map((file) => file.replace(/^src\//, "").replace(/\.ts$/, "")));
  for (const file of filesOf("dist/")) {
    const stem = file.replace(/^dist\//, "").replace(/\.(d\.ts|js|d\.ts\.map|js\.map)$/, "");
    if (!stems.has(stem)) rmSync(at(file));
  }
}

/** The native core where a compiler is. Its own script knows how, what is fresh, and what to say; it is quiet when nothing is to do. */
function buildNative(force) {
  if (!existsSync(at("scripts/build-native.mjs"))) return;
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, [at("scripts/build-native.mjs"), ...(force ? ["--force"] : [])], {
    cwd: root, encoding: "utf8", stdio: ["ignore", 2, "pipe"], maxBuffer: 64 << 20,
  });
  process.stderr.write(stderr);
  if (status !== 0) throw new BuildFailure("the native build failed (above). CRAGRU_NATIVE=off does without it: everything runs on the TypeScript face.");
  if (stderr.includes("built with")) say(`native core (${seconds(started)})`);
}

/** A package of its own in a folder of ours, as its lock says; `false` when it could not be installed. */
function installFolder(folder, label, command, ...flags) {
  const lock = `${folder}/package-lock.json`, stamp = `${folder}/node_modules/.lock-digest`;
  if (!existsSync(at(lock))) return true;
  const value = digest([lock]);
  if (isFresh(stamp, value)) return true;
  const started = performance.now(), npm = process.env.npm_execpath;
  const parts = [command, "--prefix", at(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", ...flags];
  const { status } = npm && /\.c?js$/.test(npm)
    ? spawnSync(process.execPath, [npm, ...parts], { cwd: root, stdio: ["ignore", "ignore", 2] })
    : spawnSync("npm", parts, { cwd: root, stdio: ["ignore", "ignore", 2], shell: process.platform === "win32" });
  if (status !== 0) return false;
  mark(stamp, value);
  say(`${label} installed (${seconds(started)})`);
  return true;
}

/** The kernel lives in its own package with its own lock (it brings a second TypeScript compiler). */
function installNotebooks() {
  if (installFolder("notebooks", "notebook kernel", "ci")) return;
  throw new BuildFailure("the notebook kernel could not be installed (above). `npx vitest run` runs all other tests without it.");
}

/**
 * 85 MB without the packages for other machines and GPUs, which stand in no lock of ours either: hence not `ci`, which asks
 * for them. Its tests are skipped, with the reason, where it cannot be had.
 */
function installEngine() {
  if (installFolder("test/engine", "language model engine", "install", "--no-save", "--omit=optional")) return;
  say("the language model engine could not be installed (above); the tests in test/engine are skipped.");
}

try {
  const force = process.argv.includes("--force");
  buildTypeScript(force);
  buildNative(force);
  if (process.argv.includes("--notebooks")) installNotebooks();
  if (process.argv.includes("--engine")) installEngine();
} catch (error) {
  if (!(error instanceof BuildFailure)) throw error;
  say(error.message);
  process.exitCode = 1;
}
