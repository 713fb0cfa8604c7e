#include <algorithm>

#include "expect.h"

using namespace cragru;
using namespace cragru::test;

namespace {

Attention problem(size_t dimension, size_t heads, bool biased, double scale, uint32_t longest = 51) {
  Attention input;
  input.dimension = dimension;
  input.heads = heads;
  input.queryOffsets = std::vector<uint32_t>{0, 3, 3, 4, 11, 11, 12};
  input.keyOffsets = std::vector<uint32_t>{0, 1, 9, 9, 9 + longest, 9 + longest, 25 + longest};
  input.queries = numbers<float>(12 * dimension, 1, scale);
  input.keys = numbers<float>((25 + longest) * dimension, 2, scale);
  if (biased) input.bias = numbers<float>(25 + longest, 3, 9);
  return input;
}

// [heads][c][h] of each user in double.
std::vector<std::vector<double>> plainly(const Attention& input) {
  std::vector<std::vector<double>> users;
  const size_t width = input.dimension / input.heads;
  for (size_t b = 0; b + 1 < input.queryOffsets.size(); b++) {
    const size_t c = input.queryOffsets[b + 1] - input.queryOffsets[b], h = input.keyOffsets[b + 1] - input.keyOffsets[b];
    std::vector<double> weights(input.heads * c * h);
    for (size_t head = 0; head < input.heads; head++) {
      for (size_t q = 0; q < c; q++) {
        double* row = weights.data() + (head * c + q) * h;
        const float* query = input.queries.data() + (input.queryOffsets[b] + q) * input.dimension + head * width;
        double most = -1e300, sum = 0;
        for (size_t j = 0; j < h; j++) {
          const size_t key = input.keyOffsets[b] + j;
          double dot = 0;
          for (size_t d = 0; d < width; d++) dot += double(query[d]) * input.keys[key * input.dimension + head * width + d];
          row[j] = dot / std::sqrt(double(width)) + (input.bias.empty() ? 0 : input.bias[key]);
          most = std::max(most, row[j]);
        }
        for (size_t j = 0; j < h; j++) sum += row[j] = std::exp(row[j] - most);
        for (size_t j = 0; j < h; j++) row[j] /= sum;
      }
    }
    users.push_back(weights);
  }
  return users;
}

AttentionResult outputOf(Attention input, AttentionOutput output, size_t k, const std::string& what) {
  input.output = output;
  input.k = k;
  return onAll(what, input, cpu::attentionWeights);
}

}  // namespace

TEST("attention: every output against plain loops") {
  for (const auto& [dimension, heads] : {std::pair<size_t, size_t>{12, 1}, {12, 3}, {12, 12}, {64, 8}, {5, 5}, {40, 2}}) {
    for (const bool biased : {false, true}) {
      const Attention input = problem(dimension, heads, biased, 4, dimension == 64 ? 330 : 51);
      const auto wanted = plainly(input);
      const AttentionResult every = outputOf(input, AttentionOutput::heads, 0, "attention heads"), means = outputOf(input, AttentionOutput::weights, 0, "attention weights");
      const AttentionResult most = outputOf(input, AttentionOutput::max, 0, "attention max"), mean = outputOf(input, AttentionOutput::mean, 0, "attention mean");
      const AttentionResult top = outputOf(input, AttentionOutput::top, 7, "attention top");
      size_t at = 0, cell = 0;
      for (size_t b = 0; b < wanted.size(); b++) {
        const size_t c = input.queryOffsets[b + 1] - input.queryOffsets[b], first = input.keyOffsets[b], h = input.keyOffsets[b + 1] - first;
        for (const double weight : wanted[b]) expectNear(every.weights[at++], weight, 2e-6, "attention of each head");
        for (size_t q = 0; q < c; q++) {
          std::vector<std::pair<float, uint32_t>> order;
          for (size_t j = 0; j < h; j++) {
            double sum = 0;
            for (size_t head = 0; head < heads; head++) sum += wanted[b][(head * c + q) * h + j];
            expectNear(means.weights[cell + q * h + j], sum / double(heads), 2e-6, "attention mean over heads");
            order.push_back({-means.weights[cell + q * h + j], uint32_t(j)});
          }
          std::stable_sort(order.begin(), order.end(), [](auto x, auto y) { return x.first < y.first; });
          for (size_t place = 0; place < 7; place++) {
            const size_t slot = (input.queryOffsets[b] + q) * 7 + place;
            expect(top.keys[slot] == (place < h ? order[place].second : NO_ITEM) && top.weights[slot] == (place < h ? -order[place].first : 0.0f), "attention top against a sort of the means");
          }
        }
        for (size_t j = 0; j < h; j++) {
          float largest = 0;
          double sum = 0;
          for (size_t q = 0; q < c; q++) largest = std::max(largest, means.weights[cell + q * h + j]), sum += means.weights[cell + q * h + j];
          expect(most.weights[first + j] == largest, "attention max is the largest of the means");
          expectNear(mean.weights[first + j], c == 0 ? 0 : sum / double(c), 1e-6, "attention mean over candidates");
        }
        cell += c * h;
      }
      expect(every.weights.size() == at && means.weights.size() == cell && top.keys.size() == 84 && most.weights.size() == input.keyOffsets[6], "attention result sizes");
    }
  }
}

TEST("attention: extreme logits, equal keys and more keys asked for than there are") {
  for (const double scale : {1e-38, 1e6, 1e15}) {
    const Attention input = problem(8, 2, false, scale);
    const AttentionResult result = outputOf(input, AttentionOutput::weights, 0, "attention, extreme logits");
    for (const float weight : result.weights) expect(weight >= 0 && weight <= 1.000001f, "attention weights lie in 0 .. 1");
  }
  Attention equal = problem(8, 2, false, 1);
  equal.keys = std::vector<float>(equal.keys.size(), 0.5f);
  const AttentionResult top = outputOf(equal, AttentionOutput::top, 1000, "attention, equal keys");
  for (size_t query = 4; query < 11; query++) {
    for (size_t place = 0; place < 60; place++) expect(top.keys[query * 1000 + place] == (place < 51 ? place : NO_ITEM), "ties go to the lower key");
  }
}

TEST("attention: many users") {
  Attention input;
  input.dimension = 16;
  input.heads = 4;
  Draws draws(8);
  std::vector<uint32_t> queries{0}, keys{0};
  for (int user = 0; user < 300; user++) queries.push_back(queries.back() + draws.below(6)), keys.push_back(keys.back() + draws.below(40));
  input.queries = numbers<float>(queries.back() * size_t(16), 1, 3);
  input.keys = numbers<float>(keys.back() * size_t(16), 2, 3);
  input.queryOffsets = queries;
  input.keyOffsets = keys;
  for (const AttentionOutput output : {AttentionOutput::heads, AttentionOutput::weights, AttentionOutput::max, AttentionOutput::mean, AttentionOutput::top}) {
    outputOf(input, output, 5, "attention of many users");
  }
}
