import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DataError } from "../core/errors.js";

/**
 * Fills a folder beside the target and renames it at the end: the folder is complete or not there. An older folder of the
 * same name is replaced. What a killed process left behind is removed by the next call for the same name.
 */
export async function writeFolder(folder: string, fill: (draft: string) => Promise<void>): Promise<void> {
  const parent = dirname(folder), stem = `.${basename(folder)}.draft-`;
  await mkdir(parent, { recursive: true });
  for (const left of await readdir(parent)) {
    if (left.startsWith(stem) && !isAlive(left.slice(stem.length))) await rm(join(parent, left), { recursive: true, force: true });
  }
  const draft = await mkdtemp(join(parent, `${stem}${process.pid}-`));
  try {
    await fill(draft);
    await rm(folder, { recursive: true, force: true });
    await rename(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** `rest`: process id, dash, random letters. */
function isAlive(rest: string): boolean {
  const pid = Number.parseInt(rest, 10);
  try {
    return Number.isInteger(pid) && process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** One JSON file, two spaces, typed arrays as plain lists. */
export async function writeJson(file: string, value: unknown): Promise<void> {
  const text = JSON.stringify(value, (_, inner: unknown) => (ArrayBuffer.isView(inner) ? Array.from(inner as Uint32Array) : inner), 2);
  await writeFile(file, `${text}\n`);
}

/** @throws DataError with the file's name when it is missing or not JSON. */
export async function readJson<T>(file: string, hint: string): Promise<T> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new DataError("DATA_FILE_MISSING", `${file} cannot be read.`, { hint, cause });
  }
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new DataError("DATA_FILE_JSON", `${file} is not JSON: ${(cause as Error).message}.`, { hint, cause });
  }
}
