// Stable counting sorts by eight bits at a time. Places depend on the data alone, never on which block runs first.
#pragma once
#include "numeric.h"

namespace cragru {
namespace cuda {

constexpr unsigned SORT_THREADS = 256, SORT_ROUNDS = 8, SORT_TILE = SORT_THREADS * SORT_ROUNDS;
// Shared words of placeOf, beside base [256].
constexpr unsigned PLACE_WORDS = SORT_THREADS / 32 * 256;

// For a block of SORT_THREADS: the place of each valid thread's digit, base[digit] counted on in thread order. base [256] moves
// behind the places given out. A barrier must stand between a write to base and this call.
__device__ inline unsigned placeOf(unsigned digit, bool valid, unsigned* base, unsigned* words) {
  const unsigned warp = threadIdx.x / 32;
  for (unsigned at = threadIdx.x; at < PLACE_WORDS; at += SORT_THREADS) words[at] = 0;
  __syncthreads();
  const unsigned same = __match_any_sync(ALL_LANES, valid ? digit : 256u);
  const unsigned before = unsigned(__popc(same & ((1u << laneOf()) - 1u)));
  if (valid && before == 0) words[warp * 256 + digit] = unsigned(__popc(same));
  __syncthreads();
  unsigned next = base[threadIdx.x];
  for (unsigned at = threadIdx.x; at < PLACE_WORDS; at += 256) {
    const unsigned count = words[at];
    words[at] = next;
    next += count;
  }
  base[threadIdx.x] = next;
  __syncthreads();
  const unsigned place = valid ? words[warp * 256 + digit] + before : 0u;
  __syncthreads();
  return place;
}

// Exclusive sums of words [256] by a block of SORT_THREADS, in place.
__device__ inline void scan256(unsigned* words) {
  const unsigned own = words[threadIdx.x];
  __syncthreads();
  for (unsigned step = 1; step < 256; step *= 2) {
    const unsigned left = threadIdx.x >= step ? words[threadIdx.x - step] : 0u;
    __syncthreads();
    words[threadIdx.x] += left;
    __syncthreads();
  }
  const unsigned sum = words[threadIdx.x];
  __syncthreads();
  words[threadIdx.x] = sum - own;
  __syncthreads();
}

// values[at] <- sum of values[0 .. at), on the device.
void exclusiveScan(Work& work, uint32_t* values, size_t count);

// Stably sorts `values` (and `keys` with them) by the low `bits` bits of `keys`; scratch buffers are of the same length. The result
// stands where the two references then point.
void sortByKey(Work& work, Buffer<uint32_t>& keys, Buffer<uint32_t>& values, Buffer<uint32_t>& otherKeys, Buffer<uint32_t>& otherValues, unsigned bits);

}  // namespace cuda
}  // namespace cragru
