import { open, rename, rm, stat, truncate, type FileHandle } from "node:fs/promises";
import type { Interactions } from "../core/interactions.js";
import { fingerprint } from "../core/fingerprint.js";
import { GenerationFailure } from "./failures.js";
import type { EngineInfo, GenerationCounts } from "./generator.js";

/** One recorded answer: a line of a replay file. It is personal data, as the prompt was. */
export interface ReplayEntry {
  promptHash: string;
  user: number;
  /** Dense ids of the rows that the prompt printed: what a forget request looks for. */
  evidence: number[];
  /** Rows of similar users that it printed: [user, item]. */
  similar?: [number, number][];
  reply: string;
  scores: number[];
  status: "ok" | "repaired";
  positionTau?: number | null;
  counts: GenerationCounts;
  seconds: number;
  engine: EngineInfo;
}

/** What must leave a replay file: answers to these prompts, answers made from any of these rows. */
export interface Purge {
  promptHashes?: Iterable<string>;
  rows?: Interactions;
  /** Users of whom no answer may stay, whatever their prompts printed. */
  users?: Iterable<number>;
}

/** Whether an answer owes anything to these rows or users. */
export function touches(entry: Pick<ReplayEntry, "user" | "evidence" | "similar">, { rows, users }: { rows?: Interactions; users?: Iterable<number> }): boolean {
  if (users) for (const user of users) if (user === entry.user) return true;
  return rows !== undefined && (entry.evidence.some((item) => rows.has(entry.user, item)) || (entry.similar ?? []).some(([user, item]) => rows.has(user, item)));
}

/**
 * Rewrites a replay file without the entries that a forget request touches. The new file takes the old one's place in one
 * step, so a crash leaves one of the two, whole; a half-written last line goes too. Nothing may be recording into the file
 * meanwhile.
 * @throws GenerationFailure `GENERATION_REPLAY_FILE`; the file then stays as it was.
 */
export async function purgeReplies(file: string, { promptHashes = [], rows, users = [] }: Purge): Promise<{ removed: number; kept: number }> {
  const hashes = new Set(promptHashes), gone = new Set(users);
  const { mode } = await stat(file).catch((cause: Error) => { throw unreadable(file, cause); });
  const fresh = `${file}.${process.pid}.purge`;
  let removed = 0, kept = 0;
  const out = await open(fresh, "w", mode & 0o777);
  try {
    let block: string[] = [];
    await eachEntry(file, async (entry, line) => {
      if (hashes.has(entry.promptHash) || gone.has(entry.user) || touches(entry, rows ? { rows } : {})) {
        removed++;
        return;
      }
      kept++;
      block.push(`${line}\n`);
      if (block.length < 256) return;
      await out.write(block.join(""));
      block = [];
    });
    await out.write(block.join(""));
    await out.sync();
  } catch (error) {
    await out.close();
    await rm(fresh, { force: true });
    throw error;
  }
  await out.close();
  await rename(fresh, file);
  return { removed, kept };
}

/**
 * Calls `take` for each entry in file order, one line in memory at a time, with the byte where it begins. A last line without its line end was never
 * finished and is passed over.
 * @throws GenerationFailure `GENERATION_REPLAY_FILE` when the file is absent or a line is no entry.
 */
export async function eachEntry(file: string, take: (entry: ReplayEntry, line: string, at: number) => void | Promise<void>): Promise<void> {
  const handle = await open(file, "r").catch((cause: Error) => { throw unreadable(file, cause); });
  try {
    let number = 0, at = 0;
    for await (const line of wholeLines(handle)) {
      number++;
      if (line.trim() !== "") await take(readEntry(line, file, number), line, at);
      at += Buffer.byteLength(line) + 1;
    }
  } finally {
    await handle.close();
  }
}

/** Cuts off a last line that a crash left half-written; a file that is not there is fine. */
export async function removeTornLine(file: string): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(file, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw unreadable(file, error as Error);
  }
  let whole = 0, size = 0;
  try {
    size = (await handle.stat()).size;
    const piece = Buffer.alloc(65536);
    for (let end = size; end > 0 && whole === 0; end = Math.max(0, end - piece.length)) {
      const start = Math.max(0, end - piece.length);
      const { bytesRead } = await handle.read(piece, 0, end - start, start);
      const at = piece.subarray(0, bytesRead).lastIndexOf(10);
      if (at >= 0) whole = start + at + 1;
    }
  } finally {
    await handle.close();
  }
  if (whole < size) await truncate(file, whole);
}

/** Lines that end with a line feed, and with nothing else: replies may hold other separators that readline would cut at. */
async function* wholeLines(handle: FileHandle): AsyncGenerator<string> {
  const chunk = Buffer.alloc(1 << 18);
  let parts: Buffer[] = [];
  for (;;) {
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, null);
    if (bytesRead === 0) return;
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0 && end < bytesRead; end = chunk.indexOf(10, from)) {
      parts.push(Buffer.from(chunk.subarray(from, end)));
      yield Buffer.concat(parts).toString("utf8");
      parts = [];
      from = end + 1;
    }
    if (from < bytesRead) parts.push(Buffer.from(chunk.subarray(from, bytesRead)));
  }
}

/** One line as an entry. @throws GenerationFailure `GENERATION_REPLAY_FILE`. */
export function readEntry(line: string, file: string, number: number | undefined): ReplayEntry {
  let entry: Partial<ReplayEntry> | null = null;
  try {
    entry = JSON.parse(line) as Partial<ReplayEntry> | null;
  } catch {
    // Reported below with the line number.
  }
  const fine = entry !== null && typeof entry === "object" && typeof entry.promptHash === "string" && Number.isInteger(entry.user)
    && typeof entry.reply === "string" && Array.isArray(entry.scores) && entry.scores.every((score) => Number.isFinite(score))
    && Array.isArray(entry.evidence) && (entry.status === "ok" || entry.status === "repaired")
    && typeof entry.counts === "object" && entry.counts !== null && typeof entry.engine === "object" && entry.engine !== null;
  if (!fine) {
    const digest = fingerprint(line).slice(0, 8);
    throw new GenerationFailure("GENERATION_REPLAY_FILE", "permanent", `${file}${number === undefined ? "" : `, line ${number}`} is no recorded answer (${line.length} characters, fingerprint ${digest}).`, {
      hint: "Remove that line, or record the run again (a run's own answers: cragru recommend --restart).",
    });
  }
  return entry as ReplayEntry;
}

function unreadable(file: string, cause: Error): GenerationFailure {
  return new GenerationFailure("GENERATION_REPLAY_FILE", "permanent", `${file} cannot be read: ${cause.message}.`, {
    hint: "Answers are kept by `cragru recommend`, or in code by journaled(generator, file).", cause,
  });
}
