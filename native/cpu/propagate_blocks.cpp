// One hop over the bipartite graph: float32 adds in neighbour order, a tile of columns in registers at a time.
#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

void scaleRows(const float* scales, const float* input, size_t dimension, size_t from, size_t to, float* output) {
  for (size_t row = from; row < to; row++) {
    const float scale = scales[row];
    const float* __restrict in = input + row * dimension;
    float* __restrict out = output + row * dimension;
    for (size_t d = 0; d < dimension; d++) out[d] = scale * in[d];
  }
}

// Columns 0 .. VECTORS * WIDE_LANES of one row; the pointers already stand at the tile. Explicit vectors: left to itself gcc 12 interchanges these loops and keeps the sums in memory.
template <size_t VECTORS>
static inline void hopTile(const uint32_t* columns, size_t count, const float* scaled, size_t dimension, const float* base, float scale, int last,
                           float divisor, float* output) {
  WideFloats sums[VECTORS];
#pragma GCC unroll 8
  for (size_t v = 0; v < VECTORS; v++) sums[v] = WideFloats{};
  for (size_t edge = 0; edge < count; edge++) {
    const float* row = scaled + (size_t)columns[edge] * dimension;
#pragma GCC unroll 8
    for (size_t v = 0; v < VECTORS; v++) sums[v] = sums[v] + loadFloats(row + v * WIDE_LANES);
  }
#pragma GCC unroll 8
  for (size_t v = 0; v < VECTORS; v++) {
    const WideFloats t = loadFloats(base + v * WIDE_LANES) + scale * sums[v];
    storeFloats(output + v * WIDE_LANES, last ? t / divisor : scale * t);
  }
}

static inline void hopColumn(const uint32_t* columns, size_t count, const float* scaled, size_t dimension, const float* base, float scale, int last,
                             float divisor, float* output) {
  float sum = 0.0f;
  for (size_t edge = 0; edge < count; edge++) sum = sum + scaled[(size_t)columns[edge] * dimension];
  const float t = *base + scale * sum;
  *output = last ? t / divisor : scale * t;
}

void hopRows(const uint32_t* offsets, const uint32_t* columns, const float* scales, const float* scaled, const float* base, size_t dimension,
             size_t from, size_t to, int last, float divisor, float* output) {
  for (size_t row = from; row < to; row++) {
    const uint32_t* neighbours = columns + offsets[row];
    const size_t count = offsets[row + 1] - offsets[row];
    const float* in = base + row * dimension;
    float* out = output + row * dimension;
    size_t at = 0;
    for (; at + 8 * WIDE_LANES <= dimension; at += 8 * WIDE_LANES) hopTile<8>(neighbours, count, scaled + at, dimension, in + at, scales[row], last, divisor, out + at);
    for (; at + 4 * WIDE_LANES <= dimension; at += 4 * WIDE_LANES) hopTile<4>(neighbours, count, scaled + at, dimension, in + at, scales[row], last, divisor, out + at);
    for (; at + WIDE_LANES <= dimension; at += WIDE_LANES) hopTile<1>(neighbours, count, scaled + at, dimension, in + at, scales[row], last, divisor, out + at);
    for (; at < dimension; at++) hopColumn(neighbours, count, scaled + at, dimension, in + at, scales[row], last, divisor, out + at);
  }
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
