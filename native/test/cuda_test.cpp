// The kernels of the GPU against the host's, bit by bit, on odd shapes. Built twice: cragru_cuda_emulated_test runs the kernels on the
// host (native/cuda/emulate.h), cragru_cuda_test on a GPU, where there is one.
#include <algorithm>
#include <cmath>

#include "cuda_support.h"

using namespace cragru;
using namespace cragru::test;

namespace {

double dotOf(const float* a, const float* b, size_t dimension) {
  double sums[8] = {};
  for (size_t d = 0; d < dimension; d++) sums[d % 8] += double(a[d]) * double(b[d]);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

TopK fullSort(const ScoreTopK& input) {
  TopK result;
  for (size_t user = 0; user < input.userRows; user++) {
    std::vector<std::pair<float, uint32_t>> all;
    for (uint32_t item = 0; item < input.itemCount; item++) {
      const uint32_t* columns = input.mask.columns.data();
      if (input.masked && std::binary_search(columns + input.mask.offsets[user], columns + input.mask.offsets[user + 1], item)) continue;
      all.push_back({float(dotOf(input.users.data() + user * input.dimension, input.items.data() + item * input.dimension, input.dimension)), item});
    }
    std::stable_sort(all.begin(), all.end(), [](auto a, auto b) { return a.first > b.first; });
    for (size_t at = 0; at < input.k; at++) {
      result.items.push_back(at < all.size() ? all[at].second : NO_ITEM);
      result.scores.push_back(at < all.size() ? all[at].first : -INFINITY);
    }
  }
  return result;
}

void testScore() {
  struct Shape {
    size_t users, items, dimension, k;
    const char* what;
  };
  for (const Shape& shape : {Shape{1, 1, 1, 1, "one"}, {3, 130, 7, 5, "small"}, {130, 700, 16, 10, "two tiles"}, {5, 2311, 65, 50, "many tiles"}, {2, 1300, 3, 1300, "whole lists"},
                             {3, 900, 9, 20, "mass ties"}, {3, 3000, 33, 4, "ascending"}, {2, 300, 5, 7, "huge"}, {2, 300, 5, 7, "tiny"}, {4, 200, 4, 200, "all masked"}}) {
    const std::string what = shape.what;
    ScoreTopK input;
    input.userRows = shape.users;
    input.itemCount = shape.items;
    input.dimension = shape.dimension;
    input.k = shape.k;
    const double scale = what == "huge" ? 1e38 : what == "tiny" ? 1e-22 : 1.0;
    std::vector<float> users = numbers<float>(shape.users * shape.dimension, 1, scale), items = numbers<float>(shape.items * shape.dimension, 2, scale);
    if (what == "mass ties") for (float& value : users) value = value > 0 ? 1.0f : -0.0f;
    if (what == "mass ties") for (float& value : items) value = value > 0.45f ? 1.0f : 0.5f;
    if (what == "ascending") {
      for (float& value : users) value = std::fabs(value);
      for (size_t at = 0; at < items.size(); at++) items[at] = float(at / shape.dimension);
    }
    input.users = users;
    input.items = items;
    input.masked = what != "small" && what != "ascending";
    if (input.masked) input.mask = sparse(shape.users, shape.items, what == "all masked" ? 1000 : 100, 3);
    const TopK wanted = fullSort(input);
    inOrders([&] {
      const TopK found = cuda::scoreTopK(input, hostRun());
      expect(same(found.items, wanted.items), "scoreTopK items: " + what);
      expect(same(found.scores, wanted.scores), "scoreTopK scores: " + what);
    });
  }
}

void testPropagate() {
  for (const size_t dimension : {1, 7, 33, 64, 100, 130}) {
    for (const size_t layers : {0, 1, 3}) {
      Propagate input;
      input.userCount = dimension == 7 ? 700 : 43;
      input.itemCount = dimension == 64 ? 600 : 57;
      input.dimension = dimension;
      input.layers = layers;
      input.parameters = numbers<float>((input.userCount + input.itemCount) * dimension, 4);
      input.positives = sparse(input.userCount, input.itemCount, 50, 5);
      const std::vector<float> wanted = cpu::propagate(input, hostRun());
      inOrders([&] { expect(same(cuda::propagate(input, hostRun()), wanted), "propagate, dimension " + std::to_string(dimension)); });
    }
  }
}

KnapsackResult plainKnapsack(const Knapsack& input) {
  KnapsackResult result;
  size_t start = 0;
  for (size_t instance = 0; instance < input.capacities.size(); instance++) {
    const size_t width = size_t(input.capacities[instance]) + 1, first = input.categoryOffsets[instance], last = input.categoryOffsets[instance + 1];
    std::vector<double> best(width, input.atMost ? 0.0 : -INFINITY);
    best[0] = 0.0;
    std::vector<std::vector<uint32_t>> picks;
    for (size_t category = first; category < last; category++) {
      std::vector<double> next(width, -INFINITY);
      picks.emplace_back(width, 0u);
      for (size_t w = 0; w < width; w++) {
        for (size_t x = 1; x <= std::min<size_t>(w, input.levels[category]); x++) {
          const double sum = best[w - x] + input.values[start + x - 1];
          if (sum > next[w]) next[w] = sum, picks.back()[w] = uint32_t(x);
        }
      }
      start += input.levels[category];
      best = next;
    }
    result.totals.push_back(best[width - 1]);
    size_t left = width - 1;
    std::vector<uint32_t> choices;
    for (size_t category = last - first; category-- > 0;) {
      choices.push_back(picks[category][left]);
      left -= choices.back();
    }
    result.choices.insert(result.choices.end(), choices.rbegin(), choices.rend());
  }
  return result;
}

void testKnapsack() {
  Draws draws(8);
  for (const bool atMost : {false, true}) {
    for (const bool ties : {false, true}) {
      std::vector<uint32_t> offsets{0}, levels, capacities;
      for (size_t instance = 0; instance < 23; instance++) {
        const uint32_t categories = 1 + draws.below(6);
        uint32_t sum = 0;
        for (uint32_t category = 0; category < categories; category++) {
          levels.push_back(instance == 7 ? 400 + draws.below(300) : 1 + draws.below(instance % 3 == 0 ? 90 : 9));
          sum += levels.back();
        }
        capacities.push_back(categories + draws.below(sum - categories + 1));
        if (instance == 7) capacities.back() = std::max(capacities.back(), std::min(sum, 1100u));
        offsets.push_back(uint32_t(levels.size()));
      }
      size_t size = 0;
      for (const uint32_t level : levels) size += level;
      Knapsack input;
      std::vector<double> values = numbers<double>(size, 9);
      if (ties) for (double& value : values) value = std::floor(value * 4);
      input.categoryOffsets = offsets;
      input.levels = levels;
      input.values = values;
      input.capacities = capacities;
      input.atMost = atMost;
      const KnapsackResult wanted = plainKnapsack(input);
      inOrders([&] {
        const KnapsackResult found = cuda::knapsack(input, hostRun());
        expect(same(found.choices, wanted.choices) && same(found.totals, wanted.totals), "knapsack");
      });
    }
  }
  Knapsack huge;
  huge.categoryOffsets = std::vector<uint32_t>{0, 2};
  huge.levels = std::vector<uint32_t>{1, 1};
  huge.values = std::vector<double>{1.7e308, 1.7e308};
  huge.capacities = std::vector<uint32_t>{2};
  expect(codeOf([&] { cuda::knapsack(huge, hostRun()); }) == "NATIVE_RANGE", "knapsack refuses sums that overflow");
}

void testTraining() {
  for (const size_t dimension : {1, 9, 64, 100}) {
    for (const size_t layers : {0, 2}) {
      for (const bool adam : {false, true}) {
        Training input;
        input.state.userCount = 41;
        input.state.itemCount = 53;
        input.state.dimension = dimension;
        const size_t size = 94 * dimension;
        input.state.parameters = numbers<float>(size, 16);
        input.state.step = 5;
        if (adam) input.state.first = numbers<float>(size, 17, 0.01), input.state.second.assign(size, 0.5f);
        input.positives = sparse(41, 53, 150, 18);
        input.seed = 9;
        input.firstEpoch = 3;
        input.epochs = 2;
        input.batchCount = layers == 0 && dimension == 9 ? 150 : 5;
        input.learningRate = 0.05;
        input.regularisation = 0.1;
        input.adam = adam;
        input.layers = layers;
        input.bf16 = dimension == 64;
        const EpochResult wanted = cpu::train(input, hostRun());
        inOrders([&] {
          const EpochResult found = cuda::train(input, hostRun());
          const std::string what = "training, dimension " + std::to_string(dimension) + ", layers " + std::to_string(layers) + (adam ? ", adam" : ", sgd");
          expect(same(found.losses, wanted.losses), what + ": losses");
          expect(same(found.state.parameters, wanted.state.parameters), what + ": parameters");
          expect(same(found.state.first, wanted.state.first) && same(found.state.second, wanted.state.second) && found.state.step == wanted.state.step, what + ": moments");
        });
      }
    }
  }
  Training wild;
  wild.state.userCount = wild.state.itemCount = 3;
  wild.state.dimension = 2;
  wild.state.parameters = numbers<float>(12, 19);
  wild.positives = sparse(3, 3, 500, 20);
  wild.epochs = 2;
  wild.batchCount = 1;
  wild.learningRate = 3e38;
  wild.adam = false;
  expect(codeOf([&] { cuda::train(wild, hostRun()); }) == "NATIVE_DIVERGED", "training that diverges is refused");
}

// One user at a time, as src/native/reference/attention.ts.
AttentionResult plainAttention(const Attention& input) {
  AttentionResult result;
  const size_t users = input.queryOffsets.size() - 1, width = input.dimension / input.heads;
  const float scale = float(1.0 / std::sqrt(double(width)));
  for (size_t user = 0; user < users; user++) {
    const size_t keys = input.keyOffsets[user + 1] - input.keyOffsets[user], queries = input.queryOffsets[user + 1] - input.queryOffsets[user];
    std::vector<float> means(queries * keys);
    std::vector<std::vector<float>> heads(input.heads);
    for (size_t query = 0; query < queries && keys > 0; query++) {
      const float* q = input.queries.data() + (input.queryOffsets[user] + query) * input.dimension;
      for (size_t head = 0; head < input.heads; head++) {
        std::vector<float> e(keys);
        float largest = -INFINITY;
        for (size_t key = 0; key < keys; key++) {
          const float* k = input.keys.data() + (input.keyOffsets[user] + key) * input.dimension;
          float logit = input.bias.empty() ? 0.0f : input.bias[input.keyOffsets[user] + key];
          for (size_t d = head * width; d < (head + 1) * width; d++) logit = fma32(q[d] * scale, k[d], logit);
          e[key] = logit;
          largest = std::max(largest, logit);
        }
        float t[16] = {};
        for (size_t key = 0; key < keys; key++) {
          e[key] = exp32(e[key] - largest);
          t[key % 16] = t[key % 16] + e[key];
        }
        for (size_t half = 8; half > 0; half /= 2) {
          for (size_t lane = 0; lane < half; lane++) t[lane] = t[lane] + t[lane + half];
        }
        for (size_t key = 0; key < keys; key++) {
          heads[head].push_back(e[key] * (1.0f / t[0]));
          float& mean = means[query * keys + key];
          const float inverse = 1.0f / (t[0] * float(input.heads));
          mean = head == 0 ? e[key] * inverse : fma32(e[key], inverse, mean);
        }
      }
    }
    if (input.output == AttentionOutput::heads) {
      for (const std::vector<float>& head : heads) result.weights.insert(result.weights.end(), head.begin(), head.end());
    } else if (input.output == AttentionOutput::weights) {
      result.weights.insert(result.weights.end(), means.begin(), means.end());
    } else if (input.output == AttentionOutput::top) {
      for (size_t query = 0; query < queries; query++) {
        std::vector<uint32_t> order(keys);
        for (size_t key = 0; key < keys; key++) order[key] = uint32_t(key);
        std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return means[query * keys + a] > means[query * keys + b]; });
        for (size_t at = 0; at < input.k; at++) {
          result.keys.push_back(at < keys ? order[at] : NO_ITEM);
          result.weights.push_back(at < keys ? means[query * keys + order[at]] : 0.0f);
        }
      }
    } else {
      for (size_t key = 0; key < keys; key++) {
        const bool mean = input.output == AttentionOutput::mean;
        float all = 0.0f;
        for (size_t first = 0; first < queries; first += 64) {
          float part = 0.0f;
          for (size_t query = first; query < std::min(queries, first + 64); query++) {
            const float weight = means[query * keys + key];
            part = mean ? part + weight : std::max(part, weight);
          }
          all = mean ? all + part : std::max(all, part);
        }
        result.weights.push_back(mean && queries > 0 ? all / float(queries) : all);
      }
    }
  }
  return result;
}

