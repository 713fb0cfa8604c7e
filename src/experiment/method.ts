/**
 * One row of a table: runs a method, scores its lists under the protocol, stores the result, or takes a stored one whose key
 * is the same. The key holds configuration, data, split, engine and code, so no stored result survives a change of any.
 */
import { join } from "node:path";
import type { Interactions } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";
import type { Ranking } from "../core/ranking.js";
import type { Dataset } from "../data/dataset.js";
import type { Split } from "../data/split.js";
import { evaluate } from "../evaluation/evaluate.js";
import { DEFAULT_METRICS } from "../evaluation/metrics.js";
import { addCounts, emptyCounts } from "../generation/counts.js";
import type { Completion, EngineInfo } from "../generation/generator.js";
import { biasOf } from "../generation/schedule.js";
import type { Receipt } from "../unlearning/unlearner.js";
import type { RunConfig } from "./config.js";
import { defined } from "./defined.js";
import { perUserOf } from "./peruser.js";
import { DEEPEST_K, userGroups } from "./users.js";
import {
  cacheKey, resultName, storedResult, writeResult,
  type AnswerCounts, type GroupMetrics, type Manifest, type MethodLabel, type ResultArtefacts, type StoredResult,
} from "./results.js";

export const METRICS: readonly string[] = [...DEFAULT_METRICS, "recall@10", "recall@20", "mrr@10"];

/** What every method of one run shares. */
export interface Bench {
  config: RunConfig;
  dataset: Dataset;
  split: Split;
  /** Users whose lists are evaluated, ascending. */
  users: Uint32Array;
  /** List length to ask for, see `listDepth`. */
  depth: number;
  /** evalMask of the split. */
  mask: Interactions;
  /** Label of the kernel face. */
  device: string;
  code: string;
  /** Folder of all results. */
  results: string;
}

/** The lists of one method and how they came about. */
export interface Produced {
  rankings: Ranking[];
  receipts: Receipt[];
  seconds: Record<string, number>;
  details: Record<string, unknown>;
  completions?: Completion[];
  withoutHistory?: number;
}

export interface MethodPlan {
  label: MethodLabel;
  /** Everything of the configuration that this method's result depends on. */
  settings: Record<string, unknown>;
  /** For methods that generate. */
  engine?: EngineInfo;
  produce(options: RunOptions): Promise<Produced>;
}

/** The stored or freshly computed result of a method. */
export async function runMethod(bench: Bench, plan: MethodPlan, options: RunOptions = {}): Promise<{ result: StoredResult; stored: boolean }> {
  const { config, dataset, split, users } = bench;
  const folder = join(bench.results, resultName(dataset.name, plan.label.backbone, plan.label.name, config));
  const shared = { protocol: config.protocol, forget: config.forget, seed: config.seed, sample: config.users };
  const key = cacheKey({
    config: { ...shared, ...plan.settings }, dataset: dataset.fingerprint, split: split.hash, code: bench.code,
    engine: plan.engine, method: plan.label,
  });
  const found = await storedResult(folder, key);
  if (found) return { result: found, stored: true };

  const produced = await plan.produce(options);
  options.signal?.throwIfAborted();
  const lists = produced.rankings.map((list) => scoredPart(list, bench.mask));
  const isForgotten = (user: number): boolean => forgotten.has(user);
  const { remaining, forgotten: gone } = userGroups(split, users);
  const forgotten = new Set(gone);
  const fallen = new Set(produced.completions?.filter(({ status }) => status === "fallback").map(({ user }) => user));
  const means = (of: Uint32Array): GroupMetrics | undefined => meansOf(lists, split.test, bench.mask, of);
  const groups: ResultArtefacts["groups"] = {};
  for (const [name, of] of [["remaining", remaining], ["forgotten", gone], ["all", users]] as const) {
    const mean = means(of);
    if (mean) groups[name] = mean;
  }
  // Lists as served, before evalMask: how much of them is what the user withdrew. "before" serves with the rows still held.
  if (split.protocol === "strict" && produced.receipts.length > 0 && remaining.some((user) => split.forget.countOf(user) > 0)) {
    const { n, withoutTruth, metrics } = evaluate(produced.rankings, split.forget, ["precision@10", "hr@10"], { users: remaining });
    groups.withdrawn = { n, withoutTruth, metrics: { ...metrics } };
  }
  const kept = fallen.size > 0 ? means(remaining.filter((user) => !fallen.has(user))) : undefined;
  if (kept) groups.withoutFallback = kept;

  const everyone = evaluate(lists, split.test, METRICS, { mask: bench.mask, users });
  const answers = answersOf(produced);
  const manifest: Manifest = {
    format: "cragru-result-1", key, method: plan.label,
    dataset: {
      name: dataset.name, fingerprint: dataset.fingerprint, source: dataset.source,
      users: dataset.userCount, items: dataset.itemCount, rows: dataset.length,
    },
    split: split.toJSON(),
    ...(split.warning === undefined ? {} : { warning: split.warning }),
    device: bench.device,
    versions: { node: process.version, cragru: bench.code },
    ...(plan.engine ? { engine: produced.completions?.[0]?.engine ?? plan.engine } : {}),
    ...(answers ? { answers } : {}),
    seconds: produced.seconds, details: produced.details,
  };
  const failures = (produced.completions ?? []).filter(({ status }) => status !== "ok").map(({ user, status, counts, reply }) => ({
    user: dataset.userId(user), status, counts: Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)), reply,
  }));
  const result: ResultArtefacts = {
    config: { ...config, method: plan.settings }, manifest, groups, perUser: perUserOf(everyone, dataset, isForgotten),
    receipts: produced.receipts, failures,
  };
  await writeResult(folder, result, lists, dataset);
  return { result: { ...result, folder }, stored: false };
}

/** The part of a list that the main table looks at: evalMask taken out, cut at the deepest K. */
export function scoredPart(list: Ranking, mask: Interactions): Ranking {
  const hidden = new Set(mask.itemsOf(list.user));
  const kept: number[] = [];
  for (let at = 0; at < list.items.length && kept.length < DEEPEST_K; at++) if (!hidden.has(list.items[at]!)) kept.push(at);
  return {
    user: list.user,
    items: Uint32Array.from(kept, (at) => list.items[at]!),
    scores: Float32Array.from(kept, (at) => list.scores[at]!),
  };
}

/** Means over `users`; undefined when none of them has a test row. */
export function meansOf(lists: readonly Ranking[], test: Interactions, mask: Interactions, users: Uint32Array): GroupMetrics | undefined {
  if (!users.some((user) => test.countOf(user) > 0)) return undefined;
  const { n, withoutTruth, metrics } = evaluate(lists, test, METRICS, { mask, users });
  return { n, withoutTruth, metrics: { ...metrics } };
}

function answersOf({ completions, withoutHistory = 0 }: Produced): AnswerCounts | undefined {
  if (!completions) return undefined;
  const count = (status: Completion["status"]): number => completions.filter((completion) => completion.status === status).length;
  const counts = emptyCounts();
  for (const completion of completions) addCounts(counts, completion.counts);
  return { ok: count("ok"), repaired: count("repaired"), fallback: count("fallback"), withoutHistory, counts, ...defined({ ...biasOf(completions) }) };
}
