// Selection for scoreTopK: thresholds, candidates and the final order, without heaps and without a branch an item.
#include "block_functions.h"
#include "score_vectors.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

static const float LOWEST = -__builtin_inff();

#if defined(__AVX512F__)

// A vector of values; *open says which of them are not hidden (of floats, NaN fails the comparisons by itself).
template <bool INTEGER>
static inline __m512 valuesAt(const float* values, __m512 scale, __mmask16* open) {
  *open = 0xffff;
  if (!INTEGER) return _mm512_loadu_ps(values);
  const __m512i raw = _mm512_loadu_si512(values);
  *open = _mm512_cmpneq_epi32_mask(raw, _mm512_set1_epi32((int)0x80000000u));
  return _mm512_mul_ps(_mm512_cvtepi32_ps(raw), scale);
}

template <bool INTEGER>
static inline void fold(const float* values, size_t panels, const float* errors, const float* scales, size_t folds, float* maxima) {
  for (size_t first = 0; first < folds; first++) {
    __m512 a = _mm512_set1_ps(LOWEST), b = a, c = a;
    for (size_t panel = first; panel < panels; panel += folds) {
      const float* from = values + panel * PANEL_ITEMS;
      const __m512 error = _mm512_set1_ps(errors[panel]), scale = _mm512_set1_ps(scales[panel]);
      __mmask16 open;
      __m512 own = valuesAt<INTEGER>(from, scale, &open);
      // The second operand wins against NaN.
      a = _mm512_mask_max_ps(a, open, _mm512_sub_ps(own, error), a);
      own = valuesAt<INTEGER>(from + 16, scale, &open);
      b = _mm512_mask_max_ps(b, open, _mm512_sub_ps(own, error), b);
      own = valuesAt<INTEGER>(from + 32, scale, &open);
      c = _mm512_mask_max_ps(c, open, _mm512_sub_ps(own, error), c);
    }
    _mm512_storeu_ps(maxima + first * PANEL_ITEMS, a);
    _mm512_storeu_ps(maxima + first * PANEL_ITEMS + 16, b);
    _mm512_storeu_ps(maxima + first * PANEL_ITEMS + 32, c);
  }
}

// What the values of each panel must reach, rounded down. Integers stay between -CUT_LIMIT and CUT_LIMIT, which no value of
// 65536 dimensions passes, so that a hidden one is below all and base and cut may be added.
enum { TAKE_PANELS = 128, CUT_LIMIT = 0x3ff80000 };
template <bool INTEGER>
static inline void cutPanels(const void* base, size_t panels, const float* errors, const float* scales, float threshold, int32_t* cuts) {
  const __m512 least = _mm512_set1_ps(threshold);
  for (size_t panel = 0; panel < panels; panel += 16) {
    const __mmask16 present = panels - panel >= 16 ? 0xffff : (__mmask16)((1u << (panels - panel)) - 1);
    const __m512 error = _mm512_maskz_loadu_ps(present, errors + panel);
    __m512 cut = _mm512_sub_ps(least, error);
    if (INTEGER) {
      cut = _mm512_div_ps(cut, _mm512_maskz_loadu_ps(present, scales + panel));
      cut = _mm512_fnmadd_ps(_mm512_abs_ps(cut), _mm512_set1_ps(0x1p-20f), _mm512_sub_ps(cut, _mm512_set1_ps(2)));
      // The second operand wins against NaN: 0 / 0 lets all pass.
      cut = _mm512_min_ps(_mm512_max_ps(cut, _mm512_set1_ps(-CUT_LIMIT)), _mm512_set1_ps(CUT_LIMIT));
      const __m512i taken = base ? _mm512_set1_epi32(*(const int32_t*)base) : _mm512_setzero_si512();
      _mm512_storeu_si512(cuts + panel, _mm512_sub_epi32(_mm512_cvttps_epi32(cut), taken));
    } else {
      const __m512 size = _mm512_add_ps(_mm512_add_ps(_mm512_abs_ps(least), error), _mm512_set1_ps(base ? __builtin_fabsf(*(const float*)base) : 0));
      // A threshold of -Infinity lets all pass, which its own size would not.
      cut = _mm512_fnmadd_ps(_mm512_min_ps(size, _mm512_set1_ps(0x1p125f)), _mm512_set1_ps(0x1p-20f), cut);
      if (base) cut = _mm512_sub_ps(cut, _mm512_set1_ps(*(const float*)base));
      _mm512_storeu_ps(cuts + panel, cut);
    }
  }
}

