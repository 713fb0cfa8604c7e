import type { Interactions } from "../core/interactions.js";
import type { KeyedRandom } from "../core/rng.js";

/** The part of a row: the two low bits of its label. */
export const TRAIN = 0, VALID = 1, TEST = 2;
/** Added to the label of a row of D_f. */
export const FORGOTTEN = 4;
/**
 * Used by the released protocol alone, where these sets do not follow from the part: the row is in the "remain" data, it
 * is in the history (train of the second split), its user was asked to be forgotten.
 */
export const IN_REMAIN = 8, IN_HISTORY = 16, ASKED = 32;

const PART = 3;

/** TRAIN, VALID or TEST. */
export function partOfLabel(label: number): number {
  return label & PART;
}

/** How many of a user's `n` rows go to test and to valid; the rest is train. */
export type PartSizes = (n: number) => { test: number; valid: number };

/**
 * Splits each user's rows: sorted by h(stream; u, i) and then by item, the first rows are test, the next valid, the rest
 * train. Cost O(rows log(rows of a user)). A label depends on the user's own rows alone.
 */
export function labelParts(rows: Interactions, random: KeyedRandom, sizes: PartSizes): Uint8Array {
  const labels = new Uint8Array(rows.length);
  const { offsets, users, items } = rows;
  const keys = new Float64Array(rows.length);
  for (let row = 0; row < rows.length; row++) keys[row] = random.key(users[row]!, items[row]!);
  for (let user = 0; user < rows.userCount; user++) {
    const first = offsets[user]!, n = offsets[user + 1]! - first;
    if (n === 0) continue;
    const { test, valid } = sizes(n);
    const order = Uint32Array.from({ length: n }, (_, at) => first + at).sort((a, b) => keys[a]! - keys[b]! || a - b);
    for (let at = 0; at < test + valid; at++) labels[order[at]!] = at < test ? TEST : VALID;
  }
  return labels;
}

/** Row indices whose label passes, ascending. */
export function rowsWhere(labels: Uint8Array, keep: (label: number) => boolean): Uint32Array {
  const kept = Uint8Array.from({ length: 256 }, (_, label) => (keep(label) ? 1 : 0));
  let count = 0;
  for (let row = 0; row < labels.length; row++) count += kept[labels[row]!]!;
  const rows = new Uint32Array(count);
  for (let row = 0, to = 0; row < labels.length; row++) if (kept[labels[row]!]) rows[to++] = row;
  return rows;
}
