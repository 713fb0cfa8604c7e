// The candidate passes of scoreTopK: packing and the two micro-kernels, 8 users against a panel of three vectors of items. Neither
// keeps an order of operations; score.h states the bound that makes them safe.
#include "block_functions.h"
#include "score_vectors.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

// Users of one micro-kernel: as many sums as the registers hold (32 with AVX-512 and NEON, else 16).
#if defined(__AVX512F__) || defined(__aarch64__)
#define CRAGRU_EACH_USER(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define CRAGRU_AND_USERS and3(and3(n0, n1, n2), and3(n3, n4, n5), n6 & n7)
enum { TILE_USERS = 8 };
#else
#define CRAGRU_EACH_USER(X) X(0) X(1) X(2) X(3)
#define CRAGRU_AND_USERS and3(n0, n1, n2) & n3
enum { TILE_USERS = 4 };
#endif

// A base is at most this much more than |u| |v|, so that below the lowest score there is room for its rounding.
static const double BEYOND = 1 + 0x1p-4;
// Rounding of d products, their sums and a base, each by at most 2^-24 of |base| + |u| |v|, to which the last terms of the bound
// (base and value added again, the score's own rounding) come.
static double floatRounding(size_t dimension) { return ((double)dimension * BEYOND + 16) * 0x1p-22; }
static const double INTEGER_ROUNDING = 0x1p-20;
// Room for the roundings of the bound itself.
static const double MARGIN = 1 + 0x1p-10;

static double normOf(const float* row, size_t dimension) { return __builtin_sqrt(dotRows(row, row, dimension)) * (1 + 0x1p-30); }

// What a value must reach for its score to reach the threshold.
static inline void thresholdOf(const ScoreGroup* group, const ScorePanels* facts, size_t panel, const float* thresholds, double* cuts) {
  for (size_t u = 0; u < SCORE_GROUP; u++) {
    cuts[u] = thresholds[u] - (group->reach[u] * facts->spread[panel] + group->error[u] * facts->norm[panel] + SCORE_TINY);
  }
}

size_t floatUserBytes(size_t dimension) { return dimension * SCORE_GROUP * sizeof(float); }
size_t floatPanelBytes(size_t dimension) { return dimension * PANEL_ITEMS * sizeof(float); }

void packFloatUsers(const float* rows, size_t count, size_t dimension, void* packed, ScoreGroup* facts) {
  float* to = (float*)packed;
  for (size_t u = 0; u < SCORE_GROUP; u++) {
    const float* row = rows + u * dimension;
    for (size_t d = 0; d < dimension; d++) to[d * SCORE_GROUP + u] = u < count ? row[d] : 0;
    facts->reach[u] = u < count ? normOf(row, dimension) : 0;
    facts->error[u] = 0;
    facts->step[u] = facts->inverse[u] = 1;
  }
}

typedef float Four __attribute__((vector_size(16)));

void packFloatPanel(const float* rows, size_t count, size_t dimension, void* packed, const ScorePanels* facts, size_t panel) {
  double norm = 0;
  for (size_t item = 0; item < PANEL_ITEMS; item += 4) {
    static const float zeros[4] = {};
    const float* row[4];
    for (size_t i = 0; i < 4; i++) {
      row[i] = item + i < count ? rows + (item + i) * dimension : zeros;
      const double own = item + i < count ? normOf(row[i], dimension) : 0;
      if (own > norm) norm = own;
    }
    float* to = (float*)packed + item;
    size_t d = 0;
    for (; d + 4 <= dimension; d += 4) {
      Four a[4];
      for (size_t i = 0; i < 4; i++) memcpy(&a[i], item + i < count ? row[i] + d : zeros, sizeof a[i]);
      const Four ab = __builtin_shufflevector(a[0], a[1], 0, 4, 1, 5), cd = __builtin_shufflevector(a[2], a[3], 0, 4, 1, 5);
      const Four ef = __builtin_shufflevector(a[0], a[1], 2, 6, 3, 7), gh = __builtin_shufflevector(a[2], a[3], 2, 6, 3, 7);
      const Four columns[4] = {__builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
                               __builtin_shufflevector(ef, gh, 0, 1, 4, 5), __builtin_shufflevector(ef, gh, 2, 3, 6, 7)};
      for (size_t i = 0; i < 4; i++) memcpy(to + (d + i) * PANEL_ITEMS, &columns[i], sizeof columns[i]);
    }
    for (; d < dimension; d++) {
      for (size_t i = 0; i < 4; i++) to[d * PANEL_ITEMS + i] = item + i < count ? row[i][d] : 0;
    }
  }
  facts->norm[panel] = norm;
  facts->spread[panel] = norm * floatRounding(dimension);
  facts->step[panel] = facts->inverse[panel] = 1;
}

