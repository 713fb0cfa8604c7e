import { existsSync } from "node:fs";
import { ConfigError } from "../core/errors.js";
import type { Protocol } from "../data/split.js";
import { DATASET_NAMES } from "../data/load.js";
import type { SyntheticOptions } from "../data/synthetic.js";
import { COMBINATIONS, type Combination } from "../generation/combine.js";
import { SCORING_MODES, type ScoringMode } from "../generation/speaker.js";
import { DEVICE_NAMES, type DeviceName, type LoadOptions } from "../native/load.js";
import type { ChooseOptions } from "../generation/choose.js";
import { defined } from "./defined.js";
import { CANDIDATE_SOURCES, type CandidateSource } from "../unlearning/options.js";

export const BACKBONE_NAMES = ["bpr", "lightgcn", "ease"] as const;
export type BackboneName = (typeof BACKBONE_NAMES)[number];

/** The three filters of the paper, then the controls; "attention-trained" learns its projections on D_r with TensorFlow.js. */
export const RETRIEVER_NAMES = ["attention", "preference", "diversity", "random", "recent", "none", "attention-trained"] as const;
export type RetrieverName = (typeof RETRIEVER_NAMES)[number];

export type ForgetUnit = "interactions" | "users";

/** Everything that decides what an experiment computes. Resolved, it stands in every result's config.json. */
export interface RunConfig {
  /** A name that `loadDataset` knows, or the path of a folder with RecBole atomic files. */
  dataset: string;
  /** Size and seed of the invented data; only for "synthetic". */
  synthetic: SyntheticOptions;
  /** "strict" is the honest protocol; "released" repeats the authors' code with its leaks, and every output says so. */
  protocol: Protocol;
  forget: { unit: ForgetUnit; ratio: number };
  seed: number;
  backbones: BackboneName[];
  /** The first one stands for the method wherever one filter must be chosen. */
  retrievers: RetrieverName[];
  /** Every retriever runs on the first source; the other sources run with the first retriever. */
  candidateSources: CandidateSource[];
  /** "embedded", "copycat" (the leak probe), "auto", "ollama:<model>", "llamacpp:<file.gguf>" or "replay:<file>". */
  generator: string;
  /** Ollama server, for example "http://127.0.0.1:11434"; undefined: OLLAMA_HOST. */
  host: string | undefined;
  /** How a language model gives scores; undefined: "expected" where it reports probabilities, else "listwise". */
  mode: ScoringMode | undefined;
  /** Passes over each user, each with another order of the candidates. */
  permutations: number;
  combine: Combination;
  /** Weight of the backbone's opinion in the final order, or "tuned" on validation rows. */
  blend: number | "tuned";
  /** Rows of similar users beside a short history, at most; 0: none. */
  similar: number;
  /** Candidates in a prompt, K of Eq. 1. */
  candidates: number;
  /** History budget B: rows of history in a prompt, at most. */
  history: number;
  /** Item categories: k of the k-means. */
  clusters: number;
  /** Users whose lists are evaluated, a sample spread over the lengths of their histories; 0 means all. */
  users: number;
  onFailure: "throw" | "backbone";
  /** Requests in flight at once; undefined: the generator's own number. */
  concurrency: number | undefined;
  device: DeviceName;
  /** Threads of the cpu face; undefined: all. Results do not depend on it. */
  threads: number | undefined;
}

/** What a run does when nothing is asked for. */
export const DEFAULT_CONFIG: Readonly<RunConfig> = {
  dataset: "synthetic", synthetic: {}, protocol: "strict", forget: { unit: "interactions", ratio: 0.1 }, seed: 2020,
  backbones: ["bpr", "lightgcn"], retrievers: ["attention", "preference", "diversity", "random", "recent", "none"], candidateSources: ["full", "remain", "popularity"],
  generator: "embedded", host: undefined, mode: undefined, permutations: 1, combine: "mean", blend: 0, similar: 0, candidates: 50, history: defaultHistory("synthetic"), clusters: 5, users: 1000, onFailure: "throw",
  concurrency: undefined, device: "auto", threads: undefined,
};

