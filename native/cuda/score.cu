// Scores, mask and top-k without the score matrix. Candidates are found by a float32 matrix product with a proved error bound;
// only they are scored in the contract's arithmetic, so the lists are exact:
// - |approximate - exact| <= margin = (dimension + 2) 2^-24 |u| max|v| (and the smallest numbers), so an item whose approximate score
//   is below T - 2 margin, T the k-th best approximate score of any set of items, is not among the best k.
// - scoreTile multiplies tiles of 128 users and 128 items and appends what reaches the user's limit; narrow lifts the limit to
//   T - 2 margin and drops what fell below. The first launch takes few tiles and keeps all of them; each later one takes three times
//   what is done, so that about 3 k entries a user are new. Tiles come in a scattered order, so a sorted catalogue does no harm.
// - A user whose entries do not fit (mass ties, numbers near overflow) is scored and sorted in full: score_all.cu.
#include <cmath>
#include <limits>
#include <vector>

#include "score.h"
#include "select.h"

namespace cragru {
namespace cuda {

namespace {

constexpr int TILE = 128, DEPTH = 16, PITCH = DEPTH + 4, TILE_THREADS = 256, NARROW_THREADS = 128;
// Tiles times depths of one launch, about 5 ms of an H200.
constexpr size_t LAUNCH_DEPTHS = 400000;
constexpr size_t ENTRY_BYTES = size_t(1) << 29;

struct Users {
  const float* rows;
  size_t count, stride;
  double* margins;
  float* limits;
  uint32_t* counts;  // entries of each user; more than the capacity: they did not fit
  uint32_t* failed;
  uint2* entries;    // [count, capacity]: order of the approximate score, item
  unsigned capacity;
};

struct Items {
  const float* rows;
  size_t count, stride, dimension;
};

// Rows with a stride that is a multiple of 4, for 16-byte copies.
__global__ void padRows(const float* from, size_t rows, size_t dimension, size_t stride, float* to) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= rows * stride) return;
  const size_t row = at / stride, d = at % stride;
  to[at] = d < dimension ? from[row * dimension + d] : 0.0f;
}

// |row| rounded up, by a warp; each lane gets it.
__device__ float normOf(const float* row, size_t dimension) {
  double sum = 0.0;
  for (size_t d = laneOf(); d < dimension; d += 32) sum += double(row[d]) * double(row[d]);
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, step);
  return float(sqrt(sum) * 1.000001);
}

__global__ void longestItem(Items items, uint32_t* longest) {
  const size_t row = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  if (row >= items.count) return;
  const float norm = normOf(items.rows + row * items.stride, items.dimension);
  if (laneOf() == 0 && norm > 0.0f) atomicMax(longest, __float_as_uint(norm));
}

__global__ void prepareUsers(Users users, size_t dimension, const uint32_t* longest) {
  const size_t row = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  if (row >= users.count) return;
  const double product = double(normOf(users.rows + row * users.stride, dimension)) * double(__uint_as_float(*longest));
  if (laneOf() != 0) return;
  // 2^-24 and 2^-149 with some room for the rounding of the bound itself.
  users.margins[row] = 1.01 * (double(dimension + 2) * 5.9604644775390625e-8 * product + double(dimension + 4) * 1.4012984643248171e-45);
  users.limits[row] = -INFINITY;
  users.counts[row] = 0;
  users.failed[row] = product < 1e38 ? 0 : 1;
}

struct Mask {
  const uint32_t* offsets;  // of the first user of the chunk; null: no mask
  const uint32_t* columns;
};

struct Tiles {
  unsigned first, step, all;  // tile y of the launch is tile (first + y) * step % all
  unsigned dense;             // the first launch: every score is kept, at its own place
};

