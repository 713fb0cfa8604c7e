#include "sort.h"

namespace cragru {
namespace cuda {

namespace {

constexpr unsigned SCAN_TILE = 1024;

// A block of 256 threads scans 1024 values; sums[block] is their total.
__global__ void scanTiles(uint32_t* values, size_t count, uint32_t* sums) {
  CRAGRU_SHARED(memory);
  unsigned* words = reinterpret_cast<unsigned*>(memory);  // [256]
  const size_t first = size_t(blockIdx.x) * SCAN_TILE + threadIdx.x * 4;
  unsigned own[4], total = 0;
#pragma unroll
  for (int part = 0; part < 4; part++) {
    own[part] = first + part < count ? values[first + part] : 0u;
    total += own[part];
  }
  words[threadIdx.x] = total;
  __syncthreads();
  scan256(words);
  unsigned sum = words[threadIdx.x];
#pragma unroll
  for (int part = 0; part < 4; part++) {
    if (first + part < count) values[first + part] = sum;
    sum += own[part];
  }
  if (threadIdx.x == 255) sums[blockIdx.x] = sum;
}

__global__ void addSums(uint32_t* values, size_t count, const uint32_t* sums) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < count) values[at] += sums[at / SCAN_TILE];
}

// counts[digit * blocks + block]
__global__ void countDigits(const uint32_t* keys, size_t count, unsigned shift, uint32_t* counts) {
  CRAGRU_SHARED(memory);
  unsigned* words = reinterpret_cast<unsigned*>(memory);  // [256]
  words[threadIdx.x] = 0;
  __syncthreads();
  const size_t first = size_t(blockIdx.x) * SORT_TILE;
  for (unsigned at = threadIdx.x; at < SORT_TILE && first + at < count; at += SORT_THREADS) atomicAdd(&words[keys[first + at] >> shift & 255u], 1u);
  __syncthreads();
  counts[size_t(threadIdx.x) * gridDim.x + blockIdx.x] = words[threadIdx.x];
}

__global__ void scatterDigits(const uint32_t* keys, const uint32_t* values, size_t count, unsigned shift, const uint32_t* starts, uint32_t* keysTo,
                              uint32_t* valuesTo) {
  CRAGRU_SHARED(memory);
  unsigned* base = reinterpret_cast<unsigned*>(memory);  // [256]
  unsigned* words = base + 256;                           // [PLACE_WORDS]
  base[threadIdx.x] = starts[size_t(threadIdx.x) * gridDim.x + blockIdx.x];
  __syncthreads();
  for (unsigned round = 0; round < SORT_ROUNDS; round++) {
    const size_t at = size_t(blockIdx.x) * SORT_TILE + round * SORT_THREADS + threadIdx.x;
    const bool valid = at < count;
    const unsigned key = valid ? keys[at] : 0u;
    const unsigned place = placeOf(key >> shift & 255u, valid, base, words);
    if (valid) {
      keysTo[place] = key;
      valuesTo[place] = values[at];
    }
  }
}

}  // namespace

void exclusiveScan(Work& work, uint32_t* values, size_t count) {
  if (count == 0) return;
  const size_t blocks = divide(count, SCAN_TILE);
  Buffer<uint32_t> sums(work, blocks);
  CRAGRU_LAUNCH(work, scanTiles, unsigned(blocks), 256, 256 * 4, values, count, sums.data());
  if (blocks == 1) return;
  exclusiveScan(work, sums.data(), blocks);
  CRAGRU_LAUNCH(work, addSums, gridFor(count, 256), 256, 0, values, count, sums.data());
}

void sortByKey(Work& work, Buffer<uint32_t>& keys, Buffer<uint32_t>& values, Buffer<uint32_t>& otherKeys, Buffer<uint32_t>& otherValues, unsigned bits) {
  const size_t count = keys.size(), blocks = divide(count, SORT_TILE);
  if (count == 0) return;
  Buffer<uint32_t> counts(work, 256 * blocks);
  for (unsigned shift = 0; shift < bits; shift += 8) {
    CRAGRU_LAUNCH(work, countDigits, unsigned(blocks), SORT_THREADS, 256 * 4, keys.data(), count, shift, counts.data());
    exclusiveScan(work, counts.data(), 256 * blocks);
    CRAGRU_LAUNCH(work, scatterDigits, unsigned(blocks), SORT_THREADS, (256 + PLACE_WORDS) * 4, keys.data(), values.data(), count, shift, counts.data(),
                  otherKeys.data(), otherValues.data());
    std::swap(keys, otherKeys);
    std::swap(values, otherValues);
  }
}

}  // namespace cuda
}  // namespace cragru
