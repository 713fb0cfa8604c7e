import { ConfigError } from "../core/errors.js";
import { DEFAULT_CONFIG, type RunConfig } from "./config.js";

/** A named experiment. */
export interface Preset {
  name: string;
  /** One sentence for `--help`. */
  summary: string;
  config: Readonly<RunConfig>;
}

/** The experiments that this version can run. */
export const PRESETS: Readonly<Record<string, Preset>> = {
  quick: {
    name: "quick",
    summary: "The main job: forget, retrieve, prompt, rank, evaluate, on invented data or --dataset.",
    config: DEFAULT_CONFIG,
  },
  "table-1": {
    name: "table-1",
    summary: "Data statistics beside the published ones (Table I), for the data sets that are on disk.",
    config: DEFAULT_CONFIG,
  },
};

/** @throws ConfigError that lists what exists. */
export function presetOf(name: string): Preset {
  const preset = Object.hasOwn(PRESETS, name) ? PRESETS[name] : undefined;
  if (preset) return preset;
  throw new ConfigError("CONFIG_PRESET", `There is no preset "${name}".`, { hint: `Presets of this version: ${Object.keys(PRESETS).join(", ")}.` });
}
