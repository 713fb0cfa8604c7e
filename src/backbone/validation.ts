import type { Interactions } from "../core/interactions.js";
import { log } from "../core/math.js";
import type { RunOptions } from "../core/progress.js";
import type { Kernels } from "../native/kernels.js";
import { maskOf } from "./vectors.js";

const DEPTH = 10;

/**
 * NDCG@10 on validation rows by full ranking with the training rows masked: the stopping rule's measure. Mean over users
 * with a training and a validation row; IDCG over min(validation rows, 10). `vectors` stacks users, then items. Test rows
 * are no argument of this function, so they cannot steer training.
 */
export async function validationNdcg(
  kernels: Kernels, vectors: Float32Array, dimension: number, train: Interactions, valid: Interactions, options: RunOptions = {},
): Promise<number> {
  const users = valid.presentUsers().filter((user) => train.countOf(user) > 0);
  if (users.length === 0) return 0;
  const rows = new Float32Array(users.length * dimension);
  users.forEach((user, at) => rows.set(vectors.subarray(user * dimension, (user + 1) * dimension), at * dimension));
  const k = Math.min(DEPTH, train.itemCount);
  const top = await kernels.scoreTopK({
    users: rows, items: vectors.subarray(train.userCount * dimension), dimension, mask: maskOf(train, users), k,
  }, options.signal ? { signal: options.signal } : {});
  const gains = Float64Array.from({ length: DEPTH }, (_, place) => log(2) / log(place + 2));
  let sum = 0;
  users.forEach((user, at) => {
    let gain = 0, ideal = 0;
    for (let place = 0; place < k; place++) if (valid.has(user, top.items[at * k + place]!)) gain += gains[place]!;
    for (let place = 0; place < Math.min(DEPTH, valid.countOf(user)); place++) ideal += gains[place]!;
    sum += gain / ideal;
  });
  return sum / users.length;
}
