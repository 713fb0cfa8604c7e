// dot() of the contract: eight sums in double over d mod 8, added in a fixed tree.
#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

enum { PARTS = 8 / LANES };

struct Eight {
  Doubles part[PARTS];
};

static inline Eight loadEight(const float* from) {
  Eight value;
#if defined(__AVX512F__)
  // gcc 12 converts by halves otherwise.
  value.part[0] = _mm512_cvtps_pd(_mm256_loadu_ps(from));
  return value;
#endif
  for (int p = 0; p < PARTS; p++) {
    Floats floats;
    memcpy(&floats, from + p * LANES, sizeof floats);
    value.part[p] = __builtin_convertvector(floats, Doubles);
  }
  return value;
}

// The last d mod 8 values; a product with the zeros behind them changes no sum.
static inline Eight loadRest(const float* from, size_t count) {
  float padded[8] = {};
  for (size_t d = 0; d < count; d++) padded[d] = from[d];
  return loadEight(padded);
}

static inline void addProducts(Eight* sums, const Eight& a, const Eight& b) {
  for (int p = 0; p < PARTS; p++) sums->part[p] = addExactProduct(a.part[p], b.part[p], sums->part[p]);
}

static inline double treeSum(const Eight& sums) {
#if defined(__AVX512F__)
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(sums.part[0]), _mm512_extractf64x4_pd(sums.part[0], 1));
#elif defined(__AVX2__)
  const __m256d four = _mm256_add_pd(sums.part[0], sums.part[1]);
#endif
#if defined(__AVX2__)
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(two) + _mm_cvtsd_f64(_mm_unpackhi_pd(two, two));
#else
  const Doubles two = (sums.part[0] + sums.part[2]) + (sums.part[1] + sums.part[3]);
  return two[0] + two[1];
#endif
}

double dotRows(const float* a, const float* b, size_t dimension) {
  Eight sums = {};
  size_t d = 0;
  for (; d + 8 <= dimension; d += 8) addProducts(&sums, loadEight(a + d), loadEight(b + d));
  if (d < dimension) addProducts(&sums, loadRest(a + d, dimension - d), loadRest(b + d, dimension - d));
  return treeSum(sums);
}

// Rows of a list lie anywhere in memory: ask for those of the time after next.
static inline void prefetchRow(const float* row, size_t dimension) {
  const size_t bytes = dimension * sizeof(float) < 512 ? dimension * sizeof(float) : 512;
  for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch((const char*)row + at);
}

#if defined(__AVX512F__)
enum { TOGETHER = 8 };

// treeSum of eight items at once, in order: halves, then quarters, then neighbours of eight vectors meet in one.
static inline __m512d treeSums(const __m512d* s) {
  const __m512d ab = _mm512_add_pd(_mm512_shuffle_f64x2(s[0], s[2], 0x44), _mm512_shuffle_f64x2(s[0], s[2], 0xee));
  const __m512d cd = _mm512_add_pd(_mm512_shuffle_f64x2(s[4], s[6], 0x44), _mm512_shuffle_f64x2(s[4], s[6], 0xee));
  const __m512d ef = _mm512_add_pd(_mm512_shuffle_f64x2(s[1], s[3], 0x44), _mm512_shuffle_f64x2(s[1], s[3], 0xee));
  const __m512d gh = _mm512_add_pd(_mm512_shuffle_f64x2(s[5], s[7], 0x44), _mm512_shuffle_f64x2(s[5], s[7], 0xee));
  const __m512d even = _mm512_add_pd(_mm512_shuffle_f64x2(ab, cd, 0x88), _mm512_shuffle_f64x2(ab, cd, 0xdd));
  const __m512d odd = _mm512_add_pd(_mm512_shuffle_f64x2(ef, gh, 0x88), _mm512_shuffle_f64x2(ef, gh, 0xdd));
  return _mm512_add_pd(_mm512_unpacklo_pd(even, odd), _mm512_unpackhi_pd(even, odd));
}
#else
enum { TOGETHER = 4 };
#endif

// TOGETHER items share the user's loads.
void scoreItems(const float* user, const float* items, const uint32_t* numbers, size_t count, size_t dimension, float* scores) {
  const size_t whole = dimension & ~(size_t)7;
  size_t at = 0;
  for (; at + TOGETHER <= count; at += TOGETHER) {
    const float* rows[TOGETHER];
    for (size_t i = 0; i < TOGETHER; i++) {
      rows[i] = items + (numbers ? numbers[at + i] : at + i) * dimension;
      if (numbers && at + i + 2 * TOGETHER < count) prefetchRow(items + numbers[at + i + 2 * TOGETHER] * dimension, dimension);
    }
    Eight sums[TOGETHER] = {};
    for (size_t d = 0; d < whole; d += 8) {
      const Eight value = loadEight(user + d);
      for (int i = 0; i < TOGETHER; i++) addProducts(&sums[i], value, loadEight(rows[i] + d));
    }
    if (whole < dimension) {
      const Eight value = loadRest(user + whole, dimension - whole);
      for (int i = 0; i < TOGETHER; i++) addProducts(&sums[i], value, loadRest(rows[i] + whole, dimension - whole));
    }
#if defined(__AVX512F__)
    _mm256_storeu_ps(scores + at, _mm512_cvtpd_ps(treeSums((const __m512d*)sums)));
#else
    for (int i = 0; i < TOGETHER; i++) scores[at + i] = (float)treeSum(sums[i]);
#endif
  }
  for (; at < count; at++) scores[at] = (float)dotRows(user, items + (numbers ? numbers[at] : at) * dimension, dimension);
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
