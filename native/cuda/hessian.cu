// Hessian-vector products of BPR and BCE, and conjugate gradients on them; the order of operations stands in
// src/native/reference/hessian.ts. Samples are sorted by user once a call and their item occurrences by item, stably; a warp then owns
// the row it sums and walks its occurrences in order. The steps of conjugate gradients are decided on the host.
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "device_math.h"
#include "graph.h"
#include "sort.h"

namespace cragru {
namespace cuda {

namespace {

constexpr unsigned THREADS = 128;
constexpr size_t BLOCK_ROWS = 64;  // rows of one block of an inner product, as the reference has them

// Samples in order of user; items are stacked row numbers. A reference is 2 sample for the item, 2 sample + 1 for the negative.
struct View {
  size_t count, dimension;
  const uint32_t *users, *items, *negatives;  // negatives null: BCE
  const float* labels;
  double *c, *r, *a;  // of each sample
  int full;
};

__global__ void gather(const uint32_t* order, size_t count, const uint32_t* users, const uint32_t* items, const uint32_t* negatives, const float* labels,
                       uint32_t userCount, uint32_t* usersTo, uint32_t* itemsTo, uint32_t* negativesTo, float* labelsTo, uint32_t* keys, uint32_t* references) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= count) return;
  const uint32_t sample = order[at];
  const size_t each = negatives ? 2 : 1;
  usersTo[at] = users[sample];
  itemsTo[at] = userCount + items[sample];
  keys[each * at] = items[sample];
  references[each * at] = unsigned(2 * at);
  if (negatives) {
    negativesTo[at] = userCount + negatives[sample];
    keys[2 * at + 1] = negatives[sample];
    references[2 * at + 1] = unsigned(2 * at + 1);
  } else {
    labelsTo[at] = labels[sample];
  }
}

__global__ void number(uint32_t* values, size_t count) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < count) values[at] = unsigned(at);
}

__global__ void widen(const float* from, size_t count, double* to) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < count) to[at] = double(from[at]);
}

__device__ __forceinline__ double closed(double sum) {
  sum = sum + __shfl_xor_sync(ALL_LANES, sum, 4);
  sum = sum + __shfl_xor_sync(ALL_LANES, sum, 2);
  return sum + __shfl_xor_sync(ALL_LANES, sum, 1);
}

// q_i - q_j, or q_i: what a sample sees of items.
__device__ __forceinline__ double across(const View& view, const double* table, size_t sample, size_t d) {
  const double item = table[size_t(view.items[sample]) * view.dimension + d];
  return view.negatives ? item - table[size_t(view.negatives[sample]) * view.dimension + d] : item;
}

// Eight lanes a sample: c and r.
__global__ void scalars(View view, const double* e) {
  const size_t number = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) / 8, sample = number < view.count ? number : view.count - 1;
  const double* user = e + size_t(view.users[sample]) * view.dimension;
  double sum = 0.0;
  for (size_t d = threadIdx.x % 8; d < view.dimension; d += 8) sum = sum + user[d] * across(view, e, sample, d);
  const double x = closed(sum), rising = sigmoidOf(x), falling = sigmoidOf(-x);
  if (number >= view.count || threadIdx.x % 8 != 0) return;
  view.c[sample] = rising * falling;
  view.r[sample] = view.negatives ? -falling : rising - double(view.labels[sample]);
}

// Eight lanes a sample: a.
__global__ void bend(View view, const double* e, const double* v) {
  const size_t number = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) / 8, sample = number < view.count ? number : view.count - 1;
  const size_t user = size_t(view.users[sample]) * view.dimension;
  double s = 0.0, t = 0.0;
  for (size_t d = threadIdx.x % 8; d < view.dimension; d += 8) {
    s = s + v[user + d] * across(view, e, sample, d);
    t = t + e[user + d] * across(view, v, sample, d);
  }
  const double sum = closed(s + t);
  if (number < view.count && threadIdx.x % 8 == 0) view.a[sample] = view.c[sample] * sum;
}

