// Vectors of doubles of the instruction set at hand, by the compilers' vector extension (gcc, clang): + - * / and
// comparisons are IEEE operations in each lane.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#if defined(__clang__)
#include <immintrin.h>
#else
// gcc 12 takes the "undefined" operands in this header for mistakes of the caller.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif
#endif

#define CRAGRU_JOIN_(a, b) a##b
#define CRAGRU_JOIN(a, b) CRAGRU_JOIN_(a, b)
#define CRAGRU_QUOTE_(a) #a
#define CRAGRU_QUOTE(a) CRAGRU_QUOTE_(a)
// A namespace per instruction set keeps the symbols of the three objects apart.
#define CRAGRU_ISA_NAMESPACE CRAGRU_JOIN(isa_, ISA)

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

#if defined(__AVX512F__)
enum { LANES = 8 };
#elif defined(__AVX2__)
enum { LANES = 4 };
#else
enum { LANES = 2 };
#endif

typedef double Doubles __attribute__((vector_size(8 * LANES)));
typedef float Floats __attribute__((vector_size(4 * LANES)));
// A full register of floats.
enum { WIDE_LANES = 2 * LANES };
typedef float WideFloats __attribute__((vector_size(4 * WIDE_LANES)));

static inline Doubles loadDoubles(const double* from) {
  Doubles value;
  memcpy(&value, from, sizeof value);
  return value;
}

static inline void storeDoubles(double* to, Doubles value) { memcpy(to, &value, sizeof value); }

static inline WideFloats loadFloats(const float* from) {
  WideFloats value;
  memcpy(&value, from, sizeof value);
  return value;
}

static inline void storeFloats(float* to, WideFloats value) { memcpy(to, &value, sizeof value); }

static inline Doubles everyLane(double value) {
  Doubles all = {};
  return all + value;
}

// sum + a * b where a and b are float32 values held in doubles: the product is exact (24 + 24 bits fit in 53), so the fused
// form rounds once at the same place as the two operations.
static inline Doubles addExactProduct(Doubles a, Doubles b, Doubles sum) {
#if defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, sum);
#elif defined(__FMA__)
  return _mm256_fmadd_pd(a, b, sum);
#else
  return sum + a * b;
#endif
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
