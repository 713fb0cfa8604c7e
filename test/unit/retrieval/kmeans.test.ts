import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KeyedRandom } from "../../../src/core/rng.js";
import { loadKernels } from "../../../src/native/load.js";
import { kMeans, silhouette } from "../../../src/retrieval/kmeans.js";

const kernels = loadKernels();

function planted(centres: number[][], each: number, spread: number): Float64Array {
  const random = new KeyedRandom(4, "probe"), noise = new Float64Array(centres[0]!.length);
  return Float64Array.from(Array.from({ length: centres.length * each }, (_, at) => {
    random.normals(at, noise, spread);
    return centres[at % centres.length]!.map((value, axis) => value + noise[axis]!);
  }).flat());
}

/** Least sum of squares over every way to put n points in k clusters. */
function bruteForce(points: Float64Array, dimension: number, k: number): number {
  const count = points.length / dimension;
  let least = Infinity;
  for (let code = 0; code < k ** count; code++) {
    let inertia = 0;
    for (let cluster = 0; cluster < k; cluster++) {
      const own = Array.from({ length: count }, (_, point) => point).filter((point) => Math.floor(code / k ** point) % k === cluster);
      for (let axis = 0; axis < dimension; axis++) {
        const values = own.map((point) => points[point * dimension + axis]!);
        const mean = values.reduce((a, b) => a + b, 0) / values.length;
        inertia += values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
      }
    }
    least = Math.min(least, inertia);
  }
  return least;
}

const sizesOf = (labels: Uint32Array, k: number): number[] => Array.from({ length: k }, (_, cluster) => labels.filter((label) => label === cluster).length);

describe("kMeans", () => {
  it("finds planted clusters and numbers them by first appearance", async () => {
    const centres = [[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]];
    const { labels, centroids, inertia } = await kMeans(planted(centres, 25, 0.5), 3, { kernels, k: 4, seed: 1 });
    labels.forEach((label, point) => expect(label).toBe(point % 4));
    centres.flat().forEach((value, at) => expect(Math.abs(centroids[at]! - value)).toBeLessThan(0.5));
    expect(inertia).toBeLessThan(100);
  });

  it("reaches the optimum of tiny cases, and its inertia is that of its labels", async () => {
    await fc.assert(fc.asyncProperty(
      fc.array(fc.integer({ min: -8, max: 8 }), { minLength: 3, maxLength: 7 }), fc.integer({ min: 1, max: 3 }), async (values, k) => {
        const points = Float64Array.from(values);
        const { labels, centroids, inertia } = await kMeans(points, 1, { kernels, k, seed: 2, restarts: 60 });
        expect(inertia).toBeCloseTo(bruteForce(points, 1, k), 9);
        expect(points.reduce((sum, value, at) => sum + (value - centroids[labels[at]!]!) ** 2, 0)).toBeCloseTo(inertia, 9);
      }), { numRuns: 40 });
  });

  it("leaves no cluster empty: k where k points differ, fewer where fewer do", async () => {
    await fc.assert(fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 5, maxLength: 40 }), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 99 }),
      async (values, k, seed) => {
        const { labels, centroids } = await kMeans(Float64Array.from(values), 1, { kernels, k, seed, restarts: 1 });
        const count = Math.min(k, new Set(values).size);
        expect(centroids.length).toBe(count);
        sizesOf(labels, count).forEach((size) => expect(size).toBeGreaterThan(0));
      }));
  });

  it("gives a cluster that runs empty on the way the point farthest from its centroid", async () => {
    // From this start one of the three loses its last point in a later round.
    const points = Float64Array.from([3, 7, 7, 2, 8, 0, 8, 7, 3, 5, 2, 6]);
    const { labels, centroids } = await kMeans(points, 2, { kernels, k: 3, seed: 1, restarts: 1 });
    expect(centroids.length).toBe(6);
    expect([...labels]).toEqual([0, 1, 1, 2, 0, 0]);
  });

  it("gives the same bytes for the same seed, and the event loop its turns", async () => {
    const points = planted([[0, 0], [1, 1]], 20_000, 1);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const first = await kMeans(points, 2, { kernels, k: 7, seed: 3, restarts: 1 });
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
    expect(await kMeans(points, 2, { kernels, k: 7, seed: 3, restarts: 1 })).toEqual(first);
  });

  it("stops when it is told to", async () => {
    const controller = new AbortController();
    const running = kMeans(planted([[0, 0]], 50_000, 1), 2, { kernels, k: 20, seed: 1, signal: controller.signal });
    setTimeout(() => controller.abort(new Error("enough")), 5);
    await expect(running).rejects.toThrow("enough");
  });

  it.each([
    ["more clusters than points", [1, 2], { k: 3, seed: 1 }], ["no cluster", [1, 2], { k: 0, seed: 1 }], ["half a cluster", [1, 2], { k: 1.5, seed: 1 }],
    ["no start", [1, 2], { k: 1, seed: 1, restarts: 0 }], ["a NaN", [1, NaN], { k: 1, seed: 1 }],
  ])("refuses %s", async (_, points, options) => {
    await expect(kMeans(Float64Array.from(points), 1, { kernels, ...options })).rejects.toThrow(/CONFIG_CLUSTERS/);
  });
});

describe("silhouette", () => {
  it("is the mean of (b - a) / max(a, b), by hand", async () => {
    // 0 and 1 together, 4 and 7 together: s(0) = (5.5-1)/5.5, s(1) = (4.5-1)/4.5, s(4) = (3.5-3)/3.5, s(7) = (6.5-3)/6.5.
    const value = await silhouette(Float64Array.from([0, 1, 4, 7]), 1, Uint32Array.from([0, 0, 1, 1]), { seed: 1 });
    expect(value).toBeCloseTo((4.5 / 5.5 + 3.5 / 4.5 + 0.5 / 3.5 + 3.5 / 6.5) / 4, 12);
  });

  it("counts single points and single clusters 0, and has a value for no point and for equal points", async () => {
    expect(await silhouette(Float64Array.from([0, 1, 9]), 1, Uint32Array.from([0, 0, 1]), { seed: 1 })).toBeCloseTo((8 / 9 + 7 / 8) / 3, 12);
    expect(await silhouette(Float64Array.from([0, 1]), 1, Uint32Array.from([0, 0]), { seed: 1 })).toBe(0);
    expect(await silhouette(new Float64Array(0), 1, new Uint32Array(0), { seed: 1 })).toBe(0);
    expect(await silhouette(new Float64Array(4), 1, Uint32Array.from([0, 0, 1, 1]), { seed: 1 })).toBe(0);
  });

  it("samples above its limit, near the value of all points", async () => {
    const points = planted([[0, 0], [6, 0]], 150, 1), labels = Uint32Array.from({ length: 300 }, (_, at) => at % 2);
    const all = await silhouette(points, 2, labels, { seed: 1 }), some = await silhouette(points, 2, labels, { seed: 1, limit: 100 });
    expect(some).not.toBe(all);
    expect(Math.abs(some - all)).toBeLessThan(0.05);
  });
});
