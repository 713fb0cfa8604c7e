import { ConfigError, DataError, ForgettingError } from "../core/errors.js";
import { Interactions } from "../core/interactions.js";
import { assertSplit } from "../data/guards.js";
import type { Split } from "../data/split.js";
import type { ForgetRequest } from "./unlearner.js";

/**
 * The rows that a method holds: what a forget request shrinks and what everything else is derived from. Immutable, so that
 * whatever was begun with them sees one state throughout. Under the `strict` protocol every set is the split's minus the
 * forgotten rows. Under `released` the sets stay as the authors coded them: the mask keeps forgotten rows and the history is
 * drawn from a second split (see docs/protocol.md).
 */
export class Holdings {
  private constructor(
    readonly split: Split,
    readonly train: Interactions,
    readonly valid: Interactions,
    /** Rows that prompts may draw from. */
    readonly history: Interactions,
    /** Items that are never served to their user: train and valid of D_r (serveMask). */
    readonly mask: Interactions,
    /** Everything forgotten so far. */
    readonly forgotten: Interactions,
  ) {}

  /** Everything of a split, before any request. @throws DataError | ForgettingError when the split breaks an invariant. */
  static of(split: Split): Holdings {
    // A split may have been put together by hand: a leak would be learned and served before any prompt shows it.
    assertSplit(split);
    return new Holdings(split, split.train, split.valid, split.history, split.train.union(split.valid), Interactions.empty(split.dataset));
  }

  /**
   * The rows of train and valid that a request names and that are still held.
   * @throws DataError on ids or rows that the data set does not have; ForgettingError on test rows. Nothing is changed.
   */
  locate(request: ForgetRequest): Interactions {
    const { dataset, test } = this.split;
    checkForm(request);
    const held = this.mask;
    if ("interactions" in request) {
      const asked = request.interactions;
      for (let row = 0; row < asked.length; row++) {
        const user = asked.users[row]!, item = asked.items[row]!;
        if (!dataset.has(user, item)) {
          throw new DataError("DATA_UNKNOWN_ROW", `Row ${row} of the request, user index ${user} and item index ${item}, is not in ${dataset.name}.`, {
            hint: "Users and items of a request are dense indices; dataset.userOf(id) and dataset.itemOf(id) give them.",
          });
        }
        if (test.has(user, item)) {
          throw new ForgettingError("FORGET_TEST_ROW", `The request names a test row: user ${dataset.userId(user)}, item ${dataset.itemId(item)}.`, {
            hint: "Test rows are never learned, so there is nothing to forget; leave them out of the request.",
          });
        }
      }
      return held.intersect(asked).without(this.forgotten);
    }
    const byUser = "users" in request;
    const ids = byUser ? request.users : request.items;
    const count = byUser ? dataset.userCount : dataset.itemCount;
    const wanted = new Uint8Array(count);
    for (const id of ids) {
      if (!Number.isInteger(id) || id < 0 || id >= count) {
        throw new DataError("DATA_UNKNOWN_ID", `${dataset.name} has no ${byUser ? "user" : "item"} index ${id}; the last is ${count - 1}.`, {
          hint: "A request names dense indices; dataset.userOf(id) and dataset.itemOf(id) give them.",
        });
      }
      wanted[id] = 1;
    }
    const column = byUser ? held.users : held.items;
    return held.filter((row) => wanted[column[row]!] === 1).without(this.forgotten);
  }

  /** The holdings without located rows. Under `released` they are only noted: nothing was removed there. */
  without(rows: Interactions): Holdings {
    const { split, train, valid, history, mask } = this;
    const forgotten = this.forgotten.union(rows);
    if (split.protocol === "released") return new Holdings(split, train, valid, history, mask, forgotten);
    const left = train.without(rows);
    return new Holdings(split, left, valid.without(rows), history === train ? left : history.without(rows), mask.without(rows), forgotten);
  }
}

/** @throws ConfigError unless the request has one of its three forms: a cell or a script may pass anything. */
function checkForm(request: ForgetRequest): void {
  const given: Record<string, unknown> = { ...request };
  const names = Object.keys(given), ids = given["users"] ?? given["items"];
  const isForm = names.length === 1 && (given["interactions"] instanceof Interactions || Array.isArray(ids) || ArrayBuffer.isView(ids));
  if (isForm) return;
  throw new ConfigError("CONFIG_FORGET_REQUEST", `A forget request cannot be ${names.length === 0 ? "empty" : `{ ${names.join(", ")} }`} of that form.`, {
    hint: "Pass { users: [3] }, { items: [7] } or { interactions: split.history.of(3) }.",
  });
}
