import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, DataError, GenerationError } from "../../core/errors.js";
import { assertEvidence, assertSimilar } from "../../data/guards.js";
import { blend } from "../../generation/blend.js";
import type { Combination } from "../../generation/combine.js";
import type { ScoringMode } from "../../generation/speaker.js";
import { chooseGenerator, type Choice } from "../../generation/choose.js";
import type { EngineInfo, GenerationCounts } from "../../generation/generator.js";
import { journaled } from "../../generation/journal.js";
import { queued } from "../../generation/queue/queue.js";
import { engineId } from "../../generation/replay.js";
import { generateAll } from "../../generation/schedule.js";
import { rerank } from "../../unlearning/cragru.js";
import { answersText } from "../answerstext.js";
import { enginesOf, idleOptions, resolveConfig, type RunConfig } from "../config.js";
import { defined } from "../defined.js";
import { makeFolder, readJson, writeJson, writing } from "../draft.js";
import { formatTrec } from "../trec.js";
import { alone, DEFAULT_RUN, finishStep, hashText, openRun, readStep, reopenStep, replaceFile, stepFolder, type StepOptions } from "./folder.js";
import type { PromptRecord } from "./prompt.js";
import { readCandidates, readPrompts } from "./promptfile.js";

export interface RecommendStepOptions extends StepOptions {
  /** "embedded" (default), "ollama:<model>", "llamacpp:<file.gguf>", "auto", "replay:<file>" or "copycat". */
  generator?: string;
  /** Ollama server; default OLLAMA_HOST. */
  host?: string;
  /** Redis address: workers (`cragru worker`) ask the model in place of this process; `generator` then names their model. */
  queue?: string;
  onFailure?: "throw" | "backbone";
  /** Requests in flight at once. */
  concurrency?: number;
  /** Throws the replies of an earlier run away instead of going on with them. */
  restart?: boolean;
  seed?: number;
  /** As of `ollama(...)`. */
  mode?: ScoringMode;
  permutations?: number;
  combine?: Combination;
  /** Weight of the backbone's opinion in the lists, 0 (default) to 1; the kept answers are the model's own. */
  blend?: number | "tuned";
}

/** What 4-rankings/rankings.json holds. */
export interface RankingsRecord {
  format: "cragru-rankings-1";
  splitHash: string;
  promptsHash: string;
  engine: EngineInfo;
  answers: { ok: number; repaired: number; fallback: number; withoutHistory: number };
  counts: GenerationCounts;
  /** Mean Kendall tau between the order of the prompt and the scores, and the share of tied candidates. */
  positionTau?: number;
  tieRate: number;
  blend: number;
  /** Users that fell back to the backbone's order, by the publisher's ids. */
  fallbackUsers: string[];
  /** Who answered how many: servers or workers, in words; absent for a single one. */
  hosts?: string;
  /** Answers taken from an interrupted run. */
  resumed: number;
  /** SHA-256 of rankings.run. */
  rankingsHash: string;
  users: number;
  depth: number;
  seconds: number;
  warning?: string;
}

/** Which prompts and which engine the replies in the folder belong to. */
interface ReplySource {
  splitHash: string;
  promptsHash: string;
  template: string;
  engineId: string;
  engine: EngineInfo;
}

/** Value of the fourth step. */
export class RecommendStep {
  constructor(readonly record: RankingsRecord, readonly folder: string) {}

  toJSON(): RankingsRecord & { folder: string } {
    return { ...this.record, folder: this.folder };
  }

  toString(): string {
    const { users, engine, answers, resumed, counts, positionTau, tieRate, blend, warning } = this.record;
    return [
      `${users} lists by ${engine.label}${resumed > 0 ? `, ${resumed} answers from an earlier run` : ""}`,
      `  ok ${answers.ok}, repaired ${answers.repaired}, fell back ${answers.fallback}, without history ${answers.withoutHistory}`
        + (blend > 0 ? `; blended with the backbone at ${blend}` : ""),
      `  ${answersText({ ...answers, counts, tieRate, ...defined({ positionTau }) })}`,
      ...(warning === undefined ? [] : [`  ${warning}`]),
      `  in ${this.folder}`,
    ].join("\n");
  }
}

