// Philox4x32 for many counters at once. A 32-bit word lives in a 64-bit lane: the product of the low halves is then one
// instruction, and what stands in the upper half is never read.
#include "../math.h"
#include "block_functions.h"
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

typedef uint64_t Words __attribute__((vector_size(8 * LANES)));
typedef uint32_t HalfWords __attribute__((vector_size(4 * LANES)));

static inline Words multiplyLow(Words a, Words b) {
#if defined(__AVX512F__)
  return (Words)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Words)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
  return (Words)_mm_mul_epu32((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
  return (Words)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#else
  return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

static inline Words everyWord(uint32_t value) {
  Words all = {};
  return all + (uint64_t)value;
}

static inline Words loadWords(const uint32_t* from) {
  HalfWords half;
  memcpy(&half, from, sizeof half);
  return __builtin_convertvector(half, Words);
}

static inline void storeWords(uint32_t* to, Words value) {
  const HalfWords half = __builtin_convertvector(value, HalfWords);
  memcpy(to, &half, sizeof half);
}

// Two vectors side by side: one chain of rounds waits for its products.
enum { TOGETHER = 2, DRAWN = TOGETHER * LANES };

static inline void drawSome(const uint32_t* users, const uint32_t* items, uint32_t epoch, uint32_t draw, uint32_t seed, uint32_t stream,
                            uint32_t range, uint32_t* scaled, uint32_t* second) {
  const Words first = everyWord(0xd2511f53u), other = everyWord(0xcd9e8d57u);
  Words c0[TOGETHER], c1[TOGETHER], c2[TOGETHER], c3[TOGETHER];
#pragma GCC unroll 2
  for (int v = 0; v < TOGETHER; v++) {
    c0[v] = loadWords(users + v * LANES);
    c1[v] = loadWords(items + v * LANES);
    c2[v] = everyWord(epoch);
    c3[v] = everyWord(draw);
  }
  uint32_t k0 = seed, k1 = stream;
#pragma GCC unroll 10
  for (int round = 0; round < 10; round++) {
    const Words key0 = everyWord(k0), key1 = everyWord(k1);
#pragma GCC unroll 2
    for (int v = 0; v < TOGETHER; v++) {
      const Words product0 = multiplyLow(first, c0[v]), product1 = multiplyLow(other, c2[v]);
      c0[v] = (product1 >> 32) ^ c1[v] ^ key0;
      c1[v] = product1;
      c2[v] = (product0 >> 32) ^ c3[v] ^ key1;
      c3[v] = product0;
    }
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
#pragma GCC unroll 2
  for (int v = 0; v < TOGETHER; v++) {
    storeWords(scaled + v * LANES, multiplyLow(c0[v], everyWord(range)) >> 32);
    if (second) storeWords(second + v * LANES, c1[v]);
  }
}

void drawPairs(const uint32_t* users, const uint32_t* items, size_t count, uint32_t epoch, uint32_t draw, uint32_t seed, uint32_t stream,
               uint32_t range, uint32_t* scaled, uint32_t* second) {
  size_t at = 0;
  for (; at + DRAWN <= count; at += DRAWN) {
    drawSome(users + at, items + at, epoch, draw, seed, stream, range, scaled + at, second ? second + at : 0);
  }
  if (at == count) return;
  uint32_t rest[4][DRAWN] = {};
  memcpy(rest[0], users + at, (count - at) * sizeof(uint32_t));
  memcpy(rest[1], items + at, (count - at) * sizeof(uint32_t));
  drawSome(rest[0], rest[1], epoch, draw, seed, stream, range, rest[2], rest[3]);
  memcpy(scaled + at, rest[2], (count - at) * sizeof(uint32_t));
  if (second) memcpy(second + at, rest[3], (count - at) * sizeof(uint32_t));
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
