import { ConfigError } from "../core/errors.js";
import { Breather, type RunOptions } from "../core/progress.js";
import { KeyedRandom, NONE, smallestKeys } from "../core/rng.js";
import type { Kernels } from "../native/kernels.js";

export interface KMeansOptions extends RunOptions {
  /** They run the rounds. */
  kernels: Kernels;
  k: number;
  seed: number;
  /** Independent k-means++ starts; the lowest inertia wins, ties to the earlier. Default 10. */
  restarts?: number;
}

export interface KMeansResult {
  /** Cluster of each point [n], numbered by first appearance. */
  labels: Uint32Array;
  /** [k, dimension]; fewer rows than asked for where fewer than k points are distinct: no cluster is empty. */
  centroids: Float64Array;
  /** Sum of squared distances of points to their centroids. */
  inertia: number;
  /** Rounds of the winning start. */
  iterations: number;
}

const ROUNDS = 100;

/**
 * Lloyd's k-means from k-means++ starts (Arthur and Vassilvitskii, SODA 2007), in double, with keyed draws (stream cluster):
 * the same points and seed give the same bytes. Ties go to the smaller cluster. A cluster that runs empty takes the point
 * farthest from its own centroid. Labels are renumbered by first appearance, so restarts do not shuffle names.
 * Cost O(restarts * rounds * points * k * dimension), at most 100 rounds.
 * @throws ConfigError when there are fewer points than clusters, or a point is not finite.
 */
export async function kMeans(points: Float64Array, dimension: number, options: KMeansOptions): Promise<KMeansResult> {
  const { kernels, k, seed, restarts = 10, signal } = options;
  const count = points.length / dimension;
  if (!Number.isInteger(k) || k < 1 || !Number.isInteger(count) || count < k) {
    throw new ConfigError("CONFIG_CLUSTERS", `${count} points cannot make ${k} clusters.`, { hint: "Ask for fewer clusters, at least 1." });
  }
  if (!Number.isInteger(restarts) || restarts < 1) {
    throw new ConfigError("CONFIG_CLUSTERS", `restarts must be a whole number of at least 1, not ${restarts}.`, { hint: "Leave it out for 10." });
  }
  if (!points.every(Number.isFinite)) {
    throw new ConfigError("CONFIG_CLUSTERS", "A point to cluster holds a value that is not a finite number.", { hint: "Check the word vectors." });
  }
  const random = new KeyedRandom(seed, "cluster");
  const breather = new Breather(signal);
  let best: KMeansResult | undefined;
  for (let restart = 0; restart < restarts; restart++) {
    const { labels, centroids, distances, rounds } = await kernels.kmeans(
      { points, dimension, centroids: await start(points, dimension, k, random, restart, breather), rounds: ROUNDS }, signal ? { signal } : {},
    );
    const inertia = distances.reduce((sum, distance) => sum + distance, 0);
    if (!best || inertia < best.inertia) best = { labels, centroids, inertia, iterations: rounds };
  }
  return renumber(best!, dimension);
}

/**
 * Mean silhouette (Rousseeuw 1987), -1..1: how much closer points are to their own cluster than to the next one. Points alone
 * in a cluster count 0, and so does everything where there is one cluster. More than `limit` points are sampled (keyed, stream
 * cluster). O(limit^2 * dimension).
 */
export async function silhouette(
  points: Float64Array, dimension: number, labels: Uint32Array, { seed, limit = 1000, signal }: { seed: number; limit?: number; signal?: AbortSignal },
): Promise<number> {
  const random = new KeyedRandom(seed, "cluster");
  const breather = new Breather(signal);
  const chosen = smallestKeys(Array.from(labels, (_, point) => random.key(NONE, point)), limit);
  const k = labels.reduce((most, label) => Math.max(most, label + 1), 0);
  let sum = 0;
  for (const a of chosen) {
    const totals = new Float64Array(k), counts = new Uint32Array(k);
    for (const b of chosen) {
      if (a === b) continue;
      totals[labels[b]!]! += Math.sqrt(squaredDistance(points, a * dimension, points, b * dimension, dimension));
      counts[labels[b]!]!++;
    }
    await breather.pause();
    const own = labels[a]!;
    let next = Infinity;
    for (let label = 0; label < k; label++) if (label !== own && counts[label]! > 0) next = Math.min(next, totals[label]! / counts[label]!);
    if (counts[own]! === 0 || next === Infinity) continue;
    const inside = totals[own]! / counts[own]!;
    const longest = Math.max(inside, next);
    if (longest > 0) sum += (next - inside) / longest;
  }
  return chosen.length > 0 ? sum / chosen.length : 0;
}

async function start(points: Float64Array, dimension: number, k: number, random: KeyedRandom, restart: number, breather: Breather): Promise<Float64Array> {
  const count = points.length / dimension;
  const centroids = new Float64Array(k * dimension);
  const nearest = new Float64Array(count).fill(Infinity);
  let chosen = random.integer(count, restart, NONE, 0);
  for (let cluster = 0; ; cluster++) {
    centroids.set(points.subarray(chosen * dimension, (chosen + 1) * dimension), cluster * dimension);
    if (cluster + 1 === k) return centroids;
    let total = 0;
    for (let point = 0; point < count; point++) {
      nearest[point] = Math.min(nearest[point]!, squaredDistance(points, point * dimension, centroids, cluster * dimension, dimension));
      total += nearest[point]!;
    }
    let left = random.uniform(restart, NONE, cluster + 1) * total;
    chosen = 0;
    // Where all points coincide with centroids (total 0) this ends at the last point, and the cluster stays empty.
    while (chosen < count - 1 && (left -= nearest[chosen]!) >= 0) chosen++;
    await breather.pause();
  }
}

/** Numbers clusters by first appearance and drops those without a point. */
function renumber(result: KMeansResult, dimension: number): KMeansResult {
  const names = new Map<number, number>();
  for (const label of result.labels) if (!names.has(label)) names.set(label, names.size);
  const centroids = new Float64Array(names.size * dimension);
  for (const [from, to] of names) centroids.set(result.centroids.subarray(from * dimension, (from + 1) * dimension), to * dimension);
  return { ...result, centroids, labels: result.labels.map((label) => names.get(label)!) };
}

function squaredDistance(a: Float64Array, aStart: number, b: Float64Array, bStart: number, dimension: number): number {
  let sum = 0;
  for (let axis = 0; axis < dimension; axis++) {
    const difference = a[aStart + axis]! - b[bStart + axis]!;
    sum += difference * difference;
  }
  return sum;
}
