// Dot products of 4 users with a packed panel of items: sums live in registers, one item a lane, d ascending.
#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

void packPanel(const float* items, size_t count, size_t dimension, double* panel) {
  for (size_t item = 0; item < PANEL_ITEMS; item++) {
    for (size_t d = 0; d < dimension; d++) panel[d * PANEL_ITEMS + item] = item < count ? (double)items[item * dimension + d] : 0.0;
  }
}

// Not inlined into anything: gcc 12 spills the sums when it is.
__attribute__((noinline)) static void multiply(const double* users, const double* panel, size_t dimension, float* scores) {
  Doubles sums[SCORE_USERS][PANEL_VECTORS];
#pragma GCC unroll 8
  for (size_t u = 0; u < SCORE_USERS; u++) {
#pragma GCC unroll 8
    for (size_t v = 0; v < PANEL_VECTORS; v++) sums[u][v] = everyLane(0.0);
  }
  for (size_t d = 0; d < dimension; d++) {
    Doubles items[PANEL_VECTORS];
#pragma GCC unroll 8
    for (size_t v = 0; v < PANEL_VECTORS; v++) items[v] = loadDoubles(panel + d * PANEL_ITEMS + v * LANES);
#pragma GCC unroll 8
    for (size_t u = 0; u < SCORE_USERS; u++) {
      const Doubles value = everyLane(users[u * dimension + d]);
#pragma GCC unroll 8
      for (size_t v = 0; v < PANEL_VECTORS; v++) sums[u][v] = addExactProduct(value, items[v], sums[u][v]);
    }
  }
#pragma GCC unroll 8
  for (size_t u = 0; u < SCORE_USERS; u++) {
#pragma GCC unroll 8
    for (size_t v = 0; v < PANEL_VECTORS; v++) {
      const Floats rounded = __builtin_convertvector(sums[u][v], Floats);
      memcpy(scores + u * PANEL_ITEMS + v * LANES, &rounded, sizeof rounded);
    }
  }
}

void scorePanel(const double* users, const double* panel, size_t dimension, const float* thresholds, float* scores, uint64_t* above) {
  multiply(users, panel, dimension, scores);
  for (size_t u = 0; u < SCORE_USERS; u++) {
    const float* row = scores + u * PANEL_ITEMS;
    uint64_t bits = 0;
#if defined(__AVX512F__)
    for (size_t at = 0; at < PANEL_ITEMS; at += 16) {
      bits |= (uint64_t)_mm512_cmp_ps_mask(_mm512_loadu_ps(row + at), _mm512_set1_ps(thresholds[u]), _CMP_GT_OQ) << at;
    }
#elif defined(__SSE2__)
    for (size_t at = 0; at < PANEL_ITEMS; at += 4) {
      bits |= (uint64_t)_mm_movemask_ps(_mm_cmpgt_ps(_mm_loadu_ps(row + at), _mm_set1_ps(thresholds[u]))) << at;
    }
#else
    for (size_t at = 0; at < PANEL_ITEMS; at++) bits |= (uint64_t)(row[at] > thresholds[u]) << at;
#endif
    above[u] = bits;
  }
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
