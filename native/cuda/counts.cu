// Shared rows of columns: X'X of a binary matrix. Columns become rows of bits over the rows; a pair costs an AND and a population
// count per 32 rows. Where the data is so sparse that walking the pairs of every row is cheaper, they are counted one by one. Integers:
// the order does not matter.
#include <algorithm>
#include <vector>

#include "calls.h"
#include "graph.h"
#include "select.h"

namespace cragru {
namespace cuda {

namespace {

constexpr int TILE = 64, WORDS = 16, THREADS = 256;
// How many 32-bit words of population counts cost as much as one atomic count.
constexpr uint64_t WORDS_AN_ATOMIC = 24;
constexpr size_t BIT_BYTES = size_t(1) << 33, COUNT_BYTES = size_t(1) << 28;
// Words of one launch, and pairs counted one by one.
constexpr uint64_t LAUNCH_WORDS = uint64_t(1) << 34, LAUNCH_PAIRS = uint64_t(1) << 29;

// A warp a row: sets its bit in each of its columns.
__global__ void setBits(const uint32_t* offsets, const uint32_t* columns, size_t rows, size_t words, uint32_t* bits) {
  const size_t row = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  if (row >= rows) return;
  for (unsigned at = offsets[row] + laneOf(); at < offsets[row + 1]; at += 32) atomicOr(&bits[columns[at] * words + row / 32], 1u << (row % 32));
}

// Counts of 64 by 64 pairs of columns. triangle: the lower triangle, packed; else rows [firstRow, ...) of `count` columns each.
__global__ void __launch_bounds__(THREADS) countTiles(const uint32_t* bits, size_t count, size_t words, size_t firstRow, int triangle, uint32_t* counts) {
  CRAGRU_SHARED(memory);
  unsigned* left = reinterpret_cast<unsigned*>(memory);  // [WORDS][TILE + 1]
  unsigned* right = left + WORDS * (TILE + 1);
  const size_t rowStart = firstRow + size_t(blockIdx.y) * TILE, columnStart = size_t(blockIdx.x) * TILE;
  if (triangle && columnStart >= rowStart + TILE) return;
  const unsigned tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  unsigned sums[4][4] = {};
  for (size_t first = 0; first < words; first += WORDS) {
    __syncthreads();
#pragma unroll
    for (int part = 0; part < WORDS * TILE / THREADS; part++) {
      const unsigned at = threadIdx.x + part * THREADS, word = at % WORDS, column = at / WORDS;
      const bool inside = first + word < words;
      left[word * (TILE + 1) + column] = inside && rowStart + column < count ? bits[(rowStart + column) * words + first + word] : 0u;
      right[word * (TILE + 1) + column] = inside && columnStart + column < count ? bits[(columnStart + column) * words + first + word] : 0u;
    }
    __syncthreads();
#pragma unroll
    for (int word = 0; word < WORDS; word++) {
      unsigned a[4], b[4];
#pragma unroll
      for (int i = 0; i < 4; i++) a[i] = left[word * (TILE + 1) + ty + 16 * i];
#pragma unroll
      for (int j = 0; j < 4; j++) b[j] = right[word * (TILE + 1) + tx + 16 * j];
#pragma unroll
      for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) sums[i][j] += unsigned(__popc(a[i] & b[j]));
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const size_t row = rowStart + ty + 16 * i;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const size_t column = columnStart + tx + 16 * j;
      if (row >= count || column >= count) continue;
      if (!triangle) counts[(row - firstRow) * count + column] = sums[i][j];
      else if (column <= row) counts[row * (row + 1) / 2 + column] = sums[i][j];
    }
  }
}

// A warp a row: every pair of its columns.
__global__ void countPairs(const uint32_t* offsets, const uint32_t* columns, size_t from, size_t to, uint32_t* counts) {
  const size_t row = from + (size_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  if (row >= to) return;
  for (unsigned at = offsets[row]; at < offsets[row + 1]; at++) {
    const size_t column = columns[at];
    for (unsigned other = offsets[row] + laneOf(); other <= at; other += 32) atomicAdd(&counts[column * (column + 1) / 2 + columns[other]], 1u);
  }
}

// A block a column of [first, ...): the rows that have it, and their columns.
__global__ void countNeighbours(const uint32_t* offsets, const uint32_t* columns, const uint32_t* holderOffsets, const uint32_t* holders, size_t first, size_t count,
                                uint32_t* counts) {
  const size_t column = first + blockIdx.x;
  uint32_t* own = counts + blockIdx.x * count;
  for (unsigned at = holderOffsets[column] + threadIdx.x / 32; at < holderOffsets[column + 1]; at += blockDim.x / 32) {
    const uint32_t row = holders[at];
    for (unsigned entry = offsets[row] + laneOf(); entry < offsets[row + 1]; entry += 32) atomicAdd(&own[columns[entry]], 1u);
  }
}

// A block a column: the k largest counts of others, ties by lower index.
__global__ void topCounts(const uint32_t* counts, size_t first, size_t count, unsigned k, uint32_t* items, uint32_t* best) {
  CRAGRU_SHARED(memory);
  const size_t column = first + blockIdx.x;
  const uint32_t* own = counts + blockIdx.x * count;
  const uint64_t* keys = bestOf(count, k, memory, [&](size_t other) {
    return other == column || own[other] == 0 ? uint64_t(0) : uint64_t(own[other]) << 32 | (0xffffffffu - unsigned(other));
  });
  for (unsigned at = threadIdx.x; at < k; at += blockDim.x) {
    items[column * k + at] = keys[at] > 0 ? 0xffffffffu - unsigned(keys[at]) : 0xffffffffu;
    best[column * k + at] = unsigned(keys[at] >> 32);
  }
}

constexpr size_t COUNT_SHARED = 2 * WORDS * (TILE + 1) * 4;

// The rows' lengths, for the choice between the two ways.
std::vector<uint32_t> hostOffsets(Work& work, const Input<uint32_t>& offsets) {
  std::vector<uint32_t> host(offsets.size());
  work.download(host.data(), offsets.data(), host.size());
  work.wait();
  return host;
}

uint64_t pairsOf(const std::vector<uint32_t>& offsets) {
  uint64_t pairs = 0;
  for (size_t row = 0; row + 1 < offsets.size(); row++) {
    const uint64_t length = offsets[row + 1] - offsets[row];
    pairs += length * (length + 1) / 2;
  }
  return pairs;
}

class Bits {
 public:
  Bits(Work& work, const Input<uint32_t>& offsets, const Input<uint32_t>& columns, size_t columnCount)
      : words_(std::max<size_t>(1, divide(offsets.size() - 1, 32))), bits_(work, words_ * columnCount) {
    work.fill(bits_.data(), 0, bits_.size());
    CRAGRU_LAUNCH(work, setBits, gridFor((offsets.size() - 1) * 32, 256), 256, 0, offsets.data(), columns.data(), offsets.size() - 1, words_, bits_.data());
  }
  // Whether counting by bits is the cheaper way.
  static bool pay(size_t rows, size_t columnCount, uint64_t pairs) {
    const uint64_t words = divide(rows, 32), tiles = uint64_t(columnCount) * (columnCount + 1) / 2;
    return double(words) * double(columnCount) * 4 <= double(BIT_BYTES) && double(tiles) * double(words) <= double(WORDS_AN_ATOMIC) * double(pairs);
  }
  // Rows of counts of the columns [first, first + rows), or all of the triangle.
  void count(Work& work, size_t columnCount, size_t first, size_t rows, bool triangle, uint32_t* counts) const {
    const size_t tiles = divide(columnCount, TILE), step = std::max<size_t>(1, LAUNCH_WORDS / (tiles * TILE * TILE * words_));
    for (size_t tile = 0; tile < divide(rows, TILE); tile += step) {
      const unsigned now = unsigned(std::min(step, divide(rows, TILE) - tile));
      const unsigned across = unsigned(triangle ? std::min(tiles, tile + now) : tiles);
      const size_t from = first + tile * TILE;
      CRAGRU_LAUNCH(work, countTiles, dim3(across, now), THREADS, COUNT_SHARED, bits_.data(), columnCount, words_, from, triangle,
                    triangle ? counts : counts + tile * TILE * columnCount);
      work.check();
    }
  }

 private:
  size_t words_;
  Buffer<uint32_t> bits_;
};

}  // namespace

void gram(Work& work, const CragruCudaGram& input) {
  const size_t n = input.columnCount, size = n * (n + 1) / 2, rows = input.positives.offsets.count - 1;
  const Input<uint32_t> offsets(work, input.positives.offsets), columns(work, input.positives.columns);
  const std::vector<uint32_t> host = hostOffsets(work, offsets);
  Buffer<uint32_t> counts(work, size);
  if (Bits::pay(rows, n, pairsOf(host))) {
    Bits(work, offsets, columns, n).count(work, n, 0, n, true, counts.data());
  } else {
    work.fill(counts.data(), 0, size);
    for (size_t from = 0; from < rows;) {
      uint64_t pairs = 0;
      size_t to = from;
      for (; to < rows && pairs < LAUNCH_PAIRS; to++) pairs += uint64_t(host[to + 1] - host[to]) * (host[to + 1] - host[to]) / 2;
      CRAGRU_LAUNCH(work, countPairs, gridFor((to - from) * 32, 256), 256, 0, offsets.data(), columns.data(), from, to, counts.data());
      work.step(double(to), double(rows));
      from = to;
    }
  }
  work.download(input.result, counts.data(), size);
  work.wait();
}

void itemCooccurrence(Work& work, const CragruCudaCooccurrence& input) {
  const size_t n = input.columnCount, rows = input.positives.offsets.count - 1, k = input.k;
  if (n == 0) return;
  const Input<uint32_t> offsets(work, input.positives.offsets), columns(work, input.positives.columns);
  const bool byBits = Bits::pay(rows, n, pairsOf(hostOffsets(work, offsets)));
  const size_t chunk = std::min(n, std::max<size_t>(TILE, COUNT_BYTES / (n * 4) / TILE * TILE));
  Buffer<uint32_t> counts(work, chunk * n), items(work, n * k), best(work, n * k);
  std::vector<Bits> bits;
  std::vector<Graph> transpose;
  if (byBits) bits.emplace_back(work, offsets, columns, n);
  else transpose.emplace_back(work, input.positives, rows, n);
  for (size_t first = 0; first < n; first += chunk) {
    const unsigned some = unsigned(std::min(chunk, n - first));
    if (byBits) {
      bits[0].count(work, n, first, some, false, counts.data());
    } else {
      work.fill(counts.data(), 0, some * n);
      const GraphView view = transpose[0].view();
      CRAGRU_LAUNCH(work, countNeighbours, some, 256, 0, offsets.data(), columns.data(), view.offsets + rows, view.columns, first, n, counts.data());
    }
    CRAGRU_LAUNCH(work, topCounts, some, 128, SELECT_BYTES, counts.data(), first, n, unsigned(k), items.data(), best.data());
    work.step(double(first + some), double(n));
  }
  work.download(input.resultItems, items.data(), n * k);
  work.download(input.resultCounts, best.data(), n * k);
  work.wait();
}

}  // namespace cuda
}  // namespace cragru
