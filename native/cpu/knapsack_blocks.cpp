// One category of the multiple-choice knapsack: a lane is a weight, levels ascend, a later level wins only when better.
#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

// The first operand only where it is greater: of equal values, 0 and -0 among them, the second stays.
static inline Doubles greater(Doubles value, Doubles most) {
#if defined(__AVX512F__)
  return _mm512_max_pd(value, most);
#elif defined(__AVX2__)
  return _mm256_max_pd(value, most);
#elif defined(__x86_64__)
  return _mm_max_pd(value, most);
#else
  return value > most ? value : most;
#endif
}

// VECTORS vectors of weights from w on -> next. best stands at the lowest reachable weight.
template <size_t VECTORS>
static inline void chooseVectors(const double* values, ptrdiff_t levels, const double* best, ptrdiff_t low, ptrdiff_t high, ptrdiff_t w, double* next) {
  Doubles most[VECTORS];
#pragma GCC unroll 4
  for (size_t v = 0; v < VECTORS; v++) most[v] = everyLane(-__builtin_inf());
  // Other levels start from weights that are not reachable, whatever the lane.
  const ptrdiff_t farthest = w + (ptrdiff_t)(VECTORS * LANES) - 1 - low, end = farthest < levels ? farthest : levels;
  for (ptrdiff_t level = w - high > 1 ? w - high : 1; level <= end; level++) {
    const Doubles value = everyLane(values[level - 1]);
#pragma GCC unroll 4
    for (size_t v = 0; v < VECTORS; v++) most[v] = greater(loadDoubles(best + (w - level - low) + (ptrdiff_t)(v * LANES)) + value, most[v]);
  }
#pragma GCC unroll 4
  for (size_t v = 0; v < VECTORS; v++) storeDoubles(next + v * LANES, most[v]);
}

void chooseLevels(const double* values, size_t levels, const double* best, size_t low, size_t high, size_t from, size_t to, double* next) {
  const ptrdiff_t count = (ptrdiff_t)(to - from), first = (ptrdiff_t)from, top = (ptrdiff_t)levels, least = (ptrdiff_t)low, most = (ptrdiff_t)high;
  ptrdiff_t at = 0;
  for (; at + 3 * LANES < count; at += 4 * LANES) chooseVectors<4>(values, top, best, least, most, first + at, next + at);
  for (; at + LANES < count; at += 2 * LANES) chooseVectors<2>(values, top, best, least, most, first + at, next + at);
  for (; at < count; at += LANES) chooseVectors<1>(values, top, best, least, most, first + at, next + at);
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