void testAttention() {
  for (const size_t heads : {1, 3}) {
    for (const size_t width : {1, 11, 40}) {
      Attention input;
      input.heads = heads;
      input.dimension = heads * width;
      std::vector<uint32_t> queryOffsets{0}, keyOffsets{0};
      for (const uint32_t queries : {1, 0, 5, 33, 70, 3}) queryOffsets.push_back(queryOffsets.back() + queries);
      for (const uint32_t keys : {1, 9, 0, 31, 33, width == 11 ? 2100 : 300}) keyOffsets.push_back(keyOffsets.back() + keys);
      input.queries = numbers<float>(queryOffsets.back() * input.dimension, 11, 4.0);
      input.keys = numbers<float>(keyOffsets.back() * input.dimension, 12, width == 40 ? 40.0 : 4.0);
      if (heads == 3) input.bias = numbers<float>(keyOffsets.back(), 13);
      input.queryOffsets = queryOffsets;
      input.keyOffsets = keyOffsets;
      for (const AttentionOutput output : {AttentionOutput::heads, AttentionOutput::weights, AttentionOutput::max, AttentionOutput::mean, AttentionOutput::top}) {
        input.output = output;
        input.k = 40;
        const AttentionResult wanted = plainAttention(input);
        inOrders([&] {
          const AttentionResult found = cuda::attentionWeights(input, hostRun());
          expect(same(found.weights, wanted.weights) && same(found.keys, wanted.keys), "attention, output " + std::to_string(int(output)));
        });
      }
    }
  }
  Attention huge;
  huge.heads = huge.dimension = 1;
  huge.queries = std::vector<float>{1e30f};
  huge.keys = std::vector<float>{1e30f, 1.0f};
  huge.queryOffsets = std::vector<uint32_t>{0, 1};
  huge.keyOffsets = std::vector<uint32_t>{0, 2};
  expect(codeOf([&] { cuda::attentionWeights(huge, hostRun()); }) == "NATIVE_RANGE", "attention refuses logits that overflow");
}