// A warp a user with samples, at its first: A_u.
__global__ void __launch_bounds__(THREADS) sumUsers(View view, const double* e, const double* v, double* sums) {
  const size_t head = (size_t(blockIdx.x) * THREADS + threadIdx.x) / 32;
  if (head >= view.count || (head > 0 && view.users[head - 1] == view.users[head])) return;
  const uint32_t user = view.users[head];
  for (size_t d = laneOf(); d < view.dimension; d += 32) {
    double sum = 0.0;
    for (size_t sample = head; sample < view.count && view.users[sample] == user; sample++) {
      const double pull = view.a[sample] * across(view, e, sample, d);
      sum = sum + (view.full ? pull + view.r[sample] * across(view, v, sample, d) : pull);
    }
    sums[user * view.dimension + d] = sum;
  }
}

__device__ __forceinline__ uint32_t itemOf(const View& view, uint32_t reference) {
  return (reference & 1u) != 0 ? view.negatives[reference / 2] : view.items[reference / 2];
}

// A warp an item with occurrences, at its first: A_i.
__global__ void __launch_bounds__(THREADS) sumItems(View view, const uint32_t* references, size_t count, const double* e, const double* v, double* sums) {
  const size_t head = (size_t(blockIdx.x) * THREADS + threadIdx.x) / 32;
  if (head >= count) return;
  const uint32_t item = itemOf(view, references[head]);
  if (head > 0 && itemOf(view, references[head - 1]) == item) return;
  size_t end = head + 1;
  while (end < count && itemOf(view, references[end]) == item) end++;
  for (size_t d = laneOf(); d < view.dimension; d += 32) {
    double sum = 0.0;
    for (size_t at = head; at < end; at++) {
      const uint32_t reference = references[at], sample = reference / 2;
      const size_t user = size_t(view.users[sample]) * view.dimension + d;
      double pull = view.a[sample] * e[user];
      if (view.full) pull = pull + view.r[sample] * v[user];
      sum = sum + ((reference & 1u) != 0 ? -pull : pull);
    }
    sums[item * view.dimension + d] = sum;
  }
}

__global__ void divideBy(double* values, size_t count, double divisor) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < count) values[at] = values[at] / divisor;
}

// ---- S in double ----

__device__ __forceinline__ double scaleOf(const uint32_t* offsets, size_t row) {
  const uint32_t degree = offsets[row + 1] - offsets[row];
  return degree > 0 ? 1.0 / sqrt(double(degree)) : 0.0;
}

__global__ void scaleDoubles(const uint32_t* offsets, const double* input, size_t rows, size_t dimension, double* scaled) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < rows * dimension) scaled[at] = scaleOf(offsets, at / dimension) * input[at];
}

// A warp: 32 columns of a row. The next scaled rows, or at the last hop T / divisor.
__global__ void __launch_bounds__(THREADS) hopDoubles(GraphView graph, const double* input, size_t dimension, const double* scaled, double* next, double divisor) {
  constexpr int AHEAD = 8;
  const size_t warp = (size_t(blockIdx.x) * THREADS + threadIdx.x) / 32, tiles = (dimension + 31) / 32, row = warp / tiles;
  if (row >= graph.rows) return;
  const size_t d = warp % tiles * 32 + laneOf();
  const unsigned from = graph.offsets[row], to = graph.offsets[row + 1];
  const double* own = scaled + (d < dimension ? d : 0);
  double sum = 0.0;
  for (unsigned start = from; start < to; start += 32) {
    const unsigned left = least(to - start, 32u);
    const unsigned neighbour = laneOf() < left ? graph.columns[start + laneOf()] : 0u;
    unsigned edge = 0;
    for (; edge + AHEAD <= left; edge += AHEAD) {
      double values[AHEAD];
#pragma unroll
      for (int a = 0; a < AHEAD; a++) values[a] = own[size_t(__shfl_sync(ALL_LANES, neighbour, edge + a)) * dimension];
#pragma unroll
      for (int a = 0; a < AHEAD; a++) sum = sum + values[a];
    }
    for (; edge < left; edge++) sum = sum + own[size_t(__shfl_sync(ALL_LANES, neighbour, edge)) * dimension];
  }
  if (d >= dimension) return;
  const double scale = scaleOf(graph.offsets, row), t = input[row * dimension + d] + scale * sum;
  next[row * dimension + d] = divisor > 0.0 ? t / divisor : scale * t;
}

