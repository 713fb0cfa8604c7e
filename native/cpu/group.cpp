#include "group.h"

#include <algorithm>
#include <cstring>

namespace cragru {
namespace cpu {

namespace {
constexpr size_t USER_CHUNK = 64;  // samples of one chunk, at least
constexpr size_t ITEM_CHUNK = 384;  // references of one chunk, at least
constexpr size_t CHECK_EVERY = size_t(1) << 16;

// Cuts groups into chunks of at least `size` entries; returns the number of chunks.
size_t cut(const uint32_t* starts, size_t groups, size_t size, uint32_t* bounds) {
  size_t chunks = 0, begin = 0;
  bounds[0] = 0;
  for (size_t group = 0; group < groups; group++) {
    if (starts[group + 1] - begin < size && group + 1 < groups) continue;
    bounds[++chunks] = uint32_t(group + 1);
    begin = starts[group + 1];
  }
  return chunks;
}
}  // namespace

void Grouping::build(const Sampler& sampler, const std::vector<uint32_t>& batches, size_t from, size_t to, Run& run) {
  const std::vector<uint32_t>& offsets = sampler.offsets();
  batches_.resize(to - from);
  places_.resize(to - from);
  size_t total = 0;
  for (size_t at = 0; at < batches_.size(); at++) {
    const uint32_t number = batches[from + at];
    batches_[at].samples = sampler.samples() + offsets[number];
    batches_[at].count = offsets[number + 1] - offsets[number];
    places_[at] = total;
    total += batches_[at].count;
  }
  const size_t extra = 2 * batches_.size();
  slots_.need(total);
  userStarts_.need(total + extra);
  userBounds_.need(total / USER_CHUNK + extra);
  itemRows_.need(2 * total);
  itemStarts_.need(2 * total + extra);
  itemBounds_.need(2 * total / ITEM_CHUNK + extra);
  references_.need(2 * total);
  run.parallel(batches_.size(), [&](size_t at) {
    groupUsers(batches_[at], at, run);
    std::unique_ptr<Buffer<uint32_t>> counts = takeCounts();
    groupItems(batches_[at], at, counts->data(), run);
    giveCounts(std::move(counts));
  });
}

void Grouping::groupUsers(GroupedBatch& batch, size_t at, Run& run) {
  uint32_t* slots = slots_.data() + places_[at];
  uint32_t* starts = userStarts_.data() + places_[at] + at;
  uint32_t* bounds = userBounds_.data() + places_[at] / USER_CHUNK + 2 * at;
  const Sample* samples = batch.samples;
  size_t groups = 0;
  for (size_t sample = 0; sample < batch.count; sample++) {
    if (sample % CHECK_EVERY == 0) run.check();
    starts[groups] = uint32_t(sample);
    groups += sample == 0 || samples[sample].user != samples[sample - 1].user;
    slots[sample] = uint32_t(groups - 1);
  }
  starts[groups] = uint32_t(batch.count);
  batch.slots = slots;
  batch.userStarts = starts;
  batch.userGroups = groups;
  batch.userBounds = bounds;
  batch.userChunks = cut(starts, groups, USER_CHUNK, bounds);
}

void Grouping::groupItems(GroupedBatch& batch, size_t at, uint32_t* counts, Run& run) {
  uint32_t* rows = itemRows_.data() + 2 * places_[at];
  uint32_t* starts = itemStarts_.data() + 2 * places_[at] + at;
  uint32_t* bounds = itemBounds_.data() + 2 * places_[at] / ITEM_CHUNK + 2 * at;
  uint32_t* references = references_.data() + 2 * places_[at];
  const Sample* samples = batch.samples;
  size_t groups = 0;
  for (size_t sample = 0; sample < batch.count; sample++) {
    if (sample % CHECK_EVERY == 0) run.check();
    rows[groups] = samples[sample].positive;
    groups += counts[samples[sample].positive - userCount_]++ == 0;
    rows[groups] = samples[sample].negative;
    groups += counts[samples[sample].negative - userCount_]++ == 0;
  }
  uint32_t start = 0;
  for (size_t group = 0; group < groups; group++) {
    uint32_t& count = counts[rows[group] - userCount_];
    starts[group] = start;
    start += count;
    count = starts[group];
  }
  starts[groups] = start;
  for (size_t sample = 0; sample < batch.count; sample++) {
    if (sample % CHECK_EVERY == 0) run.check();
    references[counts[samples[sample].positive - userCount_]++] = uint32_t(2 * sample);
    references[counts[samples[sample].negative - userCount_]++] = uint32_t(2 * sample + 1);
  }
  for (size_t group = 0; group < groups; group++) counts[rows[group] - userCount_] = 0;
  batch.itemRows = rows;
  batch.itemStarts = starts;
  batch.references = references;
  batch.itemGroups = groups;
  batch.itemBounds = bounds;
  batch.itemChunks = cut(starts, groups, ITEM_CHUNK, bounds);
}

std::unique_ptr<Buffer<uint32_t>> Grouping::takeCounts() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!counts_.empty()) {
      std::unique_ptr<Buffer<uint32_t>> counts = std::move(counts_.back());
      counts_.pop_back();
      return counts;
    }
  }
  auto counts = std::make_unique<Buffer<uint32_t>>(itemCount_);
  std::memset(counts->data(), 0, itemCount_ * sizeof(uint32_t));
  return counts;
}

void Grouping::giveCounts(std::unique_ptr<Buffer<uint32_t>> counts) {
  std::lock_guard<std::mutex> lock(mutex_);
  counts_.push_back(std::move(counts));
}

void Grouping::mark(uint64_t* touched, Run& run) const {
  run.parallel(2, [&](size_t side) {
    const size_t begin = side == 0 ? 0 : userCount_, rows = side == 0 ? userCount_ : itemCount_;
    std::memset(touched + begin, 0, rows * sizeof(uint64_t));
    for (size_t at = 0; at < batches_.size(); at++) {
      run.check();
      const GroupedBatch& batch = batches_[at];
      const uint64_t bit = uint64_t(1) << at;
      if (side == 0) {
        for (size_t group = 0; group < batch.userGroups; group++) touched[batch.samples[batch.userStarts[group]].user] |= bit;
      } else {
        for (size_t group = 0; group < batch.itemGroups; group++) touched[batch.itemRows[group]] |= bit;
      }
    }
  });
}

}  // namespace cpu
}  // namespace cragru
