// Training epochs of BPR and LightGCN. The step, operation by operation, stands in src/native/reference/train.ts. A batch takes two
// halves, as on the host: users first, whose old rows are kept aside, then items, which read those. A warp owns a row: the first
// sample (or reference) of the row in the batch walks all of them in order; the warps of the others find that and end.
#include <cmath>
#include <memory>

#include "device_math.h"
#include "graph.h"
#include "numeric.h"
#include "train.h"

namespace cragru {
namespace cuda {

namespace {

constexpr unsigned WINDOW = 64, THREADS = 128;
constexpr int COLUMNS = 2;  // of a lane at a time: 64 of a row
// Batches between two looks at the cancel flag.
constexpr size_t STEP_BATCHES = 16;

enum class Kind { sgd, adam, gradient };

// What moves rows. Tables of Adam: by the number of steps that follow without reading the row.
struct Update {
  size_t dimension;
  double decay;
  float *parameters, *first, *second;
  const float *rates, *keepFirst, *keepSecond;
  const uint64_t* touched;  // null: no steps are taken together
  unsigned step, steps;
  float* gradient;        // of Kind::gradient: rows of the batch
  uint32_t* occurrences;  // and how often each occurs
};

struct RowStep {
  float decay, rate, keepFirst, keepSecond;
};

__device__ unsigned lowestBit(uint64_t bits) {
  const unsigned low = unsigned(bits);
  return unsigned(low != 0 ? __ffs(int(low)) - 1 : 31 + __ffs(int(bits >> 32)));
}

template <Kind KIND>
__device__ RowStep rowStep(const Update& update, size_t row, unsigned count) {
  RowStep step = {float(update.decay * double(count)), 0.0f, 1.0f, 1.0f};
  if (KIND != Kind::adam) return step;
  unsigned idle = update.steps - update.step - 1;
  if (update.touched && idle > 0) {
    const uint64_t later = update.touched[row] >> update.step >> 1;
    if (later != 0) idle = lowestBit(later);
  }
  step.rate = update.rates[idle];
  step.keepFirst = update.keepFirst[idle];
  step.keepSecond = update.keepSecond[idle];
  return step;
}

// One value. Rows outside the batch (DECAY false) have no L2 part.
template <bool DECAY>
__device__ __forceinline__ void moveSgd(const Update& update, const RowStep& step, size_t at, float h) {
  const float p = update.parameters[at];
  update.parameters[at] = p - (DECAY ? h + step.decay * p : h);
}

__device__ __forceinline__ void moveAlong(const Update& update, const RowStep& step, size_t at, float p, float m, float v) {
  update.parameters[at] = p - step.rate * (m / (sqrtf(v) + 1e-8f));
  update.first[at] = step.keepFirst * m;
  update.second[at] = step.keepSecond * v;
}

template <bool DECAY>
__device__ __forceinline__ void moveAdam(const Update& update, const RowStep& step, size_t at, float h) {
  const float p = update.parameters[at], g = DECAY ? h + step.decay * p : h;
  const float m = 0.9f * update.first[at] + 0.1f * g;
  const float v = 0.999f * update.second[at] + 0.001f * (g * g);
  moveAlong(update, step, at, p, m, v);
}

template <Kind KIND>
__device__ __forceinline__ void move(const Update& update, const RowStep& step, size_t at, float h) {
  if (KIND == Kind::sgd) moveSgd<true>(update, step, at, h);
  else if (KIND == Kind::adam) moveAdam<true>(update, step, at, h);
  else update.gradient[at] = h;
}

struct Batch {
  SamplesView samples;
  size_t from, to;  // samples of the epoch
  const float* embeddings;
  double scale;
  float* weights;    // [samples of the epoch]
  double* losses;    // [samples of the epoch]
  float* users;      // old rows of users, at the first sample of each in the batch [batch, dimension]; null: the embeddings stay
  uint32_t* places;  // which of them a sample reads [batch]
};

template <Kind KIND>
__global__ void __launch_bounds__(THREADS) moveUsers(Batch batch, Update update) {
  const size_t head = batch.from + (size_t(blockIdx.x) * THREADS + threadIdx.x) / 32;
  if (head >= batch.to) return;
  const size_t dimension = update.dimension;
  const uint32_t user = batch.samples.users[head];
  if (head > batch.from && batch.samples.users[head - 1] == user) return;
  size_t end = head + 1;
  while (end < batch.to && batch.samples.users[end] == user) end++;
  const unsigned lane = laneOf(), group = lane / 8;
  const float* own = batch.embeddings + user * dimension;
  // Four samples at a time, eight lanes each: sum l over d = l, l + 8, ...
  for (size_t first = head; first < end; first += 4) {
    const size_t sample = first + group < end ? first + group : end - 1;
    const float* positive = batch.embeddings + size_t(batch.samples.positives[sample]) * dimension;
    const float* negative = batch.embeddings + size_t(batch.samples.negatives[sample]) * dimension;
    double x = 0.0;
    for (size_t d = lane % 8; d < dimension; d += 8) x = x + double(own[d]) * (double(positive[d]) - double(negative[d]));
    x = x + __shfl_xor_sync(ALL_LANES, x, 4);
    x = x + __shfl_xor_sync(ALL_LANES, x, 2);
    x = x + __shfl_xor_sync(ALL_LANES, x, 1);
    double loss, slope;
    bprLossOf(x, &loss, &slope);
    if (lane % 8 == 0 && first + group < end) {
      batch.losses[sample] = loss;
      batch.weights[sample] = float(-(slope * batch.scale));
      if (batch.users) batch.places[sample - batch.from] = unsigned(head - batch.from);
    }
  }
  __syncwarp();
  const RowStep step = rowStep<KIND>(update, user, unsigned(end - head));
  for (size_t first = lane; first < dimension; first += 32 * COLUMNS) {
    float h[COLUMNS] = {};
    for (size_t sample = head; sample < end; sample++) {
      const float weight = batch.weights[sample];
      const float* positive = batch.embeddings + size_t(batch.samples.positives[sample]) * dimension;
      const float* negative = batch.embeddings + size_t(batch.samples.negatives[sample]) * dimension;
#pragma unroll
      for (int c = 0; c < COLUMNS; c++) {
        const size_t d = first + 32 * c;
        if (d < dimension) h[c] = h[c] + weight * (positive[d] - negative[d]);
      }
    }
#pragma unroll
    for (int c = 0; c < COLUMNS; c++) {
      const size_t d = first + 32 * c;
      if (d >= dimension) continue;
      if (batch.users) batch.users[(head - batch.from) * dimension + d] = own[d];
      move<KIND>(update, step, user * dimension + d, h[c]);
    }
  }
  if (KIND == Kind::gradient && lane == 0) update.occurrences[user] = unsigned(end - head);
}

__device__ __forceinline__ uint32_t itemOf(const SamplesView& samples, uint32_t reference) {
  return (reference & 1u) != 0 ? samples.negatives[reference / 2] : samples.positives[reference / 2];
}

template <Kind KIND>
__global__ void __launch_bounds__(THREADS) moveItems(Batch batch, Update update) {
  const size_t head = 2 * batch.from + (size_t(blockIdx.x) * THREADS + threadIdx.x) / 32, last = 2 * batch.to;
  if (head >= last) return;
  const size_t dimension = update.dimension;
  const uint32_t* references = batch.samples.references;
  const uint32_t item = itemOf(batch.samples, references[head]);
  if (head > 2 * batch.from && itemOf(batch.samples, references[head - 1]) == item) return;
  size_t end = head + 1;
  while (end < last && itemOf(batch.samples, references[end]) == item) end++;
  const unsigned lane = laneOf();
  const RowStep step = rowStep<KIND>(update, item, unsigned(end - head));
  for (size_t first = lane; first < dimension; first += 32 * COLUMNS) {
    float h[COLUMNS] = {};
    for (size_t at = head; at < end; at++) {
      const uint32_t reference = references[at], sample = reference / 2;
      const float weight = batch.weights[sample], pull = (reference & 1u) != 0 ? -weight : weight;
      const float* user = batch.users ? batch.users + size_t(batch.places[sample - batch.from]) * dimension
                                      : batch.embeddings + size_t(batch.samples.users[sample]) * dimension;
#pragma unroll
      for (int c = 0; c < COLUMNS; c++) {
        const size_t d = first + 32 * c;
        if (d < dimension) h[c] = h[c] + pull * user[d];
      }
    }
#pragma unroll
    for (int c = 0; c < COLUMNS; c++) {
      const size_t d = first + 32 * c;
      if (d < dimension) move<KIND>(update, step, item * dimension + d, h[c]);
    }
  }
  if (KIND == Kind::gradient && lane == 0) update.occurrences[item] = unsigned(end - head);
}

// Bit `step` of each row that the samples read.
__global__ void markRows(SamplesView samples, size_t from, size_t to, unsigned step, uint64_t* touched) {
  const size_t sample = from + size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (sample >= to) return;
  const unsigned long long bit = 1ull << step;
  atomicOr(reinterpret_cast<unsigned long long*>(touched + samples.users[sample]), bit);
  atomicOr(reinterpret_cast<unsigned long long*>(touched + samples.positives[sample]), bit);
  atomicOr(reinterpret_cast<unsigned long long*>(touched + samples.negatives[sample]), bit);
}

// The steps of a window before the first that reads a row.
__global__ void moveIdleRows(Update update, size_t rows) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= rows * update.dimension) return;
  const uint64_t touched = update.touched[at / update.dimension];
  const unsigned idle = touched != 0 ? lowestBit(touched) : update.steps;
  if (idle == 0) return;
  const RowStep step = {0.0f, update.rates[idle], update.keepFirst[idle], update.keepSecond[idle]};
  moveAlong(update, step, at, update.parameters[at], update.first[at], update.second[at]);
}

// Every row, by its propagated gradient.
template <Kind KIND>
__global__ void moveRows(Update update, size_t rows, const float* gradient, float rate) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= rows * update.dimension) return;
  const unsigned count = update.occurrences[at / update.dimension];
  const RowStep step = {float(update.decay * double(count)), rate, 1.0f, 1.0f};
  if (KIND == Kind::adam) {
    if (count > 0) moveAdam<true>(update, step, at, gradient[at]);
    else moveAdam<false>(update, step, at, gradient[at]);
  } else {
    if (count > 0) moveSgd<true>(update, step, at, gradient[at]);
    else moveSgd<false>(update, step, at, gradient[at]);
  }
}

