import { ConfigError } from "../core/errors.js";
import { COMBINATIONS, type Combination } from "./combine.js";
import { SCORING_MODES, type ScoringMode } from "./speaker.js";

/** Checks of an engine's options; each throws a ConfigError `code` that names the option, the value and what is allowed. */
export class OptionChecks {
  constructor(private readonly code: "CONFIG_OLLAMA" | "CONFIG_LLAMACPP") {}

  number(name: string, value: number, low: number, high: number): void {
    if (!(value >= low && value <= high)) throw this.bad(name, value, `a number from ${low} to ${high}`);
  }

  whole(name: string, value: number, low: number, high: number): void {
    if (!(value >= low && value <= high && Number.isInteger(value))) throw this.bad(name, value, `a whole number from ${low} to ${high}`);
  }

  /** What every language model is asked: mode, passes and how they are combined. */
  speaking({ mode, permutations, combine }: { mode?: ScoringMode | undefined; permutations: number; combine: Combination }): void {
    if (mode !== undefined && !SCORING_MODES.includes(mode)) throw this.bad("mode", mode, `one of ${SCORING_MODES.join(", ")}`);
    this.whole("permutations", permutations, 1, 64);
    if (!COMBINATIONS.includes(combine)) throw this.bad("combine", combine, `one of ${COMBINATIONS.join(", ")}`);
  }

  bad(name: string, value: unknown, wanted: string): ConfigError {
    return new ConfigError(this.code, `${name} must be ${wanted}, not ${String(value)}.`);
  }
}
