import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { python } from "./peer.mjs";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * What this machine can do at most, now: OpenBLAS through numpy, then memory, caches and multiply-adds by native/test/roofs.cpp, compiled for
 * this processor. A part that cannot run is said and left out.
 */
export function measureRoofs(threads, say) {
  const roofs = {}, folder = mkdtempSync(join(tmpdir(), "cragru-roofs-"));
  const part = (name, measure) => {
    try {
      Object.assign(roofs, JSON.parse(measure()));
    } catch (error) {
      say(`roofs by ${name}: not measured (${String(error.stderr || error.message).trim().split("\n").pop()})`);
    }
  };
  part("OpenBLAS", () => execFileSync(python(), [at("../peers/roofs.py"), JSON.stringify({ folder, threads, runs: 7 })], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }));
  part("C++", () => {
    const program = join(folder, "roofs");
    const source = (name) => at(`../../native/test/${name}`);
    execFileSync("c++", ["-std=c++17", "-O3", "-march=native", "-DCRAGRU_ROOFS_MAIN", source("roofs.cpp"), "-o", program, "-pthread"], { stdio: ["ignore", "pipe", "pipe"] });
    return execFileSync(program, [String(threads)], { encoding: "utf8" });
  });
  rmSync(folder, { recursive: true, force: true });
  delete roofs.missing;
  return roofs;
}
