// One category of the multiple-choice knapsack: a lane is a weight, levels ascend, a later level wins only when better.
#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

void chooseLevels(const double* values, size_t levels, const double* best, size_t width, double* next, uint16_t* picks) {
  const double nothing = -__builtin_inf();
  size_t w = 0;
  for (; w + 2 * LANES <= width; w += 2 * LANES) {
    Doubles most0 = everyLane(nothing), most1 = most0;
    Doubles pick0 = everyLane(0.0), pick1 = pick0, level = pick0;
    for (size_t x = 1; x <= levels; x++) {
      level = level + 1.0;
      const Doubles value = everyLane(values[x - 1]);
      const Doubles sum0 = loadDoubles(best + w - x) + value, sum1 = loadDoubles(best + w + LANES - x) + value;
      pick0 = sum0 > most0 ? level : pick0;
      most0 = sum0 > most0 ? sum0 : most0;
      pick1 = sum1 > most1 ? level : pick1;
      most1 = sum1 > most1 ? sum1 : most1;
    }
    storeDoubles(next + w, most0);
    storeDoubles(next + w + LANES, most1);
    for (size_t lane = 0; lane < LANES; lane++) {
      picks[w + lane] = (uint16_t)pick0[lane];
      picks[w + LANES + lane] = (uint16_t)pick1[lane];
    }
  }
  for (; w < width; w++) {
    double most = nothing;
    uint16_t pick = 0;
    for (size_t x = 1; x <= levels; x++) {
      const double sum = best[(ptrdiff_t)w - (ptrdiff_t)x] + values[x - 1];
      if (sum > most) {
        most = sum;
        pick = (uint16_t)x;
      }
    }
    next[w] = most;
    picks[w] = pick;
  }
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