class Smoother {
 public:
  Smoother(Work& work, const CragruCudaLoss& loss) : layers_(loss.layers), dimension_(loss.dimension) {
    if (layers_ == 0) return;
    graph_ = std::make_unique<Graph>(work, loss.positives, loss.userCount, loss.itemCount);
    const size_t size = graph_->view().rows * dimension_;
    scaled_ = Buffer<double>(work, size);
    next_ = Buffer<double>(work, size);
  }
  // What stands in `values` becomes S of it; the result may lie in `spare` then, whose place it takes.
  void apply(Work& work, Buffer<double>& values, Buffer<double>& spare) {
    if (layers_ == 0) return;
    const GraphView view = graph_->view();
    CRAGRU_LAUNCH(work, scaleDoubles, gridFor(values.size(), 256), 256, 0, view.offsets, values.data(), view.rows, dimension_, scaled_.data());
    const size_t warps = view.rows * divide(dimension_, 32);
    for (size_t layer = 1; layer <= layers_; layer++) {
      const bool last = layer == layers_;
      CRAGRU_LAUNCH(work, hopDoubles, gridFor(warps * 32, THREADS), THREADS, 0, view, values.data(), dimension_, scaled_.data(), last ? spare.data() : next_.data(),
                    last ? double(layers_ + 1) : 0.0);
      if (!last) std::swap(scaled_, next_);
      work.check();
    }
    std::swap(values, spare);
  }

 private:
  size_t layers_, dimension_;
  std::unique_ptr<Graph> graph_;
  Buffer<double> scaled_, next_;
};

// ---- vectors of chosen rows ----

__global__ void scatterRows(const double* from, const uint32_t* rows, size_t count, size_t dimension, double* to) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < count * dimension) to[(rows ? size_t(rows[at / dimension]) : at / dimension) * dimension + at % dimension] = from[at];
}

// output = (bent + regularisation * input) + damping * input, on the chosen rows.
__global__ void gatherRows(const double* bent, const uint32_t* rows, const double* input, size_t count, size_t dimension, double regularisation, double damping,
                           double* output) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= count * dimension) return;
  const double value = bent[(rows ? size_t(rows[at / dimension]) : at / dimension) * dimension + at % dimension];
  output[at] = (value + regularisation * input[at]) + damping * input[at];
}

// Eight lanes a block of rows.
__global__ void innerBlocks(const double* a, const double* b, size_t rows, size_t dimension, size_t blocks, double* sums) {
  const size_t number = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) / 8, block = number < blocks ? number : blocks - 1;
  double sum = 0.0;
  for (size_t row = block * BLOCK_ROWS; row < least(rows, (block + 1) * BLOCK_ROWS); row++) {
    for (size_t d = threadIdx.x % 8; d < dimension; d += 8) sum = sum + a[row * dimension + d] * b[row * dimension + d];
  }
  sum = closed(sum);
  if (number < blocks && threadIdx.x % 8 == 0) sums[block] = sum;
}

// to += factor * from
__global__ void addScaled(double factor, const double* from, size_t count, double* to) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < count) to[at] = to[at] + factor * from[at];
}

// to = from + factor * to
__global__ void scaleAndAdd(double factor, const double* from, size_t count, double* to) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < count) to[at] = from[at] + factor * to[at];
}

__global__ void subtract(const double* a, const double* b, size_t count, double* to) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < count) to[at] = a[at] - b[at];
}

double finite(double value) {
  if (!std::isfinite(value)) throw Failure{CRAGRU_CUDA_SUMS, "a sum left the finite numbers"};
  return value;
}

unsigned bitsOfCount(size_t count) {
  unsigned bits = 0;
  while ((count - 1) >> bits) bits++;
  return bits;
}