// Not inlined into anything, sums by name: gcc 12 spills them otherwise.
__attribute__((noinline)) static uint32_t multiplyFloats(const float* users, const float* panel, size_t dimension, const float* bases, float* values, size_t stride, int always) {
#define CRAGRU_START(u) WideFloats s##u##a = everyFloat(0.0f - bases[u]), s##u##b = s##u##a, s##u##c = s##u##a;
  CRAGRU_EACH_USER(CRAGRU_START)
#undef CRAGRU_START
  for (size_t d = 0; d < dimension; d++) {
    const WideFloats a = loadFloats(panel), b = loadFloats(panel + WIDE_LANES), c = loadFloats(panel + 2 * WIDE_LANES);
#define CRAGRU_STEP(u)                            \
  {                                               \
    const WideFloats user = everyFloat(users[u]); \
    s##u##a = nearProduct(user, a, s##u##a);      \
    s##u##b = nearProduct(user, b, s##u##b);      \
    s##u##c = nearProduct(user, c, s##u##c);      \
  }
    CRAGRU_EACH_USER(CRAGRU_STEP)
#undef CRAGRU_STEP
    users += SCORE_GROUP;
    panel += PANEL_ITEMS;
  }
#define CRAGRU_SIGNS(u) const WideInts n##u = and3((WideInts)s##u##a, (WideInts)s##u##b, (WideInts)s##u##c);
  CRAGRU_EACH_USER(CRAGRU_SIGNS)
#undef CRAGRU_SIGNS
  uint32_t found = 0;
  if (!always) {
    if (allNegative(CRAGRU_AND_USERS)) return 0;
#define CRAGRU_FOUND(u) found |= (uint32_t)!allNegative(n##u) << u;
    CRAGRU_EACH_USER(CRAGRU_FOUND)
#undef CRAGRU_FOUND
  }
#define CRAGRU_STORE(u)                                          \
  storeFloats(values + u * stride, s##u##a);                \
  storeFloats(values + u * stride + WIDE_LANES, s##u##b);   \
  storeFloats(values + u * stride + 2 * WIDE_LANES, s##u##c);
  CRAGRU_EACH_USER(CRAGRU_STORE)
#undef CRAGRU_STORE
  return found;
}

uint32_t floatTile(const void* users, const ScoreGroup* group, const void* packed, const ScorePanels* facts, size_t panel, size_t dimension,
                   const float* thresholds, void* values, size_t stride, void* bases) {
  float* base = (float*)bases;
  if (thresholds) {
    double cuts[SCORE_GROUP];
    thresholdOf(group, facts, panel, thresholds, cuts);
    for (size_t u = 0; u < SCORE_GROUP; u++) {
      const double most = group->reach[u] * facts->norm[panel] * BEYOND + SCORE_TINY;
      base[u] = (float)(cuts[u] > most ? most : cuts[u] < -most ? -most : cuts[u]);
    }
  } else {
    for (size_t u = 0; u < SCORE_GROUP; u++) base[u] = 0;
  }
  uint32_t found = 0;
  for (size_t u = 0; u < SCORE_GROUP; u += TILE_USERS) {
    found |= multiplyFloats((const float*)users + u, (const float*)packed, dimension, base + u, (float*)values + u * stride, stride, !thresholds) << u;
  }
  return found;
}

#if defined(__AVX512VNNI__)
// Largest magnitude of an operand: users are stored as 128 + q in bytes, items as q.
enum { MOST = 127 };

size_t integerUserBytes(size_t dimension) { return (dimension + 3) / 4 * SCORE_GROUP * 4; }
// What 128 costs in each item's sum stands before the values.
size_t integerPanelBytes(size_t dimension) { return PANEL_ITEMS * sizeof(int32_t) + (dimension + 3) / 4 * PANEL_ITEMS * 4; }

static double largestOf(const float* values, size_t count) {
  __m512 most = _mm512_setzero_ps();
  size_t at = 0;
  for (; at + 16 <= count; at += 16) most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_loadu_ps(values + at)));
  const __mmask16 rest = (__mmask16)((1u << (count - at)) - 1);
  return _mm512_reduce_max_ps(_mm512_max_ps(most, _mm512_abs_ps(_mm512_maskz_loadu_ps(rest, values + at))));
}

// Numbers too small for a float step become zeros; the bound then holds their whole norm. The inverse of a step of 0 is large, so
// that a threshold above 0 rejects the zeros.
static float stepOf(double largest, double* step, double* inverse) {
  *step = largest > 0x1p-100 ? (double)(float)(largest / MOST) : 0;
  *inverse = *step > 0 ? 1 / *step : 0x1p400;
  return *step > 0 ? (float)*inverse : 0;
}

// Rounds a row to integers; returns the norm of what is lost.
static double quantise(const float* row, size_t dimension, float step, float inverse, int8_t* to) {
  __m512d lost0 = _mm512_setzero_pd(), lost1 = lost0;
  for (size_t at = 0; at < dimension; at += 16) {
    const __mmask16 lanes = dimension - at >= 16 ? 0xffff : (__mmask16)((1u << (dimension - at)) - 1);
    const __m512 value = _mm512_maskz_loadu_ps(lanes, row + at);
    // The largest value may round to one more than MOST.
    const __m512i q = _mm512_min_epi32(_mm512_max_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(value, _mm512_set1_ps(inverse))), _mm512_set1_epi32(-MOST)), _mm512_set1_epi32(MOST));
    _mm_mask_storeu_epi8(to + at, lanes, _mm512_cvtepi32_epi8(q));
    const __m512 loss = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(q), _mm512_set1_ps(step), value);
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(loss)), high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(loss, 1));
    lost0 = _mm512_fmadd_pd(low, low, lost0);
    lost1 = _mm512_fmadd_pd(high, high, lost1);
  }
  return __builtin_sqrt(_mm512_reduce_add_pd(_mm512_add_pd(lost0, lost1))) * (1 + 0x1p-20);
}

