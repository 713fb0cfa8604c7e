// Lloyd's rounds of k-means in double, operation by operation as src/native/reference/kmeans.ts has them. Distances on the device, a
// thread a point; empty clusters are repaired on the host, where that is rare work; a warp owns a cluster's columns and adds its points
// in order.
#include <algorithm>
#include <cmath>
#include <vector>

#include "calls.h"
#include "sort.h"

namespace cragru {
namespace cuda {

namespace {

// Distances of one launch, times axes.
constexpr size_t LAUNCH_WORK = size_t(1) << 33;

// A thread a point. moved: set where a label changes.
__global__ void assign(const double* points, size_t from, size_t count, const double* centroids, size_t clusters, size_t dimension, uint32_t* labels, double* distances,
                       uint32_t* moved) {
  const size_t point = from + size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (point >= count) return;
  const double* own = points + point * dimension;
  uint32_t best = 0;
  double nearest = INFINITY;
  for (size_t cluster = 0; cluster < clusters; cluster++) {
    const double* centre = centroids + cluster * dimension;
    double distance = 0.0;
    for (size_t axis = 0; axis < dimension; axis++) {
      const double difference = own[axis] - centre[axis];
      distance = distance + difference * difference;
    }
    if (distance < nearest) {
      nearest = distance;
      best = unsigned(cluster);
    }
  }
  if (labels[point] != best) *moved = 1;
  labels[point] = best;
  distances[point] = nearest;
}

__global__ void keysOf(const uint32_t* labels, size_t count, uint32_t* keys, uint32_t* order, uint32_t* sizes) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= count) return;
  keys[at] = labels[at];
  order[at] = unsigned(at);
  atomicAdd(&sizes[labels[at]], 1u);
}

// A warp: 32 axes of a cluster, its points in order. starts [clusters + 1]; order: points by cluster.
__global__ void average(const double* points, const uint32_t* order, const uint32_t* starts, size_t clusters, size_t dimension, double* centroids, uint32_t* unsound) {
  const size_t warp = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32, tiles = (dimension + 31) / 32, cluster = warp / tiles;
  const size_t axis = warp % tiles * 32 + laneOf();
  if (cluster >= clusters || axis >= dimension) return;
  double sum = 0.0;
  for (unsigned at = starts[cluster]; at < starts[cluster + 1]; at++) sum = sum + points[size_t(order[at]) * dimension + axis];
  const unsigned size = starts[cluster + 1] - starts[cluster];
  const double mean = sum / double(size > 0 ? size : 1u);
  centroids[cluster * dimension + axis] = mean;
  if (!(fabs(mean) < INFINITY)) *unsound = 1;
}

// Gives each empty cluster the point farthest from its centroid; false where none was empty or none could be given.
bool repair(std::vector<uint32_t>& labels, std::vector<double>& distances, std::vector<uint32_t> sizes) {
  bool repaired = false;
  for (size_t cluster = 0; cluster < sizes.size(); cluster++) {
    if (sizes[cluster] > 0) continue;
    size_t far = labels.size();
    for (size_t point = 0; point < labels.size(); point++) {
      if (distances[point] > (far == labels.size() ? 0.0 : distances[far]) && sizes[labels[point]] > 1) far = point;
    }
    if (far == labels.size()) break;
    sizes[labels[far]]--;
    sizes[cluster] = 1;
    labels[far] = uint32_t(cluster);
    distances[far] = 0.0;
    repaired = true;
  }
  return repaired;
}

class Clustering {
 public:
  Clustering(Work& work, const CragruCudaKMeans& input)
      : work_(work), dimension_(input.dimension), count_(input.points.count / input.dimension), clusters_(input.centroids.count / input.dimension), points_(work, input.points),
        centroids_(work, input.centroids.count), distances_(work, count_), labels_(work, count_), flags_(work, 2), starts_(work, clusters_ + 1) {
    for (Buffer<uint32_t>* one : {&keys_, &order_, &otherKeys_, &otherOrder_}) *one = Buffer<uint32_t>(work, count_);
    const Input<double> centroids(work, input.centroids);
    work.copy(centroids_.data(), centroids.data(), centroids.size());
    work.fill(labels_.data(), 0xff, count_);
  }

