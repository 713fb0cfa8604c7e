// Device time of every kernel, on generated data of usual shapes: JSON lines with microseconds and the share of the roof that bounds
// it. The roofs are measured first, in the same run. Times are sums of the launches of one call, by events, the median of several
// calls; copies between host and device are not in them. Needs a GPU.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "../cuda/calls.h"
#include "../kernels.h"

using namespace cragru;

namespace {

constexpr int REPEATS = 5;

uint64_t randomState = 88172645463325252ull;
uint32_t random32() {
  randomState ^= randomState << 13;
  randomState ^= randomState >> 7;
  randomState ^= randomState << 17;
  return uint32_t(randomState >> 32);
}
double uniform() { return random32() / 4294967296.0; }

template <class T>
std::vector<T> numbers(size_t count, double scale) {
  std::vector<T> values(count);
  for (T& value : values) value = T((uniform() - 0.5) * scale);
  return values;
}

struct Matrix {
  std::vector<uint32_t> offsets{0}, columns;
};

// Rows of about `each` columns, popular ones more often.
Matrix interactions(size_t rows, size_t columns, size_t each) {
  Matrix matrix;
  for (size_t row = 0; row < rows; row++) {
    const size_t wanted = std::max<size_t>(1, size_t(double(each) * (0.3 - 0.7 * std::log(1e-9 + uniform()))));
    std::vector<uint32_t> own;
    for (size_t at = 0; at < wanted; at++) own.push_back(uint32_t(double(columns) * std::pow(uniform(), 2.5)) % uint32_t(columns));
    std::sort(own.begin(), own.end());
    own.erase(std::unique(own.begin(), own.end()), own.end());
    matrix.columns.insert(matrix.columns.end(), own.begin(), own.end());
    matrix.offsets.push_back(uint32_t(matrix.columns.size()));
  }
  return matrix;
}

CragruCudaFloats of(const std::vector<float>& values) { return {values.data(), values.size(), nullptr}; }
CragruCudaDoubles of(const std::vector<double>& values) { return {values.data(), values.size(), nullptr}; }
CragruCudaWords of(const std::vector<uint32_t>& values) { return {values.data(), values.size(), nullptr}; }
CragruCudaCsr of(const Matrix& matrix) { return {of(matrix.offsets), of(matrix.columns)}; }

// Microseconds of each kernel, by two events a launch.
class Events : public cuda::Watcher {
 public:
  void before(const char* kernel, cudaStream_t stream) override {
    if (used_ + 2 > pool_.size()) {
      pool_.resize(used_ + 2);
      cudaEventCreate(&pool_[used_]);
      cudaEventCreate(&pool_[used_ + 1]);
    }
    names_.push_back(kernel);
    cudaEventRecord(pool_[used_], stream);
  }
  void after(cudaStream_t stream) override {
    cudaEventRecord(pool_[used_ + 1], stream);
    used_ += 2;
  }
  // After the work is done; forgets it.
  double take(std::map<std::string, double>& parts) {
    double total = 0;
    for (size_t at = 0; at < names_.size(); at++) {
      float milliseconds = 0;
      cudaEventElapsedTime(&milliseconds, pool_[2 * at], pool_[2 * at + 1]);
      parts[names_[at]] += 1e3 * milliseconds;
      total += 1e3 * milliseconds;
    }
    names_.clear();
    used_ = 0;
    return total;
  }

