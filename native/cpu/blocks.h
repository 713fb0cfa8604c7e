// The inner loops, one table per instruction set. Plain pointers and C types only: the sources behind it are compiled with
// different processor flags, and a shared inline function of the standard library could then come from the wrong object.
// All tables give the same bits: vectors run across independent results, sums keep the order stated in kernels.ts.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "gram.h"
#include "linear.h"
#include "score.h"
#include "train_data.h"

namespace cragru {
namespace cpu {

// One head of attention: dimensions first .. first + width - 1, over `keys` keys padded to `stride`.
struct HeadShape {
  size_t dimension, first, width, keys, stride;
  int guarded;  // logits might leave float32
};

// Samples of a curvature in order of user; items and negatives are stacked rows. labels [samples] under BCE, else null.
struct CurvatureSamples {
  const uint32_t* items;
  const uint32_t* negatives;
  const float* labels;
  double* c;        // [samples]
  double* weights;  // [samples, 2]: a and r of reference/hessian.ts
};

// An occurrence of an item: entry = 2 * place of the sample, + 1 as its negative.
struct Reference {
  uint32_t entry;
  uint32_t user;
};

struct Blocks {
  const char* name;
  ScoreBlocks score;

  // output[at] = scale of its row * input[at] for rows from .. to.
  void (*scaleRows)(const float* scales, const float* input, size_t dimension, size_t from, size_t to, float* output);
  // t = base + scale * (sum of the neighbours' scaled rows); then output = last ? t / divisor : scale * t.
  void (*hopRows)(const uint32_t* offsets, const uint32_t* columns, const float* scales, const float* scaled, const float* base,
                  size_t dimension, size_t from, size_t to, int last, float divisor, float* output);

  // Philox of stream (seed, stream) at counters (users[n], items[n], epoch, draw): scaled = high half of lane 0 * range, second =
  // lane 1 (not written when null).
  void (*drawPairs)(const uint32_t* users, const uint32_t* items, size_t count, uint32_t epoch, uint32_t draw, uint32_t seed,
                    uint32_t stream, uint32_t range, uint32_t* scaled, uint32_t* second);
  // The first half of a step for user groups from .. to: losses and weights of their samples, copies of their rows, their gradients
  // and moves. The second half moves the items, when all users are done.
  void (*userGroups)(const Batch* batch, const Step* step, const Update* update, size_t from, size_t to);
  void (*itemGroups)(const Batch* batch, const Step* step, const Update* update, size_t from, size_t to);
  // Adam's idle steps of rows from .. to before the first step of the window that reads them.
  void (*idleRows)(const Update* update, size_t from, size_t to);
  // One step of rows from .. to on a gradient for every row; forgets KEEP_GRADIENT's rows and occurrences.
  void (*moveRows)(const Update* update, const float* gradient, size_t from, size_t to);
  // Sequential SGD, sample after sample; losses [count]. Threads may race on rows.
  void (*hogwildSamples)(const Sample* samples, size_t count, float* parameters, size_t stride, double scale, float decay, double* losses);
  // Eight sums and their tree, as dot.
  double (*sumOfLosses)(const double* losses, size_t count);
  // 1 when every value is finite.
  int (*allFinite)(const float* values, size_t count);

  // Attention. keys [count, dimension] -> packed [stride, dimension] in an order of its own, padded with zeros; stride is count
  // rounded up to 16. A long list may be packed piece by piece, each a multiple of 64 keys. Returns the largest magnitude.
  float (*packKeys)(const float* keys, size_t count, size_t dimension, float* packed);
  // scaled = scale * queries; returns the largest magnitude.
  float (*scaleQueries)(const float* queries, size_t values, float scale, float* scaled);
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

  // One category of the dynamic program: next[w - from] for w from .. to - 1. best[w - low] holds the totals of the weights low to
  // high before it, -infinity for 32 weights on either side; next may be written up to a block of 32 beyond its end.
  void (*chooseLevels)(const double* values, size_t levels, const double* best, size_t low, size_t high, size_t from, size_t to, double* next);

  // Loops at the roof (roofs.cpp): operations done, operations done, bytes read.
  double (*spinFloats)(size_t rounds, double* sink);
  double (*spinDoubles)(size_t rounds, double* sink);
  double (*readBytes)(const float* values, size_t count, double* sink);

  GramBlocks gram;
  LinearBlocks linear;

  // Curvature. The table holds rows [E, S V] of 2 * width values, width a multiple of 8.
  // c and r of samples from .. to, all of one user.
  void (*curvatureScalars)(const CurvatureSamples* samples, size_t from, size_t to, size_t user, const double* table, size_t width);
  // a of samples from .. to, all of one user, and their terms added to the user's sums [width] unless that is null. scratch [2 * width].
  void (*bendUser)(const CurvatureSamples* samples, size_t from, size_t to, size_t user, const double* table, size_t width, int full, double* scratch,
                   double* sums);
  // The terms of one item's occurrences added to its sums [width].
  void (*bendItem)(const Reference* references, size_t count, const double* weights, const double* table, size_t width, int full, double* sums);
  // hopRows in double, on `slab` (8 or 16) columns: scaled rows lie side by side, base and output in rows of a stride.
  void (*hopDoubles)(const uint32_t* offsets, const uint32_t* columns, const double* scales, const double* scaled, size_t slab, const double* base,
                     size_t baseStride, size_t from, size_t to, int last, double divisor, double* output, size_t outputStride);
  // For vectors of `count` values, a multiple of 8: a'b in eight sums; sums += factor * values; sums = values + factor * sums.
  double (*innerBlock)(const double* a, const double* b, size_t count);
  void (*addScaled)(double factor, const double* values, size_t count, double* sums);
  void (*scaleAndAdd)(double factor, const double* values, size_t count, double* sums);
};

// Lowest first: the instruction sets of this build that this processor has.
size_t supportedBlocks(const Blocks* const** list);
// nullptr where the name is unknown or unsupported.
const Blocks* blocksNamed(const char* name);

}  // namespace cpu
}  // namespace cragru
