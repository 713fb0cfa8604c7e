// Lloyd's rounds. The order of operations stands in src/native/reference/kmeans.ts. Distances: vectors of points, cut into
// chunks. Averages: points grouped by cluster, stably, and one chunk owns some columns of one cluster.
#include <cmath>
#include <limits>

#include "aligned.h"
#include "entries.h"

namespace cragru {
namespace cpu {

namespace {

constexpr size_t MOST_PANEL_POINTS = 16;
constexpr size_t VALUES = 1 << 20;     // differences of one chunk of panels, about
constexpr size_t COLUMNS = 16;         // of one chunk of averages
constexpr size_t MEMBERS = 1 << 15;    // rows added between two looks at the flags

class Lloyd {
 public:
  Lloyd(const KMeans& input, Run& run)
      : points_(input.points.data()), dimension_(input.dimension), count_(input.points.size() / dimension_), clusters_(input.centroids.size() / dimension_),
        panel_(run.blocks.kmeans.panelPoints), run_(run), blocks_(run.blocks.kmeans) {
    result_.centroids.assign(input.centroids.begin(), input.centroids.end());
    result_.labels.assign(count_, NO_ITEM);
    result_.distances.assign(count_, 0.0);
    panels_.resize((count_ + panel_ - 1) / panel_ * panel_ * dimension_);
    eachPanel(1, [&](size_t panel, size_t count) {
      blocks_.packPanel(points_ + panel * panel_ * dimension_, count, dimension_, panels_.data() + panel * panel_ * dimension_);
    });
  }

  KMeansRound all(size_t rounds) {
    bool moved = true;
    for (; moved && result_.rounds < rounds; result_.rounds++) {
      moved = assign();
      group();
      if (repairEmpty()) {
        moved = true;
        group();
      }
      average();
      run_.progress(double(result_.rounds + 1), double(rounds));
    }
    assign();
    return std::move(result_);
  }

 private:
  // body(panel, points in it); `work` differences for each value of a panel.
  template <class Body>
  void eachPanel(size_t work, Body body) {
    const size_t panels = (count_ + panel_ - 1) / panel_, together = std::max<size_t>(1, VALUES / (panel_ * dimension_ * work));
    run_.parallel((panels + together - 1) / together, [&](size_t chunk) {
      const size_t end = std::min(panels, (chunk + 1) * together);
      for (size_t panel = chunk * together; panel < end; panel++) {
        body(panel, std::min(panel_, count_ - panel * panel_));
      }
    });
  }

  bool assign() {
    std::atomic<bool> moved{false};
    const size_t together = std::max<size_t>(4, VALUES / (panel_ * dimension_) / 4 * 4);
    eachPanel(clusters_, [&](size_t panel, size_t count) {
      alignas(64) uint64_t labels[MOST_PANEL_POINTS] = {0};
      alignas(64) double distances[MOST_PANEL_POINTS];
      std::fill(distances, distances + panel_, std::numeric_limits<double>::infinity());
      for (size_t cluster = 0; cluster < clusters_; cluster += together) {
        if (cluster > 0) run_.check();
        blocks_.assignPanel(panels_.data() + panel * panel_ * dimension_, result_.centroids.data(), cluster, std::min(clusters_, cluster + together),
                            dimension_, labels, distances);
      }
      bool changed = false;
      for (size_t at = 0; at < count; at++) {
        const size_t point = panel * panel_ + at;
        changed = changed || result_.labels[point] != labels[at];
        result_.labels[point] = uint32_t(labels[at]);
        result_.distances[point] = distances[at];
      }
      if (changed) moved.store(true, std::memory_order_relaxed);
    });
    return moved;
  }

  void group() {
    members_.resize(count_);
    starts_ = groupEntries(count_, clusters_, run_, [&](size_t point) -> size_t { return result_.labels[point]; },
                           [&](size_t slot, size_t point) { members_[slot] = uint32_t(point); });
  }

  // Gives each empty cluster the point farthest from its centroid, while some point is away from its own.
  bool repairEmpty() {
    std::vector<uint32_t> sizes(clusters_);
    for (size_t cluster = 0; cluster < clusters_; cluster++) sizes[cluster] = starts_[cluster + 1] - starts_[cluster];
    bool repaired = false;
    for (size_t cluster = 0; cluster < clusters_; cluster++) {
      if (sizes[cluster] > 0) continue;
      size_t far = count_;
      double farthest = 0;
      for (size_t point = 0; point < count_; point++) {
        if (point % VALUES == 0) run_.check();
        if (result_.distances[point] > farthest && sizes[result_.labels[point]] > 1) {
          far = point;
          farthest = result_.distances[point];
        }
      }
      if (far == count_) break;
      sizes[result_.labels[far]]--;
      sizes[cluster] = 1;
      result_.labels[far] = uint32_t(cluster);
      result_.distances[far] = 0;
      repaired = true;
    }
    return repaired;
  }

  void average() {
    const size_t slabs = (dimension_ + COLUMNS - 1) / COLUMNS;
    run_.parallel(clusters_ * slabs, [&](size_t chunk) {
      const size_t cluster = chunk / slabs, column = chunk % slabs * COLUMNS, columns = std::min(COLUMNS, dimension_ - column);
      double sums[COLUMNS] = {0};
      for (size_t from = starts_[cluster]; from < starts_[cluster + 1]; from += MEMBERS) {
        run_.check();
        blocks_.addRows(points_ + column, members_.data() + from, std::min<size_t>(MEMBERS, starts_[cluster + 1] - from), dimension_, columns, sums);
      }
      const double size = double(std::max(1u, starts_[cluster + 1] - starts_[cluster]));
      for (size_t d = 0; d < columns; d++) {
        const double mean = sums[d] / size;
        if (!std::isfinite(mean)) throw Error{"NATIVE_DIVERGED", "a mean of points left the finite numbers.", "Scale the points down."};
        result_.centroids[cluster * dimension_ + column + d] = mean;
      }
    });
  }

  const double* points_;
  const size_t dimension_, count_, clusters_, panel_;
  Run& run_;
  const KMeansBlocks& blocks_;
  AlignedVector<double> panels_;
  std::vector<uint32_t> starts_, members_;
  KMeansRound result_;
};

}  // namespace

KMeansRound kmeans(const KMeans& input, Run& run) { return Lloyd(input, run).all(input.rounds); }

}  // namespace cpu
}  // namespace cragru
