// S E0 in Horner form, T <- E0 + A~ T; the recipe stands in src/native/reference/propagate.ts. T itself is only written at
// the end: a hop reads the scaled rows Z = s T and writes the next ones.
#include <cmath>
#include <cstring>

#include "graph.h"

namespace cragru {
namespace cpu {

Graph buildGraph(const Csr& positives, size_t userCount, size_t itemCount) {
  Graph graph;
  const size_t edges = positives.columns.size();
  graph.rows = userCount + itemCount;
  graph.offsets.assign(graph.rows + 1, 0);
  graph.columns.resize(2 * edges);
  for (size_t user = 0; user <= userCount; user++) graph.offsets[user] = positives.offsets[user];
  for (size_t edge = 0; edge < edges; edge++) {
    graph.columns[edge] = uint32_t(userCount + positives.columns[edge]);
    graph.offsets[graph.columns[edge] + 1]++;
  }
  for (size_t row = userCount; row < graph.rows; row++) graph.offsets[row + 1] += graph.offsets[row];
  std::vector<uint32_t> next(graph.offsets.begin() + ptrdiff_t(userCount), graph.offsets.end() - 1);
  for (size_t user = 0; user < userCount; user++) {
    for (size_t edge = positives.offsets[user]; edge < positives.offsets[user + 1]; edge++) graph.columns[next[positives.columns[edge]]++] = uint32_t(user);
  }
  graph.scales.resize(graph.rows);
  for (size_t row = 0; row < graph.rows; row++) {
    const uint32_t degree = graph.offsets[row + 1] - graph.offsets[row];
    graph.scales[row] = degree > 0 ? float(1.0 / std::sqrt(double(degree))) : 0.0f;
  }
  // About 8,192 edges a chunk: tens of microseconds.
  graph.bounds.push_back(0);
  size_t weight = 0;
  for (size_t row = 0; row < graph.rows; row++) {
    weight += 4 + graph.offsets[row + 1] - graph.offsets[row];
    if (weight >= 8192 || row + 1 == graph.rows) {
      graph.bounds.push_back(uint32_t(row + 1));
      weight = 0;
    }
  }
  return graph;
}

Propagation::Propagation(const Graph& graph, size_t dimension, size_t layers) : graph_(graph), dimension_(dimension), layers_(layers) {
  if (layers > 0) scaled_.resize(graph.rows * dimension);
  if (layers > 1) nextScaled_.resize(graph.rows * dimension);
}

void Propagation::apply(const float* input, float* output, Run& run) {
  if (layers_ == 0) {
    std::memcpy(output, input, graph_.rows * dimension_ * sizeof(float));
    return;
  }
  const size_t chunks = graph_.bounds.size() - 1;
  run.parallel(chunks, [&](size_t chunk) {
    run.blocks.scaleRows(graph_.scales.data(), input, dimension_, graph_.bounds[chunk], graph_.bounds[chunk + 1], scaled_.data());
  });
  for (size_t layer = 1; layer <= layers_; layer++) {
    const bool last = layer == layers_;
    float* to = last ? output : nextScaled_.data();
    run.parallel(chunks, [&](size_t chunk) {
      run.blocks.hopRows(graph_.offsets.data(), graph_.columns.data(), graph_.scales.data(), scaled_.data(), input, dimension_,
                         graph_.bounds[chunk], graph_.bounds[chunk + 1], last, float(layers_ + 1), to);
    });
    if (!last) scaled_.swap(nextScaled_);
  }
}

std::vector<float> propagate(const Propagate& input, Run& run) {
  const Graph graph = buildGraph(input.positives, input.userCount, input.itemCount);
  std::vector<float> output(input.parameters.size());
  Propagation(graph, input.dimension, input.layers).apply(input.parameters.data(), output.data(), run);
  return output;
}

}  // namespace cpu
}  // namespace cragru
