import { ForgettingError } from "../core/errors.js";
import type { Interactions, Shape } from "../core/interactions.js";
import { requireShape } from "./lists.js";

/**
 * The items of each user, under requests that change a few users at a time: a change costs the rows of those users, not of
 * the table. The table itself is put together when somebody asks for it.
 */
export class Profiles implements Shape {
  private readonly own = new Map<number, Uint32Array>();
  private pending: { gone: Interactions | undefined; come: Interactions | undefined }[] = [];
  private table: Interactions;

  constructor(private readonly base: Interactions) {
    this.table = base;
  }

  get userCount(): number {
    return this.base.userCount;
  }

  get itemCount(): number {
    return this.base.itemCount;
  }

  /** Item ids of one user, ascending. */
  itemsOf(user: number): Uint32Array {
    return this.own.get(user) ?? this.base.itemsOf(user);
  }

  get rows(): Interactions {
    for (const { gone, come } of this.pending) {
      if (gone) this.table = this.table.without(gone);
      if (come) this.table = this.table.union(come);
    }
    this.pending = [];
    return this.table;
  }

  /** The items of the users whom a change touches, after it. Changes nothing. @throws ForgettingError as `ExactModel.change` says. */
  after(gone: Interactions | undefined, come: Interactions | undefined): Map<number, Uint32Array> {
    const moved = new Map<number, Set<number>>();
    const of = (user: number): Set<number> => {
      let items = moved.get(user);
      if (!items) moved.set(user, items = new Set(this.itemsOf(user)));
      return items;
    };
    for (const [rows, isGone] of [[gone, true], [come, false]] as const) {
      requireShape(rows, this, "request");
      for (let row = 0; row < (rows?.length ?? 0); row++) {
        const user = rows!.users[row]!, item = rows!.items[row]!, items = of(user);
        if (isGone ? items.delete(item) : !items.has(item) && items.add(item)) continue;
        throw new ForgettingError(isGone ? "FORGET_ABSENT_ROW" : "FORGET_PRESENT_ROW", `User index ${user} has ${isGone ? "no" : "already a"} row of item index ${item}; nothing was changed.`, {
          hint: isGone ? "Ask for rows that are held: intersect the request with `train`." : "Leave out rows that are held already.",
        });
      }
    }
    return new Map(Array.from(moved, ([user, items]) => [user, Uint32Array.from(items).sort()]));
  }

  put(moved: ReadonlyMap<number, Uint32Array>, gone: Interactions | undefined, come: Interactions | undefined): void {
    for (const [user, items] of moved) this.own.set(user, items);
    this.pending.push({ gone, come });
  }
}
