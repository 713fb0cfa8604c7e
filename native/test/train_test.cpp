// Training against a plain implementation of the contract: dense S, sums in double, batches and draws by their keys.
#include <algorithm>

#include "expect.h"

using namespace cragru;
using namespace cragru::test;

namespace {

Training problem(size_t users, size_t items, size_t dimension, size_t layers, bool adam) {
  Training input;
  input.state.userCount = users;
  input.state.itemCount = items;
  input.state.dimension = dimension;
  const size_t size = (users + items) * dimension;
  input.state.parameters = numbers<float>(size, 5);
  if (adam) input.state.first.assign(size, 0.0f), input.state.second.assign(size, 0.0f);
  input.positives = sparse(users, items, 150, 6);
  input.seed = 9;
  input.epochs = 2;
  input.batchCount = 3;
  input.learningRate = 0.05;
  input.regularisation = 0.1;
  input.adam = adam;
  input.layers = layers;
  return input;
}

struct Sample {
  uint32_t batch, place, user, item, negative;
};

std::vector<Sample> samplesOf(const Training& input, uint32_t epoch) {
  std::vector<Sample> samples;
  const uint32_t* columns = input.positives.columns.data();
  for (uint32_t user = 0; user < input.state.userCount; user++) {
    const uint32_t *from = columns + input.positives.offsets[user], *to = columns + input.positives.offsets[user + 1];
    for (const uint32_t* item = from; item < to; item++) {
      const Lanes order = philox(user, *item, epoch, 0, input.seed, streamId("order"));
      Sample sample{multiplyHigh(order.lane[0], input.batchCount), order.lane[1], user, *item, 0};
      for (uint32_t draw = 0; draw < 100; draw++) {
        sample.negative = multiplyHigh(philox(user, *item, epoch, draw, input.seed, streamId("negative")).lane[0], uint32_t(input.state.itemCount));
        if (!std::binary_search(from, to, sample.negative)) break;
      }
      samples.push_back(sample);
    }
  }
  std::sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) {
    return std::tie(a.batch, a.place, a.user, a.item) < std::tie(b.batch, b.place, b.user, b.item);
  });
  return samples;
}

struct Plain {
  std::vector<double> parameters, losses;
  uint64_t step;
};

Plain plainly(const Training& input) {
  const size_t d = input.state.dimension, users = input.state.userCount, rows = users + input.state.itemCount;
  Plain result{{input.state.parameters.begin(), input.state.parameters.end()}, {}, input.state.step};
  std::vector<double> first(rows * d, 0), second(rows * d, 0);
  const auto S = propagator(input.positives, users, input.state.itemCount, input.layers);
  for (uint64_t epoch = input.firstEpoch; epoch < input.firstEpoch + input.epochs; epoch++) {
    const std::vector<Sample> samples = samplesOf(input, uint32_t(epoch));
    double loss = 0;
    for (uint32_t batch = 0; batch < input.batchCount; batch++) {
      const auto E = times(S, result.parameters, d);
      std::vector<double> gradient(rows * d, 0), occurrences(rows, 0);
      double count = 0;
      for (const Sample& sample : samples) {
        if (sample.batch != batch) continue;
        count++;
        const size_t u = sample.user, i = users + sample.item, j = users + sample.negative;
        double x = 0;
        for (size_t k = 0; k < d; k++) x += E[u * d + k] * (E[i * d + k] - E[j * d + k]);
        loss += std::log1p(std::exp(-x));
        const double r = -1 / (1 + std::exp(x));
        for (size_t k = 0; k < d; k++) {
          gradient[u * d + k] += r * (E[i * d + k] - E[j * d + k]);
          gradient[i * d + k] += r * E[u * d + k];
          gradient[j * d + k] -= r * E[u * d + k];
        }
        for (const size_t row : {u, i, j}) occurrences[row]++;
      }
      if (count == 0) continue;
      result.step++;
      gradient = times(S, gradient, d);
      for (size_t row = 0; row < rows; row++) {
        for (size_t k = 0; k < d; k++) {
          const size_t at = row * d + k;
          const double g = (gradient[at] + input.regularisation * occurrences[row] * result.parameters[at]) / count;
          if (!input.adam) {
            result.parameters[at] -= input.learningRate * g;
            continue;
          }
          first[at] = 0.9 * first[at] + 0.1 * g;
          second[at] = 0.999 * second[at] + 0.001 * g * g;
          const double t = double(result.step);
          result.parameters[at] -= input.learningRate * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t)) * first[at] / (std::sqrt(second[at]) + 1e-8);
        }
      }
    }
    result.losses.push_back(samples.empty() ? 0 : loss / double(samples.size()));
  }
  return result;
}

