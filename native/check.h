// The last check before a kernel: nothing that passes here can read or write out of bounds. It runs on private copies, so no
// later write from JavaScript can undo it. Messages are short: src/native/check.ts says the same at length before.
#pragma once
#include <cmath>

#include "kernels.h"

namespace cragru {

constexpr size_t MAX_ROWS = 0x7fffffff;
constexpr size_t MAX_DIMENSION = 65536;
// Samples and both directions of an edge are numbered in 32 bits.
constexpr size_t MAX_ENTRIES = size_t(1) << 29;
constexpr size_t MAX_BATCHES = size_t(1) << 24;
constexpr size_t MAX_RESULT = 0xffffffff;

inline void require(bool holds, const char* code, const char* message) {
  if (!holds) throw Error{code, message, "See src/native/kernels.ts for the fields of each call."};
}

template <class T>
void requireFinite(const std::vector<T>& values, const char* message) {
  for (const T value : values) require(std::isfinite(value), "NATIVE_NOT_FINITE", message);
}

inline void requireOffsets(const std::vector<uint32_t>& offsets, size_t groups, size_t total, const char* message) {
  require(offsets.size() == groups + 1 && offsets[0] == 0 && offsets[groups] == total, "NATIVE_CSR", message);
  for (size_t group = 0; group < groups; group++) require(offsets[group] <= offsets[group + 1], "NATIVE_CSR", message);
}

inline void requireCsr(const Csr& csr, size_t rows, size_t columnCount) {
  require(csr.columns.size() <= MAX_ENTRIES, "NATIVE_SHAPE", "too many entries in a sparse matrix.");
  requireOffsets(csr.offsets, rows, csr.columns.size(), "offsets must start at 0, never fall and end at the number of columns.");
  for (size_t row = 0; row < rows; row++) {
    for (size_t at = csr.offsets[row]; at < csr.offsets[row + 1]; at++) {
      require(csr.columns[at] < columnCount && (at == csr.offsets[row] || csr.columns[at - 1] < csr.columns[at]), "NATIVE_CSR",
              "columns of a row must ascend, once each, below the column count.");
    }
  }
}

inline void requireDimension(size_t dimension) {
  require(dimension >= 1 && dimension <= MAX_DIMENSION, "NATIVE_RANGE", "dimension must be from 1 to 65536.");
}

inline void check(ScoreTopK& input) {
  requireDimension(input.dimension);
  require(input.users.size() % input.dimension == 0 && input.items.size() % input.dimension == 0, "NATIVE_SHAPE",
          "users and items must hold whole rows.");
  input.userRows = input.users.size() / input.dimension;
  input.itemCount = input.items.size() / input.dimension;
  require(input.userRows <= MAX_ROWS && input.itemCount <= MAX_ROWS, "NATIVE_SHAPE", "too many rows.");
  require(input.k >= 1 && input.k <= input.itemCount, "NATIVE_RANGE", "k must be from 1 to the number of items.");
  require(input.userRows <= MAX_RESULT / input.k, "NATIVE_SHAPE", "the result is too large for one array.");
  requireFinite(input.users, "users holds a number that is not finite.");
  requireFinite(input.items, "items holds a number that is not finite.");
  if (input.masked) requireCsr(input.mask, input.userRows, input.itemCount);
}

inline void requireStacked(size_t userCount, size_t itemCount, size_t dimension, size_t length) {
  requireDimension(dimension);
  require(userCount >= 1 && itemCount >= 1 && userCount <= MAX_ROWS && itemCount <= MAX_ROWS, "NATIVE_RANGE", "userCount and itemCount must be positive.");
  require(length == (userCount + itemCount) * dimension, "NATIVE_SHAPE", "arrays must hold (userCount + itemCount) * dimension values.");
}

inline void check(const Propagate& input) {
  requireStacked(input.userCount, input.itemCount, input.dimension, input.parameters.size());
  require(input.layers <= 1000, "NATIVE_RANGE", "layers must be from 0 to 1000.");
  requireFinite(input.parameters, "parameters holds a number that is not finite.");
  requireCsr(input.positives, input.userCount, input.itemCount);
}

inline void check(const Training& input) {
  const TrainingState& state = input.state;
  requireStacked(state.userCount, state.itemCount, state.dimension, state.parameters.size());
  const size_t moments = input.adam ? state.parameters.size() : 0;
  require(state.first.size() == moments && state.second.size() == moments, "NATIVE_SHAPE", "first and second must be as long as parameters under Adam, empty under SGD.");
  require(state.step <= uint64_t(1) << 48, "NATIVE_RANGE", "step is out of range.");
  require(input.layers <= 1000, "NATIVE_RANGE", "layers must be from 0 to 1000.");
  require(input.epochs >= 1 && input.epochs <= uint64_t(1) << 32 && input.firstEpoch <= (uint64_t(1) << 32) - input.epochs, "NATIVE_RANGE", "epoch numbers must fit in 32 bits.");
  require(input.batchCount >= 1 && input.batchCount <= MAX_BATCHES, "NATIVE_RANGE", "batchCount must be from 1 to 2^24.");
  require(std::isfinite(input.learningRate) && input.learningRate >= 0 && std::isfinite(input.regularisation) && input.regularisation >= 0, "NATIVE_RANGE",
          "learningRate and regularisation must be finite and not negative.");
  requireFinite(state.parameters, "parameters holds a number that is not finite.");
  requireFinite(state.first, "first holds a number that is not finite.");
  requireFinite(state.second, "second holds a number that is not finite.");
  requireCsr(input.positives, state.userCount, state.itemCount);
}

inline void check(const Attention& input) {
  requireDimension(input.dimension);
  require(input.heads >= 1 && input.heads <= input.dimension && input.dimension % input.heads == 0, "NATIVE_RANGE", "heads must divide dimension.");
  require(input.queries.size() % input.dimension == 0 && input.keys.size() % input.dimension == 0, "NATIVE_SHAPE", "queries and keys must hold whole rows.");
  require(!input.queryOffsets.empty(), "NATIVE_CSR", "queryOffsets is empty.");
  const size_t groups = input.queryOffsets.size() - 1, keyRows = input.keys.size() / input.dimension;
  requireOffsets(input.queryOffsets, groups, input.queries.size() / input.dimension, "queryOffsets must start at 0, never fall and end at the number of queries.");
  requireOffsets(input.keyOffsets, groups, keyRows, "keyOffsets must start at 0, never fall and end at the number of keys.");
  require(input.bias.empty() || input.bias.size() == keyRows, "NATIVE_SHAPE", "bias must hold one value a key.");
  if (input.output == AttentionOutput::weights) {
    size_t total = 0;
    for (size_t group = 0; group < groups; group++) {
      total += size_t(input.queryOffsets[group + 1] - input.queryOffsets[group]) * (input.keyOffsets[group + 1] - input.keyOffsets[group]);
      require(total <= MAX_RESULT, "NATIVE_SHAPE", "the weights are too many for one array.");
    }
  }
  requireFinite(input.queries, "queries holds a number that is not finite.");
  requireFinite(input.keys, "keys holds a number that is not finite.");
  requireFinite(input.bias, "bias holds a number that is not finite.");
}

inline void check(const Knapsack& input) {
  require(input.categories >= 1 && input.categories <= 65536 && input.levels >= 1 && input.levels <= 65535 && input.instances <= MAX_ROWS, "NATIVE_RANGE",
          "instances, categories or levels are out of range.");
  require(input.instances <= MAX_RESULT / (input.categories * input.levels) && input.values.size() == input.instances * input.categories * input.levels, "NATIVE_SHAPE",
          "values must hold instances * categories * levels values.");
  require(input.capacity >= input.categories && input.capacity <= input.categories * input.levels, "NATIVE_INFEASIBLE",
          "capacity must be from categories to categories * levels.");
  requireFinite(input.values, "values holds a number that is not finite.");
}

}  // namespace cragru
