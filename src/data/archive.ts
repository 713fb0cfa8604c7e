import { mkdir, open, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Unzip, UnzipInflate, type UnzipFile } from "fflate";
import { DataError } from "../core/errors.js";
import type { RunOptions } from "../core/progress.js";

export interface ArchiveLimits {
  /** Entries of the archive, folders included. Default 1000. */
  entries?: number;
  /** Unpacked bytes of all entries together. Default 1 GiB. */
  bytes?: number;
  /** Unpacked bytes for a packed byte, looked at after the first MiB. Ratings in text come to about 5. Default 100. */
  ratio?: number;
}

export interface UnpackOptions extends RunOptions {
  limits?: ArchiveLimits;
  /** Where an entry goes, relative to the folder; undefined leaves it out. Default: its own name. */
  place?: (name: string) => string | undefined;
}

/** Small enough that one push of a hostile archive yields at most 16 MiB. */
const CHUNK_BYTES = 16 * 1024;
const RATIO_GRACE = 1024 * 1024;
const CURE = "Delete it and fetch it again from its publisher.";

/**
 * Unpacks a zip archive as a stream into a folder that exists. Constant memory. Every entry is measured against the limits
 * and its name checked, also those that are left out. Returns the written files, relative to the folder. On an error the
 * caller discards the folder.
 * @throws DataError on a damaged archive, a name that leads out of the folder or stands twice, or a zip bomb.
 */
export async function unpack(archive: string, folder: string, options: UnpackOptions = {}): Promise<string[]> {
  const { entries: maxEntries = 1000, bytes: maxBytes = 1024 ** 3, ratio: maxRatio = 100 } = options.limits ?? {};
  const place = options.place ?? ((name: string) => name);
  const refuse = (code: string, what: string, cause?: unknown): DataError => new DataError(code, `${archive}: ${what}`, {
    hint: CURE,
    cause,
  });
  const queue: { file: string; chunk: Uint8Array; last: boolean }[] = [];
  const names = new Set<string>(), written: string[] = [];
  let entries = 0, packed = 0, unpacked = 0, unfinished = 0;

  const take = (entry: UnzipFile): void => {
    if (++entries > maxEntries) throw refuse("DATA_ARCHIVE_BOMB", `it holds more than ${maxEntries} entries.`);
    checkName(entry.name, refuse);
    const folderEntry = entry.name.endsWith("/");
    const target = folderEntry ? undefined : place(entry.name);
    if (target !== undefined) {
      checkName(target, refuse);
      // One disk may take "A" and "a" for the same file.
      if (names.has(target.toLowerCase())) throw refuse("DATA_ARCHIVE_NAME", `the entry ${JSON.stringify(entry.name)} stands twice.`);
      names.add(target.toLowerCase());
      written.push(target);
    }
    let size = 0;
    unfinished++;
    entry.ondata = (error, chunk, last) => {
      // What we threw below comes back here once more, through the decoder.
      if (error instanceof DataError) throw error;
      if (error) throw refuse("DATA_ARCHIVE_DAMAGED",
        `the entry ${JSON.stringify(entry.name)} cannot be unpacked (${error.message}).`,
        error);
      size += chunk.length;
      unpacked += chunk.length;
      if (unpacked > maxBytes) throw refuse("DATA_ARCHIVE_BOMB", `it unpacks to more than ${maxBytes} bytes.`);
      if (unpacked > RATIO_GRACE && unpacked > maxRatio * packed) {
        throw refuse("DATA_ARCHIVE_BOMB", `it unpacks to more than ${maxRatio} times its size.`);
      }
      if (last) {
        unfinished--;
        if (entry.originalSize !== undefined && entry.originalSize !== size) {
          const sizes = `states ${entry.originalSize} bytes and holds ${size}`;
          throw refuse("DATA_ARCHIVE_DAMAGED", `the entry ${JSON.stringify(entry.name)} ${sizes}.`);
        }
      }
      if (target !== undefined) queue.push({ file: target, chunk, last });
    };
    entry.start();
  };

  const unzip = new Unzip(take);
  unzip.register(UnzipInflate);
  const push = (chunk: Uint8Array, last: boolean): void => {
    try {
      unzip.push(chunk, last);
    } catch (error) {
      throw error instanceof DataError ? error : refuse("DATA_ARCHIVE_DAMAGED",
        `it is damaged or no zip archive (${(error as Error).message}).`,
        error);
    }
  };

  const source = await open(archive, "r");
  let target: FileHandle | undefined;
  const drain = async (): Promise<void> => {
    for (const { file, chunk, last } of queue.splice(0)) {
      if (!target) {
        const path = join(folder, file);
        target = await mkdir(dirname(path), { recursive: true }).then(() => open(path, "wx")).catch((error: NodeJS.ErrnoException) => {
          throw ["EEXIST", "ENOTDIR", "EISDIR"].includes(error.code ?? "") ? refuse("DATA_ARCHIVE_NAME",
            `the entry ${JSON.stringify(file)} is a file and a folder.`,
            error) : error;
        });
      }
      await target.writeFile(chunk);
      if (!last) continue;
      await target.close();
      target = undefined;
    }
  };
  try {
    const total = (await source.stat()).size;
    for (;;) {
      // A fresh buffer each time: the unzipper keeps views on it.
      const { bytesRead, buffer } = await source.read(new Uint8Array(CHUNK_BYTES), 0, CHUNK_BYTES, null);
      await new Promise<void>((resolve) => setImmediate(resolve));
      options.signal?.throwIfAborted();
      packed += bytesRead;
      push(buffer.subarray(0, bytesRead), bytesRead === 0);
      await drain();
      if (bytesRead === 0) break;
      if (packed === total || packed % (64 * CHUNK_BYTES) === 0) options.onProgress?.(packed, total, "unpacking");
    }
    if (entries === 0) throw refuse("DATA_ARCHIVE_DAMAGED", "it is no zip archive.");
    if (unfinished > 0) throw refuse("DATA_ARCHIVE_DAMAGED", "it ends in the middle of an entry.");
    return written;
  } finally {
    await target?.close();
    await source.close();
  }
}

type Refuse = (code: string, what: string) => DataError;

 
const BAD_CHARACTERS = /[\u0000-\u001f\u007f\\:*?"<>|]/;

/** Relative, forward slashes, no "." or "..", no characters that mean something to a disk or a terminal. */
function checkName(name: string, refuse: Refuse): void {
  const steps = (name.endsWith("/") ? name.slice(0, -1) : name).split("/");
  // Windows drops dots and spaces at the end of a name, so "..." and ".. " count as "..".
  const badStep = steps.some((step) => step === "" || step.endsWith(".") || step.endsWith(" "));
  if (badStep || name.length > 240 || steps.length > 8 || BAD_CHARACTERS.test(name)) {
    throw refuse("DATA_ARCHIVE_NAME", `the entry ${JSON.stringify(name.slice(0, 80))} has a name that may lead out of the folder.`);
  }
}
