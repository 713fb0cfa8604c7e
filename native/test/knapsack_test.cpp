#include <limits>

#include "expect.h"

using namespace cragru;
using namespace cragru::test;

namespace {

struct Best {
  double total = -std::numeric_limits<double>::infinity();
  std::vector<uint32_t> choices;
};

// All combinations; among equal totals the smaller level of the last category, then of the one before.
Best bruteForce(const Knapsack& input, size_t instance, const std::vector<size_t>& starts) {
  const size_t from = input.categoryOffsets[instance], count = input.categoryOffsets[instance + 1] - from;
  std::vector<uint32_t> choices(count, 1);
  Best best;
  // Under "atMost" what is left unspent comes first, so the least sum that reaches the total does not matter: only the levels do.
  for (;;) {
    size_t sum = 0;
    double total = 0;
    for (size_t c = 0; c < count; c++) {
      sum += choices[c];
      total += input.values[starts[from + c] + choices[c] - 1];
    }
    if (input.atMost ? sum <= input.capacities[instance] : sum == input.capacities[instance]) {
      bool better = total > best.total;
      if (total == best.total) {
        for (size_t c = count; c-- > 0;) {
          if (choices[c] == best.choices[c]) continue;
          better = choices[c] < best.choices[c];
          break;
        }
      }
      if (better) best = {total, choices};
    }
    size_t c = 0;
    while (c < count && choices[c] == input.levels[from + c]) choices[c++] = 1;
    if (c == count) return best;
    choices[c]++;
  }
}

Knapsack ragged(bool atMost, uint32_t seed, uint32_t most) {
  Knapsack input;
  input.atMost = atMost;
  Draws draws(seed);
  std::vector<uint32_t> offsets{0}, levels, capacities;
  size_t total = 0;
  for (int instance = 0; instance < 60; instance++) {
    const uint32_t count = 1 + draws.below(5);
    uint32_t sum = 0;
    for (uint32_t c = 0; c < count; c++) {
      levels.push_back(1 + draws.below(5));
      sum += levels.back();
    }
    total += sum;
    offsets.push_back(uint32_t(levels.size()));
    capacities.push_back(count + draws.below(sum - count + 1 + (atMost ? 4 : 0)));
  }
  input.categoryOffsets = offsets;
  input.levels = levels;
  input.capacities = capacities;
  input.values = wholes<double>(total, seed + 1, most);
  return input;
}

}  // namespace

TEST("knapsack: ragged batches against all combinations, ties included") {
  for (const bool atMost : {false, true}) {
    for (const uint32_t most : {0u, 1u, 4u, 1000u}) {
      Knapsack input = ragged(atMost, 4 + most, most);
      const KnapsackResult result = onAll("knapsack", input, cpu::knapsack);
      std::vector<size_t> starts{0};
      for (const uint32_t count : input.levels) starts.push_back(starts.back() + count);
      for (size_t instance = 0; instance < 60; instance++) {
        const Best best = bruteForce(input, instance, starts);
        expect(result.totals[instance] == best.total, "knapsack total against all combinations");
        bool equal = true;
        for (size_t c = 0; c < best.choices.size(); c++) equal = equal && result.choices[input.categoryOffsets[instance] + c] == best.choices[c];
        expect(equal, std::string("knapsack choices against all combinations, ") + (atMost ? "at most" : "exact") + ", values to " + std::to_string(most));
      }
    }
  }
}

TEST("knapsack: large capacities and long categories") {
  for (const bool atMost : {false, true}) {
    Knapsack input;
    input.atMost = atMost;
    input.categoryOffsets = std::vector<uint32_t>{0, 18, 36, 37, 40};
    std::vector<uint32_t> levels(40, 10);
    levels[36] = 700, levels[37] = 1, levels[38] = 300, levels[39] = 41;
    input.levels = levels;
    size_t total = 0;
    for (const uint32_t count : levels) total += count;
    input.values = numbers<double>(total, 3, 2);
    input.capacities = std::vector<uint32_t>{100, 180, 699, 200};
    const KnapsackResult result = onAll("knapsack, long categories", input, cpu::knapsack);
    size_t start = 0;
    for (size_t instance = 0; instance < 4; instance++) {
      double sum = 0;
      size_t spent = 0;
      for (size_t c = input.categoryOffsets[instance]; c < input.categoryOffsets[instance + 1]; c++) {
        sum += input.values[start + result.choices[c] - 1];
        spent += result.choices[c];
        start += levels[c];
      }
      expectNear(result.totals[instance], sum, 1e-12, "knapsack total is that of its choices");
      expect(atMost ? spent <= input.capacities[instance] : spent == input.capacities[instance], "knapsack spends its capacity");
    }
  }
}

TEST("knapsack: no instances, and capacities that cannot be met") {
  Knapsack none;
  none.categoryOffsets = std::vector<uint32_t>{0};
  expect(onAll("knapsack of nothing", none, cpu::knapsack).totals.empty(), "no instances");
  Knapsack input = ragged(false, 1, 3);
  std::vector<uint32_t> capacities(input.capacities.begin(), input.capacities.end());
  capacities[7] = 0;
  input.capacities = capacities;
  expect(refusal([&] { check(input, plainRun()); }) == "NATIVE_INFEASIBLE", "below one level each");
  capacities[7] = 1000000;
  input.capacities = capacities;
  expect(refusal([&] { check(input, plainRun()); }) == "NATIVE_INFEASIBLE", "above all levels");
}
