// The kernels as plain C++: no napi, no cuda. Meaning, shapes, order of operations and ties are those of
// src/native/kernels.ts and src/native/reference/; the structs below hold its arguments.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "array.h"

namespace cragru {

class Run;  // run.h: threads, cancellation and progress of one call

struct Csr {
  Array<uint32_t> offsets;
  Array<uint32_t> columns;
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
  Array<float> users;  // [userRows, dimension]
  Array<float> items;  // [itemCount, dimension]
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
  bool hogwild = false;
  bool bf16 = false;  // operand of the propagation
  size_t layers = 0;
};

struct EpochResult {
  TrainingState state;
  std::vector<double> losses;  // [epochs]
};

struct Propagate {
  size_t userCount = 0, itemCount = 0, dimension = 0, layers = 0;
  bool bf16 = false;
  Array<float> parameters;
  Csr positives;
};

enum class AttentionOutput { heads, weights, max, mean, top };

struct Attention {
  Array<float> queries, keys, bias;  // bias empty: none
  Array<uint32_t> queryOffsets, keyOffsets;
  size_t dimension = 0, heads = 0, k = 0;
  AttentionOutput output = AttentionOutput::weights;
};

struct AttentionResult {
  Fresh<float> weights;
  bool top = false;            // set by the caller that asked for it
  std::vector<uint32_t> keys;  // of AttentionOutput::top
};

struct Knapsack {
  Array<uint32_t> categoryOffsets;  // [instances + 1]
  Array<uint32_t> levels;           // [all categories]
  Array<double> values;             // [sum of levels]
  Array<uint32_t> capacities;       // [instances]
  bool atMost = false;
};

struct KnapsackResult {
  std::vector<uint32_t> choices;  // [all categories]
  std::vector<double> totals;     // [instances]
};

struct KMeans {
  Array<double> points;     // [points, dimension]
  Array<double> centroids;  // [clusters, dimension]
  size_t dimension = 0, rounds = 0;
};

struct KMeansRound {
  std::vector<uint32_t> labels;
  std::vector<double> centroids, distances;
  size_t rounds = 0;
};

struct Gram {
  Csr positives;
  size_t columnCount = 0;
};

struct Cooccurrence {
  Csr positives;
  size_t columnCount = 0, k = 0;
};

struct CooccurrenceResult {
  std::vector<uint32_t> items, counts;  // [columnCount, k]
};

struct Cholesky {
  std::vector<double> matrix;  // lower triangle, row by row; its values are the result
  bool matrixChecked = false;  // a held matrix was checked when it was held
  size_t size = 0;
  bool inverse = false;
};

struct RankUpdate {
  std::vector<double> matrix;  // lower triangle, row by row; its values are the result
  bool matrixChecked = false;  // as in Cholesky
  size_t size = 0;
  Array<double> vectors;  // [rank, size]
  Array<double> weights;  // [rank]
};

struct Loss {
  size_t userCount = 0, itemCount = 0, dimension = 0, layers = 0;
  Array<float> parameters;
  Csr positives;  // of layers > 0
  bool bce = false;
  Array<uint32_t> users, items, negatives;  // negatives of BPR alone
  Array<float> labels;                      // of BCE alone
  double regularisation = 0;
  bool gaussNewton = false;
};

struct HessianProduct {
  Loss loss;
  Array<double> vector;
};

struct ConjugateGradient {
  Loss loss;
  Array<double> gradient;
  bool restricted = false;
  Array<uint32_t> rows;
  double damping = 0, tolerance = 0;
  size_t iterations = 0;
};

struct ConjugateGradientResult {
  std::vector<double> solution;
  size_t iterations = 0;
  double residual = 0;
  bool negativeCurvature = false;
};

// All arguments must have passed native/check.h. The results do not depend on the Run's threads or instruction set.
namespace cpu {
TopK scoreTopK(const ScoreTopK& input, Run& run);
EpochResult train(Training input, Run& run);
std::vector<float> propagate(const Propagate& input, Run& run);
AttentionResult attentionWeights(const Attention& input, Run& run);
KnapsackResult knapsack(const Knapsack& input, Run& run);
KMeansRound kmeans(const KMeans& input, Run& run);
std::vector<uint32_t> gram(const Gram& input, Run& run);
CooccurrenceResult itemCooccurrence(const Cooccurrence& input, Run& run);
void cholesky(Cholesky& input, Run& run);      // in place; throws NATIVE_NOT_POSITIVE and leaves the matrix as it was
void rankUpdate(RankUpdate& input, Run& run);  // in place
std::vector<double> hessianProduct(const HessianProduct& input, Run& run);
ConjugateGradientResult conjugateGradient(const ConjugateGradient& input, Run& run);
}  // namespace cpu

}  // namespace cragru
