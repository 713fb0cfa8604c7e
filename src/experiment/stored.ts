import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Backbone, FitOptions, FittedBackbone } from "../backbone/backbone.js";
import { isExactBackbone } from "../backbone/exact.js";
import { loadModel, saveModel } from "../backbone/store.js";
import { canonicalJson, fingerprint, fingerprintRows } from "../core/fingerprint.js";
import type { Interactions } from "../core/interactions.js";
import { loadKernels } from "../native/load.js";
import { makeFolder, writing } from "./draft.js";
import type { SharedBackbone } from "./recipes.js";

/** A model that was used: its file, its rows, and whether it was fitted now or read. */
export interface UsedModel {
  file: string;
  rows: number;
  trainedOn: string;
  fitted: boolean;
  /** What its training took, now or earlier. */
  seconds: number;
  /** Whether the file stays in the folder; a model that the folder may not hold is fitted and never written. */
  kept: boolean;
}

export interface StoredBackbone extends SharedBackbone {
  /** Models used so far. */
  readonly used: readonly UsedModel[];
  /** Deletes every model file of the folder but those used and allowed to stay; gives the names of those deleted. */
  purge(): Promise<string[]>;
}

export interface StoredOptions {
  /** Whether a model of these rows may lie in the folder (default: every one). */
  mayKeep?: (train: Interactions, valid: Interactions | undefined) => boolean;
}

/**
 * A backbone that keeps its models in `folder`, one file for each recipe, data, seed and kernel face: a fit is done once and
 * read afterwards. A file of other rows has another name, so it is never taken by mistake. What reading saved is owed:
 * `borrowedSeconds` gives the training's own time.
 * @throws as `loadModel` when a file is damaged.
 */
export function storedBackbone(backbone: Backbone, folder: string, { mayKeep = () => true }: StoredOptions = {}): StoredBackbone {
  const used: UsedModel[] = [];
  let borrowed = 0;
  const stored = (inner: Backbone): Backbone => ({
    name: inner.name,
    options: inner.options,
    async fit(train: Interactions, options: FitOptions = {}): Promise<FittedBackbone> {
      const kernels = options.kernels ?? loadKernels();
      const trainedOn = fingerprintRows(train);
      const key = fingerprint("model", inner.name, canonicalJson(inner.options), trainedOn,
        options.valid ? fingerprintRows(options.valid) : "no valid", options.seed ?? "default", kernels.face);
      const file = `${inner.name}-${key.slice(0, 12)}.model`, place = join(folder, file);
      const start = performance.now();
      // A fit that is closed form is not worth a file.
      const present = existsSync(place), kept = !isExactBackbone(inner) && mayKeep(train, options.valid);
      const model = present ? await loadModel(place, { trainedOn, kernels }) : await inner.fit(train, { ...options, kernels });
      const { seconds } = model.report;
      if (present) borrowed += Math.max(0, seconds - (performance.now() - start) / 1000);
      if (!present && kept) {
        await makeFolder(folder);
        await writing(place, () => saveModel(model, place));
      }
      if (!used.some((one) => one.file === file)) used.push({ file, rows: train.length, trainedOn, fitted: !present, seconds, kept });
      return model;
    },
    ...(inner.sizedFor ? { sizedFor: (rows: number) => stored(inner.sizedFor!(rows)) } : {}),
  });
  return {
    ...stored(backbone),
    origin: backbone,
    used,
    borrowedSeconds: () => {
      const seconds = borrowed;
      borrowed = 0;
      return seconds;
    },
    async purge() {
      if (!existsSync(folder)) return [];
      const stay = new Set(used.filter(({ kept }) => kept).map(({ file }) => file));
      // Also what a killed process left half-written.
      const gone = (await readdir(folder)).filter((name) => /\.model(\.\d+\.part)?$/.test(name) && !stay.has(name)).sort();
      for (const name of gone) await writing(join(folder, name), () => rm(join(folder, name), { force: true }));
      return gone;
    },
  };
}
