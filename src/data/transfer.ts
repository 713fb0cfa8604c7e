import { open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { DataError } from "../core/errors.js";
import type { RunOptions } from "../core/progress.js";

export interface TransferOptions extends RunOptions {
  /** Default: the global fetch. */
  fetch?: typeof globalThis.fetch;
  /** Further attempts after a cut connection or a busy server, each going on where the last one stopped. Default 2. */
  retries?: number;
  /** Milliseconds before the first retry; doubles each time. Default 1000. */
  retryDelay?: number;
  /** Milliseconds without a byte after which a connection counts as cut. Default 60000. */
  idle?: number;
  /** No file is larger. Bytes. */
  limit: number;
}

/** What is known of a half-fetched file. Without a validator or a length there is nothing to resume by. */
interface Draft {
  url: string;
  validator: string | undefined;
  total: number | undefined;
}

const REPORT_MS = 200;

/** A failure after which another attempt makes sense. */
class Interrupted extends Error {}

/**
 * Fetches `url` into the file `part` and returns its size. A file left by an earlier call is continued with a range request,
 * provided that the server still has the same version (ETag or Last-Modified, else the same length); a server without
 * ranges sends everything again. When the connection keeps breaking or the caller aborts, a part that is not empty stays for
 * the next call; after any other failure nothing stays.
 * `resumed` tells that bytes of an earlier attempt are in the file.
 * @throws DataError on a refused request, a file over the limit, or a connection that keeps breaking; the disk's own
 * error; `signal.reason` when aborted.
 */
export async function transfer(url: string, part: string, options: TransferOptions): Promise<{ bytes: number; resumed: boolean }> {
  const { retries = 2, retryDelay = 1000, signal } = options;
  let resumed = false;
  for (let attempt = 0; ; attempt++) {
    try {
      const result = await attemptTransfer(url, part, options);
      return { bytes: result.bytes, resumed: resumed || result.resumed };
    } catch (error) {
      const kept = await sizeOf(part);
      const interrupted = error instanceof Interrupted;
      if (kept === 0 || !interrupted) await discardPart(part);
      signal?.throwIfAborted();
      if (!interrupted) throw error;
      if (attempt >= retries) {
        throw new DataError("DATA_DOWNLOAD_CUT", `${url} could not be fetched: ${error.message}.`, {
          hint: kept > 0 ? `Run the same command again: it goes on after the ${kept} bytes that are there.`
            : "Check the connection and run the same command again.",
          cause: error.cause ?? error,
        });
      }
      resumed ||= kept > 0;
      await wait(retryDelay * 2 ** attempt, undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted());
    }
  }
}

/** Removes a half-fetched file and what is known of it. */
export async function discardPart(part: string): Promise<void> {
  await rm(part, { force: true });
  await rm(draftFile(part), { force: true });
}

async function attemptTransfer(url: string, part: string, options: TransferOptions): Promise<{ bytes: number; resumed: boolean }> {
  const idle = new IdleTimer(options.idle ?? 60_000);
  const signal = options.signal ? AbortSignal.any([options.signal, idle.signal]) : idle.signal;
  try {
    for (let fresh = false; ; fresh = true) {
      const draft = fresh ? undefined : await readDraft(part, url);
      const have = draft ? await sizeOf(part) : 0;
      const response = await request(url, have, draft, signal, options.fetch ?? globalThis.fetch);
      if (have > 0 && response.status === 416) {
        await response.body?.cancel();
        // Nothing after our last byte: either we have it all, or the file behind the address became shorter.
        if (rangeTotal(response) === have) return { bytes: have, resumed: true };
        continue;
      }
      if (response.status !== 200 && response.status !== 206) throw await refused(url, response);
      const from = response.status === 206 ? have : 0;
      if (response.status === 206 && !continues(response, have, draft)) {
        await response.body?.cancel();
        if (fresh) throw new Interrupted("the server sent another part of the file than was asked for");
        continue;
      }
      const bytes = await receive(url, part, response, from, draft, idle, options);
      return { bytes, resumed: from > 0 };
    }
  } catch (error) {
    if (error instanceof DataError || error instanceof Interrupted) throw error;
    if (isDiskError(error)) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const what = idle.signal.aborted ? "no byte arrived for a long time" : cause instanceof Error ? cause.message : String(cause);
    throw new Interrupted(what, { cause: error });
  } finally {
    idle.stop();
  }
}

async function request(
  url: string, have: number, draft: Draft | undefined, signal: AbortSignal, fetch: typeof globalThis.fetch,
): Promise<Response> {
  // Identity: offsets into a compressed stream mean nothing.
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (have > 0) {
    headers["range"] = `bytes=${have}-`;
    if (draft?.validator) headers["if-range"] = draft.validator;
  }
  return fetch(url, { headers, signal, redirect: "follow" });
}

async function refused(url: string, response: Response): Promise<Error> {
  await response.body?.cancel();
  const status = `${response.status} ${response.statusText}`.trim();
  const busy = response.status >= 500 || response.status === 429 || response.status === 408;
  if (busy) return new Interrupted(`the server answered ${status}`);
  return new DataError("DATA_DOWNLOAD_REFUSED", `${url} was refused: the server answered ${status}.`, {
    hint: response.status === 404
      ? "The publisher has moved the file: fetch it by hand and name its folder with CRAGRU_DATA, and tell us the new address."
      : "Open the address in a browser; if it works there, fetch it by hand and name its folder with CRAGRU_DATA.",
  });
}

function rangeTotal(response: Response): number | undefined {
  const total = /\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1];
  return total === undefined ? undefined : Number(total);
}

