// Calls made of bytes: each reads its arguments from a stream, most of them nearly right, and runs the kernel if the checks let
// them pass. The self-test feeds random bytes, fuzz.cpp what libFuzzer finds.
#pragma once
#include <cstddef>
#include <cstdint>

namespace cragru {
namespace test {

// What became of it.
enum class Fate { ran, refused };
constexpr size_t CALLS = 12;

// Call number `call` (0 .. CALLS - 1) with arguments from `bytes`. Anything but a refusal by Error is a bug and goes through.
Fate callWith(size_t call, const uint8_t* bytes, size_t size);

}  // namespace test
}  // namespace cragru
