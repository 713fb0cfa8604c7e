import type { Interactions } from "../core/interactions.js";
import { partOf, type RunOptions } from "../core/progress.js";
import type { HistoryLine, Prompt } from "../core/prompt.js";
import type { Ranking } from "../core/ranking.js";
import type { Dataset } from "../data/dataset.js";
import type { Split } from "../data/split.js";
import type { Bench } from "./method.js";
import { cragruOf, type Workshop } from "./plans.js";
import type { SharedBackbone } from "./recipes.js";

const SHOWN_LINES = 8;
const LIST_LENGTH = 10;

/** One item of a list that the example shows. */
export interface ExampleItem {
  title: string;
  year: number | undefined;
  genres: readonly string[];
  /** It has the genre in question. */
  ofGenre: boolean;
  /** The user withdrew this very item. */
  withdrawn: boolean;
}

export interface ExampleList {
  /** Who made it, for example "after, lightgcn fitted on D_r". */
  caption: string;
  items: ExampleItem[];
}

/** One user before and after a request: what left his prompt, and what that did to his list. */
export interface Example {
  /** The publisher's id. */
  user: string;
  profile: { age?: string | undefined; occupation?: string | undefined };
  /** The genre that the request is about; undefined where the catalogue has no genres. */
  genre: string | undefined;
  /** Rows that the user withdraws in all, rows of that genre, and rows that the run's own request had drawn. */
  withdrawn: { rows: number; ofGenre: number; drawn: number };
  /** Lines of history in the prompt. */
  lines: { before: number; after: number };
  vanished: HistoryLine[];
  lists: ExampleList[];
  engine: string;
  retriever: string;
}

/** Whom the example shows, and what he withdraws beside the run's own request. */
export interface ExampleChoice {
  user: number;
  genre: string | undefined;
  /** Rows of train and valid that are forgotten for the example alone. */
  extra: Interactions;
}

/**
 * The user for whom forgetting matters most, by a rule: among the users of the table, the one with the most rows of one genre
 * above what everybody's share of that genre would give, and at least five other rows left; ties by lower index. He withdraws
 * all his rows of that genre. When users are forgotten altogether, he is one of them and there is nothing more to withdraw;
 * without genres it is the user who lost most rows. Undefined when nobody qualifies.
 */
export function chooseExample(split: Split, users: Uint32Array): ExampleChoice | undefined {
  const { dataset } = split;
  const held = split.train.union(split.valid);
  const gone = new Set(split.forgetUsers);
  const whole = users.filter((user) => gone.has(user));
  const pool = whole.length > 0 ? whole : users;
  const shares = genreCounts(dataset, held);
  let best: { user: number; genre: string | undefined; score: number } | undefined;
  for (const user of pool) {
    const rows = held.of(user);
    if (shares.size === 0) {
      const lost = split.forget.countOf(user);
      if (lost > 0 && (!best || lost > best.score)) best = { user, genre: undefined, score: lost };
      continue;
    }
    for (const [genre, count] of genreCounts(dataset, split.train.of(user))) {
      const score = count - (rows.length * shares.get(genre)!) / held.length;
      if (rows.length - count < 5 && whole.length === 0) continue;
      if (!best || score > best.score) best = { user, genre, score };
    }
  }
  if (!best) return undefined;
  const { user, genre } = best;
  const extra = split.remain.filter((row) => split.remain.users[row] === user
    && genre !== undefined && dataset.genres(split.remain.items[row]!).includes(genre));
  return { user, genre, extra };
}

function genreCounts(dataset: Dataset, rows: Interactions): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of rows.items) for (const genre of dataset.genres(item)) counts.set(genre, (counts.get(genre) ?? 0) + 1);
  return counts;
}

/**
 * Answers for one user before and after he withdraws rows: with the frozen backbone (the paper's way, whose weights still
 * remember) and with one fitted on D_r. Three answers of the generator and one more training.
 */
