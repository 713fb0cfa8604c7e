// Dense symmetric matrices in double: Cholesky factor and inverse. Each entry is one chain of fused
// multiply-adds in ascending order, as src/native/reference/linear.ts states it; how the work is cut into tiles, and who does it, cannot
// show in the result. The working copy is made of tiles of 24 x 24: tile (I, J), J <= I, lies behind all tiles of the rows
// above, so a row of tiles is contiguous. A tile holds its columns one after the other as long as it belongs to A or L, and its
// rows one after the other when it belongs to the inverse of L or to the result: both are then read along the 24 lanes.
#include <algorithm>
#include <cstring>

#include "../run.h"
#include "memory.h"

namespace cragru {
namespace cpu {

namespace {

constexpr size_t AREA = TILE * TILE;
// Rows and columns of tiles that are worked on together, and the depth of one pass over them: two operands of 4 x 8 tiles
// fill a third of a second-level cache of 1 MB.
constexpr size_t BLOCK = 4;
constexpr size_t DEPTH = 8;

// Entries of a triangle above a row.
size_t triangle(size_t row) { return row * (row + 1) / 2; }

class Symmetric {
 public:
  Symmetric(std::vector<double>& matrix, size_t size, Run& run)
      : matrix_(matrix), size_(size), rows_((size + TILE - 1) / TILE), run_(run), blocks_(run.blocks), tiles_(triangle(rows_) * AREA) {}

  void replace(bool inverse) {
    total_ = double(rows_) * double(rows_ + 1) * double(rows_ + 2) / (inverse ? 2 : 6);
    run_.parallel(rows_, [&](size_t row) { unpackRow(row); });
    factor();
    if (inverse) {
      invertFactor();
      multiplyInverse();
    }
    run_.check();
    store(inverse);
  }

 private:
  double* tile(size_t row, size_t column) { return tiles_.data() + (triangle(row) + column) * AREA; }
  size_t blockCount() const { return (rows_ + BLOCK - 1) / BLOCK; }
  size_t blockEnd(size_t block) const { return std::min(rows_, (block + 1) * BLOCK); }

  // Lower triangle -> tiles of columns. Above the diagonal zeros; beyond the last row the identity.
  void unpackRow(size_t row) {
    run_.check();
    std::memset(tile(row, 0), 0, (row + 1) * AREA * sizeof(double));
    for (size_t r = 0; r < TILE; r++) {
      const size_t i = row * TILE + r;
      if (i >= size_) {
        tile(row, row)[r * TILE + r] = 1.0;
        continue;
      }
      const double* from = matrix_.data() + triangle(i);
      double* to = tile(row, 0) + r;
      for (size_t j = 0; j <= i; j++) to[j * TILE] = from[j];
    }
  }

  // From L: tiles of columns; from the inverse: tiles of rows. Cannot be cancelled any more.
  void store(bool inverse) {
    const std::atomic<bool>*const cancelled = run_.cancelled, *const closing = run_.closing;
    run_.cancelled = run_.closing = nullptr;
    run_.parallel(rows_, [&](size_t row) {
      for (size_t i = row * TILE; i < std::min(size_, (row + 1) * TILE); i++) {
        double* to = matrix_.data() + triangle(i);
        const size_t r = i - row * TILE;
        if (!inverse) {
          const double* from = tile(row, 0) + r;
          for (size_t j = 0; j <= i; j++) to[j] = from[j * TILE];
        } else {
          for (size_t column = 0; column <= row; column++) {
            std::memcpy(to + column * TILE, tile(row, column) + r * TILE, std::min<size_t>(TILE, i + 1 - column * TILE) * sizeof(double));
          }
        }
      }
    });
    run_.cancelled = cancelled;
    run_.closing = closing;
  }

  // c -= the product of two rows of tiles that lie one after the other in memory, from tile `from` to tile `to`.
  void subtract(const double* x, const double* y, size_t from, size_t to, double* c) {
    if (from == to) return;
    const Product product = {x + from * AREA, y + from * AREA, c, (to - from) * TILE, TILE, TILE, 0, AREA, 0, AREA, 0, nullptr};
    blocks_.linear.subtractProduct(&product);
  }