void testCounts() {
  for (const size_t n : {1, 5, 70, 200}) {
    for (const bool dense : {false, true}) {
      Gram input;
      input.columnCount = n;
      input.positives = sparse(dense ? 37 : 3000, n, dense ? 500 : 1, 14);
      const Csr& csr = input.positives;
      std::vector<uint32_t> wanted(n * (n + 1) / 2), full(n * n);
      for (size_t row = 0; row + 1 < csr.offsets.size(); row++) {
        for (size_t a = csr.offsets[row]; a < csr.offsets[row + 1]; a++) {
          for (size_t b = csr.offsets[row]; b < csr.offsets[row + 1]; b++) {
            const size_t i = csr.columns[a], j = csr.columns[b];
            full[i * n + j]++;
            if (j <= i) wanted[i * (i + 1) / 2 + j]++;
          }
        }
      }
      Cooccurrence near;
      near.positives = csr;
      near.columnCount = n;
      near.k = 9;
      CooccurrenceResult best;
      for (size_t column = 0; column < n; column++) {
        std::vector<uint32_t> order;
        for (size_t other = 0; other < n; other++) if (other != column && full[column * n + other] > 0) order.push_back(uint32_t(other));
        std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return full[column * n + a] > full[column * n + b]; });
        for (size_t at = 0; at < near.k; at++) {
          best.items.push_back(at < order.size() ? order[at] : NO_ITEM);
          best.counts.push_back(at < order.size() ? full[column * n + order[at]] : 0);
        }
      }
      inOrders([&] {
        expect(same(cuda::gram(input, hostRun()), wanted), "gram");
        const CooccurrenceResult found = cuda::itemCooccurrence(near, hostRun());
        expect(same(found.items, best.items) && same(found.counts, best.counts), "itemCooccurrence");
      });
    }
  }
}

