/**
 * Full-ranking evaluation of lists against truth rows. Per user: the masked items are taken out of the list, then it is cut
 * at K; a list shorter than K is scored as it is. Means run over users with truth rows, in ascending user order, so the
 * order of the rankings changes no bit. Cost O(items in the lists).
 */
import { ConfigError, DataError } from "../core/errors.js";
import type { Interactions } from "../core/interactions.js";
import { refuseUnknown } from "../core/options.js";
import type { Ranking } from "../core/ranking.js";
import { meanInterval, wilsonInterval } from "./interval.js";
import { DEFAULT_METRICS, type Metric, parseMetric } from "./metrics.js";
import { alignColumns } from "./table.js";

/** A mean over users with its 95 % interval. */
export interface MetricValue {
  value: number;
  n: number;
  low: number;
  high: number;
}

export interface EvaluateOptions {
  /** Items taken out of each user's list before the cut: evalMask for the main table. */
  mask?: Interactions;
  /** The users of the mean, for example the remaining users. Default: all users with a ranking. */
  users?: ArrayLike<number>;
}

export interface EvaluationParts {
  metrics: Record<string, MetricValue>;
  users: Uint32Array;
  perUser: Record<string, Float64Array>;
  withoutTruth: number;
  withoutRanking: number;
}

const INSPECT: unique symbol = Symbol.for("nodejs.util.inspect.custom");

/** Metric values with per-user values behind them. Prints itself as a table; JSON holds the means, not the users. */
export class Evaluation {
  /** Users in the means. */
  readonly n: number;
  /** By name, in the order asked for. */
  readonly metrics: Readonly<Record<string, MetricValue>>;
  /** Dense user indices, ascending [n]. */
  readonly users: Uint32Array;
  /** Metric name -> values beside `users` [n]. */
  readonly perUser: Readonly<Record<string, Float64Array>>;
  /** Users left out because they have no truth row: excluded, never counted as zero. */
  readonly withoutTruth: number;
  /** Users with truth rows who have no ranking; 0 whenever `users` was given. */
  readonly withoutRanking: number;

  constructor(parts: EvaluationParts) {
    this.n = parts.users.length;
    this.metrics = parts.metrics;
    this.users = parts.users;
    this.perUser = parts.perUser;
    this.withoutTruth = parts.withoutTruth;
    this.withoutRanking = parts.withoutRanking;
  }

  toJSON(): Pick<Evaluation, "n" | "withoutTruth" | "withoutRanking" | "metrics"> {
    const { n, withoutTruth, withoutRanking, metrics } = this;
    return { n, withoutTruth, withoutRanking, metrics };
  }

  toString(): string {
    const rows = Object.entries(this.metrics).map(([name, { value, low, high }]) =>
      [name, value.toFixed(4), `[${low.toFixed(4)}, ${high.toFixed(4)}]`]);
    const left = [
      ...(this.withoutTruth > 0 ? [`${this.withoutTruth} without truth rows left out`] : []),
      ...(this.withoutRanking > 0 ? [`${this.withoutRanking} without a ranking not scored`] : []),
    ];
    const title = `Evaluation of ${this.n} users${left.length > 0 ? ` (${left.join(", ")})` : ""}`;
    return `${title}\n${alignColumns([["metric", "value", "95 % interval"], ...rows])}`;
  }

  [INSPECT](): string {
    return this.toString();
  }
}

/**
 * Scores lists against truth rows (test rows for the main table).
 * Intervals: Wilson's score interval for hr (a rate), mean +- 1.96 standard errors cut to [0, 1] for the others; both have
 * a closed form, so they are deterministic and cost nothing.
 * @param metrics names as in {@link parseMetric}; default hr and ndcg at 1, 3, 5, 10, 20
 * @throws ConfigError on unknown metrics; DataError on a list with repeated items, NaN scores or unknown ids, on two lists
 * for one user, on a user of `users` who has truth rows but no list, on truth rows hidden by the mask, on nobody to score.
 */