  // L, column of blocks by column of blocks. The chunk that owns the next diagonal block finishes that block too, while the others
  // are at work, so no step waits for a serial part.
  void factor() {
    std::atomic<size_t> failed{size_};
    finishDiagonal(0, failed);
    for (size_t block = 0; block < blockCount(); block++) {
      if (failed.load() < size_) {
        const std::string column = std::to_string(failed.load());
        throw Error{"NATIVE_NOT_POSITIVE", "the matrix is not positive definite: the pivot of column " + column + " is not a positive number.",
                    "Add a larger multiple of the identity, or rebuild the matrix from its data."};
      }
      run_.parallel(blockCount() - block - 1, [&](size_t chunk) {
        finishRows(block + 1 + chunk, block);
        if (chunk == 0) finishDiagonal(block + 1, failed);
      });
    }
  }

  // The tiles of a block of rows in the columns of a block above it.
  void finishRows(size_t rowBlock, size_t columnBlock) {
    const size_t first = columnBlock * BLOCK;
    for (size_t from = 0; from < first; from += DEPTH) {
      run_.check();
      for (size_t row = rowBlock * BLOCK; row < blockEnd(rowBlock); row++) {
        for (size_t column = first; column < blockEnd(columnBlock); column++) {
          subtract(tile(row, 0), tile(column, 0), from, std::min(first, from + DEPTH), tile(row, column));
        }
      }
    }
    for (size_t row = rowBlock * BLOCK; row < blockEnd(rowBlock); row++) {
      for (size_t column = first; column < blockEnd(columnBlock); column++) {
        subtract(tile(row, 0), tile(column, 0), first, column, tile(row, column));
        blocks_.linear.solveTile(tile(column, column), tile(row, column));
      }
    }
    advance((blockEnd(rowBlock) - rowBlock * BLOCK) * (blockEnd(columnBlock) - first) * (first + 1));
  }

  void finishDiagonal(size_t block, std::atomic<size_t>& failed) {
    const size_t first = block * BLOCK, end = blockEnd(block);
    for (size_t from = 0; from < first; from += DEPTH) {
      run_.check();
      for (size_t row = first; row < end; row++) {
        for (size_t column = first; column <= row; column++) {
          subtract(tile(row, 0), tile(column, 0), from, std::min(first, from + DEPTH), tile(row, column));
        }
      }
    }
    for (size_t column = first; column < end; column++) {
      for (size_t row = column; row < end; row++) {
        subtract(tile(row, 0), tile(column, 0), first, column, tile(row, column));
        if (row > column) {
          blocks_.linear.solveTile(tile(column, column), tile(row, column));
          continue;
        }
        const size_t pivot = blocks_.linear.factorTile(tile(row, row));
        if (pivot < TILE) {
          failed.store(column * TILE + pivot);
          return;
        }
      }
    }
  }

  // M = inverse of L, in its place: a block of rows after the other, from a copy of its L, all columns of blocks at once.
  void invertFactor() {
    Buffer<double> copy(BLOCK * rows_ * AREA);
    for (size_t block = 0; block < blockCount(); block++) {
      const size_t first = block * BLOCK, end = blockEnd(block);
      run_.parallel(end - first, [&](size_t at) {
        std::memcpy(copy.data() + at * rows_ * AREA, tile(first + at, 0), (first + at + 1) * AREA * sizeof(double));
      });
      run_.parallel(block + 1, [&](size_t chunk) {
        const size_t columns = chunk * BLOCK, columnsEnd = blockEnd(chunk);
        for (size_t row = first; row < end; row++) {
          for (size_t column = columns; column < std::min(columnsEnd, row + 1); column++) {
            double* const c = tile(row, column);
            std::memset(c, 0, AREA * sizeof(double));
            for (size_t at = 0; row == column && at < TILE; at++) c[at * TILE + at] = 1.0;
          }
        }
        for (size_t from = columns; from < first; from += DEPTH) {
          run_.check();
          for (size_t row = first; row < end; row++) {
            for (size_t column = columns; column < columnsEnd; column++) {
              const double* const l = copy.data() + (row - first) * rows_ * AREA;
              subtractInverse(l, column, std::max(from, column), std::min(first, from + DEPTH), tile(row, column));
            }
          }
        }
        for (size_t row = first; row < end; row++) {
          const double* const l = copy.data() + (row - first) * rows_ * AREA;
          for (size_t column = columns; column < std::min(columnsEnd, row + 1); column++) {
            subtractInverse(l, column, std::max(first, column), row, tile(row, column));
            blocks_.linear.solveTile(l + row * AREA, tile(row, column));
          }
        }
        advance((end - first) * (std::min(columnsEnd, end) - columns) * (end - columns));
      });
    }
    requireRange();
  }

  // c -= L times M: rows of L lie one after the other, rows of M tile by tile down a column.
  void subtractInverse(const double* l, size_t column, size_t from, size_t to, double* c) {
    if (from >= to) return;
    const Product product = {tile(from, column), l + from * AREA, c, (to - from) * TILE, TILE, TILE, 0, (from + 1) * AREA, AREA, AREA, 0, nullptr};
    blocks_.linear.subtractProduct(&product);
  }

