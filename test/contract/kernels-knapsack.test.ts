import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { KnapsackInput } from "../../src/native/kernels.js";
import { bytesOf, cpuFaces, floats, presentFaces } from "./faces.js";

const { faces, missing } = presentFaces();
const js = faces[0];

if (missing !== undefined) it.skip(`cpu face: ${missing} Build it with npm run build:native`, () => undefined);

interface Instance {
  levels: number[];
  capacity: number;
}

/** A batch of instances; `value` gives the value at a place of the whole array. */
function batch(instances: readonly Instance[], value: (at: number) => number, boundary: "exact" | "atMost"): KnapsackInput {
  const categoryOffsets = new Uint32Array(instances.length + 1);
  instances.forEach(({ levels }, at) => { categoryOffsets[at + 1] = categoryOffsets[at] + levels.length; });
  const levels = Uint32Array.from(instances.flatMap((one) => one.levels));
  return {
    categoryOffsets, levels, values: Float64Array.from({ length: levels.reduce((a, b) => a + b, 0) }, (_, at) => value(at)),
    capacities: Uint32Array.from(instances, ({ capacity }) => capacity), boundary,
  };
}

/** Best choice by trying all; ties by the smaller level, last category first. Values must add without rounding. */
function bruteForce({ levels, capacity }: Instance, values: Float64Array, boundary: string): { choice: number[]; total: number } {
  let best = { choice: [] as number[], total: -Infinity };
  const smaller = (a: number[], b: number[]): boolean => {
    for (let c = levels.length - 1; c >= 0; c--) if (a[c] !== b[c]) return a[c] < b[c];
    return false;
  };
  const starts = levels.map((_, c) => levels.slice(0, c).reduce((a, b) => a + b, 0));
  const choice = levels.map(() => 1);
  for (;;) {
    const sum = choice.reduce((a, b) => a + b, 0);
    if (boundary === "exact" ? sum === capacity : sum <= capacity) {
      const total = choice.reduce((a, level, c) => a + values[starts[c] + level - 1], 0);
      if (total > best.total || (total === best.total && smaller(choice, best.choice))) best = { choice: [...choice], total };
    }
    let at = 0;
    while (at < levels.length && choice[at] === levels[at]) choice[at++] = 1;
    if (at === levels.length) return best;
    choice[at]++;
  }
}

/** Levels and a capacity that can be met, `beyond` above all levels where less may be spent. */
const instances = (maxCategories: number, maxLevels: number, beyond: number): fc.Arbitrary<Instance> =>
  fc.tuple(fc.array(fc.integer({ min: 1, max: maxLevels }), { minLength: 1, maxLength: maxCategories }), fc.nat()).map(([levels, pick]) => ({
    levels, capacity: levels.length + (pick % (levels.reduce((a, b) => a + b, 0) - levels.length + 1 + beyond)),
  }));

