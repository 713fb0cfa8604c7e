// What this machine can do at most, measured when it is asked: each thread runs the same loop for a few milliseconds, again and
// again, and the best round counts. Memory is read by every thread from a part of its own.
#include "roofs.h"

#include <algorithm>
#include <chrono>

#include "../run.h"

namespace cragru {
namespace cpu {

namespace {

constexpr int ROUNDS = 7;
constexpr size_t SPINS = size_t(1) << 17;
// A part that fits the second-level cache of a core, and one that fits none.
constexpr size_t CACHE_VALUES = size_t(1) << 17;
constexpr size_t MEMORY_VALUES = size_t(1) << 24;

// Work a second, in billions: the best of the rounds.
template <class Work>
double best(Run& run, unsigned threads, Work work) {
  double most = 0;
  for (int round = 0; round < ROUNDS; round++) {
    std::vector<double> done(threads, 0.0), sinks(threads, 0.0);
    const auto start = std::chrono::steady_clock::now();
    run.parallel(threads, [&](size_t thread) { done[thread] = work(thread, &sinks[thread]); });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    double total = 0;
    for (const double one : done) total += one;
    most = std::max(most, total / seconds / 1e9);
  }
  return most;
}

}  // namespace

Roofs measureRoofs(unsigned threads, Run& run) {
  const Blocks& blocks = run.blocks;
  Roofs roofs;
  roofs.floats = best(run, threads, [&](size_t, double* sink) { return blocks.spinFloats(SPINS, sink); });
  roofs.doubles = best(run, threads, [&](size_t, double* sink) { return blocks.spinDoubles(SPINS, sink); });
  std::vector<float> values(std::max(MEMORY_VALUES, threads * CACHE_VALUES), 1.0f);
  roofs.cache = best(run, threads, [&](size_t thread, double* sink) {
    double bytes = 0;
    for (int pass = 0; pass < 200; pass++) bytes += blocks.readBytes(values.data() + thread * CACHE_VALUES, CACHE_VALUES, sink);
    return bytes;
  });
  const size_t part = MEMORY_VALUES / threads;
  roofs.memory = best(run, threads, [&](size_t thread, double* sink) { return blocks.readBytes(values.data() + thread * part, part, sink); });
  return roofs;
}

}  // namespace cpu
}  // namespace cragru
