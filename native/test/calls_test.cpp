#include "calls.h"

#include "expect.h"

using namespace cragru;
using namespace cragru::test;

// Either the check refuses them, or the kernel must run clean under the sanitizers.
TEST("calls: random arguments are refused or run") {
  for (size_t call = 0; call < CALLS; call++) {
    int ran = 0, refused = 0;
    for (uint32_t seed = 0; seed < 500; seed++) {
      Draws draws(seed * uint32_t(CALLS) + uint32_t(call));
      std::vector<uint8_t> bytes(20 + draws.below(300));
      // Half of them without the highest bytes, which stand for NaN and the like.
      const uint32_t limit = draws.below(2) ? 256 : 200;
      for (uint8_t& byte : bytes) byte = uint8_t(draws.below(limit));
      (callWith(call, bytes.data(), bytes.size()) == Fate::ran ? ran : refused)++;
    }
    expect(ran >= 20 && refused >= 10, "call " + std::to_string(call) + " reaches the kernel and the refusals: " + std::to_string(ran) + " ran, " + std::to_string(refused) + " refused");
  }
}
