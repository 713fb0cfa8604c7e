// The kernels without Node: every instruction set of this machine and several thread counts against each other and against
// plain loops written here, on odd shapes, plus random arguments thrown at the checks. Meant for the sanitizers:
//   cmake -S . -B build/sanitize -DCRAGRU_NODE=OFF -DCRAGRU_CUDA=OFF -DCRAGRU_SANITIZE=address,undefined
//   cmake --build build/sanitize -j && build/sanitize/cragru_test
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>

#include "../check.h"
#include "../math.h"
#include "../run.h"

using namespace cragru;

namespace {

int failures = 0, checks = 0;

void expect(bool holds, const char* what) {
  checks++;
  if (holds) return;
  failures++;
  if (failures <= 20) std::printf("FAILED: %s\n", what);
}

// Keyed draws, as everywhere.
struct Draws {
  uint32_t seed, at = 0;
  explicit Draws(uint32_t seed) : seed(seed) {}
  uint32_t word() { return philox(at++, 0, 0, 0, seed, 7).lane[0]; }
  uint32_t below(uint32_t n) { return multiplyHigh(word(), n); }
  float number(float scale) { return (float(word()) / 4294967296.0f - 0.5f) * scale; }
};

std::vector<float> numbers(size_t count, uint32_t seed, float scale = 1.0f) {
  Draws draws(seed);
  std::vector<float> values(count);
  for (float& value : values) value = draws.number(scale);
  return values;
}

Csr sparse(size_t rows, size_t columns, uint32_t perMille, uint32_t seed) {
  Draws draws(seed);
  Csr csr;
  csr.offsets.push_back(0);
  for (size_t row = 0; row < rows; row++) {
    for (size_t column = 0; column < columns; column++) {
      if (row != 1 && draws.below(1000) < perMille) csr.columns.push_back(uint32_t(column));
    }
    csr.offsets.push_back(uint32_t(csr.columns.size()));
  }
  return csr;
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// Runs `work` on every instruction set with 1, 2 and 3 threads; all results must equal the first, which is returned.
template <class Result>
Result onAll(const char* what, const std::function<Result(Run&)>& work, const std::function<bool(const Result&, const Result&)>& equal) {
  static Pool pool;
  const cpu::Blocks* const* list;
  const size_t count = cpu::supportedBlocks(&list);
  Result first{};
  bool have = false;
  for (size_t isa = 0; isa < count; isa++) {
    for (unsigned threads : {1u, 2u, 3u}) {
      Run run(pool, threads, *list[isa]);
      Result result = work(run);
      if (!have) first = result;
      else expect(equal(first, result), what);
      have = true;
    }
  }
  return first;
}

void testMath() {
  for (double x = -720; x < 720; x += 0.37) {
    const double e = expOf(x);
    if (x < -700) expect(e == 0, "exp below -700");
    else if (x > 700) expect(std::isinf(e), "exp above 700");
    else expect(std::fabs(e / std::exp(x) - 1) < 4e-16, "exp");
    if (e > 0 && !std::isinf(e)) expect(std::fabs(logOf(e) - std::log(e)) <= 4e-16 * std::fabs(std::log(e)) + 1e-18, "log");
  }
  const Lanes lanes = philox(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0);
  expect(lanes.lane[0] == 0xd16cfe09 && lanes.lane[1] == 0x94fdcceb && lanes.lane[2] == 0x5001e420 && lanes.lane[3] == 0x24126ea1, "philox known answer");
  expect(powerOf(0.9, 0) == 1 && std::fabs(powerOf(0.9, 100) / std::pow(0.9, 100) - 1) < 1e-13, "power");
}

void testScore() {
  for (size_t dimension : {1, 7, 64, 65}) {
    for (size_t itemCount : {1, 5, 47, 48, 49, 333}) {
      ScoreTopK input;
      input.dimension = dimension;
      input.users = numbers(dimension * 41, 1);
      input.items = numbers(dimension * itemCount, 2);
      input.k = std::max<size_t>(1, itemCount / 3);
      input.masked = true;
      input.mask = sparse(41, itemCount, 200, 3);
      if (dimension == 7) for (float& value : input.users) value = value > 0 ? 1.0f : -0.0f;
      check(input);
      const TopK result = onAll<TopK>("scoreTopK on all instruction sets", [&](Run& run) { return cpu::scoreTopK(input, run); },
                                      [](const TopK& a, const TopK& b) { return same(a.items, b.items) && same(a.scores, b.scores); });
      for (size_t user = 0; user < input.userRows; user++) {
        std::vector<std::pair<float, uint32_t>> all;
        for (uint32_t item = 0; item < itemCount; item++) {
          const uint32_t* columns = input.mask.columns.data();
          if (std::binary_search(columns + input.mask.offsets[user], columns + input.mask.offsets[user + 1], item)) continue;
          double sum = 0;
          for (size_t d = 0; d < dimension; d++) sum += double(input.users[user * dimension + d]) * double(input.items[item * dimension + d]);
          all.push_back({-float(sum), item});
        }
        std::stable_sort(all.begin(), all.end(), [](auto a, auto b) { return a.first < b.first; });
        for (size_t at = 0; at < input.k; at++) {
          const uint32_t wanted = at < all.size() ? all[at].second : NO_ITEM;
          expect(result.items[user * input.k + at] == wanted, "scoreTopK against a full sort");
        }
      }
    }
  }
}

void testTraining() {
  for (size_t dimension : {1, 9, 64}) {
    for (size_t layers : {0, 1, 3}) {
      for (bool adam : {true, false}) {
        Training input;
        input.state.userCount = 23;
        input.state.itemCount = 31;
        input.state.dimension = dimension;
        const size_t size = 54 * dimension;
        input.state.parameters = numbers(size, 5);
        if (adam) input.state.first.assign(size, 0.0f), input.state.second.assign(size, 0.0f);
        input.positives = sparse(23, 31, 150, 6);
        input.seed = 9;
        input.epochs = 2;
        input.batchCount = 3;
        input.learningRate = 0.05;
        input.regularisation = 0.1;
        input.adam = adam;
        input.layers = layers;
        check(input);
        const EpochResult result = onAll<EpochResult>("training on all instruction sets", [&](Run& run) { return cpu::train(input, run); },
                                                      [](const EpochResult& a, const EpochResult& b) {
                                                        return same(a.state.parameters, b.state.parameters) && same(a.state.second, b.state.second) && same(a.losses, b.losses);
                                                      });
        expect(result.state.step == 6 && result.losses[1] > 0 && result.losses[1] < 5, "training takes its steps");
        Propagate propagation;
        propagation.userCount = 23;
        propagation.itemCount = 31;
        propagation.dimension = dimension;
        propagation.layers = layers;
        propagation.parameters = input.state.parameters;
        propagation.positives = input.positives;
        check(propagation);
        onAll<std::vector<float>>("propagate on all instruction sets", [&](Run& run) { return cpu::propagate(propagation, run); }, same<float>);
      }
    }
  }
}

void testAttention() {
  for (AttentionOutput output : {AttentionOutput::weights, AttentionOutput::max, AttentionOutput::mean}) {
    for (size_t heads : {1, 3, 12}) {
      Attention input;
      input.dimension = 12;
      input.heads = heads;
      input.output = output;
      input.queryOffsets = {0, 3, 3, 4, 11};
      input.keyOffsets = {0, 1, 9, 9, 60};
      input.queries = numbers(11 * 12, 1, 5);
      input.keys = numbers(60 * 12, 2, 5);
      if (heads == 3) input.bias = numbers(60, 3, 9);
      check(input);
      const auto result = onAll<std::vector<float>>("attention on all instruction sets", [&](Run& run) { return cpu::attentionWeights(input, run); }, same<float>);
      if (output != AttentionOutput::weights) continue;
      size_t at = 0;
      for (size_t group = 0; group < 4; group++) {
        const size_t keys = input.keyOffsets[group + 1] - input.keyOffsets[group];
        for (uint32_t query = input.queryOffsets[group]; query < input.queryOffsets[group + 1] && keys > 0; query++) {
          double sum = 0;
          for (size_t j = 0; j < keys; j++) sum += result[at++];
          expect(std::fabs(sum - 1) < 1e-6, "attention adds to 1");
        }
      }
    }
  }
}

void testKnapsack() {
  for (bool atMost : {false, true}) {
    for (size_t capacity : {3, 4, 7, 9}) {
      Knapsack input;
      input.instances = 40;
      input.categories = 3;
      input.levels = 3;
      input.capacity = capacity;
      input.atMost = atMost;
      Draws draws(4);
      for (size_t at = 0; at < 360; at++) input.values.push_back(double(draws.below(9)) - 4);
      check(input);
      const auto result = onAll<KnapsackResult>("knapsack on all instruction sets", [&](Run& run) { return cpu::knapsack(input, run); },
                                                [](const KnapsackResult& a, const KnapsackResult& b) { return same(a.choices, b.choices) && same(a.totals, b.totals); });
      for (size_t instance = 0; instance < 40; instance++) {
        const double* v = input.values.data() + instance * 9;
        double best = -std::numeric_limits<double>::infinity();
        for (size_t z = 0; z < 3; z++) for (size_t y = 0; y < 3; y++) for (size_t x = 0; x < 3; x++) {
          const size_t sum = x + y + z + 3;
          if (atMost ? sum <= capacity : sum == capacity) best = std::max(best, v[x] + v[3 + y] + v[6 + z]);
        }
        expect(result.totals[instance] == best, "knapsack against brute force");
      }
    }
  }
}

// Random arguments: either the check refuses them, or the kernel must run clean under the sanitizers.
void fuzz() {
  Pool pool;
  const cpu::Blocks* const* list;
  const size_t count = cpu::supportedBlocks(&list);
  int refused = 0, ran = 0;
  for (uint32_t seed = 0; seed < 4000; seed++) {
    Draws draws(seed);
    Run run(pool, 1 + draws.below(3), *list[draws.below(uint32_t(count))]);
    const size_t users = draws.below(6), items = draws.below(6), dimension = draws.below(5);
    auto offsets = [&](size_t groups, uint32_t total) {
      std::vector<uint32_t> values(groups + (draws.below(9) ? 1 : 0));
      for (uint32_t& value : values) value = draws.below(total + 1 + (draws.below(6) == 0));
      if (draws.below(5)) std::sort(values.begin(), values.end());
      if (!values.empty() && draws.below(5)) values.front() = 0, values.back() = total;
      return values;
    };
    auto csr = [&](size_t rows, size_t columns) {
      Csr value = sparse(rows, columns, 500, seed);
      if (draws.below(3) == 0) value.offsets = offsets(rows, uint32_t(value.columns.size()));
      if (draws.below(3) == 0) for (uint32_t& column : value.columns) column = draws.below(uint32_t(columns) + 2);
      return value;
    };
    auto some = [&](size_t length) {
      std::vector<float> values = numbers(length + (draws.below(12) == 0), seed);
      if (!values.empty() && draws.below(12) == 0) values[draws.below(uint32_t(values.size()))] = draws.below(2) ? NAN : INFINITY;
      return values;
    };
    try {
      switch (draws.below(5)) {
        case 0: {
          ScoreTopK input;
          input.dimension = dimension;
          input.users = some(users * dimension);
          input.items = some(items * dimension);
          input.k = draws.below(8);
          input.masked = draws.below(2);
          if (input.masked) input.mask = csr(users, items);
          check(input);
          cpu::scoreTopK(input, run);
          break;
        }
        case 1: {
          Training input;
          input.state.userCount = users;
          input.state.itemCount = items;
          input.state.dimension = dimension;
          input.state.parameters = some((users + items) * dimension);
          input.adam = draws.below(2);
          input.state.first = some(input.adam ? (users + items) * dimension : 0);
          input.state.second = input.state.first;
          input.positives = csr(users, items);
          input.epochs = draws.below(3);
          input.batchCount = draws.below(4);
          input.firstEpoch = draws.below(2) ? 0 : 0xfffffffe;
          input.learningRate = draws.below(9) ? 0.1 : NAN;
          input.regularisation = 0.1;
          input.layers = draws.below(3);
          check(input);
          cpu::train(input, run);
          break;
        }
        case 2: {
          Propagate input;
          input.userCount = users;
          input.itemCount = items;
          input.dimension = dimension;
          input.layers = draws.below(3);
          input.parameters = some((users + items) * dimension);
          input.positives = csr(users, items);
          check(input);
          cpu::propagate(input, run);
          break;
        }
        case 3: {
          Attention input;
          input.dimension = dimension;
          input.heads = draws.below(4);
          input.queries = some(users * dimension);
          input.keys = some(items * dimension);
          const size_t groups = draws.below(4);
          input.queryOffsets = offsets(groups, uint32_t(users));
          input.keyOffsets = offsets(groups, uint32_t(items));
          if (draws.below(2)) input.bias = some(items);
          input.output = AttentionOutput(draws.below(3));
          check(input);
          cpu::attentionWeights(input, run);
          break;
        }
        default: {
          Knapsack input;
          input.instances = users;
          input.categories = draws.below(4);
          input.levels = draws.below(5);
          input.capacity = draws.below(14);
          input.atMost = draws.below(2);
          for (float value : some(input.instances * input.categories * input.levels)) input.values.push_back(value);
          check(input);
          cpu::knapsack(input, run);
        }
      }
      ran++;
    } catch (const Error&) {
      refused++;
    }
  }
  expect(ran > 300 && refused > 300, "the fuzzer reaches both kernels and refusals");
  std::printf("fuzz: %d ran, %d refused\n", ran, refused);
}

void testCancel() {
  Pool pool;
  const cpu::Blocks* const* list;
  cpu::supportedBlocks(&list);
  std::atomic<bool> cancelled{true};
  Run run(pool, 3, *list[0]);
  run.cancelled = &cancelled;
  bool stopped = false;
  try {
    run.parallel(100, [](size_t) {});
  } catch (const Cancelled&) {
    stopped = true;
  }
  expect(stopped, "a cancelled run stops");
  cancelled = false;
  std::atomic<int> seen{0};
  for (int round = 0; round < 2000; round++) run.parallel(7, [&](size_t) { seen++; });
  expect(seen == 14000, "the pool is whole after a cancelled run and runs every chunk once");
}

}  // namespace

int main() {
  const cpu::Blocks* const* list;
  const size_t count = cpu::supportedBlocks(&list);
  for (size_t at = 0; at < count; at++) std::printf("%s ", list[at]->name);
  std::printf("\n");
  testMath();
  testScore();
  testTraining();
  testAttention();
  testKnapsack();
  testCancel();
  fuzz();
  std::printf("%d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
