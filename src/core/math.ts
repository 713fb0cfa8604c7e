/**
 * exp, log and cosine with a fixed order of IEEE double operations, so that every JavaScript engine and the C++ core
 * (native/math.h holds the same steps) give the same bits. `Math.exp` and friends promise no such thing. Relative error
 * below 4e-16 (exp, log) and absolute error below 1e-15 (cosTurn) on the ranges we use.
 */
const LN2_HIGH = 6.93147180369123816490e-1;
const LN2_LOW = 1.90821492927058770002e-10;
const INV_LN2 = 1.44269504088896338700;

const buffer = new DataView(new ArrayBuffer(8));

/** 2^n for -1022 <= n <= 1023, exactly. */
function powerOfTwo(n: number): number {
  buffer.setUint32(0, ((n + 1023) << 20) >>> 0);
  buffer.setUint32(4, 0);
  return buffer.getFloat64(0);
}

/** e^x. Below -700 returns 0, above 700 Infinity: no kernel of ours needs subnormals. */
export function exp(x: number): number {
  if (x !== x) return x;
  if (x < -700) return 0;
  if (x > 700) return Infinity;
  const n = Math.floor(x * INV_LN2 + 0.5);
  const r = x - n * LN2_HIGH - n * LN2_LOW;
  // Taylor to degree 13 on |r| <= ln2/2, Horner form.
  let p = 1.6059043836821613e-10;
  p = p * r + 2.08767569878681e-9;
  p = p * r + 2.505210838544172e-8;
  p = p * r + 2.755731922398589e-7;
  p = p * r + 2.7557319223985893e-6;
  p = p * r + 2.48015873015873e-5;
  p = p * r + 1.984126984126984e-4;
  p = p * r + 1.388888888888889e-3;
  p = p * r + 8.333333333333333e-3;
  p = p * r + 4.1666666666666664e-2;
  p = p * r + 1.6666666666666666e-1;
  p = p * r + 0.5;
  p = p * r + 1;
  p = p * r + 1;
  return p * powerOfTwo(n);
}

/** Natural logarithm of a positive normal number; -Infinity at 0, NaN below. */
export function log(x: number): number {
  if (!(x > 0)) return x === 0 ? -Infinity : NaN;
  if (x === Infinity) return x;
  buffer.setFloat64(0, x);
  const high = buffer.getUint32(0);
  let exponent = (high >>> 20) - 1023;
  buffer.setUint32(0, (high & 0xfffff) | 0x3ff00000);
  let m = buffer.getFloat64(0);
  if (m > 1.4142135623730951) {
    m = m * 0.5;
    exponent = exponent + 1;
  }
  // log(m) = 2 atanh(s), s = (m-1)/(m+1), |s| <= 0.1716.
  const s = (m - 1) / (m + 1);
  const z = s * s;
  let p = 1 / 23;
  p = p * z + 1 / 21;
  p = p * z + 1 / 19;
  p = p * z + 1 / 17;
  p = p * z + 1 / 15;
  p = p * z + 1 / 13;
  p = p * z + 1 / 11;
  p = p * z + 1 / 9;
  p = p * z + 1 / 7;
  p = p * z + 1 / 5;
  p = p * z + 1 / 3;
  p = p * z + 1;
  return exponent * LN2_HIGH + (2 * s * p + exponent * LN2_LOW);
}

/** sigma(x) = 1 / (1 + e^-x). */
export function sigmoid(x: number): number {
  return 1 / (1 + exp(-x));
}

/** ln(1 + e^x) without overflow: max(x, 0) + ln(1 + e^-|x|). */
export function softplus(x: number): number {
  return (x > 0 ? x : 0) + log(1 + exp(x > 0 ? -x : x));
}

/** e^-|x|: what {@link bprLoss} and {@link bprSlope} of x are made of. */
export function bprFall(x: number): number {
  return exp(x > 0 ? -x : x);
}

/** softplus(-x) = -ln sigma(x), the BPR loss of a difference x, from fall = e^-|x|. */
export function bprLoss(x: number, fall: number): number {
  return (x > 0 ? 0 : -x) + log(1 + fall);
}

/** sigma(-x), minus the slope of {@link bprLoss}, from fall = e^-|x|. */
export function bprSlope(x: number, fall: number): number {
  return (x > 0 ? fall : 1) / (1 + fall);
}

