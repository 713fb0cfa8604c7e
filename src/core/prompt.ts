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

/** Everything a generator may see about one user. `evidence` holds exactly the rows that the text prints. */
export interface Prompt {
  user: number;
  messages: Message[];
  /** In the order in which the prompt lists them. */
  candidates: Candidate[];
  history: HistoryLine[];
  evidence: Interactions;
  profile: string | undefined;
  ratingScale: { min: number; max: number };
  templateHash: string;
  /** SHA-256 of the messages: the key of every stored reply. */
  promptHash: string;
  /** Upper estimate, see `estimateTokens`. */
  tokenEstimate: number;
}
