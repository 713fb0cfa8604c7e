import { NativeError } from "../../core/errors.js";
import { Breather, type RunOptions } from "../../core/progress.js";
import { checkOptions } from "../check.js";
import { checkCholesky, checkRankUpdate, type CheckedCholesky, type CheckedRankUpdate } from "../checkmath.js";
import type { CholeskyInput, RankUpdateInput } from "../kernels.js";
import { fusedMultiplyAdd } from "./fused.js";
import { Ticker } from "./ticker.js";

/**
 * Dense symmetric matrices in double. Every entry is one chain of fused multiply-adds in ascending order, so it does not
 * matter in which tiles, or by whom, the entries are worked out:
 *   factor   s = a[i][j];  k = 0 .. j - 1: s = fma(-l[i][k], l[j][k], s);  l[i][j] = s / l[j][j], l[j][j] = sqrt(s)
 *   M = 1/L  s = 0;  k = j .. i - 1: s = fma(-l[i][k], m[k][j], s);  m[i][j] = s / l[i][i], m[j][j] = 1 / l[j][j]
 *   inverse  s = 0;  k = i .. n - 1: s = fma(m[k][i], m[k][j], s);  p[i][j] = s + 0 (no -0), j <= i
 *   update   s = a[i][j];  r = 0, 1, ...: s = fma(weights[r] * v[r][i], v[r][j], s), j <= i
 * A pivot s that is not a finite positive number rejects, and so does M with an entry of 2^500 or more: its products could overflow.
 */
export async function cholesky(input: CholeskyInput, options?: RunOptions): Promise<Float64Array> {
  const checkedOptions = checkOptions(options), checked = checkCholesky(input);
  return checked.held ? inTurn(checked.matrix, () => replace(checked, checkedOptions)) : replace(checked, checkedOptions);
}

async function replace({ matrix, held, size, output }: CheckedCholesky, { signal, onProgress }: RunOptions): Promise<Float64Array> {
  if (held) requireFinite("cholesky", matrix);
  const breather = new Breather(signal), ticker = new Ticker(onProgress, output === "factor" ? size : 3 * size);
  const pause = async (row: number): Promise<void> => {
    if (!breather.due()) return;
    await breather.pause();
    ticker.at(row);
  };
  const rows = await factor(matrix, size, pause);
  if (output === "inverse") {
    await invertFactor(rows, (row) => pause(size + row));
    requireRange(rows);
    await multiplyInverse(rows, (row) => pause(2 * size + row));
  }
  ticker.end();
  for (let i = 0; i < size; i++) matrix.set(rows[i], (i * (i + 1)) / 2);
  return held ? new Float64Array(0) : matrix;
}

type Pause = (row: number) => Promise<void>;

/** Row i of the lower triangle as its own array [i + 1]. */
async function factor(matrix: Float64Array, size: number, pause: Pause): Promise<Float64Array[]> {
  const rows: Float64Array[] = [];
  for (let i = 0; i < size; i++) {
    const row = matrix.slice((i * (i + 1)) / 2, ((i + 1) * (i + 2)) / 2);
    rows.push(row);
    for (let j = 0; j <= i; j++) {
      const other = rows[j];
      let sum = row[j];
      for (let k = 0; k < j; k++) sum = fusedMultiplyAdd(-row[k], other[k], sum);
      if (j < i) {
        row[j] = sum / other[j];
      } else {
        if (!(sum > 0 && sum < Infinity)) {
          const found = `the matrix is not positive definite: the pivot of column ${j} is not a positive number`;
          throw new NativeError("NATIVE_NOT_POSITIVE", `cholesky: ${found}.`, {
            hint: "Add a larger multiple of the identity, or rebuild the matrix from its data.",
          });
        }
        row[j] = Math.sqrt(sum);
      }
    }
    await pause(i);
  }
  return rows;
}