void testLinear() {
  for (const size_t n : {1, 2, 63, 64, 65, 130}) {
    const auto at = [](size_t i, size_t j) { return i * (i + 1) / 2 + j; };
    std::vector<double> matrix(n * (n + 1) / 2), vectors = numbers<double>(3 * n, 15), weights{1.0, -0.25, 3.0};
    for (size_t i = 0; i < n; i++) {
      for (size_t j = 0; j <= i; j++) matrix[at(i, j)] = (i == j ? double(n) : 0.0) + std::sin(double(i * 7 + j * 3));
    }
    std::vector<double> factor = matrix, m(matrix.size()), inverse(matrix.size());
    for (size_t i = 0; i < n; i++) {
      for (size_t j = 0; j <= i; j++) {
        double s = matrix[at(i, j)];
        for (size_t k = 0; k < j; k++) s = std::fma(-factor[at(i, k)], factor[at(j, k)], s);
        factor[at(i, j)] = i == j ? std::sqrt(s) : s / factor[at(j, j)];
      }
    }
    for (size_t i = 0; i < n; i++) {
      for (size_t j = 0; j <= i; j++) {
        double s = 0;
        for (size_t k = j; k < i; k++) s = std::fma(-factor[at(i, k)], m[at(k, j)], s);
        m[at(i, j)] = i == j ? 1 / factor[at(j, j)] : s / factor[at(i, i)];
      }
    }
    for (size_t i = 0; i < n; i++) {
      for (size_t j = 0; j <= i; j++) {
        double s = 0;
        for (size_t k = i; k < n; k++) s = std::fma(m[at(k, i)], m[at(k, j)], s);
        inverse[at(i, j)] = s + 0.0;
      }
    }
    std::vector<double> updated = matrix;
    for (size_t r = 0; r < weights.size(); r++) {
      for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) updated[at(i, j)] = std::fma(weights[r] * vectors[r * n + i], vectors[r * n + j], updated[at(i, j)]);
      }
    }
    inOrders([&] {
      Cholesky input;
      input.size = n;
      input.matrix = matrix;
      cuda::cholesky(input, hostRun());
      expect(same(input.matrix, factor), "cholesky factor of order " + std::to_string(n));
      input.matrix = matrix;
      input.inverse = true;
      cuda::cholesky(input, hostRun());
      expect(same(input.matrix, inverse), "cholesky inverse of order " + std::to_string(n));
      RankUpdate change;
      change.size = n;
      change.matrix = matrix;
      change.vectors = vectors;
      change.weights = weights;
      cuda::rankUpdate(change, hostRun());
      expect(same(change.matrix, updated), "rankUpdate of order " + std::to_string(n));
    });
    Cholesky indefinite;
    indefinite.size = n;
    indefinite.matrix = matrix;
    indefinite.matrix[at(n / 2, n / 2)] = -1;
    const std::vector<double> before = indefinite.matrix;
    std::string message;
    try {
      cuda::cholesky(indefinite, hostRun());
    } catch (const Error& error) {
      message = error.message;
    }
    expect(message.find("column " + std::to_string(n / 2) + " ") != std::string::npos && same(indefinite.matrix, before), "cholesky names the pivot and leaves the matrix");
  }
}

