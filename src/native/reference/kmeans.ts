/**
 * Lloyd's rounds of k-means, in double (native/cpu/kmeans.cpp copies each operation in this order):
 *   labels = none; at most `rounds` times, until a round changes no label:
 *     assign: distance = sum over axes ascending from 0 of (point - centroid)^2, product and sum apart; clusters ascending, the
 *       first of the least wins
 *     repair: clusters ascending, an empty one takes the point with the largest distance above 0 (ties: the lower) among
 *       clusters of more than one point, whose distance is then 0; without such a point it stays empty, and so do those after it
 *     average: per cluster and axis the sum over points ascending from 0, divided by their number (by 1 where empty)
 *   assign once more: labels and distances are those of the centroids returned.
 */
import { NativeError } from "../../core/errors.js";
import { Breather, type RunOptions } from "../../core/progress.js";
import { checkOptions } from "../check.js";
import { checkKMeans } from "../checkmath.js";
import { NO_ITEM, type KMeansInput, type KMeansRound } from "../kernels.js";
import { Ticker } from "./ticker.js";

/** Rounds of k-means (Lloyd 1982). Cost O(rounds * points * clusters * dimension). */
export async function kmeans(input: KMeansInput, options?: RunOptions): Promise<KMeansRound> {
  const { signal, onProgress } = checkOptions(options);
  const { points, dimension, centroids, rounds: limit, pointCount, clusters } = checkKMeans(input);
  const breather = new Breather(signal), ticker = new Ticker(onProgress, limit);
  const labels = new Uint32Array(pointCount).fill(NO_ITEM), distances = new Float64Array(pointCount);
  let rounds = 0;
  for (let moved = true; moved && rounds < limit; rounds++) {
    moved = await assign(points, dimension, centroids, labels, distances, breather);
    moved = repairEmpty(labels, distances, clusters) || moved;
    average(points, dimension, labels, centroids);
    ticker.at(rounds + 1);
  }
  await assign(points, dimension, centroids, labels, distances, breather);
  ticker.end();
  return { labels, centroids, distances, rounds };
}

/** Points between two looks at the clock. */
const STRIDE = 256;

async function assign(
  points: Float64Array, dimension: number, centroids: Float64Array, labels: Uint32Array, distances: Float64Array, breather: Breather,
): Promise<boolean> {
  const clusters = centroids.length / dimension;
  let moved = false;
  for (let point = 0; point < labels.length; point++) {
    let best = 0, least = Infinity;
    for (let cluster = 0; cluster < clusters; cluster++) {
      let distance = 0;
      for (let axis = 0; axis < dimension; axis++) {
        const difference = points[point * dimension + axis] - centroids[cluster * dimension + axis];
        distance += difference * difference;
      }
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

function repairEmpty(labels: Uint32Array, distances: Float64Array, clusters: number): boolean {
  const sizes = new Uint32Array(clusters);
  for (const label of labels) sizes[label]++;
  let repaired = false;
  for (let cluster = 0; cluster < clusters; cluster++) {
    if (sizes[cluster] > 0) continue;
    let far = -1;
    for (let point = 0; point < labels.length; point++) {
      if (distances[point] > (far < 0 ? 0 : distances[far]) && sizes[labels[point]] > 1) far = point;
    }
    if (far < 0) break;
    sizes[labels[far]]--;
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
    const cluster = labels[point];
    sizes[cluster]++;
    for (let axis = 0; axis < dimension; axis++) centroids[cluster * dimension + axis] += points[point * dimension + axis];
  }
  for (let at = 0; at < centroids.length; at++) {
    centroids[at] /= Math.max(1, sizes[Math.floor(at / dimension)]);
    if (centroids[at] - centroids[at] === 0) continue;
    throw new NativeError("NATIVE_DIVERGED", "kmeans: a mean of points left the finite numbers.", { hint: "Scale the points down." });
  }
}
