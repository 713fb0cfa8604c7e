/**
 * The folder of one run, step by step. Every artefact carries the split's hash, and every step checks the hashes of what it
 * reads: artefacts of two splits, or of two sets of prompts, are never mixed.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "../../core/errors.js";
import type { RunOptions } from "../../core/progress.js";
import type { Dataset } from "../../data/dataset.js";
import { assertSplitHash } from "../../data/guards.js";
import { loadDataset } from "../../data/load.js";
import { splitFromJson, type Split, type SplitJson } from "../../data/split.js";
import type { SyntheticOptions } from "../../data/synthetic.js";
import { defined } from "../defined.js";
import { readJson, writeJson } from "../draft.js";

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

/** The step's record. @throws ConfigError that names the verb which makes it. */
export async function readStep<T extends { splitHash: string }>(run: string, step: Step, split: Split): Promise<T> {
  const file = join(run, ...PLACES[step]);
  if (!existsSync(file)) throw missing(run, step);
  const found = await readJson<T>(file, `Run \`${EXAMPLES[step]}\` again.`);
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
  const stored = await readJson<SplitJson & { load: LoadRecord }>(file, "Run `cragru split` again.");
  const { dataset: name, synthetic } = stored.load;
  const dataset = await loadDataset(name, defined({ signal, root, synthetic }));
  const labels = new Uint8Array(await readFile(join(stepFolder(run, "split"), "labels.bin")));
  return { run, dataset, split: splitFromJson(dataset, stored, labels) };
}

function missing(run: string, step: Step): ConfigError {
  return new ConfigError("STEP_MISSING", `There is no ${join(run, ...PLACES[step])}.`, {
    hint: `Run \`${EXAMPLES[step]}\` first${run === DEFAULT_RUN ? "" : ` (with --run ${run})`}.`,
  });
}

/** Writes a step's record last and whole: while it is not there, the step is not done. */
export async function finishStep(run: string, step: Step, record: unknown): Promise<void> {
  const file = join(run, ...PLACES[step]), partial = `${file}.${process.pid}.part`;
  await writeJson(partial, record);
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
    await write(partial);
    await rename(partial, file);
  } finally {
    await rm(partial, { force: true });
  }
}

