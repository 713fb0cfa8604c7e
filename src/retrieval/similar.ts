import { type Interactions } from "../core/interactions.js";

export interface SimilarOptions {
  /** Nearest users whose rows may be shown (default 5). */
  users?: number;
  /** Rows of theirs in a prompt, at most (default 20). */
  rows?: number;
}

/**
 * The paper's optional context (section on augmentation): rows of the users nearest to one user, by the cosine of their sets of
 * items, sum over common items / sqrt(|a| |b|). Knows the remaining rows alone, so nothing forgotten can come back through
 * a neighbour. Built in O(rows); a question costs the raters of the user's items.
 */
export class SimilarUsers {
  private readonly raters: { offsets: Uint32Array; users: Uint32Array };
  private readonly common: Uint32Array;

  /** `history`: the rows that prompts may draw from. */
  constructor(private readonly history: Interactions) {
    const { items, users, itemCount, userCount } = history;
    const offsets = new Uint32Array(itemCount + 1);
    for (const item of items) offsets[item + 1]!++;
    for (let item = 0; item < itemCount; item++) offsets[item + 1]! += offsets[item]!;
    const next = offsets.slice(), byItem = new Uint32Array(items.length);
    for (let row = 0; row < items.length; row++) byItem[next[items[row]!]!++] = users[row]!;
    this.raters = { offsets, users: byItem };
    this.common = new Uint32Array(userCount);
  }

  /** The `count` nearest users, nearest first; equal ones by index. Users without a common item are nobody's neighbours. */
  nearest(user: number, count: number): number[] {
    const { history, common, raters: { offsets, users } } = this;
    const met: number[] = [];
    for (const item of history.itemsOf(user)) {
      for (let at = offsets[item]!; at < offsets[item + 1]!; at++) {
        const other = users[at]!;
        if (common[other]!++ === 0) met.push(other);
      }
    }
    const likeness = new Map<number, number>();
    for (const other of met) {
      if (other !== user) likeness.set(other, common[other]! / Math.sqrt(history.countOf(other)));
      common[other] = 0;
    }
    return [...likeness.keys()].sort((a, b) => likeness.get(b)! - likeness.get(a)! || a - b).slice(0, count);
  }

  /**
   * At most `rows` rows of the nearest users: each gives its best rated of the items that the user does not have (ties: newest,
   * then lower item), an equal number each, nearer ones first to fill up.
   */
  rowsFor(user: number, { users = 5, rows = 20 }: SimilarOptions = {}): Interactions {
    const { history } = this;
    const neighbours = this.nearest(user, users);
    const own = new Set(history.itemsOf(user)), chosen: number[] = [];
    const lists = neighbours.map((other) => {
      const first = history.offsets[other]!, list: number[] = [];
      for (let at = 0; at < history.countOf(other); at++) if (!own.has(history.items[first + at]!)) list.push(first + at);
      const time = (row: number): number => history.timestamps?.[row] ?? 0;
      return list.sort((a, b) => history.ratings[b]! - history.ratings[a]! || time(b) - time(a) || history.items[a]! - history.items[b]!);
    });
    for (let turn = 0; chosen.length < rows && lists.some((list) => turn < list.length); turn++) {
      for (const list of lists) if (turn < list.length && chosen.length < rows) chosen.push(list[turn]!);
    }
    return history.select(chosen.sort((a, b) => a - b));
  }
}
