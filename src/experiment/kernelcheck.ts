import { KeyedRandom } from "../core/rng.js";
import type { Csr } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";
import type { KernelName, Kernels, TrainingState } from "../native/kernels.js";

/** One kernel on one face: does it agree with the reference, and how fast is it on this small shape? */
export interface KernelCheck {
  kernel: KernelName;
  face: string;
  /** Bit for bit equal to the TypeScript face; undefined for that face itself. */
  agrees: boolean | undefined;
  seconds: number;
  /** Work units a second. */
  rate: number;
  unit: string;
}

interface Case {
  kernel: KernelName;
  units: number;
  unit: string;
  run(kernels: Kernels, options: RunOptions): Promise<ArrayBufferView[]>;
}

const USERS = 200, ITEMS = 500, DIMENSION = 32, EACH = 20;

/**
 * Runs every kernel of the contract on a small shape, on `faces`, and compares the bytes with the first one, which must be the
 * TypeScript face. About a second; the rates are for orientation, a small shape starts no second thread for long.
 */
export async function checkKernels(faces: readonly Kernels[], options: RunOptions = {}): Promise<KernelCheck[]> {
  const checks: KernelCheck[] = [];
  const cases = casesOf();
  for (const [at, { kernel, units, unit, run }] of cases.entries()) {
    let expected: ArrayBufferView[] | undefined;
    for (const face of faces) {
      await run(face, options);
      const start = performance.now();
      const values = await run(face, options);
      const seconds = Math.max(1e-6, (performance.now() - start) / 1000);
      checks.push({ kernel, face: face.face, agrees: expected ? sameBytes(expected, values) : undefined, seconds, rate: units / seconds, unit });
      expected ??= values;
    }
    options.onProgress?.(at + 1, cases.length, kernel);
  }
  return checks;
}

function casesOf(): Case[] {
  const random = new KeyedRandom(1, "probe");
  const table = (rows: number, row0: number): Float32Array => {
    const values = new Float32Array(rows * DIMENSION), row = new Float32Array(DIMENSION);
    for (let at = 0; at < rows; at++) {
      random.normals(row0 + at, row, 0.1);
      values.set(row, at * DIMENSION);
    }
    return values;
  };
  const users = table(USERS, 0), items = table(ITEMS, USERS);
  const offsets = Uint32Array.from({ length: USERS + 1 }, (_, user) => user * EACH);
  const columns = new Uint32Array(USERS * EACH);
  const gap = ITEMS / EACH;
  for (let row = 0; row < columns.length; row++) columns[row] = (row % EACH) * gap + ((Math.floor(row / EACH) * 7) % gap);
  const positives: Csr = { offsets, columns };
  const parameters = new Float32Array(users.length + items.length);
  parameters.set(users);
  parameters.set(items, users.length);
  const state = (): TrainingState => ({
    userCount: USERS, itemCount: ITEMS, dimension: DIMENSION, parameters: parameters.slice(),
    first: new Float32Array(parameters.length), second: new Float32Array(parameters.length), step: 0,
  });
  const training = {
    positives, seed: 1, firstEpoch: 0, epochs: 2, batchCount: 4, learningRate: 0.01, regularisation: 0.001, optimiser: "adam",
  } as const;
  const instances = 50, categories = 5, levels = 10;
  const values = Float64Array.from({ length: instances * categories * levels }, (_, at) => random.uniform(at, 1));
  const every = (step: number): Uint32Array => Uint32Array.from({ length: 11 }, (_, user) => user * step);
  const keyOffsets = every(50), queryOffsets = every(20);
  const graph = { userCount: USERS, itemCount: ITEMS, dimension: DIMENSION, parameters, positives, layers: 2 };
  const choice = { values, instances, categories, levels, capacity: 20, boundary: "exact" } as const;
  return [
    {
      kernel: "scoreTopK", units: USERS * ITEMS, unit: "scores",
      run: async (kernels, options) => {
        const { items: best, scores } = await kernels.scoreTopK({ users, items, dimension: DIMENSION, mask: positives, k: 20 }, signalOf(options));
        return [best, scores];
      },
    },
    {
      kernel: "bprEpoch", units: 2 * columns.length, unit: "samples",
      run: async (kernels, options) => [(await kernels.bprEpoch(state(), training, signalOf(options))).state.parameters],
    },
    {
      kernel: "lightGcnEpoch", units: 2 * columns.length, unit: "samples",
      run: async (kernels, options) => [(await kernels.lightGcnEpoch(state(), { ...training, layers: 2 }, signalOf(options))).state.parameters],
    },
    {
      kernel: "propagate", units: 4 * columns.length, unit: "edges",
      run: async (kernels, options) => [await kernels.propagate(graph, signalOf(options))],
    },
    {
      kernel: "attentionWeights", units: 10 * 50 * 20, unit: "weights",
      run: async (kernels, options) => [await kernels.attentionWeights({
        queries: users, queryOffsets, keys: items, keyOffsets, dimension: DIMENSION, heads: 4, output: "max",
      }, signalOf(options))],
    },
    {
      kernel: "knapsack", units: instances, unit: "instances",
      run: async (kernels, options) => {
        const { choices, totals } = await kernels.knapsack(choice, signalOf(options));
        return [choices, totals];
      },
    },
  ];
}

function sameBytes(a: readonly ArrayBufferView[], b: readonly ArrayBufferView[]): boolean {
  return a.length === b.length && a.every((view, at) => {
    const other = b[at]!;
    return Buffer.from(view.buffer, view.byteOffset, view.byteLength).equals(Buffer.from(other.buffer, other.byteOffset, other.byteLength));
  });
}

function signalOf({ signal }: RunOptions): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}
