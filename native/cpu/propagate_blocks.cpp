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

// Columns at .. at + WIDTH of one row.
template <size_t WIDTH>
static inline void hopTile(const uint32_t* columns, size_t count, const float* scaled, size_t dimension, size_t at, const float* base, float scale,
                           int last, float divisor, float* output) {
  float sums[WIDTH];
  for (size_t d = 0; d < WIDTH; d++) sums[d] = 0.0f;
  const float* from = scaled + at;
  for (size_t edge = 0; edge < count; edge++) {
    const float* __restrict row = from + (size_t)columns[edge] * dimension;
    for (size_t d = 0; d < WIDTH; d++) sums[d] = sums[d] + row[d];
  }
  for (size_t d = 0; d < WIDTH; d++) {
    const float t = base[at + d] + scale * sums[d];
    output[at + d] = last ? t / divisor : scale * t;
  }
}

void hopRows(const uint32_t* offsets, const uint32_t* columns, const float* scales, const float* scaled, const float* base, size_t dimension,
             size_t from, size_t to, int last, float divisor, float* output) {
  // A tile is 4 vectors of floats: enough independent sums to hide the latency of an add.
  enum { TILE = 8 * LANES };
  for (size_t row = from; row < to; row++) {
    const uint32_t* neighbours = columns + offsets[row];
    const size_t count = offsets[row + 1] - offsets[row];
    const float* baseRow = base + row * dimension;
    float* outputRow = output + row * dimension;
    size_t at = 0;
    for (; at + TILE <= dimension; at += TILE) hopTile<TILE>(neighbours, count, scaled, dimension, at, baseRow, scales[row], last, divisor, outputRow);
    for (; at + 8 <= dimension; at += 8) hopTile<8>(neighbours, count, scaled, dimension, at, baseRow, scales[row], last, divisor, outputRow);
    for (; at < dimension; at++) hopTile<1>(neighbours, count, scaled, dimension, at, baseRow, scales[row], last, divisor, outputRow);
  }
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
