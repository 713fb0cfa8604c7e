// Bits shared by rows of bits: AND and count. Exact, so the ways of counting need not agree on an order.
#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

typedef uint64_t Words __attribute__((vector_size(8 * LANES)));

// The number of bits of each byte.
static inline Words countBytes(Words x) {
#if defined(__AVX512BW__)
  const __m512i table = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4)), low = _mm512_set1_epi8(15);
  return (Words)_mm512_add_epi8(_mm512_shuffle_epi8(table, _mm512_and_si512((__m512i)x, low)),
                                _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi32((__m512i)x, 4), low)));
#elif defined(__AVX2__)
  const __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4)), low = _mm256_set1_epi8(15);
  return (Words)_mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256((__m256i)x, low)),
                                _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi32((__m256i)x, 4), low)));
#else
  x -= (x >> 1) & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
  return (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
#endif
}

static inline Words loadWords(const uint64_t* from) {
  Words value;
  memcpy(&value, from, sizeof value);
  return value;
}

// The sum of all bytes; each 64-bit lane has eight of them.
static inline uint32_t sumBytes(Words x) {
  x = (x & 0x00ff00ff00ff00ffu) + ((x >> 8) & 0x00ff00ff00ff00ffu);
  x = (x & 0x0000ffff0000ffffu) + ((x >> 16) & 0x0000ffff0000ffffu);
  x = x + (x >> 32);
  uint32_t sum = 0;
  for (size_t lane = 0; lane < LANES; lane++) sum += (uint32_t)x[lane];
  return sum;
}

static void countByBytes(const uint64_t* const* rows, const uint64_t* columns, size_t columnCount, size_t stride, size_t words,
                         uint32_t* const* counts) {
  const uint64_t *const row0 = rows[0], *const row1 = rows[1], *const row2 = rows[2], *const row3 = rows[3];
  for (size_t at = 0; at < columnCount; at++) {
    const uint64_t* const column = columns + at * stride;
    for (size_t from = 0; from < words;) {
      // A byte holds the counts of 31 bytes.
      const size_t end = words - from < 31 * LANES ? words : from + 31 * LANES;
      Words sum0 = {}, sum1 = {}, sum2 = {}, sum3 = {};
      for (; from < end; from += LANES) {
        const Words value = loadWords(column + from);
        sum0 += countBytes(value & loadWords(row0 + from));
        sum1 += countBytes(value & loadWords(row1 + from));
        sum2 += countBytes(value & loadWords(row2 + from));
        sum3 += countBytes(value & loadWords(row3 + from));
      }
      counts[0][at] += sumBytes(sum0);
      counts[1][at] += sumBytes(sum1);
      counts[2][at] += sumBytes(sum2);
      counts[3][at] += sumBytes(sum3);
    }
  }
}

#if defined(__AVX512F__)
// Where the processor counts the bits of 64-bit lanes. The feature came after those of this object, so it is asked for.
#define WITH_COUNT __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vpopcntdq")))

// Sums of the lanes of four vectors.
WITH_COUNT static inline __m128i sumLanes(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi64(a, _mm512_slli_epi64(b, 32)), cd = _mm512_add_epi64(c, _mm512_slli_epi64(d, 32));
  const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

WITH_COUNT __attribute__((noinline)) static void countByLanes(const uint64_t* const* rows, const uint64_t* columns, size_t columnCount,
                                                             size_t stride, size_t words, uint32_t* const* counts) {
  const uint64_t *const row0 = rows[0], *const row1 = rows[1], *const row2 = rows[2], *const row3 = rows[3];
  for (size_t at = 0; at < columnCount; at += 4) {
    const uint64_t* column = columns + at * stride;
#define SUMS(r) __m512i a##r = _mm512_setzero_si512(), b##r = a##r, c##r = a##r, d##r = a##r;
    SUMS(0) SUMS(1) SUMS(2) SUMS(3)
    for (size_t from = 0; from < words; from += 8) {
      const __m512i a = _mm512_loadu_si512(column + from), b = _mm512_loadu_si512(column + stride + from);
      const __m512i c = _mm512_loadu_si512(column + 2 * stride + from), d = _mm512_loadu_si512(column + 3 * stride + from);
#define COUNT(r)                                                                      \
  {                                                                                   \
    const __m512i row = _mm512_loadu_si512(row##r + from);                            \
    a##r = _mm512_add_epi64(a##r, _mm512_popcnt_epi64(_mm512_and_si512(a, row)));     \
    b##r = _mm512_add_epi64(b##r, _mm512_popcnt_epi64(_mm512_and_si512(b, row)));     \
    c##r = _mm512_add_epi64(c##r, _mm512_popcnt_epi64(_mm512_and_si512(c, row)));     \
    d##r = _mm512_add_epi64(d##r, _mm512_popcnt_epi64(_mm512_and_si512(d, row)));     \
  }
      COUNT(0) COUNT(1) COUNT(2) COUNT(3)
    }
#define ADD(r)                                                                                                              \
  {                                                                                                                         \
    __m128i* const to = (__m128i*)(counts[r] + at);                                                                         \
    _mm_storeu_si128(to, _mm_add_epi32(_mm_loadu_si128(to), sumLanes(a##r, b##r, c##r, d##r)));                             \
  }
    ADD(0) ADD(1) ADD(2) ADD(3)
  }
}
#undef SUMS
#undef COUNT
#undef ADD
#endif

void countShared(const uint64_t* const* rows, const uint64_t* columns, size_t columnCount, size_t stride, size_t words, uint32_t* const* counts) {
#if defined(__AVX512F__)
  if (__builtin_cpu_supports("avx512vpopcntdq")) {
    countByLanes(rows, columns, columnCount, stride, words, counts);
    return;
  }
#endif
  countByBytes(rows, columns, columnCount, stride, words, counts);
}

size_t countAtLeast(const uint32_t* counts, size_t count, uint32_t bound) {
  uint32_t found = 0;
  for (size_t at = 0; at < count; at++) found += counts[at] >= bound;
  return found;
}

size_t findAtLeast(const uint32_t* counts, size_t count, uint32_t bound, uint32_t* found) {
  size_t length = 0, at = 0;
#if defined(__AVX512F__)
  __m512i numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (; at + 16 <= count; at += 16) {
    const __mmask16 wanted = _mm512_cmpge_epu32_mask(_mm512_loadu_si512(counts + at), _mm512_set1_epi32((int)bound));
    // At most as many as there are counts, and the lanes behind them lie within those of this step.
    _mm512_storeu_si512(found + length, _mm512_maskz_compress_epi32(wanted, numbers));
    length += (size_t)__builtin_popcount(wanted);
    numbers = _mm512_add_epi32(numbers, _mm512_set1_epi32(16));
  }
#endif
  for (; at < count; at++) {
    found[length] = (uint32_t)at;
    length += counts[at] >= bound;
  }
  return length;
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
