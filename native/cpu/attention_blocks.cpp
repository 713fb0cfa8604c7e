// Softmax attention of up to four queries over the keys of one user. A lane is a key, so sums over d run in order; keys stand
// in panels, [panel][dimension][keys of the panel], the last one cut to a multiple of SUM_LANES keys. The order of operations
// stands in src/native/reference/attention.ts.
#include "block_functions.h"
#include "floats.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

// Vectors of one panel, for 4 queries as many sums as the registers hold.
#if defined(__AVX512F__) || defined(__aarch64__)
enum { ATTENTION_VECTORS = 4 };
#else
enum { ATTENTION_VECTORS = 16 / WIDE_LANES };
#endif
enum { SUM_LANES = ATTENTION_PADDING, PANEL_KEYS = ATTENTION_VECTORS * WIDE_LANES, PARTS = SUM_LANES / WIDE_LANES };

static inline size_t panelWidth(size_t stride, size_t from) { return stride - from < PANEL_KEYS ? stride - from : (size_t)PANEL_KEYS; }

float packKeys(const float* keys, size_t count, size_t dimension, float* packed) {
  const size_t stride = (count + SUM_LANES - 1) / SUM_LANES * SUM_LANES;
  float largest = 0.0f;
  for (size_t from = 0; from < stride; from += PANEL_KEYS) {
    const size_t width = panelWidth(stride, from), here = count - from < width ? count - from : width;
    float* panel = packed + from * dimension;
    const float* rows = keys + from * dimension;
    size_t j = 0;
#if defined(__x86_64__)
    for (; j + 4 <= here; j += 4) {
      const float* row = rows + j * dimension;
      size_t d = 0;
      for (; d + 4 <= dimension; d += 4) {
        __m128 a = _mm_loadu_ps(row + d), b = _mm_loadu_ps(row + dimension + d);
        __m128 e = _mm_loadu_ps(row + 2 * dimension + d), f = _mm_loadu_ps(row + 3 * dimension + d);
        _MM_TRANSPOSE4_PS(a, b, e, f);
        float* to = panel + d * width + j;
        _mm_storeu_ps(to, a);
        _mm_storeu_ps(to + width, b);
        _mm_storeu_ps(to + 2 * width, e);
        _mm_storeu_ps(to + 3 * width, f);
      }
      for (; d < dimension; d++) {
        for (size_t k = 0; k < 4; k++) panel[d * width + j + k] = row[k * dimension + d];
      }
    }
#endif
    for (; j < here; j++) {
      for (size_t d = 0; d < dimension; d++) panel[d * width + j] = rows[j * dimension + d];
    }
    if (here < width) {
      for (size_t d = 0; d < dimension; d++) {
        for (j = here; j < width; j++) panel[d * width + j] = 0.0f;
      }
    }
    WideFloats most = everyFloat(0.0f);
    for (size_t at = 0; at < width * dimension; at += WIDE_LANES) most = maxFloats(magnitudes(loadFloats(panel + at)), most);
    const float mostHere = largestLane(most);
    largest = mostHere > largest ? mostHere : largest;
  }
  return largest;
}

