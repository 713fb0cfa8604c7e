// Inner loops of Hessian-vector products. Rows are padded with zeros to a multiple of 8 values, which changes no sum: they all
// begin at +0. The order of operations is stated in src/native/reference/hessian.ts.
#include "../math.h"
#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

namespace {

enum { PARTS = 8 / LANES };  // registers of eight sums
enum { TOGETHER = BEND_SAMPLES };
enum { TILE = 8 * LANES };   // columns whose sums stay in registers

typedef double Pair __attribute__((vector_size(16)));

// Eight sums to one: t[l] = s[l] + s[l + 4]; (t[0] + t[2]) + (t[1] + t[3]).
inline double closed(const Doubles* sums) {
  Pair pairs[4];
  memcpy(pairs, sums, sizeof pairs);
  const Pair last = (pairs[0] + pairs[2]) + (pairs[1] + pairs[3]);
  return last[0] + last[1];
}

// z and y of one sample to `scratch` [2 * width]; returns dx, and x where asked.
template <bool PAIR, bool FIRST>
inline double dotSample(const double* user, const double* item, const double* negative, size_t width, double* scratch, double* x) {
  Doubles s[PARTS], t[PARTS], score[PARTS];
#pragma GCC unroll 4
  for (int part = 0; part < PARTS; part++) s[part] = t[part] = score[part] = Doubles{};
  for (size_t d = 0; d < width; d += 8) {
#pragma GCC unroll 4
    for (int part = 0; part < PARTS; part++) {
      const size_t at = d + part * LANES;
      Doubles z = loadDoubles(item + at), y = loadDoubles(item + width + at);
      if (PAIR) {
        z = z - loadDoubles(negative + at);
        y = y - loadDoubles(negative + width + at);
      }
      s[part] = s[part] + loadDoubles(user + width + at) * z;
      t[part] = t[part] + loadDoubles(user + at) * y;
      if (FIRST) score[part] = score[part] + loadDoubles(user + at) * z;
      storeDoubles(scratch + at, z);
      storeDoubles(scratch + width + at, y);
    }
  }
  if (FIRST) *x = closed(score);
#pragma GCC unroll 4
  for (int part = 0; part < PARTS; part++) s[part] = s[part] + t[part];
  return closed(s);
}

// c and r of samples start .. start + count - 1 from their x [TOGETHER].
inline void setScalars(const CurvatureSamples* samples, size_t start, size_t count, const double* x) {
  double positive[TOGETHER], negative[TOGETHER];
  for (size_t at = 0; at < TOGETHER; at++) positive[at] = sigmoidOf(x[at]);
  for (size_t at = 0; at < TOGETHER; at++) negative[at] = sigmoidOf(-x[at]);
  for (size_t at = 0; at < count; at++) {
    samples->c[start + at] = positive[at] * negative[at];
    samples->weights[2 * (start + at) + 1] = samples->labels ? positive[at] - (double)samples->labels[start + at] : -negative[at];
  }
}

// A few samples at a time: their scalars are one vector, and their dot products do not wait for one another.
template <bool PAIR, bool FULL, bool FIRST>
inline void bendUserOf(const CurvatureSamples* samples, size_t from, size_t to, size_t row, const double* table, size_t width, double* scratch, double* sums) {
  const double* user = table + row * 2 * width;
  for (size_t start = from; start < to; start += TOGETHER) {
    const size_t count = to - start < TOGETHER ? to - start : (size_t)TOGETHER;
    double x[TOGETHER] = {0}, dx[TOGETHER];
    for (size_t at = 0; at < count; at++) {
      const double* item = table + (size_t)samples->items[start + at] * 2 * width;
      const double* negative = PAIR ? table + (size_t)samples->negatives[start + at] * 2 * width : item;
      dx[at] = dotSample<PAIR, FIRST>(user, item, negative, width, scratch + at * 2 * width, x + at);
    }
    if (FIRST) setScalars(samples, start, count, x);
    for (size_t at = 0; at < count; at++) samples->weights[2 * (start + at)] = samples->c[start + at] * dx[at];
    for (size_t at = 0; sums && at < count; at++) {
      const double a = samples->weights[2 * (start + at)], r = samples->weights[2 * (start + at) + 1];
      const double* z = scratch + at * 2 * width;
      for (size_t d = 0; d < width; d += LANES) {
        Doubles pull = a * loadDoubles(z + d);
        if (FULL) pull = pull + r * loadDoubles(z + width + d);
        storeDoubles(sums + d, loadDoubles(sums + d) + pull);
      }
    }
  }
}

template <bool PAIR, bool FULL>
inline void bendUserOf(const CurvatureSamples* samples, size_t from, size_t to, size_t row, const double* table, size_t width, int first, double* scratch,
                       double* sums) {
  if (first) bendUserOf<PAIR, FULL, true>(samples, from, to, row, table, width, scratch, sums);
  else bendUserOf<PAIR, FULL, false>(samples, from, to, row, table, width, scratch, sums);
}

// VECTORS registers of one row's sums; the pointers already stand at the columns.
template <size_t VECTORS, bool FULL>
inline void bendColumns(const Occurrence* occurrences, size_t count, const double* weights, const double* table, size_t width, double* sums) {
  Doubles kept[VECTORS];
#pragma GCC unroll 8
  for (size_t v = 0; v < VECTORS; v++) kept[v] = loadDoubles(sums + v * LANES);
  for (size_t at = 0; at < count; at++) {
    const double* user = table + (size_t)occurrences[at].user * 2 * width;
    const double* pair = weights + 2 * (size_t)(occurrences[at].entry >> 1);
    // Taking away a sum of two products is adding it with both weights negated.
    const double sign = occurrences[at].entry & 1u ? -1.0 : 1.0;
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
inline void bendItemOf(const Occurrence* occurrences, size_t count, const double* weights, const double* table, size_t width, double* sums) {
  size_t at = 0;
  for (; at + TILE <= width; at += TILE) bendColumns<8, FULL>(occurrences, count, weights, table + at, width, sums + at);
  for (; at + TILE / 2 <= width; at += TILE / 2) bendColumns<4, FULL>(occurrences, count, weights, table + at, width, sums + at);
  for (; at < width; at += LANES) bendColumns<1, FULL>(occurrences, count, weights, table + at, width, sums + at);
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

void bendUser(const CurvatureSamples* samples, size_t from, size_t to, size_t user, const double* table, size_t width, int full, int first,
              double* scratch, double* sums) {
  const bool pair = !samples->labels;
  if (pair && full) bendUserOf<true, true>(samples, from, to, user, table, width, first, scratch, sums);
  else if (pair) bendUserOf<true, false>(samples, from, to, user, table, width, first, scratch, sums);
  else if (full) bendUserOf<false, true>(samples, from, to, user, table, width, first, scratch, sums);
  else bendUserOf<false, false>(samples, from, to, user, table, width, first, scratch, sums);
}

void bendItem(const Occurrence* occurrences, size_t count, const double* weights, const double* table, size_t width, int full, double* sums) {
  if (full) bendItemOf<true>(occurrences, count, weights, table, width, sums);
  else bendItemOf<false>(occurrences, count, weights, table, width, sums);
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
