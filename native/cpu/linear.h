// The inner loops of dense symmetric matrices.
#pragma once
#include <stddef.h>

namespace cragru {
namespace cpu {

// Side of the tiles: whole register tiles of every instruction set.
enum { TILE = 24 };

// c[row][lane] -= y[k][row] * x[k][lane] in ascending k < depth, fused, for `rows` rows (a multiple of 8) and 24 lanes. Rows of
// x and y are 24 apart; after each 24 of them x moves on by xStep, then by xStep + xGrowth, and so on; so does y. Row r + 1 of
// c lies cStride + r cGrowth behind row r.
struct Product {
  const double *x, *y;
  double* c;
  size_t depth, rows, cStride, cGrowth;
  size_t xStep, xGrowth, yStep, yGrowth;
  int* spoilt;  // set to 1 where c leaves the finite numbers; may be null
};

struct LinearBlocks {
  void (*subtractProduct)(const Product* product);
  // Tiles hold l(i, k) at k * 24 + i. Row j of c [24][24 lanes] becomes (c_j - sum over k < j of l(j, k) c_k) / l(j, j).
  void (*solveTile)(const double* l, double* c);
  // Lower triangle of a tile -> its Cholesky factor; the first column whose pivot is not a positive number, or 24.
  size_t (*factorTile)(double* c);
};

}  // namespace cpu
}  // namespace cragru
