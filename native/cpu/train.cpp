// Training epochs of BPR and LightGCN. The step, operation by operation, stands in src/native/reference/train.ts.
// Threads never share a row: one chunk owns the rows it moves. A batch takes two halves: users, whose rows nobody else reads, move in
// the first and leave a copy of what they were; items move in the second, from those copies.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../math.h"
#include "graph.h"
#include "group.h"
#include "sample.h"

namespace cragru {
namespace cpu {

namespace {

constexpr size_t WINDOW = 64;            // steps of a window: bits of a row's mask
constexpr size_t VALUE_CHUNK = 16384;    // parameters of one chunk, about
constexpr size_t HOGWILD_CHUNK = 4096;   // samples of one chunk

// Adam's factors for the steps of one window, see the head of src/native/reference/train.ts.
class AdamWindow {
 public:
  AdamWindow() {
    for (size_t idle = 0; idle <= WINDOW; idle++) {
      keepFirst_[idle] = float(powerOf(0.9, idle));
      keepSecond_[idle] = float(powerOf(0.999, idle));
    }
  }
  // Steps done + 1 .. done + steps.
  void open(double learningRate, uint64_t done, size_t steps) {
    steps_ = steps;
    for (size_t at = 0; at < steps; at++) {
      const uint64_t t = done + at + 1;
      rates_[at] = (learningRate * std::sqrt(1.0 - powerOf(0.999, t))) / (1.0 - powerOf(0.9, t));
    }
  }
  // For k idle steps after step `at`: all they move together with it.
  void after(size_t at, RowUpdate& update) {
    double factor = 1.0, sum = 0.0;
    for (size_t idle = 0; at + idle < steps_; idle++) {
      sum = sum + rates_[at + idle] * factor;
      sums_[idle] = float(sum);
      factor = factor * FADE;
    }
    fill(update);
  }
  // For k idle steps before the first one that reads the row.
  void before(RowUpdate& update) {
    double factor = 1.0, sum = 0.0;
    sums_[0] = 0.0f;
    for (size_t idle = 1; idle <= steps_; idle++) {
      factor = factor * FADE;
      sum = sum + rates_[idle - 1] * factor;
      sums_[idle] = float(sum);
    }
    fill(update);
  }

 private:
  void fill(RowUpdate& update) const {
    update.rates = sums_;
    update.keepFirst = keepFirst_;
    update.keepSecond = keepSecond_;
  }
  // What one idle step leaves of m / sqrt(v).
  const double FADE = 0.9 / std::sqrt(0.999);
  size_t steps_ = 0;
  double rates_[WINDOW];
  float sums_[WINDOW + 1], keepFirst_[WINDOW + 1], keepSecond_[WINDOW + 1];
};

class Trainer {
 public:
  Trainer(Training& input, Run& run)
      : input_(input),
        state_(input.state),
        run_(run),
        rows_(state_.userCount + state_.itemCount),
        stride_((state_.dimension + ROW_FLOATS - 1) / ROW_FLOATS * ROW_FLOATS),
        graph_(input.layers > 0),
        sampler_(input),
        grouping_(state_.userCount, state_.itemCount),
        parameters_(rows_ * stride_) {
    spread(state_.parameters, parameters_.data(), stride_);
    if (input.adam) {
      moments_.need(2 * rows_ * stride_);
      spread(state_.first, moments_.data(), 2 * stride_);
      spread(state_.second, moments_.data() + stride_, 2 * stride_);
    }
    update_.kind = input.adam ? ADAM : SGD;
    update_.stride = stride_;
    update_.parameters = parameters_.data();
    update_.moments = moments_.data();
    if (graph_) openGraph();
    else if (input.adam) touched_.need(rows_);
  }

  // Returns the mean loss of the epoch.
  double epoch(size_t number) {
    sampler_.draw(uint32_t(input_.firstEpoch + number), run_);
    losses_.need(sampler_.count());
    const double loss = input_.hogwild ? hogwild(number) : batches(number);
    const double mean = sampler_.count() > 0 ? loss / double(sampler_.count()) : 0.0;
    refuseDivergence(mean, number);
    return mean;
  }

  void finish() {
    gather(parameters_.data(), stride_, state_.parameters);
    if (!input_.adam) return;
    gather(moments_.data(), 2 * stride_, state_.first);
    gather(moments_.data() + stride_, 2 * stride_, state_.second);
  }

