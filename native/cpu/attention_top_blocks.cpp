// The k largest weights of one candidate. Weights are not negative, so their bits order as they do. A threshold that at least k
// of them reach is found by counting; what reaches it, few more than k, is sorted.
#include "block_functions.h"
#include "floats.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

static inline int32_t bitsOfFloat(float value) {
  int32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// How many of `length` values (whole vectors) reach the threshold.
static inline size_t countAtLeast(const float* values, size_t length, int32_t threshold) {
#if defined(__AVX512F__)
  const __m512i least = _mm512_set1_epi32(threshold);
  size_t count = 0;
  for (size_t at = 0; at < length; at += WIDE_LANES) {
    count += (size_t)__builtin_popcount(_mm512_cmpge_epi32_mask((__m512i)loadFloats(values + at), least));
  }
  return count;
#else
  WideInts counts = {};
  for (size_t at = 0; at < length; at += WIDE_LANES) counts = counts - ((WideInts)loadFloats(values + at) >= threshold);
  int32_t count = 0;
  for (size_t lane = 0; lane < WIDE_LANES; lane++) count += counts[lane];
  return (size_t)count;
#endif
}

// A value that at least k of the row reach, and few more. The k-th largest of the maxima of disjoint groups is such a value.
static int32_t thresholdOf(const float* row, size_t stride, size_t k, float* maxima) {
  const float* values = row;
  size_t length = stride;
  const size_t groups = (2 * k + WIDE_LANES - 1) / WIDE_LANES * WIDE_LANES;
  if (2 * groups < stride) {
    for (size_t group = 0; group < groups; group += WIDE_LANES) {
      WideFloats most = loadFloats(row + group);
      for (size_t at = group + groups; at < stride; at += groups) most = maxFloats(loadFloats(row + at), most);
      storeFloats(maxima + group, most);
    }
    values = maxima;
    length = groups;
  }
  WideFloats most = loadFloats(values), least = most;
  for (size_t at = WIDE_LANES; at < length; at += WIDE_LANES) {
    most = maxFloats(loadFloats(values + at), most);
    least = -maxFloats(-loadFloats(values + at), -least);
  }
  // Steps of the bisection; each halves what is left of the range, in bits.
  int32_t low = bitsOfFloat(-largestLane(-least)), high = bitsOfFloat(largestLane(most)) + 1;
  for (int step = 0; step < 16 && high - low > 1; step++) {
    const int32_t middle = low + (high - low) / 2;
    const size_t count = countAtLeast(values, length, middle);
    if (count < k) {
      high = middle;
      continue;
    }
    low = middle;
    if (count <= k + k / 8) break;
  }
  return low;
}

// What reaches the threshold, in the order of the row, as weight bits and the complement of the number: a larger key is better.
static size_t gather(const float* row, size_t stride, size_t count, int32_t threshold, uint64_t* keys, uint32_t* words) {
  size_t found = 0;
#if defined(__AVX512F__)
  uint32_t* numbers = words + stride + WIDE_LANES;
  const __m512i least = _mm512_set1_epi32(threshold);
  __m512i number = _mm512_setr_epi32(-1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11, -12, -13, -14, -15, -16);
  for (size_t at = 0; at < count; at += WIDE_LANES) {
    const __m512i bits = (__m512i)loadFloats(row + at);
    __mmask16 reached = _mm512_cmpge_epi32_mask(bits, least);
    if (count - at < WIDE_LANES) reached &= (__mmask16)((1u << (count - at)) - 1);
    _mm512_storeu_si512(words + found, _mm512_maskz_compress_epi32(reached, bits));
    _mm512_storeu_si512(numbers + found, _mm512_maskz_compress_epi32(reached, number));
    number = _mm512_sub_epi32(number, _mm512_set1_epi32(WIDE_LANES));
    found += (size_t)__builtin_popcount(reached);
  }
  for (size_t at = 0; at < found; at++) keys[at] = (uint64_t)words[at] << 32 | numbers[at];
#else
  (void)stride;
  (void)words;
  for (size_t at = 0; at < count; at++) {
    const int32_t bits = bitsOfFloat(row[at]);
    keys[found] = (uint64_t)(uint32_t)bits << 32 | (uint32_t)~(uint32_t)at;
    found += bits >= threshold;
  }
#endif
  return found;
}

typedef int64_t Longs __attribute__((vector_size(8 * LANES)));
enum { RANKED = 64 };

// A key's place is the number of larger ones: no branch to mispredict. keys has room for LANES more.
static inline void sortFew(uint64_t* keys, size_t count, uint64_t* sorted) {
  for (size_t lane = 0; lane < LANES; lane++) keys[count + lane] = 0;
  for (size_t from = 0; from < count; from += LANES) {
    Longs mine, ranks = {};
    memcpy(&mine, keys + from, sizeof mine);
    // Keys are below 2^63: signed comparison orders them.
    for (size_t at = 0; at < count; at++) ranks = ranks - ((int64_t)keys[at] > mine);
    const size_t here = count - from < LANES ? count - from : (size_t)LANES;
    for (size_t lane = 0; lane < here; lane++) sorted[ranks[lane]] = keys[from + lane];
  }
}

// By the weight, 11 bits at a time from below; equal weights stay in the order of the row.
static void sortMany(uint64_t* keys, size_t count, uint64_t* spare) {
  enum { BITS = 11, BUCKETS = 1 << BITS };
  for (int shift = 32; shift < 64; shift += BITS) {
    uint32_t starts[BUCKETS];
    memset(starts, 0, sizeof starts);
    for (size_t at = 0; at < count; at++) starts[(keys[at] >> shift) & (BUCKETS - 1)]++;
    uint32_t sum = 0;
    for (size_t bucket = BUCKETS; bucket-- > 0;) {
      const uint32_t here = starts[bucket];
      starts[bucket] = sum;
      sum += here;
    }
    for (size_t at = 0; at < count; at++) spare[starts[(keys[at] >> shift) & (BUCKETS - 1)]++] = keys[at];
    uint64_t* other = keys;
    keys = spare;
    spare = other;
  }
}

size_t topWeights(const float* row, size_t stride, size_t count, size_t k, uint64_t* scratch, float* weights, uint32_t* numbers) {
  const size_t room = stride + WIDE_LANES;
  uint64_t* keys = scratch;
  uint64_t* sorted = scratch + room;
  if (k > count) k = count;
  const int32_t threshold = thresholdOf(row, stride, k, (float*)sorted);
  const size_t found = gather(row, stride, count, threshold, keys, (uint32_t*)sorted);
  // Three passes of sortMany leave the result in the second array too.
  if (found <= RANKED) sortFew(keys, found, sorted);
  else sortMany(keys, found, sorted);
  for (size_t at = 0; at < k; at++) {
    const uint32_t bits = (uint32_t)(sorted[at] >> 32);
    memcpy(weights + at, &bits, sizeof bits);
    numbers[at] = ~(uint32_t)sorted[at];
  }
  return k;
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
