import type { SplitJson } from "../data/split.js";
import { compare, type Comparison } from "../evaluation/compare.js";
import type { Evaluation } from "../evaluation/evaluate.js";
import { alignColumns, htmlTable } from "../evaluation/table.js";
import { formatSeconds } from "../core/progress.js";
import type { EngineInfo } from "../generation/generator.js";
import { answersText, digits } from "./answerstext.js";
import type { RunConfig } from "./config.js";
import { exampleCells, exampleText, type Example } from "./example.js";
import { evaluationOf, type AnswerCounts, type GroupMetrics, type MethodLabel, type StoredResult } from "./results.js";

const INSPECT: unique symbol = Symbol.for("nodejs.util.inspect.custom");

/** The metrics of the printed table. */
export const TABLE_METRICS = ["hr@10", "ndcg@10"] as const;

export interface RunParts {
  preset: string;
  config: RunConfig;
  split: SplitJson;
  /** One line each: data, split. */
  captions: string[];
  device: string;
  engine: EngineInfo;
  /** In the order of the table. */
  results: StoredResult[];
  example: Example | undefined;
  /** Folder of the results. */
  folder: string;
  /** Of this call; what was taken from stored results is not in it. */
  seconds: number;
}

/** One line of the table. */
export interface RunRow {
  method: MethodLabel;
  /** Remaining users: the primary mean. */
  remaining: GroupMetrics | undefined;
  forgotten: GroupMetrics | undefined;
  all: GroupMetrics | undefined;
  withoutFallback: GroupMetrics | undefined;
  /** Share of the top 10, as served, that the user withdrew: `precision@10` with D_f as truth. */
  withdrawn: GroupMetrics | undefined;
  /** NDCG@10 minus that of the retrained backbone, over the remaining users, with Holm's p. */
  difference: number | undefined;
  pHolm: number | undefined;
  secondsToForget: number | undefined;
  /** To make one user's list: retrieval, prompt, generation. */
  secondsPerList: number | undefined;
  engine: string | undefined;
  fallback: number;
  repaired: number;
  /** How the answers came about, rung by rung; undefined for methods that ask nobody. */
  answers: AnswerCounts | undefined;
  folder: string;
}

type Column = [head: string, cell: (row: RunRow) => string];

/** What a run computed; prints itself as a table with one user before and after, as HTML and as JSON. */
export class RunResult {
  readonly rows: readonly RunRow[];
  /** By backbone: methods against that backbone retrained. */
  readonly comparisons: Readonly<Record<string, Comparison>>;

  constructor(readonly parts: RunParts) {
    this.comparisons = comparisonsOf(parts.results, parts.config.seed);
    this.rows = parts.results.map((result) => rowOf(result, this.comparisons[result.manifest.method.backbone]));
  }

  /** The row of one method, for example `row("bpr", "cragru-attention-full")`. */
  row(backbone: string, name: string): RunRow | undefined {
    return this.rows.find(({ method }) => method.backbone === backbone && method.name === name);
  }

  toJSON(): unknown {
    const { preset, config, split, device, engine, example, folder, seconds } = this.parts;
    return { preset, config, split, device, engine, rows: this.rows, comparisons: this.comparisons, example, folder, seconds };
  }

  toString(): string {
    return this.toText();
  }

  /** As text. Where the whole table does not fit into `columns`, it shows the main values alone. */
  toText(columns = Infinity): string {
    const { captions, device, engine, example, folder, seconds } = this.parts;
    const whole = alignColumns(this.cells());
    const isNarrow = whole.indexOf("\n") > columns;
    return [
      ...captions,
      `Engine: ${engine.label}. Kernels: ${device}.`,
      "",
      isNarrow ? `${this.caption(true)}; intervals and more in ${folder}` : this.caption(),
      isNarrow ? alignColumns(this.cells(true)) : whole,
      ...this.footnotes(isNarrow),
      ...(example ? ["", exampleText(example, Math.min(columns, 120))] : []),
      "",
      `Results in ${folder}, ${formatSeconds(seconds)}.`,
    ].join("\n");
  }

  toHtml(): string {
    const { captions, example } = this.parts;
    const table = htmlTable(this.cells(), [...captions, this.caption()].join(" "));
    return example ? table + htmlTable(exampleCells(example), exampleText(example).split("\n").slice(1, 3).join(" ").trim()) : table;
  }

  [INSPECT](): string {
    return this.toString();
  }

  private caption(isNarrow = false): string {
    const n = this.rows[0]?.remaining?.n ?? 0;
    const warning = this.parts.split.warning;
    return `Means over ${n} remaining users${isNarrow ? "" : " with 95 % intervals"}${warning === undefined ? "" : ` (${warning})`}`;
  }