// H of one loss at one point, restricted to rows.
class Curvature {
 public:
  Curvature(Work& work, const CragruCudaLoss& loss, const uint32_t* rows, size_t count)
      : loss_(loss), all_((loss.userCount + loss.itemCount) * loss.dimension), count_(count), smoother_(work, loss), e_(work, all_), v_(work, all_), spare_(work, all_),
        sums_(work, all_) {
    if (rows) {
      rows_ = Buffer<uint32_t>(work, count);
      work.upload(rows_.data(), rows, count);
    }
    const Input<float> parameters(work, loss.parameters);
    CRAGRU_LAUNCH(work, widen, gridFor(all_, 256), 256, 0, parameters.data(), all_, e_.data());
    smoother_.apply(work, e_, spare_);
    sort(work);
    if (view_.count > 0) CRAGRU_LAUNCH(work, scalars, gridFor(view_.count * 8, 256), 256, 0, view_, e_.data());
  }

  // output = H input + damping * input, both [count, dimension].
  void product(Work& work, const double* input, double damping, double* output) {
    const size_t values = count_ * loss_.dimension, samples = view_.count;
    if (rows_.size() > 0) work.fill(v_.data(), 0, all_);
    CRAGRU_LAUNCH(work, scatterRows, gridFor(values, 256), 256, 0, input, rows_.data(), count_, loss_.dimension, v_.data());
    smoother_.apply(work, v_, spare_);
    work.fill(sums_.data(), 0, all_);
    if (samples > 0) {
      CRAGRU_LAUNCH(work, bend, gridFor(samples * 8, 256), 256, 0, view_, e_.data(), v_.data());
      CRAGRU_LAUNCH(work, sumUsers, gridFor(samples * 32, THREADS), THREADS, 0, view_, e_.data(), v_.data(), sums_.data());
      CRAGRU_LAUNCH(work, sumItems, gridFor(references_.size() * 32, THREADS), THREADS, 0, view_, references_.data(), references_.size(), e_.data(), v_.data(), sums_.data());
    }
    CRAGRU_LAUNCH(work, divideBy, gridFor(all_, 256), 256, 0, sums_.data(), all_, double(std::max<size_t>(1, samples)));
    smoother_.apply(work, sums_, spare_);
    CRAGRU_LAUNCH(work, gatherRows, gridFor(values, 256), 256, 0, sums_.data(), rows_.data(), input, count_, loss_.dimension, loss_.regularisation, damping, output);
  }

 private:
  void sort(Work& work) {
    const size_t count = loss_.users.count, each = loss_.bce ? 1 : 2;
    Buffer<uint32_t> keys(work, each * count), otherKeys(work, each * count), otherReferences(work, each * count);
    const Input<uint32_t> users(work, loss_.users), items(work, loss_.items), negatives(work, loss_.negatives);
    const Input<float> labels(work, loss_.labels);
    users_ = Buffer<uint32_t>(work, count);
    items_ = Buffer<uint32_t>(work, count);
    negatives_ = Buffer<uint32_t>(work, loss_.bce ? 0 : count);
    labels_ = Buffer<float>(work, loss_.bce ? count : 0);
    references_ = Buffer<uint32_t>(work, each * count);
    c_ = Buffer<double>(work, count);
    r_ = Buffer<double>(work, count);
    a_ = Buffer<double>(work, count);
    {
      Buffer<uint32_t> userKeys(work, count), order(work, count), spareKeys(work, count), spareOrder(work, count);
      work.copy(userKeys.data(), users.data(), count);
      CRAGRU_LAUNCH(work, number, gridFor(count, 256), 256, 0, order.data(), count);
      sortByKey(work, userKeys, order, spareKeys, spareOrder, bitsOfCount(loss_.userCount));
      CRAGRU_LAUNCH(work, gather, gridFor(count, 256), 256, 0, order.data(), count, users.data(), items.data(), loss_.bce ? nullptr : negatives.data(), labels.data(),
                    uint32_t(loss_.userCount), users_.data(), items_.data(), negatives_.data(), labels_.data(), keys.data(), references_.data());
    }
    sortByKey(work, keys, references_, otherKeys, otherReferences, bitsOfCount(loss_.itemCount));
    view_ = {count, loss_.dimension, users_.data(), items_.data(), loss_.bce ? nullptr : negatives_.data(), labels_.data(), c_.data(), r_.data(), a_.data(),
             loss_.gaussNewton ? 0 : 1};
  }

