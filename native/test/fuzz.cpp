// libFuzzer over the argument layer: the first byte chooses the call, the rest are its arguments. scripts/fuzz.sh builds and runs it.
#include "calls.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size > 0) cragru::test::callWith(bytes[0] % cragru::test::CALLS, bytes + 1, size - 1);
  return 0;
}
