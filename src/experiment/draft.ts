import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DataError } from "../core/errors.js";

/**
 * Fills a folder beside the target and renames it at the end: the folder is complete or not there. An older folder of the
 * same name is replaced. What a killed process left behind is removed by the next call for the same name.
 */
export async function writeFolder(folder: string, fill: (draft: string) => Promise<void>): Promise<void> {
  const parent = dirname(folder), stem = `.${basename(folder)}.draft-`;
  await makeFolder(parent);
  for (const left of await readdir(parent)) {
    if (left.startsWith(stem) && !isAlive(left.slice(stem.length))) await rm(join(parent, left), { recursive: true, force: true });
  }
  await writing(folder, async () => {
    const draft = await mkdtemp(join(parent, `${stem}${process.pid}-`));
    try {
      await fill(draft);
      await putInPlace(draft, folder);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  });
}

/**
 * The older folder steps aside whole, so that nobody reads one that is half removed. Another process may put its own there
 * between the two calls: then the last one stays.
 */
async function putInPlace(draft: string, folder: string): Promise<void> {
  const old = `${draft}-old`;
  const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? "";
  for (let attempt = 1; ; attempt++) {
    await rename(folder, old).catch((error: unknown) => {
      if (codeOf(error) !== "ENOENT") throw error;
    });
    await rm(old, { recursive: true, force: true });
    try {
      return await rename(draft, folder);
    } catch (error) {
      if (attempt === 100 || !["ENOTEMPTY", "EEXIST"].includes(codeOf(error))) throw error;
    }
  }
}

/** A folder and its parents. @throws DataError when it cannot be made. */
export async function makeFolder(folder: string): Promise<void> {
  await writing(folder, () => mkdir(folder, { recursive: true }));
}

/** Does what writes to `place`. @throws DataError that names the place when the disk refuses. */
export async function writing<T>(place: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    throw new DataError("DATA_WRITE", `${place} cannot be written: ${cause.message}.`, { hint: cureOf(cause.code), cause });
  }
}

/** An error of the operating system, such as a full disk. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException & { code: string } {
  return error instanceof Error && "syscall" in error && typeof (error as NodeJS.ErrnoException).code === "string";
}

function cureOf(code: string): string {
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG") return "The disk is full: make room, or choose another folder; the same command goes on.";
  if (code === "EEXIST" || code === "ENOTDIR") return "A file stands where a folder should be: move it, or choose another folder.";
  return "Choose a folder that you may write to.";
}

/** Whether a process runs; `id` starts with its number. */
export function isAlive(id: string): boolean {
  const pid = Number.parseInt(id, 10);
  try {
    return Number.isInteger(pid) && process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** JSON, two spaces; typed arrays become lists. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => (ArrayBuffer.isView(inner) ? Array.from(inner as Uint32Array) : inner), 2);
}

/** One file of {@link jsonOf}. @throws DataError when it cannot be written. */
export async function writeJson(file: string, value: unknown): Promise<void> {
  await writing(file, () => writeFile(file, `${jsonOf(value)}\n`));
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
