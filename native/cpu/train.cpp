// Training epochs of BPR and LightGCN. The step, operation by operation, stands in src/native/reference/train.ts.
// Threads never share a row: references to rows are counting-sorted by row (stably, so sample order is kept), and one chunk owns
// the rows it sums.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../math.h"
#include "graph.h"
#include "sample.h"

namespace cragru {
namespace cpu {

namespace {

constexpr size_t SAMPLE_CHUNK = 128;      // samples of one coefficient chunk
constexpr size_t REFERENCE_CHUNK = 384;   // references of one gradient chunk, at least
constexpr size_t VALUE_CHUNK = 16384;     // parameters of one optimiser chunk, about

// References of one batch, grouped by row: group g is row rows[g] with references [starts[g], starts[g + 1]).
struct References {
  std::vector<uint32_t> rows, starts, values, slots;
  std::vector<uint32_t> occurrences;  // [all rows]
  std::vector<uint32_t> bounds;       // chunks of groups

  explicit References(size_t rowCount) : slots(rowCount, 0), occurrences(rowCount, 0) {}

  void clear() {
    for (const uint32_t row : rows) occurrences[row] = 0;
    rows.clear();
  }

  void build(const Batch& batch) {
    for (size_t sample = 0; sample < batch.count; sample++) {
      for (const uint32_t row : {batch.users[sample], batch.positives[sample], batch.negatives[sample]}) {
        if (occurrences[row]++ == 0) {
          slots[row] = uint32_t(rows.size());
          rows.push_back(row);
        }
      }
    }
    starts.resize(rows.size() + 1);
    starts[0] = 0;
    bounds.assign(1, 0);
    size_t chunkStart = 0;
    for (size_t group = 0; group < rows.size(); group++) {
      starts[group + 1] = starts[group] + occurrences[rows[group]];
      if (starts[group + 1] - chunkStart >= REFERENCE_CHUNK || group + 1 == rows.size()) {
        bounds.push_back(uint32_t(group + 1));
        chunkStart = starts[group + 1];
      }
    }
    values.resize(3 * batch.count);
    next_.assign(starts.begin(), starts.end() - 1);
    for (size_t sample = 0; sample < batch.count; sample++) {
      const uint32_t reference = uint32_t(4 * sample);
      values[next_[slots[batch.users[sample]]]++] = reference;
      values[next_[slots[batch.positives[sample]]]++] = reference + 1;
      values[next_[slots[batch.negatives[sample]]]++] = reference + 2;
    }
  }

 private:
  std::vector<uint32_t> next_;
};

class Trainer {
 public:
  Trainer(Training& input, Run& run)
      : input_(input),
        state_(input.state),
        run_(run),
        rows_(state_.userCount + state_.itemCount),
        dimension_(state_.dimension),
        graph_(input.layers > 0 ? buildGraph(input.positives, state_.userCount, state_.itemCount) : Graph()),
        propagation_(graph_, dimension_, input.layers),
        references_(rows_),
        gradient_(rows_ * dimension_, 0.0f) {
    if (input.layers > 0) {
      embeddings_.resize(rows_ * dimension_);
      propagated_.resize(rows_ * dimension_);
    }
  }

  // Returns the mean loss of the epoch.
  double epoch(Sampler& sampler, size_t number) {
    sampler.draw(uint32_t(input_.firstEpoch + number), run_, samples_);
    double loss = 0;
    for (size_t batch = 0; batch < input_.batchCount; batch++) {
      run_.check();
      const size_t from = samples_.offsets[batch], count = samples_.offsets[batch + 1] - from;
      if (count == 0) continue;
      loss = step({samples_.users.data() + from, samples_.positives.data() + from, samples_.negatives.data() + from, count}, loss);
      run_.progress(double(number) + double(batch + 1) / double(input_.batchCount), double(input_.epochs));
    }
    const size_t rows = samples_.users.size();
    const double mean = rows > 0 ? loss / double(rows) : 0.0;
    refuseDivergence(mean, number);
    return mean;
  }

