// Updates of low rank of a symmetric matrix, in the packed triangle itself: 8 rows x 24 columns at a time stay in registers
// while all vectors pass. The order of operations is that of src/native/reference/linear.ts.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../run.h"
#include "memory.h"

namespace cragru {
namespace cpu {

namespace {

// Tiles of rows that share one tile of vectors in the first-level cache, and the vectors of one pass in tiles: as in linear.cpp.
constexpr size_t BLOCK = 4;
constexpr size_t DEPTH = 8;

// Entries of a triangle above a row.
size_t triangle(size_t row) { return row * (row + 1) / 2; }

// A + sum of weighted outer products, in the packed triangle itself.
class Updater {
 public:
  Updater(RankUpdate& input, Run& run) : input_(input), run_(run), size_(input.size), rows_((size_ + TILE - 1) / TILE) {}

  void apply() {
    const size_t rank = input_.weights.size(), most = DEPTH * TILE;
    if (rank == 0) return;
    Buffer<double> x(std::min(rank, most) * rows_ * TILE), y(std::min(rank, most) * rows_ * TILE);
    x_ = x.data();
    y_ = y.data();
    const std::vector<size_t> bounds = cut();
    std::atomic<size_t> done{0};
    for (size_t from = 0; from < rank; from += most) {
      depth_ = std::min(most, rank - from);
      run_.parallel(rows_, [&](size_t row) { pack(from, row); });
      run_.parallel(bounds.size() - 1, [&](size_t chunk) {
        updateRows(bounds[chunk], bounds[chunk + 1]);
        const size_t work = (triangle(bounds[chunk + 1]) - triangle(bounds[chunk])) * depth_;
        run_.progress(double(done.fetch_add(work) + work), double(triangle(rows_)) * double(rank));
      });
    }
    if (!spoilt_.load()) return;
    throw Error{"NATIVE_DIVERGED", "the updated matrix leaves the finite numbers; a held matrix is spoilt.", "Scale the matrix and the vectors."};
  }

 private:
  // Rows of tiles in chunks of about the same number of tiles.
  std::vector<size_t> cut() const {
    const size_t wanted = std::max<size_t>(48, triangle(rows_) / 96);
    std::vector<size_t> bounds{0};
    for (size_t row = 1; row <= rows_; row++) {
      if (row == rows_ || triangle(row) - triangle(bounds.back()) >= wanted) bounds.push_back(row);
    }
    return bounds;
  }

  // Vectors from, from + 1, ...: 24 entries of each lie together, plain in x, weighted (and negative, to be taken away) in y.
  void pack(size_t from, size_t row) {
    double *const x = x_ + row * TILE * depth_, *const y = y_ + row * TILE * depth_;
    for (size_t r = 0; r < depth_; r++) {
      const double weight = input_.weights[from + r];
      const double* const vector = input_.vectors.data() + (from + r) * size_;
      for (size_t at = 0; at < TILE; at++) {
        const size_t i = row * TILE + at;
        x[r * TILE + at] = i < size_ ? vector[i] : 0.0;
        y[r * TILE + at] = i < size_ ? -(weight * vector[i]) : 0.0;
      }
    }
  }

  // Few vectors: memory is what counts, so 8 rows are walked from end to end. Many: 24 lanes of x stay in the first-level cache.
  void updateRows(size_t from, size_t to) {
    if (depth_ <= 12) {
      for (size_t i = from * TILE; i < std::min(size_, to * TILE); i += 8) {
        if (i % TILE == 0) run_.check();
        for (size_t column = 0; column <= i / TILE; column++) updateEight(i, column);
      }
      return;
    }
    for (size_t block = from; block < to; block += BLOCK) {
      const size_t end = std::min(to, block + BLOCK);
      for (size_t column = 0; column < end; column++) {
        if (column % 16 == 0) run_.check();
        for (size_t i = std::max(block, column) * TILE; i < std::min(size_, end * TILE); i += 8) updateEight(i, column);
      }
    }
  }

  // Rows i .. i + 7 of one tile. Where not all of it belongs to the triangle, a copy is worked on.
  void updateEight(size_t i, size_t column) {
    int spoilt = 0;
    double* const matrix = input_.matrix.data() + triangle(i) + column * TILE;
    const double *const x = x_ + column * TILE * depth_, *const y = y_ + i / TILE * TILE * depth_ + i % TILE;
    Product product = {x, y, matrix, depth_, 8, i + 1, 1, TILE * TILE, 0, TILE * TILE, 0, &spoilt};
    if (i / TILE > column && i + 8 <= size_) {
      run_.blocks.linear.subtractProduct(&product);
    } else {
      double copy[8 * TILE] = {};
      const size_t count = std::min<size_t>(8, size_ - i);
      const auto width = [&](size_t r) { return std::min<size_t>(TILE, i + r + 1 - column * TILE); };
      double* row = matrix;
      for (size_t r = 0; r < count; r++, row += i + r) std::memcpy(copy + r * TILE, row, width(r) * sizeof(double));
      product.c = copy;
      product.cStride = TILE;
      product.cGrowth = 0;
      product.spoilt = nullptr;
      run_.blocks.linear.subtractProduct(&product);
      row = matrix;
      for (size_t r = 0; r < count; r++, row += i + r) {
        std::memcpy(row, copy + r * TILE, width(r) * sizeof(double));
        for (size_t at = 0; at < width(r); at++) spoilt |= !std::isfinite(row[at]);
      }
    }
    if (spoilt) spoilt_.store(true);
  }

  RankUpdate& input_;
  Run& run_;
  const size_t size_, rows_;
  size_t depth_ = 0;
  double *x_ = nullptr, *y_ = nullptr;
  std::atomic<bool> spoilt_{false};
};

}  // namespace

void rankUpdate(RankUpdate& input, Run& run) { Updater(input, run).apply(); }

}  // namespace cpu
}  // namespace cragru
