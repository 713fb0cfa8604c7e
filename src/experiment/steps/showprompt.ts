import { join } from "node:path";
import { estimateTokens, formatPrompt, printedScore } from "../../augmentation/prompt.js";
import { ConfigError } from "../../core/errors.js";
import { messagesOf, type Prompt } from "../../core/prompt.js";
import type { Dataset } from "../../data/dataset.js";
import { defined } from "../defined.js";
import { openRun, readStep, stepFolder, type StepOptions } from "./folder.js";
import type { PromptRecord } from "./prompt.js";
import { readCandidates, readPrompts } from "./promptfile.js";

/** One prompt of a run, with what it costs and what it rests on. */
export class ShownPrompt {
  constructor(readonly prompt: Prompt, private readonly dataset: Dataset) {}

  /** Upper estimates of tokens, part by part. */
  get tokens(): Record<"instructions" | "profile and history" | "candidates" | "closing" | "all", number> {
    const { words, candidates, tokenEstimate } = this.prompt;
    // Each estimate holds the same allowance for the markup of a chat; it is counted once, in the sum.
    const markup = estimateTokens("");
    const of = (text: string): number => estimateTokens(text) - markup;
    const whole = messagesOf(words, candidates)[1]!.content;
    const list = whole.slice(words.before.length, whole.length - words.closing.length);
    return { instructions: of(words.instructions), "profile and history": of(words.before), candidates: of(list), closing: of(words.closing), all: tokenEstimate };
  }

  toJSON(): object {
    const { user, promptHash, templateHash, messages, candidates } = this.prompt;
    return {
      user: this.dataset.userId(user), promptHash, templateHash, tokens: this.tokens, messages, evidence: this.evidence(),
      candidates: candidates.map(({ key, item, title, rank, prior }) => ({ key, item: this.dataset.itemId(item), title, rank, prior })),
    };
  }

  toString(): string {
    const { tokens } = this, evidence = this.evidence();
    const share = Object.entries(tokens).filter(([name]) => name !== "all").map(([name, count]) => `${name} ${count}`).join(", ");
    return [
      formatPrompt(this.prompt), "",
      `Tokens, at most about ${tokens.all}: ${share}; the rest is chat markup.`,
      `Evidence: ${evidence.length} rows, in the order of the text.`,
      ...evidence.map(({ user, item, title, rating, printed, time }) =>
        `  user ${user}, item ${item}  ${title}: rated ${rating}, printed as ${printed}${time === undefined ? "" : `, ${time}`}`),
    ].join("\n");
  }

  /** The rows behind the text, by the publisher's ids: the user's own, then those of similar users. */
  private evidence(): { user: string; item: string; title: string; rating: number; printed: number; time?: string }[] {
    const { dataset } = this, { history, similar, user, ratingScale } = this.prompt;
    const row = (owner: number, item: number, rating: number, timestamp: number | undefined): ReturnType<ShownPrompt["evidence"]>[number] => ({
      user: dataset.userId(owner), item: dataset.itemId(item), title: dataset.title(item), rating, printed: printedScore(rating, ratingScale),
      ...defined({ time: timestamp === undefined ? undefined : new Date(timestamp * 1000).toISOString().slice(0, 10) }),
    });
    return [
      ...history.map(({ item, rating, timestamp }) => row(user, item, rating, timestamp)),
      ...Array.from(similar?.items ?? [], (item, at) => row(similar!.users[at]!, item, similar!.ratings[at]!, similar!.timestamps?.[at])),
    ];
  }
}

/**
 * The prompt that step 3 wrote for a user, by the publisher's id.
 * @throws ConfigError when there is none; DataError on an unknown user or a changed file.
 */
export async function showPrompt(options: StepOptions & { user: string }): Promise<ShownPrompt> {
  const { run, dataset, split } = await openRun(options);
  const made = await readStep<PromptRecord>(run, "prompt", split);
  const folder = stepFolder(run, "prompt");
  const user = dataset.userOf(options.user);
  const lists = await readCandidates(join(folder, "candidates.jsonl"), made.candidatesHash, dataset);
  const prompts = await readPrompts(join(folder, "prompts.jsonl"), made.promptsHash, dataset, lists, made.settings.profile, defined({ signal: options.signal }));
  const prompt = prompts.find((one) => one.user === user);
  if (prompt) return new ShownPrompt(prompt, dataset);
  const why = lists.has(user) ? "has no row left to show and gets the popularity list" : "is not in the sample";
  throw new ConfigError("STEP_NO_PROMPT", `User ${options.user} has no prompt in ${folder}: the user ${why}.`, {
    hint: `Users with a prompt: ${prompts.slice(0, 5).map((one) => dataset.userId(one.user)).join(", ")}, ...; cragru prompt --users 0 writes one for everybody.`,
  });
}