// First the positions, without a branch: whether a vector holds a candidate is a coin toss. Bounds are made afterwards.
template <bool INTEGER>
static inline size_t take(const float* values, const void* base, size_t panels, const float* errors, const float* scales, float threshold,
                          uint32_t firstItem, const ScoreCandidates* to, size_t* count, size_t room) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  // Without a base 0, or -0 where floats are added: -0 + -0 is -0.
  const __m512i taken = _mm512_set1_epi32(base ? *(const int32_t*)base : INTEGER ? 0 : (int32_t)0x80000000u);
  int32_t cuts[TAKE_PANELS];
  uint32_t* items = to->items;
  size_t at = *count, panel = 0;
  if (panels > TAKE_PANELS) panels = TAKE_PANELS;
  cutPanels<INTEGER>(base, panels, errors, scales, threshold, cuts);
  for (; panel < panels && at + PANEL_ITEMS <= room; panel++) {
    const __m512i cut = _mm512_set1_epi32(cuts[panel]);
    for (int v = 0; v < PANEL_VECTORS; v++) {
      const size_t position = panel * PANEL_ITEMS + v * 16;
      const __mmask16 bits = INTEGER ? _mm512_cmpge_epi32_mask(_mm512_loadu_si512(values + position), cut)
                                     : _mm512_cmp_ps_mask(_mm512_loadu_ps(values + position), _mm512_castsi512_ps(cut), _CMP_GE_OQ);
      _mm512_storeu_si512(items + at, _mm512_maskz_compress_epi32(bits, _mm512_add_epi32(_mm512_set1_epi32((int)position), lanes)));
      at += (size_t)__builtin_popcount(bits);
    }
  }
  for (size_t next = *count; next < at; next += 16) {
    const __mmask16 present = at - next >= 16 ? 0xffff : (__mmask16)((1u << (at - next)) - 1);
    const __m512i positions = _mm512_maskz_loadu_epi32(present, items + next);
    // Division by PANEL_ITEMS; exact below 2^17.
    const __m512i panelOf = _mm512_srli_epi32(_mm512_mullo_epi32(positions, _mm512_set1_epi32(43691)), 21);
    const __m512i raw = _mm512_i32gather_epi32(positions, values, 4);
    const __m512 error = _mm512_i32gather_ps(panelOf, errors, 4);
    const __m512 own = INTEGER ? _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(raw, taken)), _mm512_i32gather_ps(panelOf, scales, 4))
                               : _mm512_add_ps(_mm512_castsi512_ps(raw), _mm512_castsi512_ps(taken));
    _mm512_storeu_ps(to->low + next, _mm512_sub_ps(own, error));
    _mm512_storeu_ps(to->high + next, _mm512_add_ps(own, error));
    _mm512_storeu_si512(items + next, _mm512_add_epi32(positions, _mm512_set1_epi32((int)firstItem)));
  }
  *count = at;
  return panel;
}

void floatFold(const void* values, size_t panels, const float* errors, const float* scales, size_t folds, float* maxima) {
  fold<false>((const float*)values, panels, errors, scales, folds, maxima);
}

size_t floatTake(const void* values, const void* base, size_t panels, const float* errors, const float* scales, float threshold,
                 uint32_t firstItem, const ScoreCandidates* to, size_t* count, size_t room) {
  return take<false>((const float*)values, base, panels, errors, scales, threshold, firstItem, to, count, room);
}

#if defined(__AVX512VNNI__)
void integerFold(const void* values, size_t panels, const float* errors, const float* scales, size_t folds, float* maxima) {
  fold<true>((const float*)values, panels, errors, scales, folds, maxima);
}

size_t integerTake(const void* values, const void* base, size_t panels, const float* errors, const float* scales, float threshold,
                   uint32_t firstItem, const ScoreCandidates* to, size_t* count, size_t room) {
  return take<true>((const float*)values, base, panels, errors, scales, threshold, firstItem, to, count, room);
}
#endif

#else

void floatFold(const void* values, size_t panels, const float* errors, const float*, size_t folds, float* maxima) {
  for (size_t first = 0; first < folds; first++) {
    WideFloats most[PANEL_VECTORS];
    for (int v = 0; v < PANEL_VECTORS; v++) most[v] = everyFloat(LOWEST);
    for (size_t panel = first; panel < panels; panel += folds) {
      for (int v = 0; v < PANEL_VECTORS; v++) {
        // The second operand wins against NaN.
        most[v] = larger(loadFloats((const float*)values + panel * PANEL_ITEMS + v * WIDE_LANES) - everyFloat(errors[panel]), most[v]);
      }
    }
    for (int v = 0; v < PANEL_VECTORS; v++) storeFloats(maxima + first * PANEL_ITEMS + v * WIDE_LANES, most[v]);
  }
}

