// exp, log, sigmoid, softplus and Philox with the very operations of src/core/math.ts and src/core/rng.ts, so that both
// languages give the same bits. Needs -ffp-contract=off. Everything is static: this header is compiled once per instruction
// set, and a shared copy from the AVX-512 object would crash older processors. Branches are written as selections and
// integer conversions as additions of 1.5 * 2^52, which compilers turn into vector code on every instruction set.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

namespace cragru {

static inline uint64_t bitsOf(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline double fromBits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static const double LN2_HIGH = 6.93147180369123816490e-1;
static const double LN2_LOW = 1.90821492927058770002e-10;
static const double INV_LN2 = 1.44269504088896338700;
// Adding it moves a small whole number into the low bits of the mantissa.
static const double SHIFTER = 6755399441055744.0;

// e^x; 0 below -700, infinity above 700. Not for NaN.
static inline double expOf(double x) {
  double y = x < -700.0 ? -700.0 : x;
  y = y > 700.0 ? 700.0 : y;
  const double t = y * INV_LN2 + 0.5;
  // floor by hand: SSE2 has no instruction for it. Round to nearest, then step down where that went up.
  double n = (t + SHIFTER) - SHIFTER;
  n = n > t ? n - 1.0 : n;
  const double r = y - n * LN2_HIGH - n * LN2_LOW;
  double p = 1.6059043836821613e-10;
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
  p = p * r + 1.0;
  p = p * r + 1.0;
  const double scale = fromBits((bitsOf(n + SHIFTER) + 1023u) << 52);
  double result = p * scale;
  result = x < -700.0 ? 0.0 : result;
  return x > 700.0 ? HUGE_VAL : result;
}

// Natural logarithm of a finite number of at least the smallest normal double: all that softplus needs.
static inline double logOf(double x) {
  const uint64_t bits = bitsOf(x);
  double exponent = fromBits((bits >> 52) + bitsOf(SHIFTER)) - SHIFTER - 1023.0;
  double m = fromBits((bits & 0xfffffffffffffull) | 0x3ff0000000000000ull);
  const bool upper = m > 1.4142135623730951;
  m = upper ? m * 0.5 : m;
  exponent = upper ? exponent + 1.0 : exponent;
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double p = 1.0 / 23.0;
  p = p * z + 1.0 / 21.0;
  p = p * z + 1.0 / 19.0;
  p = p * z + 1.0 / 17.0;
  p = p * z + 1.0 / 15.0;
  p = p * z + 1.0 / 13.0;
  p = p * z + 1.0 / 11.0;
  p = p * z + 1.0 / 9.0;
  p = p * z + 1.0 / 7.0;
  p = p * z + 1.0 / 5.0;
  p = p * z + 1.0 / 3.0;
  p = p * z + 1.0;
  return exponent * LN2_HIGH + (2.0 * s * p + exponent * LN2_LOW);
}

#if !defined(__CUDACC__)  // native/cuda/device_math.h has its own
// a * b + c with one rounding to float32. Without the instruction: the product is exact in double, so only the sum rounds
// before the rounding to float32; where that may have landed halfway between two float32 (the low 28 bits are then zero), what it
// lost is added by rounding to odd.
static inline float fma32(float a, float b, float c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return __builtin_fmaf(a, b, c);
#else
  const double product = (double)a * (double)b, sum = product + (double)c;
  uint64_t bits = bitsOf(sum);
  if ((bits & 0xfffffffu) == 0) {
    const double back = sum - product;
    const double lost = (product - (sum - back)) + ((double)c - back);
    // An infinite sum has no parts; a number ending in zeros takes the last bit of what lies beside it.
    if (lost > 0.0 || lost < 0.0) bits = (lost > 0.0) == (sum > 0.0) ? bits + 1 : bits - 1;
  }
  return (float)fromBits(bits);
#endif
}

static const float LOG2E_32 = 1.4426950408889634f;
static const float LN2_HIGH_32 = 0.6931471824645996f;
static const float LN2_LOW_32 = -1.9046542121259336e-9f;
// Adding it moves a small whole number into the low bits of the mantissa.
static const float SHIFTER_32 = 12582912.0f;
// Below it e^x counts as 0.
static const float EXP_FLOOR_32 = -64.0f;
// e^r for |r| <= ln2 / 2, from the sixth power down; the last two coefficients are 1.
static const float EXP_32[7] = {0.0013820689637213945f, 0.008368675597012043f, 0.04166826605796814f, 0.1666652113199234f, 0.4999999403953552f, 1.0f, 1.0f};

// e^x in float32 for x of at most 88; 0 below -64.
static inline float exp32(float x) {
  const float shifted = fma32(x, LOG2E_32, SHIFTER_32), n = shifted - SHIFTER_32;
  const float r = fma32(n, -LN2_LOW_32, fma32(n, -LN2_HIGH_32, x));
  float p = EXP_32[0];
  for (int at = 1; at < 7; at++) p = fma32(p, r, EXP_32[at]);
  uint32_t power, bits;
  memcpy(&power, &shifted, sizeof power);
  memcpy(&bits, &p, sizeof bits);
  bits += power << 23;
  memcpy(&p, &bits, sizeof p);
  return x < EXP_FLOOR_32 ? 0.0f : p;
}
#endif

static inline double sigmoidOf(double x) { return 1.0 / (1.0 + expOf(-x)); }

static inline double softplusOf(double x) { return (x > 0.0 ? x : 0.0) + logOf(1.0 + expOf(x > 0.0 ? -x : x)); }

// Loss softplus(-x) and slope sigma(-x) of a BPR difference x, from one exponential;
// as bprFall, bprLoss and bprSlope of src/core/math.ts.
static inline void bprLossOf(double x, double* loss, double* slope) {
  const double e = expOf(x > 0.0 ? -x : x);
  *slope = (x > 0.0 ? e : 1.0) / (1.0 + e);
  *loss = (x > 0.0 ? 0.0 : -x) + logOf(1.0 + e);
}

// base^exponent by squaring, as power() in src/native/reference/train.ts.
static inline double powerOf(double base, uint64_t exponent) {
  double result = 1.0;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result *= base;
    base *= base;
  }
  return result;
}

// 32-bit FNV-1a of a stream's name.
static inline uint32_t streamId(const char* name) {
  uint32_t hash = 2166136261u;
  for (; *name; name++) hash = (hash ^ (uint32_t)(unsigned char)*name) * 16777619u;
  return hash;
}

static inline uint32_t multiplyHigh(uint32_t a, uint32_t b) { return (uint32_t)(((uint64_t)a * b) >> 32); }

struct Lanes {
  uint32_t lane[4];
};

// Ten rounds of Philox4x32.
static inline Lanes philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++) {
    const uint64_t product0 = (uint64_t)0xd2511f53u * c0, product1 = (uint64_t)0xcd9e8d57u * c2;
    c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)product1;
    c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)product0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return {{c0, c1, c2, c3}};
}

}  // namespace cragru
