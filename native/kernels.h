// The kernels as plain C++: no napi, no cuda. Meaning, shapes, order of operations and ties are those of
// src/native/kernels.ts and src/native/reference/; the structs below hold its arguments by value.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace cragru {

class Run;  // run.h: threads, cancellation and progress of one call

struct Csr {
  std::vector<uint32_t> offsets;
  std::vector<uint32_t> columns;
};

// Thrown by kernels and argument checks; becomes a NativeError in TypeScript.
struct Error {
  std::string code;
  std::string message;
  std::string hint;
};

// Thrown where a kernel notices that its caller gave up.
struct Cancelled {};

constexpr uint32_t NO_ITEM = 0xffffffffu;

struct ScoreTopK {
  std::vector<float> users;  // [userRows, dimension]
  std::vector<float> items;  // [itemCount, dimension]
  size_t userRows = 0, itemCount = 0, dimension = 0, k = 0;
  bool masked = false;
  Csr mask;
};

struct TopK {
  std::vector<uint32_t> items;  // [userRows, k]
  std::vector<float> scores;    // [userRows, k]
};

struct TrainingState {
  size_t userCount = 0, itemCount = 0, dimension = 0;
  std::vector<float> parameters, first, second;
  uint64_t step = 0;
};

// BPR is the case of 0 layers.
struct Training {
  TrainingState state;
  Csr positives;
  uint32_t seed = 0;
  uint64_t firstEpoch = 0, epochs = 0;
  uint32_t batchCount = 0;
  double learningRate = 0, regularisation = 0;
  bool adam = true;
  size_t layers = 0;
};

struct EpochResult {
  TrainingState state;
  std::vector<double> losses;  // [epochs]
};

struct Propagate {
  size_t userCount = 0, itemCount = 0, dimension = 0, layers = 0;
  std::vector<float> parameters;
  Csr positives;
};

enum class AttentionOutput { weights, max, mean };

struct Attention {
  std::vector<float> queries, keys, bias;  // bias empty: none
  std::vector<uint32_t> queryOffsets, keyOffsets;
  size_t dimension = 0, heads = 0;
  AttentionOutput output = AttentionOutput::weights;
};

struct Knapsack {
  std::vector<double> values;  // [instances, categories, levels]
  size_t instances = 0, categories = 0, levels = 0, capacity = 0;
  bool atMost = false;
};

struct KnapsackResult {
  std::vector<uint32_t> choices;  // [instances, categories]
  std::vector<double> totals;     // [instances]
};

// All arguments must have passed native/check.h. The results do not depend on the Run's threads or instruction set.
namespace cpu {
TopK scoreTopK(const ScoreTopK& input, Run& run);
EpochResult train(Training input, Run& run);
std::vector<float> propagate(const Propagate& input, Run& run);
std::vector<float> attentionWeights(const Attention& input, Run& run);
KnapsackResult knapsack(const Knapsack& input, Run& run);
}  // namespace cpu

}  // namespace cragru
