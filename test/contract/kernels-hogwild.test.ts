import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { softplus } from "../../src/core/math.js";
import { ISA_NAMES } from "../../src/native/binding.js";
import { describeNative, loadKernels } from "../../src/native/load.js";
import type { BprInput, Kernels, TrainingState } from "../../src/native/kernels.js";
import { bytesOf, csrOf, freshState, presentFaces, sparse } from "./faces.js";
import { samplesOf } from "./samples.js";

const { faces } = presentFaces();
const js = faces[0];
/** Hogwild is reproducible on one thread alone. */
const single = describeNative({ device: "auto" }).face === "cpu"
  ? ISA_NAMES.flatMap((isa) => {
      try {
        return [loadKernels({ device: "cpu", threads: 1, isa })];
      } catch {
        return []; // this processor has not got it
      }
    })
  : [];

const hogwild = (positives: BprInput["positives"], more: Partial<BprInput> = {}): BprInput => ({
  positives, seed: 7, firstEpoch: 0, epochs: 1, batchCount: 3, learningRate: 0.05, regularisation: 0.01, optimiser: "sgd", update: "hogwild", ...more,
});

const rowsOf = (positives: BprInput["positives"]): number => ("columns" in positives ? positives.columns : []).length;

/** Sequential SGD in doubles, from the contract's words. */
function sequentially(state: TrainingState, input: BprInput): Float64Array {
  const { userCount, itemCount, dimension } = state;
  const p = Float64Array.from(state.parameters);
  const rate = input.learningRate, decay = rate * input.regularisation;
  for (const [user, item, other] of samplesOf(input, userCount, itemCount, 0).flat()) {
    const rows = [user, userCount + item, userCount + other].map((row) => p.subarray(row * dimension, (row + 1) * dimension));
    const [u, i, j] = rows;
    const before = u.slice(), positive = i.slice(), negative = j.slice();
    const x = before.reduce((sum, value, d) => sum + value * (positive[d] - negative[d]), 0);
    const r = -rate / (1 + Math.exp(x));
    before.forEach((value, d) => {
      u[d] -= r * (positive[d] - negative[d]) + decay * value;
      i[d] -= r * value + decay * i[d];
      j[d] -= -r * value + decay * j[d];
    });
  }
  return p;
}

describe.each([js, ...single])("hogwild on one thread of $device", (kernels: Kernels) => {
  it("is sequential SGD in the order of the places", async () => {
    for (const batchCount of [1, 4]) {
      const state = freshState(12, 17, 5, 3, "sgd"), input = hogwild(sparse(12, 17, 0.3, 6), { batchCount });
      const wanted = sequentially(state, input);
      const { state: found, losses } = await kernels.bprEpoch(state, input);
      found.parameters.forEach((value, at) => expect(value).toBeCloseTo(wanted[at], 5));
      expect(found.step).toBe(rowsOf(input.positives));
      expect(losses[0]).toBeGreaterThan(0.3);
    }
  });

  it("is batch SGD where each batch holds one sample", async () => {
    const positives = sparse(9, 14, 0.15, 2);
    // A batch for each row: 2^20 batches and a seed under which no two of the few rows meet.
    const input = hogwild(positives, { batchCount: 2 ** 20, epochs: 2 });
    const one = await kernels.bprEpoch(freshState(9, 14, 19, 5, "sgd"), input);
    const other = await kernels.bprEpoch(freshState(9, 14, 19, 5, "sgd"), { ...input, update: "batch" });
    expect(other.state.step).toBe(one.state.step);
    expect(bytesOf(one.state)).toBe(bytesOf(other.state));
  });

  it("moves the one item of a catalogue twice for a sample of it against itself", async () => {
    const state = freshState(1, 1, 3, 1, "sgd");
    const { parameters } = state, [rate, decay] = [0.05, 0.05 * 0.01];
    const { state: after, losses } = await kernels.bprEpoch(state, hogwild(csrOf([[0]])));
    expect(losses[0]).toBeCloseTo(softplus(0), 12);
    for (let d = 0; d < 3; d++) {
      const user = parameters[d], item = parameters[3 + d];
      const once = item - (-0.5 * rate * user + decay * item);
      expect(after.parameters[d]).toBeCloseTo(user - decay * user, 6);
      expect(after.parameters[3 + d]).toBeCloseTo(once - (decay * once + 0.5 * rate * user), 6);
    }
  });
});

describe.each(single)("$device against js, bit for bit: hogwild", (kernels) => {
  it("odd shapes", async () => {
    await fc.assert(fc.asyncProperty(
      fc.integer({ min: 1, max: 23 }), fc.integer({ min: 1, max: 31 }), fc.integer({ min: 1, max: 97 }), fc.constantFrom(1, 2, 13, 5000), fc.nat(0xffffffff),
      fc.constantFrom(0, 0.1, 0.6, 1),
      async (users, items, dimension, batchCount, seed, density) => {
        const input = hogwild(sparse(users, items, density, seed % 1000), { batchCount, seed, epochs: 2 });
        expect(bytesOf(await kernels.bprEpoch(freshState(users, items, dimension, 4, "sgd"), input)))
          .toBe(bytesOf(await js.bprEpoch(freshState(users, items, dimension, 4, "sgd"), input)));
      }), { numRuns: 40 });
  });

  it("more samples than a chunk and a bucket hold", async () => {
    const input = hogwild(sparse(90, 160, 0.7, 8), { batchCount: 2 });
    expect(bytesOf(await kernels.bprEpoch(freshState(90, 160, 7, 4, "sgd"), input))).toBe(bytesOf(await js.bprEpoch(freshState(90, 160, 7, 4, "sgd"), input)));
  });
});

describe.each(faces)("hogwild on all threads of $device", (kernels) => {
  it("learns like batches do", async () => {
    const positives = sparse(120, 200, 0.2, 3);
    const start = (): TrainingState => freshState(120, 200, 16, 1, "sgd");
    const { losses, state } = await kernels.bprEpoch(start(), hogwild(positives, { epochs: 30 }));
    const batches = await kernels.bprEpoch(start(), hogwild(positives, { epochs: 30, update: "batch", batchCount: 100, learningRate: 0.05 * 48 }));
    expect(losses[29]).toBeLessThan(losses[0]);
    expect(Math.abs(losses[29] - batches.losses[29])).toBeLessThan(0.05);
    expect(state.step).toBe(30 * positives.columns.length);
  });

  it("refuses to hand out parameters that are not finite", async () => {
    const diverging = kernels.bprEpoch(freshState(10, 12, 4, 1, "sgd"), hogwild(sparse(10, 12, 0.4, 1), { learningRate: 1e38, epochs: 5 }));
    await expect(diverging).rejects.toMatchObject({ name: "NativeError", code: "NATIVE_DIVERGED" });
  });
});