 private:
  // Rows of `dimension` values to rows of `stride_`, padded with zeros, at every `step` values; and back.
  void spread(const std::vector<float>& values, float* to, size_t step) {
    forRows([&](size_t row) {
      std::memcpy(to + row * step, values.data() + row * state_.dimension, state_.dimension * sizeof(float));
      std::memset(to + row * step + state_.dimension, 0, (stride_ - state_.dimension) * sizeof(float));
    });
  }
  void gather(const float* from, size_t step, std::vector<float>& values) {
    forRows([&](size_t row) { std::memcpy(values.data() + row * state_.dimension, from + row * step, state_.dimension * sizeof(float)); });
  }

  template <class Body>
  void forChunks(Body&& body) {
    const size_t size = std::max<size_t>(1, VALUE_CHUNK / stride_);
    run_.parallel((rows_ + size - 1) / size, [&](size_t chunk) { body(chunk * size, std::min(rows_, (chunk + 1) * size)); });
  }
  template <class Body>
  void forRows(Body&& body) {
    forChunks([&](size_t from, size_t to) {
      for (size_t row = from; row < to; row++) body(row);
    });
  }

  double hogwild(size_t number) {
    const size_t count = sampler_.count(), chunks = (count + HOGWILD_CHUNK - 1) / HOGWILD_CHUNK;
    const float decay = float(input_.regularisation * input_.learningRate);
    sums_.resize(chunks);
    run_.parallel(chunks, [&](size_t chunk) {
      const size_t from = chunk * HOGWILD_CHUNK, size = std::min(HOGWILD_CHUNK, count - from);
      run_.blocks.hogwildSamples(sampler_.samples() + from, size, parameters_.data(), stride_, input_.learningRate, decay, losses_.data() + from);
      sums_[chunk] = run_.blocks.sumOfLosses(losses_.data() + from, size);
    });
    state_.step += count;
    run_.progress(double(number + 1), double(input_.epochs));
    double loss = 0;
    for (const double sum : sums_) loss = loss + sum;
    return loss;
  }

  double batches(size_t number) {
    steps_.clear();
    for (uint32_t batch = 0; batch < input_.batchCount; batch++) {
      if (sampler_.offsets()[batch + 1] > sampler_.offsets()[batch]) steps_.push_back(batch);
    }
    double loss = 0;
    for (size_t from = 0; from < steps_.size(); from += WINDOW) {
      const size_t to = std::min(steps_.size(), from + WINDOW);
      grouping_.build(sampler_, steps_, from, to, run_);
      const bool idle = input_.adam && !graph_;
      if (idle) openWindow(to - from);
      for (size_t at = 0; at < to - from; at++) {
        run_.check();
        const GroupedBatch& batch = grouping_[at];
        update_.step = uint32_t(at);
        if (idle) window_.after(at, update_);
        graph_ ? graphStep(batch) : step(batch);
        state_.step++;
        loss = loss + run_.blocks.sumOfLosses(losses_.data(), batch.count);
        run_.progress(double(number) + double(steps_[from + at] + 1) / double(input_.batchCount), double(input_.epochs));
      }
    }
    return loss;
  }

  // Adam moves every row at every step. The steps that do not read a row are taken together: here those before the first that
  // does, and in rowStep() of the inner loops those between two, or before the end of the window.
  void openWindow(size_t steps) {
    window_.open(input_.learningRate, state_.step, steps);
    grouping_.mark(touched_.data(), run_);
    update_.touched = touched_.data();
    update_.steps = uint32_t(steps);
    window_.before(update_);
    forChunks([&](size_t from, size_t to) { run_.blocks.idleRows(&update_, from, to); });
  }

  void step(const GroupedBatch& batch) {
    const double share = 1.0 / double(batch.count), scale = input_.adam ? share : share * input_.learningRate;
    update_.decay = input_.regularisation * scale;
    halves(batch, {parameters_.data(), scale, losses_.data(), nullptr, nullptr}, update_);
  }

