// Vectors of float32 with fused multiply-adds and exp, for the instruction set at hand: fma32 and exp32 of math.h, lane by lane.
#pragma once
#include "../math.h"
#include "simd.h"
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

typedef int32_t WideInts __attribute__((vector_size(4 * WIDE_LANES)));
typedef uint32_t WideWords __attribute__((vector_size(4 * WIDE_LANES)));

// Minus 0 leaves every number as it is, -0 too, so compilers drop it; plus 0 would stay an instruction.
static inline WideFloats everyFloat(float value) {
  const WideFloats zero = {};
  return value - zero;
}

#if !defined(__FMA__) && defined(__x86_64__)
// As fma32: two and two products in double, and the long way for the rare lane that may have landed halfway.
static inline WideFloats emulatedFma(WideFloats a, WideFloats b, WideFloats c) {
  const __m128d low = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b)), _mm_cvtps_pd(c));
  const __m128d high = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(_mm_movehl_ps(a, a)), _mm_cvtps_pd(_mm_movehl_ps(b, b))), _mm_cvtps_pd(_mm_movehl_ps(c, c)));
  const __m128i words = _mm_castps_si128(_mm_shuffle_ps(_mm_castpd_ps(low), _mm_castpd_ps(high), _MM_SHUFFLE(2, 0, 2, 0)));
  const __m128i zeros = _mm_cmpeq_epi32(_mm_and_si128(words, _mm_set1_epi32(0xfffffff)), _mm_setzero_si128());
  WideFloats sums = _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
  if (__builtin_expect(_mm_movemask_epi8(zeros), 0)) {
    for (size_t lane = 0; lane < WIDE_LANES; lane++) sums[lane] = fma32(a[lane], b[lane], c[lane]);
  }
  return sums;
}
#endif

// a * b + c, rounded once.
static inline WideFloats fmaFloats(WideFloats a, WideFloats b, WideFloats c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__x86_64__)
  return emulatedFma(a, b, c);
#elif defined(__aarch64__)
  return vfmaq_f32(c, a, b);
#else
  for (size_t lane = 0; lane < WIDE_LANES; lane++) c[lane] = fma32(a[lane], b[lane], c[lane]);
  return c;
#endif
}

static inline WideFloats maxFloats(WideFloats a, WideFloats b) {
#if defined(__AVX512F__)
  return _mm512_max_ps(a, b);
#elif defined(__AVX2__)
  return _mm256_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}

// |a|, and nothing else of a float than its bits.
static inline WideFloats magnitudes(WideFloats a) { return (WideFloats)((WideInts)a & 0x7fffffff); }

// e^x for x of at most 88; 0 below EXP_FLOOR_32.
static inline WideFloats expFloats(WideFloats x) {
  const WideFloats shifted = fmaFloats(x, everyFloat(LOG2E_32), everyFloat(SHIFTER_32)), n = shifted - SHIFTER_32;
  const WideFloats r = fmaFloats(n, everyFloat(-LN2_LOW_32), fmaFloats(n, everyFloat(-LN2_HIGH_32), x));
  WideFloats p = everyFloat(EXP_32[0]);
#pragma GCC unroll 8
  for (int at = 1; at < 7; at++) p = fmaFloats(p, r, everyFloat(EXP_32[at]));
  const WideWords bits = (WideWords)p + ((WideWords)shifted << 23);
#if defined(__AVX512F__)
  return _mm512_castsi512_ps(_mm512_maskz_mov_epi32(_mm512_cmp_ps_mask(x, everyFloat(EXP_FLOOR_32), _CMP_GE_OQ), (__m512i)bits));
#else
  return (WideFloats)(bits & (WideWords)(x >= EXP_FLOOR_32));
#endif
}

static inline float largestLane(WideFloats values) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps(values);
#else
  float largest = values[0];
  for (size_t lane = 1; lane < WIDE_LANES; lane++) largest = values[lane] > largest ? values[lane] : largest;
  return largest;
#endif
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
