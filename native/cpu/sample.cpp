#include "sample.h"

#include <algorithm>
#include <cstring>

#include "../math.h"

namespace cragru {
namespace cpu {

namespace {

constexpr uint32_t MOST_DRAWS = 100;
constexpr size_t BLOCK = 2048;        // rows drawn between two looks at the cancel flag; its arrays stand on the stack
constexpr size_t CHUNK_BLOCKS = 8;    // blocks of one parallel chunk, at least
constexpr size_t BUCKET_ROWS = 2048;  // rows of one bucket that hogwild sorts, about

// Whether a user has an item: a byte for each item modulo 2^15, which stays in the first cache; larger catalogues and users look
// again in the sorted row where the byte is set.
class Seen {
 public:
  explicit Seen(size_t itemCount) : exact_(itemCount <= BYTES) { std::memset(bytes_, 0, sizeof bytes_); }

  void open(const uint32_t* from, const uint32_t* to) {
    from_ = from;
    to_ = to;
    marked_ = size_t(to - from) <= BYTES / 4;
    if (marked_) mark(1);
  }
  void close() {
    if (marked_) mark(0);
  }
  bool has(uint32_t item) const {
    if (marked_ && (exact_ || !bytes_[item % BYTES])) return bytes_[item % BYTES];
    return std::binary_search(from_, to_, item);
  }

 private:
  static constexpr size_t BYTES = size_t(1) << 15;
  void mark(uint8_t value) {
    for (const uint32_t* item = from_; item < to_; item++) bytes_[*item % BYTES] = value;
  }

