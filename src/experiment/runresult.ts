import type { SplitJson } from "../data/split.js";
import { compare, type Comparison } from "../evaluation/compare.js";
import type { Evaluation } from "../evaluation/evaluate.js";
import { alignColumns, htmlTable } from "../evaluation/table.js";
import { formatSeconds } from "../core/progress.js";
import type { EngineInfo } from "../generation/generator.js";
import type { RunConfig } from "./config.js";
import { exampleCells, exampleText, type Example } from "./example.js";
import { evaluationOf, type GroupMetrics, type MethodLabel, type StoredResult } from "./results.js";

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
  /** NDCG@10 minus that of the retrained backbone, over the remaining users, with Holm's p. */
  difference: number | undefined;
  pHolm: number | undefined;
  secondsToForget: number | undefined;
  /** To make one user's list: retrieval, prompt, generation. */
  secondsPerList: number | undefined;
  engine: string | undefined;
  fallback: number;
  repaired: number;
  folder: string;
}

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
    const { captions, device, engine, example, folder, seconds } = this.parts;
    return [
      ...captions,
      `Engine: ${engine.label}. Kernels: ${device}.`,
      "",
      this.caption(),
      alignColumns(this.cells()),
      ...this.footnotes(),
      ...(example ? ["", exampleText(example)] : []),
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

  private caption(): string {
    const n = this.rows[0]?.remaining?.n ?? 0;
    const warning = this.parts.split.warning;
    return `Means over ${n} remaining users with 95 % intervals${warning === undefined ? "" : ` (${warning})`}`;
  }

  private cells(): string[][] {
    const forgotten = this.rows.some((row) => row.forgotten !== undefined);
    const columns: [string, (row: RunRow) => string][] = [
      ["method", ({ method }) => method.label],
      ["candidates", ({ method }) => method.source],
      ["HR@10", ({ remaining }) => withInterval(remaining, "hr@10")],
      ["NDCG@10", ({ remaining }) => withInterval(remaining, "ndcg@10")],
      ["- retrain", ({ difference }) => signed(difference)],
      ["p Holm", ({ pHolm }) => (pHolm === undefined ? "" : pHolm < 0.001 ? "<.001" : digits(pHolm))],
      ...(forgotten ? [["NDCG@10 forgotten", ({ forgotten: gone }) => withInterval(gone, "ndcg@10")]] as [string, (row: RunRow) => string][] : []),
      ["to forget", ({ secondsToForget }) => (secondsToForget === undefined ? "" : formatSeconds(secondsToForget))],
      ["a list", ({ secondsPerList }) => (secondsPerList === undefined ? "" : formatSeconds(secondsPerList))],
      ["engine", ({ engine }) => engine ?? "-"],
      ["fell back/repaired", ({ engine, fallback, repaired }) => (engine === undefined ? "" : `${fallback}/${repaired}`)],
    ];
    return [columns.map(([head]) => head), ...this.rows.map((row) => columns.map(([, cell]) => cell(row)))];
  }

  private footnotes(): string[] {
    const fallen = this.rows.filter(({ withoutFallback }) => withoutFallback !== undefined);
    return [
      "  - retrain: NDCG@10 minus the same backbone retrained, same users, Wilcoxon with Holm. To forget: apply the request and rebuild.",
      "  The frozen backbone's own order after the request is the row \"before forgetting\": evalMask takes out the forgotten items for all.",
      ...fallen.map(({ method, withoutFallback }) =>
        `  ${method.label}, ${method.source}, without users that fell back: NDCG@10 ${withInterval(withoutFallback, "ndcg@10")}`),
    ];
  }
}

function rowOf(result: StoredResult, comparison: Comparison | undefined): RunRow {
  const { manifest, groups, perUser, folder } = result;
  const { method, seconds, engine, answers } = manifest;
  const compared = comparison?.row(method.name, "ndcg@10");
  return {
    method, folder,
    remaining: groups.remaining, forgotten: groups.forgotten, all: groups.all, withoutFallback: groups.withoutFallback,
    difference: compared?.difference, pHolm: compared?.pHolm,
    secondsToForget: seconds["forget"],
    secondsPerList: seconds["serve"] === undefined || perUser.users.length === 0 ? undefined : seconds["serve"] / perUser.users.length,
    engine: engine?.label, fallback: answers?.fallback ?? 0, repaired: answers?.repaired ?? 0,
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
  return found ? `${digits(found.value)} [${digits(found.low)}, ${digits(found.high)}]` : "";
}

/** ".393": three digits, no leading zero. */
function digits(value: number): string {
  return value.toFixed(3).replace(/^(-?)0\./, "$1.");
}

function signed(value: number | undefined): string {
  if (value === undefined) return "";
  const text = digits(value);
  return value > 0 ? `+${text}` : text;
}
