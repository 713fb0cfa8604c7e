import { writeSync } from "node:fs";
import type { Reporter, SerializedError, TestCase, TestModule, Vitest } from "vitest/node";

export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
  /** Tests skipped, by reason. */
  reasons: Map<string, number>;
}

/** Why a test was skipped: the note of `context.skip(note)`, else the title of the outermost skipped suite, else its own. */
function reasonOf(test: TestCase): string {
  const result = test.result();
  if (result.state === "skipped" && result.note) return result.note;
  let title = test.name;
  for (let node: TestCase["parent"] = test.parent; node.type !== "module"; node = node.parent) {
    if (node.options.mode === "skip" || node.options.mode === "todo") title = node.name;
  }
  return title;
}

/**
 * Counts test by test. A file that could not be loaded, a failing hook of a suite and an error outside every test count as one
 * failure each, so that "0 failed" and a failing exit code never stand together.
 */
export function tally(modules: readonly TestModule[], errors: readonly unknown[]): Tally {
  const sum: Tally = { passed: 0, failed: errors.length, skipped: 0, reasons: new Map() };
  for (const module of modules) {
    sum.failed += module.errors().length;
    for (const suite of module.children.allSuites()) sum.failed += suite.errors().length;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === "passed") sum.passed++;
      else if (state === "failed") sum.failed++;
      else {
        sum.skipped++;
        const reason = state === "pending" ? "did not run to its end" : reasonOf(test);
        const key = `${module.relativeModuleId.split("/").slice(0, 2).join("/")}: ${reason}`;
        sum.reasons.set(key, (sum.reasons.get(key) ?? 0) + 1);
      }
    }
  }
  return sum;
}

/** Lines to print: each reason with its count, then the totals alone on the last line. */
export function report({ passed, failed, skipped, reasons }: Tally): string {
  const lines = [...reasons].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([reason, count]) => `skipped ${count}: ${reason}`);
  return [...lines, `${passed} passed, ${failed} failed, ${skipped} skipped`].join("\n");
}

/** Ends every run with the skipped groups and one line of totals, after the coverage table and whatever else is printed. */
export class Summary implements Reporter {
  private text = "";
  private watching = false;

  onInit(vitest: Vitest): void {
    this.watching = vitest.config.watch;
    // At exit and synchronously: nothing that vitest prints after the run can stand below it.
    if (!this.watching) process.once("exit", () => writeSync(1, `${this.text || "0 passed, 0 failed, 0 skipped"}\n`));
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    this.text = report(tally(modules, errors));
    if (this.watching) process.stdout.write(`${this.text}\n`);
  }
}
