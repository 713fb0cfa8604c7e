// The bipartite graph of training rows and its propagation S, shared by propagate and the training step.
#pragma once
#include "../run.h"
#include "buffer.h"

namespace cragru {
namespace cpu {

struct Graph {
  size_t userCount = 0, rows = 0;
  // Users first, then items; columns are stacked row numbers, ascending, and READ_AHEAD zeros stand behind them.
  std::vector<uint32_t> offsets, columns;
  // float32(1 / sqrt(degree)), 0 for degree 0.
  std::vector<float> scales;
  // Chunks of rows with about equal numbers of edges: chunk c is rows [bounds[c], bounds[c + 1]).
  std::vector<uint32_t> bounds;

  size_t degree(size_t row) const { return offsets[row + 1] - offsets[row]; }
};

Graph buildGraph(const Csr& positives, size_t userCount, size_t itemCount, Run& run);

// S applied to tables [rows, stride]; the stride is a multiple of ROW_FLOATS and the tables begin on cache lines (Buffer). Scratch
// is two such tables of operands, made once.
//
// A training step needs S at the rows of its batch alone, and its gradient is 0 outside of them. With B0 the selected rows and
// B(l + 1) = B(l) and all neighbours of B(l), hop h of L forwards computes rows B(L - h), which read only B(L - h + 1); hop h
// backwards reads operands that are +0 outside of B(h - 1) and leaves T = +0 outside of B(h). Leaving those out changes no bit of
// what is computed: adding +0 changes no sum that is not -0, and none is (propagate_blocks.cpp). B grows to nearly all rows in a
// hop or two unless batches are small, so it is followed only while a count of edges shows that it stays small.
class Propagation {
 public:
  Propagation(const Graph& graph, size_t stride, size_t layers, bool bf16);

  // output = S input.
  void apply(const float* input, float* output, Run& run);

  // Replaces the selected rows by those of the next calls of select(), which may repeat themselves.
  void beginSelection();
  void select(uint32_t row) {
    if (levels_[row] != OUTSIDE) return;
    levels_[row] = 0;
    list_.push_back(row);
  }
  void endSelection(Run& run);

  // The selected rows of output = S input; what others hold then is not defined.
  void forward(const float* input, float* output, Run& run);
  // output = S input, all rows, where input is +0 (not -0) outside of the selected rows.
  void backward(const float* input, float* output, Run& run);

 private:
  static constexpr uint8_t OUTSIDE = 255;
  // Rows of one hop in chunks: those of a list, or all.
  struct Part {
    const uint32_t* rows = nullptr;
    const uint32_t* bounds = nullptr;
    size_t chunks = 0;
  };

  bool followed(size_t level) const { return level < ends_.size(); }
  // B(level), or all rows where that is not followed.
  Part part(size_t level) const;
  void grow(Run& run);
  // Puts the rows of B(level) that are not in B(level - 1), those from list_[from] on, in order.
  void order(size_t from, uint8_t level);
  bool worthLeavingOut(size_t side) const;
  void copy(const float* input, float* output, Run& run);
  Hop open(const float* input, Run& run);
  // The first operands of rows[from .. to), or rows from .. to where `rows` is null.
  void scale(Hop& hop, const uint32_t* rows, size_t from, size_t to, Run& run);
  void hop(Hop& hop, Part part, size_t number, float* output, Run& run);

  const Graph& graph_;
  const size_t stride_, layers_;
  const bool bf16_;
  Buffer<char> operands_, next_;
  // B(0), B(1), ... are beginnings of the list: B(l) ends at ends_[l], and its chunks are at bounds_[boundStarts_[l]].
  std::vector<uint32_t> list_, bounds_;
  std::vector<size_t> ends_, boundStarts_;
  // Of the selected users and items: where the items begin in the list, and the edges of either.
  size_t selectedUsers_ = 0, selectedEdges_[2] = {0, 0};
  // The first l with the row in B(l), OUTSIDE where there is none; three more bytes, see Hop.
  std::vector<uint8_t> levels_;
};

}  // namespace cpu
}  // namespace cragru
