// Exact multiple-choice knapsack, one instance after the other within a chunk. Rows of the table are padded in front with
// -infinity, so that levels above a weight need no test.
#include <algorithm>
#include <cmath>
#include <limits>

#include "../run.h"

namespace cragru {
namespace cpu {

KnapsackResult knapsack(const Knapsack& input, Run& run) {
  const size_t width = input.capacity + 1, levels = input.levels, categories = input.categories;
  KnapsackResult result;
  result.choices.resize(input.instances * categories);
  result.totals.resize(input.instances);
  // About a million steps of the dynamic program a chunk.
  const size_t chunkSize = std::max<size_t>(1, (size_t(1) << 20) / (width * levels * categories + 1));
  std::atomic<size_t> done{0};
  run.parallel((input.instances + chunkSize - 1) / chunkSize, [&](size_t chunk) {
    const double nothing = -std::numeric_limits<double>::infinity();
    std::vector<double> first(levels + width, nothing), second(levels + width, nothing);
    std::vector<uint16_t> picks(categories * width);
    const size_t from = chunk * chunkSize, to = std::min(input.instances, from + chunkSize);
    for (size_t instance = from; instance < to; instance++) {
      double* best = first.data() + levels;
      double* next = second.data() + levels;
      std::fill(best, best + width, input.atMost ? 0.0 : nothing);
      best[0] = 0.0;
      for (size_t category = 0; category < categories; category++) {
        run.check();
        run.blocks.chooseLevels(input.values.data() + (instance * categories + category) * levels, levels, best, width, next, picks.data() + category * width);
        std::swap(best, next);
      }
      if (!std::isfinite(best[input.capacity])) {
        throw Error{"NATIVE_RANGE", "the values of instance " + std::to_string(instance) + " are too large to add.", "Scale the values."};
      }
      result.totals[instance] = best[input.capacity];
      size_t left = input.capacity;
      for (size_t category = categories; category-- > 0;) {
        const uint16_t level = picks[category * width + left];
        result.choices[instance * categories + category] = level;
        left -= level;
      }
    }
    run.progress(double(done.fetch_add(to - from) + to - from), double(input.instances));
  });
  return result;
}

}  // namespace cpu
}  // namespace cragru