/**
 * History budget where none is asked for: the paper's 100 rows; 20 on invented data, whose histories are short, so that the
 * filters have something to leave out.
 */
export function defaultHistory(dataset: string): number {
  return dataset === "synthetic" ? 20 : 100;
}

/** What `loadKernels` is asked for. "auto" asks for nothing, so that CRAGRU_DEVICE and CRAGRU_THREADS decide. */
export function nativeOptions({ device, threads }: Pick<RunConfig, "device" | "threads">): LoadOptions {
  return { ...(device === "auto" ? {} : { device }), ...(threads === undefined ? {} : { threads }) };
}

/**
 * Defaults overlaid with `given`; entries that are undefined count as not given. Under the released protocol the default to
 * forget is 10 % of the users, as the authors coded it.
 * @throws ConfigError that names the option, the value and what is allowed.
 */
export function resolveConfig(given: Partial<RunConfig> = {}, defaults: Readonly<RunConfig> = DEFAULT_CONFIG): RunConfig {
  const unknown = Object.keys(given).find((key) => !(key in DEFAULT_CONFIG));
  if (unknown !== undefined) {
    throw new ConfigError("CONFIG_OPTION", `There is no option "${unknown}".`, { hint: `Options: ${Object.keys(DEFAULT_CONFIG).join(", ")}.` });
  }
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<RunConfig>;
  const config: RunConfig = { ...defaults, ...set };
  if (set.history === undefined) config.history = defaultHistory(config.dataset);
  if (config.protocol === "released" && set.forget === undefined) config.forget = { unit: "users", ratio: 0.1 };
  check(config);
  return config;
}

function check(config: RunConfig): void {
  oneOf("protocol", config.protocol, ["strict", "released"]);
  oneOf("forget.unit", config.forget.unit, ["interactions", "users"]);
  if (!(config.forget.ratio > 0 && config.forget.ratio < 1)) {
    refuse("forget.ratio", config.forget.ratio, "a share above 0 and below 1, for example 0.1");
  }
  if (config.protocol === "released" && config.forget.unit !== "users") {
    refuse("forget.unit", config.forget.unit, '"users" under the released protocol, which forgets whole users only');
  }
  whole("seed", config.seed, 0, 0xffffffff);
  someOf("backbones", config.backbones, BACKBONE_NAMES);
  someOf("retrievers", config.retrievers, RETRIEVER_NAMES);
  someOf("candidateSources", config.candidateSources, CANDIDATE_SOURCES);
  if (!/^(auto|embedded|copycat|ollama:\S+|llamacpp:.+|replay:.+)$/.test(config.generator)) {
    refuse("generator", config.generator, "auto, embedded, copycat, ollama:<model> (for example ollama:llama3.1:8b), llamacpp:<file.gguf> or replay:<file>");
  }
  if (config.mode !== undefined) oneOf("mode", config.mode, SCORING_MODES);
  whole("permutations", config.permutations, 1, 64);
  oneOf("combine", config.combine, COMBINATIONS);
  if (config.blend !== "tuned" && !(config.blend >= 0 && config.blend <= 1)) refuse("blend", config.blend, 'a number from 0 (the model alone) to 1 (the backbone alone), or "tuned"');
  whole("similar", config.similar, 0, 10_000);
  whole("candidates", config.candidates, 1, 1000);
  whole("history", config.history, 1, 10_000);
  whole("clusters", config.clusters, 1, 100);
  whole("users", config.users, 0, 0xffffffff);
  oneOf("onFailure", config.onFailure, ["throw", "backbone"]);
  if (config.concurrency !== undefined) whole("concurrency", config.concurrency, 1, 1024);
  oneOf("device", config.device, DEVICE_NAMES);
  if (config.threads !== undefined) whole("threads", config.threads, 1, 256);
  if (!(DATASET_NAMES as readonly string[]).includes(config.dataset) && !existsSync(config.dataset)) {
    refuse("dataset", config.dataset, `${DATASET_NAMES.join(", ")}, or the path of a folder with RecBole atomic files`);
  }
  if (config.dataset !== "synthetic" && Object.keys(config.synthetic).length > 0) {
    const flags: Record<string, string> = { users: "--synthetic-users", items: "--synthetic-items", meanPerUser: "--synthetic-mean" };
    const sizes = Object.entries(config.synthetic).map(([name, value]) => `${flags[name] ?? name} ${String(value)}`).join(", ");
    throw new ConfigError("CONFIG_VALUE", `The option synthetic (${sizes}) does not go with the data set ${config.dataset}.`, {
      hint: "Sizes can be chosen for the invented data alone: leave them out, or choose the data set synthetic.",
    });
  }
}

