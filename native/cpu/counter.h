// Shared rows of columns, in exact integers. A column that few rows have is counted by walking over those rows (a step for each entry met);
// a column of many rows as a row of bits, by AND and count against the bits of every other column. The choice falls column
// by column, by the cost of both, and cannot show in the result.
#pragma once
#include <algorithm>
#include <cstring>
#include <memory>

#include "../run.h"
#include "memory.h"

namespace cragru {
namespace cpu {

// Bit rows that are counted together, and the words of columns that stay in the second-level cache meanwhile.
constexpr size_t GROUP = 4, TOGETHER = 16;
constexpr size_t CACHED_WORDS = 32768, MOST_WORDS = 512;
// Steps of work in a chunk of sparse columns: a fraction of a millisecond.
constexpr uint64_t CHUNK_STEPS = 200000;

// Where each column occurs: its rows, ascending, and the entry it is in each.
struct Occurrences {
  std::vector<uint32_t> offsets, rows, entries;
};

// A counting sort in blocks of rows, so that it runs on all threads. One of them does `beside` meanwhile.
template <class Beside>
Occurrences occurrencesOf(const Csr& csr, size_t columnCount, Beside&& beside, Run& run) {
  const size_t rowCount = csr.offsets.size() - 1, entryCount = csr.columns.size();
  const size_t blocks = std::max<size_t>(1, std::min<size_t>(32, entryCount / (2 * columnCount + 4096)));
  std::vector<size_t> bounds(blocks + 1, rowCount);
  for (size_t block = 0; block < blocks; block++) {
    bounds[block] = size_t(std::lower_bound(csr.offsets.begin(), csr.offsets.end() - 1, uint32_t(entryCount * block / blocks)) - csr.offsets.begin());
  }
  Occurrences found;
  found.offsets.assign(columnCount + 1, 0);
  found.rows.resize(entryCount);
  found.entries.resize(entryCount);
  std::vector<uint32_t> next(blocks * columnCount, 0);
  run.parallel(blocks, [&](size_t block) {
    uint32_t* const counts = next.data() + block * columnCount;
    for (size_t at = csr.offsets[bounds[block]]; at < csr.offsets[bounds[block + 1]]; at++) counts[csr.columns[at]]++;
  });
  uint32_t sum = 0;
  for (size_t column = 0; column < columnCount; column++) {
    for (size_t block = 0; block < blocks; block++) {
      const uint32_t count = next[block * columnCount + column];
      next[block * columnCount + column] = sum;
      sum += count;
    }
    found.offsets[column + 1] = sum;
  }
  run.parallel(blocks + 1, [&](size_t chunk) {
    if (chunk == 0) {
      beside();
      return;
    }
    const size_t block = chunk - 1;
    uint32_t* const places = next.data() + block * columnCount;
    for (size_t row = bounds[block]; row < bounds[block + 1]; row++) {
      for (size_t at = csr.offsets[row]; at < csr.offsets[row + 1]; at++) {
        const uint32_t place = places[csr.columns[at]]++;
        found.rows[place] = uint32_t(row);
        found.entries[place] = uint32_t(at);
      }
    }
  });
  return found;
}

// Counts one column after the other, in no order, against the columns up to itself (`triangle`) or all columns.
class Counter {
 public:
  // `beside` is called once: for the zeros of a large result, which one thread writes while others sort.
  template <class Beside>
  Counter(const Csr& csr, size_t columnCount, bool triangle, Beside&& beside, Run& run)
      : csr_(csr), columnCount_(columnCount), triangle_(triangle), run_(run), found_(occurrencesOf(csr, columnCount, beside, run)),
        words_((csr.offsets.size() - 1 + 511) / 512 * 8) {
    plan();
  }

  // make() gives the state of one chunk of work, on any thread. Its dense(column, counts), with a row of counts that it may change, or its
  // sparse(column) is called once for each column.
  template <class Make>
  void countAll(Make&& make) {
    buildBits();
    const size_t denseChunks = (dense_.size() + TOGETHER - 1) / TOGETHER;
    std::atomic<size_t> done{0};
    run_.parallel(denseChunks + bounds_.size() - 1, [&](size_t chunk) {
      auto work = make();
      size_t columns = 0;
      if (chunk < denseChunks) {
        const size_t from = chunk * TOGETHER, to = std::min(dense_.size(), from + TOGETHER);
        countDense(from, to, work);
        columns = to - from;
      } else {
        chunk -= denseChunks;
        for (size_t at = bounds_[chunk]; at < bounds_[chunk + 1]; at++) {
          run_.check();
          work.sparse(sparse_[at]);
        }
        columns = bounds_[chunk + 1] - bounds_[chunk];
      }
      run_.progress(double(done.fetch_add(columns) + columns), double(columnCount_));
    });
  }

