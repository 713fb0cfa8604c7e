import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { RunConfig } from "../../../src/experiment/config.js";

/** Invented data small enough for a test on any face. */
export const TINY = { users: 40, items: 60, meanPerUser: 20, seed: 3 };
export const TINY_FLAGS = ["--synthetic-users", "40", "--synthetic-items", "60", "--synthetic-mean", "20"];
export const TINY_RUN: Partial<RunConfig> = {
  synthetic: TINY, backbones: ["bpr"], retrievers: ["attention", "diversity", "none"], generator: "embedded", candidates: 15, history: 10, seed: 5,
};

/** A folder that is gone after the file's tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "cragru-experiment-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
