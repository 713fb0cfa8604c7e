import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Kernels, KMeansInput } from "../../src/native/kernels.js";
import { bytesOf, cpuFaces, floats, presentFaces } from "./faces.js";

const { faces } = presentFaces();
const js = faces[0];

const distance = (points: Float64Array, point: number, centroids: Float64Array, cluster: number, dimension: number): number => {
  let sum = 0;
  for (let axis = 0; axis < dimension; axis++) sum += (points[point * dimension + axis] - centroids[cluster * dimension + axis]) ** 2;
  return sum;
};

/** Coarse points tie often and coincide; starting centroids are among them, some twice, some far away. */
const inputs: fc.Arbitrary<KMeansInput> = fc.record({
  count: fc.integer({ min: 1, max: 70 }), dimension: fc.constantFrom(1, 2, 3, 7, 16, 17, 40), wanted: fc.integer({ min: 1, max: 13 }),
  rounds: fc.integer({ min: 1, max: 12 }), seed: fc.integer({ min: 0, max: 9999 }), coarse: fc.boolean(), stray: fc.boolean(),
}).map(({ count, dimension, wanted, rounds, seed, coarse, stray }) => {
  const clusters = Math.min(wanted, count);
  const points = Float64Array.from(floats(count * dimension, seed, 4)).map((value) => (coarse ? Math.round(value) : value));
  const centroids = points.slice(0, clusters * dimension);
  if (stray) centroids.fill(50, 0, dimension);
  points[0] = -0;
  return { points, dimension, centroids, rounds };
});

describe.each(faces)("kmeans on $device", (kernels: Kernels) => {
  it("solves a case by hand: ties to the lower cluster, an empty cluster takes the farthest point", async () => {
    // 1 lies between 0 and 2: it goes to the first. Means are 0.5 and 6; a second round moves nothing.
    const first = await kernels.kmeans({ points: Float64Array.of(0, 1, 2, 10), dimension: 1, centroids: Float64Array.of(0, 2), rounds: 1 });
    expect(Array.from(first.centroids)).toEqual([0.5, 6]);
    expect(Array.from(first.labels)).toEqual([0, 0, 0, 1]);
    expect(Array.from(first.distances)).toEqual([0.25, 0.25, 2.25, 16]);
    expect(first.rounds).toBe(1);
    const settled = await kernels.kmeans({ points: Float64Array.of(0, 1, 2, 10), dimension: 1, centroids: Float64Array.of(0, 2), rounds: 50 });
    expect(Array.from(settled.centroids)).toEqual([1, 10]);
    expect(settled.rounds).toBe(3);
    // Nobody is nearest to 99, so it gets 10, which is farthest from its centroid.
    const repaired = await kernels.kmeans({ points: Float64Array.of(0, 1, 2, 10), dimension: 1, centroids: Float64Array.of(1, 99), rounds: 1 });
    expect(Array.from(repaired.centroids)).toEqual([1, 10]);
    expect(Array.from(repaired.labels)).toEqual([0, 0, 0, 1]);
  });

  it("leaves a cluster empty, at 0, where all points coincide", async () => {
    const { labels, centroids, distances, rounds } = await kernels.kmeans({ points: Float64Array.of(3, 3, 3), dimension: 1, centroids: Float64Array.of(3, 3), rounds: 9 });
    expect([Array.from(labels), Array.from(centroids), Array.from(distances), rounds]).toEqual([[0, 0, 0], [3, 0], [0, 0, 0], 2]);
  });

  it("labels every point with its nearest centroid; once settled, centroids are the means of their points", async () => {
    await fc.assert(fc.asyncProperty(inputs, async (input) => {
      const { points, dimension } = input, clusters = input.centroids.length / dimension;
      const { labels, centroids, distances, rounds } = await kernels.kmeans(input);
      labels.forEach((label, point) => {
        const all = Array.from({ length: clusters }, (_, cluster) => distance(points, point, centroids, cluster, dimension));
        expect(label).toBe(all.indexOf(Math.min(...all)));
        expect(distances[point]).toBe(all[label]);
      });
      expect(rounds).toBeLessThanOrEqual(input.rounds);
      if (rounds === input.rounds) return;
      for (let cluster = 0; cluster < clusters; cluster++) {
        const own = Array.from(labels.keys()).filter((point) => labels[point] === cluster);
        for (let axis = 0; axis < dimension; axis++) {
          const mean = own.reduce((sum, point) => sum + points[point * dimension + axis], 0) / Math.max(1, own.length);
          expect(centroids[cluster * dimension + axis]).toBe(mean);
        }
      }
    }), { numRuns: 60 });
  });

  it("goes on from its own centroids: two calls of one round are one call of two", async () => {
    await fc.assert(fc.asyncProperty(inputs, async (input) => {
      const one = await kernels.kmeans({ ...input, rounds: 1 }), two = await kernels.kmeans({ ...input, centroids: one.centroids, rounds: 1 });
      expect(bytesOf((await kernels.kmeans({ ...input, rounds: 2 })).centroids)).toBe(bytesOf(two.centroids));
    }), { numRuns: 30 });
  });

  it("refuses means that leave the finite numbers, and takes infinite distances", async () => {
    const far = await kernels.kmeans({ points: Float64Array.of(1e200, -1e200), dimension: 1, centroids: Float64Array.of(0), rounds: 3 });
    expect([Array.from(far.centroids), Array.from(far.distances)]).toEqual([[0], [Infinity, Infinity]]);
    await expect(kernels.kmeans({ points: Float64Array.of(1.7e308, 1.7e308), dimension: 1, centroids: Float64Array.of(0), rounds: 3 })).rejects.toThrow(/NATIVE_DIVERGED/);
  });

  it("stops when it is told to", async () => {
    const controller = new AbortController(), points = Float64Array.from(floats(400_000, 1));
    const running = kernels.kmeans({ points, dimension: 20, centroids: points.slice(0, 20_000), rounds: 1000 }, { signal: controller.signal });
    setTimeout(() => controller.abort(new Error("enough")), 30);
    await expect(running).rejects.toThrow("enough");
  });
});

describe("kmeans, the same bytes on every instruction set and thread count", () => {
  const settings = cpuFaces();

  it("on small odd shapes", async () => {
    await fc.assert(fc.asyncProperty(inputs, async (input) => {
      const wanted = bytesOf(await js.kmeans(input));
      for (const kernels of settings) expect(bytesOf(await kernels.kmeans(input))).toBe(wanted);
    }), { numRuns: 60 });
  });

  it.each([[40_000, 3, 7], [9000, 65, 33], [70_000, 1, 2]])("on %i points of dimension %i in %i clusters", async (count, dimension, clusters) => {
    const points = Float64Array.from(floats(count * dimension, 5)), input = { points, dimension, centroids: points.slice(0, clusters * dimension), rounds: 4 };
    const wanted = bytesOf(await js.kmeans(input));
    for (const kernels of settings) expect(bytesOf(await kernels.kmeans(input))).toBe(wanted);
  });
});