void packIntegerUsers(const float* rows, size_t count, size_t dimension, void* packed, ScoreGroup* facts) {
  memset(packed, 128, integerUserBytes(dimension));
  for (size_t u = 0; u < SCORE_GROUP; u++) {
    uint8_t* to = (uint8_t*)packed + 4 * u;
    const float* row = rows + u * dimension;
    const float inverse = stepOf(u < count ? largestOf(row, dimension) : 0, &facts->step[u], &facts->inverse[u]);
    const double norm = u < count ? normOf(row, dimension) : 0;
    double lost = 0;
    for (size_t from = 0; u < count && from < dimension; from += 256) {
      int8_t part[256] = {};
      const size_t size = dimension - from < 256 ? dimension - from : 256;
      const double own = quantise(row + from, size, (float)facts->step[u], inverse, part);
      lost += own * own;
      for (size_t d = 0; d < size; d += 4) {
        uint32_t four;
        memcpy(&four, part + d, 4);
        four ^= 0x80808080u;
        memcpy(to + (from + d) * SCORE_GROUP, &four, 4);
      }
    }
    facts->error[u] = __builtin_sqrt(lost) * MARGIN;
    facts->reach[u] = norm + facts->error[u];
  }
}

void packIntegerPanel(const float* rows, size_t count, size_t dimension, void* packed, const ScorePanels* facts, size_t panel) {
  int32_t* corrections = (int32_t*)packed;
  uint8_t* to = (uint8_t*)packed + PANEL_ITEMS * sizeof(int32_t);
  const float inverse = stepOf(largestOf(rows, count * dimension), &facts->step[panel], &facts->inverse[panel]);
  double norm = 0, error = 0;
  if (count < PANEL_ITEMS) memset(packed, 0, integerPanelBytes(dimension));
  for (size_t item = 0; item < count; item++) {
    const float* row = rows + item * dimension;
    double lost = 0;
    __m512i sum = _mm512_setzero_si512();
    for (size_t from = 0; from < dimension; from += 256) {
      int8_t part[256] = {};
      const size_t size = dimension - from < 256 ? dimension - from : 256;
      const double own = quantise(row + from, size, (float)facts->step[panel], inverse, part);
      lost += own * own;
      for (size_t d = 0; d < size; d += 64) sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), _mm512_loadu_si512(part + d));
      for (size_t d = 0; d < size; d += 4) memcpy(to + ((from + d) * PANEL_ITEMS + 4 * item), part + d, 4);
    }
    corrections[item] = -128 * _mm512_reduce_add_epi32(sum);
    lost = __builtin_sqrt(lost);
    const double own = normOf(row, dimension);
    if (own > norm) norm = own;
    if (lost > error) error = lost;
  }
  error *= MARGIN;
  facts->norm[panel] = norm * MARGIN;
  facts->spread[panel] = error * MARGIN + INTEGER_ROUNDING * (norm + error);
}