size_t floatTake(const void* values, const void* base, size_t panels, const float* errors, const float*, float threshold, uint32_t firstItem,
                 const ScoreCandidates* to, size_t* count, size_t room) {
  const float taken = base ? *(const float*)base : -0.0f;  // -0 + -0 is -0
  size_t at = *count, panel = 0;
  for (; panel < panels && at + PANEL_ITEMS <= room; panel++) {
    const float error = errors[panel];
    for (int v = 0; v < PANEL_VECTORS; v++) {
      const size_t position = panel * PANEL_ITEMS + v * WIDE_LANES;
      const WideFloats own = loadFloats((const float*)values + position) + everyFloat(taken);
      for (uint32_t bits = reaches(own + everyFloat(error), everyFloat(threshold)); bits; bits &= bits - 1) {
        const int lane = __builtin_ctz(bits);
        to->low[at] = own[lane] - error;
        to->high[at] = own[lane] + error;
        to->items[at++] = firstItem + (uint32_t)position + (uint32_t)lane;
      }
    }
  }
  *count = at;
  return panel;
}

#endif

void boundPanels(const ScoreGroup* group, size_t user, const ScorePanels* facts, size_t from, size_t panels, float* errors, float* scales) {
  const double reach = group->reach[user], error = group->error[user], step = group->step[user];
  for (size_t panel = 0; panel < panels; panel++) {
    errors[panel] = (float)((reach * facts->spread[from + panel] + error * facts->norm[from + panel] + SCORE_TINY) * (1 + 0x1p-20));
    scales[panel] = (float)(step * facts->step[from + panel]);
  }
}

// Floats in their order as integers; -0 stands below 0, which only lowers a threshold.
static inline int32_t orderOf(float value) {
  int32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits ^ (bits >> 31 & 0x7fffffff);
}

static inline float valueOf(int32_t order) {
  const int32_t bits = order ^ (order >> 31 & 0x7fffffff);
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static size_t countReaching(const float* values, size_t count, float threshold) {
  const WideFloats least = everyFloat(threshold);
  size_t found = 0, at = 0;
  for (; at + WIDE_LANES <= count; at += WIDE_LANES) found += (size_t)__builtin_popcount(reaches(loadFloats(values + at), least));
  for (; at < count; at++) found += values[at] >= threshold;
  return found;
}

// A number that falls about as the logarithm of a count rises.
static inline float logOf(float value) {
  int32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return (float)bits;
}

// The logarithm of how many values reach a number falls about linearly, so the first rounds interpolate; the others halve what is
// left in the order of floats: at most 40 rounds whatever the values are.
float kthLargest(const float* values, size_t count, size_t k, size_t slack) {
  float least = values[0], most = values[0];
  size_t at = 0;
  if (count >= WIDE_LANES) {
    WideFloats leasts = loadFloats(values), mosts = leasts;
    for (; at + WIDE_LANES <= count; at += WIDE_LANES) {
      const WideFloats own = loadFloats(values + at);
      mosts = larger(mosts, own);
      leasts = smaller(leasts, own);
    }
#if defined(__AVX512F__)
    least = _mm512_reduce_min_ps(leasts);
    most = _mm512_reduce_max_ps(mosts);
#else
    for (int lane = 0; lane < WIDE_LANES; lane++) {
      if (leasts[lane] < least) least = leasts[lane];
      if (mosts[lane] > most) most = mosts[lane];
    }
#endif
  }
  for (; at < count; at++) {
    if (values[at] < least) least = values[at];
    if (values[at] > most) most = values[at];
  }
  // `reached` values, at least k, reach low; fewer than k, `missed`, reach high.
  int64_t low = orderOf(least), high = (int64_t)orderOf(most) + 1;
  size_t reached = count, missed = 0;
  const float aim = logOf((float)k + 0.5f * (float)slack);
  // Where low was before it moved last; the line goes through both then, else from low to high.
  float before = 0, beforeLog = 0;
  int rose = 0;
  for (int round = 0; high - low > 1 && reached > k + slack; round++) {
    int64_t middle = low + (high - low) / 2;
    const float from = valueOf((int32_t)low), fromLog = logOf((float)reached);
    if (round < 8) {
      const float other = rose ? before : valueOf((int32_t)(high - 1)), otherLog = rose ? beforeLog : logOf((float)missed + 0.5f);
      const float guess = from + (other - from) * ((fromLog - aim) / (fromLog - otherLog));
      if (guess > from && guess < valueOf((int32_t)(high - 1))) middle = orderOf(guess);
    }
    const size_t reaching = countReaching(values, count, valueOf((int32_t)middle));
    rose = reaching >= k;
    if (rose) {
      before = from;
      beforeLog = fromLog;
      low = middle;
      reached = reaching;
    } else {
      high = middle;
      missed = reaching;
    }
  }
  return valueOf((int32_t)low);
}

size_t keepReaching(const ScoreCandidates* list, size_t count, float threshold) {
  size_t kept = 0, at = 0;
  const WideFloats least = everyFloat(threshold);
  for (; at + WIDE_LANES <= count; at += WIDE_LANES) {
    const WideFloats low = loadFloats(list->low + at), high = loadFloats(list->high + at);
    const WideInts items = loadInts(list->items + at);
    const uint32_t bits = reaches(high, least);
    storeChosen(bits, low, list->low + kept);
    storeChosen(bits, high, list->high + kept);
    storeChosenInts(bits, items, list->items + kept);
    kept += (size_t)__builtin_popcount(bits);
  }
  for (; at < count; at++) {
    if (!(list->high[at] >= threshold)) continue;
    list->low[kept] = list->low[at];
    list->high[kept] = list->high[at];
    list->items[kept++] = list->items[at];
  }
  return kept;
}

size_t pickOpen(const ScoreCandidates* list, size_t count, float least, uint32_t* positions, uint32_t* items) {
  size_t picked = 0, at = 0;
#if defined(__AVX512F__)
  __m512i position = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (; at + 16 <= count; at += 16, position = _mm512_add_epi32(position, _mm512_set1_epi32(16))) {
    const __m512 low = _mm512_loadu_ps(list->low + at);
    const __mmask16 bits = _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(low, _mm512_loadu_ps(list->high + at), _CMP_NEQ_UQ), low, _mm512_set1_ps(least), _CMP_GE_OQ);
    _mm512_storeu_si512(positions + picked, _mm512_maskz_compress_epi32(bits, position));
    _mm512_storeu_si512(items + picked, _mm512_maskz_compress_epi32(bits, _mm512_loadu_si512(list->items + at)));
    picked += (size_t)__builtin_popcount(bits);
  }
#endif
  for (; at < count; at++) {
    positions[picked] = (uint32_t)at;
    items[picked] = list->items[at];
    picked += (size_t)((list->low[at] >= least) & (list->low[at] != list->high[at]));
  }
  return picked;
}

