// The inner loops of attention. The order of operations stands in src/native/reference/attention.ts.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace cragru {
namespace cpu {

// Queries of one call, and what a list of keys is padded to.
enum { ATTENTION_QUERIES = 4, ATTENTION_PADDING = 16 };

// One head: dimensions first .. first + width - 1, over `keys` keys padded to `stride`.
struct HeadShape {
  size_t dimension, first, width, keys, stride;
  int guarded;  // logits might leave float32
};

struct AttentionBlocks {
  // keys [count, dimension] -> packed [stride, dimension] in an order of its own, padded with zeros. A long list may be packed piece by
  // piece, each a multiple of 64 keys. Returns the largest magnitude.
  float (*packKeys)(const float* keys, size_t count, size_t dimension, float* packed);
  // scaled = scale * values; returns the largest magnitude.
  float (*scaleRow)(const float* values, size_t count, float scale, float* scaled);
  // e^(logit - largest logit) of 1 to 4 scaled queries [count, dimension] under one head -> e [count, stride], and the sum of each.
  // start [stride]: where a logit starts, -infinity for the padding. Returns 0 where the shape is guarded and a logit is not finite.
  int (*attendHead)(const HeadShape* shape, const float* queries, size_t count, const float* packed, const float* start, float* e, float* totals);
  // weights [stride] = e * inverse, added to by a fused multiply-add unless first.
  void (*mixHead)(const float* e, size_t stride, float inverse, int first, float* weights);
  // pooled[j] = the larger of both, or their sum.
  void (*poolWeights)(const float* weights, size_t count, int largest, float* pooled);
  // The k largest weights of a row [stride] of `count` keys, and the numbers of their keys, best first (ties: lower number). Returns
  // how many there are, k or count. scratch [2 * (stride + 16)].
  size_t (*topWeights)(const float* row, size_t stride, size_t count, size_t k, uint64_t* scratch, float* weights, uint32_t* numbers);
};

}  // namespace cpu
}  // namespace cragru