// Eight lanes a batch: its losses in the order of dot.
__global__ void sumLosses(const double* losses, const uint32_t* offsets, size_t batches, double* sums) {
  const size_t number = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) / 8;
  const size_t batch = number < batches ? number : batches - 1;
  double sum = 0.0;
  for (size_t at = offsets[batch] + threadIdx.x % 8; at < offsets[batch + 1]; at += 8) sum = sum + losses[at];
  sum = sum + __shfl_xor_sync(ALL_LANES, sum, 4);
  sum = sum + __shfl_xor_sync(ALL_LANES, sum, 2);
  sum = sum + __shfl_xor_sync(ALL_LANES, sum, 1);
  if (number < batches && threadIdx.x % 8 == 0) sums[number] = sum;
}

__global__ void findUnsound(const float* values, size_t count, uint32_t* unsound) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < count && !(fabsf(values[at]) < INFINITY)) *unsound = 1;
}

// Adam's factors for the steps of one window; twin of AdamWindow in native/cpu/train.cpp.
struct AdamTables {
  float after[WINDOW][WINDOW + 1], before[WINDOW + 1], keepFirst[WINDOW + 1], keepSecond[WINDOW + 1];

  static double rateAt(double learningRate, uint64_t t) { return (learningRate * std::sqrt(1.0 - powerOf(0.999, t))) / (1.0 - powerOf(0.9, t)); }

