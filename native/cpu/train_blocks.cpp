// Inner loops of a training step. The order of operations is stated in src/native/reference/train.ts.
#include "../math.h"
#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

// Eight samples at a time: the sum of one sample is sequential in d, so eight chains of adds run side by side.
void coefficients(const Batch* batch, size_t from, size_t to, const float* embeddings, size_t dimension, double* scratch, double* weights,
                  double* losses) {
  constexpr size_t TOGETHER = 8;
  for (size_t start = from; start < to; start += TOGETHER) {
    const size_t count = to - start < TOGETHER ? to - start : TOGETHER;
    for (size_t s = 0; s < count; s++) {
      const float* __restrict user = embeddings + (size_t)batch->users[start + s] * dimension;
      const float* __restrict positive = embeddings + (size_t)batch->positives[start + s] * dimension;
      const float* __restrict negative = embeddings + (size_t)batch->negatives[start + s] * dimension;
      double* __restrict products = scratch + s * dimension;
      for (size_t d = 0; d < dimension; d++) products[d] = (double)user[d] * ((double)positive[d] - (double)negative[d]);
    }
    double x[TOGETHER] = {0, 0, 0, 0, 0, 0, 0, 0};
    if (count == TOGETHER) {
      double x0 = 0, x1 = 0, x2 = 0, x3 = 0, x4 = 0, x5 = 0, x6 = 0, x7 = 0;
      for (size_t d = 0; d < dimension; d++) {
        const double* at = scratch + d;
        x0 = x0 + at[0];
        x1 = x1 + at[dimension];
        x2 = x2 + at[2 * dimension];
        x3 = x3 + at[3 * dimension];
        x4 = x4 + at[4 * dimension];
        x5 = x5 + at[5 * dimension];
        x6 = x6 + at[6 * dimension];
        x7 = x7 + at[7 * dimension];
      }
      x[0] = x0, x[1] = x1, x[2] = x2, x[3] = x3, x[4] = x4, x[5] = x5, x[6] = x6, x[7] = x7;
    } else {
      for (size_t s = 0; s < count; s++) {
        for (size_t d = 0; d < dimension; d++) x[s] = x[s] + scratch[s * dimension + d];
      }
    }
    double sigmoids[TOGETHER], softpluses[TOGETHER];
    for (size_t s = 0; s < TOGETHER; s++) sigmoids[s] = sigmoidOf(-x[s]);
    for (size_t s = 0; s < TOGETHER; s++) softpluses[s] = softplusOf(-x[s]);
    for (size_t s = 0; s < count; s++) {
      weights[start + s] = sigmoids[s];
      losses[start + s] = softpluses[s];
    }
  }
}

void accumulateRow(const Batch* batch, const uint32_t* references, size_t count, const double* weights, const float* embeddings,
                   size_t dimension, double share, double* sums, float* gradient) {
  double* __restrict sum = sums;
  for (size_t d = 0; d < dimension; d++) sum[d] = 0.0;
  for (size_t at = 0; at < count; at++) {
    const size_t sample = references[at] >> 2;
    const uint32_t role = references[at] & 3u;
    const double r = -weights[sample];
    if (role == 0) {
      const float* __restrict positive = embeddings + (size_t)batch->positives[sample] * dimension;
      const float* __restrict negative = embeddings + (size_t)batch->negatives[sample] * dimension;
      for (size_t d = 0; d < dimension; d++) sum[d] = sum[d] + r * ((double)positive[d] - (double)negative[d]);
    } else {
      const float* __restrict user = embeddings + (size_t)batch->users[sample] * dimension;
      // sum - r u equals sum + (-r) u: a sign is exact.
      const double signedR = role == 1 ? r : -r;
      for (size_t d = 0; d < dimension; d++) sum[d] = sum[d] + signedR * (double)user[d];
    }
  }
  float* __restrict out = gradient;
  for (size_t d = 0; d < dimension; d++) out[d] = (float)(sum[d] * share);
}

// One row; `g` of a row that is not in a sparse gradient is 0.
template <bool READ, bool DECAY>
static inline void adamRow(const Step& step, double pull, const float* gradient, size_t dimension, float* parameters, float* first, float* second) {
  const float* __restrict in = gradient;
  float* __restrict p = parameters;
  float* __restrict f = first;
  float* __restrict s = second;
  const double rate = step.rate;
  for (size_t d = 0; d < dimension; d++) {
    const double value = p[d];
    double g = READ ? (double)in[d] : 0.0;
    if (DECAY) g = g + pull * value;
    const double m = 0.9 * (double)f[d] + 0.1 * g;
    const double v = 0.999 * (double)s[d] + 0.001 * (g * g);
    p[d] = (float)(value - (rate * m) / (__builtin_sqrt(v) + 1e-8));
    f[d] = (float)m;
    s[d] = (float)v;
  }
}

void adamRows(const Step* step, const uint32_t* occurrences, const float* gradient, int sparse, size_t dimension, size_t from, size_t to,
              float* parameters, float* first, float* second) {
  for (size_t row = from; row < to; row++) {
    const size_t at = row * dimension;
    const double pull = step->regularisation * (double)occurrences[row];
    if (occurrences[row] > 0) adamRow<true, true>(*step, pull, gradient + at, dimension, parameters + at, first + at, second + at);
    else if (sparse) adamRow<false, false>(*step, pull, gradient + at, dimension, parameters + at, first + at, second + at);
    else adamRow<true, false>(*step, pull, gradient + at, dimension, parameters + at, first + at, second + at);
  }
}

void sgdRows(const Step* step, const uint32_t* occurrences, const float* gradient, int sparse, size_t dimension, size_t from, size_t to,
             float* parameters) {
  const double rate = step->rate;
  for (size_t row = from; row < to; row++) {
    if (occurrences[row] == 0 && sparse) continue;  // value - rate * 0 is the value
    const double pull = step->regularisation * (double)occurrences[row];
    const float* __restrict in = gradient + row * dimension;
    float* __restrict p = parameters + row * dimension;
    if (occurrences[row] > 0) {
      for (size_t d = 0; d < dimension; d++) p[d] = (float)((double)p[d] - rate * ((double)in[d] + pull * (double)p[d]));
    } else {
      for (size_t d = 0; d < dimension; d++) p[d] = (float)((double)p[d] - rate * (double)in[d]);
    }
  }
}

int allFinite(const float* values, size_t count) {
  uint32_t bad = 0;
  for (size_t at = 0; at < count; at++) {
    uint32_t bits;
    memcpy(&bits, values + at, sizeof bits);
    bad |= (uint32_t)((bits & 0x7f800000u) == 0x7f800000u);
  }
  return bad == 0;
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
