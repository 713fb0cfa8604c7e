import type { TrainingState } from "../kernels.js";

const { fround } = Math;
const FIRST = fround(0.9), FIRST_REST = fround(0.1), SECOND = fround(0.999), SECOND_REST = fround(0.001), EPSILON = fround(1e-8);

/** Steps of a window: the steps that do not read a row are taken together inside it, never across its ends. */
export const WINDOW = 64;
/** What one idle step of Adam leaves of m / sqrt(v). */
const FADE = 0.9 / Math.sqrt(0.999);

/** base^exponent by squaring: the same few products in C++, whatever the step it starts from. */
export function power(base: number, exponent: number): number {
  let result = 1;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= base;
    base *= base;
  }
  return result;
}

/** One SGD step of a row; `decay` is its whole L2 weight, or undefined for a row outside the batch. */
export function sgdRow(parameters: Float32Array, gradient: Float32Array, row: number, dimension: number, decay: number | undefined): void {
  for (let at = row * dimension; at < (row + 1) * dimension; at++) {
    const value = parameters[at], h = gradient[at];
    parameters[at] = value - (decay === undefined ? h : fround(h + fround(decay * value)));
  }
}

/** The factors of one row's step and the idle ones that follow it: all float32. */
export interface AdamFactors {
  rate: number;
  keepFirst: number;
  keepSecond: number;
}

/** m / (sqrt(v) + eps), each operation rounded to float32. */
function direction(m: number, v: number): number {
  return fround(m / fround(fround(Math.sqrt(v)) + EPSILON));
}

/** One Adam step of a row and the idle ones after it; `decay` as in {@link sgdRow}. */
export function adamRow(state: TrainingState, gradient: Float32Array, row: number, decay: number | undefined, factors: AdamFactors): void {
  const { parameters, first, second, dimension } = state;
  const { rate, keepFirst, keepSecond } = factors;
  for (let at = row * dimension; at < (row + 1) * dimension; at++) {
    const value = parameters[at], h = gradient[at];
    const g = decay === undefined ? h : fround(h + fround(decay * value));
    const m = fround(fround(FIRST * first[at]) + fround(FIRST_REST * g));
    const v = fround(fround(SECOND * second[at]) + fround(SECOND_REST * fround(g * g)));
    parameters[at] = value - fround(rate * direction(m, v));
    first[at] = keepFirst * m;
    second[at] = keepSecond * v;
  }
}

/** Idle steps of a row, from its moments as they stand. */
export function idleRow({ parameters, first, second, dimension }: TrainingState, row: number, { rate, keepFirst, keepSecond }: AdamFactors): void {
  for (let at = row * dimension; at < (row + 1) * dimension; at++) {
    const m = first[at], v = second[at];
    parameters[at] -= fround(rate * direction(m, v));
    first[at] = keepFirst * m;
    second[at] = keepSecond * v;
  }
}

/** Adam's factors inside a window of `steps` steps that follows `done` steps. */
export class AdamWindow {
  private readonly rates: Float64Array;

  constructor(learningRate: number, done: number, private readonly steps: number) {
    this.rates = Float64Array.from({ length: steps }, (_, at) => {
      const t = done + at + 1;
      return (learningRate * Math.sqrt(1 - power(0.999, t))) / (1 - power(0.9, t));
    });
  }

  /** Of step `at` and k idle steps after it, k = 0, 1, ... to the end of the window. */
  after(at: number): AdamFactors[] {
    const factors: AdamFactors[] = [];
    let factor = 1, sum = 0;
    for (let idle = 0; at + idle < this.steps; idle++) {
      sum += this.rates[at + idle] * factor;
      factors.push(this.factors(sum, idle));
      factor *= FADE;
    }
    return factors;
  }

  /** Of the first k steps of the window, all idle: k = 0, 1, ... `steps`. */
  before(): AdamFactors[] {
    const factors = [this.factors(0, 0)];
    let factor = 1, sum = 0;
    for (let idle = 1; idle <= this.steps; idle++) {
      factor *= FADE;
      sum += this.rates[idle - 1] * factor;
      factors.push(this.factors(sum, idle));
    }
    return factors;
  }

  private factors(rate: number, idle: number): AdamFactors {
    return { rate: fround(rate), keepFirst: fround(power(0.9, idle)), keepSecond: fround(power(0.999, idle)) };
  }
}

/** Which steps of a window read which rows: a bit for each step, in two words a row. */
export class Readings {
  private readonly low: Uint32Array;
  private readonly high: Uint32Array;

  constructor(rows: number) {
    this.low = new Uint32Array(rows);
    this.high = new Uint32Array(rows);
  }

  clear(): void {
    this.low.fill(0);
    this.high.fill(0);
  }

  mark(row: number, step: number): void {
    if (step < 32) this.low[row] |= 1 << step;
    else this.high[row] |= 1 << (step - 32);
  }

  /** The first step from `from` on that reads the row; `steps` when none does. */
  next(row: number, from: number, steps: number): number {
    const low = from < 32 ? this.low[row] >>> from : 0;
    if (low !== 0) return from + lowestBit(low);
    const start = Math.max(from, 32), high = start < 64 ? this.high[row] >>> (start - 32) : 0;
    return high !== 0 ? start + lowestBit(high) : steps;
  }
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}