EpochResult trained(const Training& input, Run& run) { return cpu::train(input, run); }

}  // namespace

TEST("train: BPR and LightGCN against a plain implementation") {
  for (const size_t dimension : {1, 9, 64}) {
    for (const size_t layers : {0, 1, 3}) {
      for (const bool adam : {true, false}) {
        Training input = problem(23, 31, dimension, layers, adam);
        const EpochResult result = onAll("training", input, trained);
        const Plain wanted = plainly(input);
        expect(result.state.step == wanted.step, "training counts its steps");
        for (size_t epoch = 0; epoch < 2; epoch++) expectNear(result.losses[epoch], wanted.losses[epoch], 2e-3, "training loss");
        // Adam divides by the root of tiny second moments: one sign of a rounding is worth a step there.
        size_t far = 0;
        for (size_t at = 0; at < wanted.parameters.size(); at++) far += std::fabs(result.state.parameters[at] - wanted.parameters[at]) > (adam ? 2e-3 : 1e-5);
        expect(far * 100 <= (adam ? wanted.parameters.size() : 0), "training: " + std::to_string(far) + " of " + std::to_string(wanted.parameters.size()) + " parameters are far, layers " +
                              std::to_string(layers) + (adam ? ", Adam" : ", SGD") + ", dimension " + std::to_string(dimension));
      }
    }
  }
}

TEST("train: more batches than rows, one batch, many epochs in one call or in several") {
  for (const uint32_t batchCount : {1u, 2u, 5000u}) {
    for (const size_t layers : {0, 2}) {
      Training input = problem(17, 19, 13, layers, true);
      input.batchCount = batchCount;
      input.epochs = 3;
      const EpochResult all = onAll("training", input, trained);
      Training step = input;
      step.epochs = 1;
      for (uint64_t epoch = 0; epoch < 3; epoch++) {
        step.firstEpoch = epoch;
        EpochResult one = cpu::train(step, plainRun());
        expect(one.losses[0] == all.losses[epoch], "an epoch alone has the loss it has among others");
        step.state = one.state;
      }
      expect(same(step.state.parameters, all.state.parameters) && step.state.step == all.state.step, "three epochs are three calls of one");
    }
  }
}

TEST("train: 0 layers of LightGCN are BPR; no rows leave the parameters") {
  Training input = problem(5, 6, 4, 0, false);
  input.positives = sparse(5, 6, 0, 1);
  const EpochResult result = onAll("training without rows", input, trained);
  expect(same(result.state.parameters, input.state.parameters) && result.losses[0] == 0 && result.state.step == 0, "nothing to learn");
}

TEST("train: bf16 operands stay near float32") {
  Training input = problem(23, 31, 16, 2, false);
  const EpochResult plain = onAll("training", input, trained);
  input.bf16 = true;
  const EpochResult rounded = onAll("training with bf16 operands", input, trained);
  for (size_t at = 0; at < plain.state.parameters.size(); at++) expectNear(rounded.state.parameters[at], plain.state.parameters[at], 2e-2, "bf16 operands");
}

TEST("train: hogwild learns, and on one thread is the same on every instruction set") {
  Training input = problem(40, 50, 24, 0, false);
  input.hogwild = true;
  input.epochs = 10;
  input.regularisation = 0;
  check(input, plainRun());
  const EpochResult first = cpu::train(input, plainRun());
  expect(first.losses[9] < first.losses[0], "hogwild: the loss falls");
  Pool pool;
  for (Run& run : everyRun()) {
    Run alone(pool, 1, run.blocks);
    expect(same(first, cpu::train(input, alone)), "hogwild on one thread");
    const EpochResult raced = cpu::train(input, run);
    expect(raced.losses[9] < raced.losses[0], "hogwild on several threads: the loss falls");
  }
}

TEST("train: divergence is refused, not returned") {
  Training input = problem(10, 12, 8, 0, false);
  input.learningRate = 1e38;
  input.regularisation = 1e6;
  input.epochs = 4;
  check(input, plainRun());
  for (Run& run : everyRun()) expect(refusal([&] { cpu::train(input, run); }) == "NATIVE_DIVERGED", "divergence");
}
