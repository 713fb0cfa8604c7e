// Inner loops of k-means. Vectors run across points, so each distance is summed over axes in order, as
// src/native/reference/kmeans.ts has it.
#include "block_functions.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

namespace {

typedef int64_t Integers __attribute__((vector_size(8 * LANES)));

enum { VECTORS = PANEL_POINTS / LANES };

inline Doubles chosen(Integers mask, Doubles yes, Doubles no) { return (Doubles)((mask & (Integers)yes) | (~mask & (Integers)no)); }

// Clusters first .. first + CLUSTERS - 1 against a panel; the sums of all of them stay in registers.
template <size_t CLUSTERS>
inline void assignClusters(const double* panel, const double* centroids, size_t first, size_t dimension, Doubles* least, Integers* best) {
  Doubles sums[CLUSTERS][VECTORS];
#pragma GCC unroll 4
  for (size_t c = 0; c < CLUSTERS; c++) {
#pragma GCC unroll 4
    for (size_t v = 0; v < VECTORS; v++) sums[c][v] = Doubles{};
  }
  const double* rows = centroids + first * dimension;
  for (size_t axis = 0; axis < dimension; axis++) {
    Doubles points[VECTORS];
#pragma GCC unroll 4
    for (size_t v = 0; v < VECTORS; v++) points[v] = loadDoubles(panel + axis * PANEL_POINTS + v * LANES);
#pragma GCC unroll 4
    for (size_t c = 0; c < CLUSTERS; c++) {
#pragma GCC unroll 4
      for (size_t v = 0; v < VECTORS; v++) {
        const Doubles difference = points[v] - rows[c * dimension + axis];
        sums[c][v] = sums[c][v] + difference * difference;
      }
    }
  }
#pragma GCC unroll 4
  for (size_t c = 0; c < CLUSTERS; c++) {
#pragma GCC unroll 4
    for (size_t v = 0; v < VECTORS; v++) {
      const Integers nearer = (Integers)(sums[c][v] < least[v]);
      least[v] = chosen(nearer, sums[c][v], least[v]);
      const Integers number = Integers{} + (int64_t)(first + c);
      best[v] = (nearer & number) | (~nearer & best[v]);
    }
  }
}

// COUNT registers of one sum; the pointers already stand at the columns.
template <size_t COUNT>
inline void addColumns(const double* points, const uint32_t* members, size_t count, size_t dimension, double* sums) {
  Doubles kept[COUNT];
#pragma GCC unroll 8
  for (size_t v = 0; v < COUNT; v++) kept[v] = loadDoubles(sums + v * LANES);
  for (size_t at = 0; at < count; at++) {
    const double* row = points + (size_t)members[at] * dimension;
#pragma GCC unroll 8
    for (size_t v = 0; v < COUNT; v++) kept[v] = kept[v] + loadDoubles(row + v * LANES);
  }
#pragma GCC unroll 8
  for (size_t v = 0; v < COUNT; v++) storeDoubles(sums + v * LANES, kept[v]);
}

}  // namespace

void packPoints(const double* points, size_t count, size_t dimension, double* panel) {
  for (size_t axis = 0; axis < dimension; axis++) {
    for (size_t point = 0; point < PANEL_POINTS; point++) panel[axis * PANEL_POINTS + point] = point < count ? points[point * dimension + axis] : 0.0;
  }
}

void assignPanel(const double* panel, const double* centroids, size_t first, size_t last, size_t dimension, uint64_t* labels, double* distances) {
  Doubles least[VECTORS];
  Integers best[VECTORS];
  memcpy(best, labels, sizeof best);
  memcpy(least, distances, sizeof least);
  for (; first + 4 <= last; first += 4) assignClusters<4>(panel, centroids, first, dimension, least, best);
  if (last - first == 3) assignClusters<3>(panel, centroids, first, dimension, least, best);
  else if (last - first == 2) assignClusters<2>(panel, centroids, first, dimension, least, best);
  else if (last - first == 1) assignClusters<1>(panel, centroids, first, dimension, least, best);
  memcpy(labels, best, sizeof best);
  memcpy(distances, least, sizeof least);
}

void addRows(const double* points, const uint32_t* members, size_t count, size_t dimension, size_t columns, double* sums) {
  size_t at = 0;
  for (; at + 16 <= columns; at += 16) addColumns<16 / LANES>(points + at, members, count, dimension, sums + at);
  for (; at + LANES <= columns; at += LANES) addColumns<1>(points + at, members, count, dimension, sums + at);
  for (; at < columns; at++) {
    double sum = sums[at];
    for (size_t member = 0; member < count; member++) sum = sum + points[(size_t)members[member] * dimension + at];
    sums[at] = sum;
  }
}

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
