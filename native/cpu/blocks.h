// The inner loops, one table per instruction set. Plain pointers and C types only: the sources behind it are compiled with
// different processor flags, and a shared inline function of the standard library could then come from the wrong object.
// All tables give the same bits: vectors run across independent results, sums keep the order stated in kernels.ts.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "attention.h"
#include "curvature.h"
#include "gram.h"
#include "kmeans.h"
#include "linear.h"
#include "hop_data.h"
#include "score.h"
#include "train_data.h"

namespace cragru {
namespace cpu {

struct Blocks {
  const char* name;
  ScoreBlocks score;
  AttentionBlocks attention;
  CurvatureBlocks curvature;
  KMeansBlocks kmeans;

  // For rows[from .. to), or rows from .. to where `rows` is null. The first operands: next = scale * base.
  void (*scaleRows)(const Hop* hop, const uint32_t* rows, size_t from, size_t to);
  // t = base + scale * (sum of the neighbours' operands); then output = t / divisor, or next = scale * t.
  void (*hopRows)(const Hop* hop, const uint32_t* rows, size_t from, size_t to);

  // Philox of stream (seed, stream) at counters (users[n], items[n], epoch, draw): scaled = high half of lane 0 * range, second =
  // lane 1 (not written when null).
  void (*drawPairs)(const uint32_t* users, const uint32_t* items, size_t count, uint32_t epoch, uint32_t draw, uint32_t seed,
                    uint32_t stream, uint32_t range, uint32_t* scaled, uint32_t* second);
  // The first half of a step for user groups from .. to: losses and weights of their samples, copies of their rows, their gradients
  // and moves. The second half moves the items, when all users are done.
  void (*userGroups)(const Batch* batch, const TrainStep* step, const RowUpdate* update, size_t from, size_t to);
  void (*itemGroups)(const Batch* batch, const TrainStep* step, const RowUpdate* update, size_t from, size_t to);
  // Adam's idle steps of rows from .. to before the first step of the window that reads them.
  void (*idleRows)(const RowUpdate* update, size_t from, size_t to);
  // One step of rows from .. to on a gradient for every row; forgets KEEP_GRADIENT's rows and occurrences.
  void (*moveRows)(const RowUpdate* update, const float* gradient, size_t from, size_t to);
  // Sequential SGD, sample after sample, at most 65,000; losses [count]. Threads may race on rows.
  void (*hogwildSamples)(const Sample* samples, size_t count, float* parameters, size_t stride, double scale, float decay, double* losses);
  // Eight sums and their tree, as dot.
  double (*sumOfLosses)(const double* losses, size_t count);
  // 1 when every value is finite.
  int (*allFinite)(const float* values, size_t count);

  // One category of the dynamic program: next[w - from] for w from .. to - 1. best[w - low] holds the totals of the weights low to
  // high before it, -infinity for 32 weights on either side; next may be written up to a block of 32 beyond its end.
  void (*chooseLevels)(const double* values, size_t levels, const double* best, size_t low, size_t high, size_t from, size_t to, double* next);

  // Loops at the roof (roofs.cpp): operations done, operations done, bytes read.
  double (*spinFloats)(size_t rounds, double* sink);
  double (*spinDoubles)(size_t rounds, double* sink);
  double (*readBytes)(const float* values, size_t count, double* sink);

  GramBlocks gram;
  LinearBlocks linear;
};

// Lowest first: the instruction sets of this build that this processor has.
size_t supportedBlocks(const Blocks* const** list);
// nullptr where the name is unknown or unsupported.
const Blocks* blocksNamed(const char* name);

}  // namespace cpu
}  // namespace cragru
