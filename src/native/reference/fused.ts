/**
 * a * b + c in double, rounded once: what the processors' fused multiply-add gives. Where nothing can overflow or underflow, by the
 * emulation of Boldo and Melquiond (IEEE Transactions on Computers 57, 2008): product and sums with their exact errors, the errors
 * added with rounding to odd, one last addition. Everywhere else by whole numbers.
 */
export function fusedMultiplyAdd(a: number, b: number, c: number): number {
  if (a === 0 || b === 0) return a * b + c;
  // The exact product is not 0, so the product rounds as the sum would; its sign survives underflow.
  if (c === 0) return a * b;
  const x = Math.abs(a), y = Math.abs(b);
  if (!(x > SMALL && x < LARGE && y > SMALL && y < LARGE && Math.abs(c) < LARGE * LARGE)) return wideMultiplyAdd(a, b, c);
  // Dekker's product: a b = product + low, by halves of 26 bits.
  const product = a * b;
  let t = 134217729 * a;
  const a1 = t - (t - a), a2 = a - a1;
  t = 134217729 * b;
  const b1 = t - (t - b), b2 = b - b1;
  const low = ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2;
  // Knuth's sums: c + low = sum + error, product + sum = high + rest.
  const sum = c + low;
  t = sum - c;
  const error = (c - (sum - t)) + (low - t);
  const high = product + sum;
  t = high - product;
  const rest = (product - (high - t)) + (sum - t);
  return high + addToOdd(error, rest);
}

const SMALL = 2 ** -450, LARGE = 2 ** 450;

const double = new Float64Array(1), words = new Uint32Array(double.buffer);
const LOW = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 0 : 1;

/** a + b, and where that is not exact, the neighbour whose last bit is 1. */
function addToOdd(a: number, b: number): number {
  const sum = a + b, t = sum - a, error = (a - (sum - t)) + (b - t);
  if (error === 0) return sum;
  double[0] = sum;
  if ((words[LOW] & 1) === 1) return sum;
  if (error > 0 === sum > 0) words[LOW] |= 1;
  else if (words[LOW]-- === 0) words[1 - LOW]--;
  return double[0];
}

/** The same for all numbers, slowly. */
function wideMultiplyAdd(a: number, b: number, c: number): number {
  if (!Number.isFinite(a) || !Number.isFinite(b)) return a * b + c;
  if (!Number.isFinite(c)) return c;
  const first = parts(a), second = parts(b), third = parts(c);
  const exponent = first.exponent + second.exponent, base = Math.min(exponent, third.exponent);
  const sum = ((first.mantissa * second.mantissa) << BigInt(exponent - base)) + (third.mantissa << BigInt(third.exponent - base));
  if (sum === 0n) return 0;
  return sum > 0n ? nearest(sum, base) : -nearest(-sum, base);
}

/** value = mantissa * 2^exponent. */
function parts(value: number): { mantissa: bigint; exponent: number } {
  double[0] = value;
  const biased = (words[1 - LOW] >>> 20) & 0x7ff;
  const fraction = (BigInt(words[1 - LOW] & 0xfffff) << 32n) | BigInt(words[LOW]);
  const mantissa = biased > 0 ? fraction | (1n << 52n) : fraction;
  return { mantissa: value < 0 ? -mantissa : mantissa, exponent: Math.max(biased, 1) - 1075 };
}

/** The double nearest to mantissa * 2^exponent (mantissa > 0), ties to even. */
function nearest(mantissa: bigint, exponent: number): number {
  const last = Math.max(mantissa.toString(2).length + exponent - 53, -1074), drop = last - exponent;
  if (drop <= 0) return Number(mantissa << BigInt(-drop)) * 2 ** last;
  const quotient = mantissa >> BigInt(drop), rest = mantissa - (quotient << BigInt(drop)), half = 1n << BigInt(drop - 1);
  const up = rest > half || (rest === half && (quotient & 1n) === 1n);
  return Number(quotient + (up ? 1n : 0n)) * 2 ** last;
}
