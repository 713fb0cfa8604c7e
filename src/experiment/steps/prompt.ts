import { writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { popularityBackbone } from "../../backbone/popularity.js";
import { ConfigError } from "../../core/errors.js";
import { partOf } from "../../core/progress.js";
import type { Interactions } from "../../core/interactions.js";
import { formatPrompt } from "../../augmentation/prompt.js";
import type { Prompt } from "../../core/prompt.js";
import { serveMask } from "../../data/masks.js";
import { embedded } from "../../generation/embedded.js";
import { loadKernels, type DeviceName } from "../../native/load.js";
import { Cragru } from "../../unlearning/cragru.js";
import type { CandidateSource } from "../../unlearning/options.js";
import type { Receipt } from "../../unlearning/unlearner.js";
import { defaultHistory, nativeOptions, resolveConfig, type BackboneName, type RetrieverName } from "../config.js";
import { defined } from "../defined.js";
import { makeFolder } from "../draft.js";
import { requestOf } from "../plans.js";
import { backboneOf, retrieverOf } from "../recipes.js";
import { storedBackbone, type UsedModel } from "../stored.js";
import { evaluationUsers, listDepth } from "../users.js";
import { wordsOf, type ClusterRecord } from "./cluster.js";
import { alone, DEFAULT_RUN, finishStep, hashText, openRun, PLACES, readStep, reopenStep, replaceFile, stepFolder, type StepOptions } from "./folder.js";
import { sweepRun } from "./sweep.js";
import { formatCandidates, formatPrompts, templateOf, type ProfileChoice } from "./promptfile.js";

export interface PromptStepOptions extends StepOptions {
  backbone?: BackboneName;
  retriever?: RetrieverName;
  candidateSource?: CandidateSource;
  /** Candidates in a prompt (default 50). */
  candidates?: number;
  /** History budget (default 100). */
  history?: number;
  /** Rows of similar users beside a short history, at most (default 0: none). */
  similar?: number;
  /** Users to write prompts for, a sample; 0 means all (default 1000). */
  users?: number;
  /** "auto": with a profile where the data set has profiles. */
  profile?: ProfileChoice;
  device?: DeviceName;
  threads?: number;
}

/** What 3-prompts/prompts.json holds. */
export interface PromptRecord {
  format: "cragru-prompts-1";
  splitHash: string;
  /** Of the categories that the retriever used; absent when it used none. */
  categoriesHash?: string;
  settings: {
    backbone: string; retriever: string; candidateSource: CandidateSource; candidates: number; history: number; users: number;
    profile: ProfileChoice; seed: number; similar: number;
  };
  template: string;
  /** Prompts, and users without any remaining row, who get no prompt. */
  prompts: number;
  withoutHistory: number;
  tokensEstimated: number;
  /** SHA-256 of prompts.jsonl and candidates.jsonl. */
  promptsHash: string;
  candidatesHash: string;
  depth: number;
  /** Models that proposed candidates, before the request and after it. */
  models: readonly UsedModel[];
  /**
   * Model files deleted from the folder: under strict, a step whose candidates come from a clean source leaves no file there
   * that was fitted or stopped early on forgotten rows.
   */
  removed: readonly string[];
  retrieval: Readonly<Record<string, unknown>>;
  /** `seconds.rebuild` holds the training of a model that was read from its file, too. */
  receipt: Receipt;
  /** Kept answers of an earlier step 4 that owed something to forgotten rows and are gone. */
  answersRemoved: number;
  /** How often each guard of the strict protocol would have thrown; under strict always zero. */
  violations: { test: number; candidates: number; forgotten: number };
  warning?: string;
  device: string;
}

/** Value of the third step. */
export class PromptStep {
  constructor(readonly record: PromptRecord, readonly sample: Prompt | undefined, readonly folder: string) {}

  toJSON(): PromptRecord & { folder: string } {
    return { ...this.record, folder: this.folder };
  }

  toString(): string {
    const { settings, prompts, withoutHistory, tokensEstimated, models, removed, receipt, warning } = this.record;
    return [
      `${prompts} prompts: ${settings.retriever} on ${settings.candidateSource} ${settings.backbone}, ${settings.candidates} candidates, `
        + `at most ${settings.history} rows of history`,
      ...models.map(({ file, rows, fitted, kept }) =>
        `  ${file}: ${fitted ? "fitted" : "read, fitted earlier"} on ${rows.toLocaleString("en-US")} rows${kept ? "" : ", among them forgotten ones: not kept"}`),
      ...(removed.length > 0 ? [`  deleted, as it may hold forgotten rows: ${removed.join(", ")}`] : []),
      `  about ${Math.round(tokensEstimated / Math.max(1, prompts))} tokens a prompt; ${withoutHistory} users without a row left get the popularity list`,
      ...receipt.residuals.map((residual) => `  residual: ${residual}`),
      ...(warning === undefined ? [] : [`  ${warning}`]),
      `  in ${this.folder}`,
      ...(this.sample ? ["", formatPrompt(this.sample)] : []),
    ].join("\n");
  }
}

/**
 * Step 3: candidates, filtered history and prompts after the request. Fits the backbone if no model of the same recipe and
 * rows is in the folder, and says on which rows. A frozen backbone's file stays and is named among the residuals; with a clean
 * candidate source no file that saw forgotten rows stays. Writes 3-prompts/prompts.jsonl, candidates.jsonl, the models and, last,
 * prompts.json. Under protocol strict no prompt holds a forgotten row, a test row or a candidate: the guards throw.
 * @throws ConfigError when an earlier step is missing; DataError when it belongs to another split.
 */
export async function prompt(options: PromptStepOptions = {}): Promise<PromptStep> {
  return alone(options.run ?? DEFAULT_RUN, () => promptIn(options));
}

async function promptIn(options: PromptStepOptions): Promise<PromptStep> {
  const { run, dataset, split } = await openRun(options);
  const { candidateSource = "full", profile = "auto", signal, note = () => undefined } = options;
  const backboneName = options.backbone ?? "bpr", retrieverName = options.retriever ?? "attention";
  const config = resolveConfig({
    backbones: [backboneName], retrievers: [retrieverName], candidateSources: [candidateSource], seed: split.seed,
    candidates: options.candidates ?? 50, history: options.history ?? defaultHistory(dataset.name), users: options.users ?? 1000, similar: options.similar ?? 0,
    device: options.device ?? "auto", threads: options.threads,
  });
  const template = templateOf(profile);
  const kernels = loadKernels(nativeOptions(config));
  const retriever = retrieverOf(retrieverName, config.history, split.protocol);
  const needsCategories = retriever.needs.some((need) => need !== "itemVectors");
  const clusters = needsCategories || existsSync(join(run, ...PLACES.cluster)) ? await readStep<ClusterRecord>(run, "cluster", split) : undefined;
  const words = clusters ? await wordsOf(dataset, clusters.vectors, options) : undefined;

  const folder = stepFolder(run, "prompt");
  const isClean = split.protocol === "strict" && candidateSource !== "full";
  const sawForgotten = (rows: Interactions | undefined): boolean => rows !== undefined && rows.intersect(split.forget).length > 0;
  const backbone = storedBackbone(backboneOf(backboneName, dataset.itemCount), folder, {
    mayKeep: (train, valid) => !isClean || !(sawForgotten(train) || sawForgotten(valid)),
  });
  const method = new Cragru({
    backbone: candidateSource === "exact" ? backbone.origin : backbone, retriever, generator: embedded(), candidates: config.candidates, candidateSource, seed: split.seed, kernels,
    ...(config.similar > 0 ? { similar: { rows: config.similar } } : {}),
    ...(clusters ? { clusters: { k: clusters.k, ...defined({ vectors: words }) } } : {}), ...defined({ template }),
  });
  const users = evaluationUsers(split, config.users), depth = listDepth(split);
  await method.learn(split, partOf(options, 0, 4, "before the request"));
  backbone.borrowedSeconds();
  const receipt = await method.forget(requestOf(split), partOf(options, 1, 4, "after the request"));
  receipt.seconds.rebuild += backbone.borrowedSeconds();
  if (!isClean && receipt.residuals.length > 0) {
    receipt.residuals.push(...backbone.used.map(({ file }) => `${join(PLACES.prompt[0], file)}: the file of a model that saw forgotten rows`));
  }
  const categoriesHash = method.categories?.hash;
  if (clusters && categoriesHash !== undefined && categoriesHash !== clusters.hash) {
    const place = join(run, ...PLACES.cluster);
    throw new ConfigError("STEP_CATEGORIES", `The categories in ${place} are not those that this version makes of the catalogue.`, {
      hint: "Run `cragru cluster` again.",
    });
  }
  const prompts = await method.prompts(users, partOf(options, 2, 4, "prompts"));
  const prompted = new Set(prompts.map(({ user }) => user));
  const without = users.filter((user) => !prompted.has(user));
  const warm = users.filter((user) => prompted.has(user));
  const lists = await method.candidates(warm, { ...partOf(options, 3, 4, "lists"), k: Math.max(depth, config.candidates) });
  const rows = split.protocol === "released" ? split.train : split.trainRemain;
  const popularity = await popularityBackbone().fit(rows);
  const popular = await popularity.recommend(without, depth, { mask: serveMask(split), ...defined({ signal }) });
  signal?.throwIfAborted();

  const promptText = formatPrompts(prompts, dataset);
  const candidateText = formatCandidates([
    ...lists.map((list) => ({ ...list, source: "backbone" as const })),
    ...popular.map((list) => ({ ...list, source: "popularity" as const })),
  ], dataset);
  await makeFolder(folder);
  await reopenStep(run, "prompt");
  const answersRemoved = await sweepRun(run, split, { isOther: false });
  if (answersRemoved > 0) note(`${answersRemoved} kept answers that owed something to forgotten rows were removed.`);
  const removed = isClean ? await backbone.purge() : [];
  await replaceFile(join(folder, "prompts.jsonl"), (partial) => writeFile(partial, promptText, { mode: 0o600 }));
  await replaceFile(join(folder, "candidates.jsonl"), (partial) => writeFile(partial, candidateText, { mode: 0o600 }));
  const record: PromptRecord = {
    format: "cragru-prompts-1", splitHash: split.hash, ...defined({ categoriesHash }),
    settings: {
      backbone: backboneName, retriever: retrieverName, candidateSource, candidates: config.candidates, history: config.history,
      users: config.users, profile, seed: split.seed, similar: config.similar,
    },
    template: prompts[0]?.templateHash ?? "", prompts: prompts.length, withoutHistory: without.length,
    tokensEstimated: prompts.reduce((sum, { tokenEstimate }) => sum + tokenEstimate, 0),
    promptsHash: hashText(promptText), candidatesHash: hashText(candidateText), depth, models: backbone.used, removed, retrieval: method.retrieval,
    receipt, answersRemoved, violations: method.violations, ...defined({ warning: split.warning }), device: kernels.device,
  };
  await finishStep(run, "prompt", record);
  return new PromptStep(record, prompts[0], folder);
}
