import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadDataset } from "../../data/load.js";
import { splitDataset, type Protocol, type Split, type SplitJson, type SplitRatio } from "../../data/split.js";
import type { SyntheticOptions } from "../../data/synthetic.js";
import { resolveConfig, type ForgetUnit } from "../config.js";
import { defined } from "../defined.js";
import { makeFolder, readJson } from "../draft.js";
import { sweepRun } from "./sweep.js";
import { alone, DEFAULT_RUN, finishStep, PLACES, reopenStep, replaceFile, stepFolder, type LoadRecord, type StepOptions } from "./folder.js";

export interface SplitStepOptions extends StepOptions {
  protocol?: Protocol;
  unit?: ForgetUnit;
  /** Share to forget (default 0.1). */
  forget?: number;
  /** Default 70/10/20, under released 80/10/10. */
  ratio?: SplitRatio;
  seed?: number;
  /** Size of the invented data. */
  synthetic?: SyntheticOptions;
  acceptLicence?: boolean;
}

/** Value of the first step; prints itself as the split does. */
export class SplitStep {
  constructor(readonly split: Split, readonly folder: string) {}

  toJSON(): SplitJson & { folder: string } {
    return { ...this.split.toJSON(), folder: this.folder };
  }

  toString(): string {
    return `${this.split.toString()}\n  in ${this.folder}`;
  }
}

/**
 * Step 1: splits a data set and marks what is to be forgotten. Writes 1-split/split.json and labels.bin (one byte a row).
 * Later steps of an older split in the same folder are refused from then on, as they carry its hash; its prompts are removed, and
 * so is every kept answer that owes something to a row that is forgotten now.
 * @throws ConfigError, DataError; nothing is written then.
 */
export async function split(dataset: string, options: SplitStepOptions = {}): Promise<SplitStep> {
  const { run = DEFAULT_RUN, root, protocol, unit, forget: share, ratio, seed, synthetic, acceptLicence, signal, onProgress, note = () => undefined } = options;
  const released = protocol === "released";
  const config = resolveConfig({
    dataset, forget: { unit: unit ?? (released ? "users" : "interactions"), ratio: share ?? 0.1 },
    ...defined({ protocol, seed, synthetic }),
  });
  const load: LoadRecord = { dataset, ...defined({ synthetic }) };
  const data = await loadDataset(dataset, defined({ signal, onProgress, root, synthetic, acceptLicence }));
  const made = splitDataset(data, { protocol: config.protocol, forget: config.forget, seed: config.seed, ...defined({ ratio }) });
  signal?.throwIfAborted();
  const folder = stepFolder(run, "split");
  await makeFolder(folder);
  await alone(run, async () => {
    const before = await readJson<{ hash?: unknown } | null>(join(run, ...PLACES.split), "").catch(() => null);
    await reopenStep(run, "split");
    await replaceFile(join(folder, "labels.bin"), (partial) => writeFile(partial, made.labels));
    await finishStep(run, "split", { ...made.toJSON(), load });
    const removed = await sweepRun(run, made, { isOther: before !== null && before.hash !== made.hash });
    if (removed > 0) note(`${removed} kept answers that owed something to forgotten rows were removed.`);
  });
  return new SplitStep(made, folder);
}
