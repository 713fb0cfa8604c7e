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
