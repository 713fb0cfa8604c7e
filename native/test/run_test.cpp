// exp, log and Philox against the C library and known answers; the pool under cancellation and exceptions.
#include "expect.h"

using namespace cragru;
using namespace cragru::test;

TEST("math: exp, log, powers and Philox") {
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

TEST("pool: a cancelled run stops, and the pool is whole afterwards") {
  Pool pool;
  std::atomic<bool> cancelled{true};
  Run run(pool, 3, plainRun().blocks);
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
  expect(seen == 14000, "every chunk runs once");
}

// A thread that is put to sleep between drawing chunk 5 and throwing lets the others finish, so one round proves nothing: what
// must hold in every round is the exception, and in most that work was left.
TEST("pool: the first exception stops the others and arrives") {
  Pool pool;
  for (const unsigned threads : {1u, 3u}) {
    Run run(pool, threads, plainRun().blocks);
    int stopped = 0;
    for (int round = 0; round < 200; round++) {
      std::atomic<int> seen{0};
      const std::string code = refusal([&] {
        run.parallel(1000, [&](size_t chunk) {
          seen++;
          if (chunk == 5) throw Error{"MINE", "", ""};
        });
      });
      expect(code == "MINE", "the exception of chunk 5");
      stopped += seen < 1000;
    }
    expect(threads == 1 ? stopped == 200 : stopped > 0, "the other chunks are given up");
  }
}

// Cancels by itself after some looks at the flag: every kernel must come back with Cancelled and leave nothing half used.
TEST("cancel: a flag that is up stops the checks of the arguments") {
  ScoreTopK input;
  input.dimension = 4;
  input.users = numbers<float>(40, 1);
  input.items = numbers<float>(40, 2);
  input.k = 3;
  Pool pool;
  std::atomic<bool> cancelled{true};
  Run run(pool, 2, plainRun().blocks);
  run.cancelled = &cancelled;
  bool stopped = false;
  try {
    check(input, run);
    cpu::scoreTopK(input, run);
  } catch (const Cancelled&) {
    stopped = true;
  }
  expect(stopped, "a call with its flag up");
}
