// Softmax attention of a ragged batch in float32, operation by operation as src/native/reference/attention.ts has it. A block takes
// 32 candidates of one user, a warp four of them; a lane owns every 32nd key, so sums over the dimension stay in order, and a key that
// is read from shared memory serves four candidates. Up to 256 keys the logits stay in registers, above they stand in a row of
// scratch. What is pooled or searched is first written as rows of weights.
#include <algorithm>
#include <cmath>
#include <vector>

#include "calls.h"
#include "device_math.h"
#include "select.h"

namespace cragru {
namespace cuda {

namespace {

constexpr int WARPS = 8, TOGETHER = 4, CANDIDATES = WARPS * TOGETHER, KEY_VECTORS = 8, TILE_KEYS = 32 * KEY_VECTORS, DEPTH = 32;
constexpr int KEY_PITCH = TILE_KEYS + 1, QUERY_PITCH = CANDIDATES + 4;
constexpr unsigned POOL_BLOCK = 64;  // candidates that are pooled before blocks are pooled: part of the order of operations
// Weights of one chunk of users, and multiplications of one launch.
constexpr uint64_t CHUNK_CELLS = uint64_t(1) << 26, LAUNCH_WORK = uint64_t(1) << 36;

struct Piece {
  uint32_t user, query, count, keyStart, keys, queryStart, queries;  // query: the first of `count` candidates
  uint64_t cells;                                                    // where the user's rows begin in the output
};

struct Attend {
  const Piece* pieces;
  const float *queries, *keyRows, *bias;
  unsigned dimension, heads, width;
  float scale;
  int eachHead;
  float* output;   // rows of keys: [queries] of each user, or [heads, queries]
  float* scratch;  // as output without heads: logits of long histories
  uint32_t* failed;  // lowest user with a logit that is not finite
};

__device__ __forceinline__ float larger(float a, float b) { return a > b ? a : b; }

// Totals of a row: 16 partial sums over the keys in order, added as a tree. take(m) is e of key 32 m + lane.
template <class Take>
__device__ __forceinline__ float totalOf(unsigned vectors, Take take) {
  float sum = 0.0f;
  const bool low = laneOf() < 16;
  for (unsigned m = 0; m < vectors; m++) {
    const float own = take(m), other = __shfl_xor_sync(ALL_LANES, own, 16);
    sum = sum + (low ? own : other);
    sum = sum + (low ? other : own);
  }
  sum = sum + __shfl_xor_sync(ALL_LANES, sum, 8);
  sum = sum + __shfl_xor_sync(ALL_LANES, sum, 4);
  sum = sum + __shfl_xor_sync(ALL_LANES, sum, 2);
  return sum + __shfl_xor_sync(ALL_LANES, sum, 1);
}

__device__ __forceinline__ float largestOf(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value = larger(value, __shfl_xor_sync(ALL_LANES, value, step));
  return value;
}

// Logits of the warp's candidates and the keys [first, first + TILE_KEYS) under one head.
__device__ __forceinline__ void logitsOf(const Attend& in, const Piece& piece, unsigned head, unsigned first, float* keyTile, float* queryTile,
                                         float (&sums)[TOGETHER][KEY_VECTORS]) {
  const unsigned warp = threadIdx.x / 32, lane = laneOf();
#pragma unroll
  for (int m = 0; m < KEY_VECTORS; m++) {
    const unsigned key = first + 32 * m + lane;
    const float start = key >= piece.keys ? -INFINITY : in.bias ? in.bias[piece.keyStart + key] : 0.0f;
#pragma unroll
    for (int q = 0; q < TOGETHER; q++) sums[q][m] = start;
  }
  const unsigned here = least(piece.keys - first, unsigned(TILE_KEYS)), vectors = (here + 31) / 32;
  for (unsigned depth = 0; depth < in.width; depth += DEPTH) {
    const unsigned deep = least(in.width - depth, unsigned(DEPTH));
    __syncthreads();
    for (unsigned key = warp; key < vectors * 32; key += WARPS) {
      if (lane < deep) {
        keyTile[lane * KEY_PITCH + key] = key < here ? in.keyRows[size_t(piece.keyStart + first + key) * in.dimension + head * in.width + depth + lane] : 0.0f;
      }
    }
    for (unsigned q = warp; q < unsigned(CANDIDATES); q += WARPS) {
      if (lane < deep) {
        queryTile[lane * QUERY_PITCH + q] =
            q < piece.count ? in.queries[size_t(piece.query + q) * in.dimension + head * in.width + depth + lane] * in.scale : 0.0f;
      }
    }
    __syncthreads();
    for (unsigned d = 0; d < deep; d++) {
      const float4 query = *reinterpret_cast<const float4*>(queryTile + d * QUERY_PITCH + warp * TOGETHER);
#pragma unroll
      for (int m = 0; m < KEY_VECTORS; m++) {
        if (unsigned(m) >= vectors) break;
        const float key = keyTile[d * KEY_PITCH + 32 * m + lane];
        sums[0][m] = __fmaf_rn(query.x, key, sums[0][m]);
        sums[1][m] = __fmaf_rn(query.y, key, sums[1][m]);
        sums[2][m] = __fmaf_rn(query.z, key, sums[2][m]);
        sums[3][m] = __fmaf_rn(query.w, key, sums[3][m]);
      }
    }
  }
  bool finite = true;
#pragma unroll
  for (int m = 0; m < KEY_VECTORS; m++) {
    const bool inside = first + 32 * m + lane < piece.keys;
#pragma unroll
    for (int q = 0; q < TOGETHER; q++) finite = finite && (!inside || fabsf(sums[q][m]) < INFINITY);
  }
  if (!finite) atomicMin(in.failed, piece.user);
}

// Histories of at most TILE_KEYS keys.
__global__ void __launch_bounds__(WARPS * 32, 2) attendShort(Attend in) {
  CRAGRU_SHARED(memory);
  float* keyTile = reinterpret_cast<float*>(memory);  // [DEPTH][KEY_PITCH]
  float* queryTile = keyTile + (DEPTH * KEY_PITCH + 3) / 4 * 4;  // [DEPTH][QUERY_PITCH]
  const Piece piece = in.pieces[blockIdx.x];
  const unsigned warp = threadIdx.x / 32, lane = laneOf();
  const size_t firstRow = piece.query - piece.queryStart + warp * TOGETHER;
  const unsigned vectors = (piece.keys + 31) / 32;
  float weights[TOGETHER][KEY_VECTORS];
  for (unsigned head = 0; head < in.heads; head++) {
    float e[TOGETHER][KEY_VECTORS];
    logitsOf(in, piece, head, 0, keyTile, queryTile, e);
#pragma unroll
    for (int q = 0; q < TOGETHER; q++) {
      float most = -INFINITY;
#pragma unroll
      for (int m = 0; m < KEY_VECTORS; m++) most = larger(e[q][m], most);
      most = largestOf(most);
#pragma unroll
      for (int m = 0; m < KEY_VECTORS; m++) e[q][m] = expOf32(e[q][m] - most);
      // Unrolled, or the array would leave the registers; keys that are not there add 0.
      float sum = 0.0f;
#pragma unroll
      for (int m = 0; m < KEY_VECTORS; m++) {
        const float own = e[q][m], other = __shfl_xor_sync(ALL_LANES, own, 16);
        sum = sum + (lane < 16 ? own : other);
        sum = sum + (lane < 16 ? other : own);
      }
#pragma unroll
      for (int step = 8; step > 0; step /= 2) sum = sum + __shfl_xor_sync(ALL_LANES, sum, step);
      const float inverse = 1.0f / (in.eachHead ? sum : sum * float(in.heads));
#pragma unroll
      for (int m = 0; m < KEY_VECTORS; m++) {
        weights[q][m] = in.eachHead || head == 0 ? e[q][m] * inverse : __fmaf_rn(e[q][m], inverse, weights[q][m]);
      }
    }
    if (!in.eachHead && head + 1 < in.heads) continue;
#pragma unroll
    for (int q = 0; q < TOGETHER; q++) {
      if (warp * TOGETHER + q >= piece.count) continue;
      const size_t row = (in.eachHead ? size_t(head) * piece.queries : 0) + firstRow + q;
      float* to = in.output + (in.eachHead ? piece.cells * in.heads : piece.cells) + row * piece.keys;
#pragma unroll
      for (int m = 0; m < KEY_VECTORS; m++) {
        const unsigned key = 32 * m + lane;
        if (unsigned(m) < vectors && key < piece.keys) to[key] = weights[q][m];
      }
    }
  }
}

__global__ void __launch_bounds__(WARPS * 32, 2) attendLong(Attend in) {
  CRAGRU_SHARED(memory);
  float* keyTile = reinterpret_cast<float*>(memory);
  float* queryTile = keyTile + (DEPTH * KEY_PITCH + 3) / 4 * 4;
  const Piece piece = in.pieces[blockIdx.x];
  const unsigned warp = threadIdx.x / 32, lane = laneOf(), vectors = (piece.keys + 31) / 32;
  const size_t firstRow = piece.query - piece.queryStart + warp * TOGETHER;
  float* scratch = in.scratch + piece.cells + firstRow * piece.keys;
  for (unsigned head = 0; head < in.heads; head++) {
    float most[TOGETHER];
#pragma unroll
    for (int q = 0; q < TOGETHER; q++) most[q] = -INFINITY;
    for (unsigned first = 0; first < piece.keys; first += TILE_KEYS) {
      float sums[TOGETHER][KEY_VECTORS];
      logitsOf(in, piece, head, first, keyTile, queryTile, sums);
#pragma unroll
      for (int q = 0; q < TOGETHER; q++) {
#pragma unroll
        for (int m = 0; m < KEY_VECTORS; m++) {
          const unsigned key = first + 32 * m + lane;
          most[q] = larger(sums[q][m], most[q]);
          if (warp * TOGETHER + q < piece.count && key < piece.keys) scratch[size_t(q) * piece.keys + key] = sums[q][m];
        }
      }
    }
#pragma unroll
    for (int q = 0; q < TOGETHER; q++) {
      if (warp * TOGETHER + q >= piece.count) continue;
      const float largest = largestOf(most[q]);
      float* row = scratch + size_t(q) * piece.keys;
      // Each lane writes and reads its own keys alone.
      const float total = totalOf(vectors, [&](unsigned m) {
        const unsigned key = 32 * m + lane;
        if (key >= piece.keys) return 0.0f;
        const float e = expOf32(row[key] - largest);
        row[key] = e;
        return e;
      });
      const float inverse = 1.0f / (in.eachHead ? total : total * float(in.heads));
      const size_t at = (in.eachHead ? size_t(head) * piece.queries : 0) + firstRow + q;
      float* to = in.output + (in.eachHead ? piece.cells * in.heads : piece.cells) + at * piece.keys;
      for (unsigned key = lane; key < piece.keys; key += 32) {
        to[key] = in.eachHead || head == 0 ? row[key] * inverse : __fmaf_rn(row[key], inverse, to[key]);
      }
    }
  }
}

// A thread a key: pools its column of the user's rows, block by block of candidates.
__global__ void pool(const Piece* users, const float* weights, int mean, float* pooled) {
  const Piece user = users[blockIdx.y];
  const size_t key = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (key >= user.keys) return;
  const float* column = weights + user.cells + key;
  float all = 0.0f;
  for (unsigned first = 0; first < user.queries; first += POOL_BLOCK) {
    float part = 0.0f;
    const unsigned end = least(first + POOL_BLOCK, user.queries);
    for (unsigned query = first; query < end; query++) {
      const float weight = column[size_t(query) * user.keys];
      part = mean ? part + weight : larger(weight, part);
    }
    all = mean ? all + part : larger(part, all);
  }
  pooled[user.keyStart + key] = mean ? all / float(user.queries) : all;
}

// A block a candidate. Weights are not negative: their bits order as they do.
__global__ void top(const Piece* users, const float* weights, unsigned k, float* topWeights, uint32_t* topKeys) {
  CRAGRU_SHARED(memory);
  const Piece user = users[blockIdx.y];
  for (unsigned query = blockIdx.x; query < user.queries; query += gridDim.x) {
    const float* row = weights + user.cells + size_t(query) * user.keys;
    const unsigned wanted = least(k, user.keys);
    const uint64_t* keys = bestOf(user.keys, wanted, memory, [&](size_t key) { return uint64_t(__float_as_uint(row[key])) << 32 | (0xffffffffu - unsigned(key)); });
    const size_t to = size_t(user.queryStart + query) * k;
    for (unsigned at = threadIdx.x; at < wanted; at += blockDim.x) {
      topWeights[to + at] = __uint_as_float(unsigned(keys[at] >> 32));
      topKeys[to + at] = 0xffffffffu - unsigned(keys[at]);
    }
  }
}

}  // namespace

void attentionWeights(Work& work, const CragruCudaAttention& input) {
  const size_t users = input.queryOffsets.count - 1;
  const uint32_t *queryOffsets = input.queryOffsets.data, *keyOffsets = input.keyOffsets.data;
  const int output = input.output;
  const bool rows = output == CRAGRU_CUDA_HEADS || output == CRAGRU_CUDA_WEIGHTS;
  const Input<float> queries(work, input.queries), keys(work, input.keys), bias(work, input.bias);
  const unsigned width = unsigned(input.dimension / input.heads);
  Buffer<float> results;
  Buffer<uint32_t> resultKeys, failed(work, 1);
  work.fill(failed.data(), 0xff, 1);
  if (!rows) {
    results = Buffer<float>(work, input.resultCount);
    work.fill(results.data(), 0, input.resultCount);
  }
  if (output == CRAGRU_CUDA_TOP) {
    resultKeys = Buffer<uint32_t>(work, input.resultCount);
    work.fill(resultKeys.data(), 0xff, input.resultCount);
  }
  uint64_t written = 0;
  for (size_t from = 0; from < users;) {
    std::vector<Piece> some, shortPieces, longPieces;
    uint64_t cells = 0, cost = 0;
    unsigned longest = 0, most = 0;
    size_t to = from;
    for (; to < users && to - from < 32768; to++) {
      const uint32_t queryCount = queryOffsets[to + 1] - queryOffsets[to], keyCount = keyOffsets[to + 1] - keyOffsets[to];
      const uint64_t size = uint64_t(queryCount) * keyCount;
      if (to > from && (cells + size > CHUNK_CELLS || cost + size * (input.dimension + 12 * input.heads) > LAUNCH_WORK)) break;
      if (size > 0) {
        Piece piece = {uint32_t(to), queryOffsets[to], queryCount, keyOffsets[to], keyCount, queryOffsets[to], queryCount, cells};
        some.push_back(piece);
        for (uint32_t query = queryOffsets[to]; query < queryOffsets[to + 1]; query += CANDIDATES) {
          piece.query = query;
          piece.count = std::min<uint32_t>(CANDIDATES, queryOffsets[to + 1] - query);
          (keyCount <= unsigned(TILE_KEYS) ? shortPieces : longPieces).push_back(piece);
        }
        longest = std::max(longest, keyCount);
        most = std::max(most, queryCount);
      }
      cells += size;
      cost += size * (input.dimension + 12 * input.heads);
    }
    const size_t values = cells * (output == CRAGRU_CUDA_HEADS ? input.heads : 1);
    Buffer<float> weights(work, values), scratch(work, longPieces.empty() ? 0 : cells);
    Buffer<Piece> devicePieces(work, some.size() + shortPieces.size() + longPieces.size());
    Piece *shortOnes = devicePieces.data() + some.size(), *longOnes = shortOnes + shortPieces.size();
    work.upload(devicePieces.data(), some.data(), some.size());
    work.upload(shortOnes, shortPieces.data(), shortPieces.size());
    work.upload(longOnes, longPieces.data(), longPieces.size());
    Attend attend = {shortOnes, queries.data(), keys.data(), input.bias.count > 0 ? bias.data() : nullptr, unsigned(input.dimension), unsigned(input.heads), width,
                     float(1.0 / std::sqrt(double(width))), output == CRAGRU_CUDA_HEADS, weights.data(), scratch.data(), failed.data()};
    const size_t shared = ((DEPTH * KEY_PITCH + 3) / 4 * 4 + DEPTH * QUERY_PITCH) * sizeof(float);
    CRAGRU_LAUNCH(work, attendShort, unsigned(shortPieces.size()), WARPS * 32, shared, attend);
    attend.pieces = longOnes;
    CRAGRU_LAUNCH(work, attendLong, unsigned(longPieces.size()), WARPS * 32, shared, attend);
    if (rows) {
      work.download(input.result + written, weights.data(), values);
      written += values;
    } else if (output == CRAGRU_CUDA_TOP) {
      CRAGRU_LAUNCH(work, top, dim3(std::min(most, 4096u), unsigned(some.size())), 128, SELECT_BYTES, devicePieces.data(), weights.data(), unsigned(input.k),
                    results.data(), resultKeys.data());
    } else {
      CRAGRU_LAUNCH(work, pool, dim3(gridFor(longest, 128).x, unsigned(some.size())), 128, 0, devicePieces.data(), weights.data(), output == CRAGRU_CUDA_MEAN,
                    results.data());
    }
    work.step(double(to), double(users));
    from = to;
  }
  uint32_t bad = 0;
  work.download(&bad, failed.data(), 1);
  if (!rows) work.download(input.result, results.data(), input.resultCount);
  if (output == CRAGRU_CUDA_TOP) work.download(input.resultKeys, resultKeys.data(), input.resultCount);
  work.wait();
  if (bad != 0xffffffffu) throw Failure{CRAGRU_CUDA_LOGITS, "logits leave the range of float32", bad};
}

}  // namespace cuda
}  // namespace cragru