// src/native/reference/kmeans.ts, line by line.
KMeansRound plainKMeans(const KMeans& input) {
  const size_t dimension = input.dimension, count = input.points.size() / dimension, clusters = input.centroids.size() / dimension;
  KMeansRound result;
  result.labels.assign(count, NO_ITEM);
  result.distances.assign(count, 0.0);
  result.centroids.assign(input.centroids.begin(), input.centroids.end());
  const auto assign = [&] {
    bool moved = false;
    for (size_t point = 0; point < count; point++) {
      uint32_t best = 0;
      double nearest = INFINITY;
      for (size_t cluster = 0; cluster < clusters; cluster++) {
        double distance = 0;
        for (size_t axis = 0; axis < dimension; axis++) {
          const double difference = input.points[point * dimension + axis] - result.centroids[cluster * dimension + axis];
          distance += difference * difference;
        }
        if (distance < nearest) nearest = distance, best = uint32_t(cluster);
      }
      moved = moved || result.labels[point] != best;
      result.labels[point] = best;
      result.distances[point] = nearest;
    }
    return moved;
  };
  for (bool moved = true; moved && result.rounds < input.rounds; result.rounds++) {
    moved = assign();
    std::vector<uint32_t> sizes(clusters);
    for (const uint32_t label : result.labels) sizes[label]++;
    for (size_t cluster = 0; cluster < clusters; cluster++) {
      if (sizes[cluster] > 0) continue;
      size_t far = count;
      for (size_t point = 0; point < count; point++) {
        if (result.distances[point] > (far == count ? 0 : result.distances[far]) && sizes[result.labels[point]] > 1) far = point;
      }
      if (far == count) break;
      sizes[result.labels[far]]--;
      sizes[cluster] = 1;
      result.labels[far] = uint32_t(cluster);
      result.distances[far] = 0;
      moved = true;
    }
    std::vector<double> sums(clusters * dimension);
    for (size_t point = 0; point < count; point++) {
      for (size_t axis = 0; axis < dimension; axis++) sums[result.labels[point] * dimension + axis] += input.points[point * dimension + axis];
    }
    for (size_t at = 0; at < sums.size(); at++) result.centroids[at] = sums[at] / double(std::max(1u, sizes[at / dimension]));
  }
  assign();
  return result;
}

