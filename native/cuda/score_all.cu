#include "score.h"

namespace cragru {
namespace cuda {

namespace {

constexpr size_t KEY_BYTES = size_t(1) << 28;
// Multiplications of one launch.
constexpr size_t LAUNCH_WORK = size_t(1) << 33;

// keys[y, item] = complement of the order of the exact score, so that best first is ascending; ~0 where the item is masked.
__global__ void scoreRows(ScoreAll input, const float* users, const uint32_t* rows, uint32_t* keys, uint32_t* numbers) {
  const size_t item = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) / 8;
  const size_t known = item < input.itemCount ? item : input.itemCount - 1;
  const uint32_t row = rows[blockIdx.y];
  const float score = float(dotOfEight(users + size_t(row) * input.stride, input.items + known * input.stride, input.dimension));
  if (item >= input.itemCount || threadIdx.x % 8 != 0) return;
  bool masked = false;
  if (input.maskOffsets) {
    const unsigned end = input.maskOffsets[row + 1], at = lowerBound(input.maskColumns, input.maskOffsets[row], end, unsigned(item));
    masked = at < end && input.maskColumns[at] == item;
  }
  const size_t to = blockIdx.y * input.itemCount + item;
  keys[to] = masked ? 0xffffffffu : ~orderOf(score);
  numbers[to] = unsigned(item);
}

// A block a user: sorts its row by eight bits of the keys.
__global__ void sortRows(const uint32_t* keys, const uint32_t* numbers, size_t count, unsigned shift, uint32_t* keysTo, uint32_t* numbersTo) {
  CRAGRU_SHARED(memory);
  unsigned* base = reinterpret_cast<unsigned*>(memory);  // [256]
  unsigned* words = base + 256;                           // [PLACE_WORDS]
  const size_t row = blockIdx.x * count;
  base[threadIdx.x] = 0;
  __syncthreads();
  for (size_t at = threadIdx.x; at < count; at += SORT_THREADS) atomicAdd(&base[keys[row + at] >> shift & 255u], 1u);
  __syncthreads();
  scan256(base);
  for (size_t first = 0; first < count; first += SORT_THREADS) {
    const size_t at = first + threadIdx.x;
    const bool valid = at < count;
    const unsigned key = valid ? keys[row + at] : 0u;
    const unsigned place = placeOf(key >> shift & 255u, valid, base, words);
    if (valid) {
      keysTo[row + place] = key;
      numbersTo[row + place] = numbers[row + at];
    }
  }
}

__global__ void writeRows(ScoreAll input, const float* users, const uint32_t* rows, const uint32_t* keys, const uint32_t* numbers, uint32_t* resultItems,
                          float* resultScores) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= input.k) return;
  const uint32_t row = rows[blockIdx.y];
  const size_t from = blockIdx.y * input.itemCount + at, to = row * input.k + at;
  const unsigned key = keys[from];
  const bool present = key != 0xffffffffu;
  float score = present ? fromOrder(~key) : -INFINITY;
  // The key has no sign of zero.
  if (score == 0.0f) score = float(dotOfOne(users + size_t(row) * input.stride, input.items + size_t(numbers[from]) * input.stride, input.dimension));
  resultItems[to] = present ? numbers[from] : 0xffffffffu;
  resultScores[to] = score;
}

}  // namespace

void scoreAll(Work& work, const ScoreAll& input, const float* users, const std::vector<uint32_t>& rows, uint32_t* resultItems, float* resultScores) {
  const size_t byMemory = KEY_BYTES / (4 * sizeof(uint32_t) * input.itemCount), byWork = LAUNCH_WORK / (input.itemCount * input.dimension);
  const size_t group = std::min({std::max<size_t>(1, std::min(byMemory, byWork)), rows.size(), size_t(16384)});
  Buffer<uint32_t> numbersOfRows(work, rows.size());
  work.upload(numbersOfRows.data(), rows.data(), rows.size());
  Buffer<uint32_t> keys(work, group * input.itemCount), numbers(work, group * input.itemCount), otherKeys(work, group * input.itemCount),
      otherNumbers(work, group * input.itemCount);
  for (size_t first = 0; first < rows.size(); first += group) {
    const unsigned count = unsigned(std::min(group, rows.size() - first));
    const uint32_t* some = numbersOfRows.data() + first;
    CRAGRU_LAUNCH(work, scoreRows, dim3(gridFor(input.itemCount * 8, 256).x, count), 256, 0, input, users, some, keys.data(), numbers.data());
    for (unsigned shift = 0; shift < 32; shift += 8) {
      CRAGRU_LAUNCH(work, sortRows, count, SORT_THREADS, (256 + PLACE_WORDS) * 4, keys.data(), numbers.data(), input.itemCount, shift, otherKeys.data(),
                    otherNumbers.data());
      std::swap(keys, otherKeys);
      std::swap(numbers, otherNumbers);
      work.check();
    }
    CRAGRU_LAUNCH(work, writeRows, dim3(gridFor(input.k, 256).x, count), 256, 0, input, users, some, keys.data(), numbers.data(), resultItems, resultScores);
    work.step(double(first + count), double(rows.size()));
  }
}

}  // namespace cuda
}  // namespace cragru