  AdamTables(double learningRate, uint64_t done, size_t steps) {
    const double fade = 0.9 / std::sqrt(0.999);
    double rates[WINDOW];
    for (size_t at = 0; at < steps; at++) rates[at] = rateAt(learningRate, done + at + 1);
    for (size_t idle = 0; idle <= WINDOW; idle++) {
      keepFirst[idle] = float(powerOf(0.9, idle));
      keepSecond[idle] = float(powerOf(0.999, idle));
    }
    for (size_t at = 0; at < steps; at++) {
      double factor = 1.0, sum = 0.0;
      for (size_t idle = 0; at + idle < steps; idle++) {
        sum = sum + rates[at + idle] * factor;
        after[at][idle] = float(sum);
        factor = factor * fade;
      }
    }
    double factor = 1.0, sum = 0.0;
    before[0] = 0.0f;
    for (size_t idle = 1; idle <= steps; idle++) {
      factor = factor * fade;
      sum = sum + rates[idle - 1] * factor;
      before[idle] = float(sum);
    }
  }
};

class Trainer {
 public:
  Trainer(Work& work, const CragruCudaTraining& input)
      : work_(work), input_(input), rows_(input.userCount + input.itemCount), size_(rows_ * input.dimension), step_(*input.step), samples_(work, input),
        parameters_(upload(input.parameters, true)), first_(upload(input.first, input.adam)), second_(upload(input.second, input.adam)), weights_(work, samples_.count()),
        losses_(work, samples_.count()), sums_(work, input.batchCount), offsets_(work, size_t(input.batchCount) + 1), unsound_(work, 1) {
    update_.dimension = input.dimension;
    update_.parameters = parameters_.data();
    update_.first = first_.data();
    update_.second = second_.data();
    if (input.layers > 0) {
      graph_ = std::make_unique<Graph>(work, input.positives, input.userCount, input.itemCount);
      propagation_ = std::make_unique<Propagation>(work, graph_->view(), input.dimension, input.layers, input.bf16 != 0);
      for (Buffer<float>* table : {&embeddings_, &gradient_, &propagated_}) *table = Buffer<float>(work, size_);
      occurrences_ = Buffer<uint32_t>(work, rows_);
      update_.gradient = gradient_.data();
      update_.occurrences = occurrences_.data();
    } else if (input.adam) {
      touched_ = Buffer<uint64_t>(work, rows_);
      tables_ = Buffer<AdamTables>(work, 1);
    }
  }