  // Calls met(columns, count) with the columns that are counted in each row that has `column`; the column itself is among them.
  template <class Met>
  void forEachRow(size_t column, Met&& met) const {
    for (size_t at = found_.offsets[column]; at < found_.offsets[column + 1]; at++) {
      const size_t from = csr_.offsets[found_.rows[at]], to = triangle_ ? found_.entries[at] + size_t(1) : csr_.offsets[found_.rows[at] + size_t(1)];
      met(csr_.columns.data() + from, to - from);
      if (at % 256 == 255) run_.check();
    }
  }

  uint64_t steps(size_t column) const { return steps_[column]; }
  uint32_t rowsOf(size_t column) const { return found_.offsets[column + 1] - found_.offsets[column]; }

 private:
  void plan() {
    steps_.resize(columnCount_);
    const size_t block = 512;
    run_.parallel((columnCount_ + block - 1) / block, [&](size_t chunk) {
      for (size_t column = chunk * block; column < std::min(columnCount_, (chunk + 1) * block); column++) {
        uint64_t steps = 0;
        for (size_t at = found_.offsets[column]; at < found_.offsets[column + 1]; at++) {
          const size_t row = found_.rows[at];
          // A visit of a row costs a few steps before the first.
          steps += 8 + (triangle_ ? found_.entries[at] - csr_.offsets[row] : csr_.offsets[row + 1] - csr_.offsets[row]);
        }
        steps_[column] = steps;
      }
    });
    bounds_.push_back(0);
    uint64_t sum = 0;
    for (size_t column = 0; column < columnCount_; column++) {
      const double words = double(triangle_ ? column + 1 : columnCount_) * double(words_);
      if (double(steps_[column]) * run_.blocks.gram.sharedWords > words) {
        dense_.push_back(uint32_t(column));
        continue;
      }
      sparse_.push_back(uint32_t(column));
      sum += steps_[column] + (triangle_ ? column / 8 : 64);
      if (sum < std::max<uint64_t>(CHUNK_STEPS, columnCount_)) continue;
      bounds_.push_back(sparse_.size());
      sum = 0;
    }
    if (bounds_.back() < sparse_.size()) bounds_.push_back(sparse_.size());
  }

  // [columns, rounded up to 4][words]
  void buildBits() {
    if (dense_.empty()) return;
    const size_t columns = (columnCount_ + GROUP - 1) / GROUP * GROUP;
    bits_.reset(new Buffer<uint64_t>(columns * words_));
    uint64_t* const bits = bits_->data();
    const size_t block = std::max<size_t>(1, CACHED_WORDS / words_);
    run_.parallel((columns + block - 1) / block, [&](size_t chunk) {
      const size_t from = chunk * block, to = std::min(columns, from + block);
      std::memset(bits + from * words_, 0, (to - from) * words_ * sizeof(uint64_t));
      for (size_t column = from; column < std::min(columnCount_, to); column++) {
        for (size_t at = found_.offsets[column]; at < found_.offsets[column + 1]; at++) {
          bits[column * words_ + found_.rows[at] / 64] |= uint64_t(1) << found_.rows[at] % 64;
        }
      }
    });
  }

  template <class Work>
  void countDense(size_t from, size_t to, Work& work) {
    const size_t width = (columnCount_ + GROUP - 1) / GROUP * GROUP;
    std::vector<uint32_t> counts(TOGETHER * width, 0);
    const uint64_t* const bits = bits_->data();
    const size_t last = triangle_ ? dense_[to - 1] + size_t(1) : columnCount_;
    for (size_t word = 0; word < words_; word += MOST_WORDS) {
      const size_t words = std::min(MOST_WORDS, words_ - word), block = std::max<size_t>(GROUP, CACHED_WORDS / words / GROUP * GROUP);
      for (size_t first = 0; first < last; first += block) {
        run_.check();
        for (size_t group = from; group < to; group += GROUP) {
          const uint64_t* rows[GROUP];
          uint32_t* sums[GROUP];
          size_t end = 0;
          // A group that is not full counts its last column again, into rows that nobody reads.
          for (size_t r = 0; r < GROUP; r++) {
            const size_t column = dense_[std::min(to - 1, group + r)];
            rows[r] = bits + column * words_ + word;
            sums[r] = counts.data() + (group - from + r) * width + first;
            end = triangle_ ? std::max(end, column + 1) : columnCount_;
          }
          if (end <= first) continue;
          const size_t count = (std::min(end - first, block) + GROUP - 1) / GROUP * GROUP;
          run_.blocks.gram.countShared(rows, bits + first * words_ + word, count, words_, words, sums);
        }
      }
    }
    for (size_t at = from; at < to; at++) work.dense(dense_[at], counts.data() + (at - from) * width);
  }

  const Csr& csr_;
  const size_t columnCount_;
  const bool triangle_;
  Run& run_;
  const Occurrences found_;
  const size_t words_;
  std::vector<uint64_t> steps_;
  std::vector<uint32_t> dense_, sparse_;
  std::vector<size_t> bounds_;  // chunks of sparse_
  std::unique_ptr<Buffer<uint64_t>> bits_;
};

}  // namespace cpu
}  // namespace cragru