export function evaluate(
  rankings: readonly Ranking[], truth: Interactions, metrics: readonly string[] = DEFAULT_METRICS, options: EvaluateOptions = {},
): Evaluation {
  refuseUnknown("evaluate", options, ["mask", "users"]);
  if (!Array.isArray(rankings) || !Array.isArray(metrics)) {
    throw new ConfigError("CONFIG_EVALUATE", "evaluate takes an array of rankings, truth rows and an array of metric names.", {
      hint: 'For example evaluate(await method.recommend(users, 20), split.test, ["ndcg@10"]).',
    });
  }
  const parsed = [...new Set(metrics)].map(parseMetric);
  const deepest = parsed.reduce((k, metric) => Math.max(k, metric.k), 0);
  const lists = new Map<number, Ranking>();
  for (const ranking of rankings) {
    if (lists.has(ranking.user)) throw new DataError("DATA_RANKING_TWICE", `User ${ranking.user} has two rankings.`);
    checkRanking(ranking, truth);
    lists.set(ranking.user, ranking);
  }
  const asked = options.users === undefined ? [...lists.keys()] : [...new Set(Array.from(options.users))];
  asked.forEach((user) => checkUser(user, truth));
  const scored = Uint32Array.from(asked.filter((user) => truth.countOf(user) > 0)).sort();
  if (scored.length === 0) {
    throw new DataError("DATA_NO_TRUTH", `None of the ${asked.length} users has a truth row.`, {
      hint: "Pass rankings of users with test rows.",
    });
  }
  const perUser = Object.fromEntries(parsed.map((metric) => [metric.name, new Float64Array(scored.length)]));
  for (let at = 0; at < scored.length; at++) {
    const user = scored[at]!;
    const ranking = lists.get(user);
    if (!ranking) {
      throw new DataError("DATA_NO_RANKING", `User ${user} has truth rows but no ranking.`, {
        hint: "Rank every user of `users`, or leave him out of it for all methods alike.",
      });
    }
    const ranks = hitRanks(ranking, truth, options.mask, deepest);
    for (const metric of parsed) perUser[metric.name]![at] = metric.value(ranks, truth.countOf(user));
  }
  return new Evaluation({
    metrics: Object.fromEntries(parsed.map((metric) => [metric.name, summarise(metric, perUser[metric.name]!)])),
    users: scored,
    perUser,
    withoutTruth: asked.length - scored.length,
    withoutRanking: options.users === undefined ? truth.presentUsers().length - scored.length : 0,
  });
}

/** Ranks of the truth rows in the list once masked items are out, up to `depth`. */
function hitRanks(ranking: Ranking, truth: Interactions, mask: Interactions | undefined, depth: number): number[] {
  const { user, items } = ranking;
  const wanted = new Set<number>(truth.itemsOf(user));
  const hidden = new Set<number>(mask && user < mask.userCount ? mask.itemsOf(user) : []);
  for (const item of hidden) {
    if (wanted.has(item)) {
      throw new DataError("DATA_MASK_TRUTH", `The mask hides item ${item} of user ${user}, which is a truth row.`, {
        hint: "Test rows are scored under evalMask or serveMask; forgotten rows as truth under serveMask alone.",
      });
    }
  }
  const ranks: number[] = [];
  for (let at = 0, rank = 0; at < items.length && rank < depth; at++) {
    if (hidden.has(items[at]!)) continue;
    rank++;
    if (wanted.has(items[at]!)) ranks.push(rank);
  }
  return ranks;
}

function checkRanking({ user, items, scores }: Ranking, truth: Interactions): void {
  checkUser(user, truth);
  if (items.length !== scores.length) {
    throw new DataError("DATA_COLUMNS", `The ranking of user ${user} has ${items.length} items and ${scores.length} scores.`);
  }
  const seen = new Set<number>();
  for (let at = 0; at < items.length; at++) {
    const item = items[at]!;
    if (item >= truth.itemCount) {
      throw new DataError("DATA_UNKNOWN_ID", `The ranking of user ${user} names item ${item} of ${truth.itemCount} items.`);
    }
    if (Number.isNaN(scores[at])) {
      throw new DataError("DATA_RANKING_NAN", `The ranking of user ${user} has a score that is not a number, for item ${item}.`);
    }
    if (seen.has(item)) throw new DataError("DATA_RANKING_DUPLICATE", `The ranking of user ${user} lists item ${item} twice.`);
    seen.add(item);
  }
}

function checkUser(user: number, truth: Interactions): void {
  if (!(Number.isInteger(user) && user >= 0 && user < truth.userCount)) {
    throw new DataError("DATA_UNKNOWN_ID", `There is no user ${user} to score: the truth table has ${truth.userCount} users.`);
  }
}

function summarise(metric: Metric, values: Float64Array): MetricValue {
  const interval = metric.kind === "hr" ? wilsonInterval(values) : meanInterval(values);
  return { ...interval, low: Math.max(0, interval.low), high: Math.min(1, interval.high), n: values.length };
}