  private cells(isNarrow = false): string[][] {
    const value = isNarrow ? alone : withInterval;
    const forgotten = this.rows.some((row) => row.forgotten !== undefined);
    const withdrawn = this.rows.some((row) => row.withdrawn !== undefined);
    const columns: Column[] = [
      ["method", ({ method }) => method.label],
      ["candidates", ({ method, engine }) => (engine === undefined ? "" : isNarrow ? method.source.split(" ")[0]! : method.source)],
      ["HR@10", ({ remaining }) => value(remaining, "hr@10")],
      ["NDCG@10", ({ remaining }) => value(remaining, "ndcg@10")],
      ["- retrain", ({ difference }) => signed(difference)],
      ...(isNarrow ? [] : [["p Holm", ({ pHolm }) => (pHolm === undefined ? "" : pHolm < 0.001 ? "<.001" : digits(pHolm))]] satisfies Column[]),
      ...(forgotten && !isNarrow ? [["forgotten", ({ forgotten: gone }) => alone(gone, "ndcg@10")]] satisfies Column[] : []),
      ...(withdrawn ? [["D_f back", ({ withdrawn: back }) => alone(back, "precision@10")]] satisfies Column[] : []),
      ["to forget", ({ secondsToForget }) => (secondsToForget === undefined ? "" : formatSeconds(secondsToForget))],
      ...(isNarrow ? [] : [["a list", ({ secondsPerList }) => (secondsPerList === undefined ? "" : formatSeconds(secondsPerList))]] satisfies Column[]),
    ];
    return [columns.map(([head]) => head), ...this.rows.map((row) => columns.map(([, cell]) => cell(row)))];
  }

  private footnotes(isNarrow: boolean): string[] {
    const fallen = this.rows.filter(({ withoutFallback }) => withoutFallback !== undefined);
    const asked = this.rows.find(({ forgotten }) => forgotten !== undefined)?.forgotten;
    const back = this.rows.find(({ withdrawn }) => withdrawn !== undefined)?.withdrawn;
    const odd = this.rows.filter(({ fallback, repaired }) => fallback + repaired > 0);
    return [
      "  - retrain: NDCG@10 minus the same backbone retrained, same users, Wilcoxon with Holm. To forget: apply the request and rebuild.",
      ...(back ? [`  D_f back: share of the top 10, as served, that its user withdrew; ${back.n} users. Above the retrained row, the method remembers.`] : []),
      ...(asked && !isNarrow ? [`  forgotten: NDCG@10 of the ${asked.n} users who asked to be forgotten.`] : []),
      "  The frozen backbone's own order after the request is the row \"before\": evalMask takes out the forgotten items for all.",
      ...(odd.length === 0 ? ["  Every answer of the generator was whole: none was repaired, none fell back to the backbone's order."] : []),
      ...odd.map(({ method, fallback, repaired }) => `  ${method.label}, ${method.source}: ${fallback} answers fell back to the backbone's order, ${repaired} were repaired.`),
      ...this.answerNotes(),
      ...fallen.map(({ method, withoutFallback }) =>
        `  ${method.label}, ${method.source}, without users that fell back: NDCG@10 ${withInterval(withoutFallback, "ndcg@10")}`),
    ];
  }

  /** A line for each method where a model spoke; one line for all where nothing was asked over a wire. */
  private answerNotes(): string[] {
    const asked = this.rows.filter(({ answers }) => answers !== undefined);
    if (asked.some(({ answers }) => (answers!.counts?.tokensIn ?? 0) > 0)) return asked.map(({ method, answers }) => `  ${method.label}, ${method.source}: ${answersText(answers!)}`);
    const taus = asked.flatMap(({ answers }) => answers!.positionTau ?? []), ties = asked.map(({ answers }) => answers!.tieRate ?? 0);
    if (taus.length === 0) return [];
    return [`  Kendall's tau between the prompt's order and the scores: ${digits(Math.min(...taus))} to ${digits(Math.max(...taus))}; tied candidates: at most ${(100 * Math.max(...ties)).toFixed(1)} %.`];
  }
}

function rowOf(result: StoredResult, comparison: Comparison | undefined): RunRow {
  const { manifest, groups, perUser, folder } = result;
  const { method, seconds, engine, answers } = manifest;
  const compared = comparison?.row(method.name, "ndcg@10");
  return {
    method, folder,
    remaining: groups.remaining, forgotten: groups.forgotten, all: groups.all, withoutFallback: groups.withoutFallback,
    withdrawn: groups.withdrawn,
    difference: compared?.difference, pHolm: compared?.pHolm,
    secondsToForget: seconds["forget"],
    secondsPerList: seconds["serve"] === undefined || perUser.users.length === 0 ? undefined : seconds["serve"] / perUser.users.length,
    engine: engine?.label, fallback: answers?.fallback ?? 0, repaired: answers?.repaired ?? 0, answers,
  };
}

/** Methods of one backbone against that backbone retrained, over the remaining users. */
function comparisonsOf(results: readonly StoredResult[], seed: number): Record<string, Comparison> {
  const groups = new Map<string, Record<string, Evaluation>>();
  for (const result of results) {
    const { backbone, name } = result.manifest.method;
    const evaluation = evaluationOf(result, "remaining");
    if (evaluation) groups.set(backbone, { ...groups.get(backbone), [name]: evaluation });
  }
  const compared = [...groups].filter(([, evaluations]) => evaluations["retrain"] && Object.keys(evaluations).length > 1);
  return Object.fromEntries(compared.map(([backbone, evaluations]) =>
    [backbone, compare(evaluations, { reference: "retrain", metrics: TABLE_METRICS, seed })]));
}

function withInterval(means: GroupMetrics | undefined, metric: string): string {
  const found = means?.metrics[metric];
  return found ? `${digits(found.value)} ${digits(found.low)}-${digits(found.high)}` : "";
}

function alone(means: GroupMetrics | undefined, metric: string): string {
  const found = means?.metrics[metric];
  return found ? digits(found.value) : "";
}

function signed(value: number | undefined): string {
  if (value === undefined) return "";
  const text = digits(value);
  return value > 0 ? `+${text}` : text;
}
