#include <algorithm>
#include <limits>

#include "expect.h"

using namespace cragru;
using namespace cragru::test;

namespace {

// The dot of the contract: eight sums in double, closed in a tree.
float scoreOf(const float* user, const float* item, size_t dimension) {
  double s[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  for (size_t d = 0; d < dimension; d++) s[d % 8] += double(user[d]) * double(item[d]);
  double t[4];
  for (size_t l = 0; l < 4; l++) t[l] = s[l] + s[l + 4];
  return float((t[0] + t[2]) + (t[1] + t[3]));
}

// Lists by a full sort.
TopK sorted(const ScoreTopK& input) {
  TopK result;
  for (size_t user = 0; user < input.userRows; user++) {
    std::vector<std::pair<float, uint32_t>> all;
    for (uint32_t item = 0; item < input.itemCount; item++) {
      if (input.masked) {
        const uint32_t* columns = input.mask.columns.data();
        if (std::binary_search(columns + input.mask.offsets[user], columns + input.mask.offsets[user + 1], item)) continue;
      }
      all.push_back({scoreOf(input.users.data() + user * input.dimension, input.items.data() + item * input.dimension, input.dimension), item});
    }
    std::stable_sort(all.begin(), all.end(), [](auto a, auto b) { return a.first > b.first; });
    for (size_t at = 0; at < input.k; at++) {
      result.items.push_back(at < all.size() ? all[at].second : NO_ITEM);
      result.scores.push_back(at < all.size() ? all[at].first : -std::numeric_limits<float>::infinity());
    }
  }
  return result;
}

void againstSort(const std::string& what, ScoreTopK& input) {
  const TopK result = onAll(what, input, cpu::scoreTopK), wanted = sorted(input);
  expect(same(result.items, wanted.items), what + ": items against a full sort");
  bool equal = result.scores.size() == wanted.scores.size();
  for (size_t at = 0; at < wanted.scores.size() && equal; at++) equal = result.scores[at] == wanted.scores[at];  // -0 equals 0
  expect(equal, what + ": scores against a full sort");
}

ScoreTopK problem(size_t userRows, size_t itemCount, size_t dimension, size_t k) {
  ScoreTopK input;
  input.dimension = dimension;
  input.users = numbers<float>(dimension * userRows, 1);
  input.items = numbers<float>(dimension * itemCount, 2);
  input.k = k;
  return input;
}

}  // namespace

TEST("score: odd shapes, masked and not") {
  for (const size_t dimension : {1, 3, 7, 8, 64, 65, 130}) {
    for (const size_t itemCount : {1, 5, 47, 48, 49, 64, 333}) {
      ScoreTopK input = problem(13, itemCount, dimension, std::max<size_t>(1, itemCount / 3));
      const std::string shape = std::to_string(itemCount) + " items, dimension " + std::to_string(dimension);
      againstSort("score, " + shape, input);
      input.masked = true;
      input.mask = sparse(13, itemCount, 200, 3);
      againstSort("score masked, " + shape, input);
    }
  }
}

TEST("score: k of every size, up to all items") {
  for (const size_t k : {1, 2, 16, 17, 50, 255, 256, 700, 701}) {
    ScoreTopK input = problem(9, 701, 17, k);
    againstSort("score, k " + std::to_string(k), input);
  }
}

TEST("score: users of one block and more, many items") {
  for (const size_t userRows : {1, 2, 63, 64, 65, 130}) {
    ScoreTopK input = problem(userRows, 2111, 12, 20);
    input.masked = true;
    input.mask = sparse(userRows, 2111, 30, 4);
    againstSort("score, users " + std::to_string(userRows), input);
  }
}

TEST("score: ties, zeros of both signs, denormals, huge numbers") {
  for (const size_t itemCount : {40, 501}) {
    ScoreTopK input = problem(6, itemCount, 5, 11);
    input.users = wholes<float>(30, 1, 1);
    input.items = wholes<float>(5 * itemCount, 2, 1);
    againstSort("score, many ties", input);
    input.items = std::vector<float>(5 * itemCount, 0.25f);
    againstSort("score, all equal", input);
    std::vector<float> zeros(5 * itemCount);
    for (size_t at = 0; at < zeros.size(); at++) zeros[at] = at % 3 ? 0.0f : -0.0f;
    input.items = zeros;
    againstSort("score, zeros", input);
    input.items = numbers<float>(5 * itemCount, 6, 1e-44);
    againstSort("score, denormals", input);
    input.items = numbers<float>(5 * itemCount, 7, 3e38);
    input.users = numbers<float>(30, 8, 3e38);
    againstSort("score, near overflow", input);
    // Differences below what float32 sums can tell: only the exact scores decide.
    std::vector<float> close(5 * itemCount);
    for (size_t at = 0; at < close.size(); at++) close[at] = std::nextafter(1.0f, at % 7 < 3 ? 0.0f : 2.0f);
    input.items = close;
    input.users = std::vector<float>(30, 1.0f);
    againstSort("score, one ulp apart", input);
    std::vector<float> mixed = numbers<float>(5 * itemCount, 9);
    for (size_t at = 0; at < mixed.size(); at += 5) mixed[at] *= 1e6f, mixed[at + 1] = -mixed[at];
    input.items = mixed;
    againstSort("score, cancellation", input);
  }
}

TEST("score: everything masked, nothing masked, no users") {
  ScoreTopK input = problem(4, 30, 3, 30);
  input.masked = true;
  std::vector<uint32_t> offsets{0, 30, 30, 60, 60}, columns;
  for (uint32_t at = 0; at < 60; at++) columns.push_back(at % 30);
  input.mask = {offsets, columns};
  againstSort("score, two users without items", input);
  ScoreTopK none = problem(0, 30, 3, 7);
  againstSort("score, no users", none);
}

TEST("score: refusals") {
  const auto code = [](ScoreTopK input) { return refusal([&] { check(input, plainRun()); }); };
  ScoreTopK input = problem(3, 4, 2, 5);
  expect(code(input) == "NATIVE_RANGE", "k above the items");
  input.k = 0;
  expect(code(input) == "NATIVE_RANGE", "k 0");
  input.k = 2;
  input.users = std::vector<float>{1, 2, NAN, 4, 5, 6};
  expect(code(input) == "NATIVE_NOT_FINITE", "NaN");
  input.users = std::vector<float>{1, 2, 3};
  expect(code(input) == "NATIVE_SHAPE", "half a row");
  input = problem(3, 4, 2, 2);
  input.masked = true;
  input.mask = {std::vector<uint32_t>{0, 1, 2, 3}, std::vector<uint32_t>{0, 4, 1}};
  expect(code(input) == "NATIVE_CSR", "a column out of range");
  input.mask = {std::vector<uint32_t>{0, 2, 2, 2}, std::vector<uint32_t>{1, 1}};
  expect(code(input) == "NATIVE_CSR", "a column twice");
  input.mask = {std::vector<uint32_t>{0, 3, 2, 3}, std::vector<uint32_t>{0, 1, 2}};
  expect(code(input) == "NATIVE_CSR", "falling offsets");
}