describe.each(faces)("knapsack of $device", (kernels) => {
  it("solves cases by hand, of several shapes in one batch", async () => {
    // Two categories, levels 1-3, capacity 4: (1,3) = 1 + 9, (2,2) = 5 + 5, (3,1) = 6 + 2: a tie between the first two goes to (2,2).
    const values = [1, 5, 6, 2, 5, 9, 7, 3, -1, 8];
    const result = await kernels.knapsack(batch([{ levels: [3, 3], capacity: 4 }, { levels: [1], capacity: 1 }, { levels: [1, 2], capacity: 3 }], (at) => values[at], "exact"));
    expect(Array.from(result.choices)).toEqual([2, 2, 1, 1, 2]);
    expect(Array.from(result.totals)).toEqual([10, 7, 11]);
    const none = await kernels.knapsack(batch([], () => 0, "exact"));
    expect([none.choices.length, none.totals.length]).toEqual([0, 0]);
  });

  it("spends what it must: exactly, or no more than helps", async () => {
    const one = [{ levels: [4, 4], capacity: 8 }];
    const worth = (at: number): number => [3, 2, 1, 0][at % 4];
    expect(Array.from((await kernels.knapsack(batch(one, worth, "exact"))).choices)).toEqual([4, 4]);
    expect(Array.from((await kernels.knapsack(batch(one, worth, "atMost"))).choices)).toEqual([1, 1]);
    expect(Array.from((await kernels.knapsack(batch([{ ...one[0], capacity: 0xffffffff }], worth, "atMost"))).totals)).toEqual([6]);
  });

  it("equals brute force, ties included, for both boundaries", async () => {
    for (const boundary of ["exact", "atMost"] as const) {
      await fc.assert(fc.asyncProperty(
        fc.array(instances(4, 5, boundary === "atMost" ? 3 : 0), { minLength: 1, maxLength: 5 }),
        fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 61, maxLength: 61 }),
        async (list, numbers) => {
          const input = batch(list, (at) => numbers[at % 61] / 2, boundary), result = await kernels.knapsack(input);
          let at = 0;
          list.forEach((one, n) => {
            const size = one.levels.reduce((a, b) => a + b, 0), wanted = bruteForce(one, input.values.subarray(at, at + size), boundary);
            at += size;
            expect(Array.from(result.choices.subarray(input.categoryOffsets[n], input.categoryOffsets[n + 1]))).toEqual(wanted.choice);
            expect(result.totals[n]).toBe(wanted.total);
          });
        }), { numRuns: 60 });
    }
  });

  it("names the first instance that cannot be solved or added", async () => {
    const list = [{ levels: [2, 2], capacity: 3 }, { levels: [2, 2], capacity: 4 }, { levels: [1, 2], capacity: 3 }];
    const error = (input: KnapsackInput): Promise<unknown> => kernels.knapsack(input).then(() => undefined, (reason: unknown) => reason);
    expect(await error(batch([list[0], { levels: [2, 2], capacity: 5 }, { levels: [3], capacity: 9 }], () => 1, "exact"))).toMatchObject({
      name: "NativeError", code: "NATIVE_INFEASIBLE", message: expect.stringContaining("instance 1 has sums from 2 to 4; capacity 5") as string,
    });
    expect(await error(batch([list[0], { levels: [2, 2], capacity: 1 }], () => 1, "atMost"))).toMatchObject({ code: "NATIVE_INFEASIBLE" });
    for (const huge of [1e308, -1e308]) {
      expect(await error(batch(list, (at) => (at < 4 ? 0 : huge), "exact"))).toMatchObject({
        code: "NATIVE_RANGE", message: expect.stringContaining("the values of instance 1 are too large to add") as string,
      });
    }
    // An overflow that no best choice touches does no harm.
    expect(Array.from((await kernels.knapsack(batch([{ levels: [2, 2], capacity: 3 }], (at) => [1, -1.7e308, -1.7e308, 1][at], "exact"))).totals)).toEqual([2]);
  });
});

describe("knapsack of every cpu face against js, bit for bit", () => {
  const cpus = cpuFaces();
  const same = async (input: KnapsackInput): Promise<void> => {
    const wanted = bytesOf(await js.knapsack(input));
    for (const kernels of cpus) expect(bytesOf(await kernels.knapsack(input)) === wanted, kernels.device).toBe(true);
  };

  it("on equal shapes, with values that round and with ties of 0 and -0", async () => {
    for (const boundary of ["exact", "atMost"] as const) {
      for (const [categories, levels, capacity] of [[1, 1, 1], [18, 10, 100], [5, 3, 15], [7, 40, 33], [3, 100, 150], [40, 9, 41], [2, 300, 599]] as const) {
        const list = Array.from({ length: 13 }, () => ({ levels: new Array<number>(categories).fill(levels), capacity }));
        const values = floats(13 * categories * levels, capacity);
        await same(batch(list, (at) => values[at] / 3, boundary));
        await same(batch(list, (at) => [0, -0, 0, 5e-324][(at * 7 + (at >> 3)) % 4], boundary));
        await same(batch(list, () => -0, boundary));
      }
    }
  });

  it("on ragged batches", async () => {
    for (const boundary of ["exact", "atMost"] as const) {
      await fc.assert(fc.asyncProperty(
        fc.array(instances(9, 60, boundary === "atMost" ? 20 : 0), { minLength: 1, maxLength: 12 }), fc.nat(1000), fc.boolean(),
        async (list, seed, coarse) => {
          const values = floats(list.reduce((sum, one) => sum + one.levels.reduce((a, b) => a + b, 0), 0), seed, 8);
          await same(batch(list, (at) => (coarse ? Math.round(values[at]) : values[at]), boundary));
        }), { numRuns: 15 });
    }
  });

  it("on instances large enough for all threads, between small ones", async () => {
    const small = { levels: [3, 4], capacity: 5 }, list = [small, { levels: [4000, 1, 900, 2500], capacity: 5000 }, small, { levels: [6000], capacity: 6000 }];
    const values = floats(14_000, 2, 100);
    for (const boundary of ["exact", "atMost"] as const) await same(batch(list, (at) => Math.round(values[at]), boundary));
  });
});
