// The last check before a kernel: nothing that passes here can read or write out of bounds. It runs on the worker thread and
// on private copies, so it holds up no event loop and no later write from JavaScript can undo it. src/native/check.ts has checked the
// plain numbers before; what only a walk over the arrays can tell is said here.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels.h"
#include "run.h"

namespace cragru {

constexpr size_t MAX_ROWS = 0x7fffffff;
constexpr size_t MAX_DIMENSION = 65536;
// Samples and both directions of an edge are numbered in 32 bits.
constexpr size_t MAX_ENTRIES = size_t(1) << 29;
constexpr size_t MAX_BATCHES = size_t(1) << 24;
constexpr size_t MAX_RESULT = 0xffffffff;
// Rows and columns of a symmetric matrix: its triangle then has less than 2^35 bytes.
constexpr size_t MAX_ORDER = 65535;
constexpr size_t MAX_LIST = 1000;
// Values between two looks at the cancel flag: well below a millisecond.
constexpr size_t CHECK_CHUNK = size_t(1) << 18;

inline void require(bool holds, const char* code, const std::string& message) {
  if (!holds) throw Error{code, message, "See src/native/kernels.ts for the fields of each call."};
}

inline std::string spell(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return std::to_string(value);
}

// x - x is 0 for finite x and NaN otherwise; the loop has no branch and runs in vectors.
template <class T>
bool finite(const T* values, size_t count) {
  T sum = 0;
  for (size_t at = 0; at < count; at++) sum += values[at] - values[at];
  return sum == T(0);
}

template <class T>
void requireFinite(const T* values, size_t count, const char* name, Run& run) {
  run.parallel((count + CHECK_CHUNK - 1) / CHECK_CHUNK, [&](size_t chunk) {
    const size_t from = chunk * CHECK_CHUNK, length = std::min(CHECK_CHUNK, count - from);
    if (finite(values + from, length)) return;
    size_t at = from;
    while (std::isfinite(values[at])) at++;
    throw Error{"NATIVE_NOT_FINITE", std::string(name) + " holds " + spell(double(values[at])) + " at position " + std::to_string(at) + ".",
                "Training that diverged gives such values: lower the learning rate."};
  });
}

template <class T>
void requireFinite(const Array<T>& array, const char* name, Run& run) {
  if (array.empty() || array.storage()->finite) return;
  requireFinite(array.data(), array.size(), name, run);
  array.storage()->finite = true;
}

template <class T>
void requireFinite(const std::vector<T>& values, const char* name, Run& run) {
  requireFinite(values.data(), values.size(), name, run);
}

// Offsets of `groups` groups over `total` entries: 0 first, never falling, `total` last.
inline void requireOffsets(const Array<uint32_t>& offsets, size_t groups, size_t total, const char* name) {
  const std::string label = name;
  require(offsets.size() == groups + 1, "NATIVE_CSR", label + " must hold " + std::to_string(groups + 1) + " entries (one more than rows), not " + std::to_string(offsets.size()) + ".");
  size_t falls = offsets[0] != 0 ? 0 : groups + 1;
  for (size_t group = 0; group < groups && falls > groups; group++) {
    if (offsets[group + 1] < offsets[group]) falls = group + 1;
  }
  require(falls > groups, "NATIVE_CSR", label + " must start at 0 and never fall; entry " + std::to_string(falls) + (falls <= groups ? " is " + std::to_string(offsets[falls]) : "") + ".");
  require(offsets[groups] == total, "NATIVE_CSR", label + " must end at the number of entries, " + std::to_string(total) + ", not at " + std::to_string(offsets[groups]) + ".");
}

inline void requireCsr(const Csr& csr, size_t rows, size_t columnCount, const char* name, Run& run) {
  const std::string label = name;
  require(csr.columns.size() <= MAX_ENTRIES, "NATIVE_SHAPE", label + " holds more entries than the kernels count (2^29).");
  const auto& storage = csr.columns.storage();
  if (storage && storage->offsets != nullptr && storage->offsets == csr.offsets.storage().get()) {
    require(csr.offsets.size() == rows + 1, "NATIVE_CSR", label + " has " + std::to_string(csr.offsets.size() - 1) + " rows, not " + std::to_string(rows) + ".");
    if (storage->columnCount <= columnCount) return;
  }
  requireOffsets(csr.offsets, rows, csr.columns.size(), (label + ".offsets").c_str());
  size_t next = 0;
  for (size_t row = 0; row < rows; row++) {
    const size_t from = csr.offsets[row], to = csr.offsets[row + 1];
    bool sound = true;
    for (size_t at = from; at < to; at++) sound = sound && csr.columns[at] < columnCount && (at == from || csr.columns[at - 1] < csr.columns[at]);
    if (!sound) {
      std::string begin;
      for (size_t at = from; at < std::min(to, from + 8); at++) begin += (at > from ? ", " : "") + std::to_string(csr.columns[at]);
      throw Error{"NATIVE_CSR", label + ": columns of row " + std::to_string(row) + " must ascend, once each, below " + std::to_string(columnCount) + "; they begin " + begin + ".",
                  "Interactions.csr() gives rows in this form."};
    }
    if (to >= next) {
      run.check();
      next = to + CHECK_CHUNK;
    }
  }
}

inline void requireDimension(size_t dimension) {
  require(dimension >= 1 && dimension <= MAX_DIMENSION, "NATIVE_RANGE", "dimension must be from 1 to 65536.");
}

inline void check(ScoreTopK& input, Run& run) {
  requireDimension(input.dimension);
  require(input.users.size() % input.dimension == 0 && input.items.size() % input.dimension == 0, "NATIVE_SHAPE", "users and items must hold whole rows.");
  input.userRows = input.users.size() / input.dimension;
  input.itemCount = input.items.size() / input.dimension;
  require(input.userRows <= MAX_ROWS && input.itemCount <= MAX_ROWS, "NATIVE_SHAPE", "too many rows.");
  require(input.k >= 1 && input.k <= input.itemCount, "NATIVE_RANGE", "k must be from 1 to the number of items.");
  require(input.userRows <= MAX_RESULT / input.k, "NATIVE_SHAPE", "the result is too large for one array.");
  requireFinite(input.users, "users", run);
  requireFinite(input.items, "items", run);
  if (input.masked) requireCsr(input.mask, input.userRows, input.itemCount, "mask", run);
}

inline void requireStacked(size_t userCount, size_t itemCount, size_t dimension, size_t length, const char* name) {
  requireDimension(dimension);
  require(userCount >= 1 && itemCount >= 1 && userCount <= MAX_ROWS && itemCount <= MAX_ROWS, "NATIVE_RANGE", "userCount and itemCount must be positive.");
  require(length == (userCount + itemCount) * dimension, "NATIVE_SHAPE", std::string(name) + " must hold (userCount + itemCount) * dimension values.");
}

inline void requireLayers(size_t layers) { require(layers <= 1000, "NATIVE_RANGE", "layers must be from 0 to 1000."); }

inline void check(Propagate& input, Run& run) {
  requireStacked(input.userCount, input.itemCount, input.dimension, input.parameters.size(), "parameters");
  requireLayers(input.layers);
  requireFinite(input.parameters, "parameters", run);
  requireCsr(input.positives, input.userCount, input.itemCount, "positives", run);
}

inline void check(Training& input, Run& run) {
  const TrainingState& state = input.state;
  requireStacked(state.userCount, state.itemCount, state.dimension, state.parameters.size(), "state.parameters");
  const size_t moments = input.adam ? state.parameters.size() : 0;
  require(state.first.size() == moments && state.second.size() == moments, "NATIVE_SHAPE", "state.first and state.second must be as long as parameters under Adam, empty under SGD.");
  require(state.step <= uint64_t(1) << 48, "NATIVE_RANGE", "step is out of range.");
  requireLayers(input.layers);
  require(input.epochs >= 1 && input.epochs <= uint64_t(1) << 32 && input.firstEpoch <= (uint64_t(1) << 32) - input.epochs, "NATIVE_RANGE", "epoch numbers must fit in 32 bits.");
  require(input.batchCount >= 1 && input.batchCount <= MAX_BATCHES, "NATIVE_RANGE", "batchCount must be from 1 to 2^24.");
  require(std::isfinite(input.learningRate) && input.learningRate >= 0 && std::isfinite(input.regularisation) && input.regularisation >= 0, "NATIVE_RANGE",
          "learningRate and regularisation must be finite and not negative.");
  require(!input.hogwild || (!input.adam && input.layers == 0), "NATIVE_RANGE", "update \"hogwild\" goes with optimiser \"sgd\" and BPR alone.");
  requireFinite(state.parameters, "state.parameters", run);
  requireFinite(state.first, "state.first", run);
  requireFinite(state.second, "state.second", run);
  for (size_t at = 0; at < moments; at++) {
    require(state.second[at] >= 0, "NATIVE_RANGE", "state.second holds a negative number; a second moment is never negative.");
  }
  requireCsr(input.positives, state.userCount, state.itemCount, "positives", run);
}

inline void check(Attention& input, Run& run) {
  requireDimension(input.dimension);
  require(input.heads >= 1 && input.heads <= input.dimension && input.dimension % input.heads == 0, "NATIVE_RANGE", "heads must divide dimension.");
  require(input.queries.size() % input.dimension == 0 && input.keys.size() % input.dimension == 0, "NATIVE_SHAPE", "queries and keys must hold whole rows.");
  require(!input.queryOffsets.empty(), "NATIVE_CSR", "queryOffsets is empty.");
  const size_t groups = input.queryOffsets.size() - 1, queryRows = input.queries.size() / input.dimension, keyRows = input.keys.size() / input.dimension;
  require(queryRows <= MAX_ROWS && keyRows <= MAX_ROWS, "NATIVE_SHAPE", "too many rows.");
  requireOffsets(input.queryOffsets, groups, queryRows, "queryOffsets");
  requireOffsets(input.keyOffsets, groups, keyRows, "keyOffsets");
  require(input.bias.empty() || input.bias.size() == keyRows, "NATIVE_SHAPE", "bias must hold one value a key.");
  if (input.output == AttentionOutput::weights || input.output == AttentionOutput::heads) {
    const size_t planes = input.output == AttentionOutput::heads ? input.heads : 1;
    size_t total = 0;
    for (size_t group = 0; group < groups; group++) {
      total += size_t(input.queryOffsets[group + 1] - input.queryOffsets[group]) * (input.keyOffsets[group + 1] - input.keyOffsets[group]);
      if (total > MAX_RESULT / planes) {
        throw Error{"NATIVE_SHAPE", "the weights are too many for one array.", "Ask for output \"max\", \"mean\" or \"top\", or pass fewer users at a time."};
      }
    }
  }
  if (input.output == AttentionOutput::top) {
    require(input.k >= 1 && input.k <= MAX_LIST, "NATIVE_RANGE", "k must be from 1 to 1000.");
    require(queryRows <= MAX_RESULT / input.k, "NATIVE_SHAPE", "the result is too large for one array.");
  }
  requireFinite(input.queries, "queries", run);
  requireFinite(input.keys, "keys", run);
  requireFinite(input.bias, "bias", run);
}

inline void check(Knapsack& input, Run& run) {
  require(!input.categoryOffsets.empty(), "NATIVE_CSR", "categoryOffsets is empty.");
  const size_t instances = input.categoryOffsets.size() - 1, categories = input.levels.size();
  require(instances <= MAX_ROWS && categories <= MAX_ROWS, "NATIVE_SHAPE", "too many instances or categories.");
  require(input.capacities.size() == instances, "NATIVE_SHAPE", "capacities must hold one number an instance.");
  requireOffsets(input.categoryOffsets, instances, categories, "categoryOffsets");
  size_t total = 0;
  for (size_t instance = 0; instance < instances; instance++) {
    const std::string label = "instance " + std::to_string(instance);
    const size_t from = input.categoryOffsets[instance], to = input.categoryOffsets[instance + 1];
    require(to > from && to - from <= 65536, "NATIVE_RANGE", label + " must have from 1 to 65536 categories.");
    size_t most = 0;
    for (size_t category = from; category < to; category++) {
      require(input.levels[category] >= 1 && input.levels[category] <= 65535, "NATIVE_RANGE", label + " has a category without levels or with more than 65535.");
      most += input.levels[category];
    }
    const size_t capacity = input.capacities[instance];
    if (capacity < to - from || (!input.atMost && capacity > most)) {
      throw Error{"NATIVE_INFEASIBLE",
                  label + " has sums from " + std::to_string(to - from) + " to " + std::to_string(most) + "; capacity " + std::to_string(capacity) + " cannot be met.",
                  capacity < to - from ? "Raise the capacity or use fewer categories." : "Use boundary \"atMost\", more levels, or a smaller capacity."};
    }
    total += most;
  }
  require(total == input.values.size(), "NATIVE_SHAPE", "values must hold one number a level, " + std::to_string(total) + ", not " + std::to_string(input.values.size()) + ".");
  requireFinite(input.values, "values", run);
}

inline void check(KMeans& input, Run& run) {
  requireDimension(input.dimension);
  require(input.points.size() % input.dimension == 0 && input.centroids.size() % input.dimension == 0, "NATIVE_SHAPE", "points and centroids must hold whole rows.");
  const size_t clusters = input.centroids.size() / input.dimension, points = input.points.size() / input.dimension;
  require(clusters >= 1 && clusters <= points && points <= MAX_ROWS, "NATIVE_SHAPE", "there must be from 1 centroid to as many as points.");
  require(input.rounds >= 1 && input.rounds <= MAX_ROWS, "NATIVE_RANGE", "rounds must be at least 1.");
  requireFinite(input.points, "points", run);
  requireFinite(input.centroids, "centroids", run);
}

// A CSR whose number of rows is its own business.
inline void requireFreeCsr(const Csr& csr, size_t columnCount, Run& run) {
  require(columnCount >= 1 && columnCount <= MAX_ROWS, "NATIVE_RANGE", "columnCount must be positive.");
  require(!csr.offsets.empty() && csr.offsets.size() - 1 <= MAX_ROWS, "NATIVE_CSR", "positives.offsets is empty or too long.");
  requireCsr(csr, csr.offsets.size() - 1, columnCount, "positives", run);
}

inline void check(Gram& input, Run& run) {
  require(input.columnCount <= MAX_ORDER, "NATIVE_SHAPE", "the matrix would have more than 65535 rows.");
  requireFreeCsr(input.positives, input.columnCount, run);
}

inline void check(Cooccurrence& input, Run& run) {
  requireFreeCsr(input.positives, input.columnCount, run);
  require(input.k >= 1 && input.k <= MAX_LIST, "NATIVE_RANGE", "k must be from 1 to 1000.");
  require(input.columnCount <= MAX_RESULT / input.k, "NATIVE_SHAPE", "the result is too large for one array.");
}

inline void requireTriangle(const std::vector<double>& matrix, size_t size, bool checked, Run& run) {
  require(size >= 1 && size <= MAX_ORDER, "NATIVE_RANGE", "size must be from 1 to 65535.");
  require(matrix.size() == size * (size + 1) / 2, "NATIVE_SHAPE", "matrix must hold the lower triangle, size * (size + 1) / 2 values.");
  if (!checked) requireFinite(matrix, "matrix", run);
}

inline void check(Cholesky& input, Run& run) { requireTriangle(input.matrix, input.size, input.matrixChecked, run); }

inline void check(RankUpdate& input, Run& run) {
  requireTriangle(input.matrix, input.size, input.matrixChecked, run);
  require(input.vectors.size() == input.weights.size() * input.size, "NATIVE_SHAPE", "vectors must hold weights.length rows of size values.");
  requireFinite(input.vectors, "vectors", run);
  requireFinite(input.weights, "weights", run);
}

inline void check(Loss& input, Run& run) {
  requireStacked(input.userCount, input.itemCount, input.dimension, input.parameters.size(), "parameters");
  requireLayers(input.layers);
  const size_t samples = input.users.size();
  require(samples <= MAX_ENTRIES, "NATIVE_SHAPE", "too many samples.");
  require(input.items.size() == samples && input.negatives.size() == (input.bce ? 0 : samples) && input.labels.size() == (input.bce ? samples : 0), "NATIVE_SHAPE",
          "users and items, and negatives (bpr) or labels (bce), must hold one value a sample.");
  run.parallel((samples + CHECK_CHUNK - 1) / CHECK_CHUNK, [&](size_t chunk) {
    const size_t end = std::min(samples, (chunk + 1) * CHECK_CHUNK);
    for (size_t at = chunk * CHECK_CHUNK; at < end; at++) {
      const bool there = input.users[at] < input.userCount && input.items[at] < input.itemCount && (input.bce || input.negatives[at] < input.itemCount);
      // NaN is refused by the comparison.
      const bool labelled = !input.bce || (input.labels[at] >= 0 && input.labels[at] <= 1);
      if (there && labelled) continue;
      throw Error{"NATIVE_RANGE", there ? "label " + std::to_string(at) + " is not from 0 to 1." : "sample " + std::to_string(at) + " names a user or an item that is not there.", ""};
    }
  });
  require(std::isfinite(input.regularisation) && input.regularisation >= 0, "NATIVE_RANGE", "regularisation must be finite and not negative.");
  requireFinite(input.parameters, "parameters", run);
  if (input.layers > 0) requireCsr(input.positives, input.userCount, input.itemCount, "positives", run);
}

inline void check(HessianProduct& input, Run& run) {
  check(input.loss, run);
  require(input.vector.size() == input.loss.parameters.size(), "NATIVE_SHAPE", "vector must hold as many values as parameters.");
  requireFinite(input.vector, "vector", run);
}

inline void check(ConjugateGradient& input, Run& run) {
  check(input.loss, run);
  size_t rows = input.loss.userCount + input.loss.itemCount;
  if (input.restricted) {
    for (size_t at = 0; at < input.rows.size(); at++) {
      require(input.rows[at] < rows && (at == 0 || input.rows[at - 1] < input.rows[at]), "NATIVE_RANGE", "rows must ascend, once each, below userCount + itemCount.");
    }
    rows = input.rows.size();
  }
  require(input.gradient.size() == rows * input.loss.dimension, "NATIVE_SHAPE", "gradient must hold one row of dimension values for each of the rows.");
  require(std::isfinite(input.damping) && input.damping >= 0 && std::isfinite(input.tolerance) && input.tolerance >= 0, "NATIVE_RANGE",
          "damping and tolerance must be finite and not negative.");
  require(input.iterations <= MAX_ROWS, "NATIVE_RANGE", "iterations is out of range.");
  requireFinite(input.gradient, "gradient", run);
}

}  // namespace cragru