/** What the engines are asked for. */
export function enginesOf({ seed, host, concurrency, mode, permutations, combine }: Pick<RunConfig, "seed" | "host" | "concurrency" | "mode" | "permutations" | "combine">): Pick<ChooseOptions, "ollama" | "llamacpp"> {
  const speaking = { seed, permutations, combine, ...defined({ concurrency, mode }) };
  return { ollama: { ...speaking, ...defined({ host }) }, llamacpp: speaking };
}

/** A sentence about options that this generator has no use for; undefined where all have their effect. */
export function idleOptions({ generator, host, mode, permutations, combine, concurrency }: RunConfig): string | undefined {
  const speaks = /^(ollama|llamacpp):|^auto$/.test(generator);
  const idle = [
    ...(host !== undefined && !/^(ollama:|auto$)/.test(generator) ? ["host"] : []),
    ...(speaks ? [] : [...(mode === undefined ? [] : ["mode"]), ...(permutations > 1 ? ["permutations"] : []), ...(concurrency === undefined ? [] : ["concurrency"])]),
    ...(combine !== DEFAULT_CONFIG.combine && (!speaks || permutations === 1) ? ["combine"] : []),
  ];
  return idle.length === 0 ? undefined : `Without effect on ${generator}: ${idle.join(", ")}.`;
}

/** Flags of the command line, where they differ from the option's name. */
const FLAGS: Readonly<Record<string, string>> = {
  "forget.ratio": "--forget", "forget.unit": "--unit", onFailure: "--on-failure", clusters: "--clusters, --k",
  backbones: "--backbones, --backbone", retrievers: "--retrievers, --retriever", candidateSources: "--candidate-sources, --candidate-source",
};

function nameOf(option: string): string {
  const flags = FLAGS[option];
  return `The option ${option}${flags === undefined ? "" : ` (${flags})`}`;
}

function whole(option: string, value: number, least: number, most: number): void {
  if (!(Number.isInteger(value) && value >= least && value <= most)) refuse(option, value, `a whole number from ${least} to ${most}`);
}

function oneOf(option: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value)) refuse(option, value, allowed.join(", "));
}

function someOf(option: string, values: readonly string[], allowed: readonly string[]): void {
  if (!Array.isArray(values) || values.length === 0) {
    throw new ConfigError("CONFIG_VALUE", `${nameOf(option)} names nothing.`, { hint: `Allowed: one or more of ${allowed.join(", ")}.` });
  }
  const odd = values.find((value) => !allowed.includes(value));
  if (odd !== undefined) refuse(option, odd, allowed.join(", "));
  const twice = values.find((value, at) => values.indexOf(value) !== at);
  if (twice !== undefined) {
    throw new ConfigError("CONFIG_VALUE", `${nameOf(option)} names ${twice} twice.`, { hint: `Allowed: each name once, of ${allowed.join(", ")}.` });
  }
}

function refuse(option: string, value: unknown, allowed: string): never {
  const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
  throw new ConfigError("CONFIG_VALUE", `${nameOf(option)} cannot be ${shown}.`, { hint: `Allowed: ${allowed}.` });
}
