import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NativeError } from "../../src/core/errors.js";
import type { RunOptions } from "../../src/core/progress.js";
import type { Kernels } from "../../src/native/kernels.js";
import { bytesOf, csrOf, floats, freshState, presentFaces, sparse } from "./faces.js";

const { faces } = presentFaces();

const training = { positives: csrOf([[0, 2], [1], []]), seed: 1, firstEpoch: 0, epochs: 2, batchCount: 2, learningRate: 0.1, regularisation: 0.1, optimiser: "adam", layers: 1 };

type Fields = Record<string, unknown>;

const loss = (): Fields => ({
  userCount: 3, itemCount: 4, dimension: 2, parameters: floats(14, 1), layers: 1, positives: csrOf([[0, 2], [1], []]), loss: "bpr",
  users: Uint32Array.of(0, 0, 1), items: Uint32Array.of(0, 2, 1), negatives: Uint32Array.of(1, 3, 0), regularisation: 0.1, hessian: "gn",
});

/** A valid call of each kernel; `change` may spoil its arguments. */
const calls: Record<string, (kernels: Kernels, change?: (input: Fields, state: Fields) => void, options?: RunOptions) => Promise<unknown>> = {
  scoreTopK: (kernels, change, options) => {
    const input: Fields = { users: floats(6, 1), items: floats(8, 2), dimension: 2, k: 3, mask: csrOf([[0, 3], [], [1]]) };
    change?.(input, {});
    return kernels.scoreTopK(input as never, options);
  },
  bprEpoch: (kernels, change, options) => {
    const input: Fields = { ...training, positives: { ...training.positives } }, state = { ...freshState(3, 4, 2) } as unknown as Fields;
    change?.(input, state);
    return kernels.bprEpoch(state as never, input as never, options);
  },
  lightGcnEpoch: (kernels, change, options) => {
    const input: Fields = { ...training, positives: { ...training.positives } }, state = { ...freshState(3, 4, 2) } as unknown as Fields;
    change?.(input, state);
    return kernels.lightGcnEpoch(state as never, input as never, options);
  },
  propagate: (kernels, change, options) => {
    const input: Fields = { userCount: 3, itemCount: 4, dimension: 2, parameters: floats(14, 1), positives: csrOf([[0, 2], [1], []]), layers: 2 };
    change?.(input, {});
    return kernels.propagate(input as never, options);
  },
  attentionWeights: (kernels, change, options) => {
    const input: Fields = {
      queries: floats(12, 1), queryOffsets: Uint32Array.of(0, 2, 3), keys: floats(20, 2), keyOffsets: Uint32Array.of(0, 1, 5), dimension: 4, heads: 2,
      bias: floats(5, 3), output: "max",
    };
    change?.(input, {});
    return kernels.attentionWeights(input as never, options);
  },
  knapsack: (kernels, change, options) => {
    const input: Fields = {
      categoryOffsets: Uint32Array.of(0, 2, 4), levels: Uint32Array.of(2, 2, 2, 2), values: Float64Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      capacities: Uint32Array.of(3, 3), boundary: "exact",
    };
    change?.(input, {});
    return kernels.knapsack(input as never, options);
  },
  kmeans: (kernels, change, options) => {
    const input: Fields = { points: Float64Array.of(0, 0, 1, 1, 9, 9, 8, 8), dimension: 2, centroids: Float64Array.of(0, 0, 9, 9), rounds: 10 };
    change?.(input, {});
    return kernels.kmeans(input as never, options);
  },
  gram: (kernels, change, options) => {
    const input: Fields = { positives: csrOf([[0, 2], [], [1, 2]]), columnCount: 3 };
    change?.(input, {});
    return kernels.gram(input as never, options);
  },
  itemCooccurrence: (kernels, change, options) => {
    const input: Fields = { positives: csrOf([[0, 2], [], [1, 2]]), columnCount: 3, k: 2 };
    change?.(input, {});
    return kernels.itemCooccurrence(input as never, options);
  },
  cholesky: (kernels, change, options) => {
    const input: Fields = { matrix: Float64Array.of(4, 1, 3), size: 2, output: "factor" };
    change?.(input, {});
    return kernels.cholesky(input as never, options);
  },
  rankUpdate: (kernels, change, options) => {
    const input: Fields = { matrix: Float64Array.of(4, 1, 3), size: 2, vectors: Float64Array.of(1, 2), weights: Float64Array.of(-0.5) };
    change?.(input, {});
    return kernels.rankUpdate(input as never, options);
  },
  hessianProduct: (kernels, change, options) => {
    const input: Fields = { ...loss(), vector: new Float64Array(14).fill(0.5) };
    change?.(input, {});
    return kernels.hessianProduct(input as never, options);
  },
  conjugateGradient: (kernels, change, options) => {
    const input: Fields = { ...loss(), gradient: new Float64Array(4).fill(0.5), rows: Uint32Array.of(0, 4), damping: 1, tolerance: 1e-6, iterations: 20 };
    change?.(input, {});
    return kernels.conjugateGradient(input as never, options);
  },
};

