// The inner loops, one table per instruction set. Plain pointers and C types only: the sources behind it are compiled with
// different processor flags, and a shared inline function of the standard library could then come from the wrong object.
// All tables give the same bits: vectors run across independent results, sums keep the order stated in kernels.ts.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "hop_data.h"
#include "train_data.h"

namespace cragru {
namespace cpu {

constexpr size_t SCORE_USERS = 4;

struct Blocks {
  const char* name;
  // Items in one packed panel, at most 64; panels are [dimension][panelItems] doubles.
  size_t panelItems;

  // items [count <= panelItems, dimension] -> panel, missing items as zeros.
  void (*packPanel)(const float* items, size_t count, size_t dimension, double* panel);
  // Scores of 4 users [4, dimension] against a panel -> scores [4, panelItems]; above[u] gets a bit for each score that is
  // strictly greater than threshold[u].
  void (*scorePanel)(const double* users, const double* panel, size_t dimension, const float* thresholds, float* scores, uint64_t* above);

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

  // keys [count, dimension] -> transposed [dimension][stride] doubles, padded with zeros; stride is a multiple of 8.
  void (*transposeKeys)(const float* keys, size_t count, size_t dimension, size_t stride, double* transposed);
  // Mean over heads of one query's attention -> weights [stride]. scratch [heads * stride + heads].
  void (*attend)(const float* query, const double* transposed, const float* bias, size_t count, size_t stride, size_t dimension,
                 size_t heads, double* scratch, double* weights);

  // One category of the dynamic program: next[w] and picks[w] for w 0 .. width - 1. best[-levels .. -1] must be readable.
  void (*chooseLevels)(const double* values, size_t levels, const double* best, size_t width, double* next, uint16_t* picks);

  // Loops at the roof (roofs.cpp): operations done, operations done, bytes read.
  double (*spinFloats)(size_t rounds, double* sink);
  double (*spinDoubles)(size_t rounds, double* sink);
  double (*readBytes)(const float* values, size_t count, double* sink);
};

// Lowest first: the instruction sets of this build that this processor has.
size_t supportedBlocks(const Blocks* const** list);
// nullptr where the name is unknown or unsupported.
const Blocks* blocksNamed(const char* name);

}  // namespace cpu
}  // namespace cragru
