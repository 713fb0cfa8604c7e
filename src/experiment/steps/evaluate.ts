import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, DataError } from "../../core/errors.js";
import { evalMask, serveMask } from "../../data/masks.js";
import { compare, type Comparison } from "../../evaluation/compare.js";
import { evaluate as scoreLists } from "../../evaluation/evaluate.js";
import type { EngineInfo } from "../../generation/generator.js";
import { answersText } from "../answerstext.js";
import { defined } from "../defined.js";
import { makeFolder } from "../draft.js";
import { meansOf, METRICS } from "../method.js";
import { perUserOf, writePerUser } from "../peruser.js";
import { UTILITY_METRICS } from "../published.js";
import type { AnswerCounts, GroupMetrics, GroupName } from "../results.js";
import { parseTrec } from "../trec.js";
import { userGroups } from "../users.js";
import { alone, DEFAULT_RUN, finishStep, hashText, openRun, readStep, reopenStep, replaceFile, stepFolder, type StepOptions } from "./folder.js";
import type { PromptRecord } from "./prompt.js";
import { readCandidates } from "./promptfile.js";
import type { RankingsRecord } from "./recommend.js";

export interface EvaluateStepOptions extends StepOptions {
  /**
   * "eval" (default): forgotten items are taken out of every list before the cut, the main table. "serve": they may be
   * recommended and count as misses, the second table. Never compare values of the two.
   */
  mask?: "eval" | "serve";
}

/** What 5-metrics/metrics.json holds. */
export interface MetricsRecord {
  format: "cragru-metrics-1";
  splitHash: string;
  rankingsHash: string;
  mask: "eval" | "serve";
  method: string;
  engine: EngineInfo;
  answers: AnswerCounts;
  groups: Partial<Record<GroupName, GroupMetrics>>;
  /** The same users' lists without generation: the candidates in the backbone's order. */
  backboneOrder: Partial<Record<GroupName, GroupMetrics>>;
  warning?: string;
}

/** Value of the fifth step. */
export class EvaluateStep {
  constructor(readonly record: MetricsRecord, readonly comparison: Comparison | undefined, readonly folder: string) {}

  toJSON(): MetricsRecord & { comparison: Comparison | undefined; folder: string } {
    return { ...this.record, comparison: this.comparison, folder: this.folder };
  }

  toString(): string {
    const { groups, answers, engine, mask, method, warning } = this.record;
    const others = (["forgotten", "all", "withoutFallback"] as const).flatMap((name) => {
      const found = groups[name];
      if (!found || (name === "all" && found.n === groups.remaining?.n)) return [];
      const value = (metric: string): string => found.metrics[metric]!.value.toFixed(4);
      return [`  ${GROUP_WORDS[name]}: HR@10 ${value("hr@10")}, NDCG@10 ${value("ndcg@10")}, n ${found.n}`];
    });
    const table = mask === "eval" ? "main table (evalMask)" : "second table: forgotten items allowed (serveMask)";
    return [
      `${method}, ${engine.label}: ${groups.remaining?.n ?? 0} remaining users, ${table}`,
      ...(this.comparison ? [this.comparison.toString()] : []),
      ...others,
      `  ok ${answers.ok}, repaired ${answers.repaired}, fell back ${answers.fallback}, without history ${answers.withoutHistory}`,
      `  ${answersText(answers)}`,
      ...(warning === undefined ? [] : [`  ${warning}`]),
      `  in ${this.folder}`,
    ].join("\n");
  }
}

const GROUP_WORDS = { forgotten: "forgotten users", all: "all users", withoutFallback: "remaining users that did not fall back" };

/**
 * Step 5: scores the lists of step 4 against the test rows, for remaining users (primary), forgotten users and all, beside the
 * same users' lists in the backbone's order. Users without a test row are left out. Writes 5-metrics/per-user.parquet and,
 * last, metrics.json.
 * @throws ConfigError when an earlier step is missing; DataError when the artefacts do not belong together.
 */