const withValue = (values: Float32Array | Float64Array, value: number): Float32Array | Float64Array => {
  const copy = values.slice();
  copy[copy.length - 1] = value;
  return copy;
};

function transferred(): Float32Array {
  const values = floats(6, 1);
  structuredClone(values.buffer, { transfer: [values.buffer as ArrayBuffer] });
  return values;
}

const refusals: [string, string, string, (input: Fields, state: Fields) => void][] = [
  ["scoreTopK", "a NaN", "NATIVE_NOT_FINITE", (input) => { input.users = withValue(floats(6, 1), NaN); }],
  ["scoreTopK", "an infinite number", "NATIVE_NOT_FINITE", (input) => { input.items = withValue(floats(8, 1), -Infinity); }],
  ["scoreTopK", "half a row", "NATIVE_SHAPE", (input) => { input.users = floats(7, 1); }],
  ["scoreTopK", "no items", "NATIVE_SHAPE", (input) => { input.items = new Float32Array(0); }],
  ["scoreTopK", "k 0", "NATIVE_RANGE", (input) => { input.k = 0; }],
  ["scoreTopK", "k above the items", "NATIVE_RANGE", (input) => { input.k = 5; }],
  ["scoreTopK", "k 1.5", "NATIVE_RANGE", (input) => { input.k = 1.5; }],
  ["scoreTopK", "a plain array", "NATIVE_INPUT", (input) => { input.users = [1, 2, 3, 4, 5, 6]; }],
  ["scoreTopK", "doubles for floats", "NATIVE_INPUT", (input) => { input.users = new Float64Array(6); }],
  ["scoreTopK", "a buffer that was transferred", "NATIVE_SHAPE", (input) => { input.users = transferred(); }],
  ["scoreTopK", "an array behind a proxy", "NATIVE_INPUT", (input) => { input.users = new Proxy(floats(6, 1), {}); }],
  ["scoreTopK", "a getter that throws", "NATIVE_INPUT", (input) => { Object.defineProperty(input, "items", { get: () => { throw new Error("no"); } }); }],
  ["scoreTopK", "a number in a wrapper", "NATIVE_RANGE", (input) => { input.dimension = { valueOf: () => 2 }; }],
  ["scoreTopK", "columns that fall", "NATIVE_CSR", (input) => { input.mask = csrOf([[3, 0], [], []]); }],
  ["scoreTopK", "a column twice", "NATIVE_CSR", (input) => { input.mask = csrOf([[1, 1], [], []]); }],
  ["scoreTopK", "a column out of range", "NATIVE_CSR", (input) => { input.mask = csrOf([[4], [], []]); }],
  ["scoreTopK", "a mask of other rows", "NATIVE_CSR", (input) => { input.mask = csrOf([[0], []]); }],
  ["scoreTopK", "offsets that fall", "NATIVE_CSR", (input) => { input.mask = { offsets: Uint32Array.of(0, 2, 1, 2), columns: Uint32Array.of(0, 1) }; }],
  ["scoreTopK", "offsets that start late", "NATIVE_CSR", (input) => { input.mask = { offsets: Uint32Array.of(1, 1, 1, 2), columns: Uint32Array.of(0, 1) }; }],
  ["scoreTopK", "offsets that end early", "NATIVE_CSR", (input) => { input.mask = { offsets: Uint32Array.of(0, 0, 1, 1), columns: Uint32Array.of(0, 1) }; }],
  ["scoreTopK", "a mask that is null", "NATIVE_INPUT", (input) => { input.mask = null; }],
  ["bprEpoch", "parameters of the wrong length", "NATIVE_SHAPE", (_, state) => { state.parameters = floats(13, 1); }],
  ["bprEpoch", "no moments under Adam", "NATIVE_SHAPE", (_, state) => { state.first = new Float32Array(0); }],
  ["bprEpoch", "moments under SGD", "NATIVE_SHAPE", (input) => { input.optimiser = "sgd"; }],
  ["bprEpoch", "a negative second moment", "NATIVE_RANGE", (_, state) => { state.second = withValue(new Float32Array(14), -1); }],
  ["bprEpoch", "an unknown optimiser", "NATIVE_RANGE", (input) => { input.optimiser = "adagrad"; }],
  ["bprEpoch", "a negative learning rate", "NATIVE_RANGE", (input) => { input.learningRate = -0.1; }],
  ["bprEpoch", "a seed that is no 32-bit number", "NATIVE_RANGE", (input) => { input.seed = 2 ** 32; }],
  ["bprEpoch", "epoch numbers past 32 bits", "NATIVE_RANGE", (input) => { input.firstEpoch = 2 ** 32 - 1; }],
  ["bprEpoch", "no batch", "NATIVE_RANGE", (input) => { input.batchCount = 0; }],
  ["bprEpoch", "no epochs", "NATIVE_RANGE", (input) => { input.epochs = 0; }],
  ["bprEpoch", "no state", "NATIVE_RANGE", (_, state) => { for (const key of Object.keys(state)) delete state[key]; }],
  ["lightGcnEpoch", "a negative layer count", "NATIVE_RANGE", (input) => { input.layers = -1; }],
  ["lightGcnEpoch", "layers left out", "NATIVE_RANGE", (input) => { delete input.layers; }],
  ["propagate", "no users", "NATIVE_RANGE", (input) => { input.userCount = 0; }],
  ["propagate", "positives of other rows", "NATIVE_CSR", (input) => { input.positives = csrOf([[0]]); }],
  ["attentionWeights", "heads that do not divide", "NATIVE_RANGE", (input) => { input.heads = 3; }],
  ["attentionWeights", "offsets of different lengths", "NATIVE_CSR", (input) => { input.keyOffsets = Uint32Array.of(0, 5); }],
  ["attentionWeights", "empty offsets", "NATIVE_CSR", (input) => { input.queryOffsets = new Uint32Array(0); }],
  ["attentionWeights", "a bias too short", "NATIVE_SHAPE", (input) => { input.bias = floats(4, 1); }],
  ["attentionWeights", "an unknown output", "NATIVE_RANGE", (input) => { input.output = "sum"; }],
  ["attentionWeights", "no k for top", "NATIVE_RANGE", (input) => { input.output = "top"; }],
  ["attentionWeights", "a k above 1000 for top", "NATIVE_RANGE", (input) => { Object.assign(input, { output: "top", k: 1001 }); }],
  ["bprEpoch", "hogwild under Adam", "NATIVE_RANGE", (input) => { input.update = "hogwild"; }],
  ["lightGcnEpoch", "an unknown operand", "NATIVE_RANGE", (input) => { input.operand = "fp8"; }],
  ["knapsack", "a capacity below the categories", "NATIVE_INFEASIBLE", (input) => { input.capacities = Uint32Array.of(3, 1); }],
  ["knapsack", "a capacity above all levels", "NATIVE_INFEASIBLE", (input) => { input.capacities = Uint32Array.of(3, 5); }],
  ["knapsack", "capacities of other instances", "NATIVE_SHAPE", (input) => { input.capacities = Uint32Array.of(3); }],
  ["knapsack", "an instance without a category", "NATIVE_RANGE", (input) => { Object.assign(input, { categoryOffsets: Uint32Array.of(0, 4, 4), capacities: Uint32Array.of(5, 3) }); }],
  ["knapsack", "a category without a level", "NATIVE_RANGE", (input) => { input.levels = Uint32Array.of(2, 0, 2, 2); }],
  ["knapsack", "values of the wrong length", "NATIVE_SHAPE", (input) => { input.values = new Float64Array(7); }],
  ["knapsack", "a NaN", "NATIVE_NOT_FINITE", (input) => { input.values = withValue(new Float64Array(8), NaN); }],
  ["knapsack", "values that overflow", "NATIVE_RANGE", (input) => { input.values = new Float64Array(8).fill(1e308); }],
  ["kmeans", "more centroids than points", "NATIVE_SHAPE", (input) => { input.centroids = new Float64Array(10); }],
  ["kmeans", "no centroid", "NATIVE_SHAPE", (input) => { input.centroids = new Float64Array(0); }],
  ["kmeans", "no rounds", "NATIVE_RANGE", (input) => { input.rounds = 0; }],
  ["kmeans", "a NaN", "NATIVE_NOT_FINITE", (input) => { input.points = withValue(new Float64Array(8), NaN); }],
  ["gram", "a column out of range", "NATIVE_CSR", (input) => { input.columnCount = 2; }],
  ["gram", "too many columns", "NATIVE_RANGE", (input) => { input.columnCount = 65536; }],
  ["gram", "offsets without an entry", "NATIVE_CSR", (input) => { input.positives = { offsets: new Uint32Array(0), columns: new Uint32Array(0) }; }],
  ["itemCooccurrence", "k 0", "NATIVE_RANGE", (input) => { input.k = 0; }],
  ["itemCooccurrence", "a column twice", "NATIVE_CSR", (input) => { input.positives = csrOf([[1, 1]]); }],
  ["cholesky", "a whole matrix for a triangle", "NATIVE_SHAPE", (input) => { input.matrix = new Float64Array(4); }],
  ["cholesky", "an infinite number", "NATIVE_NOT_FINITE", (input) => { input.matrix = Float64Array.of(Infinity, 0, 1); }],
  ["cholesky", "a matrix that is not positive definite", "NATIVE_NOT_POSITIVE", (input) => { input.matrix = Float64Array.of(1, 2, 1); }],
  ["rankUpdate", "half a vector", "NATIVE_SHAPE", (input) => { input.vectors = Float64Array.of(1); }],
  ["rankUpdate", "floats for doubles", "NATIVE_INPUT", (input) => { input.matrix = new Float32Array(3); }],
  ["hessianProduct", "a sample out of range", "NATIVE_RANGE", (input) => { input.items = Uint32Array.of(0, 2, 4); }],
  ["hessianProduct", "samples of different lengths", "NATIVE_SHAPE", (input) => { input.items = Uint32Array.of(0, 2); }],
  ["hessianProduct", "no negatives", "NATIVE_INPUT", (input) => { delete input.negatives; }],
  ["hessianProduct", "a label above 1", "NATIVE_RANGE", (input) => { Object.assign(input, { loss: "bce", labels: Float32Array.of(0, 1, 2) }); }],
  ["hessianProduct", "no graph for its layers", "NATIVE_INPUT", (input) => { delete input.positives; }],
  ["conjugateGradient", "rows that fall", "NATIVE_RANGE", (input) => { input.rows = Uint32Array.of(4, 0); }],
  ["conjugateGradient", "a row out of range", "NATIVE_RANGE", (input) => { input.rows = Uint32Array.of(0, 7); }],
  ["conjugateGradient", "a gradient of other rows", "NATIVE_SHAPE", (input) => { input.gradient = new Float64Array(6); }],
  ["conjugateGradient", "negative damping", "NATIVE_RANGE", (input) => { input.damping = -1; }],
];

