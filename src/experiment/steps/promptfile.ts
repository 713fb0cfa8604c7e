import { readFile } from "node:fs/promises";
import { buildPrompts } from "../../augmentation/prompt.js";
import { withoutProfile, withProfile, type Template } from "../../augmentation/templates.js";
import { ConfigError, DataError } from "../../core/errors.js";
import { canonicalJson } from "../../core/fingerprint.js";
import type { Interactions } from "../../core/interactions.js";
import type { RunOptions } from "../../core/progress.js";
import type { Message, Prompt } from "../../core/prompt.js";
import type { Ranking } from "../../core/ranking.js";
import type { Dataset } from "../../data/dataset.js";
import { hashText } from "./folder.js";

/** One line of prompts.jsonl; all ids are the publisher's. It is personal data. */
export interface PromptLine {
  user: string;
  /** Best first. */
  candidateIds: string[];
  /** The rows that the prompt prints, in the order of the catalogue. */
  historyIds: string[];
  /** Rows of similar users that it prints too: [user, item]. */
  similarIds?: [string, string][];
  promptHash: string;
  messages: Message[];
}

/** One line of candidates.jsonl: the list before generation, as deep as the evaluation needs. */
export interface CandidateLine {
  user: string;
  /** "popularity" for users without any remaining row. */
  source: "backbone" | "popularity";
  items: string[];
  scores: number[];
}

export type CandidateList = Ranking & Pick<CandidateLine, "source">;

export const TEMPLATES = { auto: undefined, on: withProfile, off: withoutProfile } as const;
export type ProfileChoice = keyof typeof TEMPLATES;

/** The template of a choice; undefined leaves it to the data set (with profiles where it has them). */
export function templateOf(profile: ProfileChoice): Template | undefined {
  if (!Object.hasOwn(TEMPLATES, profile)) {
    throw new ConfigError("CONFIG_VALUE", `The option profile cannot be ${JSON.stringify(profile)}.`, { hint: "Allowed: auto, on, off." });
  }
  return TEMPLATES[profile];
}

/** prompts.jsonl as text. */
export function formatPrompts(prompts: readonly Prompt[], dataset: Dataset): string {
  return prompts.map(({ user, candidates, evidence, similar, promptHash, messages }) => jsonLine({
    user: dataset.userId(user), candidateIds: candidates.map(({ item }) => dataset.itemId(item)),
    historyIds: Array.from(evidence.items, (item) => dataset.itemId(item)),
    ...(similar && similar.length > 0 ? { similarIds: Array.from(similar.items, (item, row): [string, string] => [dataset.userId(similar.users[row]!), dataset.itemId(item)]) } : {}),
    promptHash, messages,
  } satisfies PromptLine)).join("");
}

/** candidates.jsonl as text. */
export function formatCandidates(lists: readonly CandidateList[], dataset: Dataset): string {
  return lists.map(({ user, source, items, scores }) => jsonLine({
    user: dataset.userId(user), source, items: Array.from(items, (item) => dataset.itemId(item)), scores: Array.from(scores),
  } satisfies CandidateLine)).join("");
}

/** Lists of candidates.jsonl in dense ids, by user. @throws DataError when the file is not the one that was recorded. */
export async function readCandidates(file: string, hash: string, dataset: Dataset): Promise<Map<number, CandidateList>> {
  const lines = await linesOf<CandidateLine>(file, hash);
  return new Map(lines.map(({ user, source, items, scores }) => {
    const index = dataset.userOf(user);
    return [index, { user: index, source, items: Uint32Array.from(items, (item) => dataset.itemOf(item)), scores: Float32Array.from(scores) }];
  }));
}

/**
 * Prompts of prompts.jsonl, built again from the ids and compared by hash: what is sent is what this version would write.
 * @throws DataError when the file was changed, or when this version's wording is another one.
 */
export async function readPrompts(
  file: string, hash: string, dataset: Dataset, lists: ReadonlyMap<number, Ranking>, profile: ProfileChoice, options: RunOptions = {},
): Promise<Prompt[]> {
  const lines = await linesOf<PromptLine>(file, hash);
  const template = templateOf(profile);
  const candidates = lines.map(({ user, candidateIds }) => {
    const index = dataset.userOf(user), list = lists.get(index);
    const items = Uint32Array.from(candidateIds, (item) => dataset.itemOf(item));
    return { user: index, items, scores: list ? list.scores.slice(0, items.length) : new Float32Array(items.length) };
  });
  const evidence = lines.map(({ user, historyIds }) => rowsOf(dataset, historyIds.map((id) => [user, id])));
  const similar = lines.map(({ similarIds }) => (similarIds ? rowsOf(dataset, similarIds) : undefined));
  const prompts = await buildPrompts({ dataset, candidates, evidence, similar, ...(template ? { template } : {}) }, options);
  prompts.forEach(({ promptHash, user }, at) => {
    if (promptHash === lines[at]!.promptHash) return;
    throw new DataError("DATA_PROMPT_HASH", `${file}, line ${at + 1}: the prompt of user ${dataset.userId(user)} was written with another template.`, {
      hint: "Run `cragru prompt` again.",
    });
  });
  return prompts;
}

function rowsOf(dataset: Dataset, ids: readonly [string, string][]): Interactions {
  return dataset.select(ids.map(([user, item]) => {
    const row = dataset.indexOf(dataset.userOf(user), dataset.itemOf(item));
    if (row < 0) {
      throw new DataError("DATA_UNKNOWN_ROW", `A prompt prints item ${item} for user ${user}, who never rated it.`, { hint: "Run `cragru prompt` again." });
    }
    return row;
  }));
}

async function linesOf<Line>(file: string, hash: string): Promise<Line[]> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new DataError("DATA_FILE_MISSING", `${file} cannot be read.`, { hint: "Run `cragru prompt` again.", cause });
  });
  if (hashText(text) !== hash) {
    throw new DataError("DATA_FILE_HASH", `${file} was changed after it was made.`, { hint: "Run `cragru prompt` again." });
  }
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Line);
}

function jsonLine(value: unknown): string {
  return `${canonicalJson(value)}\n`;
}