void testKMeans() {
  for (const size_t clusters : {1, 3, 20}) {
    for (const size_t dimension : {1, 5, 40}) {
      KMeans input;
      input.dimension = dimension;
      std::vector<double> points = numbers<double>(300 * dimension, 26), centroids(points.begin(), points.begin() + ptrdiff_t(clusters * dimension));
      // Two centroids at one place: the second stays empty until it is given a point.
      if (clusters > 1) std::copy(centroids.begin(), centroids.begin() + ptrdiff_t(dimension), centroids.begin() + ptrdiff_t(dimension));
      if (dimension == 1) for (double& point : points) point = std::floor(point * 4);
      input.points = points;
      input.centroids = centroids;
      input.rounds = 7;
      const KMeansRound wanted = plainKMeans(input);
      inOrders([&] {
        const KMeansRound found = cuda::kmeans(input, hostRun());
        expect(same(found.labels, wanted.labels) && same(found.centroids, wanted.centroids) && same(found.distances, wanted.distances) && found.rounds == wanted.rounds, "kmeans");
      });
    }
  }
}

void testHessian() {
  for (const size_t dimension : {1, 9, 40}) {
    for (const size_t layers : {0, 2}) {
      for (const bool bce : {false, true}) {
        Loss loss;
        loss.userCount = 23;
        loss.itemCount = 31;
        loss.dimension = dimension;
        loss.layers = layers;
        loss.parameters = numbers<float>(54 * dimension, 21);
        loss.positives = sparse(23, 31, 200, 22);
        loss.bce = bce;
        loss.regularisation = 0.1;
        loss.gaussNewton = dimension == 9;
        Draws draws(23);
        std::vector<uint32_t> users, items, negatives;
        std::vector<float> labels;
        for (size_t sample = 0; sample < 400; sample++) {
          users.push_back(draws.below(22));
          items.push_back(draws.below(31) * draws.below(2));
          negatives.push_back(draws.below(31));
          labels.push_back(float(draws.below(2)));
        }
        loss.users = users;
        loss.items = items;
        if (bce) loss.labels = labels;
        else loss.negatives = negatives;
        HessianProduct input{loss, numbers<double>(54 * dimension, 24)};
        const std::vector<double> wanted = cpu::hessianProduct(input, hostRun());
        ConjugateGradient solve;
        solve.loss = loss;
        solve.loss.gaussNewton = true;
        solve.restricted = layers == 0;
        if (solve.restricted) solve.rows = std::vector<uint32_t>{0, 5, 30, 53};
        solve.gradient = numbers<double>((solve.restricted ? 4 : 54) * dimension, 25);
        solve.damping = 0.05;
        solve.tolerance = 1e-6;
        solve.iterations = 12;
        const ConjugateGradientResult solved = cpu::conjugateGradient(solve, hostRun());
        inOrders([&] {
          expect(same(cuda::hessianProduct(input, hostRun()), wanted), "hessianProduct, dimension " + std::to_string(dimension));
          const ConjugateGradientResult found = cuda::conjugateGradient(solve, hostRun());
          expect(same(found.solution, solved.solution) && found.iterations == solved.iterations && found.residual == solved.residual &&
                     found.negativeCurvature == solved.negativeCurvature,
                 "conjugateGradient, dimension " + std::to_string(dimension));
        });
      }
    }
  }
}