float scaleRow(const float* values, size_t count, float scale, float* scaled) {
  WideFloats most = everyFloat(0.0f);
  size_t at = 0;
  for (; at + WIDE_LANES <= count; at += WIDE_LANES) {
    const WideFloats value = loadFloats(values + at) * scale;
    storeFloats(scaled + at, value);
    most = maxFloats(magnitudes(value), most);
  }
  float largest = largestLane(most);
  for (; at < count; at++) {
    scaled[at] = values[at] * scale;
    const float magnitude = __builtin_fabsf(scaled[at]);
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

// t[l] += t[l + 8], then + 4, + 2, + 1.
static inline float addLanes(const WideFloats* sums) {
#if defined(__AVX512F__)
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(sums[0]), _mm512_extractf32x8_ps(sums[0], 1));
#elif defined(__AVX2__)
  const __m256 eight = _mm256_add_ps(sums[0], sums[1]);
#endif
#if defined(__AVX2__)
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
#else
  const WideFloats four = (sums[0] + sums[2]) + (sums[1] + sums[3]);
  return (four[0] + four[2]) + (four[1] + four[3]);
#endif
}

// Logits of QUERIES queries and VECTORS vectors of one panel, and the largest of each lane so far.
template <size_t QUERIES, size_t VECTORS>
static __attribute__((noinline)) void logitsOf(const float* queries, size_t dimension, size_t width, const float* panel, const float* start,
                                               size_t stride, float* logits, WideFloats* largest) {
  WideFloats sums[QUERIES][VECTORS];
#pragma GCC unroll 16
  for (size_t v = 0; v < VECTORS; v++) {
    const WideFloats first = loadFloats(start + v * WIDE_LANES);
#pragma GCC unroll 16
    for (size_t q = 0; q < QUERIES; q++) sums[q][v] = first;
  }
  for (size_t d = 0; d < width; d++) {
    WideFloats keys[VECTORS];
#pragma GCC unroll 16
    for (size_t v = 0; v < VECTORS; v++) keys[v] = loadFloats(panel + (d * VECTORS + v) * WIDE_LANES);
#pragma GCC unroll 16
    for (size_t q = 0; q < QUERIES; q++) {
      const WideFloats query = everyFloat(queries[q * dimension + d]);
#pragma GCC unroll 16
      for (size_t v = 0; v < VECTORS; v++) sums[q][v] = fmaFloats(query, keys[v], sums[q][v]);
    }
  }
#pragma GCC unroll 16
  for (size_t q = 0; q < QUERIES; q++) {
    WideFloats most = largest[q];
#pragma GCC unroll 16
    for (size_t v = 0; v < VECTORS; v++) {
      storeFloats(logits + q * stride + v * WIDE_LANES, sums[q][v]);
      most = maxFloats(sums[q][v], most);
    }
    largest[q] = most;
  }
}

template <size_t QUERIES>
static inline void logitsOfPanel(const float* queries, size_t dimension, size_t width, const float* panel, size_t keys, const float* start, size_t stride,
                                 float* logits, WideFloats* largest) {
#if defined(__AVX512F__)
  if (keys == 3 * WIDE_LANES) return logitsOf<QUERIES, 3>(queries, dimension, width, panel, start, stride, logits, largest);
  if (keys == 2 * WIDE_LANES) return logitsOf<QUERIES, 2>(queries, dimension, width, panel, start, stride, logits, largest);
  if (keys == WIDE_LANES) return logitsOf<QUERIES, 1>(queries, dimension, width, panel, start, stride, logits, largest);
#else
  (void)keys;
#endif
  logitsOf<QUERIES, ATTENTION_VECTORS>(queries, dimension, width, panel, start, stride, logits, largest);
}

// values[q][j] = e^(values[q][j] - largest[q]); each sum runs in SUM_LANES partial sums, added as a tree. Rows side by side: one
// row alone waits for its own chain of products.
template <size_t QUERIES>
static inline void exponentials(float* values, size_t stride, const WideFloats* largest, float* totals) {
  WideFloats sums[QUERIES][PARTS], top[QUERIES];
#pragma GCC unroll 4
  for (size_t q = 0; q < QUERIES; q++) {
    top[q] = everyFloat(largestLane(largest[q]));
#pragma GCC unroll 4
    for (size_t part = 0; part < PARTS; part++) sums[q][part] = everyFloat(0.0f);
  }
  for (size_t j = 0; j < stride; j += SUM_LANES) {
#pragma GCC unroll 4
    for (size_t part = 0; part < PARTS; part++) {
#pragma GCC unroll 4
      for (size_t q = 0; q < QUERIES; q++) {
        float* at = values + q * stride + j + part * WIDE_LANES;
        const WideFloats e = expFloats(loadFloats(at) - top[q]);
        storeFloats(at, e);
        sums[q][part] = sums[q][part] + e;
      }
    }
  }
  for (size_t q = 0; q < QUERIES; q++) totals[q] = addLanes(sums[q]);
}

int attendHead(const HeadShape* shape, const float* queries, size_t count, const float* packed, const float* start, float* e, float* totals) {
  const size_t stride = shape->stride, dimension = shape->dimension, width = shape->width;
  WideFloats largest[ATTENTION_QUERIES];
  for (size_t q = 0; q < count; q++) largest[q] = everyFloat(-__builtin_inff());
  for (size_t from = 0; from < stride; from += PANEL_KEYS) {
    const size_t keys = panelWidth(stride, from);
    const float* panel = packed + from * dimension + shape->first * keys;
    if (count == 4) {
      logitsOfPanel<4>(queries, dimension, width, panel, keys, start + from, stride, e + from, largest);
    } else {
      for (size_t q = 0; q < count; q++) {
        logitsOfPanel<1>(queries + q * dimension, dimension, width, panel, keys, start + from, stride, e + q * stride + from, largest + q);
      }
    }
  }
  if (shape->guarded) {
    for (size_t q = 0; q < count; q++) {
      if (!allFinite(e + q * stride, shape->keys)) return 0;
    }
  }
  if (count == 4) {
    exponentials<4>(e, stride, largest, totals);
  } else {
    for (size_t q = 0; q < count; q++) exponentials<1>(e + q * stride, stride, largest + q, totals + q);
  }
  return 1;
}

void mixHead(const float* e, size_t stride, float inverse, int first, float* weights) {
  const WideFloats factor = everyFloat(inverse);
  if (first) {
    for (size_t j = 0; j < stride; j += WIDE_LANES) storeFloats(weights + j, loadFloats(e + j) * factor);
  } else {
    for (size_t j = 0; j < stride; j += WIDE_LANES) storeFloats(weights + j, fmaFloats(loadFloats(e + j), factor, loadFloats(weights + j)));
  }
}

void poolWeights(const float* weights, size_t count, int largest, float* pooled) {
  if (largest) {
    for (size_t j = 0; j < count; j++) pooled[j] = weights[j] > pooled[j] ? weights[j] : pooled[j];
  } else {
    for (size_t j = 0; j < count; j++) pooled[j] = pooled[j] + weights[j];
  }
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
