import { KeyedRandom } from "../core/rng.js";
import { evalMask, serveMask } from "../data/masks.js";
import type { Split } from "../data/split.js";

/** The deepest list that the main table looks at. */
export const DEEPEST_K = 20;

/**
 * Users whose lists are evaluated, ascending: all with a test row, or `count` of them spread evenly over the lengths of their
 * histories (systematic sample in the order of history length, then key), so that short and long histories keep their shares.
 * Chosen before anything is forgotten: the same users for every method. `count` 0 means all. Cost O(users log users).
 */
export function evaluationUsers(split: Split, count: number): Uint32Array {
  const present = split.test.presentUsers();
  if (count === 0 || present.length <= count) return present;
  const random = new KeyedRandom(split.seed, "sample/user");
  const keys = new Map(Array.from(present, (user) => [user, random.key(user)]));
  const order = present.slice().sort((a, b) => split.train.countOf(a) - split.train.countOf(b) || keys.get(a)! - keys.get(b)! || a - b);
  const start = random.uniform(present.length);
  return Uint32Array.from({ length: count }, (_, at) => order[Math.floor(((at + start) * present.length) / count)]!).sort();
}

/** The users of `users` who asked to be forgotten altogether, and the others. */
export function userGroups(split: Split, users: Uint32Array): { remaining: Uint32Array; forgotten: Uint32Array } {
  const forgotten = new Set(split.forgetUsers);
  return { remaining: users.filter((user) => !forgotten.has(user)), forgotten: users.filter((user) => forgotten.has(user)) };
}

/**
 * How long a list must be so that {@link DEEPEST_K} items are left once evalMask is taken out: a method may rank all the rows
 * that a user forgot above everything else. At most the number of items.
 */
export function listDepth(split: Split): number {
  const served = serveMask(split), evaluated = evalMask(split);
  let most = 0;
  for (let user = 0; user < split.dataset.userCount; user++) most = Math.max(most, evaluated.countOf(user) - served.countOf(user));
  return Math.min(split.dataset.itemCount, DEEPEST_K + most);
}