// By hand: gcc 12 gives the intrinsic's result another register than its sum, and then runs out of registers.
static inline void addQuads(__m512i* sum, __m512i users, __m512i items) { __asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(users), "v"(items)); }

__attribute__((noinline)) static uint32_t multiplyIntegers(const uint8_t* users, const uint8_t* panel, size_t steps, const int32_t* bases, int32_t* values, size_t stride, int always) {
  const __m512i* items = (const __m512i*)panel;
  const __m512i a0 = _mm512_loadu_si512(items), b0 = _mm512_loadu_si512(items + 1), c0 = _mm512_loadu_si512(items + 2);
#define CRAGRU_START(u)                                                                                                      \
  __m512i s##u##a = _mm512_sub_epi32(a0, _mm512_set1_epi32(bases[u])), s##u##b = _mm512_sub_epi32(b0, _mm512_set1_epi32(bases[u])), \
          s##u##c = _mm512_sub_epi32(c0, _mm512_set1_epi32(bases[u]));
  CRAGRU_EACH_USER(CRAGRU_START)
#undef CRAGRU_START
  for (size_t step = 0; step < steps; step++) {
    items += 3;
    const __m512i a = _mm512_loadu_si512(items), b = _mm512_loadu_si512(items + 1), c = _mm512_loadu_si512(items + 2);
#define CRAGRU_STEP(u)                                                        \
  {                                                                           \
    int32_t four;                                                             \
    memcpy(&four, users + 4 * u, 4);                                          \
    const __m512i user = _mm512_set1_epi32(four);                             \
    addQuads(&s##u##a, user, a);                                              \
    addQuads(&s##u##b, user, b);                                              \
    addQuads(&s##u##c, user, c);                                              \
  }
    CRAGRU_EACH_USER(CRAGRU_STEP)
#undef CRAGRU_STEP
    users += 4 * SCORE_GROUP;
  }
#define CRAGRU_SIGNS(u) const WideInts n##u = and3((WideInts)s##u##a, (WideInts)s##u##b, (WideInts)s##u##c);
  CRAGRU_EACH_USER(CRAGRU_SIGNS)
#undef CRAGRU_SIGNS
  uint32_t found = 0;
  if (!always) {
    if (allNegative(CRAGRU_AND_USERS)) return 0;
#define CRAGRU_FOUND(u) found |= (uint32_t)!allNegative(n##u) << u;
    CRAGRU_EACH_USER(CRAGRU_FOUND)
#undef CRAGRU_FOUND
  }
#define CRAGRU_STORE(u)                                      \
  _mm512_storeu_si512(values + u * stride, s##u##a);      \
  _mm512_storeu_si512(values + u * stride + 16, s##u##b); \
  _mm512_storeu_si512(values + u * stride + 32, s##u##c);
  CRAGRU_EACH_USER(CRAGRU_STORE)
#undef CRAGRU_STORE
  return found;
}

uint32_t integerTile(const void* users, const ScoreGroup* group, const void* packed, const ScorePanels* facts, size_t panel, size_t dimension,
                     const float* thresholds, void* values, size_t stride, void* bases) {
  int32_t* base = (int32_t*)bases;
  if (thresholds) {
    double cuts[SCORE_GROUP];
    thresholdOf(group, facts, panel, thresholds, cuts);
    const double most = (double)(MOST * MOST) * (double)dimension;
    for (size_t u = 0; u < SCORE_GROUP; u++) {
      const double cut = cuts[u] * (group->inverse[u] * facts->inverse[panel]);
      base[u] = (int32_t)(cut > most ? most + 2 : cut < -most ? -most : cut) - 2;
    }
  } else {
    for (size_t u = 0; u < SCORE_GROUP; u++) base[u] = 0;
  }
  return multiplyIntegers((const uint8_t*)users, (const uint8_t*)packed, (dimension + 3) / 4, base, (int32_t*)values, stride, !thresholds);
}
#endif

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
