import { existsSync } from "node:fs";
import { join } from "node:path";
import { isExactBackbone } from "../backbone/exact.js";
import { ConfigError, DataError } from "../core/errors.js";
import { partOf, type RunOptions } from "../core/progress.js";
import type { Dataset } from "../data/dataset.js";
import { loadDataset } from "../data/load.js";
import { evalMask } from "../data/masks.js";
import { splitDataset } from "../data/split.js";
import { statistics, type DatasetStatistics } from "../data/statistics.js";
import { chooseGenerator } from "../generation/choose.js";
import type { Generator } from "../generation/generator.js";
import { journaled, type Journaled } from "../generation/journal.js";
import { engineId } from "../generation/replay.js";
import { purgeReplies } from "../generation/replayfile.js";
import { describeNative, loadKernels } from "../native/load.js";
import { enginesOf, idleOptions, nativeOptions, resolveConfig, type RunConfig } from "./config.js";
import { defined } from "./defined.js";
import { makeFolder, readJson, writeFolder, writeJson } from "./draft.js";
import { chooseExample, makeExample, type Example } from "./example.js";
import { runMethod, type Bench, type MethodPlan } from "./method.js";
import { beforePlan, cragruPlan, retrainPlan, sanityPlan, type Workshop } from "./plans.js";
import { presetOf } from "./presets.js";
import { publishedStatistics } from "./published.js";
import { backboneOf, sharedBackbone, type SharedBackbone } from "./recipes.js";
import { cacheKey, resultName } from "./results.js";
import { RunResult } from "./runresult.js";
import { StatisticsTable } from "./statisticstable.js";
import { evaluationUsers, listDepth } from "./users.js";
import type { CandidateSource } from "../unlearning/options.js";
import { codeVersion } from "./version.js";

export interface ExperimentOptions extends RunOptions, Partial<RunConfig> {
  /** Folder of all results (default "results"). */
  results?: string;
  /** Data folder; default as `loadDataset`. */
  root?: string;
  /** Remarks that belong beside the result, not in it: which engine answers, what was taken from stored results. */
  note?: (text: string) => void;
}

/**
 * Runs a preset. "quick" is the main job: load, split, fit, forget with every filter and control, retrain, evaluate, compare,
 * and show one user before and after. Methods whose stored result has the same key are not computed again, so an interrupted
 * run goes on where it stopped. "table-1" counts the data sets that are on disk.
 * @throws ConfigError on options that cannot be honoured; DataError, GenerationError, NativeError from the steps; or
 * `signal.reason`. No half result is left behind.
 */
export async function run(preset?: "quick", options?: ExperimentOptions): Promise<RunResult>;
export async function run(preset: "table-1", options?: ExperimentOptions): Promise<StatisticsTable>;
export async function run(preset: string, options?: ExperimentOptions): Promise<RunResult | StatisticsTable>;
export async function run(preset = "quick", options: ExperimentOptions = {}): Promise<RunResult | StatisticsTable> {
  const { signal, onProgress, results = "results", root, note = () => undefined, ...given } = options;
  const { config: defaults } = presetOf(preset);
  const config = resolveConfig(given, defaults);
  const progress: RunOptions = defined({ signal, onProgress });
  if (preset === "table-1") return tableOne(config, given.dataset, root, progress, note);

  const started = performance.now();
  const native = nativeOptions(config);
  const kernels = loadKernels(native);
  const dataset = await loadDataset(config.dataset, {
    ...partOf(progress, 0, 40, "load"), ...defined({ root }),
    ...(config.dataset === "synthetic" ? { synthetic: config.synthetic } : {}),
  });
  const split = splitDataset(dataset, { protocol: config.protocol, forget: config.forget, seed: config.seed });
  const users = evaluationUsers(split, config.users);
  if (users.length === 0) {
    throw new DataError("DATA_NO_TEST", `No user of ${dataset.name} has a test row.`, { hint: "Users need five rows or more." });
  }
  const choice = await chooseGenerator(config.generator, {
    ...defined({ signal }), ...enginesOf(config),
  });
  note(choice.sentence);
  const idle = idleOptions(config);
  if (idle !== undefined) note(idle);
  const bench: Bench = {
    config, dataset, split, users, depth: listDepth(split), mask: evalMask(split), device: kernels.device,
    code: codeVersion(describeNative(native).addonPath), results,
  };
  // Answers of a language model take hours: they are kept as they come. The request of a run is the same each time it is started,
  // so what was answered after it stays; what prints a forgotten row (the example's list before it) goes at the end.
  const replies = join(results, "replies.jsonl");
  const speaks = choice.engine.model !== undefined && !choice.engine.replayed;
  if (speaks) await makeFolder(results);
  const generator = speaks ? keeping(journaled(choice.generator, replies)) : choice.generator;
  const workshop: Workshop = { bench, kernels, generator, engine: choice.engine };
  try {
    const backbones = config.backbones.map((name) => sharedBackbone(backboneOf(name, dataset.itemCount), split.train.length));
    const plans = plansOf(workshop, backbones);
    const steps = plans.length + 1;
    const computed: RunResult["parts"]["results"] = [];
    const kept: string[] = [];
    for (const [at, plan] of plans.entries()) {
      signal?.throwIfAborted();
      const { result, stored } = await runMethod(bench, plan, partOf(progress, at, steps, `${plan.label.label}, ${plan.label.source}`));
      computed.push(result);
      if (stored) kept.push(plan.label.name);
      onProgress?.(at + 1, steps, plan.label.label);
    }
    if (kept.length > 0) note(`${kept.length} of ${plans.length} methods were taken from ${results}: same configuration, data and code.`);
    const example = await storedExample(workshop, backbones[0]!, partOf(progress, plans.length, steps, "one user"));
    onProgress?.(steps, steps, "done");
    return new RunResult({
      preset, config, split: split.toJSON(), captions: captionsOf(dataset, split.toString(), users.length),
      device: kernels.device, engine: choice.engine, results: computed, example, folder: results,
      seconds: (performance.now() - started) / 1000,
    });
  } finally {
    await generator.close();
    if (speaks && existsSync(replies)) await purgeReplies(replies, { rows: split.forget });
  }
}

