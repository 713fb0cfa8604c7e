import { readFile, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fingerprint, canonicalJson } from "../core/fingerprint.js";
import type { Ranking } from "../core/ranking.js";
import type { Dataset } from "../data/dataset.js";
import type { SplitJson } from "../data/split.js";
import { Evaluation, type MetricValue } from "../evaluation/evaluate.js";
import type { EngineInfo, GenerationCounts } from "../generation/generator.js";
import type { Receipt } from "../unlearning/unlearner.js";
import type { RunConfig } from "./config.js";
import { readJson, writeFolder, writeJson } from "./draft.js";
import { readPerUser, writePerUser, type PerUser, type UserGroup } from "./peruser.js";
import { formatTrec } from "./trec.js";

export type GroupName = UserGroup | "all" | "withoutFallback" | "withdrawn";

/** The means of one group of users, as in metrics.json. */
export interface GroupMetrics {
  n: number;
  /** Users left out of the mean because they have no test row. */
  withoutTruth: number;
  metrics: Record<string, MetricValue>;
}

/** How the answers of one method came about. */
export interface AnswerCounts {
  ok: number;
  repaired: number;
  fallback: number;
  /** Users without any remaining row: popularity list, no prompt. */
  withoutHistory: number;
  counts: GenerationCounts | undefined;
  /** Mean Kendall tau between the order of the prompt and the scores, and the share of tied candidates. */
  positionTau?: number;
  tieRate?: number;
}

export interface Manifest {
  format: "cragru-result-1";
  /** Configuration, data, split, engine and code in one hash: a result with another key is computed again. */
  key: string;
  method: MethodLabel;
  dataset: { name: string; fingerprint: string; source: string; users: number; items: number; rows: number };
  split: SplitJson;
  /** Printed with everything made under the released protocol. */
  warning?: string;
  device: string;
  versions: { node: string; cragru: string };
  engine?: EngineInfo;
  answers?: AnswerCounts;
  /** What it took, in seconds, step by step. */
  seconds: Record<string, number>;
  /** Further facts: rows the backbone was trained on, epochs, x*, prompts. */
  details: Record<string, unknown>;
}

/** How a method is named in folders and tables. */
export interface MethodLabel {
  /** In the folder's name, for example "cragru-attention-full". */
  name: string;
  /** In the table, for example "cragru attention". */
  label: string;
  backbone: string;
  /** Where the candidates come from: "full bpr", "remain bpr", "popularity"; empty for methods without. */
  source: string;
}

/** Everything about one method that a results folder holds. */
export interface ResultArtefacts {
  config: unknown;
  manifest: Manifest;
  groups: Partial<Record<GroupName, GroupMetrics>>;
  perUser: PerUser;
  receipts: Receipt[];
  /** One entry for each answer that was repaired or fell back. */
  failures: unknown[];
}

export interface StoredResult extends ResultArtefacts {
  folder: string;
}

/**
 * `<dataset>.<backbone>.<method>.s<seed>`, safe as a folder's name. What must never be taken for a strict result of the
 * embedded generator says so after the seed: "released", the name of another generator.
 */
export function resultName(
  dataset: string, backbone: string, method: string, { seed, protocol, generator }: Pick<RunConfig, "seed" | "protocol" | "generator">,
): string {
  const special = [...(protocol === "strict" ? [] : [protocol]), ...(generator === "embedded" ? [] : [generator])];
  return [dataset, backbone, method, `s${seed}`, ...special].map((part) => part.replace(/[^\w+-]+/g, "_")).join(".");
}

/** Hash over everything that decides a result. */
export function cacheKey(parts: { config: unknown; dataset: string; split: string; code: string; engine?: unknown; method: unknown }): string {
  return fingerprint("result", canonicalJson(parts));
}

/**
 * Writes one results folder, complete or not at all: config.json, manifest.json, metrics.json, per-user.parquet,
 * receipts.json, failures.jsonl and rankings.run (TREC, the lists as scored: evalMask taken out, cut at the deepest K).
 */
export async function writeResult(folder: string, result: ResultArtefacts, rankings: readonly Ranking[], dataset: Dataset): Promise<void> {
  const { manifest } = result;
  await writeFolder(folder, async (draft) => {
    // Whoever opens one file alone must see that it holds a replication with leaks.
    const label = manifest.warning === undefined ? {} : { warning: manifest.warning };
    await writeJson(join(draft, "config.json"), { ...label, ...(result.config as object) });
    await writeJson(join(draft, "metrics.json"), { ...label, ...result.groups });
    await writePerUser(join(draft, "per-user.parquet"), result.perUser);
    await writeJson(join(draft, "receipts.json"), result.receipts);
    await writeFile(join(draft, "failures.jsonl"), result.failures.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const tag = `${manifest.method.backbone}.${manifest.method.name}${manifest.warning === undefined ? "" : ".released"}`;
    await writeFile(join(draft, "rankings.run"), formatTrec(rankings, dataset, tag));
    await writeJson(join(draft, "manifest.json"), manifest);
  });
}

/** @throws DataError when the folder lacks a file or a file cannot be read. */
export async function readResult(folder: string): Promise<StoredResult> {
  const hint = "Delete the folder and run again.";
  const [config, manifest, { warning: _, ...groups }, receipts, perUser] = await Promise.all([
    readJson<unknown>(join(folder, "config.json"), hint),
    readJson<Manifest>(join(folder, "manifest.json"), hint),
    readJson<ResultArtefacts["groups"] & { warning?: string }>(join(folder, "metrics.json"), hint),
    readJson<Receipt[]>(join(folder, "receipts.json"), hint),
    readPerUser(join(folder, "per-user.parquet")),
  ]);
  const failures = (await readFile(join(folder, "failures.jsonl"), "utf8")).split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(line) as unknown);
  return { folder, config, manifest, groups, perUser, receipts, failures };
}

/**
 * The stored result if the folder holds one with this key, else undefined: absent or older.
 * @throws DataError when it is damaged.
 */
export async function storedResult(folder: string, key: string): Promise<StoredResult | undefined> {
  const file = join(folder, "manifest.json");
  const keyOf = async (): Promise<unknown> =>
    existsSync(file) ? (await readJson<Partial<Manifest> | null>(file, "Delete the folder and run again."))?.key : undefined;
  if ((await keyOf()) !== key) return undefined;
  // Another process may replace the folder while it is read; a second look then finds a whole one, or another key.
  const result = await readResult(folder).catch(async () => ((await keyOf()) === key ? readResult(folder) : undefined));
  return result?.manifest.key === key ? result : undefined;
}

/** One group of a result as an evaluation, for `compare`. Undefined when the group is empty. */
export function evaluationOf(result: ResultArtefacts, group: UserGroup): Evaluation | undefined {
  const means = result.groups[group];
  if (!means) return undefined;
  const { perUser } = result;
  const at = Array.from(perUser.users.keys()).filter((row) => perUser.groups[row] === group);
  return new Evaluation({
    metrics: means.metrics,
    users: Uint32Array.from(at, (row) => perUser.users[row]!),
    perUser: Object.fromEntries(Object.entries(perUser.metrics).map(([name, values]) => [name, Float64Array.from(at, (row) => values[row]!)])),
    withoutTruth: means.withoutTruth,
    withoutRanking: 0,
  });
}