export async function evaluate(options: EvaluateStepOptions = {}): Promise<EvaluateStep> {
  return alone(options.run ?? DEFAULT_RUN, () => evaluateIn(options));
}

async function evaluateIn(options: EvaluateStepOptions): Promise<EvaluateStep> {
  const { mask: maskName = "eval" } = options;
  if (maskName !== "eval" && maskName !== "serve") {
    throw new ConfigError("CONFIG_VALUE", `The option mask cannot be ${JSON.stringify(maskName)}.`, { hint: "Allowed: eval, serve." });
  }
  const { run, dataset, split } = await openRun(options);
  const prompts = await readStep<PromptRecord>(run, "prompt", split);
  const made = await readStep<RankingsRecord>(run, "recommend", split);
  if (made.promptsHash !== prompts.promptsHash) {
    throw new DataError("DATA_PROMPT_HASH", "The rankings answer other prompts than those in the folder.", { hint: "Run `cragru recommend` again." });
  }
  const runFile = join(stepFolder(run, "recommend"), "rankings.run");
  const text = await readFile(runFile, "utf8").catch((cause: unknown) => {
    throw new DataError("DATA_FILE_MISSING", `${runFile} cannot be read.`, { hint: "Run `cragru recommend` again.", cause });
  });
  if (hashText(text) !== made.rankingsHash) {
    throw new DataError("DATA_FILE_HASH", `${runFile} was changed after it was made.`, { hint: "Run `cragru recommend` again." });
  }
  const rankings = parseTrec(text, dataset, runFile);
  const candidates = await readCandidates(join(stepFolder(run, "prompt"), "candidates.jsonl"), prompts.candidatesHash, dataset);
  options.signal?.throwIfAborted();

  const mask = maskName === "eval" ? evalMask(split) : serveMask(split);
  const users = Uint32Array.from(rankings, ({ user }) => user).sort();
  const { remaining, forgotten } = userGroups(split, users);
  const fallen = new Set(made.fallbackUsers.map((id) => dataset.userOf(id)));
  const groupsOf = (lists: typeof rankings): MetricsRecord["groups"] => {
    const groups: MetricsRecord["groups"] = {};
    const parts: [GroupName, Uint32Array][] = [["remaining", remaining], ["forgotten", forgotten], ["all", users]];
    if (fallen.size > 0) parts.push(["withoutFallback", remaining.filter((user) => !fallen.has(user))]);
    for (const [name, of] of parts) {
      const means = meansOf(lists, split.test, mask, of);
      if (means) groups[name] = means;
    }
    return groups;
  };
  const plain = [...candidates.values()];
  const { settings } = prompts;
  const method = `cragru ${settings.retriever}, ${settings.candidateSource} ${settings.backbone}`;
  const score = (lists: typeof rankings) => scoreLists(lists, split.test, METRICS, { mask, users: remaining });
  const comparison = remaining.some((user) => split.test.countOf(user) > 0)
    ? compare({ [method]: score(rankings), "backbone order": score(plain) }, {
      reference: "backbone order", metrics: UTILITY_METRICS, seed: split.seed,
    })
    : undefined;
  const record: MetricsRecord = {
    format: "cragru-metrics-1", splitHash: split.hash, rankingsHash: made.rankingsHash, mask: maskName, method, engine: made.engine,
    answers: { ...made.answers, counts: made.counts, tieRate: made.tieRate, ...defined({ positionTau: made.positionTau }) }, groups: groupsOf(rankings), backboneOrder: groupsOf(plain), ...defined({ warning: split.warning }),
  };
  const folder = stepFolder(run, "evaluate");
  await makeFolder(folder);
  await reopenStep(run, "evaluate");
  const gone = new Set(forgotten);
  const everyone = scoreLists(rankings, split.test, METRICS, { mask, users });
  const perUser = perUserOf(everyone, dataset, (user) => gone.has(user));
  await replaceFile(join(folder, "per-user.parquet"), (partial) => writePerUser(partial, perUser));
  await finishStep(run, "evaluate", record);
  return new EvaluateStep(record, comparison, folder);
}
