// X'X, and its largest entries column by column. How columns are counted is told in counter.h.
#include "counter.h"

namespace cragru {
namespace cpu {

namespace {

class GramWork {
 public:
  GramWork(const Counter& counter, uint32_t* result) : counter_(counter), result_(result) {}

  void sparse(size_t column) {
    uint32_t* const counts = result_ + column * (column + 1) / 2;
    counter_.forEachRow(column, [counts](const uint32_t* columns, size_t count) {
      for (size_t at = 0; at < count; at++) counts[columns[at]]++;
    });
  }

  void dense(size_t column, const uint32_t* counts) {
    std::memcpy(result_ + column * (column + 1) / 2, counts, (column + 1) * sizeof(uint32_t));
  }

 private:
  const Counter& counter_;
  uint32_t* result_;
};

// Keeps the k columns with most shared rows: more of them first, then the lower column.
class CooccurrenceWork {
 public:
  CooccurrenceWork(const Counter& counter, const Cooccurrence& input, const Blocks& blocks, CooccurrenceResult& result)
      : counter_(counter), input_(input), blocks_(blocks), result_(result) {}

  void sparse(size_t column) {
    // One column more than there are: where the list of those met is written to before it is known whether it grows.
    if (counts_.empty()) counts_.resize(input_.columnCount), found_.resize(input_.columnCount + 1);
    uint32_t *const counts = counts_.data(), *const found = found_.data();
    if (counter_.steps(column) * 4 > input_.columnCount) {
      counter_.forEachRow(column, [counts](const uint32_t* columns, size_t count) {
        for (size_t at = 0; at < count; at++) counts[columns[at]]++;
      });
      dense(column, counts);
      std::fill(counts_.begin(), counts_.end(), 0u);
      return;
    }
    size_t met = 0;
    counter_.forEachRow(column, [&](const uint32_t* columns, size_t count) {
      for (size_t at = 0; at < count; at++) {
        found[met] = columns[at];
        met += counts[columns[at]]++ == 0;
      }
    });
    counts[column] = 0;
    std::sort(found, found + met);
    pairs_.clear();
    for (size_t at = 0; at < met; at++) {
      if (counts[found[at]] > 0) pairs_.push_back(uint64_t(counts[found[at]]) << 32 | found[at]);
      counts[found[at]] = 0;
    }
    keep(column);
  }

  void dense(size_t column, uint32_t* counts) {
    found_.resize(input_.columnCount + 1);
    counts[column] = 0;
    // The largest count that k columns reach; all where fewer than k share a row at all.
    uint32_t bound = 1, above = counter_.rowsOf(column) + 1;
    while (above - bound > 1) {
      const uint32_t middle = bound + (above - bound) / 2;
      (blocks_.gram.countAtLeast(counts, input_.columnCount, middle) >= input_.k ? bound : above) = middle;
    }
    const size_t more = blocks_.gram.countAtLeast(counts, input_.columnCount, bound + 1);
    const size_t met = blocks_.gram.findAtLeast(counts, input_.columnCount, bound, found_.data());
    size_t ties = input_.k - std::min(more, input_.k);
    pairs_.clear();
    for (size_t at = 0; at < met; at++) {
      const uint32_t other = found_[at];
      if (counts[other] == bound) {
        if (ties == 0) continue;
        ties--;
      }
      pairs_.push_back(uint64_t(counts[other]) << 32 | other);
    }
    keep(column);
  }

 private:
  // pairs_ come by column. A stable sort by count: a byte of it at a time, as many as the largest has.
  void keep(size_t column) {
    uint64_t largest = 0;
    for (uint64_t pair : pairs_) largest = std::max(largest, pair);
    sorted_.resize(pairs_.size());
    for (int shift = 32; shift < 64 && largest >> shift > 0; shift += 8) {
      uint32_t places[257] = {};
      for (uint64_t pair : pairs_) places[256 - (pair >> shift & 255)]++;
      for (size_t digit = 1; digit < 257; digit++) places[digit] += places[digit - 1];
      for (uint64_t pair : pairs_) sorted_[places[255 - (pair >> shift & 255)]++] = pair;
      pairs_.swap(sorted_);
    }
    for (size_t at = 0; at < std::min(input_.k, pairs_.size()); at++) {
      result_.items[column * input_.k + at] = uint32_t(pairs_[at]);
      result_.counts[column * input_.k + at] = uint32_t(pairs_[at] >> 32);
    }
  }

  const Counter& counter_;
  const Cooccurrence& input_;
  const Blocks& blocks_;
  CooccurrenceResult& result_;
  std::vector<uint32_t> counts_, found_;
  std::vector<uint64_t> pairs_, sorted_;
};

}  // namespace

std::vector<uint32_t> gram(const Gram& input, Run& run) {
  std::vector<uint32_t> result;
  Counter counter(input.positives, input.columnCount, true, [&] { result.resize(input.columnCount * (input.columnCount + 1) / 2); }, run);
  counter.countAll([&] { return GramWork(counter, result.data()); });
  return result;
}

CooccurrenceResult itemCooccurrence(const Cooccurrence& input, Run& run) {
  CooccurrenceResult result;
  const auto prepare = [&] {
    result.items.resize(input.columnCount * input.k, NO_ITEM);
    result.counts.resize(input.columnCount * input.k);
  };
  Counter counter(input.positives, input.columnCount, false, prepare, run);
  counter.countAll([&] { return CooccurrenceWork(counter, input, run.blocks, result); });
  return result;
}

}  // namespace cpu
}  // namespace cragru
