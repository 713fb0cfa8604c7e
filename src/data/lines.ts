import { open, stat } from "node:fs/promises";
import { basename } from "node:path";
import { TextDecoder } from "node:util";
import { DataError } from "../core/errors.js";
import type { RunOptions } from "../core/progress.js";

/** Where a line stands. The visitor must not keep the object: `line` moves on. */
export interface Place {
  readonly file: string;
  line: number;
}

export type Encoding = "latin1" | "utf-8";

const CHUNK_BYTES = 128 * 1024;
const MAX_LINE_BYTES = 1024 * 1024;
const REPORT_MS = 200;

/** A DataError that names file and line; `hint` is the cure. */
export function lineError(at: Place, code: string, what: string, hint?: string, cause?: unknown): DataError {
  return new DataError(code, `${at.file}, line ${at.line}: ${what}`, { ...(hint ? { hint } : {}), cause });
}

/**
 * A set of text files read line by line: constant memory, progress in bytes over all of them, one `signal`. Created by
 * {@link openReading}, which looks at every file before the first byte is parsed.
 */
export class Reading {
  private done = 0;
  private reported = -Infinity;

  constructor(private readonly total: number, private readonly options: RunOptions) {}

  /**
   * Calls `visit` with every line (without its end), in order. Line ends may be LF or CRLF, a byte order mark is
   * dropped, blank lines may stand only at the end of the file. A last line without an end counts as cut: whether "4" was
   * once "4.5" cannot be seen, and every publisher ends its lines.
   * @throws DataError on NUL bytes, text that is not valid in the encoding, lines over 1 MiB, blank lines in between, a
   * cut last line, or a file without lines; rejects with `signal.reason` when aborted.
   */
  async lines(file: string, encoding: Encoding, visit: (line: string, at: Place) => void): Promise<void> {
    const walker = new LineWalker(file, encoding, visit);
    const note = basename(file);
    const handle = await open(file, "r").catch((cause: Error) => { throw unreadable(file, cause); });
    try {
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      for (;;) {
        const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, null);
        // A fresh turn of the event loop for every chunk, however fast the disk answers.
        await new Promise<void>((resolve) => setImmediate(resolve));
        this.options.signal?.throwIfAborted();
        if (bytesRead === 0) break;
        walker.take(buffer.subarray(0, bytesRead));
        this.done += bytesRead;
        this.report(note);
      }
      walker.finish();
    } finally {
      await handle.close();
    }
  }

  private report(note: string): void {
    const now = performance.now();
    if (now - this.reported < REPORT_MS && this.done < this.total) return;
    this.reported = now;
    this.options.onProgress?.(Math.min(this.done, this.total), this.total, note);
  }
}

/**
 * Looks at all files before any of them is parsed. `passes`: how often they will be read.
 * @throws DataError when one is missing, empty, not readable, or not a file.
 */
export async function openReading(files: readonly string[], options: RunOptions, passes = 1): Promise<Reading> {
  let total = 0;
  for (const file of files) total += await fileSize(file);
  return new Reading(total * passes, options);
}

/** Size of a file that can be parsed. @throws DataError when it is missing, empty, not readable, or not a file. */
export async function fileSize(file: string): Promise<number> {
  const found = await stat(file).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT" || cause.code === "ENOTDIR") {
      throw new DataError("DATA_FILE_MISSING", `There is no file ${file}.`, {
        hint: "Put it there, or name another folder with { root } or CRAGRU_DATA.",
        cause,
      });
    }
    throw unreadable(file, cause);
  });
  if (found.isDirectory()) {
    throw new DataError("DATA_NOT_A_FILE", `${file} is a folder where a file should be.`, {
      hint: "Replace the folder by the publisher's file of that name.",
    });
  }
  if (!found.isFile()) throw new DataError("DATA_NOT_A_FILE", `${file} is not a regular file.`, {
    hint: "Replace it by the publisher's file of that name.",
  });
  if (found.size === 0) throw new DataError("DATA_FILE_EMPTY", `${file} is empty.`, { hint: "Fetch or copy it again." });
  return found.size;
}

