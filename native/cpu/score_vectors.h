// Vectors of 32-bit lanes for the passes of scoreTopK, over simd.h.
#pragma once
#include "score.h"
#include "simd.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

typedef int32_t WideInts __attribute__((vector_size(4 * WIDE_LANES)));

static inline WideFloats everyFloat(float value) {
  WideFloats all = {};
  return value - all;
}

static inline WideInts everyInt(int32_t value) {
  WideInts all = {};
  return all + value;
}

static inline WideInts loadInts(const void* from) {
  WideInts value;
  memcpy(&value, from, sizeof value);
  return value;
}

// sum + a * b, rounded once or twice.
static inline WideFloats nearProduct(WideFloats a, WideFloats b, WideFloats sum) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, sum);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, sum);
#elif defined(__aarch64__)
  return vfmaq_f32(sum, a, b);
#else
  return sum + a * b;
#endif
}

static inline WideInts and3(WideInts a, WideInts b, WideInts c) {
#if defined(__AVX512F__)
  return (WideInts)_mm512_ternarylogic_epi32((__m512i)a, (__m512i)b, (__m512i)c, 0x80);
#else
  return a & b & c;
#endif
}

// One bit for each lane whose top bit is set.
static inline uint32_t signBits(WideInts value) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)value);
#elif defined(__AVX2__)
  return (uint32_t)_mm256_movemask_ps((__m256)value);
#elif defined(__SSE2__)
  return (uint32_t)_mm_movemask_ps((__m128)value);
#else
  uint32_t bits = 0;
  for (size_t lane = 0; lane < WIDE_LANES; lane++) bits |= (uint32_t)(value[lane] < 0) << lane;
  return bits;
#endif
}

static inline int allNegative(WideInts value) { return signBits(value) == (1u << WIDE_LANES) - 1; }

// One bit for each lane where a >= b.
static inline uint32_t reaches(WideFloats a, WideFloats b) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
#else
  return signBits((WideInts)(a >= b));
#endif
}

// b where either is NaN.
static inline WideFloats larger(WideFloats a, WideFloats b) {
#if defined(__AVX512F__)
  return _mm512_max_ps(a, b);
#else
  return (WideFloats)(((WideInts)a & (a > b)) | ((WideInts)b & ~(a > b)));
#endif
}

static inline WideFloats smaller(WideFloats a, WideFloats b) {
#if defined(__AVX512F__)
  return _mm512_min_ps(a, b);
#else
  return (WideFloats)(((WideInts)a & (a < b)) | ((WideInts)b & ~(a < b)));
#endif
}

// One more in each lane where a > b.
static inline WideInts countLanes(WideInts counts, WideFloats a, WideFloats b) {
#if defined(__AVX512F__)
  return (WideInts)_mm512_mask_sub_epi32((__m512i)counts, _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), (__m512i)counts, _mm512_set1_epi32(-1));
#else
  return counts - (WideInts)(a > b);
#endif
}

// Writes the lanes whose bit is set side by side; scribbles on the rest of one vector. Compressing into a register first: with a
// memory destination the instruction is slow on some processors.
static inline void storeChosen(uint32_t bits, WideFloats value, float* to) {
#if defined(__AVX512F__)
  _mm512_storeu_ps(to, _mm512_maskz_compress_ps((__mmask16)bits, value));
#else
  for (; bits; bits &= bits - 1) *to++ = value[__builtin_ctz(bits)];
#endif
}

static inline void storeChosenInts(uint32_t bits, WideInts value, uint32_t* to) {
#if defined(__AVX512F__)
  _mm512_storeu_si512(to, _mm512_maskz_compress_epi32((__mmask16)bits, (__m512i)value));
#else
  for (; bits; bits &= bits - 1) *to++ = (uint32_t)value[__builtin_ctz(bits)];
#endif
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
