/**
 * The invariants of the protocol, checked on sets of rows. Under `strict` each one throws and nothing switches it off; under
 * `released`, which breaks them by design, the same calls count the breaches instead. Cost O(rows) a split, O(rows log rows
 * of the user) a prompt.
 */
import { DataError, ForgettingError } from "../core/errors.js";
import type { Interactions } from "../core/interactions.js";
import type { Dataset } from "./dataset.js";

/** The sets of a split that the invariants speak of. */
export interface SplitSets {
  readonly dataset: Dataset;
  readonly protocol: "strict" | "released";
  readonly train: Interactions;
  readonly valid: Interactions;
  readonly test: Interactions;
  readonly forget: Interactions;
  readonly remain: Interactions;
  readonly history: Interactions;
}

/** Rows that are in both sets; all zero under `strict`. */
export interface SplitOverlaps {
  forgetAndTest: number;
  forgetAndRemain: number;
  historyAndTest: number;
  historyAndValid: number;
}

/**
 * Asserts: train, valid and test are disjoint and together the data set; every user with rows has a train row; and under
 * `strict` also D_f and test, D_f and D_r, history and test, history and valid are disjoint, and D_f and D_r together are
 * train and valid.
 * @throws ForgettingError where a forgotten row is on the wrong side, DataError for the rest; both name the row.
 */
export function assertSplit(split: SplitSets): SplitOverlaps {
  const { dataset, train, valid, test, forget, remain, history, protocol } = split;
  disjoint(dataset, "train", train, "test", test);
  disjoint(dataset, "train", train, "valid", valid);
  disjoint(dataset, "valid", valid, "test", test);
  cover(dataset, "Train, valid and test", [train, valid, test], "the data set", dataset);
  for (let user = 0; user < dataset.userCount; user++) {
    if (dataset.countOf(user) > 0 && train.countOf(user) === 0) {
      throw new DataError("DATA_SPLIT_NO_TRAIN", `User ${dataset.userId(user)} of ${dataset.name} has rows but none in train.`);
    }
  }
  const overlaps: SplitOverlaps = {
    forgetAndTest: common(forget, test).count,
    forgetAndRemain: common(forget, remain).count,
    historyAndTest: common(history, test).count,
    historyAndValid: common(history, valid).count,
  };
  if (protocol === "strict") {
    forgottenApart(dataset, forget, "test", test);
    forgottenApart(dataset, forget, "D_r", remain);
    disjoint(dataset, "history", history, "test", test);
    disjoint(dataset, "history", history, "valid", valid);
    cover(dataset, "D_f and D_r", [forget, remain], "train and valid", train.union(valid));
  }
  return overlaps;
}

/** One user's prompt as the guard sees it. */
export interface EvidenceCheck {
  user: number;
  /** The rows the prompt prints. */
  evidence: Interactions;
  /** Dense item ids the prompt asks to rank. */
  candidates: ArrayLike<number>;
  split: SplitSets;
  /** Rows forgotten so far; default D_f of the split. */
  forgotten?: Interactions;
}

/** Breaches found in one prompt; all zero under `strict`. */
export interface EvidenceReport {
  rows: number;
  /** Evidence rows that were forgotten, are test rows, are candidates too. */
  forgotten: number;
  test: number;
  candidates: number;
}

/**
 * Asserts for one prompt: its evidence holds rows of this user's history only, no forgotten row, no test row, and no item
 * that is a candidate. Under `released` the last three are counted instead, so that the caller can label and add them up.
 * Under `strict` no candidate may be a remaining train or valid row of the user, printed or not: serveMask was left out.
 * @throws ForgettingError for a forgotten row, DataError for the rest; both name the row by the publisher's ids.
 */
export function assertEvidence(check: EvidenceCheck): EvidenceReport {
  const { user, evidence, split } = check;
  const { dataset } = split;
  const forgotten = check.forgotten ?? split.forget;
  const candidates = new Set<number>(Array.from(check.candidates));
  const strict = split.protocol === "strict";
  const report: EvidenceReport = { rows: evidence.length, forgotten: 0, test: 0, candidates: 0 };
  for (let row = 0; row < evidence.length; row++) {
    const owner = evidence.users[row]!, item = evidence.items[row]!;
    if (owner !== user) {
      throw new DataError(
        "DATA_EVIDENCE_USER", `The prompt of user ${dataset.userId(user)} prints a row of ${named(dataset, owner, item)}.`,
      );
    }
    if (forgotten.has(owner, item)) {
      report.forgotten++;
      if (strict) {
        throw new ForgettingError("FORGET_EVIDENCE", `A prompt was about to print the forgotten row of ${named(dataset, owner, item)}.`, {
          hint: "Select the evidence from the history without the forgotten rows.",
        });
      }
    }
    if (split.test.has(owner, item)) {
      report.test++;
      if (strict) {
        throw new DataError("DATA_EVIDENCE_TEST", `A prompt was about to print the test row of ${named(dataset, owner, item)}.`, {
          hint: "Draw the evidence from split.history.",
        });
      }
    }
    if (candidates.has(item)) {
      report.candidates++;
      if (strict) {
        throw new DataError("DATA_EVIDENCE_CANDIDATE", `A prompt lists ${named(dataset, owner, item)} as history and as a candidate.`, {
          hint: "Draw candidates under serveMask, so that no rated item is among them.",
        });
      }
    }
    if (!split.history.has(owner, item)) {
      throw new DataError("DATA_EVIDENCE_UNKNOWN", `A prompt prints ${named(dataset, owner, item)}: not a row of the history.`);
    }
  }
  if (strict) {
    for (const item of candidates) {
      if ((split.train.has(user, item) || split.valid.has(user, item)) && !forgotten.has(user, item)) {
        throw new DataError("DATA_CANDIDATE_HELD", `A candidate is a row that its user still holds: ${named(dataset, user, item)}.`, {
          hint: "Draw candidates under serveMask; a backbone of your own must honour `mask` in recommend.",
        });
      }
    }
  }
  return report;
}