/**
 * Step 4: asks the generator for every prompt and writes the lists: its order of the candidates, then the backbone's order.
 * Each answer is appended to 4-rankings/replies.jsonl as it arrives, so that a stopped or killed run goes on where it was; a
 * half-written last line is dropped. Other prompts or another engine are refused unless `restart` is set. Then rankings.run
 * (TREC), failures.jsonl and, last, rankings.json. Prompts are checked again for forgotten rows before they are sent.
 * @throws ConfigError when an earlier step is missing or the engine changed; GenerationError; ForgettingError; DataError.
 */
export async function recommend(options: RecommendStepOptions = {}): Promise<RecommendStep> {
  return alone(options.run ?? DEFAULT_RUN, () => recommendIn(options));
}

async function recommendIn(options: RecommendStepOptions): Promise<RecommendStep> {
  const { run, dataset, split } = await openRun(options);
  const { signal, note = () => undefined } = options;
  const config = resolveConfig({
    generator: options.generator ?? "embedded", onFailure: options.onFailure ?? "throw", host: options.host, concurrency: options.concurrency,
    seed: options.seed ?? split.seed, mode: options.mode, permutations: options.permutations ?? 1, combine: options.combine ?? "mean", blend: options.blend ?? 0,
  });
  const { blend: weight } = config;
  if (weight === "tuned") {
    throw new ConfigError("CONFIG_VALUE", "This step cannot tune a blend: its prompts hide the validation rows.", {
      hint: "Give a weight from 0 to 1, or use `cragru run quick --blend tuned`.",
    });
  }
  const made = await readStep<PromptRecord>(run, "prompt", split);
  const source = stepFolder(run, "prompt"), folder = stepFolder(run, "recommend");
  const lists = await readCandidates(join(source, "candidates.jsonl"), made.candidatesHash, dataset);
  const quiet = defined({ signal });
  const prompts = await readPrompts(join(source, "prompts.jsonl"), made.promptsHash, dataset, lists, made.settings.profile, quiet);
  for (const { user, evidence, similar, candidates } of prompts) {
    assertEvidence({ user, evidence, candidates: candidates.map(({ item }) => item), split });
    if (similar) assertSimilar({ user, similar, split });
  }

  const choice = options.queue === undefined
    ? await chooseGenerator(config.generator, { ...quiet, ...enginesOf(config) })
    : chooseQueue(options.queue, config, note);
  note(choice.sentence);
  const idle = idleOptions(config);
  if (idle !== undefined) note(idle);
  const started = performance.now();
  try {
    // The engine fixes its options (context length) for all prompts at once; only then is its identity settled.
    choice.generator.prepare?.(prompts);
    const engine = await choice.generator.describe(quiet);
    const identity: ReplySource = {
      splitHash: split.hash, promptsHash: made.promptsHash, template: made.template, engineId: engineId(engine), engine,
    };
    await makeFolder(folder);
    await reopenStep(run, "recommend");
    const file = join(folder, "replies.jsonl");
    await adopt(join(folder, "replies.json"), file, identity, options.restart === true);
    const generator = journaled(choice.generator, file);
    const known = await writing(file, () => generator.known(prompts, quiet));
    if (known > 0) note(`${known} of ${prompts.length} answers are there from an earlier run.`);
    const { completions, counts, positionTau, tieRate } = await writing(file, () => generateAll(prompts, generator, {
      ...quiet, ...defined({ onProgress: options.onProgress }), onFailure: config.onFailure,
    })).catch((error: unknown) => {
      if (error instanceof GenerationError) note(`The answers so far are kept in ${file}: the same command goes on.`);
      throw error;
    }).finally(() => generator.close());
    const byUser = new Map(completions.map((completion, at) => [completion.user, blend(completion, prompts[at]!.candidates, weight)]));
    const rankings = Array.from(lists.values(), (list) => {
      const completion = byUser.get(list.user);
      return completion ? rerank(list, completion, Math.max(made.depth, completion.ranking.length)) : list;
    }).sort((a, b) => a.user - b.user);
    signal?.throwIfAborted();

    const { backbone, retriever, candidateSource } = made.settings;
    const text = formatTrec(rankings, dataset, `${backbone}.cragru-${retriever}-${candidateSource}`);
    const count = (status: string): number => completions.filter((completion) => completion.status === status).length;
    const failures = completions.filter(({ status }) => status !== "ok")
      .map(({ user, status, reply }) => `${JSON.stringify({ user: dataset.userId(user), status, reply })}\n`);
    await replaceFile(join(folder, "rankings.run"), (partial) => writeFile(partial, text));
    await replaceFile(join(folder, "failures.jsonl"), (partial) => writeFile(partial, failures.join(""), { mode: 0o600 }));
    const result: RankingsRecord = {
      format: "cragru-rankings-1", splitHash: split.hash, promptsHash: made.promptsHash, engine,
      answers: { ok: count("ok"), repaired: count("repaired"), fallback: count("fallback"), withoutHistory: made.withoutHistory }, counts, ...defined({ positionTau }), tieRate, blend: weight,
      ...defined({ hosts: choice.generator.hostLoad?.() }),
      fallbackUsers: completions.filter(({ status }) => status === "fallback").map(({ user }) => dataset.userId(user)),
      resumed: known, rankingsHash: hashText(text), users: rankings.length, depth: made.depth, seconds: (performance.now() - started) / 1000,
      ...defined({ warning: split.warning }),
    };
    await finishStep(run, "recommend", result);
    return new RecommendStep(result, folder);
  } finally {
    await choice.generator.close();
  }
}