  void halves(const GroupedBatch& batch, TrainStep step, const RowUpdate& update) {
    weights_.need(batch.count);
    users_.need(batch.userGroups * stride_);
    step.weights = weights_.data();
    step.users = users_.data();
    run_.parallel(batch.userChunks, [&](size_t chunk) { run_.blocks.userGroups(&batch, &step, &update, batch.userBounds[chunk], batch.userBounds[chunk + 1]); });
    run_.parallel(batch.itemChunks, [&](size_t chunk) { run_.blocks.itemGroups(&batch, &step, &update, batch.itemBounds[chunk], batch.itemBounds[chunk + 1]); });
  }

  void refuseDivergence(double loss, size_t number) {
    std::atomic<bool> finite{std::isfinite(loss)};
    forChunks([&](size_t from, size_t to) {
      bool sound = run_.blocks.allFinite(parameters_.data() + from * stride_, (to - from) * stride_);
      if (input_.adam) sound = sound && run_.blocks.allFinite(moments_.data() + 2 * from * stride_, 2 * (to - from) * stride_);
      if (!sound) finite.store(false, std::memory_order_relaxed);
    });
    if (finite) return;
    throw Error{"NATIVE_DIVERGED", "training diverged in epoch " + std::to_string(input_.firstEpoch + number) + ".",
                "Lower the learning rate or the regularisation."};
  }

  // With a graph: the loss is on E = S E0, and its gradient goes back through S.
  void openGraph() {
    adjacency_ = buildGraph(input_.positives, state_.userCount, state_.itemCount, run_);
    propagation_ = std::make_unique<Propagation>(adjacency_, stride_, input_.layers, input_.bf16);
    for (Buffer<float>* table : {&embeddings_, &gradient_, &propagated_}) table->need(rows_ * stride_);
    occurrences_.need(rows_);
    std::memset(gradient_.data(), 0, rows_ * stride_ * sizeof(float));
    std::memset(occurrences_.data(), 0, rows_ * sizeof(uint32_t));
    update_.gradient = keep_.gradient = gradient_.data();
    update_.occurrences = keep_.occurrences = occurrences_.data();
    keep_.kind = KEEP_GRADIENT;
    keep_.stride = stride_;
    keep_.parameters = parameters_.data();
  }

  void graphStep(const GroupedBatch& batch) {
    const double share = 1.0 / double(batch.count), scale = input_.adam ? share : share * input_.learningRate;
    propagation_->beginSelection();
    for (size_t group = 0; group < batch.userGroups; group++) propagation_->select(batch.samples[batch.userStarts[group]].user);
    for (size_t group = 0; group < batch.itemGroups; group++) propagation_->select(batch.itemRows[group]);
    propagation_->endSelection(run_);
    propagation_->forward(parameters_.data(), embeddings_.data(), run_);
    halves(batch, {embeddings_.data(), scale, losses_.data(), nullptr, nullptr}, keep_);
    propagation_->backward(gradient_.data(), propagated_.data(), run_);
    update_.decay = input_.regularisation * scale;
    update_.step = 0;
    update_.steps = 1;
    if (input_.adam) {
      window_.open(input_.learningRate, state_.step, 1);
      window_.after(0, update_);
    }
    forChunks([&](size_t from, size_t to) { run_.blocks.moveRows(&update_, propagated_.data(), from, to); });
  }

  Training& input_;
  TrainingState& state_;
  Run& run_;
  const size_t rows_, stride_;
  const bool graph_;
  Sampler sampler_;
  Grouping grouping_;
  AdamWindow window_;
  RowUpdate update_ = {}, keep_ = {};
  Buffer<float> parameters_, moments_, weights_, users_;
  Buffer<double> losses_;
  Buffer<uint64_t> touched_;
  std::vector<uint32_t> steps_;  // the batches that are not empty
  std::vector<double> sums_;
  // With a graph only.
  Graph adjacency_;
  std::unique_ptr<Propagation> propagation_;
  Buffer<float> embeddings_, gradient_, propagated_;
  Buffer<uint32_t> occurrences_;
};

}  // namespace

EpochResult train(Training input, Run& run) {
  EpochResult result;
  result.losses.resize(input.epochs);
  Trainer trainer(input, run);
  for (size_t epoch = 0; epoch < input.epochs; epoch++) result.losses[epoch] = trainer.epoch(epoch);
  trainer.finish();
  result.state = std::move(input.state);
  return result;
}

}  // namespace cpu
}  // namespace cragru
