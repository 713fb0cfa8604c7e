// Inner loops of Hessian-vector products. Rows are padded with zeros to a multiple of 8 values, which changes no sum: they all
// begin at +0. The order of operations is stated in src/native/reference/hessian.ts.
#include "../math.h"
#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

namespace {

enum { PARTS = 8 / LANES };  // registers of eight sums
enum { TILE = 8 * LANES };   // columns whose sums stay in registers

typedef double Pair __attribute__((vector_size(16)));

// Eight sums to one: t[l] = s[l] + s[l + 4]; (t[0] + t[2]) + (t[1] + t[3]).
inline double closed(const Doubles* sums) {
  Pair pairs[4];
  memcpy(pairs, sums, sizeof pairs);
  const Pair last = (pairs[0] + pairs[2]) + (pairs[1] + pairs[3]);
  return last[0] + last[1];
}

// z and y of one sample to `scratch` [2 * width], and the sums of x or dx.
template <bool PAIR, bool BEND>
inline double dotSample(const double* user, const double* item, const double* negative, size_t width, double* scratch) {
  Doubles s[PARTS], t[PARTS];
#pragma GCC unroll 4
  for (int part = 0; part < PARTS; part++) s[part] = t[part] = Doubles{};
  for (size_t d = 0; d < width; d += 8) {
#pragma GCC unroll 4
    for (int part = 0; part < PARTS; part++) {
      const size_t at = d + part * LANES;
      Doubles z = loadDoubles(item + at);
      if (PAIR) z = z - loadDoubles(negative + at);
      if (!BEND) {
        s[part] = s[part] + loadDoubles(user + at) * z;
        continue;
      }
      Doubles y = loadDoubles(item + width + at);
      if (PAIR) y = y - loadDoubles(negative + width + at);
      s[part] = s[part] + loadDoubles(user + width + at) * z;
      t[part] = t[part] + loadDoubles(user + at) * y;
      storeDoubles(scratch + at, z);
      storeDoubles(scratch + width + at, y);
    }
  }
  if (BEND) {
#pragma GCC unroll 4
    for (int part = 0; part < PARTS; part++) s[part] = s[part] + t[part];
  }
  return closed(s);
}

template <bool PAIR, bool FULL>
inline void bendUserOf(const CurvatureSamples* samples, size_t from, size_t to, size_t row, const double* table, size_t width, double* scratch, double* sums) {
  const double* user = table + row * 2 * width;
  for (size_t place = from; place < to; place++) {
    const double* item = table + (size_t)samples->items[place] * 2 * width;
    const double* negative = PAIR ? table + (size_t)samples->negatives[place] * 2 * width : item;
    const double a = samples->c[place] * dotSample<PAIR, true>(user, item, negative, width, scratch);
    const double r = samples->weights[2 * place + 1];
    samples->weights[2 * place] = a;
    if (!sums) continue;
    for (size_t d = 0; d < width; d += LANES) {
      Doubles pull = a * loadDoubles(scratch + d);
      if (FULL) pull = pull + r * loadDoubles(scratch + width + d);
      storeDoubles(sums + d, loadDoubles(sums + d) + pull);
    }
  }
}

// VECTORS registers of one row's sums; the pointers already stand at the columns.
template <size_t VECTORS, bool FULL>
inline void bendColumns(const Reference* references, size_t count, const double* weights, const double* table, size_t width, double* sums) {
  Doubles kept[VECTORS];
#pragma GCC unroll 8
  for (size_t v = 0; v < VECTORS; v++) kept[v] = loadDoubles(sums + v * LANES);
  for (size_t at = 0; at < count; at++) {
    const double* user = table + (size_t)references[at].user * 2 * width;
    const double* pair = weights + 2 * (size_t)(references[at].entry >> 1);
    // Taking away a sum of two products is adding it with both weights negated.
    const double sign = references[at].entry & 1u ? -1.0 : 1.0;
    const Doubles a = everyLane(sign * pair[0]), r = everyLane(sign * pair[1]);
#pragma GCC unroll 8
    for (size_t v = 0; v < VECTORS; v++) {
      Doubles pull = a * loadDoubles(user + v * LANES);
      if (FULL) pull = pull + r * loadDoubles(user + width + v * LANES);
      kept[v] = kept[v] + pull;
    }
  }
#pragma GCC unroll 8
  for (size_t v = 0; v < VECTORS; v++) storeDoubles(sums + v * LANES, kept[v]);
}

template <bool FULL>
inline void bendItemOf(const Reference* references, size_t count, const double* weights, const double* table, size_t width, double* sums) {
  size_t at = 0;
  for (; at + TILE <= width; at += TILE) bendColumns<8, FULL>(references, count, weights, table + at, width, sums + at);
  for (; at + TILE / 2 <= width; at += TILE / 2) bendColumns<4, FULL>(references, count, weights, table + at, width, sums + at);
  for (; at < width; at += LANES) bendColumns<1, FULL>(references, count, weights, table + at, width, sums + at);
}

template <size_t VECTORS>
inline void hopSlab(const uint32_t* offsets, const uint32_t* columns, const double* scales, const double* scaled, const double* base, size_t baseStride,
                    size_t from, size_t to, int last, double divisor, double* output, size_t outputStride) {
  for (size_t row = from; row < to; row++) {
    Doubles sums[VECTORS];
#pragma GCC unroll 8
    for (size_t v = 0; v < VECTORS; v++) sums[v] = Doubles{};
    for (size_t edge = offsets[row]; edge < offsets[row + 1]; edge++) {
      const double* neighbour = scaled + (size_t)columns[edge] * (VECTORS * LANES);
#pragma GCC unroll 8
      for (size_t v = 0; v < VECTORS; v++) sums[v] = sums[v] + loadDoubles(neighbour + v * LANES);
    }
#pragma GCC unroll 8
    for (size_t v = 0; v < VECTORS; v++) {
      const Doubles t = loadDoubles(base + row * baseStride + v * LANES) + scales[row] * sums[v];
      storeDoubles(output + row * outputStride + v * LANES, last ? t / divisor : scales[row] * t);
    }
  }
}

}  // namespace

