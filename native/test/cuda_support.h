// What the tests of the GPU share: keyed data, comparisons, and runs in several thread orders where the GPU is emulated.
#pragma once
#include <cstdio>
#include <cstring>
#include <functional>

#include "../cuda/face.h"
#include "../math.h"
#if defined(CRAGRU_EMULATE)
#include "../cuda/emulate.h"
#endif

namespace cragru {
namespace test {

inline int failures = 0, checks = 0;

inline void expect(bool holds, const std::string& what) {
  checks++;
  if (holds) return;
  failures++;
  if (failures <= 20) std::printf("FAILED: %s\n", what.c_str());
}

struct Draws {
  uint32_t seed, at = 0;
  explicit Draws(uint32_t seed) : seed(seed) {}
  uint32_t word() { return philox(at++, 0, 0, 0, seed, 7).lane[0]; }
  uint32_t below(uint32_t n) { return multiplyHigh(word(), n); }
  double number(double scale) { return (double(word()) / 4294967296.0 - 0.5) * scale; }
};

template <class T>
std::vector<T> numbers(size_t count, uint32_t seed, double scale = 1.0) {
  Draws draws(seed);
  std::vector<T> values(count);
  for (T& value : values) value = T(draws.number(scale));
  return values;
}

// Row 1 is empty, row 2 full; column 0 is in most rows.
inline Csr sparse(size_t rows, size_t columns, uint32_t perMille, uint32_t seed) {
  Draws draws(seed);
  std::vector<uint32_t> offsets{0}, entries;
  for (size_t row = 0; row < rows; row++) {
    for (size_t column = 0; column < columns; column++) {
      const bool inside = row == 2 || draws.below(1000) < (column == 0 ? 900 : perMille);
      if (row != 1 && inside) entries.push_back(uint32_t(column));
    }
    offsets.push_back(uint32_t(entries.size()));
  }
  return {offsets, entries};
}

// Of two arrays, bit by bit.
template <class Values>
bool same(const Values& a, const Values& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0);
}

// The host face that the GPU is compared with, all of this machine's instruction set.
inline Run& hostRun() {
  static Pool pool;
  const cpu::Blocks* const* list;
  const size_t count = cpu::supportedBlocks(&list);
  static Run run(pool, 2, *list[count - 1]);
  return run;
}

// The code of the error that `body` throws; empty where it throws none.
template <class Body>
std::string codeOf(Body&& body) {
  try {
    body();
    return "";
  } catch (const Error& error) {
    return error.code;
  } catch (const Cancelled&) {
    return "cancelled";
  }
}

// Calls `work` on the GPU; where it is emulated, in three orders of its threads and blocks.
inline void inOrders(const std::function<void()>& work) {
#if defined(CRAGRU_EMULATE)
  for (const uint32_t order : {0u, 1u, 5u}) {
    emulate::order = order;
    work();
  }
#else
  work();
  work();
#endif
}

}  // namespace test
}  // namespace cragru