 private:
  std::vector<cudaEvent_t> pool_;
  std::vector<const char*> names_;
  size_t used_ = 0;
};

Events events;

// `roof`: the least time that the bounding roof allows, in microseconds.
template <class In>
void measure(const char* kernel, const char* shape, int (*call)(CragruCudaCall*, const In*), const In& input, double roof, const char* roofName) {
  std::vector<std::pair<double, std::map<std::string, double>>> runs;
  for (int repeat = 0; repeat <= REPEATS; repeat++) {
    CragruCudaCall context = {};
    const int status = call(&context, &input);
    if (status != CRAGRU_CUDA_DONE) {
      std::printf("{\"kernel\":\"%s\",\"shape\":\"%s\",\"status\":%d,\"text\":\"%s\"}\n", kernel, shape, status, context.text);
      return;
    }
    std::map<std::string, double> parts;
    const double time = events.take(parts);
    if (repeat > 0) runs.push_back({time, parts});  // the first loads modules and memory
  }
  std::sort(runs.begin(), runs.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  const auto& median = runs[runs.size() / 2];
  std::printf("{\"kernel\":\"%s\",\"shape\":\"%s\",\"us\":%.1f,\"least_us\":%.1f,\"roof\":\"%s\",\"roof_us\":%.1f,\"share\":%.3f,\"parts\":{", kernel, shape, median.first,
              runs[0].first, roofName, roof, roof / median.first);
  const char* comma = "";
  for (const auto& part : median.second) {
    std::printf("%s\"%s\":%.1f", comma, part.first.c_str(), part.second);
    comma = ",";
  }
  std::printf("}}\n");
  std::fflush(stdout);
}

template <class T>
__global__ void fma(T factor, int rounds, T* out) {
  T sums[8];
  for (int at = 0; at < 8; at++) sums[at] = T(threadIdx.x + at);
  for (int round = 0; round < rounds; round++) {
#pragma unroll
    for (int step = 0; step < 16; step++) {
#pragma unroll
      for (int at = 0; at < 8; at++) {
        if (sizeof(T) == 4) sums[at] = T(__fmaf_rn(float(sums[at]), float(factor), float(factor)));
        else sums[at] = T(__fma_rn(double(sums[at]), double(factor), double(factor)));
      }
    }
  }
  T all = 0;
  for (int at = 0; at < 8; at++) all += sums[at];
  if (all == T(0.123)) *out = all;
}

__global__ void readAll(const float4* from, size_t count, int rounds, float* out) {
  float sum = 0;
  for (int round = 0; round < rounds; round++) {
    for (size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x; at < count; at += size_t(gridDim.x) * blockDim.x) {
      const float4 value = __ldcg(from + (at + size_t(round) * 4096) % count);
      sum += value.x + value.y + value.z + value.w;
    }
  }
  if (sum == 0.123f) *out = sum;
}

template <class Body>
double timeOf(Body body) {
  cudaEvent_t from, to;
  cudaEventCreate(&from);
  cudaEventCreate(&to);
  std::vector<float> times;
  for (int repeat = 0; repeat < 6; repeat++) {
    cudaEventRecord(from);
    body();
    cudaEventRecord(to);
    cudaEventSynchronize(to);
    float milliseconds = 0;
    cudaEventElapsedTime(&milliseconds, from, to);
    if (repeat > 0) times.push_back(milliseconds);
  }
  std::sort(times.begin(), times.end());
  return 1e-3 * times[times.size() / 2];
}

struct Roofs {
  double copy, cache, single, twice;  // bytes/s of memory and of the second-level cache, flop/s in float and double
};

Roofs measureRoofs() {
  Roofs roofs = {};
  cudaDeviceProp properties;
  cudaGetDeviceProperties(&properties, 0);
  const size_t bytes = std::min<size_t>(size_t(1) << 31, properties.totalGlobalMem / 8);
  char *a = nullptr, *b = nullptr;
  cudaMalloc(&a, bytes);
  cudaMalloc(&b, bytes);
  cudaMemset(a, 1, bytes);
  roofs.copy = 2.0 * double(bytes) / timeOf([&] { cudaMemcpyAsync(b, a, bytes, cudaMemcpyDeviceToDevice); });
  const size_t small = size_t(16) << 20;
  roofs.cache = 20.0 * double(small) / timeOf([&] { readAll<<<properties.multiProcessorCount * 4, 512>>>(reinterpret_cast<float4*>(a), small / 16, 20, reinterpret_cast<float*>(b)); });
  const double steps = 8.0 * 16 * 512 * 2 * 4.0 * properties.multiProcessorCount * 512;
  roofs.single = steps / timeOf([&] { fma<float><<<properties.multiProcessorCount * 4, 512>>>(0.999f, 512, reinterpret_cast<float*>(b)); });
  roofs.twice = steps / timeOf([&] { fma<double><<<properties.multiProcessorCount * 4, 512>>>(0.999, 512, reinterpret_cast<double*>(b)); });
  cudaFree(a);
  cudaFree(b);
  std::printf("{\"device\":\"%s\",\"copy_gb_s\":%.0f,\"cache_read_gb_s\":%.0f,\"fp32_gflops\":%.0f,\"fp64_gflops\":%.0f}\n", properties.name, roofs.copy / 1e9, roofs.cache / 1e9,
              roofs.single / 1e9, roofs.twice / 1e9);
  return roofs;
}

void benchData(const char* shape, size_t users, size_t items, size_t each, const Roofs& roofs) {
  const CragruCudaTable& table = *cragru_cuda_table();
  const size_t d = 64, k = 50, rows = users + items;
  const Matrix data = interactions(users, items, each);
  const double entries = double(data.columns.size());
  const std::vector<float> parameters = numbers<float>(rows * d, 0.2);
  {
    const std::vector<float> u(parameters.begin(), parameters.begin() + ptrdiff_t(users * d)), i(parameters.begin() + ptrdiff_t(users * d), parameters.end());
    std::vector<uint32_t> best(users * k);
    std::vector<float> scores(users * k);
    CragruCudaScoreTopK input = {of(u), of(i), users, items, d, k, 1, of(data), best.data(), scores.data()};
    measure("scoreTopK", shape, table.scoreTopK, input, 2e6 * double(users) * double(items) * double(d) / roofs.single, "fp32");
  }
  const bool cached = double(rows) * 256 < 4e7;
  std::vector<float> result(rows * d);
  for (const int bf16 : {0, 1}) {
    CragruCudaPropagate input = {users, items, d, 3, bf16, of(parameters), of(data), result.data()};
    measure(bf16 ? "propagate bf16" : "propagate", shape, table.propagate, input, 1e6 * 3 * 2 * entries * double(d) * (bf16 ? 2 : 4) / (cached ? roofs.cache : roofs.copy),
            cached ? "cache read" : "memory");
  }
  for (const size_t layers : {0, 3}) {
    std::vector<float> p = parameters, first(rows * d), second(rows * d);
    uint64_t step = 0;
    double loss = 0;
    const uint32_t batches = uint32_t(std::max(1.0, entries / 8192));
    CragruCudaTraining input = {users, items, d, layers, p.data(), first.data(), second.data(), &step, of(data), 1, batches, 0, 1, 1e-3, 1e-4, 1, 0, &loss};
    const double bytes = layers == 0 ? 6.0 * 256 * entries : double(batches) * (2.0 * double(layers) * 2 * entries * 256 + 7.0 * double(rows) * 256);
    measure(layers == 0 ? "bprEpoch" : "lightGcnEpoch", shape, table.train, input, 1e6 * bytes / (cached ? roofs.cache : roofs.copy), cached ? "cache read" : "memory");
  }
  {
    std::vector<uint32_t> counts(items * (items + 1) / 2), best(items * k), shared(items * k);
    // 16 population counts a clock and multiprocessor, beside 128 fused multiply-adds.
    const double rate = roofs.single / 2 / 8, words = double(items) * double(items) / 2 * double(users) / 32;
    CragruCudaGram input = {of(data), items, counts.data()};
    measure("gram", shape, table.gram, input, 1e6 * words / rate, "population count");
    CragruCudaCooccurrence near = {of(data), items, k, best.data(), shared.data()};
    measure("itemCooccurrence", shape, table.itemCooccurrence, near, 2e6 * words / rate, "population count");
  }
  {
    std::vector<uint32_t> u, i, j;
    for (uint32_t user = 0; user < users; user++) {
      for (size_t at = data.offsets[user]; at < data.offsets[user + 1]; at++) u.push_back(user), i.push_back(data.columns[at]), j.push_back(random32() % uint32_t(items));
    }
    const std::vector<double> vector = numbers<double>(rows * d, 1.0);
    std::vector<double> product(rows * d);
    CragruCudaHessianProduct input = {{users, items, d, 3, of(parameters), of(data), 0, of(u), of(i), of(j), {nullptr, 0, nullptr}, 0.01, 0}, of(vector), product.data()};
    measure("hessianProduct", shape, table.hessianProduct, input, 1e6 * entries * double(d) * 8 * (9 * 2 + 18) / roofs.copy, "memory");
  }
}

void benchAttention(const Roofs& roofs) {
  const size_t users = 1000, candidates = 50, history = 165, d = 64, heads = 8;
  std::vector<uint32_t> queryOffsets, keyOffsets;
  for (uint32_t user = 0; user <= users; user++) queryOffsets.push_back(uint32_t(user * candidates)), keyOffsets.push_back(uint32_t(user * history));
  const std::vector<float> queries = numbers<float>(users * candidates * d, 2.0), keys = numbers<float>(users * history * d, 2.0);
  const double cells = double(users * candidates * history), roof = 1e6 * cells * (2.0 * double(d) + 2.0 * 16 * double(heads)) / roofs.single;
  for (const int output : {int(CRAGRU_CUDA_MAX), int(CRAGRU_CUDA_TOP)}) {
    const size_t count = output == CRAGRU_CUDA_TOP ? users * candidates * 10 : users * history;
    std::vector<float> result(count);
    std::vector<uint32_t> resultKeys(count);
    CragruCudaAttention input = {of(queries), of(keys), {nullptr, 0, nullptr}, of(queryOffsets), of(keyOffsets), d, heads, 10, output, count, result.data(), resultKeys.data()};
    measure("attentionWeights", output == CRAGRU_CUDA_TOP ? "1000 x 50 x 165, top 10" : "1000 x 50 x 165, maximum", cragru_cuda_table()->attentionWeights, input, roof, "fp32");
  }
}

void benchKnapsack(const Roofs& roofs) {
  const size_t instances = 6040, categories = 18, levels = 10, capacity = 100;
  std::vector<uint32_t> offsets, each(instances * categories, levels), capacities(instances, capacity), choices(instances * categories);
  for (uint32_t instance = 0; instance <= instances; instance++) offsets.push_back(uint32_t(instance * categories));
  const std::vector<double> values = numbers<double>(instances * categories * levels, 1.0);
  std::vector<double> totals(instances);
  CragruCudaKnapsack input = {of(offsets), of(each), of(capacities), of(values), 0, choices.data(), totals.data()};
  // An add and a comparison a step.
  const double steps = double(instances) * double(categories) * double(levels) * double(capacity + 1);
  measure("knapsack", "6040 x 18 x 10, capacity 100", cragru_cuda_table()->knapsack, input, 1e6 * 2 * steps / (roofs.twice / 2), "fp64 instructions");
}

void benchLinear(const Roofs& roofs) {
  for (const size_t n : {size_t(1682), size_t(3706)}) {
    const std::string shape = "order " + std::to_string(n);
    std::vector<double> matrix(n * (n + 1) / 2), work;
    for (size_t i = 0; i < n; i++) {
      for (size_t j = 0; j <= i; j++) matrix[i * (i + 1) / 2 + j] = (i == j ? double(n) : 0.0) + uniform();
    }
    for (const size_t rank : {1, 100}) {
      const std::vector<double> vectors = numbers<double>(rank * n, 1e-3), weights(rank, 1.0);
      work = matrix;
      CragruCudaRankUpdate input = {work.data(), n, of(vectors), of(weights)};
      const double memory = 8.0 * double(n) * double(n) / roofs.copy, arithmetic = double(rank) * double(n) * double(n) / roofs.twice;
      measure("rankUpdate", (shape + ", rank " + std::to_string(rank)).c_str(), cragru_cuda_table()->rankUpdate, input, 1e6 * std::max(memory, arithmetic),
              memory > arithmetic ? "memory" : "fp64");
    }
    // Each repeat inverts what the one before left.
    work = matrix;
    for (size_t i = 0; i < n; i++) work[i * (i + 1) / 2 + i] += double(n);
    CragruCudaCholesky input = {work.data(), n, 1};
    const double flop = double(n) * double(n) * double(n) * (1.0 / 3 + 2.0 / 3);
    measure("cholesky inverse", shape.c_str(), cragru_cuda_table()->cholesky, input, 1e6 * flop / roofs.twice, "fp64");
  }
}

void benchKMeans(const Roofs& roofs) {
  const size_t points = 20000, d = 300, clusters = 18, rounds = 5;
  const std::vector<double> data = numbers<double>(points * d, 1.0), centroids(data.begin(), data.begin() + ptrdiff_t(clusters * d));
  std::vector<uint32_t> labels(points);
  std::vector<double> result(clusters * d), distances(points);
  size_t done = 0;
  CragruCudaKMeans input = {of(data), of(centroids), d, rounds, labels.data(), result.data(), distances.data(), &done};
  measure("kmeans", "20000 x 300, 18 clusters, 5 rounds", cragru_cuda_table()->kmeans, input, 1e6 * 3 * double(points) * double(d) * double(clusters) * double(rounds + 1) / (roofs.twice / 2),
          "fp64 instructions");
}

}  // namespace

int main() {
  char text[CRAGRU_CUDA_TEXT];
  if (cragru_cuda_table()->countDevices(text, sizeof text) == 0) {
    std::printf("no GPU: skipped (%s)\n", text);
    return 0;
  }
  const Roofs roofs = measureRoofs();
  cuda::watcher = &events;
  benchData("ml-100k", 943, 1682, 106, roofs);
  benchData("ml-1m", 6040, 3706, 180, roofs);
  benchData("netflix", 7315, 17129, 330, roofs);
  benchAttention(roofs);
  benchKnapsack(roofs);
  benchLinear(roofs);
  benchKMeans(roofs);
  return 0;
}
