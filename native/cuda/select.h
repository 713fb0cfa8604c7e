// The best few of many 64-bit keys, by one block. Keys are distinct and a larger one is better, so the result does not depend on the
// order of the threads; 0 is no key.
#pragma once
#include "numeric.h"

namespace cragru {
namespace cuda {

// Keys that are sorted at once; also the most that can be asked for, half of it where more than these are given.
constexpr unsigned SELECT_ROOM = 2048, SELECT_BYTES = SELECT_ROOM * 8 + (256 + 4) * 4;

// counts [256] of digits, at least `rank` in all: the digit of the rank-th largest, and its rank among its like. By one warp.
__device__ inline void findDigit(const unsigned* counts, unsigned rank, unsigned* digit, unsigned* left) {
  const unsigned lane = laneOf(), top = 255 - 8 * lane;  // lane 0 has the eight highest
  unsigned own = 0;
#pragma unroll
  for (int at = 0; at < 8; at++) own += counts[top - at];
  unsigned to = own;
#pragma unroll
  for (unsigned step = 1; step < 32; step *= 2) {
    const unsigned other = __shfl_up_sync(ALL_LANES, to, step);
    to += lane >= step ? other : 0u;
  }
  if (to < rank || to - own >= rank) return;
  unsigned rest = rank - (to - own), at = top;
  for (; counts[at] < rest; at--) rest -= counts[at];
  *digit = at;
  *left = rest;
}

// keys [size], a power of two, in place by a block; ends with a barrier.
__device__ inline void sortDescending(uint64_t* keys, unsigned size) {
  for (unsigned length = 2; length <= size; length *= 2) {
    for (unsigned step = length / 2; step > 0; step /= 2) {
      for (unsigned pair = threadIdx.x; pair < size / 2; pair += blockDim.x) {
        const unsigned at = pair / step * step * 2 + pair % step, other = at + step;
        const bool descending = (at & length) == 0;
        const uint64_t a = keys[at], b = keys[other];
        if (a != b && (a < b) == descending) {
          keys[at] = b;
          keys[other] = a;
        }
      }
      __syncthreads();
    }
  }
}

// The k largest of keyOf(0) .. keyOf(count - 1), sorted, at the head of the shared memory; zeros where fewer are. memory
// [SELECT_BYTES]; k at most SELECT_ROOM / 2. Begins and ends with a barrier.
template <class KeyOf>
__device__ const uint64_t* bestOf(size_t count, unsigned k, unsigned char* memory, KeyOf keyOf) {
  uint64_t* keys = reinterpret_cast<uint64_t*>(memory);
  unsigned* counts = reinterpret_cast<unsigned*>(keys + SELECT_ROOM);  // [256]
  unsigned* found = counts + 256;                                       // digit, its rank, keys gathered
  uint64_t least = 1;
  __syncthreads();
  if (count > SELECT_ROOM) {
    // The k-th largest key, eight bits at a time from the top; where fewer than k are there it ends as 0.
    uint64_t prefix = 0;
    unsigned rank = k;
    for (int shift = 56; shift >= 0; shift -= 8) {
      for (unsigned at = threadIdx.x; at < 256; at += blockDim.x) counts[at] = 0;
      __syncthreads();
      for (size_t at = threadIdx.x; at < count; at += blockDim.x) {
        const uint64_t key = keyOf(at);
        if (shift == 56 || key >> (shift + 8) == prefix) atomicAdd(&counts[key >> shift & 255u], 1u);
      }
      __syncthreads();
      if (threadIdx.x < 32) findDigit(counts, rank, &found[0], &found[1]);
      __syncthreads();
      prefix = prefix << 8 | found[0];
      rank = found[1];
    }
    least = prefix > 0 ? prefix : 1;
  }
  if (threadIdx.x == 0) found[2] = 0;
  __syncthreads();
  for (size_t at = threadIdx.x; at < count; at += blockDim.x) {
    const uint64_t key = keyOf(at);
    if (key >= least) keys[atomicAdd(&found[2], 1u)] = key;
  }
  __syncthreads();
  unsigned size = 1;
  while (size < found[2] || size < k) size *= 2;
  for (unsigned at = found[2] + threadIdx.x; at < size; at += blockDim.x) keys[at] = 0;
  __syncthreads();
  sortDescending(keys, size);
  return keys;
}

}  // namespace cuda
}  // namespace cragru
