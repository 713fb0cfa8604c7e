import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Split } from "../../data/split.js";
import { purgeReplies } from "../../generation/replayfile.js";
import { writing } from "../draft.js";
import { stepFolder } from "./folder.js";

/**
 * Removes from a run's folder what earlier steps kept of rows that this split forgets: every kept answer to a prompt that printed
 * one. Where the folder held another split (`isOther`), its prompts and every answer of a user with a forgotten row go as well:
 * they were made for somebody who still held it. Returns how many answers went. Cost O(the file).
 * @throws GenerationError where the answers cannot be read: then nothing was removed from them.
 */
export async function sweepRun(run: string, split: Split, { isOther }: { isOther: boolean }): Promise<number> {
  if (isOther) {
    for (const name of ["prompts.jsonl", "candidates.jsonl"]) await rm(join(stepFolder(run, "prompt"), name), { force: true });
  }
  const replies = join(stepFolder(run, "recommend"), "replies.jsonl");
  if (!existsSync(replies)) return 0;
  const { removed } = await writing(replies, () => purgeReplies(replies, { rows: split.forget, ...(isOther ? { users: split.forget.presentUsers() } : {}) }));
  return removed;
}
