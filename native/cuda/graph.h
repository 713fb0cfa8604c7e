// The bipartite graph on the device, and its propagation S; shared by propagate and the training step.
#pragma once
#include "calls.h"

namespace cragru {
namespace cuda {

// Rows with more neighbours get a block each: a warp alone would still walk them when all others are done.
constexpr unsigned LONG_DEGREE = 512;

// What kernels see of a graph: users first, then items; columns are stacked row numbers, ascending.
struct GraphView {
  size_t rows;
  const uint32_t *offsets, *columns;
  const float* scales;  // float32(1 / sqrt(degree)), 0 for degree 0
  // Rows with many neighbours, in no order; their number stands on the device.
  const uint32_t *longRows, *longCount;
};

class Graph {
 public:
  Graph(Work& work, const CragruCudaCsr& positives, size_t userCount, size_t itemCount);
  GraphView view() const { return {rows_, offsets_.data(), columns_.data(), scales_.data(), longRows_.data(), longCount_.data()}; }

 private:
  size_t rows_;
  Buffer<uint32_t> offsets_, columns_, longRows_, longCount_;
  Buffer<float> scales_;
};

class Propagation {
 public:
  Propagation(Work& work, GraphView graph, size_t dimension, size_t layers, bool bf16);
  // output = S input, both [rows, dimension]; layers >= 1.
  void apply(Work& work, const float* input, float* output);

 private:
  template <class Operand, int VECTOR>
  void hops(Work& work, const float* input, float* output);

  GraphView graph_;
  size_t dimension_, stride_, layers_;
  bool bf16_;
  // Scaled rows of one hop and of the next [rows, stride], floats or bfloat16.
  Buffer<unsigned char> scaled_, next_;
};

}  // namespace cuda
}  // namespace cragru
