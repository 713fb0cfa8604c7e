// S E0 in Horner form, T <- E0 + A~ T; the recipe stands in src/native/reference/propagate.ts. T itself is only written at
// the end: a hop reads the operands Z = s T and writes the next ones.
#include <algorithm>
#include <cstring>

#include "graph.h"

namespace cragru {
namespace cpu {

namespace {
// About this many cache lines read in a chunk: tens of microseconds.
constexpr size_t CHUNK_LINES = 32768;
// Selected rows are grown by their neighbours while that leaves at most this part of all rows.
constexpr size_t SMALL_PART = 4;

void check(const void* run) { static_cast<const Run*>(run)->check(); }

// body(from, to) for parts of `rows` rows, each a few thousand lines.
template <class Body>
void inParts(Run& run, size_t rows, size_t stride, Body body) {
  const size_t size = std::max<size_t>(1, CHUNK_LINES / 8 * ROW_FLOATS / stride);
  run.parallel((rows + size - 1) / size, [&](size_t part) { body(part * size, std::min(rows, (part + 1) * size)); });
}
}  // namespace

Propagation::Propagation(const Graph& graph, size_t stride, size_t layers, bool bf16) : graph_(graph), stride_(stride), layers_(layers), bf16_(bf16) {
  const size_t bytes = graph.rows * stride * (bf16 ? 2 : 4);
  if (layers > 0) operands_.need(bytes);
  if (layers > 1) next_.need(bytes);
}

void Propagation::beginSelection() {
  if (levels_.empty()) levels_.assign(graph_.rows + 3, OUTSIDE);
  for (const uint32_t row : list_) levels_[row] = OUTSIDE;
  list_.clear();
}

void Propagation::endSelection(Run& run) {
  order(0, 0);
  selectedUsers_ = size_t(std::lower_bound(list_.begin(), list_.end(), graph_.userCount) - list_.begin());
  selectedEdges_[0] = selectedEdges_[1] = 0;
  for (const uint32_t row : list_) selectedEdges_[row >= graph_.userCount] += graph_.degree(row);
  ends_.assign(1, list_.size());
  while (ends_.size() <= layers_ && ends_.size() < OUTSIDE) {
    size_t most = list_.size();
    for (const uint32_t row : list_) most += graph_.degree(row);
    if (most > graph_.rows / SMALL_PART) break;
    grow(run);
  }
  bounds_.clear();
  boundStarts_.clear();
  for (const size_t end : ends_) {
    boundStarts_.push_back(bounds_.size());
    bounds_.push_back(0);
    size_t lines = 0;
    for (size_t at = 0; at < end; at++) {
      lines += (4 + graph_.degree(list_[at])) * stride_ / ROW_FLOATS;
      if (lines < CHUNK_LINES && at + 1 < end) continue;
      bounds_.push_back(uint32_t(at + 1));
      lines = 0;
    }
  }
  boundStarts_.push_back(bounds_.size());
}

// In order the two sides do not compete for the cache, and the processor reads columns ahead.
void Propagation::order(size_t from, uint8_t level) {
  const size_t count = list_.size() - from;
  if (graph_.rows / 16 > count) return std::sort(list_.begin() + ptrdiff_t(from), list_.end());
  list_.push_back(0);
  size_t at = from;
  for (size_t row = 0; row < graph_.rows; row++) {
    list_[at] = uint32_t(row);
    at += levels_[row] == level;
  }
  list_.pop_back();
}

void Propagation::grow(Run& run) {
  const uint8_t level = uint8_t(ends_.size());
  size_t edges = 0;
  for (size_t at = 0, end = list_.size(); at < end; at++) {
    const uint32_t row = list_[at];
    for (size_t edge = graph_.offsets[row]; edge < graph_.offsets[row + 1]; edge++) {
      const uint32_t neighbour = graph_.columns[edge];
      if (levels_[neighbour] == OUTSIDE) {
        levels_[neighbour] = level;
        list_.push_back(neighbour);
      }
      if (++edges % 65536 == 0) run.check();
    }
  }
  order(ends_.back(), level);
  ends_.push_back(list_.size());
}

// Of the operands of users (0) or items (1) in the first hop backwards: testing a neighbour costs about as much as reading a line of its row.
bool Propagation::worthLeavingOut(size_t side) const {
  const double live = double(selectedEdges_[side]) / (double(graph_.columns.size() - READ_AHEAD) / 2 + 1);
  const double lines = double(stride_ * (bf16_ ? 2 : 4)) / 64;
  return (1 - live) * lines > 1;
}

Propagation::Part Propagation::part(size_t level) const {
  if (!followed(level)) return {nullptr, graph_.bounds.data(), graph_.bounds.size() - 1};
  return {list_.data(), bounds_.data() + boundStarts_[level], boundStarts_[level + 1] - boundStarts_[level] - 1};
}

Hop Propagation::open(const float* input, Run& run) {
  Hop hop = {};
  hop.offsets = graph_.offsets.data();
  hop.columns = graph_.columns.data();
  hop.scales = graph_.scales.data();
  hop.stride = stride_;
  hop.userCount = graph_.userCount;
  hop.bf16 = bf16_;
  hop.base = input;
  hop.divisor = float(layers_ + 1);
  hop.check = check;
  hop.run = &run;
  return hop;
}

void Propagation::scale(Hop& hop, const uint32_t* rows, size_t from, size_t to, Run& run) {
  hop.next = operands_.data();
  inParts(run, to - from, stride_, [&](size_t first, size_t end) { run.blocks.scaleRows(&hop, rows, from + first, from + end); });
}

// Odd hops read operands_ and write next_.
void Propagation::hop(Hop& hop, Part part, size_t number, float* output, Run& run) {
  const bool odd = number % 2 == 1;
  hop.operands = odd ? operands_.data() : next_.data();
  hop.next = odd ? next_.data() : operands_.data();
  hop.output = number == layers_ ? output : nullptr;
  run.parallel(part.chunks, [&](size_t chunk) { run.blocks.hopRows(&hop, part.rows, part.bounds[chunk], part.bounds[chunk + 1]); });
}

void Propagation::copy(const float* input, float* output, Run& run) {
  inParts(run, graph_.rows, stride_, [&](size_t from, size_t to) {
    std::memcpy(output + from * stride_, input + from * stride_, (to - from) * stride_ * sizeof(float));
  });
}

void Propagation::apply(const float* input, float* output, Run& run) {
  if (layers_ == 0) return copy(input, output, run);
  Hop hop = open(input, run);
  scale(hop, nullptr, 0, graph_.rows, run);
  const Part all = {nullptr, graph_.bounds.data(), graph_.bounds.size() - 1};
  for (size_t number = 1; number <= layers_; number++) this->hop(hop, all, number, output, run);
}

void Propagation::forward(const float* input, float* output, Run& run) {
  if (layers_ == 0) return copy(input, output, run);
  Hop hop = open(input, run);
  if (followed(layers_)) scale(hop, list_.data(), 0, ends_[layers_], run);
  else scale(hop, nullptr, 0, graph_.rows, run);
  for (size_t number = 1; number <= layers_; number++) this->hop(hop, part(layers_ - number), number, output, run);
}

void Propagation::backward(const float* input, float* output, Run& run) {
  if (layers_ == 0) return copy(input, output, run);
  Hop hop = open(input, run);
  for (size_t side = 0; side < 2; side++) {
    const bool leaveOut = worthLeavingOut(side);
    hop.levels[1 - side] = leaveOut ? levels_.data() : nullptr;
    if (leaveOut) scale(hop, list_.data(), side == 0 ? 0 : selectedUsers_, side == 0 ? selectedUsers_ : ends_[0], run);
    else scale(hop, nullptr, side == 0 ? 0 : graph_.userCount, side == 0 ? graph_.userCount : graph_.rows, run);
  }
  for (size_t number = 1; number <= layers_; number++) {
    // What stands outside of B(number - 1) are operands of earlier calls.
    if (number > 1) hop.levels[0] = hop.levels[1] = followed(number - 1) ? levels_.data() : nullptr;
    hop.limit = uint8_t(number);
    const Part rows = part(number);
    if (number == layers_ && followed(number)) {
      inParts(run, graph_.rows, stride_, [&](size_t from, size_t to) {
        std::memset(output + from * stride_, 0, (to - from) * stride_ * sizeof(float));
      });
    }
    this->hop(hop, rows, number, output, run);
  }
}

std::vector<float> propagate(const Propagate& input, Run& run) {
  const Graph graph = buildGraph(input.positives, input.userCount, input.itemCount, run);
  const size_t dimension = input.dimension, stride = (dimension + ROW_FLOATS - 1) / ROW_FLOATS * ROW_FLOATS, rows = graph.rows;
  std::vector<float> output(rows * dimension);
  Propagation propagation(graph, stride, input.layers, input.bf16);
  if (stride == dimension) {
    propagation.apply(input.parameters.data(), output.data(), run);
    return output;
  }
  // Rows padded with zeros.
  Buffer<float> table(rows * stride), result(rows * stride);
  const auto forRows = [&](auto body) {
    inParts(run, rows, stride, [&](size_t from, size_t to) {
      for (size_t row = from; row < to; row++) body(row);
    });
  };
  forRows([&](size_t row) {
    std::memcpy(table.data() + row * stride, input.parameters.data() + row * dimension, dimension * sizeof(float));
    std::memset(table.data() + row * stride + dimension, 0, (stride - dimension) * sizeof(float));
  });
  propagation.apply(table.data(), result.data(), run);
  forRows([&](size_t row) { std::memcpy(output.data() + row * dimension, result.data() + row * stride, dimension * sizeof(float)); });
  return output;
}

}  // namespace cpu
}  // namespace cragru
