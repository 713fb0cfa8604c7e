// The inner loops of counting shared rows.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace cragru {
namespace cpu {

struct GramBlocks {
  // Rows and columns are bits, `words` (a multiple of 8) words of each. counts[r][c] += bits that rows[r] and column c share, for 4
  // rows and columnCount (a multiple of 4) columns, which lie `stride` words apart.
  void (*countShared)(const uint64_t* const* rows, const uint64_t* columns, size_t columnCount, size_t stride, size_t words, uint32_t* const* counts);
  // Words that countShared gets through in the time of one step of a scatter loop.
  double sharedWords;
  // How many counts are at least `bound`; and which they are, ascending (found has room for count + 1).
  size_t (*countAtLeast)(const uint32_t* counts, size_t count, uint32_t bound);
  size_t (*findAtLeast)(const uint32_t* counts, size_t count, uint32_t bound, uint32_t* found);
};

}  // namespace cpu
}  // namespace cragru
