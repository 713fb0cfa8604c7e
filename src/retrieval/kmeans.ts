import { ConfigError } from "../core/errors.js";
import { Breather, type RunOptions } from "../core/progress.js";
import { KeyedRandom, NONE, smallestKeys } from "../core/rng.js";

export interface KMeansOptions extends RunOptions {
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
  const { k, seed, restarts = 10, signal } = options;
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
    const centroids = await start(points, dimension, k, random, restart, breather);
    const labels = new Uint32Array(count).fill(NONE);
    const distances = new Float64Array(count);
    let round = 0;
    for (let moved = true; moved && round < ROUNDS; round++) {
      moved = await assign(points, dimension, centroids, labels, distances, breather);
      moved = repairEmpty(labels, distances, k) || moved;
      average(points, dimension, labels, centroids);
    }
    await assign(points, dimension, centroids, labels, distances, breather);
    const inertia = distances.reduce((sum, distance) => sum + distance, 0);
    if (!best || inertia < best.inertia) best = { labels, centroids, inertia, iterations: round };
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

/** Points between two looks at the clock. */
const STRIDE = 256;

async function assign(
  points: Float64Array, dimension: number, centroids: Float64Array, labels: Uint32Array, distances: Float64Array, breather: Breather,
): Promise<boolean> {
  const k = centroids.length / dimension;
  let moved = false;
  for (let point = 0; point < labels.length; point++) {
    let best = 0, least = Infinity;
    for (let cluster = 0; cluster < k; cluster++) {
      const distance = squaredDistance(points, point * dimension, centroids, cluster * dimension, dimension);
      if (distance < least) {
        least = distance;
        best = cluster;
      }
    }
    moved ||= labels[point] !== best;
    labels[point] = best;
    distances[point] = least;
    if (point % STRIDE === STRIDE - 1 && breather.due()) await breather.pause();
  }
  return moved;
}

/** Gives each empty cluster the point farthest from its centroid, while some point is away from its own. */
function repairEmpty(labels: Uint32Array, distances: Float64Array, k: number): boolean {
  const sizes = new Uint32Array(k);
  for (const label of labels) sizes[label]!++;
  let repaired = false;
  for (let cluster = 0; cluster < k; cluster++) {
    if (sizes[cluster]! > 0) continue;
    let far = -1;
    for (let point = 0; point < labels.length; point++) {
      if (distances[point]! > (far < 0 ? 0 : distances[far]!) && sizes[labels[point]!]! > 1) far = point;
    }
    if (far < 0) break;
    sizes[labels[far]!]!--;
    sizes[cluster] = 1;
    labels[far] = cluster;
    distances[far] = 0;
    repaired = true;
  }
  return repaired;
}

function average(points: Float64Array, dimension: number, labels: Uint32Array, centroids: Float64Array): void {
  const sizes = new Uint32Array(centroids.length / dimension);
  centroids.fill(0);
  for (let point = 0; point < labels.length; point++) {
    const cluster = labels[point]!;
    sizes[cluster]!++;
    for (let axis = 0; axis < dimension; axis++) centroids[cluster * dimension + axis]! += points[point * dimension + axis]!;
  }
  for (let at = 0; at < centroids.length; at++) centroids[at]! /= Math.max(1, sizes[Math.floor(at / dimension)]!);
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
