import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";

const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");

/** Runs the real runner with the real reporter on the cases of test/fixtures/summary. */
function run(cases: string): { status: number | null; lines: string[] } {
  const config = join(import.meta.dirname, "../fixtures/summary/vitest.config.ts");
  const { status, stdout } = spawnSync(process.execPath, [vitest, "run", "--config", config], {
    encoding: "utf8",
    env: { ...process.env, CASES: cases, NO_COLOR: "1", VITEST: undefined, VITEST_WORKER_ID: undefined, VITEST_POOL_ID: undefined },
  });
  return { status, lines: stdout.trimEnd().split("\n") };
}

describe("the summary at the end of a test run", () => {
  it("stands alone on the last line and leaves a passing exit code", () => {
    const { status, lines } = run("green.cases.ts");
    expect(lines.at(-1)).toBe("1 passed, 0 failed, 0 skipped");
    expect(status).toBe(0);
  });

  it("counts failures and names why tests were skipped, and the exit code fails", () => {
    const { status, lines } = run("mixed.cases.ts");
    expect(lines.slice(-4)).toEqual([
      "skipped 1: mixed.cases.ts: is not written yet",
      "skipped 1: mixed.cases.ts: no device here",
      "skipped 2: mixed.cases.ts: real data: CRAGRU_DATA is not set",
      "1 passed, 1 failed, 4 skipped",
    ]);
    expect(status).toBe(1);
  });

  it.each([["broken.cases.ts", "0 passed, 1 failed, 0 skipped"], ["stray.cases.ts", "1 passed, 1 failed, 0 skipped"]])(
    "counts what happens outside tests as failures: %s", (cases, line) => {
      const { status, lines } = run(cases);
      expect(lines.at(-1)).toBe(line);
      expect(status).toBe(1);
    });
});