/** Work that lasts until it is stopped. */
function endless(kernels: Kernels, options: RunOptions): Promise<unknown> {
  return kernels.bprEpoch(freshState(40, 60, 16), { ...training, optimiser: "adam", positives: sparse(40, 60, 0.3, 1), epochs: 1_000_000, learningRate: 1e-3 }, options);
}

describe.each(faces)("$device", (kernels) => {
  it.each(Object.keys(calls))("%s takes a valid call and leaves its arguments alone", async (name) => {
    let before = "", seen: Fields[] = [];
    const result = await calls[name](kernels, (input, state) => {
      seen = [input, state];
      before = bytesOf(seen);
    });
    expect(result).toBeDefined();
    expect(bytesOf(seen)).toBe(before);
  });

  it.each(refusals)("%s refuses %s with %s", async (name, _, code, change) => {
    const error: unknown = await calls[name](kernels, change).then(() => undefined, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(NativeError);
    expect((error as NativeError).code).toBe(code);
    expect((error as NativeError).message).toContain(name);
  });

  it.each(Object.keys(calls))("%s refuses arguments and options that are no objects", async (name) => {
    for (const bad of [undefined, null, 7, "x"]) {
      const call = kernels[name as "knapsack"] as (...values: unknown[]) => Promise<unknown>;
      await expect(call(bad, bad)).rejects.toBeInstanceOf(NativeError);
    }
    for (const bad of [null, 3, { signal: {} }, { signal: null }, { onProgress: 5 }]) {
      await expect(calls[name](kernels, undefined, bad as never)).rejects.toMatchObject({ code: "NATIVE_OPTIONS" });
    }
  });

  it("answers junk in any field with a result or a NativeError, never with a crash", async () => {
    const junk = fc.oneof(
      fc.constantFrom<unknown>(undefined, null, -1, 0, 1, 2, 3, 7, 0.5, NaN, Infinity, 2 ** 31, 2 ** 32, 2 ** 53, 1e300, "x", "adam", "mean", true, 5n),
      fc.constantFrom<() => unknown>(
        () => [], () => ({}), () => new Float32Array(0), () => new Float32Array(14), () => new Float64Array(8), () => new Uint32Array(4), () => Uint32Array.of(0, 9, 9, 9),
        () => ({ offsets: Uint32Array.of(0, 4294967295), columns: Uint32Array.of(1) }), () => ({ offsets: [0], columns: [] }),
        () => new Proxy({}, { get: () => { throw new Error("trap"); } }), () => Symbol("s"), () => () => 1,
      ).map((make) => make()),
    );
    await fc.assert(fc.asyncProperty(fc.constantFrom(...Object.keys(calls)), fc.nat(20), junk, async (name, field, value) => {
      await calls[name](kernels, (input, state) => {
        const [target, key] = [...Object.keys(state).map((one) => [state, one] as const), ...Object.keys(input).map((one) => [input, one] as const)]
          .filter((_, at, all) => at === field % all.length)[0];
        // An epoch count of billions is valid and endless.
        if (key !== "epochs") target[key] = value;
      }).catch((error: unknown) => { expect(error).toBeInstanceOf(NativeError); });
    }), { numRuns: 400 });
  });

  it("rejects with the signal's reason: before, during, and for a call that waits behind another", async () => {
    const reason = new Error("the reader turned the page");
    await expect(endless(kernels, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const first = new AbortController(), second = new AbortController();
    const running = endless(kernels, { signal: first.signal }), waiting = endless(kernels, { signal: second.signal });
    setTimeout(() => second.abort(reason), 20);
    await expect(waiting).rejects.toBe(reason);
    first.abort();
    await expect(running).rejects.toMatchObject({ name: "AbortError" });
    expect(await calls.knapsack(kernels)).toBeDefined();
  });

  it("leaves the event loop free: timers go on firing during a long call", async () => {
    const controller = new AbortController();
    let ticks = 0;
    const timer = setInterval(() => { if (++ticks === 5) controller.abort(); }, 5);
    try {
      await expect(endless(kernels, { signal: controller.signal })).rejects.toMatchObject({ name: "AbortError" });
    } finally {
      clearInterval(timer);
    }
    expect(ticks).toBeGreaterThanOrEqual(5);
  });

  it("reports progress: rising, and the whole at the end", async () => {
    for (const [name, call] of Object.entries(calls)) {
      const seen: [number, number][] = [];
      await call(kernels, undefined, { onProgress: (done, total) => seen.push([done, total]) });
      const last = seen[seen.length - 1];
      expect(last[0], name).toBe(last[1]);
      expect(last[1], name).toBeGreaterThan(0);
    }
    const controller = new AbortController(), seen: number[] = [];
    await endless(kernels, { signal: controller.signal, onProgress: (done) => { if (seen.push(done) === 3) controller.abort(); } }).catch(() => undefined);
    expect(seen.length).toBe(3);
    expect(seen[0] > 0 && seen[0] < seen[1] && seen[1] < seen[2]).toBe(true);
  });

  it("fails with what onProgress threw", async () => {
    const thrown = new Error("display gone");
    await expect(endless(kernels, { onProgress: () => { throw thrown; } })).rejects.toBe(thrown);
  });

  it("reads its arguments once: writes, transfers and resizes during the call change nothing", async () => {
    const input = { userCount: 40, itemCount: 60, dimension: 64, parameters: floats(6400, 1), positives: sparse(40, 60, 0.3, 1), layers: 3 };
    const wanted = bytesOf(await kernels.propagate(input));
    const resizable = new (ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer & { resize(length: number): void })(25600, { maxByteLength: 51200 });
    const inside = new Float32Array(resizable);
    inside.set(input.parameters);
    const [a, b, c] = [kernels.propagate({ ...input, parameters: input.parameters.slice() }), kernels.propagate({ ...input, parameters: inside }), (() => {
      const moved = input.parameters.slice();
      const call = kernels.propagate({ ...input, parameters: moved });
      structuredClone(moved.buffer, { transfer: [moved.buffer as ArrayBuffer] });
      return call;
    })()];
    resizable.resize(0);
    const d = kernels.propagate(input);
    input.positives.columns.fill(4294967295);
    input.parameters.fill(NaN);
    for (const call of [a, b, c, d]) expect(bytesOf(await call)).toBe(wanted);
  });

  it("keeps calls that run at the same time apart", async () => {
    const inputs = [1, 2, 3, 4, 5].map((seed) => ({ userCount: 20, itemCount: 30, dimension: 9, parameters: floats(450, seed), positives: sparse(20, 30, 0.2, seed), layers: seed }));
    const together = await Promise.all(inputs.map((input) => kernels.propagate(input)));
    for (const [at, input] of inputs.entries()) expect(bytesOf(together[at])).toBe(bytesOf(await kernels.propagate(input)));
  });
});
