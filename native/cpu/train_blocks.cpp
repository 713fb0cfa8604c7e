// Inner loops of a training step. The order of operations is stated in src/native/reference/train.ts. A gradient is summed in
// registers, a tile of columns at a time, and its row moves before the next tile.
#include "../math.h"
#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

#if defined(__SANITIZE_THREAD__)
#define CRAGRU_RACES __attribute__((no_sanitize("thread")))
#else
#define CRAGRU_RACES
#endif

namespace {

typedef double EightDoubles __attribute__((vector_size(64)));
typedef float EightFloats __attribute__((vector_size(32)));

// Columns of a full tile: as many sums as leave registers for the rest. Rows are multiples of ROW_FLOATS, which is the smaller tile.
#if defined(__AVX512F__) || defined(__AVX2__)
constexpr size_t TILE = 64;
#else
constexpr size_t TILE = 32;
#endif
// Samples, and references, between the one at work and the one whose rows are asked for.
constexpr size_t AHEAD = 6;
constexpr size_t REFERENCES_AHEAD = 12;

inline EightDoubles widen(const float* from) {
  EightFloats value;
  memcpy(&value, from, sizeof value);
#if defined(__AVX512F__)
  return (EightDoubles)_mm512_cvtps_pd((__m256)value);
#else
  return __builtin_convertvector(value, EightDoubles);
#endif
}

// (t[0] + t[2]) + (t[1] + t[3]) with t[l] = s[l] + s[l + 4].
inline double sumOf(EightDoubles sums) {
#if defined(__AVX512F__)
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256((__m512d)sums), _mm512_extractf64x4_pd((__m512d)sums, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
#else
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
#endif
}

// value - 0 is value, and -0 stays -0.
inline WideFloats everyFloat(float value) { return value - WideFloats{}; }

// -value for the negative item of a reference: a branch would be foretold wrongly half the time.
inline float signedWeight(float weight, uint32_t reference) {
  uint32_t bits;
  memcpy(&bits, &weight, sizeof bits);
  bits ^= reference << 31;
  memcpy(&weight, &bits, sizeof bits);
  return weight;
}

inline WideFloats squareRoots(WideFloats value) {
#if defined(__AVX512F__)
  return (WideFloats)_mm512_sqrt_ps((__m512)value);
#elif defined(__AVX2__)
  return (WideFloats)_mm256_sqrt_ps((__m256)value);
#elif defined(__x86_64__)
  return (WideFloats)_mm_sqrt_ps((__m128)value);
#else
  for (size_t lane = 0; lane < WIDE_LANES; lane++) value[lane] = __builtin_sqrtf(value[lane]);
  return value;
#endif
}

inline void prefetchRow(const float* row, size_t columns) {
#pragma GCC unroll 8
  for (size_t at = 0; at < columns; at += 16) __builtin_prefetch(row + at);
}

// The numbers that one row's step needs.
struct RowStep {
  float decay, rate, keepFirst, keepSecond;
};

inline RowStep rowStep(const RowUpdate& update, size_t row, size_t count) {
  RowStep step = {(float)(update.decay * (double)count), 0, 0, 0};
  if (update.kind != ADAM) return step;
  // Until the next step of the window that reads the row, or its end.
  uint32_t idle = update.steps - update.step - 1;
  if (update.touched && idle > 0) {
    const uint64_t later = update.touched[row] >> update.step >> 1;
    if (later != 0) idle = (uint32_t)__builtin_ctzll(later);
  }
  step.rate = update.rates[idle];
  step.keepFirst = update.keepFirst[idle];
  step.keepSecond = update.keepSecond[idle];
  return step;
}

inline WideFloats adamDirection(WideFloats m, WideFloats v) { return m / (squareRoots(v) + 1e-8f); }

// One vector of a row: h is its gradient without the L2 part, which rows outside the batch (DECAY false) do not have.
template <bool DECAY>
inline void sgdVector(const RowStep& step, WideFloats h, float* parameters) {
  const WideFloats p = loadFloats(parameters);
  storeFloats(parameters, p - (DECAY ? h + step.decay * p : h));
}

template <bool DECAY>
inline void adamVector(const RowStep& step, WideFloats h, float* parameters, float* first, float* second) {
  const WideFloats p = loadFloats(parameters);
  const WideFloats g = DECAY ? h + step.decay * p : h;
  const WideFloats m = 0.9f * loadFloats(first) + 0.1f * g;
  const WideFloats v = 0.999f * loadFloats(second) + 0.001f * (g * g);
  storeFloats(parameters, p - step.rate * adamDirection(m, v));
  storeFloats(first, step.keepFirst * m);
  storeFloats(second, step.keepSecond * v);
}

template <size_t STRIDE, size_t VECTORS>
inline void moveTile(const RowUpdate& update, const RowStep& step, size_t row, size_t at, const WideFloats* h) {
  const size_t stride = STRIDE > 0 ? STRIDE : update.stride, place = row * stride + at;
  if (update.kind == SGD) {
#pragma GCC unroll 8
    for (size_t v = 0; v < VECTORS; v++) sgdVector<true>(step, h[v], update.parameters + place + v * WIDE_LANES);
  } else if (update.kind == ADAM) {
    float* moments = update.moments + row * stride + place;
#pragma GCC unroll 8
    for (size_t v = 0; v < VECTORS; v++) {
      adamVector<true>(step, h[v], update.parameters + place + v * WIDE_LANES, moments + v * WIDE_LANES, moments + stride + v * WIDE_LANES);
    }
  } else {
#pragma GCC unroll 8
    for (size_t v = 0; v < VECTORS; v++) storeFloats(update.gradient + place + v * WIDE_LANES, h[v]);
  }
}

// x of samples from .. to of those up to `end`.
template <size_t STRIDE>
inline void differences(const Sample* samples, const float* embeddings, size_t runStride, size_t from, size_t to, size_t end, double* x) {
  const size_t stride = STRIDE > 0 ? STRIDE : runStride;
  for (size_t sample = from; sample < to; sample++) {
    if (sample + AHEAD < end) {
      prefetchRow(embeddings + (size_t)samples[sample + AHEAD].user * stride, stride);
      prefetchRow(embeddings + (size_t)samples[sample + AHEAD].positive * stride, stride);
      prefetchRow(embeddings + (size_t)samples[sample + AHEAD].negative * stride, stride);
    }
    const float* user = embeddings + (size_t)samples[sample].user * stride;
    const float* positive = embeddings + (size_t)samples[sample].positive * stride;
    const float* negative = embeddings + (size_t)samples[sample].negative * stride;
    EightDoubles sums = {};
#pragma GCC unroll 8
    for (size_t at = 0; at < stride; at += 8) sums = sums + widen(user + at) * (widen(positive + at) - widen(negative + at));
    x[sample] = sumOf(sums);
  }
}

// losses (holding x) -> losses, weights.
inline void slopes(size_t count, double scale, double* __restrict losses, float* __restrict weights) {
  for (size_t sample = 0; sample < count; sample++) {
    double loss, slope;
    bprLossOf(losses[sample], &loss, &slope);
    losses[sample] = loss;
    weights[sample] = (float)-(slope * scale);
  }
}

template <size_t STRIDE, size_t VECTORS>
inline void userTile(const Batch& batch, const TrainStep& step, const RowUpdate& update, const RowStep& rowStep, size_t group, size_t at) {
  const size_t stride = STRIDE > 0 ? STRIDE : update.stride, from = batch.userStarts[group], to = batch.userStarts[group + 1], row = batch.samples[from].user;
  WideFloats h[VECTORS];
#pragma GCC unroll 8
  for (size_t v = 0; v < VECTORS; v++) h[v] = WideFloats{};
  for (size_t sample = from; sample < to; sample++) {
    const WideFloats weight = everyFloat(step.weights[sample]);
    const float* positive = step.embeddings + (size_t)batch.samples[sample].positive * stride + at;
    const float* negative = step.embeddings + (size_t)batch.samples[sample].negative * stride + at;
#pragma GCC unroll 8
    for (size_t v = 0; v < VECTORS; v++) h[v] = h[v] + weight * (loadFloats(positive + v * WIDE_LANES) - loadFloats(negative + v * WIDE_LANES));
  }
  const float* old = step.embeddings + row * stride + at;
  float* kept = step.users + group * stride + at;
#pragma GCC unroll 8
  for (size_t v = 0; v < VECTORS; v++) storeFloats(kept + v * WIDE_LANES, loadFloats(old + v * WIDE_LANES));
  moveTile<STRIDE, VECTORS>(update, rowStep, row, at, h);
}

template <size_t STRIDE, size_t VECTORS>
inline void itemTile(const Batch& batch, const TrainStep& step, const RowUpdate& update, const RowStep& rowStep, size_t group, size_t at) {
  const size_t stride = STRIDE > 0 ? STRIDE : update.stride;
  const float* users = step.users + at;
  WideFloats h[VECTORS];
#pragma GCC unroll 8
  for (size_t v = 0; v < VECTORS; v++) h[v] = WideFloats{};
  for (size_t place = batch.itemStarts[group]; place < batch.itemStarts[group + 1]; place++) {
    const uint32_t reference = batch.references[place];
    if (place + REFERENCES_AHEAD < 2 * batch.count) {
      prefetchRow(users + (size_t)batch.slots[batch.references[place + REFERENCES_AHEAD] >> 1] * stride, VECTORS * WIDE_LANES);
    }
    const WideFloats pull = everyFloat(signedWeight(step.weights[reference >> 1], reference));
    const float* user = users + (size_t)batch.slots[reference >> 1] * stride;
#pragma GCC unroll 8
    for (size_t v = 0; v < VECTORS; v++) h[v] = h[v] + pull * loadFloats(user + v * WIDE_LANES);
  }
  moveTile<STRIDE, VECTORS>(update, rowStep, batch.itemRows[group], at, h);
}

// One sample of sequential SGD. The negative is read again after the positive is written: they can be the same row. Threads race
// here on purpose: every store is of plain floats, and a lost one is a lost step of SGD.
template <size_t STRIDE>
CRAGRU_RACES inline void moveSample(const Sample& sample, float weight, float decay, float* parameters, size_t runStride) {
  const size_t stride = STRIDE > 0 ? STRIDE : runStride;
  float* user = parameters + (size_t)sample.user * stride;
  float* positive = parameters + (size_t)sample.positive * stride;
  float* negative = parameters + (size_t)sample.negative * stride;
  const WideFloats w = everyFloat(weight);
#pragma GCC unroll 4
  for (size_t at = 0; at < stride; at += WIDE_LANES) {
    const WideFloats u = loadFloats(user + at), i = loadFloats(positive + at);
    const WideFloats difference = i - loadFloats(negative + at), pull = w * u;
    storeFloats(user + at, u - (w * difference + decay * u));
    storeFloats(positive + at, i - (pull + decay * i));
    const WideFloats j = loadFloats(negative + at);
    storeFloats(negative + at, j - (decay * j - pull));
  }
}

// Marks of the rows of one run of samples, by number modulo CELLS. A mark too many only ends a run early.
class Marks {
 public:
  void next() { run_++; }
  // False where a row of the sample is marked, else marks them.
  bool take(const Sample& sample) {
    uint16_t &user = cells_[sample.user % CELLS], &positive = cells_[sample.positive % CELLS], &negative = cells_[sample.negative % CELLS];
    if (user == run_ || positive == run_ || negative == run_) return false;
    user = positive = negative = run_;
    return true;
  }

 private:
  enum { CELLS = 1 << 13 };
  uint16_t run_ = 0;
  uint16_t cells_[CELLS] = {};
};

// Runs of samples that share no row: their order makes no difference, so they are taken stage by stage.
template <size_t STRIDE>
void hogwildSamplesOf(const Sample* samples, size_t count, float* parameters, size_t stride, double scale, float decay, double* losses) {
  constexpr size_t MOST = 16;
  float weights[MOST];
  Marks marks;
  for (size_t from = 0, to = 0; from < count; from = to) {
    marks.next();
    while (to < count && to - from < MOST && marks.take(samples[to])) to++;
    differences<STRIDE>(samples, parameters, stride, from, to, count, losses);
    slopes(to - from, scale, losses + from, weights);
    for (size_t at = from; at < to; at++) moveSample<STRIDE>(samples[at], weights[at - from], decay, parameters, stride);
  }
}

// All tiles of one group's row.
template <size_t STRIDE>
inline void userRow(const Batch& batch, const TrainStep& step, const RowUpdate& update, const RowStep& own, size_t group) {
  const size_t stride = STRIDE > 0 ? STRIDE : update.stride;
  size_t at = 0;
  for (; at + TILE <= stride; at += TILE) userTile<STRIDE, TILE / WIDE_LANES>(batch, step, update, own, group, at);
  for (; at < stride; at += ROW_FLOATS) userTile<STRIDE, ROW_FLOATS / WIDE_LANES>(batch, step, update, own, group, at);
}

template <size_t STRIDE>
inline void itemRow(const Batch& batch, const TrainStep& step, const RowUpdate& update, const RowStep& own, size_t group) {
  const size_t stride = STRIDE > 0 ? STRIDE : update.stride;
  size_t at = 0;
  for (; at + TILE <= stride; at += TILE) itemTile<STRIDE, TILE / WIDE_LANES>(batch, step, update, own, group, at);
  for (; at < stride; at += ROW_FLOATS) itemTile<STRIDE, ROW_FLOATS / WIDE_LANES>(batch, step, update, own, group, at);
}

template <size_t STRIDE>
void userGroupsOf(const Batch& batch, const TrainStep& step, const RowUpdate& update, size_t from, size_t to) {
  const size_t stride = STRIDE > 0 ? STRIDE : update.stride;
  for (size_t group = from; group < to && update.kind == ADAM; group++) {
    prefetchRow(update.moments + 2 * stride * batch.samples[batch.userStarts[group]].user, 2 * stride);
  }
  const size_t begin = batch.userStarts[from], end = batch.userStarts[to];
  differences<STRIDE>(batch.samples, step.embeddings, stride, begin, end, batch.count, step.losses);
  slopes(end - begin, step.scale, step.losses + begin, step.weights + begin);
  for (size_t group = from; group < to; group++) {
    const size_t row = batch.samples[batch.userStarts[group]].user, count = batch.userStarts[group + 1] - batch.userStarts[group];
    userRow<STRIDE>(batch, step, update, rowStep(update, row, count), group);
    if (update.kind == KEEP_GRADIENT) update.occurrences[row] = (uint32_t)count;
  }
}

template <size_t STRIDE>
void itemGroupsOf(const Batch& batch, const TrainStep& step, const RowUpdate& update, size_t from, size_t to) {
  const size_t stride = STRIDE > 0 ? STRIDE : update.stride;
  for (size_t group = from; group < to; group++) {
    const size_t row = batch.itemRows[group], count = batch.itemStarts[group + 1] - batch.itemStarts[group];
    if (group + 2 < to) {
      const size_t soon = batch.itemRows[group + 2];
      prefetchRow((update.kind == KEEP_GRADIENT ? update.gradient : update.parameters) + soon * stride, stride);
      if (update.kind == ADAM) prefetchRow(update.moments + 2 * soon * stride, 2 * stride);
    }
    itemRow<STRIDE>(batch, step, update, rowStep(update, row, count), group);
    if (update.kind == KEEP_GRADIENT) update.occurrences[row] = (uint32_t)count;
  }
}

}  // namespace

// 64 columns, the usual number, are compiled with that number.
void userGroups(const Batch* batch, const TrainStep* step, const RowUpdate* update, size_t from, size_t to) {
  if (update->stride == 64) userGroupsOf<64>(*batch, *step, *update, from, to);
  else userGroupsOf<0>(*batch, *step, *update, from, to);
}

void itemGroups(const Batch* batch, const TrainStep* step, const RowUpdate* update, size_t from, size_t to) {
  if (update->stride == 64) itemGroupsOf<64>(*batch, *step, *update, from, to);
  else itemGroupsOf<0>(*batch, *step, *update, from, to);
}

void hogwildSamples(const Sample* samples, size_t count, float* parameters, size_t stride, double scale, float decay, double* losses) {
  if (stride == 64) hogwildSamplesOf<64>(samples, count, parameters, stride, scale, decay, losses);
  else hogwildSamplesOf<0>(samples, count, parameters, stride, scale, decay, losses);
}

void idleRows(const RowUpdate* update, size_t from, size_t to) {
  const size_t stride = update->stride;
  for (size_t row = from; row < to; row++) {
    const uint32_t idle = update->touched[row] != 0 ? (uint32_t)__builtin_ctzll(update->touched[row]) : update->steps;
    if (idle == 0) continue;
    const float rate = update->rates[idle], keepFirst = update->keepFirst[idle], keepSecond = update->keepSecond[idle];
    float* parameters = update->parameters + row * stride;
    float *first = update->moments + 2 * row * stride, *second = first + stride;
    for (size_t at = 0; at < stride; at += WIDE_LANES) {
      const WideFloats m = loadFloats(first + at), v = loadFloats(second + at);
      storeFloats(parameters + at, loadFloats(parameters + at) - rate * adamDirection(m, v));
      storeFloats(first + at, keepFirst * m);
      storeFloats(second + at, keepSecond * v);
    }
  }
}

void moveRows(const RowUpdate* update, const float* gradient, size_t from, size_t to) {
  const size_t stride = update->stride;
  for (size_t row = from; row < to; row++) {
    const size_t count = update->occurrences[row];
    const RowStep step = rowStep(*update, row, count);
    const float* h = gradient + row * stride;
    float* parameters = update->parameters + row * stride;
    if (update->kind == ADAM) {
      float *first = update->moments + 2 * row * stride, *second = first + stride;
      if (count > 0) for (size_t at = 0; at < stride; at += WIDE_LANES) adamVector<true>(step, loadFloats(h + at), parameters + at, first + at, second + at);
      else for (size_t at = 0; at < stride; at += WIDE_LANES) adamVector<false>(step, loadFloats(h + at), parameters + at, first + at, second + at);
    } else {
      if (count > 0) for (size_t at = 0; at < stride; at += WIDE_LANES) sgdVector<true>(step, loadFloats(h + at), parameters + at);
      else for (size_t at = 0; at < stride; at += WIDE_LANES) sgdVector<false>(step, loadFloats(h + at), parameters + at);
    }
    if (count == 0) continue;
    update->occurrences[row] = 0;
    memset(update->gradient + row * stride, 0, stride * sizeof(float));
  }
}

double sumOfLosses(const double* losses, size_t count) {
  EightDoubles sums = {};
  size_t at = 0;
  for (; at + 8 <= count; at += 8) {
    EightDoubles some;
    memcpy(&some, losses + at, sizeof some);
    sums = sums + some;
  }
  EightDoubles rest = {};
  for (size_t lane = 0; at + lane < count; lane++) rest[lane] = losses[at + lane];
  return sumOf(sums + rest);
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
