#include <cstring>

#include "blocks.h"

namespace cragru {
namespace cpu {

extern const Blocks blocks_base;
#if defined(__x86_64__)
extern const Blocks blocks_avx2;
extern const Blocks blocks_avx512;
extern const Blocks blocks_avx512vnni;
#endif

namespace {
struct Supported {
  const Blocks* list[4];
  size_t count = 0;
  Supported() {
    list[count++] = &blocks_base;
#if defined(__x86_64__)
    // Feature names, not "x86-64-v3": clang 14 does not know those.
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2) list[count++] = &blocks_avx2;
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq")) {
      list[count++] = &blocks_avx512;
      if (__builtin_cpu_supports("avx512vnni")) list[count++] = &blocks_avx512vnni;
    }
#endif
  }
};

const Supported& supported() {
  static const Supported value;
  return value;
}
}  // namespace

size_t supportedBlocks(const Blocks* const** list) {
  *list = supported().list;
  return supported().count;
}

const Blocks* blocksNamed(const char* name) {
  for (size_t at = 0; at < supported().count; at++) {
    if (std::strcmp(supported().list[at]->name, name) == 0) return supported().list[at];
  }
  return nullptr;
}

}  // namespace cpu
}  // namespace cragru