/**
 * Asserts for the rows of other users in one prompt: none is this user's own, forgotten or a test row, all are history.
 * Under `released` forgotten and test rows are counted instead.
 * @throws ForgettingError for a forgotten row, DataError for the rest.
 */
export function assertSimilar({ user, similar, split, forgotten = split.forget }: { user: number; similar: Interactions; split: SplitSets; forgotten?: Interactions }): EvidenceReport {
  const { dataset } = split;
  const report: EvidenceReport = { rows: similar.length, forgotten: 0, test: 0, candidates: 0 };
  for (let row = 0; row < similar.length; row++) {
    const owner = similar.users[row]!, item = similar.items[row]!;
    if (owner === user || !split.history.has(owner, item)) {
      throw new DataError("DATA_EVIDENCE_UNKNOWN", `The prompt of user ${dataset.userId(user)} shows ${named(dataset, owner, item)} as a row of similar users: it is none.`);
    }
    if (forgotten.has(owner, item)) {
      report.forgotten++;
      if (split.protocol === "strict") {
        throw new ForgettingError("FORGET_EVIDENCE", `A prompt was about to print the forgotten row of ${named(dataset, owner, item)}.`, {
          hint: "Look for similar users among the rows that remain.",
        });
      }
    }
    if (split.test.has(owner, item)) {
      report.test++;
      if (split.protocol === "strict") {
        throw new DataError("DATA_EVIDENCE_TEST", `A prompt was about to print the test row of ${named(dataset, owner, item)}.`, { hint: "Draw rows from split.history." });
      }
    }
  }
  return report;
}

/** @throws DataError unless `hash`, read from `artefact`, is this split's: lists of two splits are never mixed. */
export function assertSplitHash(split: { readonly hash: string }, hash: string, artefact: string): void {
  if (hash !== split.hash) {
    throw new DataError("DATA_SPLIT_HASH", `${artefact} was made with split ${hash}, but this is split ${split.hash}.`, {
      hint: "Make it again with this split, or load the split it was made with.",
    });
  }
}

function named(dataset: Dataset, user: number, item: number): string {
  return `user ${dataset.userId(user)}, item ${dataset.itemId(item)} (${dataset.title(item)})`;
}

/** Rows in both sets and the first of them: one pass over two sorted tables. */
function common(a: Interactions, b: Interactions): { count: number; user: number; item: number } {
  const found = { count: 0, user: 0, item: 0 };
  let left = 0, right = 0;
  while (left < a.length && right < b.length) {
    const order = a.users[left]! - b.users[right]! || a.items[left]! - b.items[right]!;
    if (order === 0) {
      if (found.count++ === 0) Object.assign(found, { user: a.users[left]!, item: a.items[left]! });
      right++;
    }
    if (order <= 0) left++;
    else right++;
  }
  return found;
}

function disjoint(dataset: Dataset, aName: string, a: Interactions, bName: string, b: Interactions): void {
  const { count, user, item } = common(a, b);
  if (count > 0) {
    throw new DataError("DATA_SPLIT_OVERLAP", `${aName} and ${bName} share ${count} rows, the first of ${named(dataset, user, item)}.`);
  }
}

function forgottenApart(dataset: Dataset, forget: Interactions, name: string, rows: Interactions): void {
  const { count, user, item } = common(forget, rows);
  if (count > 0) {
    throw new ForgettingError("FORGET_OVERLAP", `D_f and ${name} share ${count} rows, the first of ${named(dataset, user, item)}.`);
  }
}

/** Disjointness is known: the parts are the whole exactly if they have as many rows and all their rows are in it. */
function cover(dataset: Dataset, names: string, parts: Interactions[], wholeName: string, whole: Interactions): void {
  const rows = parts.reduce((sum, part) => sum + part.length, 0);
  const inside = parts.reduce((sum, part) => sum + common(part, whole).count, 0);
  if (rows !== whole.length || inside !== rows) {
    throw new DataError(
      "DATA_SPLIT_COVER",
      `${names} hold ${rows} rows of ${dataset.name}, ${inside} of them in ${wholeName}, which has ${whole.length}.`,
    );
  }
}