/** cos(2 pi t) for t in [0, 1): the angle of Box-Muller, given as a share of the full turn. */
export function cosTurn(t: number): number {
  // Fold to [-1/8, 1/8] of a turn, where short series for sine and cosine are exact to the last bits.
  const quarter = Math.floor(t * 4 + 0.5);
  const r = (t - quarter * 0.25) * 6.283185307179586;
  const z = r * r;
  let c = 4.779477332387385e-14;
  c = c * -z + 1.1470745597729725e-11;
  c = c * -z + 2.08767569878681e-9;
  c = c * -z + 2.755731922398589e-7;
  c = c * -z + 2.48015873015873e-5;
  c = c * -z + 1.388888888888889e-3;
  c = c * -z + 4.1666666666666664e-2;
  c = c * -z + 0.5;
  c = c * -z + 1;
  let s = 7.647163731819816e-13;
  s = s * -z + 1.6059043836821613e-10;
  s = s * -z + 2.505210838544172e-8;
  s = s * -z + 2.7557319223985893e-6;
  s = s * -z + 1.984126984126984e-4;
  s = s * -z + 8.333333333333333e-3;
  s = s * -z + 1.6666666666666666e-1;
  s = s * -z + 1;
  s = s * r;
  switch (quarter & 3) {
    case 0:
      return c;
    case 1:
      return -s;
    case 2:
      return -c;
    default:
      return s;
  }
}

/**
 * a * b + c with one rounding to float32: what a processor's fused multiply-add gives. All three must be float32 values. The
 * product is exact in double (24 + 24 bits fit in 53), so only the sum rounds before the rounding to float32, and that first
 * rounding matters only where it lands halfway between two float32: then the part it lost decides.
 */
export function fma32(a: number, b: number, c: number): number {
  const product = a * b, sum = product + c;
  const rounded = Math.fround(sum), rest = sum - rounded;
  if (rest === 0) return rounded;
  // Halfway, and only there, the neighbour on the other side is a float32 too.
  const other = rounded + 2 * rest;
  if (Math.fround(other) !== other && rest - rest === 0) return rounded;
  const back = sum - product, lost = product - (sum - back) + (c - back);
  if (rest - rest !== 0) return sum === Math.sign(sum) * OVERFLOW_32 && lost * sum < 0 ? Math.sign(sum) * MAX_32 : rounded;
  if (lost > 0) return Math.max(rounded, other);
  return lost < 0 ? Math.min(rounded, other) : rounded;
}

/** The smallest number that rounds to infinity: halfway between the largest float32 and 2^128. */
const OVERFLOW_32 = 2 ** 128 - 2 ** 103;
const MAX_32 = 2 ** 128 - 2 ** 104;

const LOG2E_32 = Math.fround(1.4426950408889634);
const LN2_HIGH_32 = 0.6931471824645996;
const LN2_LOW_32 = -1.9046542121259336e-9;
/** Adding 1.5 * 2^23 rounds a small number to a whole one. */
const SHIFTER_32 = 12582912;
/** 2^n for n = -93 .. 127, at n + 93. */
const POWERS = Float64Array.from({ length: 221 }, (_, at) => powerOfTwo(at - 93));

/**
 * e^x in float32 for a float32 x of at most 88; below -64 it is 0. Within 1 unit in the last place, 1 at 0. Beside the
 * e^0 = 1 of a softmax nothing below e^-64 = 1.6e-28 can be seen, and products with what remains stay normal numbers, which
 * processors multiply at full speed.
 */
export function exp32(x: number): number {
  if (x < -64) return 0;
  const n = Math.fround(fma32(x, LOG2E_32, SHIFTER_32) - SHIFTER_32);
  const r = fma32(n, -LN2_LOW_32, fma32(n, -LN2_HIGH_32, x));
  let p = 0.0013820689637213945;
  p = fma32(p, r, 0.008368675597012043);
  p = fma32(p, r, 0.04166826605796814);
  p = fma32(p, r, 0.1666652113199234);
  p = fma32(p, r, 0.4999999403953552);
  p = fma32(p, r, 1);
  p = fma32(p, r, 1);
  return p * POWERS[n + 93];
}
