/**
 * The split of the paper's released code, for replication only: it leaks, and every output says so.
 * Two INDEPENDENT random 80/10/10 splits per user: one of all rows (train, valid, test), one of the "remain" data, whose
 * train part feeds the prompts. About 80 % of a remaining user's test rows therefore stand in his own prompt pool.
 * D_f as coded: all rows of 10 % of the users, and a copy of one random row of every other user. The "remain" data keeps the
 * first row of each forgotten user and all rows of the others, copies included: D_f and D_r overlap, D_f and test overlap.
 * Departures: draws are keyed, not two global generators; "first row" is the lowest item index, as our tables have no file order.
 */
import type { Interactions } from "../core/interactions.js";
import { KeyedRandom } from "../core/rng.js";
import { drawUsers } from "./forget.js";
import { ASKED, FORGOTTEN, IN_HISTORY, IN_REMAIN, TRAIN, labelParts } from "./labels.js";

/** Printed with everything made under the released protocol. */
export const RELEASED_WARNING = "replication with known leaks";

/**
 * RecBole's sizes for ratios .8/.1/.1: n_valid = n_test = floor(.1 n), the rest is train; below ten rows one row moves to
 * test and then one to valid, as long as train has more than one.
 */
export function releasedSizes(n: number): { test: number; valid: number } {
  const tenth = Math.floor(n / 10);
  if (tenth > 0) return { test: tenth, valid: tenth };
  return { test: n > 1 ? 1 : 0, valid: n > 2 ? 1 : 0 };
}

/**
 * Labels of the released protocol, one per row: part of the first split, FORGOTTEN for D_f as coded, IN_REMAIN, IN_HISTORY
 * and ASKED (see labels.ts). `users`: those asked to be forgotten, or the share of users to draw. Cost O(rows log rows).
 */
export function releasedLabels(rows: Interactions, users: Uint32Array | number, seed: number): Uint8Array {
  const labels = labelParts(rows, new KeyedRandom(seed, "released/split"), releasedSizes);
  const asked = typeof users === "number" ? drawUsers(rows, users, new KeyedRandom(seed, "released/forget")) : users;
  const isAsked = new Uint8Array(rows.userCount);
  for (const user of asked) isAsked[user] = 1;

  const copy = new KeyedRandom(seed, "released/copy");
  for (let user = 0; user < rows.userCount; user++) {
    const first = rows.offsets[user]!, end = rows.offsets[user + 1]!;
    let copied = first, smallest = Infinity;
    for (let row = first; row < end; row++) {
      if (isAsked[user]) {
        labels[row] = labels[row]! | FORGOTTEN | ASKED | (row === first ? IN_REMAIN : 0);
      } else {
        labels[row] = labels[row]! | IN_REMAIN;
        const key = copy.key(user, rows.items[row]!);
        if (key < smallest) {
          smallest = key;
          copied = row;
        }
      }
    }
    if (!isAsked[user] && end > first) labels[copied] = labels[copied]! | FORGOTTEN;
  }

  const remain = rows.filter((row) => (labels[row]! & IN_REMAIN) !== 0);
  const second = labelParts(remain, new KeyedRandom(seed, "released/split/remain"), releasedSizes);
  for (let row = 0, at = 0; row < rows.length; row++) {
    if ((labels[row]! & IN_REMAIN) === 0) continue;
    if (second[at++] === TRAIN) labels[row] = labels[row]! | IN_HISTORY;
  }
  return labels;
}
