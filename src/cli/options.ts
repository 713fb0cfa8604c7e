import { InvalidArgumentError, Option, type Command } from "commander";
import { COMBINATIONS, type Combination } from "../generation/combine.js";
import { SCORING_MODES, type ScoringMode } from "../generation/speaker.js";
import { DEVICE_NAMES, type DeviceName } from "../native/load.js";
import type { SyntheticOptions } from "../data/synthetic.js";
import { defined } from "../experiment/defined.js";
import { DEFAULT_RUN } from "../experiment/steps/folder.js";

/** Options that every verb takes. */
export interface CommonOptions {
  json?: boolean;
  quiet?: boolean;
  verbose?: boolean;
}

/** Options of the verbs that compute with the kernels. */
export interface KernelFlags {
  device?: DeviceName;
  threads?: number;
}

/** A whole number. @throws InvalidArgumentError, which ends in exit code 2. */
export function whole(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError("It must be a whole number.");
  return value;
}

/** A time above zero. @throws InvalidArgumentError */
export function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value > 0 && value <= 86_400)) throw new InvalidArgumentError("It must be a number of seconds, above 0 and at most 86400.");
  return value;
}

/** A share: "0.1" or "10%". @throws InvalidArgumentError */
export function share(text: string): number {
  const value = text.endsWith("%") ? Number(text.slice(0, -1)) / 100 : Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a share such as 0.1 or "10%".');
  return value;
}

/** The name of a folder. @throws InvalidArgumentError when it is empty, as an unset variable of a script is. */
export function folder(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("It must be the name of a folder.");
  return text;
}

/** "a,b" */
export function list(text: string): string[] {
  return text.split(",").map((part) => part.trim()).filter((part) => part !== "");
}

/** Adds the common options, and the examples to the end of the help. */
export function common(command: Command, ...examples: string[]): Command {
  return command
    .option("--json", "print the value as JSON")
    .option("--quiet", "no progress and no notes")
    .option("--verbose", "show the stack of an error")
    .addHelpText("after", `\nExample${examples.length > 1 ? "s" : ""}:\n${examples.map((example) => `  $ ${example}`).join("\n")}`);
}

/** Adds where and on how many threads the kernels run. */
export function kernels(command: Command): Command {
  return command
    .addOption(new Option("--device <name>", "kernels to use (CRAGRU_DEVICE)").choices(DEVICE_NAMES))
    .option("--threads <n>", "threads of the native core (CRAGRU_THREADS); results do not depend on it", whole);
}

/** Options of the verbs that ask a generator. */
export interface SpeakingFlags {
  generator?: string;
  host?: string;
  mode?: ScoringMode;
  permutations?: number;
  combine?: Combination;
  blend?: number | "tuned";
  onFailure?: "throw" | "backbone";
  concurrency?: number;
}

/** Adds who scores the candidates, and how. */
export function speaking(command: Command): Command {
  return command
    .option("--generator <spec>", "embedded (default, no LLM), ollama:<model>, llamacpp:<file.gguf>, auto, replay:<file> or copycat (leak probe)")
    .option("--host <addresses>", "Ollama servers, with commas between them (default OLLAMA_HOST)")
    .addOption(new Option("--mode <mode>", "how answers become scores (default: expected where the server reports probabilities)").choices(SCORING_MODES))
    .option("--permutations <n>", "passes over each user, each with another order of the candidates (default 1)", whole)
    .addOption(new Option("--combine <how>", "how passes become one score (default mean)").choices(COMBINATIONS))
    .option("--blend <weight>", "weight of the backbone's opinion, 0 (default) to 1, or tuned (on validation rows)", weight)
    .addOption(new Option("--on-failure <choice>", "what a failed answer becomes: an error (default), or the backbone's order, counted")
      .choices(["throw", "backbone"]))
    .option("--concurrency <n>", "requests in flight at each server at once", whole);
}

/** A weight or the word "tuned". @throws InvalidArgumentError */
function weight(text: string): number | "tuned" {
  const value = Number(text);
  if (text === "tuned") return text;
  if (text.trim() === "" || !(value >= 0 && value <= 1)) throw new InvalidArgumentError('It must be a number from 0 to 1, or "tuned".');
  return value;
}

/** The flags of {@link speaking} as options. */
export function speakingOf({ generator, host, mode, permutations, combine, blend, onFailure, concurrency }: SpeakingFlags): Partial<Required<SpeakingFlags>> {
  return defined({ generator, host, mode, permutations, combine, blend, onFailure, concurrency });
}

/** Adds the folder that the five steps share. */
export function runFolder(command: Command): Command {
  return command.option("--run <folder>", "the run's folder", folder, DEFAULT_RUN);
}

/** Adds the size of the invented data. */
export function synthetic(command: Command): Command {
  return command
    .option("--synthetic-users <n>", "users of the invented data", whole)
    .option("--synthetic-items <n>", "items of the invented data", whole)
    .option("--synthetic-mean <n>", "mean number of rows of a user", whole);
}

export interface SyntheticFlags {
  syntheticUsers?: number;
  syntheticItems?: number;
  syntheticMean?: number;
}

/** The flags of {@link synthetic} as options; undefined when none was given. */
export function syntheticOf({ syntheticUsers, syntheticItems, syntheticMean }: SyntheticFlags): { synthetic?: SyntheticOptions } {
  const given = defined({ users: syntheticUsers, items: syntheticItems, meanPerUser: syntheticMean });
  return Object.keys(given).length > 0 ? { synthetic: given } : {};
}
