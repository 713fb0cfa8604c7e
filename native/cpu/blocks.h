// The inner loops, one table per instruction set. Plain pointers and C types only: the sources behind it are compiled with
// different processor flags, and a shared inline function of the standard library could then come from the wrong object.
// All tables give the same bits: vectors run across independent results, sums keep the order stated in kernels.ts.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace cragru {
namespace cpu {

// Samples of one batch, and where a gradient reads: rows are numbers in the stacked table.
struct Batch {
  const uint32_t* users;
  const uint32_t* positives;  // stacked row of the positive item
  const uint32_t* negatives;  // stacked row of the negative item
  size_t count;
};

struct Step {
  double rate;          // Adam: bias-corrected learning rate; SGD: learning rate
  double regularisation;  // L2 weight times share of the batch
};

constexpr size_t SCORE_USERS = 4;

// One head of attention: dimensions first .. first + width - 1, over `keys` keys padded to `stride`.
struct HeadShape {
  size_t dimension, first, width, keys, stride;
  int guarded;  // logits might leave float32
};

struct Blocks {
  const char* name;
  // Items in one packed panel, at most 64; panels are [dimension][panelItems] doubles.
  size_t panelItems;

  // items [count <= panelItems, dimension] -> panel, missing items as zeros.
  void (*packPanel)(const float* items, size_t count, size_t dimension, double* panel);
  // Scores of 4 users [4, dimension] against a panel -> scores [4, panelItems]; above[u] gets a bit for each score that is
  // strictly greater than threshold[u].
  void (*scorePanel)(const double* users, const double* panel, size_t dimension, const float* thresholds, float* scores, uint64_t* above);

  // output[at] = scale of its row * input[at] for rows from .. to.
  void (*scaleRows)(const float* scales, const float* input, size_t dimension, size_t from, size_t to, float* output);
  // t = base + scale * (sum of the neighbours' scaled rows); then output = last ? t / divisor : scale * t.
  void (*hopRows)(const uint32_t* offsets, const uint32_t* columns, const float* scales, const float* scaled, const float* base,
                  size_t dimension, size_t from, size_t to, int last, float divisor, float* output);

  // For samples from .. to: weights = sigmoid(-x), losses = softplus(-x). scratch [8 * dimension].
  void (*coefficients)(const Batch* batch, size_t from, size_t to, const float* embeddings, size_t dimension, double* scratch,
                       double* weights, double* losses);
  // gradient row = float32(share * sum over references of one row); a reference is 4 * sample + role (0 user, 1 positive,
  // 2 negative). sums [dimension] is scratch.
  void (*accumulateRow)(const Batch* batch, const uint32_t* references, size_t count, const double* weights, const float* embeddings,
                        size_t dimension, double share, double* sums, float* gradient);
  // One optimiser step for rows from .. to. gradient rows of unused rows (sparse and occurrences 0) are not read.
  void (*adamRows)(const Step* step, const uint32_t* occurrences, const float* gradient, int sparse, size_t dimension, size_t from, size_t to,
                   float* parameters, float* first, float* second);
  void (*sgdRows)(const Step* step, const uint32_t* occurrences, const float* gradient, int sparse, size_t dimension, size_t from, size_t to,
                  float* parameters);
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
