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

// Four items at a time share the user's loads.
void scoreItems(const float* user, const float* items, const uint32_t* numbers, size_t count, size_t dimension, float* scores) {
  const size_t whole = dimension & ~(size_t)7;
  size_t at = 0;
  for (; at + 4 <= count; at += 4) {
    const float* rows[4];
    Eight sums[4] = {};
    for (int i = 0; i < 4; i++) {
      rows[i] = items + (numbers ? numbers[at + i] : at + i) * dimension;
      // The rows after the next four: lists of candidates jump through memory.
      if (numbers && at + i + 8 < count) {
        const char* ahead = (const char*)(items + numbers[at + i + 8] * dimension);
        for (size_t line = 0; line < dimension * sizeof(float) && line < 512; line += 64) __builtin_prefetch(ahead + line);
      }
    }
    for (size_t d = 0; d < whole; d += 8) {
      const Eight value = loadEight(user + d);
      for (int i = 0; i < 4; i++) addProducts(&sums[i], value, loadEight(rows[i] + d));
    }
    if (whole < dimension) {
      const Eight value = loadRest(user + whole, dimension - whole);
      for (int i = 0; i < 4; i++) addProducts(&sums[i], value, loadRest(rows[i] + whole, dimension - whole));
    }
    for (int i = 0; i < 4; i++) scores[at + i] = (float)treeSum(sums[i]);
  }
  for (; at < count; at++) scores[at] = (float)dotRows(user, items + (numbers ? numbers[at] : at) * dimension, dimension);
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
