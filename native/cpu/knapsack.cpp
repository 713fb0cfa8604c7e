// Exact multiple-choice knapsack. The forward pass keeps the best totals of every category for the weights that lie on a way from
// the start to the capacity, and no choices: walking back, the smallest level that gives a total is found again.
#include <algorithm>
#include <cmath>
#include <limits>

#include "../run.h"

namespace cragru {
namespace cpu {

namespace {

// Steps (a weight and a level) of one chunk, of an instance that gets all threads, and of one piece of such an instance: 2^20 take
// a fraction of a millisecond.
constexpr size_t CHUNK = size_t(1) << 20, LARGE = size_t(1) << 24, PIECE = size_t(1) << 17;
// Unreachable weights on both sides of a row, so that the inner loops need no test: a block of weights reads beyond both ends.
constexpr size_t PAD = 32;
constexpr double NOTHING = -std::numeric_limits<double>::infinity();

// The weights of one row: those that the categories before it reach and the categories after it can complete.
struct Row {
  size_t low, high, at;  // at: where the total of `low` stands in the table
};

class Knapsacks {
 public:
  Knapsacks(const Knapsack& input, KnapsackResult& result, Run& run) : input_(input), result_(result), run_(run) {
    const size_t instances = input.capacities.size();
    result.choices.resize(input.levels.size());
    result.totals.resize(instances);
    firstValue_.resize(instances);
    size_t values = 0, steps = 0;
    chunks_.push_back(0);
    for (size_t instance = 0; instance < instances; instance++) {
      firstValue_[instance] = values;
      size_t levels = 0;
      for (size_t c = input.categoryOffsets[instance]; c < input.categoryOffsets[instance + 1]; c++) levels += input.levels[c];
      values += levels;
      const size_t here = stepsOf(levels, input.capacities[instance]);
      total_ += double(here);
      if (here > LARGE) large_.push_back(instance);
      else steps += here;
      if (steps > CHUNK) chunks_.push_back(instance + 1), steps = 0;
    }
    if (chunks_.back() < instances) chunks_.push_back(instances);
  }

  void solve() {
    run_.parallel(chunks_.size() - 1, [&](size_t chunk) {
      std::vector<Row> rows;
      std::vector<double> table;
      double steps = 0;
      for (size_t instance = chunks_[chunk]; instance < chunks_[chunk + 1]; instance++) {
        if (std::binary_search(large_.begin(), large_.end(), instance)) continue;
        run_.check();
        steps += solveOne(instance, rows, table, false);
      }
      advance(steps);
    });
    for (const size_t instance : large_) {
      std::vector<Row> rows;
      std::vector<double> table;
      solveOne(instance, rows, table, true);
    }
    if (failed_ != NONE) throw Error{"NATIVE_RANGE", "the values of instance " + std::to_string(failed_.load()) + " are too large to add.", "Scale the values."};
  }

 private:
  static constexpr size_t NONE = std::numeric_limits<size_t>::max();

  // At most so many; the weights that lead nowhere are left out.
  static size_t stepsOf(size_t levels, size_t capacity) { return levels * (std::min(capacity, levels) + 1); }

  void advance(double steps) {
    std::lock_guard<std::mutex> lock(mutex_);
    done_ += steps;
    run_.progress(std::min(done_, total_), total_);
  }