  const bool exact_;
  bool marked_ = false;
  const uint32_t *from_ = nullptr, *to_ = nullptr;
  uint8_t bytes_[BYTES];
};

}  // namespace

Sampler::Sampler(const Training& input) : input_(input), count_(input.positives.columns.size()) {
  // Hogwild needs the samples sorted by place: finer buckets, by the leading bits of the place, make the sorts small.
  splits_ = input.hogwild ? std::max<size_t>(1, count_ / (BUCKET_ROWS * input.batchCount)) : 1;
  buckets_ = input.batchCount * splits_;
  // Four rows a bucket at least, so that the table of starts stays smaller than the samples.
  const size_t blocks = std::max(CHUNK_BLOCKS, (4 * buckets_ + BLOCK - 1) / BLOCK);
  chunkRows_ = blocks * BLOCK;
  chunks_ = (count_ + chunkRows_ - 1) / chunkRows_;
  starts_.resize(chunks_ * buckets_);
  bucketOffsets_.resize(buckets_ + 1);
  offsets_.resize(input.batchCount + 1);
  rowBuckets_.need(count_);
  if (input.hogwild) places_.need(count_);
  samples_.need(count_);
  size_t user = 0;
  for (size_t row = 0; row < count_; row += BLOCK) {
    while (input.positives.offsets[user + 1] <= row) user++;
    blockUsers_.push_back(uint32_t(user));
  }
}

// The user of each row of a block; returns the number of rows.
size_t Sampler::expandUsers(size_t block, uint32_t* users) const {
  const uint32_t* offsets = input_.positives.offsets.data();
  const size_t from = block * BLOCK, to = std::min(count_, from + BLOCK);
  size_t row = from;
  for (uint32_t user = blockUsers_[block]; row < to; user++) {
    const size_t end = std::min<size_t>(to, offsets[user + 1]);
    for (; row < end; row++) users[row - from] = user;
  }
  return to - from;
}

void Sampler::drawBatches(uint32_t epoch, size_t chunk, Run& run) {
  uint32_t users[BLOCK];
  uint32_t* counts = starts_.data() + chunk * buckets_;
  std::memset(counts, 0, buckets_ * sizeof(uint32_t));
  const uint32_t stream = streamId("order");
  const size_t end = std::min(count_, (chunk + 1) * chunkRows_);
  for (size_t from = chunk * chunkRows_; from < end; from += BLOCK) {
    run.check();
    const size_t rows = expandUsers(from / BLOCK, users);
    uint32_t* buckets = rowBuckets_.data() + from;
    uint32_t* places = input_.hogwild ? places_.data() + from : nullptr;
    run.blocks.drawPairs(users, input_.positives.columns.data() + from, rows, epoch, 0, input_.seed, stream, input_.batchCount, buckets, places);
    if (splits_ > 1) {
      for (size_t row = 0; row < rows; row++) buckets[row] = uint32_t(buckets[row] * splits_ + multiplyHigh(places[row], uint32_t(splits_)));
    }
    for (size_t row = 0; row < rows; row++) counts[buckets[row]]++;
  }
}

// Counts of rows by chunk and bucket -> where each chunk's first row of a bucket goes.
void Sampler::countStarts(Run& run) {
  std::fill(bucketOffsets_.begin(), bucketOffsets_.end(), 0);
  uint32_t* totals = bucketOffsets_.data() + 1;
  for (size_t chunk = 0; chunk < chunks_; chunk++) {
    run.check();
    uint32_t* counts = starts_.data() + chunk * buckets_;
    for (size_t bucket = 0; bucket < buckets_; bucket++) {
      const uint32_t count = counts[bucket];
      counts[bucket] = totals[bucket];
      totals[bucket] += count;
    }
  }
  for (size_t bucket = 0; bucket < buckets_; bucket++) totals[bucket] += bucketOffsets_[bucket];
  for (size_t chunk = 0; chunk < chunks_; chunk++) {
    run.check();
    uint32_t* starts = starts_.data() + chunk * buckets_;
    for (size_t bucket = 0; bucket < buckets_; bucket++) starts[bucket] += bucketOffsets_[bucket];
  }
  for (size_t batch = 0; batch <= input_.batchCount; batch++) offsets_[batch] = bucketOffsets_[batch * splits_];
}

void Sampler::drawNegatives(uint32_t epoch, size_t chunk, Run& run) {
  uint32_t users[BLOCK], negatives[BLOCK], again[BLOCK];
  uint32_t againUsers[BLOCK], againItems[BLOCK], drawn[BLOCK];
  Seen seen(input_.state.itemCount);
  const uint32_t* columns = input_.positives.columns.data();
  const uint32_t* offsets = input_.positives.offsets.data();
  const uint32_t stream = streamId("negative"), itemCount = uint32_t(input_.state.itemCount), userCount = uint32_t(input_.state.userCount);
  uint32_t* next = starts_.data() + chunk * buckets_;
  const size_t end = std::min(count_, (chunk + 1) * chunkRows_);
  for (size_t from = chunk * chunkRows_; from < end; from += BLOCK) {
    run.check();
    const size_t rows = expandUsers(from / BLOCK, users);
    const uint32_t* items = columns + from;
    run.blocks.drawPairs(users, items, rows, epoch, 0, input_.seed, stream, itemCount, negatives, nullptr);
    for (size_t row = 0; row < rows;) {
      const uint32_t user = users[row];
      const size_t own = std::min<size_t>(rows, offsets[user + 1] - from);
      seen.open(columns + offsets[user], columns + offsets[user + 1]);
      size_t rejected = 0;
      for (; row < own; row++) {
        again[rejected] = uint32_t(row);
        rejected += seen.has(negatives[row]);
      }
      for (uint32_t draw = 1; draw < MOST_DRAWS && rejected > 0; draw++) {
        for (size_t at = 0; at < rejected; at++) {
          againUsers[at] = user;
          againItems[at] = items[again[at]];
        }
        run.blocks.drawPairs(againUsers, againItems, rejected, epoch, draw, input_.seed, stream, itemCount, drawn, nullptr);
        size_t left = 0;
        for (size_t at = 0; at < rejected; at++) {
          negatives[again[at]] = drawn[at];
          again[left] = again[at];
          left += seen.has(drawn[at]);
        }
        rejected = left;
      }
      seen.close();
    }
    const uint32_t* buckets = rowBuckets_.data() + from;
    const uint32_t* places = input_.hogwild ? places_.data() + from : negatives;
    for (size_t row = 0; row < rows; row++) {
      samples_[next[buckets[row]]++] = Sample{users[row], userCount + items[row], userCount + negatives[row], places[row]};
    }
  }
}

// Stable, by place: places are uniform, so one counting pass leaves next to nothing to the insertions.
void Sampler::sortBucket(size_t bucket, Run& run) {
  Sample* samples = samples_.data() + bucketOffsets_[bucket];
  const size_t count = bucketOffsets_[bucket + 1] - bucketOffsets_[bucket];
  std::vector<uint32_t> starts(count + 1, 0);
  std::vector<Sample> sorted(count);
  const auto cell = [&](const Sample& sample) { return multiplyHigh(uint32_t(sample.place * splits_), uint32_t(count)); };
  for (size_t at = 0; at < count; at++) starts[cell(samples[at]) + 1]++;
  for (size_t at = 0; at < count; at++) starts[at + 1] += starts[at];
  for (size_t at = 0; at < count; at++) sorted[starts[cell(samples[at])]++] = samples[at];
  run.check();
  for (size_t at = 0; at < count; at++) {
    const Sample sample = sorted[at];
    size_t to = at;
    for (; to > 0 && samples[to - 1].place > sample.place; to--) samples[to] = samples[to - 1];
    samples[to] = sample;
  }
}

void Sampler::draw(uint32_t epoch, Run& run) {
  run.parallel(chunks_, [&](size_t chunk) { drawBatches(epoch, chunk, run); });
  countStarts(run);
  run.parallel(chunks_, [&](size_t chunk) { drawNegatives(epoch, chunk, run); });
  if (input_.hogwild) run.parallel(buckets_, [&](size_t bucket) { sortBucket(bucket, run); });
}

}  // namespace cpu
}  // namespace cragru
