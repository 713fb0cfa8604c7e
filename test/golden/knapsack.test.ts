import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { solveRatios } from "../../src/retrieval/diversity.js";
import { presentFaces } from "../contract/faces.js";

/** Hit rates per cluster (rows) at 5 %, 10 %, ..., 50 % of the released code, with the optimum in per cent and its sum. */
const CASES: { name: string; m: number[][]; optimum: number[]; sum: number }[] = [
  {
    name: "ML-100K BPR", optimum: [5, 5, 35, 50, 5], sum: 0.8037,
    m: [
      [.0518, .0618, .0373, .117, .043, .1822, .1839, .2444, .3032, .3424],
      [.0889, .0829, .0687, .153, .0756, .1845, .2074, .3026, .3361, .3594],
      [.0085, .0384, .0398, .0712, .1208, .1692, .2537, .2351, .2806, .3337],
      [.0326, .0255, .0773, .0232, .1578, .1713, .2048, .2667, .3294, .3642],
      [.0451, .0149, .0282, .1197, .1517, .1721, .2256, .2584, .3363, .3607],
    ],
  },
  {
    name: "ML-1M BPR", optimum: [5, 50, 5, 5, 35], sum: 0.7117,
    m: [
      [.0413, .0687, .0893, .1257, .1463, .1935, .2101, .2413, .2719, .3146],
      [.0259, .052, .0792, .108, .1335, .1581, .1946, .2277, .2793, .3126],
      [.039, .0632, .0904, .1217, .1512, .1809, .2038, .2393, .2743, .3124],
      [.0633, .0622, .067, .1306, .1679, .1899, .215, .2494, .2834, .3084],
      [.06, .0823, .1065, .1334, .1678, .2064, .2555, .2729, .3124, .334],
    ],
  },
  {
    name: "ML-100K LightGCN", optimum: [5, 20, 15, 25, 35], sum: 0.9492,
    m: [
      [.0677, .0682, .1254, .1696, .2231, .2663, .2224, .2834, .3692, .3741],
      [.0844, .1073, .1202, .2625, .3081, .27, .3431, .3702, .4211, .3746],
      [.0222, .057, .1064, .1301, .1545, .1756, .2111, .1947, .2891, .3241],
      [.0372, .0686, .104, .1439, .2053, .2088, .2266, .2559, .279, .3067],
      [.0475, .0365, .1394, .1682, .2209, .2314, .3073, .2695, .3065, .318],
    ],
  },
  {
    name: "ML-1M LightGCN", optimum: [10, 50, 10, 10, 20], sum: 0.8626,
    m: [
      [.061, .0951, .1144, .143, .1752, .1777, .2316, .2655, .2811, .3276],
      [.0492, .0739, .0843, .109, .1197, .1842, .1629, .2573, .2898, .3229],
      [.0602, .1011, .1263, .1306, .169, .1661, .2216, .2063, .286, .3378],
      [.0751, .129, .1589, .1858, .2017, .2448, .2639, .3061, .3209, .3486],
      [.0866, .1186, .1837, .2145, .2413, .26, .2767, .315, .3132, .3669],
    ],
  },
  {
    name: "Netflix BPR", optimum: [35, 5, 5, 50, 5], sum: 0.8672,
    m: [
      [.0358, .0565, .0782, .0973, .1302, .1747, .2241, .2704, .3105, .3631],
      [.0613, .0785, .1186, .1314, .1514, .1541, .174, .2075, .2227, .289],
      [.0566, .0664, .11, .1227, .1307, .1455, .1712, .2071, .2502, .2903],
      [.0328, .0557, .0723, .1076, .1512, .1792, .2125, .2967, .3357, .4018],
      [.1234, .1071, .1402, .1849, .2398, .2719, .3112, .3326, .3549, .3646],
    ],
  },
  {
    name: "Netflix LightGCN", optimum: [5, 10, 10, 45, 30], sum: 0.9731,
    m: [
      [.0586, .065, .0767, .0947, .1254, .1473, .2468, .2238, .268, .3024],
      [.0728, .128, .14, .1511, .1465, .1596, .1725, .1833, .2153, .2518],
      [.0666, .1165, .1219, .1262, .1324, .1337, .1932, .1866, .2174, .2494],
      [.0488, .0551, .0703, .1232, .1445, .1812, .2201, .3063, .3448, .3406],
      [.1378, .1566, .2173, .3009, .3101, .3252, .3343, .3496, .3564, .3625],
    ],
  },
];

/** Every choice of levels, the slow way: the best sum among those whose levels sum to `capacity` (or to at most that). */
function bruteForce(m: readonly number[][], capacity: number, boundary: "exact" | "atMost"): number {
  const best = (category: number, left: number): number => {
    if (category === m.length) return boundary === "atMost" || left === 0 ? 0 : -Infinity;
    let most = -Infinity;
    for (let level = 1; level <= m[category]!.length && level <= left; level++) {
      most = Math.max(most, m[category]![level - 1]! + best(category + 1, left - level));
    }
    return most;
  };
  return best(0, capacity);
}

const { faces, missing } = presentFaces();
if (missing) it.skip(`cpu face: ${missing}`, () => undefined);

describe.each(faces.map((kernels) => ({ face: kernels.face, kernels })))("knapsack of the diversity filter ($face)", ({ kernels }) => {
  const ask = (m: readonly number[][], unit: number): Parameters<typeof solveRatios>[1] =>
    ({ values: Float64Array.from(m.flat()), categories: m.length, levels: m[0]!.length, unit });

  it.each(CASES)("finds the published optimum of $name", async ({ m, optimum, sum }) => {
    const { levels, whole, total, capacity } = await solveRatios({ kernels }, ask(m, 0.05));
    expect(levels.map((level) => level * 5)).toEqual(optimum);
    expect(total).toBeCloseTo(sum, 10);
    expect([whole, capacity]).toEqual([20, 20]);
  });

  it.each(["exact", "atMost"] as const)("equals brute force on random M, boundary %s", async (boundary) => {
    await fc.assert(fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }).chain((levels) =>
        fc.array(fc.array(fc.integer({ min: -50, max: 100 }).map((value) => value / 64), { minLength: levels, maxLength: levels }), { minLength: 1, maxLength: 5 })),
      fc.constantFrom(0.05, 0.1, 0.25),
      async (m, unit) => {
        const { levels, whole, total, capacity } = await solveRatios({ kernels }, ask(m, unit), boundary);
        const used = levels.reduce((sum, level) => sum + level, 0);
        expect(whole).toBe(Math.round(1 / unit));
        expect(capacity).toBe(Math.max(m.length, Math.min(whole, m.length * m[0]!.length)));
        if (boundary === "exact") expect(used).toBe(capacity);
        else expect(used).toBeLessThanOrEqual(capacity);
        // Values are multiples of 1/64: sums are exact whatever their order.
        expect(total).toBe(bruteForce(m, capacity, boundary));
        expect(levels.reduce((sum, level, at) => sum + m[at]![level - 1]!, 0)).toBe(total);
      }), { numRuns: 80 });
  });

  it("gives every category one level where more than 20 categories share 20 levels", async () => {
    const m = Array.from({ length: 23 }, (_, at) => [0.1, 0.2 + at / 100, 0.9]);
    const { levels, capacity } = await solveRatios({ kernels }, ask(m, 0.05));
    expect(capacity).toBe(23);
    expect(levels).toEqual(m.map(() => 1));
  });
});
