import { execFileSync } from "node:child_process";
import { cpus, loadavg, totalmem } from "node:os";
import { runInNewContext } from "node:vm";
import { setFlagsFromString } from "node:v8";

/** What a number belongs to: without it a time says nothing. */
export function machine() {
  return {
    cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, memoryGiB: Math.round(totalmem() / 2 ** 30), node: process.version,
    compiler: versionOf("c++"), date: new Date().toISOString().slice(0, 16).replace("T", " "), load: load(),
  };
}

export const load = () => Number(loadavg()[0].toFixed(2));

export const describe = (m) =>
  `${m.cpu}, ${m.cores} cores, ${m.memoryGiB} GiB; ${m.date} UTC; node ${m.node}, ${m.compiler}; load average ${m.load} at the start`;

function versionOf(program) {
  try {
    return execFileSync(program, ["--version"], { encoding: "utf8" }).split("\n")[0];
  } catch {
    return `no ${program}`;
  }
}

let gc;
/** Collects garbage now, so that a timed run does not pay for the results of the run before. */
export function collect() {
  setFlagsFromString("--expose-gc");
  gc ??= runInNewContext("gc");
  gc();
}

/** Wall and CPU time of one call; CPU time is that of the whole process. */
export async function timed(work) {
  collect();
  const cpu = process.cpuUsage(), wall = performance.now();
  const result = await work();
  const wallMs = performance.now() - wall, used = process.cpuUsage(cpu);
  return { result, wallMs, cpuMs: (used.user + used.system) / 1000 };
}