  double epoch(size_t number) {
    samples_.draw(work_, input_.firstEpoch + number);
    const std::vector<uint32_t>& offsets = samples_.offsets();
    std::vector<uint32_t> batches;
    size_t largest = 0;
    for (uint32_t batch = 0; batch < input_.batchCount; batch++) {
      if (offsets[batch + 1] == offsets[batch]) continue;
      batches.push_back(batch);
      largest = std::max<size_t>(largest, offsets[batch + 1] - offsets[batch]);
    }
    if (!graph_ && users_.size() < largest * input_.dimension) {
      users_ = Buffer<float>(work_, largest * input_.dimension);
      places_ = Buffer<uint32_t>(work_, largest);
    }
    for (size_t from = 0; from < batches.size(); from += WINDOW) {
      const size_t steps = std::min<size_t>(WINDOW, batches.size() - from);
      if (!graph_ && input_.adam) {
        openWindow(AdamTables(input_.learningRate, step_, steps), batches, from, steps);
      }
      for (size_t at = 0; at < steps; at++) {
        const uint32_t batch = batches[from + at];
        take(offsets[batch], offsets[batch + 1], unsigned(at));
        step_++;
        if ((from + at) % STEP_BATCHES == 0) work_.step(double(number) + double(batch + 1) / double(input_.batchCount), double(input_.epochs));
      }
    }
    return close(number);
  }

  void finish() {
    *input_.step = step_;
    work_.download(input_.parameters, parameters_.data(), size_);
    if (input_.adam) {
      work_.download(input_.first, first_.data(), size_);
      work_.download(input_.second, second_.data(), size_);
    }
    work_.wait();
  }

 private:
  Buffer<float> upload(const float* values, bool wanted) {
    Buffer<float> buffer(work_, wanted ? size_ : 0);
    if (wanted) work_.upload(buffer.data(), values, size_);
    return buffer;
  }

  void openWindow(const AdamTables& tables, const std::vector<uint32_t>& batches, size_t from, size_t steps) {
    work_.upload(tables_.data(), &tables, 1);
    work_.fill(touched_.data(), 0, rows_);
    const std::vector<uint32_t>& offsets = samples_.offsets();
    for (size_t at = 0; at < steps; at++) {
      const size_t begin = offsets[batches[from + at]], end = offsets[batches[from + at] + 1];
      CRAGRU_LAUNCH(work_, markRows, gridFor(end - begin, 256), 256, 0, samples_.view(), begin, end, unsigned(at), touched_.data());
    }
    update_.touched = touched_.data();
    update_.steps = unsigned(steps);
    update_.keepFirst = tables_.data()->keepFirst;
    update_.keepSecond = tables_.data()->keepSecond;
    update_.rates = tables_.data()->before;
    CRAGRU_LAUNCH(work_, moveIdleRows, gridFor(size_, 256), 256, 0, update_, rows_);
  }

