import { canonicalJson, fingerprint, fingerprintRows } from "../core/fingerprint.js";
import type { Interactions } from "../core/interactions.js";
import { unlessAborted } from "../core/progress.js";
import { loadKernels } from "../native/load.js";
import type { Backbone, FitOptions, FittedBackbone } from "./backbone.js";

export interface MemoBackbone<Fitted extends FittedBackbone> extends Backbone<Fitted> {
  /** Drops every kept model, for example because its rows were forgotten. */
  clear(): void;
}

/**
 * A backbone that fits once for the same rows, validation rows, seed and kernel face, so that many methods share one
 * training. The key holds the rows' own fingerprints: data that changed by one row never hits. The newest `keep` models
 * stay. A fit that failed or was aborted is forgotten; others who waited for it start their own.
 */
export function fitOnce<Fitted extends FittedBackbone>(backbone: Backbone<Fitted>, { keep = 4 }: { keep?: number } = {}): MemoBackbone<Fitted> {
  return memoise(backbone, keep, new Map());
}

function memoise<Fitted extends FittedBackbone>(
  backbone: Backbone<Fitted>, keep: number, models: Map<string, Promise<Fitted>>,
): MemoBackbone<Fitted> {
  return {
    name: backbone.name,
    options: backbone.options,
    async fit(train: Interactions, options: FitOptions = {}): Promise<Fitted> {
      const { signal, valid, seed, kernels = loadKernels() } = options;
      const rows = [fingerprintRows(train), valid ? fingerprintRows(valid) : "no valid"];
      const key = fingerprint(backbone.name, canonicalJson(backbone.options), ...rows, seed ?? "default", kernels.face);
      for (;;) {
        signal?.throwIfAborted();
        const running = models.get(key);
        if (!running) break;
        try {
          const model = await unlessAborted(running, signal);
          models.delete(key);
          models.set(key, running);
          return model;
        } catch (error) {
          // Another caller's abort is not this caller's: look again, and start over if nobody else did.
          if (signal?.aborted) throw error;
        }
      }
      const fitting = backbone.fit(train, { ...options, kernels });
      models.set(key, fitting);
      for (const oldest of models.keys()) {
        if (models.size <= keep) break;
        models.delete(oldest);
      }
      try {
        return await fitting;
      } catch (error) {
        if (models.get(key) === fitting) models.delete(key);
        throw error;
      }
    },
    // A sized copy shares the kept models: its options are part of the key.
    ...(backbone.sizedFor ? { sizedFor: (rows: number) => memoise(backbone.sizedFor!(rows), keep, models) } : {}),
    clear: () => models.clear(),
  };
}
