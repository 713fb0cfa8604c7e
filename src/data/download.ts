import { createHash } from "node:crypto";
import { createReadStream, existsSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { DataError } from "../core/errors.js";
import type { RunOptions } from "../core/progress.js";
import { unpack } from "./archive.js";
import { requireLicence, type Licence } from "./licence.js";
import { PUBLISHERS, type Publisher } from "./publisher.js";
import { discardPart, isDiskError, transfer } from "./transfer.js";

export interface DownloadOptions extends RunOptions {
  /** Says that you read the licence and agree. Nothing is fetched without it. */
  acceptLicence?: boolean;
  /** Folder of all data sets. Default: {@link dataRoot}. */
  root?: string;
  /** Default: the global fetch. */
  fetch?: typeof globalThis.fetch;
  /** Further attempts after a cut connection. Default 2. */
  retries?: number;
  /** Milliseconds before the first retry. Default 1000. */
  retryDelay?: number;
  /** Where to fetch from, by name. Default: the publishers' own servers. */
  publishers?: Readonly<Record<string, Publisher>>;
}

export interface DownloadReport {
  name: string;
  folder: string;
  /** "present": it was there already and nothing was fetched. */
  status: "downloaded" | "present";
  /** Size of the archive, 0 when nothing was fetched. */
  bytes: number;
  licence: Licence;
}

/** The folder of all data sets: CRAGRU_DATA, else `cragru` in the user's cache folder. */
export function dataRoot(): string {
  return process.env["CRAGRU_DATA"] || join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "cragru");
}

/**
 * Downloads a data set from its publisher into `root/name`: resumes, verifies checksums, unpacks beside the target and
 * renames at the end, so the folder is either complete or not there. Call it only when the user asked for it.
 * @throws DataError when the licence is not accepted (the message shows its terms), the name has no publisher, or any step
 * fails; then nothing is left but, after a cut connection, a hidden part file from which the next call goes on.
 */
export async function fetchDataset(name: string, options: DownloadOptions = {}): Promise<DownloadReport> {
  const publisher = publisherOf(name, options.publishers ?? PUBLISHERS);
  const root = options.root ?? dataRoot();
  const folder = join(root, name);
  if (isComplete(folder, publisher)) return { name, folder, status: "present", bytes: 0, licence: publisher.licence };
  requireLicence(publisher.licence, options.acceptLicence);
  await mkdir(root, { recursive: true }).catch((cause: Error) => {
    throw new DataError("DATA_ROOT", `${root} cannot be made: ${cause.message}.`, {
      hint: "Name a folder that you may write to with { root } or CRAGRU_DATA.",
      cause,
    });
  });
  try {
    const part = join(root, `.${name}.zip.part`);
    const bytes = await fetchArchive(publisher, part, options);
    await install(name, part, folder, publisher, options);
    return { name, folder, status: "downloaded", bytes, licence: publisher.licence };
  } catch (error) {
    if (!isDiskError(error)) throw error;
    throw new DataError("DATA_ROOT", `${root} cannot be written: ${error.message}.`, {
      hint: "Free some space, or name a folder that you may write to with { root } or CRAGRU_DATA.",
      cause: error,
    });
  }
}