float leastSettled(const ScoreCandidates* list, size_t count) {
  float least = -LOWEST;
  size_t at = 0;
#if defined(__AVX512F__)
  __m512 leasts = _mm512_set1_ps(least);
  for (; at + 16 <= count; at += 16) {
    const __m512 low = _mm512_loadu_ps(list->low + at);
    leasts = _mm512_mask_min_ps(leasts, _mm512_cmp_ps_mask(low, _mm512_loadu_ps(list->high + at), _CMP_EQ_OQ), leasts, low);
  }
  least = _mm512_reduce_min_ps(leasts);
#endif
  for (; at < count; at++) {
    const float own = list->low[at] == list->high[at] ? list->low[at] : least;
    least = own < least ? own : least;
  }
  return least;
}

// The place of an entry is the number of entries with a higher score, four vectors of entries at a time. Where no two scores are
// equal the places add up to that of all pairs; else equal ones are told apart one by one.
void rankCandidates(float* scores, size_t count, uint32_t* places) {
  for (size_t at = count; at < count + 4 * WIDE_LANES; at++) scores[at] = LOWEST;
  for (size_t from = 0; from < count; from += 4 * WIDE_LANES) {
    const WideFloats a = loadFloats(scores + from), b = loadFloats(scores + from + WIDE_LANES), c = loadFloats(scores + from + 2 * WIDE_LANES),
                     d = loadFloats(scores + from + 3 * WIDE_LANES);
    WideInts pa = everyInt(0), pb = pa, pc = pa, pd = pa;
    for (size_t other = 0; other < count; other++) {
      const WideFloats score = everyFloat(scores[other]);
      pa = countLanes(pa, score, a);
      pb = countLanes(pb, score, b);
      pc = countLanes(pc, score, c);
      pd = countLanes(pd, score, d);
    }
    memcpy(places + from, &pa, sizeof pa);
    memcpy(places + from + WIDE_LANES, &pb, sizeof pb);
    memcpy(places + from + 2 * WIDE_LANES, &pc, sizeof pc);
    memcpy(places + from + 3 * WIDE_LANES, &pd, sizeof pd);
  }
  size_t sum = 0;
  for (size_t at = 0; at < count; at++) sum += places[at];
  if (sum == count * (count - 1) / 2) return;
  for (size_t at = 1; at < count; at++) {
    for (size_t other = 0; other < at; other++) places[at] += scores[other] == scores[at];
  }
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
