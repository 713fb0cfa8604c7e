import { ConfigError, DataError } from "../core/errors.js";
import type { Interactions } from "../core/interactions.js";
import { Breather, type RunOptions } from "../core/progress.js";
import { hashMessages, messagesOf, type Candidate, type HistoryLine, type Prompt, type PromptWords } from "../core/prompt.js";
import type { Ranking } from "../core/ranking.js";
import type { Dataset } from "../data/dataset.js";
import { templateHash, withoutProfile, withProfile, type Template } from "./templates.js";
import { plainText } from "./text.js";

export interface PromptInput {
  /** The catalogue: titles, years, genres, profiles, rating scale. Its rows are not read. */
  dataset: Dataset;
  /** Default: the users of `candidates`. When given, it must name the same users in the same order. */
  users?: ArrayLike<number>;
  /** For each user the rows to print, chosen by a retriever; may be empty. */
  evidence: readonly Interactions[];
  /** For each user rows of similar users to print besides; default none. */
  similar?: readonly (Interactions | undefined)[];
  /** For each user the candidates, best first. */
  candidates: readonly Ranking[];
  /** Default: {@link withProfile} where the data set has profiles, else {@link withoutProfile}. */
  template?: Template;
}

/** Publisher's ids that are safe as JSON keys and as text. */
const SAFE_ID = /^[A-Za-z0-9_-]{1,40}$/;

/**
 * Prompts of the paper's section on augmentation (Eq. 10, Appendix A), in our own words: instructions, profile, history,
 * candidates, closing line. History lines stand by time, then item id; candidates in the order of the backbone, without
 * genres in the text (the `Candidate` objects carry them). Cost O(lines); titles are data, see {@link plainText}.
 * Departure: the first message is the same for all users; the paper's prompt is one text.
 * @throws ConfigError when the lists do not match; DataError when a row of `evidence` belongs to someone else.
 */
export async function buildPrompts(input: PromptInput, options: RunOptions = {}): Promise<Prompt[]> {
  const { dataset, evidence, candidates, users, similar } = input;
  if (evidence.length !== candidates.length || (similar && similar.length !== candidates.length) || (users && (users.length !== candidates.length || candidates.some(({ user }, at) => user !== users[at])))) {
    throw new ConfigError("CONFIG_PROMPTS", `Prompts need one evidence and one candidate list per user: got ${evidence.length} and ${candidates.length}${users ? ` for ${users.length} users` : ""}.`, {
      hint: "Pass the lists in the order of the users.",
    });
  }
  const template = input.template ?? (hasProfiles(dataset) ? withProfile : withoutProfile);
  const writer = new Writer(dataset, template);
  const breather = new Breather(options.signal);
  const prompts: Prompt[] = [];
  for (let at = 0; at < candidates.length; at++) {
    if (breather.due()) {
      options.onProgress?.(at, candidates.length);
      await breather.pause();
    }
    prompts.push(writer.write(candidates[at]!, evidence[at]!, similar?.[at]));
  }
  options.onProgress?.(prompts.length, prompts.length);
  return prompts;
}

/** Upper estimate of the tokens of a text: 2.8 UTF-8 bytes a token (titles measure 2.9 to 3.5), and 64 for chat markup. */
export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 2.8) + 64;
}

/** A rating as printed: 20 for the lowest of the scale, 100 for the highest, whole. On 1 to 5 this is 20 times the rating. */
export function printedScore(rating: number, scale: { min: number; max: number }): number {
  if (!(scale.max > scale.min)) return 100;
  const share = (rating - scale.min) / (scale.max - scale.min);
  return Math.round(20 + 80 * Math.min(1, Math.max(0, share)));
}

/** A prompt as a person reads it: one line of facts, then each message under its role. */
export function formatPrompt(prompt: Prompt): string {
  const characters = prompt.messages.reduce((sum, { content }) => sum + content.length, 0);
  const facts = [
    `user ${prompt.user}`, `${prompt.history.length} history rows`, `${prompt.candidates.length} candidates`,
    `${characters} characters`, `at most about ${prompt.tokenEstimate} tokens`,
    `template ${prompt.templateHash.slice(0, 8)}`, `prompt ${prompt.promptHash.slice(0, 8)}`,
  ].join(", ");
  return [`Prompt: ${facts}`, ...prompt.messages.map(({ role, content }) => `--- ${role} ---\n${content}`)].join("\n");
}

type PublicItem = Pick<Candidate, "title" | "year" | "genres" | "film">;

/** Writes prompts of one data set and one template; remembers the printed form of items, which is public metadata. */
class Writer {
  private readonly hash: string;
  private readonly publisherKeys: boolean;
  private readonly printed = new Map<number, PublicItem>();

