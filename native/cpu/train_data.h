// What the inner loops of training share with their callers: plain C types, as blocks.h asks.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace cragru {
namespace cpu {

// Rows of the tables of a training run begin at multiples of 16 floats: no loop over a row has a rest, and what pads a row is 0
// and stays 0.
constexpr size_t ROW_FLOATS = 16;

// One positive of an epoch and its negative; item rows are numbers in the stacked table. `place` is its key inside a batch.
struct Sample {
  uint32_t user, positive, negative, place;
};

// One batch, grouped by the rows it reads. Samples stand by user, so a user group is a range of them; an item group is a range of
// references 2 * sample + (0 positive, 1 negative), ascending.
struct Batch {
  const Sample* samples;
  size_t count;
  const uint32_t* userStarts;  // [user groups + 1], samples
  const uint32_t* slots;       // [count] user group of each sample
  const uint32_t* itemRows;    // [item groups]
  const uint32_t* itemStarts;  // [item groups + 1], references
  const uint32_t* references;  // [2 * count]
};

// What a step reads and leaves behind.
struct TrainStep {
  const float* embeddings;  // [rows, stride]; the parameters themselves without a graph
  double scale;             // 1 / count, under SGD times the learning rate
  double* losses;           // [count] softplus(-x)
  float* weights;           // [count] r = -sigma(-x) * scale
  float* users;             // [user groups, stride] the users' vectors from before the batch
};

enum UpdateKind { KEEP_GRADIENT, SGD, ADAM };

// How a row moves when its gradient is known.
struct RowUpdate {
  UpdateKind kind;
  size_t stride;
  float* parameters;      // [rows, stride]
  float* moments;         // [rows, 2, stride], Adam: first, then second
  float* gradient;        // [rows, stride], KEEP_GRADIENT; 0 where occurrences are
  uint32_t* occurrences;  // [rows], KEEP_GRADIENT: of the row in the batch
  double decay;           // L2 weight of one occurrence, times scale
  // Adam, all for k idle steps after this one:
  const float* rates;       // [k] factor of m / (sqrt(v) + eps) for this step and k idle ones
  const float* keepFirst;   // [k] 0.9^k
  const float* keepSecond;  // [k] 0.999^k
  const uint64_t* touched;  // [rows] bit s: step s of the window has the row in its batch
  uint32_t step, steps;     // this step and the number of steps of the window
};

}  // namespace cpu
}  // namespace cragru
