/**
 * Top-K metrics of one user, from the ranks at which the user's truth rows stand (1 = first, ascending) and the number of
 * truth rows |T|. Multi-target definitions: every truth row counts. Cost O(hits). Pure functions, no ties to break here.
 */
import { ConfigError } from "../core/errors.js";
import { log } from "../core/math.js";

export const METRIC_KINDS = ["hr", "ndcg", "recall", "mrr", "precision"] as const;
export type MetricKind = (typeof METRIC_KINDS)[number];

/** What `evaluate` computes unless told otherwise. */
export const DEFAULT_METRICS: readonly string[] = [1, 3, 5, 10, 20].flatMap((k) => [`hr@${k}`, `ndcg@${k}`]);

/** A metric by name. All values lie in [0, 1]. */
export interface Metric {
  /** For example "ndcg@10". */
  readonly name: string;
  readonly kind: MetricKind;
  readonly k: number;
  /** `ranks`: of the hits, ascending, from 1; ranks above k do not count. `relevant`: |T|, at least 1. */
  value(ranks: ArrayLike<number>, relevant: number): number;
}

/** @throws ConfigError unless the name is a known kind, "@" and a whole number from 1 on. */
export function parseMetric(name: string): Metric {
  const [, kind, digits] = /^([a-z]+)@([1-9]\d{0,5})$/.exec(name) ?? [];
  const known = METRIC_KINDS.find((candidate) => candidate === kind);
  if (known === undefined) {
    throw new ConfigError("CONFIG_METRIC", `There is no metric "${name}".`, {
      hint: `Use ${METRIC_KINDS.map((each) => `${each}@K`).join(", ")} with K from 1, for example "ndcg@10".`,
    });
  }
  const k = Number(digits);
  return { name, kind: known, k, value: (ranks, relevant) => VALUES[known](ranks, k, relevant) };
}

/** Hit rate: 1 if any truth row is in the top k, else 0. */
export function hitRate(ranks: ArrayLike<number>, k: number): number {
  return hitsWithin(ranks, k) > 0 ? 1 : 0;
}

/** Sum over hits in the top k of 1 / log2(rank + 1), divided by the best sum that |T| rows allow: over ranks 1..min(|T|, k). */
export function ndcg(ranks: ArrayLike<number>, k: number, relevant: number): number {
  const hits = hitsWithin(ranks, k);
  let gain = 0, ideal = 0;
  for (let hit = 0; hit < hits; hit++) gain += discount(ranks[hit]!);
  for (let rank = 1; rank <= Math.min(relevant, k); rank++) ideal += discount(rank);
  return gain / ideal;
}

/** Share of the truth rows that are in the top k. */
export function recall(ranks: ArrayLike<number>, k: number, relevant: number): number {
  return hitsWithin(ranks, k) / relevant;
}

/** 1 / rank of the first hit, 0 if it is not in the top k. */
export function reciprocalRank(ranks: ArrayLike<number>, k: number): number {
  return hitsWithin(ranks, k) > 0 ? 1 / ranks[0]! : 0;
}

/** Hits in the top k, divided by k, also where the list is shorter. */
export function precision(ranks: ArrayLike<number>, k: number): number {
  return hitsWithin(ranks, k) / k;
}

const VALUES: Record<MetricKind, (ranks: ArrayLike<number>, k: number, relevant: number) => number> = {
  hr: hitRate, ndcg, recall, mrr: reciprocalRank, precision,
};

function hitsWithin(ranks: ArrayLike<number>, k: number): number {
  let hits = 0;
  while (hits < ranks.length && ranks[hits]! <= k) hits++;
  return hits;
}

/** 1 / log2(rank + 1) */
function discount(rank: number): number {
  return log(2) / log(rank + 1);
}