  template <Kind KIND>
  void halves(const Batch& batch) {
    CRAGRU_LAUNCH(work_, moveUsers<KIND>, gridFor((batch.to - batch.from) * 32, THREADS), THREADS, 0, batch, update_);
    CRAGRU_LAUNCH(work_, moveItems<KIND>, gridFor((batch.to - batch.from) * 64, THREADS), THREADS, 0, batch, update_);
  }

  // One batch: samples [from, to).
  void take(size_t from, size_t to, unsigned at) {
    const double share = 1.0 / double(to - from), scale = input_.adam ? share : share * input_.learningRate;
    update_.decay = input_.regularisation * scale;
    Batch batch = {samples_.view(), from, to, parameters_.data(), scale, weights_.data(), losses_.data(), users_.data(), places_.data()};
    if (!graph_) {
      update_.step = at;
      if (input_.adam) {
        update_.rates = tables_.data()->after[at];
        halves<Kind::adam>(batch);
      } else {
        halves<Kind::sgd>(batch);
      }
      return;
    }
    propagation_->apply(work_, parameters_.data(), embeddings_.data());
    batch.embeddings = embeddings_.data();
    work_.fill(gradient_.data(), 0, size_);
    work_.fill(occurrences_.data(), 0, rows_);
    halves<Kind::gradient>(batch);
    propagation_->apply(work_, gradient_.data(), propagated_.data());
    if (input_.adam) {
      const float rate = float(AdamTables::rateAt(input_.learningRate, step_ + 1));
      CRAGRU_LAUNCH(work_, moveRows<Kind::adam>, gridFor(size_, 256), 256, 0, update_, rows_, propagated_.data(), rate);
    } else {
      CRAGRU_LAUNCH(work_, moveRows<Kind::sgd>, gridFor(size_, 256), 256, 0, update_, rows_, propagated_.data(), 0.0f);
    }
  }

  // The mean loss of the epoch; fails where something left the finite numbers.
  double close(size_t number) {
    const std::vector<uint32_t>& offsets = samples_.offsets();
    std::vector<double> sums(input_.batchCount);
    uint32_t unsound = 0;
    work_.upload(offsets_.data(), offsets.data(), offsets.size());
    work_.fill(unsound_.data(), 0, 1);
    CRAGRU_LAUNCH(work_, sumLosses, gridFor(size_t(input_.batchCount) * 8, 256), 256, 0, losses_.data(), offsets_.data(), size_t(input_.batchCount), sums_.data());
    for (const Buffer<float>* table : {&parameters_, &first_, &second_}) {
      CRAGRU_LAUNCH(work_, findUnsound, gridFor(table->size(), 256), 256, 0, table->data(), table->size(), unsound_.data());
    }
    work_.download(sums.data(), sums_.data(), sums.size());
    work_.download(&unsound, unsound_.data(), 1);
    work_.wait();
    double loss = 0;
    for (uint32_t batch = 0; batch < input_.batchCount; batch++) {
      if (offsets[batch + 1] > offsets[batch]) loss = loss + sums[batch];
    }
    const double mean = samples_.count() > 0 ? loss / double(samples_.count()) : 0.0;
    if (unsound != 0 || !std::isfinite(mean)) throw Failure{CRAGRU_CUDA_DIVERGED, "training diverged", input_.firstEpoch + number};
    return mean;
  }

  Work& work_;
  const CragruCudaTraining& input_;
  const size_t rows_, size_;
  uint64_t step_;
  Samples samples_;
  Buffer<float> parameters_, first_, second_, weights_;
  Buffer<double> losses_, sums_;
  Buffer<uint32_t> offsets_, unsound_;
  Update update_ = {};
  // Without a graph.
  Buffer<float> users_;
  Buffer<uint32_t> places_;
  Buffer<uint64_t> touched_;
  Buffer<AdamTables> tables_;
  // With one.
  std::unique_ptr<Graph> graph_;
  std::unique_ptr<Propagation> propagation_;
  Buffer<float> embeddings_, gradient_, propagated_;
  Buffer<uint32_t> occurrences_;
};

}  // namespace

void train(Work& work, const CragruCudaTraining& input) {
  Trainer trainer(work, input);
  for (size_t epoch = 0; epoch < input.epochs; epoch++) input.losses[epoch] = trainer.epoch(epoch);
  trainer.finish();
}

}  // namespace cuda
}  // namespace cragru
