import { ConfigError } from "../core/errors.js";
import { Breather, type RunOptions } from "../core/progress.js";
import { KeyedRandom, NONE, smallestKeys } from "../core/rng.js";

export interface KMeansOptions extends RunOptions {
  k: number;
  seed: number;
  /** Independent k-means++ starts; the lowest inertia wins, ties to the earlier. Default 10. */
  restarts?: number;
  /** Default 100. */
  iterations?: number;
}

export interface KMeansResult {
  /** Cluster of each point [n], numbered by first appearance. */
  labels: Uint32Array;
  /** [k, dimension] */
  centroids: Float64Array;
  /** Sum of squared distances of points to their centroids. */
  inertia: number;
  iterations: number;
}

/**
 * Lloyd's k-means from k-means++ starts (Arthur and Vassilvitskii, SODA 2007), in double, with keyed draws (stream cluster):
 * the same points and seed give the same bytes. Ties go to the smaller cluster. A cluster that runs empty takes the point
 * farthest from its own centroid. Labels are renumbered by first appearance, so restarts do not shuffle names.
 * Cost O(restarts * iterations * points * k * dimension).
 * @throws ConfigError when there are fewer points than clusters.
 */
export async function kMeans(points: Float64Array, dimension: number, options: KMeansOptions): Promise<KMeansResult> {
  const { k, seed, restarts = 10, iterations = 100, signal } = options;
  const count = points.length / dimension;
  if (!Number.isInteger(k) || k < 1 || !Number.isInteger(count) || count < k) {
    throw new ConfigError("CONFIG_CLUSTERS", `${count} points cannot make ${k} clusters.`, { hint: "Ask for fewer clusters, at least 1." });
  }
  const random = new KeyedRandom(seed, "cluster");
  const breather = new Breather(signal);
  let best: KMeansResult | undefined;
  for (let restart = 0; restart < restarts; restart++) {
    const centroids = start(points, dimension, k, random, restart);
    const labels = new Uint32Array(count).fill(NONE);
    const distances = new Float64Array(count);
    let round = 0, inertia = Infinity;
    for (let moved = true; moved && round < iterations; round++) {
      moved = assign(points, dimension, centroids, labels, distances);
      moved = repairEmpty(labels, distances, k) || moved;
      average(points, dimension, labels, centroids);
      await breather.pause();
    }
    assign(points, dimension, centroids, labels, distances);
    inertia = distances.reduce((sum, distance) => sum + distance, 0);
    if (!best || inertia < best.inertia) best = { labels: labels.slice(), centroids: centroids.slice(), inertia, iterations: round };
  }
  return renumber(best!, dimension, k);
}

/**
 * Mean silhouette (Rousseeuw 1987), -1..1: how much closer points are to their own cluster than to the next one. Points alone
 * in a cluster count 0. More than `limit` points are sampled (keyed). O(limit^2 * dimension).
 */
export function silhouette(points: Float64Array, dimension: number, labels: Uint32Array, seed: number, limit = 1000): number {
  const random = new KeyedRandom(seed, "sample/user");
  const chosen = smallestKeys(Array.from(labels, (_, point) => random.key(point)), limit);
  const k = labels.reduce((most, label) => Math.max(most, label + 1), 0);
  let sum = 0;
  for (const a of chosen) {
    const totals = new Float64Array(k), counts = new Uint32Array(k);
    for (const b of chosen) {
      if (a === b) continue;
      totals[labels[b]!]! += Math.sqrt(squaredDistance(points, a * dimension, points, b * dimension, dimension));
      counts[labels[b]!]!++;
    }
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

function start(points: Float64Array, dimension: number, k: number, random: KeyedRandom, restart: number): Float64Array {
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
    // All remaining points coincide with a centroid: any of them will do, and the repair keeps clusters filled.
    while (chosen < count - 1 && (left -= nearest[chosen]!) >= 0) chosen++;
  }
}

function assign(points: Float64Array, dimension: number, centroids: Float64Array, labels: Uint32Array, distances: Float64Array): boolean {
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
  }
  return moved;
}

function repairEmpty(labels: Uint32Array, distances: Float64Array, k: number): boolean {
  const sizes = new Uint32Array(k);
  for (const label of labels) sizes[label]!++;
  let repaired = false;
  for (let cluster = 0; cluster < k; cluster++) {
    if (sizes[cluster]! > 0) continue;
    let far = -1;
    for (let point = 0; point < labels.length; point++) {
      if (sizes[labels[point]!]! > 1 && (far < 0 || distances[point]! > distances[far]!)) far = point;
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

function renumber(result: KMeansResult, dimension: number, k: number): KMeansResult {
  const names = new Map<number, number>();
  for (const label of result.labels) if (!names.has(label)) names.set(label, names.size);
  for (let cluster = 0; cluster < k; cluster++) if (!names.has(cluster)) names.set(cluster, names.size);
  const centroids = new Float64Array(k * dimension);
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
