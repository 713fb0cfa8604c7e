import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { log, softplus } from "../../src/core/math.js";
import type { Csr } from "../../src/core/interactions.js";
import type { BprInput, Kernels, LightGcnInput, TrainingState } from "../../src/native/kernels.js";
import { bytesOf, csrOf, floats, freshState, presentFaces, sparse } from "./faces.js";
import { samplesOf } from "./samples.js";

const { faces } = presentFaces();
const js = faces[0];

const bprInput = (positives: BprInput["positives"], more: Partial<BprInput> = {}): BprInput => ({
  positives, seed: 7, firstEpoch: 0, epochs: 1, batchCount: 3, learningRate: 0.05, regularisation: 0.01, optimiser: "adam", ...more,
});

/** Loss of one batch with its L2 term, in doubles, for any parameters: what the gradients differentiate. */
function batchObjective(
  samples: [number, number, number][], parameters: Float64Array, embed: (parameters: Float64Array) => Float64Array,
  { userCount, dimension }: TrainingState, regularisation: number,
): number {
  const e = embed(parameters);
  let total = 0;
  for (const [user, item, other] of samples) {
    const rows = [user, userCount + item, userCount + other];
    let x = 0;
    for (let d = 0; d < dimension; d++) x += e[rows[0] * dimension + d] * (e[rows[1] * dimension + d] - e[rows[2] * dimension + d]);
    total += softplus(-x);
    for (const row of rows) for (let d = 0; d < dimension; d++) total += 0.5 * regularisation * parameters[row * dimension + d] ** 2;
  }
  return total / samples.length;
}

/** One SGD step on one batch shows the gradient: (before - after) / learningRate. */
async function checkGradient(
  run: (state: TrainingState, input: BprInput) => Promise<TrainingState>, embed: (parameters: Float64Array) => Float64Array,
): Promise<void> {
  const userCount = 5, itemCount = 6, dimension = 4;
  const positives = sparse(userCount, itemCount, 0.5, 11, true);
  const state = freshState(userCount, itemCount, dimension, 21, "sgd");
  const input = bprInput(positives, { optimiser: "sgd", learningRate: 1, batchCount: 1, regularisation: 0.3 });
  const after = await run(state, input);
  expect(after.step).toBe(1);
  const [samples] = samplesOf(input, userCount, itemCount, 0);
  const center = Float64Array.from(state.parameters);
  for (let at = 0; at < center.length; at++) {
    const probe = (delta: number): number => {
      const moved = center.slice();
      moved[at] += delta;
      return batchObjective(samples, moved, embed, state, input.regularisation);
    };
    const numeric = (probe(1e-5) - probe(-1e-5)) / 2e-5;
    expect(center[at] - after.parameters[at]).toBeCloseTo(numeric, 6);
  }
}

/** S x in doubles, by definition. */
function propagateExactly(positives: Csr, userCount: number, rows: number, dimension: number, layers: number, input: Float64Array): Float64Array {
  const degree = new Float64Array(rows), edges: [number, number][] = [];
  for (let user = 0; user < userCount; user++) {
    for (let at = positives.offsets[user]; at < positives.offsets[user + 1]; at++) edges.push([user, userCount + positives.columns[at]]);
  }
  for (const [u, i] of edges) { degree[u]++; degree[i]++; }
  let layer = input.slice();
  const sum = input.slice();
  for (let l = 0; l < layers; l++) {
    const next = new Float64Array(input.length);
    for (const [u, i] of edges) {
      const weight = 1 / Math.sqrt(degree[u] * degree[i]);
      for (let d = 0; d < dimension; d++) {
        next[u * dimension + d] += weight * layer[i * dimension + d];
        next[i * dimension + d] += weight * layer[u * dimension + d];
      }
    }
    layer = next;
    for (let at = 0; at < sum.length; at++) sum[at] += layer[at];
  }
  return sum.map((value) => value / (layers + 1));
}