function unreadable(file: string, cause: Error): DataError {
  return new DataError("DATA_FILE_UNREADABLE", `${file} cannot be read: ${cause.message}.`, {
    hint: "Check the permissions of the file and its folders.",
    cause,
  });
}

/** Cuts chunks of bytes into lines. Bytes are decoded only up to a line end, so no character is ever torn. */
class LineWalker {
  private readonly at: Place;
  private readonly decoder: TextDecoder | undefined;
  private rest = Buffer.alloc(0);
  private lineCount = 0;
  private firstBlank = 0;
  private seen = false;

  constructor(file: string, encoding: Encoding, private readonly visit: (line: string, at: Place) => void) {
    this.at = { file, line: 1 };
    this.decoder = encoding === "utf-8" ? new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }) : undefined;
  }

  take(chunk: Buffer): void {
    const nul = chunk.indexOf(0);
    if (nul >= 0) {
      this.at.line = this.lineCount + 1 + count(chunk.subarray(0, nul));
      throw lineError(this.at, "DATA_NUL",
        "the line holds a NUL byte.",
        "This is not plain text (an archive, UTF-16, or a damaged copy): fetch the file again, or save it as UTF-8.");
    }
    const end = chunk.lastIndexOf(10);
    if (end < 0) {
      this.rest = Buffer.concat([this.rest, chunk]);
      if (this.rest.length > MAX_LINE_BYTES) {
        this.at.line = this.lineCount + 1;
        throw lineError(this.at, "DATA_LINE_LENGTH",
          "the line is longer than 1 MiB.",
          "Lines must end with a line feed: is this the right file?");
      }
      return;
    }
    const whole = this.rest.length > 0 ? Buffer.concat([this.rest, chunk.subarray(0, end + 1)]) : chunk.subarray(0, end + 1);
    const text = this.decode(whole);
    for (let from = 0; from < text.length;) {
      const to = text.indexOf("\n", from);
      this.line(text.slice(from, text.charCodeAt(to - 1) === 13 && to > from ? to - 1 : to));
      from = to + 1;
    }
    this.rest = Buffer.from(chunk.subarray(end + 1));
  }

  finish(): void {
    if (this.rest.length > 0) {
      this.at.line = this.lineCount + 1;
      throw lineError(this.at, "DATA_TRUNCATED", "the file ends in the middle of this line.",
        "The copy was cut short: fetch the file again. If the line is complete, end it with a line feed.");
    }
    if (!this.seen) {
      this.at.line = 1;
      throw lineError(this.at, "DATA_FILE_EMPTY", "the file holds blank lines only.", "Fetch or copy it again.");
    }
  }

  private line(text: string): void {
    this.at.line = ++this.lineCount;
    if (text.length === 0) {
      this.firstBlank ||= this.at.line;
      return;
    }
    if (this.firstBlank > 0) {
      this.at.line = this.firstBlank;
      throw lineError(this.at, "DATA_BLANK_LINE",
        "a blank line stands between rows.",
        "Remove it, or fetch the file again.");
    }
    if (!this.seen && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    this.seen = true;
    this.visit(text, this.at);
  }

  private decode(bytes: Buffer): string {
    if (!this.decoder) return bytes.toString("latin1");
    try {
      return this.decoder.decode(bytes);
    } catch (cause) {
      let from = 0;
      for (let line = this.lineCount + 1; ; line++) {
        const to = bytes.indexOf(10, from);
        const part = to < 0 ? bytes.subarray(from) : bytes.subarray(from, to);
        from = to + 1;
        if (to >= 0 && isUtf8(part)) continue;
        this.at.line = line;
        throw lineError(this.at, "DATA_ENCODING",
          "the text is not valid UTF-8.",
          "Save the file as UTF-8 (for example: iconv -f ISO-8859-1 -t UTF-8).",
          cause);
      }
    }
  }
}

function isUtf8(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString("utf8"), "utf8").equals(bytes);
}

function count(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++;
  return lines;
}
