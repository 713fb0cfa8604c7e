// Inner loops of Hessian-vector products (hessian_blocks.cpp). Rows are padded with zeros to `width` values, a multiple of 8.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace cragru {
namespace cpu {

// Samples in order of user; items and negatives are stacked rows. labels [samples] under BCE, else null.
struct CurvatureSamples {
  const uint32_t* items;
  const uint32_t* negatives;
  const float* labels;
  double* c;        // [samples]
  double* weights;  // [samples, 2]: a and r of reference/hessian.ts
};

// An item in a sample: entry = 2 * place of the sample, + 1 as its negative.
struct Occurrence {
  uint32_t entry;
  uint32_t user;
};

enum { BEND_SAMPLES = 8 };

struct CurvatureBlocks {
  // The table holds rows [E, S V] of 2 * width values. a of samples from .. to, all of one user, and their terms added to the
  // user's sums [width] unless that is null. `first` also sets c and r. scratch [BEND_SAMPLES, 2 * width].
  void (*bendUser)(const CurvatureSamples* samples, size_t from, size_t to, size_t user, const double* table, size_t width, int full, int first,
                   double* scratch, double* sums);
  // The terms of one item's occurrences added to its sums [width].
  void (*bendItem)(const Occurrence* occurrences, size_t count, const double* weights, const double* table, size_t width, int full, double* sums);
  // hopRows in double, on `slab` (8 or 16) columns: scaled rows lie side by side, base and output in rows of a stride.
  void (*hop)(const uint32_t* offsets, const uint32_t* columns, const double* scales, const double* scaled, size_t slab, const double* base,
              size_t baseStride, size_t from, size_t to, int last, double divisor, double* output, size_t outputStride);
  // For vectors of `count` values, a multiple of 8: a'b in eight sums; sums += factor * values; sums = values + factor * sums.
  double (*innerBlock)(const double* a, const double* b, size_t count);
  void (*addScaled)(double factor, const double* values, size_t count, double* sums);
  void (*scaleAndAdd)(double factor, const double* values, size_t count, double* sums);
};

}  // namespace cpu
}  // namespace cragru
