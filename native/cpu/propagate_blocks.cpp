// One hop over the bipartite graph: float32 adds in neighbour order, a tile of columns in registers at a time. The time goes into reading
// operands from the second-level cache; everything else hides behind that.
#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

// Most neighbours between two checks for cancellation, and of one list of those that are not 0.
constexpr size_t PIECE = 1024;

template <size_t BYTES>
struct Vector {
  typedef float Floats __attribute__((vector_size(BYTES)));
  typedef uint32_t Words __attribute__((vector_size(BYTES)));
};

template <class To, class From>
static inline To sameBits(From value) {
  To bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

template <class Value>
static inline Value loadVector(const void* from) {
  Value value;
  memcpy(&value, from, sizeof value);
  return value;
}

// To bfloat16 in the upper half of each word, ties to even; the lower half is not cleared. Infinity stays infinity.
template <size_t BYTES>
static inline typename Vector<BYTES>::Words roundUpper(typename Vector<BYTES>::Floats value) {
  const auto bits = sameBits<typename Vector<BYTES>::Words>(value);
  return bits + 0x7fffu + ((bits >> 16) & 1u);
}

// COUNT vectors of columns that begin at column `at` of a row. With bfloat16 a vector of words holds two of them: the first in the lower
// halves, the second in the upper ones, so that a shift and a mask take them apart.
template <size_t BYTES, size_t COUNT, bool BF16>
struct Tile {
  typedef typename Vector<BYTES>::Floats Floats;
  typedef typename Vector<BYTES>::Words Words;
  static constexpr size_t LANES_HERE = BYTES / sizeof(float), COLUMNS = COUNT * LANES_HERE, VALUE = BF16 ? 2 : 4;

  static inline void sum(const Hop& hop, const char* operands, const uint32_t* neighbours, size_t count, Floats* into) {
    const size_t row = hop.stride * VALUE;
    Floats sums[COUNT];
#pragma GCC unroll 16
    for (size_t v = 0; v < COUNT; v++) sums[v] = into[v];
    for (size_t at = 0; at < count; at++) {
      // The first line; the processor's own prefetchers take the next ones along.
      __builtin_prefetch(operands + neighbours[at + READ_AHEAD] * row);
      const char* from = operands + neighbours[at] * row;
      if (BF16) {
#pragma GCC unroll 16
        for (size_t v = 0; v < COUNT; v += 2) {
          const Words words = loadVector<Words>(from + v / 2 * BYTES);
          sums[v] = sums[v] + sameBits<Floats>(words << 16);
          sums[v + 1] = sums[v + 1] + sameBits<Floats>(words & 0xffff0000u);
        }
      } else {
#pragma GCC unroll 16
        for (size_t v = 0; v < COUNT; v++) sums[v] = sums[v] + loadVector<Floats>(from + v * BYTES);
      }
    }
#pragma GCC unroll 16
    for (size_t v = 0; v < COUNT; v++) into[v] = sums[v];
  }

  static inline void storeOperands(const Hop& hop, size_t row, size_t at, const Floats* values) {
    char* to = (char*)hop.next + (row * hop.stride + at) * VALUE;
    if (BF16) {
#pragma GCC unroll 16
      for (size_t v = 0; v < COUNT; v += 2) {
        const Words words = (roundUpper<BYTES>(values[v]) >> 16) | (roundUpper<BYTES>(values[v + 1]) & 0xffff0000u);
        memcpy(to + v / 2 * BYTES, &words, BYTES);
      }
    } else {
      memcpy(to, values, COUNT * BYTES);
    }
  }

  static inline void scale(const Hop& hop, size_t row, size_t at) {
    Floats values[COUNT];
#pragma GCC unroll 16
    for (size_t v = 0; v < COUNT; v++) values[v] = hop.scales[row] * loadVector<Floats>(hop.base + row * hop.stride + at + v * LANES_HERE);
    storeOperands(hop, row, at, values);
  }

  static void hopRow(const Hop& hop, size_t row, size_t at);
};

// Moves the columns whose level is below the limit to the front of `kept`; returns how many.
static inline size_t keepLive(const uint32_t* columns, size_t count, const uint8_t* levels, uint8_t limit, uint32_t* kept) {
  size_t live = 0;
#if defined(__AVX512F__)
  for (size_t at = 0; at < count; at += 16) {
    const __mmask16 present = count - at >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << (count - at)) - 1);
    const __m512i some = _mm512_maskz_loadu_epi32(present, columns + at);
    const __m512i found = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), present, some, levels, 1);
    const __mmask16 below = _mm512_mask_cmplt_epu32_mask(present, _mm512_and_si512(found, _mm512_set1_epi32(255)), _mm512_set1_epi32(limit));
    _mm512_storeu_si512(kept + live, _mm512_maskz_compress_epi32(below, some));
    live += (size_t)__builtin_popcount(below);
  }