  constructor(private readonly dataset: Dataset, private readonly template: Template) {
    this.hash = templateHash(template);
    this.publisherKeys = hasSafeIds(dataset);
  }

  write(list: Ranking, evidence: Interactions, similar: Interactions | undefined): Prompt {
    const { dataset, template } = this;
    const candidates: Candidate[] = Array.from(list.items, (item, at) => {
      const { film, ...known } = this.public(item);
      return { key: `m${this.publisherKeys ? dataset.itemId(item) : item}`, item, ...known, rank: at + 1, prior: list.scores[at]!, film };
    });
    const history = this.historyOf(list.user, evidence);
    const profile = template.profile ? this.profileOf(list.user, template.profile) : undefined;
    const words: PromptWords = {
      instructions: template.instructions,
      before: [
        ...(template.profile ? [template.profile.heading, profile!, ""] : []),
        template.history.heading,
        ...(history.length > 0 ? [template.history.lead, ...history.map((line) => this.historyLine(line))] : [template.history.none]),
        "",
        ...(similar && similar.length > 0 ? [template.similar.heading, template.similar.lead, ...this.similarLines(similar), ""] : []),
        template.candidates.heading,
      ].join("\n"),
      closing: template.closing,
      readout: template.readout,
    };
    const messages = messagesOf(words, candidates);
    return {
      user: list.user, messages, candidates, history, evidence, similar, words, profile,
      ratingScale: dataset.ratingScale,
      templateHash: this.hash,
      promptHash: hashMessages(messages),
      tokenEstimate: estimateTokens(messages.map(({ content }) => content).join("\n")),
    };
  }

  private historyOf(user: number, rows: Interactions): HistoryLine[] {
    const { items, ratings, timestamps } = rows;
    const order = Array.from(items, (_, row) => row);
    order.sort((a, b) => (timestamps ? timestamps[a]! - timestamps[b]! : 0) || items[a]! - items[b]!);
    return order.map((row) => {
      if (rows.users[row] !== user) {
        throw new DataError("DATA_EVIDENCE_USER", `The evidence for user ${user} holds a row of user ${rows.users[row]}.`, {
          hint: "Pass evidence and candidates in the same order of users.",
        });
      }
      const { title, year, genres } = this.public(items[row]!);
      return { item: items[row]!, title, year, genres, rating: ratings[row]!, timestamp: timestamps?.[row] };
    });
  }

  private historyLine({ title, year, genres, rating }: Pick<HistoryLine, "title" | "year" | "genres" | "rating">): string {
    const words = genres.length > 0 ? ` [${genres.join(", ")}]` : "";
    return `- ${named(title, year)}${words} ${printedScore(rating, this.dataset.ratingScale)}`;
  }

  /** Rows of other people, person after person and by time, without a word about who they are. */
  private similarLines({ items, ratings }: Interactions): string[] {
    return Array.from(items, (item, row) => this.historyLine({ ...this.public(item), rating: ratings[row]! }));
  }

  /** What everybody may know of an item, in printable form. */
  private public(item: number): PublicItem {
    let known = this.printed.get(item);
    if (!known) {
      const title = plainText(this.dataset.title(item)), given = this.dataset.year(item);
      const year = Number.isInteger(given) ? given : undefined;
      const genres = this.dataset.genres(item).map((genre) => plainText(genre, 40, "").replaceAll(",", " ")).filter((genre) => genre !== "");
      known = { title, year, genres, film: named(title, year) };
      this.printed.set(item, known);
    }
    return known;
  }

  private profileOf(user: number, wording: NonNullable<Template["profile"]>): string {
    const { age, occupation } = this.dataset.profile(user);
    const parts = [
      ...(age ? [wording.age.replace("{age}", () => plainText(age, 40, "unknown"))] : []),
      ...(occupation ? [wording.occupation.replace("{occupation}", () => plainText(occupation, 60, "unknown"))] : []),
    ];
    return parts.length > 0 ? parts.join(" ") : wording.unknown;
  }
}

function named(title: string, year: number | undefined): string {
  return year === undefined ? `"${title}"` : `"${title}" (${year})`;
}

/** One form of key for the whole data set, so that a key never changes its meaning from prompt to prompt. */
function hasSafeIds(dataset: Dataset): boolean {
  for (let item = 0; item < dataset.itemCount; item++) if (!SAFE_ID.test(dataset.itemId(item))) return false;
  return true;
}

function hasProfiles(dataset: Dataset): boolean {
  for (let user = 0; user < dataset.userCount; user++) {
    const { age, occupation } = dataset.profile(user);
    if (age || occupation) return true;
  }
  return false;
}