void testHeld() {
  ScoreTopK input;
  input.userRows = 40;
  input.itemCount = 300;
  input.dimension = 8;
  input.k = 6;
  input.masked = true;
  input.users = numbers<float>(320, 27);
  input.items = numbers<float>(2400, 28);
  input.mask = sparse(40, 300, 100, 29);
  const TopK wanted = cuda::scoreTopK(input, hostRun());
  cuda::keep(input.items.storage(), hostRun());
  cuda::keep(input.mask.offsets.storage(), hostRun());
  cuda::keep(input.mask.columns.storage(), hostRun());
#if defined(CRAGRU_EMULATE)
  const size_t kept = emulate::memoryInUse;
  expect(kept >= 2400 * 4, "held values lie on the GPU");
#endif
  for (int repeat = 0; repeat < 2; repeat++) {
    const TopK found = cuda::scoreTopK(input, hostRun());
    expect(same(found.items, wanted.items) && same(found.scores, wanted.scores), "a call reads what is held");
  }
#if defined(CRAGRU_EMULATE)
  input = ScoreTopK();
  expect(emulate::memoryInUse == 0, "held values are freed with their storage");
#endif
}

void testFailures() {
  Propagate input;
  input.userCount = input.itemCount = 20;
  input.dimension = 8;
  input.layers = 2;
  input.parameters = numbers<float>(320, 4);
  input.positives = sparse(20, 20, 100, 5);
  std::atomic<bool> stop{true};
  Pool pool;
  Run run(pool, 1, hostRun().blocks);
  run.cancelled = &stop;
  expect(codeOf([&] { cuda::propagate(input, run); }) == "cancelled", "a cancelled call ends");
#if defined(CRAGRU_EMULATE)
  const size_t before = emulate::memoryInUse, limit = emulate::memoryLimit;
  emulate::memoryLimit = 4000;
  expect(codeOf([&] { cuda::propagate(input, hostRun()); }) == "NATIVE_MEMORY", "too little memory of the GPU is an error");
  emulate::memoryLimit = limit;
  emulate::failNext = 719;
  expect(codeOf([&] { cuda::propagate(input, hostRun()); }) == "NATIVE_CUDA", "an error of the device is an error");
  expect(emulate::memoryInUse == before, "failed calls free their memory");
#endif
}

}  // namespace

int main() {
  char text[CRAGRU_CUDA_TEXT];
  if (cragru_cuda_table()->countDevices(text, sizeof text) == 0) {
    std::printf("no GPU: skipped (%s)\n", text);
    return 0;
  }
  testScore();
  testPropagate();
  testKnapsack();
  testTraining();
  testAttention();
  testCounts();
  testLinear();
  testHessian();
  testKMeans();
  testHeld();
  testFailures();
  std::printf("%d checks, %d failures\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
