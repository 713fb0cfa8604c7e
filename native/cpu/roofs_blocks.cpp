// Loops that do nothing but one thing as fast as this instruction set can: what kernels are measured against.
#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

// Twelve chains cover the latency of a multiply-add on two ports.
enum { CHAINS = 12 };

template <class Vector, class Add>
static inline Vector chains(size_t rounds, Vector a, Vector b, Add add) {
  Vector sums[CHAINS];
  for (size_t at = 0; at < CHAINS; at++) sums[at] = b + (float)at;
#if defined(__clang__)
#pragma clang loop unroll(disable)
#endif
  for (size_t round = 0; round < rounds; round++) {
#pragma GCC unroll 12
    for (size_t at = 0; at < CHAINS; at++) sums[at] = add(a, b, sums[at]);
  }
  Vector total = sums[0];
  for (size_t at = 1; at < CHAINS; at++) total += sums[at];
  return total;
}

// Floating-point operations done; `sink` keeps the compiler from dropping them.
double spinFloats(size_t rounds, double* sink) {
  WideFloats a = {}, b = {};
  a += 0.999f;
  b += 0.001f;
  const WideFloats total = chains(rounds, a, b, [](WideFloats x, WideFloats y, WideFloats sum) {
#if defined(__AVX512F__)
    return (WideFloats)_mm512_fmadd_ps(x, sum, y);
#elif defined(__FMA__)
    return (WideFloats)_mm256_fmadd_ps(x, sum, y);
#else
    return x * sum + y;
#endif
  });
  *sink += (double)total[0];
  return (double)rounds * CHAINS * WIDE_LANES * 2;
}

double spinDoubles(size_t rounds, double* sink) {
  const Doubles total = chains(rounds, everyLane(0.999), everyLane(0.001), [](Doubles x, Doubles y, Doubles sum) {
#if defined(__AVX512F__)
    return (Doubles)_mm512_fmadd_pd(x, sum, y);
#elif defined(__FMA__)
    return (Doubles)_mm256_fmadd_pd(x, sum, y);
#else
    return x * sum + y;
#endif
  });
  *sink += total[0];
  return (double)rounds * CHAINS * LANES * 2;
}

// Bytes read, added up in eight chains.
double readBytes(const float* values, size_t count, double* sink) {
  WideFloats sums[8] = {};
  size_t at = 0;
  for (; at + 8 * WIDE_LANES <= count; at += 8 * WIDE_LANES) {
#pragma GCC unroll 8
    for (size_t chain = 0; chain < 8; chain++) sums[chain] += loadFloats(values + at + chain * WIDE_LANES);
  }
  for (size_t chain = 1; chain < 8; chain++) sums[0] += sums[chain];
  *sink += (double)sums[0][0];
  return (double)(at * sizeof(float));
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