/** Dense Adam in doubles, one step of every row after the other. */
function adamInDoubles(state: TrainingState, input: BprInput, epochs: number): { p: Float64Array; m: Float64Array; v: Float64Array; step: number } {
  const { userCount, itemCount, dimension } = state;
  const p = Float64Array.from(state.parameters), m = Float64Array.from(state.first), v = Float64Array.from(state.second);
  let { step } = state;
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (const samples of samplesOf(input, userCount, itemCount, epoch).filter((batch) => batch.length > 0)) {
      const g = new Float64Array(p.length);
      for (const [user, item, other] of samples) {
        const [u, i, j] = [user, userCount + item, userCount + other].map((row) => row * dimension);
        let x = 0;
        for (let d = 0; d < dimension; d++) x += p[u + d] * (p[i + d] - p[j + d]);
        const r = -1 / (1 + Math.exp(x)) / samples.length, decay = input.regularisation / samples.length;
        for (let d = 0; d < dimension; d++) {
          g[u + d] += r * (p[i + d] - p[j + d]) + decay * p[u + d];
          g[i + d] += r * p[u + d] + decay * p[i + d];
          g[j + d] += -r * p[u + d] + decay * p[j + d];
        }
      }
      step++;
      const rate = (input.learningRate * Math.sqrt(1 - 0.999 ** step)) / (1 - 0.9 ** step);
      for (let at = 0; at < p.length; at++) {
        m[at] = 0.9 * m[at] + 0.1 * g[at];
        v[at] = 0.999 * v[at] + 0.001 * g[at] * g[at];
        p[at] -= (rate * m[at]) / (Math.sqrt(v[at]) + 1e-8);
      }
    }
  }
  return { p, m, v, step };
}