  // With every entry of M below 2^500 no sum of its products can overflow.
  void requireRange() {
    std::vector<size_t> bad(rows_, size_);
    run_.parallel(rows_, [&](size_t row) {
      for (size_t column = 0; column <= row; column++) {
        const double* const values = tile(row, column);
        for (size_t at = 0; at < AREA; at++) {
          if (!(values[at] < 0x1p500 && values[at] > -0x1p500)) bad[row] = std::min(bad[row], column * TILE + at % TILE);
        }
      }
    });
    const size_t worst = *std::min_element(bad.begin(), bad.end());
    if (worst == size_) return;
    const std::string column = std::to_string(worst);
    throw Error{"NATIVE_NOT_POSITIVE", "the inverse leaves the range of double: column " + column + " of the factor's inverse is too large.",
                "Scale the matrix, or add a larger multiple of the identity."};
  }

  // M' M in the place of M: a block of rows needs only itself and the rows below, so rows are finished from the top.
  void multiplyInverse() {
    Buffer<double> corner(BLOCK * (BLOCK + 1) / 2 * AREA);
    for (size_t block = 0; block < blockCount(); block++) {
      const size_t first = block * BLOCK, end = blockEnd(block);
      for (size_t row = first; row < end; row++) {
        std::memcpy(corner.data() + triangle(row - first) * AREA, tile(row, first), (row - first + 1) * AREA * sizeof(double));
      }
      // Few columns of blocks: cut finer, so that every thread gets some.
      const size_t width = block < 4 ? 1 : block < 16 ? 2 : BLOCK;
      run_.parallel((end + width - 1) / width, [&](size_t chunk) {
        multiplyColumns(block, chunk * width, std::min(end, (chunk + 1) * width), corner.data());
      });
    }
  }

  void multiplyColumns(size_t block, size_t columns, size_t columnsEnd, const double* corner) {
    const size_t first = block * BLOCK, end = blockEnd(block);
    Buffer<double> sums(BLOCK * BLOCK * AREA);
    std::memset(sums.data(), 0, BLOCK * BLOCK * AREA * sizeof(double));
    const auto sum = [&](size_t row, size_t column) { return sums.data() + ((row - first) * BLOCK + column - columns) * AREA; };
    for (size_t row = first; row < end; row++) {
      for (size_t column = columns; column < std::min(columnsEnd, row + 1); column++) {
        const double* const y = corner + (triangle(row - first) + row - first) * AREA;
        const size_t xStep = (row + 1) * AREA, yStep = (row - first + 1) * AREA;
        const Product product = {tile(row, column), y, sum(row, column), (end - row) * TILE, TILE, TILE, 0, xStep, AREA, yStep, AREA, nullptr};
        blocks_.linear.subtractProduct(&product);
      }
    }
    for (size_t from = end; from < rows_; from += DEPTH) {
      run_.check();
      for (size_t row = first; row < end; row++) {
        for (size_t column = columns; column < std::min(columnsEnd, row + 1); column++) {
          const size_t step = (from + 1) * AREA, depth = std::min(DEPTH, rows_ - from) * TILE;
          const Product product = {tile(from, column), tile(from, row), sum(row, column), depth, TILE, TILE, 0, step, AREA, step, AREA, nullptr};
          blocks_.linear.subtractProduct(&product);
        }
      }
    }
    // Sums were taken away from 0; 0 - s also turns -0 into 0.
    for (size_t row = first; row < end; row++) {
      for (size_t column = columns; column < std::min(columnsEnd, row + 1); column++) {
        double* const to = tile(row, column);
        const double* const from = sum(row, column);
        for (size_t at = 0; at < AREA; at++) to[at] = 0.0 - from[at];
      }
    }
    advance((end - first) * (columnsEnd - columns) * (rows_ - first));
  }

  // Products of tiles, about.
  void advance(size_t products) { run_.progress(std::min(total_, double(done_.fetch_add(products) + products)), total_); }

  std::vector<double>& matrix_;
  const size_t size_, rows_;
  Run& run_;
  const Blocks& blocks_;
  Buffer<double> tiles_;
  double total_ = 1;
  std::atomic<size_t> done_{0};
};

}  // namespace

void cholesky(Cholesky& input, Run& run) { Symmetric(input.matrix, input.size, run).replace(input.inverse); }

}  // namespace cpu
}  // namespace cragru