/** L -> its inverse, in place: row i needs the rows above it and its own L. */
async function invertFactor(rows: Float64Array[], pause: Pause): Promise<void> {
  for (let i = 0; i < rows.length; i++) {
    const l = rows[i], m = new Float64Array(i + 1);
    for (let j = 0; j < i; j++) {
      let sum = 0;
      for (let k = j; k < i; k++) sum = fusedMultiplyAdd(-l[k], rows[k][j], sum);
      m[j] = sum / l[i];
    }
    m[i] = 1 / l[i];
    rows[i] = m;
    await pause(i);
  }
}

function requireRange(rows: Float64Array[]): void {
  let bad = Infinity;
  for (const row of rows) row.forEach((value, column) => { if (!(Math.abs(value) < 2 ** 500)) bad = Math.min(bad, column); });
  if (bad === Infinity) return;
  const found = `the inverse leaves the range of double: column ${bad} of the factor's inverse is too large`;
  throw new NativeError("NATIVE_NOT_POSITIVE", `cholesky: ${found}.`, {
    hint: "Scale the matrix, or add a larger multiple of the identity.",
  });
}

/** M -> M' M, in place: row i needs itself and the rows below it. */
async function multiplyInverse(rows: Float64Array[], pause: Pause): Promise<void> {
  const size = rows.length;
  for (let i = 0; i < size; i++) {
    const product = new Float64Array(i + 1);
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = i; k < size; k++) sum = fusedMultiplyAdd(rows[k][i], rows[k][j], sum);
      product[j] = sum + 0;
    }
    rows[i] = product;
    await pause(i);
  }
}

/** See {@link cholesky} for the order of operations. The update of a held matrix is never left half done: it does not hear `signal`. */
export async function rankUpdate(input: RankUpdateInput, options?: RunOptions): Promise<Float64Array> {
  const checkedOptions = checkOptions(options), checked = checkRankUpdate(input);
  return checked.held ? inTurn(checked.matrix, () => update(checked, checkedOptions)) : update(checked, checkedOptions);
}

async function update({ matrix, held, size, vectors, weights }: CheckedRankUpdate, { signal, onProgress }: RunOptions): Promise<Float64Array> {
  if (held) requireFinite("rankUpdate", matrix);
  const breather = new Breather(held ? undefined : signal), ticker = new Ticker(onProgress, weights.length * size);
  let finite = true;
  for (let r = 0; r < weights.length; r++) {
    const vector = vectors.subarray(r * size, (r + 1) * size);
    for (let i = 0; i < size; i++) {
      const first = (i * (i + 1)) / 2, factor = weights[r] * vector[i];
      for (let j = 0; j <= i; j++) {
        matrix[first + j] = fusedMultiplyAdd(factor, vector[j], matrix[first + j]);
        finite &&= Number.isFinite(matrix[first + j]);
      }
      if (breather.due()) {
        await breather.pause();
        ticker.at(r * size + i);
      }
    }
  }
  if (!finite) {
    throw new NativeError("NATIVE_DIVERGED", "rankUpdate: the updated matrix leaves the finite numbers; a held matrix is spoilt.", {
      hint: "Scale the matrix and the vectors.",
    });
  }
  ticker.end();
  return held ? new Float64Array(0) : matrix;
}

/** The last call made on each held matrix: work pauses, and calls must not see each other half done. */
const turns = new WeakMap<object, Promise<unknown>>();

function inTurn<T>(matrix: Float64Array, work: () => Promise<T>): Promise<T> {
  const turn = settled(matrix).then(work);
  turns.set(matrix, turn);
  return turn;
}

/** Resolves when all calls made so far that change a held value are done. */
export async function settled(held: object): Promise<void> {
  await turns.get(held)?.catch(() => undefined);
}

/** A held matrix that an update has spoilt. */
function requireFinite(kernel: string, matrix: Float64Array): void {
  const at = matrix.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) throw new NativeError("NATIVE_NOT_FINITE", `${kernel}: matrix holds ${matrix[at]} at position ${at}.`);
}
