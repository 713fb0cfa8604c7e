// The arithmetic of dense symmetric matrices in tiles of 24 x 24 doubles. Every entry is one chain of fused multiply-adds
// in ascending k: vectors and register tiles run across entries, so tile sizes and instruction sets cannot show.
#include <math.h>
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

// The value in every lane; x - 0 is x, -0 included.
static inline Doubles copies(double value) { return value - Doubles{}; }

// sum - a * b, rounded once.
static inline Doubles subtractFused(Doubles a, Doubles b, Doubles sum) {
#if defined(__AVX512F__)
  return _mm512_fnmadd_pd(a, b, sum);
#elif defined(__FMA__)
  return _mm256_fnmadd_pd(a, b, sum);
#elif defined(__aarch64__)
  return (Doubles)vfmsq_f64((float64x2_t)sum, (float64x2_t)a, (float64x2_t)b);
#else
  // Exact on every processor, by the C library: slow where the hardware lacks the operation.
  for (size_t lane = 0; lane < LANES; lane++) sum[lane] = fma(-a[lane], b[lane], sum[lane]);
  return sum;
#endif
}

// The register tile: named sums, because gcc 12 keeps an array of them in memory. With its operands it fills the 32
// (AVX-512, NEON) or 16 registers.
#if defined(__AVX512F__) || defined(__aarch64__)
enum { ROWS = 8 };
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#else
enum { ROWS = 4 };
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3)
#endif
enum { VECTORS = 3, WIDTH = VECTORS * LANES };

// Not inlined into anything: gcc 12 spills the sums when it is.
__attribute__((noinline)) static void subtractTile(const Product* product, const double* x, const double* y, double* c, size_t stride) {
  const size_t growth = product->cGrowth;
  // Row r starts at r * stride + growth * (0 + 1 + ... + (r - 1)).
#define ROW(r) (c + (r) * stride + (r) * ((r) - 1) / 2 * growth)
#define LOAD(r) Doubles a##r = loadDoubles(ROW(r)), b##r = loadDoubles(ROW(r) + LANES), c##r = loadDoubles(ROW(r) + 2 * LANES);
  EACH_ROW(LOAD)
  size_t xStep = product->xStep, yStep = product->yStep;
  size_t left = product->depth;
  do {
    const size_t count = left < TILE ? left : (size_t)TILE;
    const double *xAt = x, *yAt = y, *end = x + count * TILE;
    do {
      // x was used a moment ago; y comes from the second-level cache, a third of each line of 24.
      __builtin_prefetch(yAt + 8 * TILE);
      const Doubles xa = loadDoubles(xAt), xb = loadDoubles(xAt + LANES), xc = loadDoubles(xAt + 2 * LANES);
#define SUBTRACT(r)                            \
  {                                            \
    const Doubles value = copies(yAt[r]);   \
    a##r = subtractFused(value, xa, a##r);     \
    b##r = subtractFused(value, xb, b##r);     \
    c##r = subtractFused(value, xc, c##r);     \
  }
      EACH_ROW(SUBTRACT)
      xAt += TILE;
      yAt += TILE;
    } while (xAt != end);
    left -= count;
    x += xStep;
    y += yStep;
    xStep += product->xGrowth;
    yStep += product->yGrowth;
  } while (left > 0);
#define STORE(r) storeDoubles(ROW(r), a##r), storeDoubles(ROW(r) + LANES, b##r), storeDoubles(ROW(r) + 2 * LANES, c##r);
  EACH_ROW(STORE)
  if (product->spoilt) {
    // x * 0 is NaN for what is not finite.
    Doubles found = {};
#define WATCH(r) found += (a##r + b##r * 0.0 + c##r * 0.0) * 0.0;
    EACH_ROW(WATCH)
    for (size_t lane = 0; lane < LANES; lane++) {
      if (!(found[lane] == 0.0)) *product->spoilt = 1;
    }
  }
}
#undef ROW
#undef LOAD
#undef SUBTRACT
#undef STORE
#undef WATCH
#undef EACH_ROW

void subtractProduct(const Product* product) {
  double* c = product->c;
  size_t stride = product->cStride;
  for (size_t row = 0; row < product->rows; row += ROWS) {
    for (size_t lane = 0; lane < TILE; lane += WIDTH) subtractTile(product, product->x + lane, product->y + row, c + lane, stride);
    c += ROWS * stride + ROWS * (ROWS - 1) / 2 * product->cGrowth;
    stride += ROWS * product->cGrowth;
  }
}

// Row j of c, for j from .. to, from the finished rows above it in the same stretch.
static inline void solveRows(const double* l, double* c, size_t from, size_t to) {
  for (size_t lane = 0; lane < TILE; lane += WIDTH) {
    for (size_t j = from; j < to; j++) {
      const Doubles pivot = copies(l[j * TILE + j]);
      Doubles solved[VECTORS];
#pragma GCC unroll 8
      for (size_t v = 0; v < VECTORS; v++) {
        solved[v] = loadDoubles(c + j * TILE + lane + v * LANES) / pivot;
        storeDoubles(c + j * TILE + lane + v * LANES, solved[v]);
      }
      for (size_t r = j + 1; r < to; r++) {
        const Doubles value = copies(l[j * TILE + r]);
#pragma GCC unroll 8
        for (size_t v = 0; v < VECTORS; v++) {
          double* at = c + r * TILE + lane + v * LANES;
          storeDoubles(at, subtractFused(value, solved[v], loadDoubles(at)));
        }
      }
    }
  }
}

void solveTile(const double* l, double* c) {
  for (size_t row = 0; row < TILE; row += 8) {
    const Product finished = {c, l + row, c + row * TILE, row, 8, TILE, 0, 0, 0, 0, 0, 0};
    if (row > 0) subtractProduct(&finished);
    solveRows(l, c, row, row + 8);
  }
}

size_t factorTile(double* c) {
  for (size_t j = 0; j < TILE; j++) {
    double* column = c + j * TILE;
    if (!(column[j] > 0.0 && column[j] <= 1.7976931348623157e308)) return j;
    const double root = sqrt(column[j]);
    for (size_t i = j + 1; i < TILE; i++) column[i] /= root;
    column[j] = root;
    for (size_t r = j + 1; r < TILE; r++) {
      const Doubles value = copies(column[r]);
      // Entries above the diagonal are changed with their vector; nobody reads them.
      for (size_t lane = r / LANES * LANES; lane < TILE; lane += LANES) {
        storeDoubles(c + r * TILE + lane, subtractFused(value, loadDoubles(column + lane), loadDoubles(c + r * TILE + lane)));
      }
    }
  }
  return TILE;
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