__global__ void __launch_bounds__(TILE_THREADS, 2) scoreTile(Users users, Items items, Mask mask, Tiles tiles) {
  CRAGRU_SHARED(memory);
  float* userTile = reinterpret_cast<float*>(memory);       // [2][TILE][PITCH]
  float* itemTile = userTile + 2 * TILE * PITCH;            // [2][TILE][PITCH]
  unsigned* masked = reinterpret_cast<unsigned*>(itemTile + 2 * TILE * PITCH);  // [TILE][TILE / 32]
  float* limits = reinterpret_cast<float*>(masked + TILE * (TILE / 32));
  unsigned* places = reinterpret_cast<unsigned*>(limits + TILE);

  const size_t firstUser = size_t(blockIdx.x) * TILE;
  const unsigned tile = unsigned(size_t(tiles.first + blockIdx.y) * tiles.step % tiles.all);
  const size_t firstItem = size_t(tile) * TILE;
  // A warp is 4 users by 8 items, so that one read of shared memory serves it at once.
  const unsigned thread = threadIdx.x, tx = thread % 8 + thread / 32 % 2 * 8, ty = thread / 8 % 4 + thread / 64 * 4;
  const unsigned depths = unsigned((items.stride + DEPTH - 1) / DEPTH);

  const auto load = [&](unsigned depth) {
    float* userTo = userTile + (depth % 2) * TILE * PITCH;
    float* itemTo = itemTile + (depth % 2) * TILE * PITCH;
#pragma unroll
    for (int part = 0; part < 2; part++) {
      const unsigned piece = thread + part * TILE_THREADS, row = piece / 4, d = piece % 4 * 4;
      const size_t column = size_t(depth) * DEPTH + d;
      const bool inside = column < items.stride;
      const bool user = inside && firstUser + row < users.count, item = inside && firstItem + row < items.count;
      copy16(userTo + row * PITCH + d, user ? users.rows + (firstUser + row) * users.stride + column : users.rows, user);
      copy16(itemTo + row * PITCH + d, item ? items.rows + (firstItem + row) * items.stride + column : items.rows, item);
    }
    commitCopies();
  };
  load(0);

  if (thread < TILE) {
    const size_t user = firstUser + thread;
    const bool wanted = user < users.count && users.failed[user] == 0;
    limits[thread] = wanted ? users.limits[user] : INFINITY;
    places[thread] = 0;
    unsigned bits[TILE / 32];
#pragma unroll
    for (int word = 0; word < TILE / 32; word++) bits[word] = wanted ? 0u : ~0u;
    if (wanted && mask.offsets) {
      const unsigned end = mask.offsets[user + 1];
      for (unsigned at = lowerBound(mask.columns, mask.offsets[user], end, unsigned(firstItem)); at < end; at++) {
        const size_t column = mask.columns[at] - firstItem;
        if (column >= TILE) break;
#pragma unroll
        for (int word = 0; word < TILE / 32; word++) bits[word] |= column / 32 == size_t(word) ? 1u << (column % 32) : 0u;
      }
    }
#pragma unroll
    for (int word = 0; word < TILE / 32; word++) masked[thread * (TILE / 32) + word] = bits[word];
  }

  // Thread (tx, ty) holds users ty + 16 i and items tx + 16 j.
  float sums[8][8];
#pragma unroll
  for (int i = 0; i < 8; i++) {
#pragma unroll
    for (int j = 0; j < 8; j++) sums[i][j] = 0.0f;
  }
  for (unsigned depth = 0; depth < depths; depth++) {
    if (depth + 1 < depths) {
      load(depth + 1);
      waitCopies<1>();
    } else {
      waitCopies<0>();
    }
    __syncthreads();
    const float* userFrom = userTile + (depth % 2) * TILE * PITCH + ty * PITCH;
    const float* itemFrom = itemTile + (depth % 2) * TILE * PITCH + tx * PITCH;
#pragma unroll 1
    for (int d = 0; d < DEPTH; d += 4) {
      // Half of the users at a time: more would not fit the registers.
#pragma unroll
      for (int half = 0; half < 8; half += 4) {
        float4 a[4];
#pragma unroll
        for (int i = 0; i < 4; i++) a[i] = *reinterpret_cast<const float4*>(userFrom + (half + i) * 16 * PITCH + d);
#pragma unroll
        for (int j = 0; j < 8; j++) {
          const float4 b = *reinterpret_cast<const float4*>(itemFrom + j * 16 * PITCH + d);
#pragma unroll
          for (int i = 0; i < 4; i++) {
            float& sum = sums[half + i][j];
            sum = __fmaf_rn(a[i].x, b.x, sum);
            sum = __fmaf_rn(a[i].y, b.y, sum);
            sum = __fmaf_rn(a[i].z, b.z, sum);
            sum = __fmaf_rn(a[i].w, b.w, sum);
          }
        }
      }
    }
    __syncthreads();
  }

  // Bit 8 i + j: the pair is wanted.
  uint64_t wanted = 0;
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const unsigned user = ty + 16 * i;
    const float limit = limits[user];
#pragma unroll
    for (int j = 0; j < 8; j++) {
      const unsigned item = tx + 16 * j;
      const bool seen = masked[user * (TILE / 32) + item / 32] >> (item % 32) & 1u;
      const bool present = firstItem + item < items.count && !seen && !(sums[i][j] < limit);
      wanted |= present ? uint64_t(1) << (8 * i + j) : 0;
    }
  }
  if (tiles.dense) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const size_t user = firstUser + ty + 16 * i;