describe.each(faces)("training on $device", (kernels: Kernels) => {
  it("BPR follows the gradient of its stated objective", async () => {
    await checkGradient(async (state, input) => (await kernels.bprEpoch(state, input)).state, (parameters) => parameters);
  });

  it.each([1, 2, 3])("LightGCN with %i layers follows the gradient through the propagation", async (layers) => {
    await checkGradient(
      async (state, input) => (await kernels.lightGcnEpoch(state, { ...input, layers })).state,
      (parameters) => propagateExactly(sparse(5, 6, 0.5, 11, true), 5, 11, 4, layers, parameters),
    );
  });

  it("LightGCN with 0 layers is BPR, bit for bit", async () => {
    const positives = sparse(20, 30, 0.2, 5);
    for (const optimiser of ["adam", "sgd"] as const) {
      const input = bprInput(positives, { epochs: 3, optimiser });
      const bpr = await kernels.bprEpoch(freshState(20, 30, 9, 2, optimiser), input);
      const gcn = await kernels.lightGcnEpoch(freshState(20, 30, 9, 2, optimiser), { ...input, layers: 0 });
      expect(bytesOf(gcn)).toBe(bytesOf(bpr));
    }
  });

  it("reports the mean loss: ln 2 for equal vectors", async () => {
    const state = freshState(4, 5, 3, 1, "sgd");
    state.parameters.fill(0);
    const { losses } = await kernels.bprEpoch(state, bprInput(sparse(4, 5, 0.5, 2), { optimiser: "sgd", batchCount: 1 }));
    expect(losses[0]).toBeCloseTo(log(2), 12);
  });

  it("learns: the loss falls and positives move above negatives", async () => {
    const positives = csrOf([[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5]]);
    const { state, losses } = await kernels.bprEpoch(freshState(4, 6, 8), bprInput(positives, { epochs: 60, batchCount: 2 }));
    expect(losses[59]).toBeLessThan(0.25 * losses[0]);
    const { items } = await kernels.scoreTopK({ users: state.parameters.slice(0, 32), items: state.parameters.slice(32), dimension: 8, k: 3 });
    expect([0, 1, 2, 3].map((user) => Array.from(items.slice(3 * user, 3 * user + 3).sort((a, b) => a - b)))).toEqual([[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5]]);
  });

  it("is the same in one call of 4 epochs and in 4 calls of 1", async () => {
    const input = { ...bprInput(sparse(15, 20, 0.3, 9)), layers: 2 };
    const whole = await kernels.lightGcnEpoch(freshState(15, 20, 6), { ...input, epochs: 4 });
    let state = freshState(15, 20, 6);
    const losses: number[] = [];
    for (let epoch = 0; epoch < 4; epoch++) {
      const result = await kernels.lightGcnEpoch(state, { ...input, firstEpoch: epoch });
      state = result.state;
      losses.push(...result.losses);
    }
    expect(bytesOf(state)).toBe(bytesOf(whole.state));
    expect(losses).toEqual(Array.from(whole.losses));
  });

  it("takes no step for empty batches and survives users without history, items nobody has and a user who has everything", async () => {
    const positives = csrOf([[], [0, 1, 2, 3], [2]]);
    const { state, losses } = await kernels.lightGcnEpoch(freshState(3, 4, 5), { ...bprInput(positives, { batchCount: 1000, epochs: 2 }), layers: 2 });
    expect(state.step).toBe(10);
    expect(losses.every((loss) => loss > 0 && loss < 3)).toBe(true);
    const nothing = await kernels.bprEpoch(freshState(3, 4, 5), bprInput(csrOf([[], [], []])));
    expect(nothing.state.step).toBe(0);
    expect(Array.from(nothing.losses)).toEqual([0]);
  });

  it("Adam moves rows that a step does not read as single steps with no gradient would", async () => {
    const [users, items, dimension] = [30, 40, 6];
    for (const batchCount of [7, 150]) {
      // More batches than a window holds, few rows in each: most steps of a row are idle.
      const input = bprInput(sparse(users, items, 0.2, 3), { batchCount, epochs: 2, firstEpoch: 0 });
      const state = freshState(users, items, dimension, 5);
      state.first = floats(state.first.length, 6, 0.1);
      state.second = floats(state.second.length, 7, 0.01).map((value) => Math.abs(value) + 1e-6);
      state.step = 40;
      const wanted = adamInDoubles(state, input, 2);
      const { state: found } = await kernels.bprEpoch(state, input);
      expect(found.step).toBe(wanted.step);
      found.parameters.forEach((value, at) => expect(Math.abs(value - wanted.p[at])).toBeLessThan(2e-5));
      found.first.forEach((value, at) => expect(Math.abs(value - wanted.m[at])).toBeLessThan(1e-6));
      found.second.forEach((value, at) => expect(Math.abs(value - wanted.v[at])).toBeLessThan(1e-7));
    }
  });

  it("refuses to hand out parameters that are not finite", async () => {
    const diverging = kernels.bprEpoch(freshState(10, 12, 4, 1, "sgd"), bprInput(sparse(10, 12, 0.4, 1), { optimiser: "sgd", learningRate: 1e38, epochs: 5 }));
    await expect(diverging).rejects.toMatchObject({ name: "NativeError", code: "NATIVE_DIVERGED" });
  });

  it("keeps a removed row's absence local: with SGD and one batch apart, only its batch changes", async () => {
    // Draws are keyed by (user, item): the samples of all other rows stand as they were.
    const full = csrOf([[0, 1, 5], [2, 3], [1, 4]]), less = csrOf([[0, 5], [2, 3], [1, 4]]);
    const before = samplesOf(bprInput(full), 3, 6, 0).flat(), after = samplesOf(bprInput(less), 3, 6, 0).flat();
    const others = before.filter(([user, item]) => user !== 0 || item !== 1);
    expect(after.filter(([user]) => user !== 0)).toEqual(others.filter(([user]) => user !== 0));
    const one = await kernels.bprEpoch(freshState(3, 6, 4, 1, "sgd"), bprInput(full, { optimiser: "sgd", regularisation: 0 }));
    const two = await kernels.bprEpoch(freshState(3, 6, 4, 1, "sgd"), bprInput(less, { optimiser: "sgd", regularisation: 0 }));
    expect(bytesOf(one.state.parameters)).not.toBe(bytesOf(two.state.parameters));
  });
});

