/**
 * The folder of one run, step by step. Every artefact carries the split's hash, and every step checks the hashes of what it
 * reads: artefacts of two splits, or of two sets of prompts, are never mixed.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, DataError } from "../../core/errors.js";
import { canonicalJson } from "../../core/fingerprint.js";
import type { RunOptions } from "../../core/progress.js";
import type { Dataset } from "../../data/dataset.js";
import { assertSplitHash } from "../../data/guards.js";
import { loadDataset } from "../../data/load.js";
import { splitFromJson, type Split, type SplitJson } from "../../data/split.js";
import type { SyntheticOptions } from "../../data/synthetic.js";
import { defined } from "../defined.js";
import { isAlive, jsonOf, readJson, writeJson, writing } from "../draft.js";

export const DEFAULT_RUN = join("results", "run");

export interface StepOptions extends RunOptions {
  /** The run's folder (default results/run). */
  run?: string;
  /** Data folder; default as `loadDataset`. */
  root?: string;
  /** Remarks that are not part of the value. */
  note?: (text: string) => void;
}

export const PLACES = {
  split: ["1-split", "split.json"],
  cluster: ["2-clusters", "categories.json"],
  prompt: ["3-prompts", "prompts.json"],
  recommend: ["4-rankings", "rankings.json"],
  evaluate: ["5-metrics", "metrics.json"],
} as const;
export type Step = keyof typeof PLACES;

const EXAMPLES: Record<Step, string> = {
  split: "cragru split ml-100k", cluster: "cragru cluster", prompt: "cragru prompt", recommend: "cragru recommend", evaluate: "cragru evaluate",
};

/** Where a step's artefacts lie. */
export function stepFolder(run: string, step: Step): string {
  return join(run, PLACES[step][0]);
}

/** The step's record. @throws ConfigError that names the verb which makes it; DataError when it was changed or is another split's. */
export async function readStep<T extends { splitHash: string }>(run: string, step: Step, split: Split): Promise<T> {
  const file = join(run, ...PLACES[step]);
  if (!existsSync(file)) throw missing(run, step);
  const found = await readRecord<T>(file, step);
  assertSplitHash(split, found.splitHash, file);
  return found;
}

/** How the data set of a run is loaded again; stands in split.json beside the split. */
export interface LoadRecord {
  dataset: string;
  synthetic?: SyntheticOptions;
}

/**
 * Data and split of a run.
 * @throws ConfigError when the first step is missing; DataError when data or labels are not those of the split.
 */
export async function openRun(options: StepOptions): Promise<{ run: string; dataset: Dataset; split: Split }> {
  const { run = DEFAULT_RUN, root, signal } = options;
  const file = join(run, ...PLACES.split);
  if (!existsSync(file)) throw missing(run, "split");
  const stored = await readRecord<SplitJson & { load: LoadRecord }>(file, "split");
  const { dataset: name, synthetic } = stored.load;
  const dataset = await loadDataset(name, defined({ signal, root, synthetic }));
  const labels = join(stepFolder(run, "split"), "labels.bin");
  const bytes = await readFile(labels).catch((cause: unknown) => {
    throw new DataError("DATA_FILE_MISSING", `${labels} cannot be read.`, { hint: `Run \`${EXAMPLES.split}\` again.`, cause });
  });
  return { run, dataset, split: splitFromJson(dataset, stored, new Uint8Array(bytes)) };
}

/** A record as {@link finishStep} wrote it. */
async function readRecord<T>(file: string, step: Step): Promise<T> {
  const hint = `Run \`${EXAMPLES[step]}\` again.`;
  const { seal, ...record } = (await readJson<{ seal?: unknown } | null>(file, hint)) ?? {};
  if (typeof seal !== "string") throw new DataError("DATA_STEP_FORMAT", `${file} is not a record of this version.`, { hint });
  if (seal !== sealOf(record)) throw new DataError("DATA_FILE_HASH", `${file} was changed after it was made.`, { hint });
  return record as T;
}

function sealOf(record: object): string {
  return hashText(canonicalJson(record));
}

/**
 * Runs a step as the only writer of its folder: two at once would mix their artefacts. What a process that is gone left locked
 * is taken over.
 * @throws ConfigError when another process, or another call of this one, writes there.
 */
export async function alone<T>(run: string, work: () => Promise<T>): Promise<T> {
  // Nothing there yet: the step will name the verb that comes first.
  if (!existsSync(run)) return work();
  const lock = join(run, ".lock"), owner = `${process.pid} ${performance.timeOrigin}`, mine = `${lock}.${process.pid}.part`;
  await writing(run, () => writeFile(mine, owner));
  try {
    await writing(run, () => takeLock(mine, lock, owner, run));
  } finally {
    await rm(mine, { force: true });
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}

async function takeLock(mine: string, lock: string, owner: string, run: string): Promise<void> {
  try {
    return await link(mine, lock);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const holder = await readFile(lock, "utf8").catch(() => "");
  // The own number with another start: an earlier process that had it, as in a container.
  const isReused = holder.split(" ")[0] === String(process.pid) && holder !== owner;
  if (isAlive(holder) && !isReused) {
    throw new ConfigError("STEP_BUSY", `Process ${Number.parseInt(holder, 10)} works in ${run} now.`, {
      hint: `Wait for it, or choose another --run folder. If it is no cragru, delete ${lock}.`,
    });
  }
  await rm(lock, { force: true });
  await link(mine, lock);
}

function missing(run: string, step: Step): ConfigError {
  return new ConfigError("STEP_MISSING", `There is no ${join(run, ...PLACES[step])}.`, {
    hint: `Run \`${EXAMPLES[step]}\` first${run === DEFAULT_RUN ? "" : ` (with --run ${run})`}.`,
  });
}

/** Writes a step's record last, whole and sealed by its hash: while it is not there, the step is not done. */
export async function finishStep(run: string, step: Step, record: unknown): Promise<void> {
  const file = join(run, ...PLACES[step]), partial = `${file}.${process.pid}.part`;
  const plain = JSON.parse(jsonOf(record)) as object;
  await writeJson(partial, { ...plain, seal: sealOf(plain) });
  await rename(partial, file);
}

/** Marks a step as not done before its artefacts change. */
export async function reopenStep(run: string, step: Step): Promise<void> {
  await rm(join(run, ...PLACES[step]), { force: true });
}

/** SHA-256 of a text artefact, in hex. */
export function hashText(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Writes a file in one step, beside its place first. */
export async function replaceFile(file: string, write: (partial: string) => Promise<void>): Promise<void> {
  const partial = `${file}.${process.pid}.part`;
  try {
    await writing(file, () => write(partial));
    await rename(partial, file);
  } finally {
    await rm(partial, { force: true });
  }
}

