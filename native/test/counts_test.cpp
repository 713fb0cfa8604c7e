// Shared rows of columns (gram, itemCooccurrence) and k-means.
#include <algorithm>
#include <limits>

#include "expect.h"

using namespace cragru;
using namespace cragru::test;

namespace {

std::vector<std::vector<uint32_t>> shared(const Csr& csr, size_t columns) {
  std::vector<std::vector<uint32_t>> counts(columns, std::vector<uint32_t>(columns, 0));
  for (size_t row = 0; row + 1 < csr.offsets.size(); row++) {
    for (size_t a = csr.offsets[row]; a < csr.offsets[row + 1]; a++) {
      for (size_t b = csr.offsets[row]; b < csr.offsets[row + 1]; b++) counts[csr.columns[a]][csr.columns[b]]++;
    }
  }
  return counts;
}

}  // namespace

TEST("counts: X'X and the columns that share most rows") {
  for (const size_t rows : {0, 1, 63, 64, 65, 300, 1100}) {
    for (const size_t columns : {1, 2, 31, 64, 65, 130}) {
      for (const uint32_t perMille : {5u, 300u, 950u}) {
        Gram input;
        input.columnCount = columns;
        input.positives = sparse(rows, columns, perMille, uint32_t(rows + columns));
        const auto wanted = shared(input.positives, columns);
        const std::vector<uint32_t> result = onAll("gram", input, cpu::gram);
        bool equal = result.size() == columns * (columns + 1) / 2;
        for (size_t i = 0, at = 0; i < columns; i++) for (size_t j = 0; j <= i; j++) equal = equal && result[at++] == wanted[i][j];
        expect(equal, "gram of " + std::to_string(rows) + " x " + std::to_string(columns));
        for (const size_t k : {size_t(1), size_t(10), columns, size_t(200)}) {
          Cooccurrence asked;
          asked.positives = input.positives;
          asked.columnCount = columns;
          asked.k = k;
          const CooccurrenceResult lists = onAll("cooccurrence", asked, cpu::itemCooccurrence);
          bool right = lists.items.size() == columns * k && lists.counts.size() == columns * k;
          for (size_t i = 0; i < columns && right; i++) {
            std::vector<uint32_t> others;
            for (uint32_t j = 0; j < columns; j++) if (j != i && wanted[i][j] > 0) others.push_back(j);
            std::stable_sort(others.begin(), others.end(), [&](uint32_t a, uint32_t b) { return wanted[i][a] > wanted[i][b]; });
            for (size_t at = 0; at < k; at++) {
              const bool there = at < others.size();
              right = right && lists.items[i * k + at] == (there ? others[at] : NO_ITEM) && lists.counts[i * k + at] == (there ? wanted[i][others[at]] : 0);
            }
          }
          expect(right, "cooccurrence of " + std::to_string(rows) + " x " + std::to_string(columns) + ", k " + std::to_string(k));
        }
      }
    }
  }
}

TEST("kmeans: one round against plain loops") {
  for (const size_t dimension : {1, 2, 9, 33}) {
    for (const size_t clusters : {1, 3, 8, 17}) {
      KMeans input;
      input.dimension = dimension;
      input.points = wholes<double>(130 * dimension, 1, 3);
      input.centroids = wholes<double>(clusters * dimension, 2, 3);
      input.rounds = 1;
      const KMeansRound result = onAll("kmeans", input, cpu::kmeans);
      const auto nearest = [&](size_t point, const double* centroids) {
        std::pair<double, uint32_t> best{std::numeric_limits<double>::infinity(), 0};
        for (uint32_t cluster = 0; cluster < clusters; cluster++) {
          double distance = 0;
          for (size_t d = 0; d < dimension; d++) {
            const double gap = input.points[point * dimension + d] - centroids[cluster * dimension + d];
            distance += gap * gap;
          }
          if (distance < best.first) best = {distance, cluster};
        }
        return best;
      };
      std::vector<double> sums(clusters * dimension, 0), counts(clusters, 0);
      bool settled = true;
      for (size_t point = 0; point < 130; point++) {
        const uint32_t label = nearest(point, input.centroids.data()).second;
        counts[label]++;
        for (size_t d = 0; d < dimension; d++) sums[label * dimension + d] += input.points[point * dimension + d];
        const auto [distance, last] = nearest(point, result.centroids.data());
        settled = settled && result.labels[point] == last && result.distances[point] == distance;
      }
      expect(settled, "kmeans: labels and distances are those of the centroids returned");
      // Where a cluster is empty it takes a point away from another: then only the agreement of the faces is asked.
      if (std::find(counts.begin(), counts.end(), 0) != counts.end()) continue;
      for (size_t at = 0; at < sums.size(); at++) expectNear(result.centroids[at], sums[at] / counts[at / dimension], 1e-12, "kmeans centroids");
    }
  }
}

TEST("kmeans: rounds until nothing changes, empty clusters, equal points") {
  KMeans input;
  input.dimension = 4;
  input.points = numbers<double>(2000, 3);
  input.centroids = std::vector<double>(input.points.begin(), input.points.begin() + 28);
  input.rounds = 200;
  const KMeansRound result = onAll("kmeans to the end", input, cpu::kmeans);
  expect(result.rounds < 200 && result.labels.size() == 500, "kmeans settles");
  std::vector<double> counts(7, 0);
  for (const uint32_t label : result.labels) counts[std::min<uint32_t>(label, 6)]++;
  for (const double count : counts) expect(count > 0, "no cluster is empty");
  KMeans equal = input;
  equal.points = std::vector<double>(400, 1.5);
  equal.centroids = std::vector<double>(28, 1.5);
  onAll("kmeans of equal points", equal, cpu::kmeans);
  KMeans far = input;
  far.centroids = std::vector<double>(28, 1e6);
  onAll("kmeans from far away", far, cpu::kmeans);
}
