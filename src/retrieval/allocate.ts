import { ConfigError } from "../core/errors.js";

/**
 * Splits `total` slots in proportion to whole-number `weights`: floor of the exact share, then one more for the largest
 * remainders, ties to the smaller index (Hamilton's method). Integer arithmetic throughout, so no share is lost to rounding.
 * The result sums to `total` whenever some weight is positive, and is all zero otherwise.
 * @throws ConfigError unless total and weights are whole numbers, not negative, with products below 2^53.
 */
export function largestRemainder(weights: ArrayLike<number>, total: number): Uint32Array {
  const slots = new Uint32Array(weights.length);
  const sum = Array.from(weights).reduce((all, weight) => all + checked(weight), 0);
  checked(checked(total) * sum);
  if (sum === 0) return slots;
  const rest: { at: number; remainder: number }[] = [];
  let given = 0;
  for (let at = 0; at < weights.length; at++) {
    const product = weights[at]! * total, remainder = product % sum;
    slots[at] = (product - remainder) / sum;
    given += slots[at]!;
    rest.push({ at, remainder });
  }
  rest.sort((a, b) => b.remainder - a.remainder || a.at - b.at);
  // Fewer slots are left than there are remainders above zero: their sum is that number of slots times `sum`.
  for (let next = 0; given < total; next++, given++) slots[rest[next]!.at]!++;
  return slots;
}

/**
 * As {@link largestRemainder} with at most `available[c]` slots in category c: what a short category cannot take goes to the
 * categories with room, in proportion to their weights, until `total` or everything is given. Categories of weight 0 take
 * part only when no other has room, in proportion to their room. Every round but the last fills a category.
 */
export function allocate(weights: ArrayLike<number>, available: ArrayLike<number>, total: number): Uint32Array {
  const slots = new Uint32Array(weights.length);
  const wanted = Array.from(weights, checked), room = Array.from(weights, (_, at) => checked(available[at]!));
  let left = Math.min(checked(total), room.reduce((sum, free) => sum + free, 0));
  while (left > 0) {
    const open = room.map((free, at) => (free > 0 ? wanted[at]! : 0));
    // A round gives `left` slots; either all find room, or at least one category is full from here on.
    const more = largestRemainder(open.some((weight) => weight > 0) ? open : room, left);
    for (let at = 0; at < more.length; at++) {
      const taken = Math.min(more[at]!, room[at]!);
      slots[at]! += taken;
      room[at]! -= taken;
      left -= taken;
    }
  }
  return slots;
}

function checked(value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new ConfigError("CONFIG_SHARES", `Slots are shared by whole numbers that are not negative, not by ${value}.`, {
    hint: "Pass counts of rows or levels, not fractions.",
  });
}