#pragma unroll
      for (int j = 0; j < 8; j++) {
        const unsigned item = tx + 16 * j;
        const unsigned order = wanted >> (8 * i + j) & 1u ? orderOf(sums[i][j]) : 0u;
        if (user < users.count) users.entries[user * users.capacity + blockIdx.y * TILE + item] = make_uint2(order, unsigned(firstItem) + item);
      }
    }
    return;
  }
  // One reservation a user and tile, then places within it.
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const unsigned mine = unsigned(__popc(unsigned(wanted >> (8 * i)) & 0xffu));
    if (mine > 0) atomicAdd(&places[ty + 16 * i], mine);
  }
  __syncthreads();
  if (thread < TILE) {
    const unsigned count = places[thread];
    places[thread] = count > 0 ? atomicAdd(&users.counts[firstUser + thread], count) : 0u;
  }
  __syncthreads();
  if (wanted == 0) return;
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const unsigned user = ty + 16 * i;
#pragma unroll
    for (int j = 0; j < 8; j++) {
      if (!(wanted >> (8 * i + j) & 1u)) continue;
      const unsigned place = atomicAdd(&places[user], 1u);
      if (place < users.capacity) {
        users.entries[(firstUser + user) * users.capacity + place] = make_uint2(orderOf(sums[i][j]), unsigned(firstItem) + tx + 16 * j);
      }
    }
  }
}

// Largest float that is not above `value`.
__device__ float floatBelow(double value) {
  const float near = float(value);
  if (!(double(near) > value)) return near;
  return fromOrder(orderOf(near) - 1u);
}

// A block a user: keeps the entries that can still be among the best k and sets the limit. dense: entries of the first launch.
__global__ void narrow(Users users, unsigned k, unsigned dense) {
  CRAGRU_SHARED(memory);
  uint2* entries = reinterpret_cast<uint2*>(memory);  // [capacity]
  unsigned* counts = reinterpret_cast<unsigned*>(entries + users.capacity);  // [256]
  unsigned* found = counts + 256;  // digit, its rank, entries present, entries kept
  const size_t user = blockIdx.x;
  if (users.failed[user] != 0) return;
  const unsigned count = dense > 0 ? dense : users.counts[user];
  if (count > users.capacity) {
    if (threadIdx.x == 0) users.failed[user] = 1;
    return;
  }
  if (threadIdx.x < 4) found[threadIdx.x] = 0;
  __syncthreads();
  unsigned present = 0;
  uint2* from = users.entries + user * users.capacity;
  for (unsigned at = threadIdx.x; at < count; at += NARROW_THREADS) {
    entries[at] = from[at];
    present += entries[at].x != 0u;
  }
  if (present > 0) atomicAdd(&found[2], present);
  __syncthreads();
  float limit = -INFINITY;
  if (found[2] >= k) {
    // The k-th largest order, eight bits at a time from the top.
    unsigned prefix = 0, rank = k;
    for (int shift = 24; shift >= 0; shift -= 8) {
      for (unsigned at = threadIdx.x; at < 256; at += NARROW_THREADS) counts[at] = 0;
      __syncthreads();
      for (unsigned at = threadIdx.x; at < count; at += NARROW_THREADS) {
        const unsigned order = entries[at].x;
        if (shift == 24 || order >> (shift + 8) == prefix) atomicAdd(&counts[order >> shift & 255u], 1u);
      }
      __syncthreads();
      if (threadIdx.x < 32) findDigit(counts, rank, &found[0], &found[1]);
      __syncthreads();
      prefix = prefix << 8 | found[0];
      rank = found[1];
    }
    limit = floatBelow(double(fromOrder(prefix)) - 2.0 * users.margins[user]);
  }
  const unsigned least = orderOf(limit);
  for (unsigned at = threadIdx.x; at < count; at += NARROW_THREADS) {
    if (entries[at].x >= least) from[atomicAdd(&found[3], 1u)] = entries[at];
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    users.counts[user] = found[3];
    users.limits[user] = limit;
  }
}