export async function makeExample(
  workshop: Workshop, backbone: SharedBackbone, choice: ExampleChoice, options: RunOptions = {},
): Promise<Example> {
  const { bench, engine } = workshop;
  const { split, dataset, config } = bench;
  const { user, genre, extra } = choice;
  const request = { interactions: split.forget.union(extra) };
  const retriever = config.retrievers[0]!;

  const frozen = cragruOf(workshop, backbone, retriever, "full");
  await frozen.learn(split, partOf(options, 0, 4, "before"));
  const before = await frozen.answer([user], LIST_LENGTH, partOf(options, 1, 4, "before"));
  await frozen.forget(request, partOf(options, 2, 4, "after"));
  const after = await frozen.answer([user], LIST_LENGTH, partOf(options, 2, 4, "after"));
  const clean = cragruOf(workshop, backbone, retriever, "remain");
  await clean.learn(split, partOf(options, 2, 4, "before"));
  await clean.forget(request, partOf(options, 3, 4, "after, fitted on D_r"));
  const refitted = await clean.answer([user], LIST_LENGTH, partOf(options, 3, 4, "after, fitted on D_r"));

  const left = new Set(after.prompts[0]?.history.map(({ item }) => item));
  const { age, occupation } = dataset.profile(user);
  const rows = request.interactions.of(user);
  const ofGenre = genre === undefined ? 0 : Array.from(rows.items).filter((item) => dataset.genres(item).includes(genre)).length;
  const list = (caption: string, ranking: Ranking): ExampleList => ({ caption, items: itemsOf(bench, ranking, genre, rows) });
  return {
    user: dataset.userId(user), profile: { age, occupation }, genre,
    withdrawn: { rows: rows.length, ofGenre, drawn: split.forget.countOf(user) },
    lines: { before: lineCount(before.prompts[0]), after: lineCount(after.prompts[0]) },
    vanished: (before.prompts[0]?.history ?? []).filter(({ item }) => !left.has(item)),
    lists: [
      list("before", before.rankings[0]!),
      list(after.prompts.length > 0 ? `after, frozen ${backbone.name}` : "after: no row left, popularity", after.rankings[0]!),
      ...(after.prompts.length > 0 ? [list(`after, ${backbone.name} fitted on D_r`, refitted.rankings[0]!)] : []),
    ],
    engine: engine.label, retriever,
  };
}

function lineCount(prompt: Prompt | undefined): number {
  return prompt?.history.length ?? 0;
}

function itemsOf({ dataset }: Bench, { items }: Ranking, genre: string | undefined, withdrawn: Interactions): ExampleItem[] {
  const gone = new Set(withdrawn.items);
  return Array.from(items, (item) => ({
    title: dataset.title(item), year: dataset.year(item), genres: dataset.genres(item),
    ofGenre: genre !== undefined && dataset.genres(item).includes(genre), withdrawn: gone.has(item),
  }));
}

/** The example as text: the request, the lines that vanished, the lists side by side, as wide as they fit into `columns`. */
export function exampleText(example: Example, columns = 120): string {
  const { user, profile, genre, withdrawn, lines, vanished, lists, engine, retriever } = example;
  const person = [profile.age === undefined ? "" : `age ${profile.age}`, profile.occupation ?? ""].filter((word) => word !== "").join(", ");
  const what = `${withdrawn.rows} rows${genre === undefined ? "" : `, among them all ${withdrawn.ofGenre} of the genre ${genre}`}`;
  const shown = vanished.length > SHOWN_LINES ? `, the first ${SHOWN_LINES}` : "";
  const width = Math.min(40, Math.floor((columns - "  10".length) / lists.length) - 2);
  const cells = Array.from({ length: LIST_LENGTH }, (_, at) => [
    String(at + 1).padStart(2), ...lists.map(({ items }) => (items[at] ? itemText(items[at], genre, width) : "")),
  ]);
  const counts = lists.map(({ items }) => `${items.filter(({ ofGenre }) => ofGenre).length} of ${items.length} are ${genre ?? ""}`);
  const fresh = lines.after - (lines.before - vanished.length);
  const table = [["", ...lists.map(({ caption }) => caption)], ...cells, ...(genre === undefined ? [] : [["", ...counts]])];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return [
    `One user, before and after (cragru ${retriever}, ${engine})`,
    `  User ${user}${person === "" ? "" : ` (${person})`} withdraws ${what}.`,
    `  The prompt printed ${lines.before} rows of history and prints ${lines.after} now: ${vanished.length} are gone, `
      + `${fresh} took their place. Gone${shown}:`,
    ...vanished.slice(0, SHOWN_LINES).map((line) => `    - ${lineText(line)}`),
    `  The top ${LIST_LENGTH} (${genre === undefined ? "" : `* ${genre}, `}! withdrawn by this user; `
      + "such a film may be shown again, like any film never rated)",
    ...table.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()}`),
  ].join("\n");
}

/** The lists as rows of cells, for HTML: head first. */
export function exampleCells({ lists, genre }: Example): string[][] {
  return [["", ...lists.map(({ caption }) => caption)], ...Array.from({ length: LIST_LENGTH }, (_, at) => [
    String(at + 1), ...lists.map(({ items }) => (items[at] ? itemText(items[at], genre, 80) : "")),
  ])];
}

function lineText({ title, year, genres, rating }: HistoryLine): string {
  return [`${title}${year === undefined ? "" : ` (${year})`}`, genres.join(", "), `rated ${rating}`].filter((part) => part !== "").join(" | ");
}

/** Title and one genre: the one in question where the item has it. */
function itemText({ title, genres, ofGenre, withdrawn }: ExampleItem, genre: string | undefined, width: number): string {
  const mark = `${ofGenre ? "*" : " "}${withdrawn ? "!" : " "}`;
  const shown = ofGenre ? genre : genres[0];
  const tail = shown === undefined ? "" : ` [${shown}]`;
  const room = Math.max(8, width - tail.length - 3);
  return `${mark} ${title.length > room ? `${title.slice(0, room - 3)}...` : title}${tail}`;
}
