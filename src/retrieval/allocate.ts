/**
 * Splits `total` slots in proportion to `weights`: floor of the exact share, then one more for the largest fractional parts,
 * ties to the smaller index (Hamilton's method). The result sums to `total` exactly whenever some weight is positive.
 */
export function largestRemainder(weights: ArrayLike<number>, total: number): Uint32Array {
  const slots = new Uint32Array(weights.length);
  let sum = 0;
  for (let at = 0; at < weights.length; at++) sum += weights[at]!;
  if (sum <= 0 || total <= 0) return slots;
  const rest: { at: number; part: number }[] = [];
  let given = 0;
  for (let at = 0; at < weights.length; at++) {
    const share = (weights[at]! * total) / sum;
    // A share such as 2.9999999999999996 is a rounding of 3: the nudge is far above rounding, far below any real remainder.
    const whole = Math.floor(share + 1e-9);
    slots[at] = whole;
    given += whole;
    if (weights[at]! > 0) rest.push({ at, part: share - whole });
  }
  rest.sort((a, b) => (Math.abs(a.part - b.part) > 1e-9 ? b.part - a.part : a.at - b.at));
  for (let next = 0; given < total; next = (next + 1) % rest.length, given++) slots[rest[next]!.at]!++;
  return slots;
}

/**
 * As {@link largestRemainder} with at most `available[c]` slots in category c: what a short category cannot take goes to the
 * categories with room, in proportion to their weights, until `total` or everything is given. Categories of weight 0 take
 * part only when no other has room.
 */
export function allocate(weights: ArrayLike<number>, available: ArrayLike<number>, total: number): Uint32Array {
  const slots = new Uint32Array(weights.length);
  let left = total;
  while (left > 0) {
    const open = Array.from(weights, (weight, at) => (slots[at]! < available[at]! ? weight : 0));
    if (open.every((weight) => weight <= 0)) {
      open.forEach((_, at) => { open[at] = available[at]! - slots[at]!; });
      if (open.every((room) => room === 0)) break;
    }
    const more = largestRemainder(open, left);
    for (let at = 0; at < more.length; at++) {
      const taken = Math.min(more[at]!, available[at]! - slots[at]!);
      slots[at]! += taken;
      left -= taken;
    }
  }
  return slots;
}