/** The workers of a queue in place of an engine of our own. */
function chooseQueue(url: string, { generator, host, seed, concurrency, mode, permutations, combine }: RunConfig, note: (text: string) => void): Pick<Choice, "generator" | "sentence"> {
  const model = /^ollama:(.+)$/s.exec(generator)?.[1];
  if (model === undefined || host !== undefined) {
    throw new ConfigError("CONFIG_QUEUE", model === undefined ? `A queue needs the model that its workers serve, not "${generator}".` : "A queue and a host were asked for at once.", {
      hint: model === undefined ? "Name it: --generator ollama:llama3.1:8b" : "Give the host to the worker: cragru worker --queue ... --host ... --model ...",
    });
  }
  return { generator: queued({ url, model, settings: { seed, permutations, combine, ...defined({ mode }) }, note, ...defined({ concurrency }) }), sentence: `Generator: ${model}, by the workers of the queue.` };
}

/** Takes the folder's replies over, or refuses those of other prompts or another engine. */
async function adopt(sourceFile: string, replies: string, identity: ReplySource, restart: boolean): Promise<void> {
  if (restart) {
    await rm(replies, { force: true, recursive: true });
    await rm(sourceFile, { force: true, recursive: true });
  }
  if (existsSync(sourceFile)) {
    const hint = "Throw the answers away and ask again: cragru recommend --restart.";
    const found = await readJson<ReplySource | null>(sourceFile, hint);
    if (typeof found?.engine?.label !== "string") throw new DataError("DATA_STEP_FORMAT", `${sourceFile} does not say whose answers these are.`, { hint });
    const differs = found.promptsHash !== identity.promptsHash || found.splitHash !== identity.splitHash ? "to other prompts"
      : found.template !== identity.template ? "to prompts of another template"
        : found.engineId !== identity.engineId ? `of another engine (${found.engine.label}, now ${identity.engine.label})` : undefined;
    if (differs !== undefined) {
      throw new ConfigError("STEP_OTHER_REPLIES", `${replies} holds answers ${differs}.`, {
        hint: "Ask the same engine to go on, choose another --run folder, or throw the answers away with --restart.",
      });
    }
    return;
  }
  await rm(replies, { force: true });
  await replaceFile(sourceFile, (partial) => writeJson(partial, identity));
}