/** Unpacks the archive beside the target, verifies, renames. The archive goes in the end, whether it was good or not. */
async function install(name: string, part: string, folder: string, publisher: Publisher, options: DownloadOptions): Promise<void> {
  const { signal, onProgress } = options;
  const draft = await mkdtemp(join(dirname(folder), `.${name}-`));
  try {
    const prefix = `${publisher.folder}/`;
    const wanted = new Set([...Object.keys(publisher.files), ...publisher.sideFiles].map((file) => prefix + file));
    await unpack(part, draft, {
      ...(signal ? { signal } : {}), ...(onProgress ? { onProgress } : {}), limits: { bytes: publisher.limit },
      place: (entry) => (wanted.has(entry) ? entry.slice(prefix.length) : undefined),
    });
    await verifyFiles(name, draft, publisher);
    await rename(draft, folder).catch((cause: NodeJS.ErrnoException) => {
      // Another process was faster, with the same verified bytes.
      if (!isComplete(folder, publisher)) throw cause;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
    if (!signal?.aborted) await discardPart(part);
  }
}

function publisherOf(name: string, publishers: Readonly<Record<string, Publisher>>): Publisher {
  const publisher = Object.hasOwn(publishers, name) ? publishers[name] : undefined;
  if (publisher) return publisher;
  if (name === "netflix") {
    throw new DataError("DATA_NO_PUBLISHER", "The Netflix Prize data are no longer offered by their publisher.", {
      hint: "If you have them: put movie_titles.txt and the ratings into a folder netflix under CRAGRU_DATA.",
    });
  }
  throw new DataError("DATA_NO_PUBLISHER", `There is nothing to download for ${JSON.stringify(name)}.`, {
    hint: `Data sets with a download: ${Object.keys(publishers).join(", ")}. "synthetic" needs none.`,
  });
}

/** @throws DataError when the folder is there but lacks files: it may hold somebody's work, so it is never touched. */
function isComplete(folder: string, publisher: Publisher): boolean {
  if (!existsSync(folder)) return false;
  const present = readdirSync(folder);
  const missing = Object.keys(publisher.files).filter((file) => !present.includes(file));
  if (missing.length === 0) return true;
  throw new DataError("DATA_FOLDER_INCOMPLETE", `${folder} is there but lacks ${missing.join(", ")}.`, {
    hint: "Move the folder away or complete it, then run the command again.",
  });
}

/** The verified archive in the file `part`. */
async function fetchArchive(publisher: Publisher, part: string, options: DownloadOptions): Promise<number> {
  const { fetch, retries, retryDelay, signal, onProgress } = options;
  for (let again = false; ; again = true) {
    const { bytes, resumed } = await transfer(publisher.url, part, {
      limit: publisher.limit, ...(signal ? { signal } : {}), ...(onProgress ? { onProgress } : {}),
      ...(fetch ? { fetch } : {}), ...(retries !== undefined ? { retries } : {}), ...(retryDelay !== undefined ? { retryDelay } : {}),
    });
    const found = publisher.md5 ? await digest("md5", part) : undefined;
    if (found === publisher.md5) return bytes;
    await discardPart(part);
    // A file glued from two versions proves nothing about the server: once more from the start.
    if (resumed && !again) continue;
    const sums = `came with the MD5 ${found}; the publisher states ${publisher.md5}`;
    throw new DataError("DATA_CHECKSUM", `${publisher.url} ${sums}. It was discarded.`, {
      hint: "Run the command again; if it stays so, something between you and the publisher changes the file.",
    });
  }
}

async function verifyFiles(name: string, draft: string, publisher: Publisher): Promise<void> {
  for (const [file, expected] of Object.entries(publisher.files)) {
    const path = join(draft, file);
    if (!existsSync(path)) {
      throw new DataError("DATA_ARCHIVE_FILES", `The archive ${publisher.url} holds no ${publisher.folder}/${file}.`, {
        hint: "The publisher has changed its layout: tell us, and unpack it by hand meanwhile.",
      });
    }
    if (expected === undefined) continue;
    const found = await digest("sha256", path);
    if (found === expected) continue;
    if (publisher.md5) {
      throw new DataError("DATA_CHECKSUM", `${name}/${file} has the SHA-256 ${found}, not ${expected}. It was discarded.`, {
        hint: "Run the command again; if it stays so, the disk or the memory of this machine is at fault.",
      });
    }
    const sums = `${file} has the SHA-256 ${found}, the edition that papers use has ${expected}`;
    throw new DataError("DATA_CHECKSUM", `The publisher has updated ${publisher.licence.title}: ${sums}.`, {
      hint: `To use the new edition, unpack ${publisher.url} by hand into a folder ${name} under CRAGRU_DATA; `
        + "numbers will differ from published ones.",
    });
  }
}

async function digest(algorithm: "md5" | "sha256", file: string): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