/** Does this answer to a range request go on exactly where we stopped, in a file of the same length? */
function continues(response: Response, have: number, draft: Draft | undefined): boolean {
  const start = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1];
  const total = rangeTotal(response);
  return have > 0 && Number(start) === have && (draft?.total === undefined || total === undefined || total === draft.total);
}

async function receive(
  url: string, part: string, response: Response, from: number, draft: Draft | undefined, idle: IdleTimer, options: TransferOptions,
): Promise<number> {
  const encoded = response.headers.has("content-encoding") && response.headers.get("content-encoding") !== "identity";
  const length = response.headers.get("content-length");
  const total = from > 0 ? (rangeTotal(response) ?? draft?.total) : encoded || length === null ? undefined : Number(length);
  tooLarge(url, total ?? 0, options.limit);
  if (from === 0) {
    await discardPart(part);
    const etag = response.headers.get("etag");
    // A weak tag promises equal meaning, not equal bytes.
    const strong = etag && !etag.startsWith("W/") ? etag : response.headers.get("last-modified");
    const validator = encoded ? undefined : strong ?? undefined;
    await writeFile(draftFile(part), JSON.stringify({ url, validator, total } satisfies Draft));
  }
  const handle = await open(part, from > 0 ? "a" : "w");
  let done = from, reported = -Infinity;
  try {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      options.signal?.throwIfAborted();
      idle.tick();
      tooLarge(url, done + chunk.length, options.limit);
      await handle.writeFile(chunk);
      done += chunk.length;
      const now = performance.now();
      if (now - reported >= REPORT_MS || done === total) {
        reported = now;
        options.onProgress?.(done, total ?? 0, "downloading");
      }
    }
  } finally {
    await handle.close();
  }
  if (total !== undefined && done !== total) throw new Interrupted(`the connection ended after ${done} of ${total} bytes`);
  return done;
}

function tooLarge(url: string, bytes: number, limit: number): void {
  if (bytes <= limit) return;
  throw new DataError("DATA_DOWNLOAD_LARGE", `${url} is larger than the ${limit} bytes that this data set can have.`, {
    hint: "This is not the file that was published: look at the address in a browser.",
  });
}

async function readDraft(part: string, url: string): Promise<Draft | undefined> {
  const text = await readFile(draftFile(part), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const draft = JSON.parse(text) as Draft;
    return draft.url === url && (draft.validator !== undefined || draft.total !== undefined) ? draft : undefined;
  } catch {
    // A note that was cut while it was written: fetch from the start.
    return undefined;
  }
}

function draftFile(part: string): string {
  return `${part}.json`;
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then((found) => found.size, () => 0);
}

const DISK_CODES = [
  "ENOSPC", "EACCES", "EPERM", "EROFS", "EDQUOT", "EISDIR", "ERR_FS_EISDIR", "ENOENT", "ENOTDIR", "EEXIST", "ENOTEMPTY",
];

/** Our own disk refused, not the other side of the line. */
export function isDiskError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && DISK_CODES.includes((error as NodeJS.ErrnoException).code ?? "");
}

/** Aborts when `tick` was not called for a while. */
class IdleTimer {
  private readonly controller = new AbortController();
  private timer: NodeJS.Timeout;
  readonly signal = this.controller.signal;

  constructor(private readonly milliseconds: number) {
    this.timer = this.start();
  }

  tick(): void {
    this.timer.refresh();
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private start(): NodeJS.Timeout {
    return setTimeout(() => this.controller.abort(new Error("idle")), this.milliseconds);
  }
}
