import { fingerprint } from "./fingerprint.js";
import type { Interactions } from "./interactions.js";

/** One of the candidate movies of a prompt. */
export interface Candidate {
  /** The name on the wire: "m" and the catalogue's own id. */
  key: string;
  /** Dense item index. */
  item: number;
  title: string;
  year: number | undefined;
  genres: readonly string[];
  /** Backbone rank, 1 = best. */
  rank: number;
  /** Backbone score. */
  prior: number;
  /** The film as printed: quoted title, and the year where there is one. */
  film: string;
}

/** One printed row of the user's history. */
export interface HistoryLine {
  item: number;
  title: string;
  year: number | undefined;
  genres: readonly string[];
  /** The rating as given, on the data set's own scale. */
  rating: number;
  timestamp: number | undefined;
}

export interface Message {
  role: "system" | "user";
  content: string;
}

/** The words of a prompt in pieces, so that engines can put the candidates in another order or ask about one of them. */
export interface PromptWords {
  /** The first message: task and answer format. */
  instructions: string;
  /** What the second message says before the candidates: profile, history, heading. */
  before: string;
  /** What it says after them. */
  closing: string;
  /** The pointwise form: its first message, and the line about one film in place of `closing`; `{film}` is filled in. */
  readout: { instructions: string; question: string };
}

/** Everything a generator may see about one user. `evidence` and `similar` hold exactly the rows that the text prints. */
export interface Prompt {
  user: number;
  messages: Message[];
  /** In the order in which the prompt lists them. */
  candidates: Candidate[];
  history: HistoryLine[];
  /** The user's own rows that are printed. */
  evidence: Interactions;
  /** Rows of other users that are printed; undefined where none are asked for. */
  similar: Interactions | undefined;
  words: PromptWords;
  profile: string | undefined;
  ratingScale: { min: number; max: number };
  templateHash: string;
  /** SHA-256 of the messages: the key of every stored reply. */
  promptHash: string;
  /** Upper estimate, see `estimateTokens`. */
  tokenEstimate: number;
}

/** The messages of a prompt with its candidates in the order given. */
export function messagesOf(words: PromptWords, candidates: readonly Candidate[]): Message[] {
  const lines = candidates.map(({ key, film }) => `${key}: ${film}\n`).join("");
  return [{ role: "system", content: words.instructions }, { role: "user", content: `${words.before}\n${lines}\n${words.closing}` }];
}

/** The messages that ask about candidate `at` alone. All but the last line is the same for every candidate: servers keep it. */
export function readoutMessages({ words, candidates }: Prompt, at: number): Message[] {
  const lines = candidates.map(({ film }) => `- ${film}\n`).join("");
  const question = words.readout.question.replace("{film}", () => candidates[at]!.film);
  return [{ role: "system", content: words.readout.instructions }, { role: "user", content: `${words.before}\n${lines}\n${question}` }];
}

/** SHA-256 of messages. */
export function hashMessages(messages: readonly Message[]): string {
  return fingerprint("prompt", ...messages.flatMap(({ role, content }) => [role, content]));
}

/** The same prompt with candidate `order[n]` in place n. Ranks, scores and evidence stay; the hash is that of the new text. */
export function reorderCandidates(prompt: Prompt, order: readonly number[]): Prompt {
  const candidates = order.map((at) => prompt.candidates[at]!);
  const messages = messagesOf(prompt.words, candidates);
  return { ...prompt, candidates, messages, promptHash: hashMessages(messages) };
}