describe.each(faces.slice(1))("$device against js, bit for bit: training", (kernels) => {
  it.each([1, 8, 33, 64, 65])("BPR and LightGCN, dimension %i", async (dimension) => {
    const positives = sparse(61, 83, 0.12, dimension, true);
    for (const optimiser of ["adam", "sgd"] as const) {
      for (const layers of [0, 1, 3]) {
        for (const batchCount of [1, 5, 4000]) {
          const input: LightGcnInput = { ...bprInput(positives, { optimiser, batchCount, epochs: 2, firstEpoch: 3 }), layers };
          const run = (face: Kernels): Promise<unknown> => {
            const state = freshState(61, 83, dimension, 4, optimiser);
            return layers === 0 ? face.bprEpoch(state, input) : face.lightGcnEpoch(state, input);
          };
          if (batchCount === 4000 && layers === 3) continue;
          expect(bytesOf(await run(kernels))).toBe(bytesOf(await run(js)));
        }
      }
    }
  });

  it("moments and steps carried over, one user, no regularisation, large values", async () => {
    const positives = csrOf([[0, 2, 5, 6]]);
    for (const scale of [0.1, 30, 2000]) {
      const state = freshState(1, 9, 7);
      state.parameters = floats(70, 2, scale);
      state.first = floats(70, 3, 0.01);
      state.second = floats(70, 4, 1e-3).map(Math.abs);
      state.step = 123456;
      const input = { ...bprInput(positives, { regularisation: 0, epochs: 3, batchCount: 2 }), layers: 2 };
      expect(bytesOf(await kernels.lightGcnEpoch(state, input))).toBe(bytesOf(await js.lightGcnEpoch(state, input)));
    }
  });

  it("odd shapes, every row in every window's reach", async () => {
    await fc.assert(fc.asyncProperty(
      fc.integer({ min: 1, max: 19 }), fc.integer({ min: 1, max: 29 }), fc.integer({ min: 1, max: 97 }), fc.constantFrom(1, 2, 13, 64, 65, 129, 5000),
      fc.nat(0xffffffff), fc.constantFrom(0, 0.1, 0.6, 1), fc.constantFrom("adam", "sgd"), fc.constantFrom(0, 0.02),
      async (users, items, dimension, batchCount, seed, density, optimiser, regularisation) => {
        const input = bprInput(sparse(users, items, density, seed % 1000), { batchCount, seed, epochs: 2, optimiser, regularisation });
        const start = (): TrainingState => freshState(users, items, dimension, 4, optimiser);
        expect(bytesOf(await kernels.bprEpoch(start(), input))).toBe(bytesOf(await js.bprEpoch(start(), input)));
      }), { numRuns: 60 });
  });

  it("zeros of both signs, the smallest numbers and moments that are 0", async () => {
    const positives = csrOf([[0, 1], [1, 2], [0, 3]]);
    for (const value of [0, -0, 1e-45, -1e-40, 1e-30, 1e15]) {
      for (const optimiser of ["adam", "sgd"] as const) {
        const start = (): TrainingState => {
          const state = freshState(3, 5, 3, 1, optimiser);
          state.parameters.forEach((_, at) => { if (at % 3 !== 1) state.parameters[at] = at % 2 === 0 ? value : -value; });
          return state;
        };
        const input = bprInput(positives, { optimiser, epochs: 3, batchCount: 70 });
        expect(bytesOf(await kernels.bprEpoch(start(), input))).toBe(bytesOf(await js.bprEpoch(start(), input)));
      }
    }
  });

  it("a user with more items than the draw keeps in its table, in a catalogue that it wraps around", async () => {
    // 2^15 marks by item modulo 2^15; users above a quarter of that are searched.
    const items = 40_000, rows = [0.3, 0.05, 0.0001].map((density, user) => Array.from(sparse(1, items, density, user).columns));
    const input = bprInput(csrOf(rows), { optimiser: "sgd", batchCount: 9 });
    const start = (): TrainingState => freshState(3, items, 2, 4, "sgd");
    expect(bytesOf(await kernels.bprEpoch(start(), input))).toBe(bytesOf(await js.bprEpoch(start(), input)));
  });
});
