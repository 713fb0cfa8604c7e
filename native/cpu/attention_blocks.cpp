// Softmax attention of one query: keys stand transposed, so a lane is a key and sums over d stay in order.
#include "../math.h"
#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

void transposeKeys(const float* keys, size_t count, size_t dimension, size_t stride, double* transposed) {
  for (size_t d = 0; d < dimension; d++) {
    double* row = transposed + d * stride;
    for (size_t j = 0; j < count; j++) row[j] = keys[j * dimension + d];
    for (size_t j = count; j < stride; j++) row[j] = 0.0;
  }
}

// Dots of one head's slice with VECTORS * LANES keys.
template <size_t VECTORS>
static inline void dots(const float* query, const double* transposed, size_t stride, size_t width, double* out) {
  Doubles sums[VECTORS];
  for (size_t v = 0; v < VECTORS; v++) sums[v] = everyLane(0.0);
  for (size_t d = 0; d < width; d++) {
    const Doubles q = everyLane((double)query[d]);
    for (size_t v = 0; v < VECTORS; v++) sums[v] = addExactProduct(q, loadDoubles(transposed + d * stride + v * LANES), sums[v]);
  }
  for (size_t v = 0; v < VECTORS; v++) storeDoubles(out + v * LANES, sums[v]);
}

// A maximum is the same in any order (0 and -0 give the same differences), so this sum-like loop may run in lanes.
static inline double largestOf(const double* values, size_t count) {
  double largest = values[0];
  size_t j = 0;
  if (count >= LANES) {
    Doubles lanes = loadDoubles(values);
    for (j = LANES; j + LANES <= count; j += LANES) {
      const Doubles next = loadDoubles(values + j);
      lanes = next > lanes ? next : lanes;
    }
    for (size_t lane = 0; lane < LANES; lane++) largest = lanes[lane] > largest ? lanes[lane] : largest;
  }
  for (; j < count; j++) largest = values[j] > largest ? values[j] : largest;
  return largest;
}

void attend(const float* query, const double* transposed, const float* bias, size_t count, size_t stride, size_t dimension, size_t heads,
            double* scratch, double* weights) {
  const size_t width = dimension / heads;
  const double scale = 1.0 / __builtin_sqrt((double)width);
  double* inverses = scratch + heads * stride;
  for (size_t head = 0; head < heads; head++) {
    double* __restrict logits = scratch + head * stride;
    const float* q = query + head * width;
    const double* keys = transposed + head * width * stride;
    size_t j = 0;
    for (; j + 4 * LANES <= stride; j += 4 * LANES) dots<4>(q, keys + j, stride, width, logits + j);
    for (; j < stride; j += LANES) dots<1>(q, keys + j, stride, width, logits + j);
    if (bias) {
      for (j = 0; j < count; j++) logits[j] = logits[j] * scale + (double)bias[j];
    } else {
      for (j = 0; j < count; j++) logits[j] = logits[j] * scale + 0.0;
    }
    const double largest = largestOf(logits, count);
    for (j = 0; j < count; j++) logits[j] = expOf(logits[j] - largest);
  }
  // The totals run over j in order: chains of different heads side by side.
  size_t head = 0;
  for (; head + 4 <= heads; head += 4) {
    const double* e = scratch + head * stride;
    double a = 0, b = 0, c = 0, d = 0;
    for (size_t j = 0; j < count; j++) {
      a = a + e[j];
      b = b + e[stride + j];
      c = c + e[2 * stride + j];
      d = d + e[3 * stride + j];
    }
    inverses[head] = 1.0 / a;
    inverses[head + 1] = 1.0 / b;
    inverses[head + 2] = 1.0 / c;
    inverses[head + 3] = 1.0 / d;
  }
  for (; head < heads; head++) {
    double total = 0;
    for (size_t j = 0; j < count; j++) total = total + scratch[head * stride + j];
    inverses[head] = 1.0 / total;
  }
  double* __restrict out = weights;
  for (size_t j = 0; j < count; j++) out[j] = 0.0;
  for (head = 0; head < heads; head++) {
    const double* __restrict e = scratch + head * stride;
    const double inverse = inverses[head];
    for (size_t j = 0; j < count; j++) out[j] = out[j] + e[j] * inverse;
  }
  const double all = (double)heads;
  for (size_t j = 0; j < count; j++) out[j] = out[j] / all;
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
