// What the tests share: a list of cases, expectations that count, invented data, and one call on every instruction set of this
// machine with several thread counts, all of which must give the same bytes.
#pragma once
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "../check.h"
#include "../math.h"
#include "../run.h"

namespace cragru {
namespace test {

struct Case {
  const char* name;
  void (*body)();
};
std::vector<Case>& cases();
struct Register {
  Register(const char* name, void (*body)()) { cases().push_back({name, body}); }
};
// TEST(what) { ... } at namespace level.
#define CRAGRU_TEST_JOIN_(a, b) a##b
#define CRAGRU_TEST_JOIN(a, b) CRAGRU_TEST_JOIN_(a, b)
#define TEST(what)                                                                                       \
  static void CRAGRU_TEST_JOIN(body, __LINE__)();                                                        \
  static const ::cragru::test::Register CRAGRU_TEST_JOIN(entry, __LINE__)(what, CRAGRU_TEST_JOIN(body, __LINE__)); \
  static void CRAGRU_TEST_JOIN(body, __LINE__)()

void expect(bool holds, const std::string& what);
inline void expectNear(double value, double wanted, double tolerance, const std::string& what) {
  expect(std::fabs(value - wanted) <= tolerance, what + ": " + std::to_string(value) + " is not near " + std::to_string(wanted));
}
// The code of the Error that `work` throws; empty where it throws none.
std::string refusal(const std::function<void()>& work);

// Keyed draws, as everywhere.
struct Draws {
  uint32_t seed, at = 0;
  explicit Draws(uint32_t seed) : seed(seed) {}
  uint32_t word() { return philox(at++, 0, 0, 0, seed, 7).lane[0]; }
  uint32_t below(uint32_t n) { return multiplyHigh(word(), n); }
  double number(double scale) { return (double(word()) / 4294967296.0 - 0.5) * scale; }
};

template <class T>
std::vector<T> numbers(size_t count, uint32_t seed, double scale = 1) {
  Draws draws(seed);
  std::vector<T> values(count);
  for (T& value : values) value = T(draws.number(scale));
  return values;
}

// Whole numbers from -most to most: sums of them are exact in any order, and many are equal.
template <class T>
std::vector<T> wholes(size_t count, uint32_t seed, uint32_t most) {
  Draws draws(seed);
  std::vector<T> values(count);
  for (T& value : values) value = T(double(draws.below(2 * most + 1)) - double(most));
  return values;
}

// Row 1 stays empty.
Csr sparse(size_t rows, size_t columns, uint32_t perMille, uint32_t seed);
// [rows][columns] of 0 and 1.
std::vector<std::vector<double>> dense(const Csr& csr, size_t rows, size_t columns);
// S of a graph as a dense matrix of doubles: mean of A~^0 .. A~^layers over stacked users and items.
std::vector<std::vector<double>> propagator(const Csr& positives, size_t users, size_t items, size_t layers);
std::vector<double> times(const std::vector<std::vector<double>>& matrix, const std::vector<double>& rows, size_t dimension);

template <class T, class Allocator>
bool same(const std::vector<T, Allocator>& a, const std::vector<T, Allocator>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}
inline bool same(const TopK& a, const TopK& b) { return same(a.items, b.items) && same(a.scores, b.scores); }
inline bool same(const EpochResult& a, const EpochResult& b) {
  return same(a.state.parameters, b.state.parameters) && same(a.state.first, b.state.first) && same(a.state.second, b.state.second) && same(a.losses, b.losses) &&
         a.state.step == b.state.step;
}
inline bool same(const AttentionResult& a, const AttentionResult& b) { return same(a.weights, b.weights) && same(a.keys, b.keys); }
inline bool same(const KnapsackResult& a, const KnapsackResult& b) { return same(a.choices, b.choices) && same(a.totals, b.totals); }
inline bool same(const KMeansRound& a, const KMeansRound& b) {
  return same(a.labels, b.labels) && same(a.centroids, b.centroids) && same(a.distances, b.distances) && a.rounds == b.rounds;
}
inline bool same(const CooccurrenceResult& a, const CooccurrenceResult& b) { return same(a.items, b.items) && same(a.counts, b.counts); }
inline bool same(const ConjugateGradientResult& a, const ConjugateGradientResult& b) {
  return same(a.solution, b.solution) && a.iterations == b.iterations && a.residual == b.residual && a.negativeCurvature == b.negativeCurvature;
}

// One thread on the lowest instruction set.
Run& plainRun();
std::vector<Run>& everyRun();

// Checks the input and runs `work` on every instruction set with 1, 2 and 3 threads; all must equal the first, which is returned.
template <class Input, class Work>
auto onAll(const std::string& what, Input& input, Work work) {
  check(input, plainRun());
  auto first = work(input, everyRun().front());
  for (size_t at = 1; at < everyRun().size(); at++) {
    expect(same(first, work(input, everyRun()[at])), what + " on " + everyRun()[at].blocks.name + ", run " + std::to_string(at));
  }
  return first;
}

}  // namespace test
}  // namespace cragru