// A block a user: the exact scores of what is left, sorted.
__global__ void finish(Users users, Items items, unsigned k, uint32_t* resultItems, float* resultScores) {
  CRAGRU_SHARED(memory);
  uint64_t* keys = reinterpret_cast<uint64_t*>(memory);
  const size_t user = blockIdx.x;
  if (users.failed[user] != 0) return;
  const unsigned count = users.counts[user];
  unsigned size = 1;
  while (size < count) size *= 2;
  const float* row = users.rows + user * users.stride;
  for (unsigned first = 0; first < size; first += NARROW_THREADS / 8) {
    const unsigned at = first + threadIdx.x / 8;
    const unsigned item = at < count ? users.entries[user * users.capacity + at].y : 0u;
    const float score = float(dotOfEight(row, items.rows + size_t(item) * items.stride, items.dimension));
    if (threadIdx.x % 8 == 0 && at < size) keys[at] = at < count ? uint64_t(orderOf(score)) << 32 | (0xffffffffu - item) : 0;
  }
  __syncthreads();
  sortDescending(keys, size);
  for (unsigned at = threadIdx.x; at < k; at += NARROW_THREADS) {
    const unsigned item = at < count ? 0xffffffffu - unsigned(keys[at]) : 0xffffffffu;
    float score = at < count ? fromOrder(unsigned(keys[at] >> 32)) : -INFINITY;
    // The key has no sign of zero.
    if (score == 0.0f) score = float(dotOfOne(row, items.rows + size_t(item) * items.stride, items.dimension));
    resultItems[user * k + at] = item;
    resultScores[user * k + at] = score;
  }
}

size_t greatestCommonDivisor(size_t a, size_t b) { return b == 0 ? a : greatestCommonDivisor(b, a % b); }

// About 0.618 of `all` and prime to it.
unsigned scatter(size_t all) {
  size_t step = size_t(double(all) * 0.6180339887);
  while (step < 1 || greatestCommonDivisor(step, all) != 1) step++;
  return unsigned(step);
}

}  // namespace