  bool assignAll() {
    work_.fill(flags_.data(), 0, 2);
    const size_t step = std::max<size_t>(256, LAUNCH_WORK / (clusters_ * dimension_) / 256 * 256);
    for (size_t from = 0; from < count_; from += step) {
      CRAGRU_LAUNCH(work_, assign, gridFor(std::min(step, count_ - from), 256), 256, 0, points_.data(), from, count_, centroids_.data(), clusters_, dimension_, labels_.data(),
                    distances_.data(), flags_.data());
      work_.check();
    }
    uint32_t moved = 0;
    work_.download(&moved, flags_.data(), 1);
    work_.wait();
    return moved != 0;
  }

  // After assignAll: repairs and averages; true where a label changed.
  bool moveCentroids() {
    std::vector<uint32_t> sizes = countLabels();
    bool repaired = false;
    if (std::find(sizes.begin(), sizes.end(), 0u) != sizes.end()) {
      std::vector<uint32_t> labels(count_);
      std::vector<double> distances(count_);
      work_.download(labels.data(), labels_.data(), count_);
      work_.download(distances.data(), distances_.data(), count_);
      work_.wait();
      repaired = repair(labels, distances, sizes);
      if (repaired) {
        work_.upload(labels_.data(), labels.data(), count_);
        countLabels();
      }
    }
    exclusiveScan(work_, starts_.data(), clusters_ + 1);
    unsigned bits = 0;
    while ((clusters_ - 1) >> bits) bits++;
    sortByKey(work_, keys_, order_, otherKeys_, otherOrder_, bits);
    CRAGRU_LAUNCH(work_, average, gridFor(clusters_ * divide(dimension_, 32) * 32, 128), 128, 0, points_.data(), order_.data(), starts_.data(), clusters_, dimension_,
                  centroids_.data(), flags_.data() + 1);
    uint32_t unsound = 0;
    work_.download(&unsound, flags_.data() + 1, 1);
    work_.wait();
    if (unsound != 0) throw Failure{CRAGRU_CUDA_MEANS, "a mean of points left the finite numbers"};
    return repaired;
  }

  void finish(const CragruCudaKMeans& input) {
    work_.download(input.labels, labels_.data(), count_);
    work_.download(input.resultCentroids, centroids_.data(), clusters_ * dimension_);
    work_.download(input.distances, distances_.data(), count_);
    work_.wait();
  }

 private:
  // Points of each cluster, to the host and to starts_; keys and order of the sort.
  std::vector<uint32_t> countLabels() {
    std::vector<uint32_t> sizes(clusters_);
    work_.fill(starts_.data(), 0, clusters_ + 1);
    CRAGRU_LAUNCH(work_, keysOf, gridFor(count_, 256), 256, 0, labels_.data(), count_, keys_.data(), order_.data(), starts_.data());
    work_.download(sizes.data(), starts_.data(), clusters_);
    work_.wait();
    return sizes;
  }

  Work& work_;
  size_t dimension_, count_, clusters_;
  Input<double> points_;
  Buffer<double> centroids_, distances_;
  Buffer<uint32_t> labels_, flags_, starts_, keys_, order_, otherKeys_, otherOrder_;
};

}  // namespace

void kmeans(Work& work, const CragruCudaKMeans& input) {
  Clustering clustering(work, input);
  size_t rounds = 0;
  for (bool moved = true; moved && rounds < input.rounds; rounds++) {
    moved = clustering.assignAll();
    moved = clustering.moveCentroids() || moved;
    work.step(double(rounds + 1), double(input.rounds));
  }
  clustering.assignAll();
  clustering.finish(input);
  *input.done = rounds;
}

}  // namespace cuda
}  // namespace cragru