 private:
  double step(const Batch& batch, double loss) {
    const bool graph = input_.layers > 0;
    const float* embeddings = state_.parameters.data();
    if (graph) {
      propagation_.apply(state_.parameters.data(), embeddings_.data(), run_);
      embeddings = embeddings_.data();
    }
    const double share = 1.0 / double(batch.count);
    weights_.resize(batch.count);
    losses_.resize(batch.count);
    // Chunk 0 groups the references while the others compute coefficients.
    run_.parallel(1 + (batch.count + SAMPLE_CHUNK - 1) / SAMPLE_CHUNK, [&](size_t chunk) {
      if (chunk == 0) return references_.build(batch);
      std::vector<double> scratch(8 * dimension_);
      run_.blocks.coefficients(&batch, (chunk - 1) * SAMPLE_CHUNK, std::min(batch.count, chunk * SAMPLE_CHUNK), embeddings, dimension_,
                               scratch.data(), weights_.data(), losses_.data());
    });
    for (const double one : losses_) loss = loss + one;

    run_.parallel(references_.bounds.size() - 1, [&](size_t chunk) {
      std::vector<double> sums(dimension_);
      for (size_t group = references_.bounds[chunk]; group < references_.bounds[chunk + 1]; group++) {
        run_.blocks.accumulateRow(&batch, references_.values.data() + references_.starts[group], references_.starts[group + 1] - references_.starts[group],
                                  weights_.data(), embeddings, dimension_, share, sums.data(), gradient_.data() + references_.rows[group] * dimension_);
      }
    });
    const float* gradient = gradient_.data();
    if (graph) {
      propagation_.apply(gradient_.data(), propagated_.data(), run_);
      gradient = propagated_.data();
    }
    optimise(gradient, !graph, share);
    // Without a graph rows outside the batch are never read, so what stands there does not matter.
    if (graph) {
      for (const uint32_t row : references_.rows) std::memset(gradient_.data() + row * dimension_, 0, dimension_ * sizeof(float));
    }
    references_.clear();
    return loss;
  }

  void optimise(const float* gradient, bool sparse, double share) {
    state_.step++;
    Step step;
    step.regularisation = input_.regularisation * share;
    step.rate = input_.learningRate;
    if (input_.adam) step.rate = (input_.learningRate * std::sqrt(1.0 - powerOf(0.999, state_.step))) / (1.0 - powerOf(0.9, state_.step));
    const size_t chunkRows = std::max<size_t>(1, VALUE_CHUNK / dimension_);
    run_.parallel((rows_ + chunkRows - 1) / chunkRows, [&](size_t chunk) {
      const size_t from = chunk * chunkRows, to = std::min(rows_, from + chunkRows);
      const uint32_t* occurrences = references_.occurrences.data();
      if (input_.adam) {
        run_.blocks.adamRows(&step, occurrences, gradient, sparse, dimension_, from, to, state_.parameters.data(), state_.first.data(), state_.second.data());
      } else {
        run_.blocks.sgdRows(&step, occurrences, gradient, sparse, dimension_, from, to, state_.parameters.data());
      }
    });
  }

  void refuseDivergence(double loss, size_t number) const {
    bool finite = std::isfinite(loss);
    for (const std::vector<float>* array : {&state_.parameters, &state_.first, &state_.second}) {
      finite = finite && run_.blocks.allFinite(array->data(), array->size());
    }
    if (finite) return;
    throw Error{"NATIVE_DIVERGED", "training diverged in epoch " + std::to_string(input_.firstEpoch + number) + ".",
                "Lower the learning rate or the regularisation."};
  }

  Training& input_;
  TrainingState& state_;
  Run& run_;
  size_t rows_, dimension_;
  Graph graph_;
  Propagation propagation_;
  References references_;
  EpochSamples samples_;
  std::vector<float> embeddings_, gradient_, propagated_;
  std::vector<double> weights_, losses_;
};

}  // namespace

EpochResult train(Training input, Run& run) {
  EpochResult result;
  result.losses.resize(input.epochs);
  Sampler sampler(input);
  Trainer trainer(input, run);
  for (size_t epoch = 0; epoch < input.epochs; epoch++) result.losses[epoch] = trainer.epoch(sampler, epoch);
  result.state = std::move(input.state);
  return result;
}

}  // namespace cpu
}  // namespace cragru
