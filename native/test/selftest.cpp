// The kernels without Node: every instruction set of this machine and several thread counts against each other and against plain
// loops, on odd shapes, plus random arguments thrown at the checks. Meant for the sanitizers too: scripts/sanitize.sh.
//   cmake -S . -B build/core -DCRAGRU_NODE=OFF -DCRAGRU_CUDA=OFF && cmake --build build/core && build/core/cragru_test [words]
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "expect.h"

namespace cragru {
namespace test {

namespace {
int failures = 0, checks = 0;
Pool& pool() {
  static Pool shared;
  return shared;
}
}  // namespace

std::vector<Case>& cases() {
  static std::vector<Case> list;
  return list;
}

void expect(bool holds, const std::string& what) {
  checks++;
  if (holds) return;
  failures++;
  if (failures <= 30) std::printf("FAILED: %s\n", what.c_str());
}

std::string refusal(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.code;
  }
  return "";
}

Run& plainRun() { return everyRun().front(); }

std::vector<Run>& everyRun() {
  static std::vector<Run> runs = [] {
    const cpu::Blocks* const* list;
    const size_t count = cpu::supportedBlocks(&list);
    std::vector<Run> made;
    for (size_t isa = 0; isa < count; isa++) {
      for (const unsigned threads : {1u, 2u, 3u}) made.emplace_back(pool(), threads, *list[isa]);
    }
    return made;
  }();
  return runs;
}

Csr sparse(size_t rows, size_t columns, uint32_t perMille, uint32_t seed) {
  Draws draws(seed);
  std::vector<uint32_t> offsets{0}, entries;
  for (size_t row = 0; row < rows; row++) {
    for (size_t column = 0; column < columns; column++) {
      if (row != 1 && draws.below(1000) < perMille) entries.push_back(uint32_t(column));
    }
    offsets.push_back(uint32_t(entries.size()));
  }
  return {offsets, entries};
}

std::vector<std::vector<double>> dense(const Csr& csr, size_t rows, size_t columns) {
  std::vector<std::vector<double>> matrix(rows, std::vector<double>(columns, 0));
  for (size_t row = 0; row < rows; row++) {
    for (size_t at = csr.offsets[row]; at < csr.offsets[row + 1]; at++) matrix[row][csr.columns[at]] = 1;
  }
  return matrix;
}

std::vector<std::vector<double>> propagator(const Csr& positives, size_t users, size_t items, size_t layers) {
  const size_t n = users + items;
  std::vector<std::vector<double>> hop(n, std::vector<double>(n, 0)), power = hop, sum = hop;
  const auto matrix = dense(positives, users, items);
  for (size_t u = 0; u < users; u++) {
    for (size_t i = 0; i < items; i++) hop[u][users + i] = hop[users + i][u] = matrix[u][i];
  }
  std::vector<double> degree(n, 0);
  for (size_t a = 0; a < n; a++) for (size_t b = 0; b < n; b++) degree[a] += hop[a][b];
  for (size_t a = 0; a < n; a++) for (size_t b = 0; b < n; b++) if (hop[a][b] != 0) hop[a][b] /= std::sqrt(degree[a] * degree[b]);
  for (size_t a = 0; a < n; a++) power[a][a] = 1;
  for (size_t layer = 0; layer <= layers; layer++) {
    auto next = std::vector<std::vector<double>>(n, std::vector<double>(n, 0));
    for (size_t a = 0; a < n; a++) for (size_t b = 0; b < n; b++) {
      sum[a][b] += power[a][b] / double(layers + 1);
      for (size_t c = 0; c < n; c++) next[a][c] += power[a][b] * hop[b][c];
    }
    power = next;
  }
  return sum;
}

std::vector<double> times(const std::vector<std::vector<double>>& matrix, const std::vector<double>& rows, size_t dimension) {
  std::vector<double> result(matrix.size() * dimension, 0);
  for (size_t a = 0; a < matrix.size(); a++) {
    for (size_t b = 0; b < matrix.size(); b++) {
      for (size_t d = 0; d < dimension; d++) result[a * dimension + d] += matrix[a][b] * rows[b * dimension + d];
    }
  }
  return result;
}

}  // namespace test
}  // namespace cragru

int main(int count, char** words) {
  using namespace cragru;
  const cpu::Blocks* const* list;
  const size_t isas = cpu::supportedBlocks(&list);
  for (size_t at = 0; at < isas; at++) std::printf("%s ", list[at]->name);
  std::printf("\n");
  for (const test::Case& one : test::cases()) {
    if (count > 1 && std::none_of(words + 1, words + count, [&](const char* word) { return std::strstr(one.name, word) != nullptr; })) continue;
    const auto start = std::chrono::steady_clock::now();
    const int before = test::failures;
    try {
      one.body();
    } catch (const Error& error) {
      test::expect(false, std::string(one.name) + " threw " + error.code + ": " + error.message);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%-60s %s %6.2f s\n", one.name, test::failures == before ? "ok    " : "FAILED", seconds);
    std::fflush(stdout);
  }
  std::printf("%d checks, %d failed\n", test::checks, test::failures);
  return test::failures == 0 && test::checks > 0 ? 0 : 1;
}