  const CragruCudaLoss& loss_;
  size_t all_, count_;
  Smoother smoother_;
  Buffer<double> e_, v_, spare_, sums_, c_, r_, a_;
  Buffer<uint32_t> rows_, users_, items_, negatives_, references_;
  Buffer<float> labels_;
  View view_ = {};
};

// Sums over vectors of `rows` rows.
class Inner {
 public:
  Inner(Work& work, size_t rows, size_t dimension) : rows_(rows), dimension_(dimension), host_(divide(rows, BLOCK_ROWS)), device_(work, host_.size()) {}
  double operator()(Work& work, const double* a, const double* b) {
    if (rows_ == 0) return 0.0;
    CRAGRU_LAUNCH(work, innerBlocks, gridFor(host_.size() * 8, 256), 256, 0, a, b, rows_, dimension_, host_.size(), device_.data());
    work.download(host_.data(), device_.data(), host_.size());
    work.wait();
    double total = 0;
    for (const double part : host_) total = total + part;
    return finite(total);
  }

 private:
  size_t rows_, dimension_;
  std::vector<double> host_;
  Buffer<double> device_;
};

}  // namespace

void hessianProduct(Work& work, const CragruCudaHessianProduct& input) {
  const size_t rows = input.loss.userCount + input.loss.itemCount, size = rows * input.loss.dimension;
  Curvature curvature(work, input.loss, nullptr, rows);
  const Input<double> vector(work, input.vector);
  Buffer<double> product(work, size);
  curvature.product(work, vector.data(), 0.0, product.data());
  work.download(input.result, product.data(), size);
  work.wait();
  for (size_t at = 0; at < size; at++) finite(input.result[at]);
}

void conjugateGradient(Work& work, const CragruCudaConjugateGradient& input) {
  const size_t dimension = input.loss.dimension, size = input.gradient.count, rows = size / dimension;
  const Input<double> gradient(work, input.gradient);
  Buffer<double> solution(work, size), residual(work, size), direction(work, size), product(work, size);
  work.fill(solution.data(), 0, size);
  work.fill(product.data(), 0, size);
  work.copy(residual.data(), gradient.data(), size);
  work.copy(direction.data(), gradient.data(), size);
  Inner inner(work, rows, dimension);
  const double scale = inner(work, gradient.data(), gradient.data()), goal = input.tolerance * std::sqrt(scale);
  double energy = scale, left = 0;
  size_t iterations = 0;
  int negative = 0;
  if (scale > 0) {
    const dim3 grid = gridFor(size, 256);
    Curvature curvature(work, input.loss, input.restricted ? input.rows : nullptr, rows);
    while (iterations < input.iterations && !(std::sqrt(energy) <= goal)) {
      curvature.product(work, direction.data(), input.damping, product.data());
      const double curved = inner(work, direction.data(), product.data());
      if (!(curved > 0)) {
        negative = 1;
        break;
      }
      const double step = energy / curved;
      CRAGRU_LAUNCH(work, addScaled, grid, 256, 0, step, direction.data(), size, solution.data());
      CRAGRU_LAUNCH(work, addScaled, grid, 256, 0, -step, product.data(), size, residual.data());
      const double next = inner(work, residual.data(), residual.data());
      CRAGRU_LAUNCH(work, scaleAndAdd, grid, 256, 0, next / energy, residual.data(), size, direction.data());
      energy = next;
      iterations++;
      work.step(double(iterations), double(input.iterations));
    }
    if (iterations > 0) curvature.product(work, solution.data(), input.damping, product.data());
    else work.fill(product.data(), 0, size);
    CRAGRU_LAUNCH(work, subtract, grid, 256, 0, gradient.data(), product.data(), size, residual.data());
    left = finite(std::sqrt(inner(work, residual.data(), residual.data())) / std::sqrt(scale));
  }
  work.download(input.solution, solution.data(), size);
  work.wait();
  *input.done = iterations;
  *input.residual = left;
  *input.negativeCurvature = negative;
}

}  // namespace cuda
}  // namespace cragru
