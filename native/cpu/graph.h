// The bipartite graph of training rows and its propagation S, shared by propagate and the training step.
#pragma once
#include "../run.h"

namespace cragru {
namespace cpu {

struct Graph {
  size_t rows = 0;
  // Users first, then items; columns are stacked row numbers, ascending.
  std::vector<uint32_t> offsets, columns;
  // float32(1 / sqrt(degree)), 0 for degree 0.
  std::vector<float> scales;
  // Chunks of rows with about equal numbers of edges: chunk c is rows [bounds[c], bounds[c + 1]).
  std::vector<uint32_t> bounds;
};

Graph buildGraph(const Csr& positives, size_t userCount, size_t itemCount);

// output = S input; scratch is two arrays of [rows, dimension].
class Propagation {
 public:
  Propagation(const Graph& graph, size_t dimension, size_t layers);
  void apply(const float* input, float* output, Run& run);

 private:
  const Graph& graph_;
  size_t dimension_, layers_;
  std::vector<float> scaled_, nextScaled_;
};

}  // namespace cpu
}  // namespace cragru