#else
  for (size_t at = 0; at < count; at++) {
    kept[live] = columns[at];
    live += levels[columns[at]] < limit;
  }
#endif
  return live;
}

template <size_t BYTES, size_t COUNT, bool BF16>
void Tile<BYTES, COUNT, BF16>::hopRow(const Hop& hop, size_t row, size_t at) {
  const char* operands = (const char*)hop.operands + at * VALUE;
  const uint8_t* levels = hop.levels[row >= hop.userCount];
  Floats sums[COUNT];
#pragma GCC unroll 16
  for (size_t v = 0; v < COUNT; v++) sums[v] = Floats{};
  for (size_t edge = hop.offsets[row], end = hop.offsets[row + 1]; edge < end; edge += PIECE) {
    const size_t count = end - edge < PIECE ? end - edge : PIECE;
    if (levels) {
      // An operand of +0 changes no sum: a sum begins at +0, and x + y is -0 only for two -0, so no sum is ever -0.
      uint32_t kept[PIECE + 16];
      const size_t live = keepLive(hop.columns + edge, count, levels, hop.limit, kept);
      for (size_t behind = 0; behind < READ_AHEAD; behind++) kept[live + behind] = 0;
      sum(hop, operands, kept, live, sums);
    } else {
      sum(hop, operands, hop.columns + edge, count, sums);
    }
    if (count >= 256) hop.check(hop.run);
  }
  const float scale = hop.scales[row];
  const float* base = hop.base + row * hop.stride + at;
#pragma GCC unroll 16
  for (size_t v = 0; v < COUNT; v++) {
    const Floats t = loadVector<Floats>(base + v * LANES_HERE) + scale * sums[v];
    sums[v] = hop.output ? t / hop.divisor : scale * t;
  }
  if (hop.output) memcpy(hop.output + row * hop.stride + at, sums, sizeof sums);
  else storeOperands(hop, row, at, sums);
}

// A full register, and as many sums as leave registers for the rest; with bfloat16 two vectors make one of words.
constexpr size_t FULL = 4 * WIDE_LANES, WIDEST = WIDE_LANES == 4 ? 32 : 64;

// body.run<Tile>(column) for tiles that cover a row: the same ones wherever operands are written and read.
template <bool BF16, class Body>
static inline void forTiles(size_t stride, Body body) {
  constexpr size_t REST = BF16 && WIDE_LANES == ROW_FLOATS ? FULL / 2 : FULL;
  size_t at = 0;
  for (; at + WIDEST <= stride; at += WIDEST) body.template run<Tile<FULL, WIDEST / WIDE_LANES, BF16>>(at);
  if (WIDEST > 32) {
    for (; at + 32 <= stride; at += 32) body.template run<Tile<FULL, 32 / WIDE_LANES, BF16>>(at);
  }
  for (; at < stride; at += ROW_FLOATS) body.template run<Tile<REST, ROW_FLOATS * sizeof(float) / REST, BF16>>(at);
}

struct ScaleRow {
  const Hop& hop;
  size_t row;
  template <class T>
  void run(size_t at) const { T::scale(hop, row, at); }
};

struct HopRow {
  const Hop& hop;
  size_t row;
  template <class T>
  void run(size_t at) const { T::hopRow(hop, row, at); }
};

template <class RowOf>
static inline void forRows(const Hop* hop, const uint32_t* rows, size_t from, size_t to) {
  for (size_t at = from; at < to; at++) {
    const RowOf body = {*hop, rows ? rows[at] : at};
    if (hop->bf16) forTiles<true>(hop->stride, body);
    else forTiles<false>(hop->stride, body);
  }
}

void scaleRows(const Hop* hop, const uint32_t* rows, size_t from, size_t to) { forRows<ScaleRow>(hop, rows, from, to); }
void hopRows(const Hop* hop, const uint32_t* rows, size_t from, size_t to) { forRows<HopRow>(hop, rows, from, to); }

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