void curvatureScalars(const CurvatureSamples* samples, size_t from, size_t to, size_t user, const double* table, size_t width) {
  enum { TOGETHER = 8 };
  for (size_t start = from; start < to; start += TOGETHER) {
    const size_t count = to - start < TOGETHER ? to - start : (size_t)TOGETHER;
    double x[TOGETHER] = {0}, positive[TOGETHER], negative[TOGETHER];
    for (size_t at = 0; at < count; at++) {
      const double* item = table + (size_t)samples->items[start + at] * 2 * width;
      if (samples->labels) x[at] = dotSample<false, false>(table + user * 2 * width, item, item, width, 0);
      else x[at] = dotSample<true, false>(table + user * 2 * width, item, table + (size_t)samples->negatives[start + at] * 2 * width, width, 0);
    }
    for (size_t at = 0; at < TOGETHER; at++) positive[at] = sigmoidOf(x[at]);
    for (size_t at = 0; at < TOGETHER; at++) negative[at] = sigmoidOf(-x[at]);
    for (size_t at = 0; at < count; at++) {
      samples->c[start + at] = positive[at] * negative[at];
      samples->weights[2 * (start + at) + 1] = samples->labels ? positive[at] - (double)samples->labels[start + at] : -negative[at];
    }
  }
}

void bendUser(const CurvatureSamples* samples, size_t from, size_t to, size_t user, const double* table, size_t width, int full, double* scratch,
              double* sums) {
  const bool pair = !samples->labels;
  if (pair && full) bendUserOf<true, true>(samples, from, to, user, table, width, scratch, sums);
  else if (pair) bendUserOf<true, false>(samples, from, to, user, table, width, scratch, sums);
  else if (full) bendUserOf<false, true>(samples, from, to, user, table, width, scratch, sums);
  else bendUserOf<false, false>(samples, from, to, user, table, width, scratch, sums);
}

void bendItem(const Reference* references, size_t count, const double* weights, const double* table, size_t width, int full, double* sums) {
  if (full) bendItemOf<true>(references, count, weights, table, width, sums);
  else bendItemOf<false>(references, count, weights, table, width, sums);
}

void hopDoubles(const uint32_t* offsets, const uint32_t* columns, const double* scales, const double* scaled, size_t slab, const double* base,
                size_t baseStride, size_t from, size_t to, int last, double divisor, double* output, size_t outputStride) {
  if (slab == 16) hopSlab<16 / LANES>(offsets, columns, scales, scaled, base, baseStride, from, to, last, divisor, output, outputStride);
  else hopSlab<8 / LANES>(offsets, columns, scales, scaled, base, baseStride, from, to, last, divisor, output, outputStride);
}

double innerBlock(const double* a, const double* b, size_t count) {
  Doubles sums[PARTS];
  for (int part = 0; part < PARTS; part++) sums[part] = Doubles{};
  for (size_t at = 0; at < count; at += 8) {
#pragma GCC unroll 4
    for (int part = 0; part < PARTS; part++) {
      sums[part] = sums[part] + loadDoubles(a + at + part * LANES) * loadDoubles(b + at + part * LANES);
    }
  }
  return closed(sums);
}

void addScaled(double factor, const double* values, size_t count, double* sums) {
  const double* __restrict in = values;
  double* __restrict out = sums;
  for (size_t at = 0; at < count; at++) out[at] = out[at] + factor * in[at];
}

void scaleAndAdd(double factor, const double* values, size_t count, double* sums) {
  const double* __restrict in = values;
  double* __restrict out = sums;
  for (size_t at = 0; at < count; at++) out[at] = in[at] + factor * out[at];
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
