// Selection for scoreTopK: thresholds, candidates and the final order, without heaps and without a branch an item.
#include "block_functions.h"
#include "score_vectors.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

static const float LOWEST = -__builtin_inff();

static inline WideFloats floatValue(const void* values, size_t at, const void* base, float) {
  return loadFloats((const float*)values + at) + everyFloat(base ? *(const float*)base : 0);
}

static inline WideFloats integerValue(const void* values, size_t at, const void* base, float scale) {
  int32_t taken = 0;
  if (base) memcpy(&taken, base, sizeof taken);
  return __builtin_convertvector(loadInts((const int32_t*)values + at) + everyInt(taken), WideFloats) * everyFloat(scale);
}

typedef WideFloats Value(const void* values, size_t at, const void* base, float scale);

template <Value value>
static inline void fold(const void* values, size_t stride, size_t panels, const float* errors, const float* scales, const uint64_t* seen,
                        size_t seenStride, size_t folds, float* maxima) {
  for (size_t first = 0; first < folds; first++) {
    WideFloats most[PANEL_VECTORS];
    for (int v = 0; v < PANEL_VECTORS; v++) most[v] = everyFloat(LOWEST);
    for (size_t panel = first; panel < panels; panel += folds) {
      const uint64_t open = ~seen[panel * seenStride];
      for (int v = 0; v < PANEL_VECTORS; v++) {
        const WideFloats low = value(values, panel * stride + v * WIDE_LANES, 0, scales[panel]) - everyFloat(errors[panel]);
        most[v] = larger(most[v], choose((uint32_t)(open >> v * WIDE_LANES), low, LOWEST));
      }
    }
    for (int v = 0; v < PANEL_VECTORS; v++) storeFloats(maxima + first * PANEL_ITEMS + v * WIDE_LANES, most[v]);
  }
}

template <Value value>
static inline size_t take(const void* values, const void* base, size_t stride, size_t panels, const float* errors, const float* scales,
                          float threshold, const uint64_t* seen, size_t seenStride, uint32_t firstItem, const ScoreCandidates* to,
                          size_t* count, size_t room) {
  size_t at = *count, panel = 0;
  for (; panel < panels && at + PANEL_ITEMS <= room; panel++, firstItem += PANEL_ITEMS) {
    const uint64_t open = ~seen[panel * seenStride];
    for (int v = 0; v < PANEL_VECTORS; v++) {
      const WideFloats own = value(values, panel * stride + v * WIDE_LANES, base, scales[panel]);
      const WideFloats high = own + everyFloat(errors[panel]);
      const uint32_t bits = reaches(high, everyFloat(threshold)) & (uint32_t)(open >> v * WIDE_LANES);
      if (!bits) continue;
      storeChosen(bits, own - everyFloat(errors[panel]), to->low + at);
      storeChosen(bits, high, to->high + at);
      storeChosenInts(bits, everyInt((int32_t)(firstItem + v * WIDE_LANES)) + laneNumbers(), to->items + at);
      at += (size_t)__builtin_popcount(bits);
    }
  }
  *count = at;
  return panel;
}

void floatFold(const void* values, size_t stride, size_t panels, const float* errors, const float* scales, const uint64_t* seen,
               size_t seenStride, size_t folds, float* maxima) {
  fold<floatValue>(values, stride, panels, errors, scales, seen, seenStride, folds, maxima);
}

void integerFold(const void* values, size_t stride, size_t panels, const float* errors, const float* scales, const uint64_t* seen,
                 size_t seenStride, size_t folds, float* maxima) {
  fold<integerValue>(values, stride, panels, errors, scales, seen, seenStride, folds, maxima);
}

size_t floatTake(const void* values, const void* base, size_t stride, size_t panels, const float* errors, const float* scales, float threshold,
                 const uint64_t* seen, size_t seenStride, uint32_t firstItem, const ScoreCandidates* to, size_t* count, size_t room) {
  return take<floatValue>(values, base, stride, panels, errors, scales, threshold, seen, seenStride, firstItem, to, count, room);
}

size_t integerTake(const void* values, const void* base, size_t stride, size_t panels, const float* errors, const float* scales, float threshold,
                   const uint64_t* seen, size_t seenStride, uint32_t firstItem, const ScoreCandidates* to, size_t* count, size_t room) {
  return take<integerValue>(values, base, stride, panels, errors, scales, threshold, seen, seenStride, firstItem, to, count, room);
}

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

// Bisection over the order of the floats: at most 32 rounds whatever the values are.
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
    for (int lane = 0; lane < WIDE_LANES; lane++) {
      if (leasts[lane] < least) least = leasts[lane];
      if (mosts[lane] > most) most = mosts[lane];
    }
  }
  for (; at < count; at++) {
    if (values[at] < least) least = values[at];
    if (values[at] > most) most = values[at];
  }
  // All of `low` reach it, fewer than k reach `high`.
  int64_t low = orderOf(least), high = (int64_t)orderOf(most) + 1;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    const size_t reaching = countReaching(values, count, valueOf((int32_t)middle));
    if (reaching < k) {
      high = middle;
    } else {
      low = middle;
      if (reaching <= k + slack) break;
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

// The place of an entry is the number of entries before it: those with a higher score, and equal ones that stand earlier.
void rankCandidates(const float* scores, size_t count, uint32_t* places) {
  for (size_t from = 0; from < count; from += WIDE_LANES) {
    const size_t to = from + WIDE_LANES;
    // Entries past the last are scratch of the caller.
    const WideFloats own = loadFloats(scores + from);
    WideInts place = everyInt(0);
    size_t other = 0;
    for (; other < from; other++) place -= (WideInts)(everyFloat(scores[other]) >= own);
    for (; other < to && other < count; other++) {
      const WideFloats score = everyFloat(scores[other]);
      const WideInts earlier = everyInt((int32_t)(other - from)) < laneNumbers();
      place -= (WideInts)(score > own) | ((WideInts)(score >= own) & earlier);
    }
    for (; other < count; other++) place -= (WideInts)(everyFloat(scores[other]) > own);
    memcpy(places + from, &place, sizeof place);
  }
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