void scoreTopK(Work& work, const CragruCudaScoreTopK& input) {
  if (input.userRows == 0) return;
  const Input<float> users(work, input.users), items(work, input.items);
  const size_t stride = divide(input.dimension, 4) * 4, dimension = input.dimension, k = input.k;
  Buffer<float> paddedUsers, paddedItems;
  const float *userRows = users.data(), *itemRows = items.data();
  if (stride != dimension) {
    paddedUsers = Buffer<float>(work, input.userRows * stride);
    paddedItems = Buffer<float>(work, input.itemCount * stride);
    CRAGRU_LAUNCH(work, padRows, gridFor(input.userRows * stride, 256), 256, 0, userRows, input.userRows, dimension, stride, paddedUsers.data());
    CRAGRU_LAUNCH(work, padRows, gridFor(input.itemCount * stride, 256), 256, 0, itemRows, input.itemCount, dimension, stride, paddedItems.data());
    userRows = paddedUsers.data();
    itemRows = paddedItems.data();
  }
  Buffer<uint32_t> maskOffsets, maskColumns;
  ScoreAll all = {itemRows, input.itemCount, stride, dimension, k, nullptr, nullptr};
  std::vector<Input<uint32_t>> mask;
  if (input.masked) {
    mask.emplace_back(work, input.mask.offsets);
    mask.emplace_back(work, input.mask.columns);
    all.maskOffsets = mask[0].data();
    all.maskColumns = mask[1].data();
  }
  Buffer<uint32_t> resultItems(work, input.userRows * k);
  Buffer<float> resultScores(work, input.userRows * k);

  if (k > 1024) {
    std::vector<uint32_t> rows(input.userRows);
    for (size_t row = 0; row < rows.size(); row++) rows[row] = uint32_t(row);
    scoreAll(work, all, userRows, rows, resultItems.data(), resultScores.data());
  } else {
    const Items catalogue = {itemRows, input.itemCount, stride, dimension};
    unsigned kept = 512;  // scores that the first launch keeps
    while (kept < 4 * k) kept *= 2;
    const unsigned capacity = 2 * kept;
    const size_t tiles = divide(input.itemCount, TILE), depths = divide(stride, DEPTH);
    const size_t chunk = std::max<size_t>(TILE, std::min(ENTRY_BYTES / (capacity * sizeof(uint2)), LAUNCH_DEPTHS * TILE / 4 / depths) / TILE * TILE);
    const size_t most = std::min(chunk, input.userRows);
    Buffer<double> margins(work, most);
    Buffer<float> limits(work, most);
    Buffer<uint32_t> counts(work, most), failed(work, most), longest(work, 1);
    Buffer<uint2> entries(work, most * capacity);
    work.fill(longest.data(), 0, 1);
    CRAGRU_LAUNCH(work, longestItem, gridFor(input.itemCount * 32, 256), 256, 0, catalogue, longest.data());
    std::vector<uint32_t> failedHost(input.userRows);
    for (size_t first = 0; first < input.userRows; first += chunk) {
      const size_t count = std::min(chunk, input.userRows - first), userTiles = divide(count, TILE);
      const Users part = {userRows + first * stride, count, stride, margins.data(), limits.data(), counts.data(), failed.data(), entries.data(), capacity};
      CRAGRU_LAUNCH(work, prepareUsers, gridFor(count * 32, 256), 256, 0, part, dimension, longest.data());
      const Mask seen = {input.masked ? all.maskOffsets + first : nullptr, all.maskColumns};
      const size_t sharedTile = 4 * TILE * PITCH * sizeof(float) + (TILE * (TILE / 32) + 2 * TILE) * 4;
      const size_t sharedNarrow = capacity * sizeof(uint2) + (256 + 4) * 4;
      const size_t perLaunch = std::min<size_t>(std::max<size_t>(1, LAUNCH_DEPTHS / (userTiles * depths)), 32768);
      for (size_t done = 0; done < tiles;) {
        const size_t now = done == 0 ? std::min<size_t>(tiles, kept / TILE) : std::min({tiles - done, 3 * done, perLaunch});
        const Tiles which = {unsigned(done), scatter(tiles), unsigned(tiles), done == 0};
        CRAGRU_LAUNCH(work, scoreTile, dim3(unsigned(userTiles), unsigned(now)), TILE_THREADS, sharedTile, part, catalogue, seen, which);
        CRAGRU_LAUNCH(work, narrow, unsigned(count), NARROW_THREADS, sharedNarrow, part, unsigned(k), unsigned(done == 0 ? now * TILE : 0));
        done += now;
        work.step(double(first) + double(count) * double(done) / double(tiles), double(input.userRows));
      }
      CRAGRU_LAUNCH(work, finish, unsigned(count), NARROW_THREADS, capacity * sizeof(uint64_t), part, catalogue, unsigned(k), resultItems.data() + first * k,
                    resultScores.data() + first * k);
      work.download(failedHost.data() + first, failed.data(), count);
    }
    work.wait();
    std::vector<uint32_t> rows;
    for (size_t row = 0; row < failedHost.size(); row++) {
      if (failedHost[row] != 0) rows.push_back(uint32_t(row));
    }
    if (!rows.empty()) scoreAll(work, all, userRows, rows, resultItems.data(), resultScores.data());
  }
  work.download(input.resultItems, resultItems.data(), input.userRows * k);
  work.download(input.resultScores, resultScores.data(), input.userRows * k);
  work.wait();
}

}  // namespace cuda
}  // namespace cragru
