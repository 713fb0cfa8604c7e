import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Backbone, FitOptions, FittedBackbone } from "../backbone/backbone.js";
import { loadModel, saveModel } from "../backbone/store.js";
import { canonicalJson, fingerprint, fingerprintRows } from "../core/fingerprint.js";
import type { Interactions } from "../core/interactions.js";
import { loadKernels } from "../native/load.js";
import { makeFolder, writing } from "./draft.js";

export interface StoredBackbone extends Backbone {
  /** Models used so far: the file, the rows they were fitted on, and whether they were fitted now or read. */
  readonly used: readonly { file: string; rows: number; trainedOn: string; fitted: boolean }[];
}

/**
 * A backbone that keeps its models in `folder`, one file for each recipe, data, seed and kernel face: a fit is done once and
 * read afterwards. A file of other rows has another name, so it is never taken by mistake.
 * @throws as `loadModel` when a file is damaged.
 */
export function storedBackbone(backbone: Backbone, folder: string): StoredBackbone {
  const used: { file: string; rows: number; trainedOn: string; fitted: boolean }[] = [];
  const stored = (inner: Backbone): Backbone => ({
    name: inner.name,
    options: inner.options,
    async fit(train: Interactions, options: FitOptions = {}): Promise<FittedBackbone> {
      const kernels = options.kernels ?? loadKernels();
      const trainedOn = fingerprintRows(train);
      const key = fingerprint("model", inner.name, canonicalJson(inner.options), trainedOn,
        options.valid ? fingerprintRows(options.valid) : "no valid", options.seed ?? "default", kernels.face);
      const name = `${inner.name}-${key.slice(0, 12)}.model`;
      const present = existsSync(join(folder, name));
      const model = present ? await loadModel(join(folder, name), { trainedOn, kernels }) : await inner.fit(train, { ...options, kernels });
      if (!present) {
        await makeFolder(folder);
        await writing(join(folder, name), () => saveModel(model, join(folder, name)));
      }
      if (!used.some(({ file }) => file === name)) used.push({ file: name, rows: train.length, trainedOn, fitted: !present });
      return model;
    },
    ...(inner.sizedFor ? { sizedFor: (rows: number) => stored(inner.sizedFor!(rows)) } : {}),
  });
  return { ...stored(backbone), used };
}
