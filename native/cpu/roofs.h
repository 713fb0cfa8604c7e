#pragma once
#include "../kernels.h"

namespace cragru {
namespace cpu {

// Billions a second, all threads together.
struct Roofs {
  double floats = 0;   // float32 operations, multiply and add counted as two
  double doubles = 0;  // the same in double
  double cache = 0;    // bytes read from the second-level cache
  double memory = 0;   // bytes read from memory
};

Roofs measureRoofs(unsigned threads, Run& run);

}  // namespace cpu
}  // namespace cragru
