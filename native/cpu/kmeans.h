// Inner loops of k-means (kmeans_blocks.cpp).
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace cragru {
namespace cpu {

struct KMeansBlocks {
  // Points of one panel: [dimension][panelPoints], missing points as zeros.
  size_t panelPoints;
  void (*packPanel)(const double* points, size_t count, size_t dimension, double* panel);
  // Offers clusters first .. last - 1 to each point of a panel, which keeps the nearest so far: label and squared distance
  // [panelPoints]. centroids [clusters, dimension].
  void (*assignPanel)(const double* panel, const double* centroids, size_t first, size_t last, size_t dimension, uint64_t* labels, double* distances);
  // sums [columns] += the rows of the members, in their order; columns at most 16.
  void (*addRows)(const double* points, const uint32_t* members, size_t count, size_t dimension, size_t columns, double* sums);
};

}  // namespace cpu
}  // namespace cragru
