import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect } from "vitest";
import { DataError } from "../../../src/core/errors.js";

/** Tiny invented data sets in the publishers' formats. */
export const FIXTURES = join(dirname(fileURLToPath(import.meta.url)), "../../fixtures/data");

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A folder that is gone after the test. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), "cragru-test-"));
  folders.push(folder);
  return folder;
}

/** A copy of one fixture that a test may damage. */
export function copyOf(fixture: string): string {
  const folder = join(scratch(), fixture);
  cpSync(join(FIXTURES, fixture), folder, { recursive: true });
  return folder;
}

export function damage(folder: string, file: string, change: (text: string) => string): void {
  const path = join(folder, file);
  writeFileSync(path, change(readFileSync(path, "latin1")), "latin1");
}

/** The DataError that the call rejects with; its message must hold all of `parts` and a cure. */
export async function dataError(call: () => Promise<unknown>, code: string, ...parts: string[]): Promise<DataError> {
  const error = await call().then(() => undefined, (reason: unknown) => reason);
  expect(error).toBeInstanceOf(DataError);
  const found = error as DataError;
  expect(found.code, found.message).toBe(code);
  expect(found.hint, "every data error names its cure").toBeTruthy();
  for (const part of parts) expect(found.message).toContain(part);
  return found;
}