  // Returns the steps it counts for in the progress; a large one has reported them.
  double solveOne(size_t instance, std::vector<Row>& rows, std::vector<double>& table, bool large) {
    const size_t first = input_.categoryOffsets[instance], categories = input_.categoryOffsets[instance + 1] - first;
    const uint32_t* levels = input_.levels.data() + first;
    const double* value = input_.values.data() + firstValue_[instance];
    size_t most = 0;
    for (size_t c = 0; c < categories; c++) most += levels[c];
    // What no choice can spend changes nothing under "atMost".
    const size_t capacity = std::min<size_t>(input_.capacities[instance], most);
    const double needed = layOut(levels, categories, capacity, most, rows), counted = double(stepsOf(most, capacity));
    table.resize(rows.back().at + 1 + PAD);
    for (const Row& row : rows) {
      double *low = table.data() + row.at, *end = low + (row.high - row.low) + 1;
      std::fill(low - PAD, low, NOTHING);
      std::fill(end, end + PAD, NOTHING);
    }
    std::fill_n(table.data() + rows[0].at, rows[0].high - rows[0].low + 1, 0.0);
    for (size_t c = 0; c < categories; c++) {
      run_.check();
      if (large) stepInPieces(value, levels[c], rows[c], rows[c + 1], table.data(), counted / needed);
      else step(value, levels[c], rows[c], rows[c + 1], rows[c + 1].low, rows[c + 1].high + 1, table.data());
      value += levels[c];
    }
    const double total = table[rows[categories].at];
    result_.totals[instance] = total;
    if (std::isfinite(total)) walkBack(value, levels, categories, capacity, rows, table.data(), result_.choices.data() + first);
    else fail(instance);
    return counted;
  }

  // Returns the steps.
  double layOut(const uint32_t* levels, size_t categories, size_t capacity, size_t most, std::vector<Row>& rows) const {
    rows.resize(categories + 1);
    size_t before = 0, at = PAD;
    double steps = 0;
    for (size_t c = 0; c <= categories; c++) {
      const size_t after = most - before, reached = input_.atMost ? capacity : before;
      rows[c].low = std::max(c, capacity > after ? capacity - after : 0);
      rows[c].high = std::min(reached, capacity - (categories - c));
      rows[c].at = at;
      at += rows[c].high - rows[c].low + 1 + 2 * PAD;
      if (c > 0) steps += double(rows[c].high - rows[c].low + 1) * double(levels[c - 1]);
      if (c < categories) before += levels[c];
    }
    return steps;
  }

  void step(const double* values, size_t levels, const Row& from, const Row& to, size_t start, size_t end, double* table) const {
    run_.blocks.chooseLevels(values, levels, table + from.at, from.low, from.high, start, end, table + to.at + (start - to.low));
  }

  void stepInPieces(const double* values, size_t levels, const Row& from, const Row& to, double* table, double weight) {
    // Whole blocks of the inner loops: they write beyond the end of the last one only, where nobody else writes.
    const size_t piece = std::max<size_t>(64, PIECE / levels / 64 * 64), width = to.high - to.low + 1;
    run_.parallel((width + piece - 1) / piece, [&](size_t at) {
      const size_t start = to.low + at * piece, end = std::min(to.high + 1, start + piece);
      step(values, levels, from, to, start, end, table);
      advance(double(end - start) * double(levels) * weight);
    });
  }

  static void walkBack(const double* value, const uint32_t* levels, size_t categories, size_t weight, const std::vector<Row>& rows, const double* table, uint32_t* choices) {
    for (size_t c = categories; c-- > 0;) {
      value -= levels[c];
      const Row &from = rows[c], &to = rows[c + 1];
      const double total = table[to.at + (weight - to.low)];
      size_t level = weight > from.high + 1 ? weight - from.high : 1;
      while (table[from.at + (weight - level - from.low)] + value[level - 1] != total) level++;
      choices[c] = uint32_t(level);
      weight -= level;
    }
  }

  // The lowest instance is named, whatever runs first.
  void fail(size_t instance) {
    size_t lowest = failed_.load();
    while (instance < lowest && !failed_.compare_exchange_weak(lowest, instance)) {
    }
  }

  const Knapsack& input_;
  KnapsackResult& result_;
  Run& run_;
  std::vector<size_t> firstValue_;
  std::vector<size_t> chunks_;  // first instance of each chunk, and the end
  std::vector<size_t> large_;   // instances solved one by one, each on all threads
  std::atomic<size_t> failed_{NONE};
  std::mutex mutex_;
  double done_ = 0, total_ = 0;
};

}  // namespace

KnapsackResult knapsack(const Knapsack& input, Run& run) {
  KnapsackResult result;
  Knapsacks(input, result, run).solve();
  return result;
}

}  // namespace cpu
}  // namespace cragru
