import { KeyedRandom } from "../../src/core/rng.js";
import type { BprInput } from "../../src/native/kernels.js";
import type { Csr } from "../../src/core/interactions.js";

/** The samples of an epoch from the contract's words: [user, item, negative] by batch, in the order of the update. */
export function samplesOf(input: BprInput, userCount: number, itemCount: number, epoch: number): [number, number, number][][] {
  const order = new KeyedRandom(input.seed, "order"), negative = new KeyedRandom(input.seed, "negative");
  const { offsets, columns } = input.positives as Csr;
  const rows: { batch: number; place: number; sample: [number, number, number] }[] = [];
  for (let user = 0; user < userCount; user++) {
    const own = new Set(columns.slice(offsets[user], offsets[user + 1]));
    for (const item of own) {
      const lanes = order.draw(user, item, epoch, 0);
      const row = { batch: Number((BigInt(lanes[0]) * BigInt(input.batchCount)) >> 32n), place: input.update === "hogwild" ? lanes[1] : 0 };
      let other = 0;
      for (let draw = 0; draw < 100; draw++) {
        other = negative.integer(itemCount, user, item, epoch, draw);
        if (!own.has(other)) break;
      }
      rows.push({ ...row, sample: [user, item, other] });
    }
  }
  rows.sort((a, b) => a.batch - b.batch || a.place - b.place || a.sample[0] - b.sample[0] || a.sample[1] - b.sample[1]);
  return Array.from({ length: input.batchCount }, (_, batch) => rows.filter((row) => row.batch === batch).map((row) => row.sample));
}