/** The same answers without `purge`: see {@link run}. */
function keeping(journal: Journaled): Generator {
  const { name, concurrency, prepare } = journal;
  return {
    name, ...defined({ concurrency, prepare }), describe: (options) => journal.describe(options), generate: (prompt, options) => journal.generate(prompt, options),
    hostLoad: () => journal.hostLoad?.(), close: () => journal.close(),
  };
}

/**
 * The rows of the table: sanity rows; then for each backbone the state before, every filter and control on the first
 * candidate source, the first filter on each other source, and the retrained reference.
 */
function plansOf(workshop: Workshop, backbones: readonly SharedBackbone[]): MethodPlan[] {
  const { retrievers, candidateSources } = workshop.bench.config;
  const lead = retrievers[0]!, [source, ...others] = candidateSources;
  const plans = [sanityPlan(workshop, "popularity"), sanityPlan(workshop, "itemknn")];
  // Candidates by popularity owe nothing to a backbone: one row serves all.
  if (candidateSources.includes("popularity")) plans.push(cragruPlan(workshop, backbones[0]!, lead, "popularity"));
  for (const backbone of backbones) {
    plans.push(beforePlan(workshop, backbone));
    const able = (candidates: CandidateSource): boolean => candidates !== "popularity" && (candidates !== "exact" || isExactBackbone(backbone.origin));
    if (able(source!)) plans.push(...retrievers.map((name) => cragruPlan(workshop, backbone, name, source!)));
    plans.push(...others.filter(able).map((other) => cragruPlan(workshop, backbone, lead, other)));
    plans.push(retrainPlan(workshop, backbone));
  }
  return plans;
}

async function storedExample(workshop: Workshop, backbone: SharedBackbone, options: RunOptions): Promise<Example | undefined> {
  const { bench, engine, kernels } = workshop;
  const { config, dataset, split, results, code } = bench;
  // The released protocol removes nothing, so there is no before and after to show.
  const choice = split.protocol === "released" ? undefined : chooseExample(split, bench.users);
  if (!choice) return undefined;
  const { protocol, forget, seed, candidates, history, clusters } = config;
  const settings = {
    protocol, forget, seed, candidates, history, clusters, retriever: config.retrievers[0], user: choice.user, genre: choice.genre,
    backbone: backbone.options, face: kernels.face,
  };
  const key = cacheKey({ config: settings, dataset: dataset.fingerprint, split: split.hash, code, engine: engineId(engine), method: "example" });
  const folder = join(results, resultName(dataset.name, backbone.name, "example", config)), file = join(folder, "example.json");
  if (existsSync(file)) {
    const stored = await readJson<{ key: string; example: Example }>(file, "Delete the folder and run again.");
    if (stored.key === key) return stored.example;
  }
  const example = await makeExample(workshop, backbone, choice, options);
  await writeFolder(folder, (draft) => writeJson(join(draft, "example.json"), { key, example, engine, split: split.toJSON() }));
  return example;
}

function captionsOf(dataset: Dataset, split: string, users: number): string[] {
  const count = (value: number): string => value.toLocaleString("en-US");
  return [
    `${dataset.name}: ${count(dataset.userCount)} users, ${count(dataset.itemCount)} items, ${count(dataset.length)} interactions; `
      + `${count(users)} users evaluated.`,
    split,
  ];
}

/** Data sets of Table I that are on disk (or the one asked for), counted, beside the published numbers. */
async function tableOne(
  config: RunConfig, asked: string | undefined, root: string | undefined, options: RunOptions, note: (text: string) => void,
): Promise<StatisticsTable> {
  const names = asked === undefined ? publishedStatistics.rows.map(({ dataset }) => dataset as string) : [asked];
  const counted: DatasetStatistics[] = [];
  for (const [at, name] of names.entries()) {
    try {
      const dataset = await loadDataset(name, {
        ...partOf(options, at, names.length, name), ...defined({ root }),
        ...(name === "synthetic" ? { synthetic: config.synthetic } : {}),
      });
      counted.push(statistics(dataset));
    } catch (error) {
      if (asked !== undefined || !(error instanceof DataError) || error.code !== "DATA_NOT_ON_DISK") throw error;
      note(error.message);
    }
  }
  if (counted.length === 0) {
    throw new ConfigError("STEP_NO_DATA", "None of the data sets of Table I is on disk.", {
      hint: "Run `cragru data ml-100k --accept-licence` first, or set CRAGRU_DATA.",
    });
  }
  return new StatisticsTable(counted);
}
