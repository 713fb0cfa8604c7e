#include "sample.h"

#include <algorithm>

#include "../math.h"

namespace cragru {
namespace cpu {

namespace {

constexpr uint32_t MOST_DRAWS = 100;
constexpr size_t CHUNK = 4096;

// One stable counting pass of `order` by key(row) < range; returns where each key starts.
template <class Key>
std::vector<uint32_t> stablePass(std::vector<uint32_t>& order, std::vector<uint32_t>& sorted, size_t range, Key key) {
  std::vector<uint32_t> starts(range + 1, 0);
  for (const uint32_t row : order) starts[key(row) + 1]++;
  for (size_t value = 0; value < range; value++) starts[value + 1] += starts[value];
  std::vector<uint32_t> next(starts.begin(), starts.end() - 1);
  for (const uint32_t row : order) sorted[next[key(row)]++] = row;
  order.swap(sorted);
  return starts;
}

}  // namespace

Sampler::Sampler(const Training& input) : input_(input) {
  const size_t count = input.positives.columns.size();
  for (std::vector<uint32_t>* array : {&users_, &batches_, &places_, &negatives_, &order_, &sorted_}) array->resize(count);
  for (size_t user = 0; user < input.state.userCount; user++) {
    std::fill(users_.begin() + ptrdiff_t(input.positives.offsets[user]), users_.begin() + ptrdiff_t(input.positives.offsets[user + 1]), uint32_t(user));
  }
}

void Sampler::draw(uint32_t epoch, Run& run, EpochSamples& samples) {
  const uint32_t orderStream = streamId("order"), negativeStream = streamId("negative");
  const uint32_t* columns = input_.positives.columns.data();
  const uint32_t* rowOffsets = input_.positives.offsets.data();
  const uint32_t itemCount = uint32_t(input_.state.itemCount), userCount = uint32_t(input_.state.userCount);
  const size_t count = users_.size();
  run.parallel((count + CHUNK - 1) / CHUNK, [&](size_t chunk) {
    const size_t end = std::min(count, (chunk + 1) * CHUNK);
    for (size_t row = chunk * CHUNK; row < end; row++) {
      const uint32_t user = users_[row], item = columns[row];
      const Lanes order = philox(user, item, epoch, 0, input_.seed, orderStream);
      batches_[row] = multiplyHigh(order.lane[0], input_.batchCount);
      places_[row] = order.lane[1];
      for (uint32_t draw = 0; draw < MOST_DRAWS; draw++) {
        const uint32_t negative = multiplyHigh(philox(user, item, epoch, draw, input_.seed, negativeStream).lane[0], itemCount);
        negatives_[row] = negative;
        if (!std::binary_search(columns + rowOffsets[user], columns + rowOffsets[user + 1], negative)) break;
      }
    }
  });
  for (size_t row = 0; row < count; row++) order_[row] = uint32_t(row);
  // Stable passes over the place, low digits first, and last over the batch: order by (batch, place, user, item).
  run.check();
  stablePass(order_, sorted_, 2048, [&](uint32_t row) { return places_[row] & 2047u; });
  run.check();
  stablePass(order_, sorted_, 2048, [&](uint32_t row) { return (places_[row] >> 11) & 2047u; });
  run.check();
  stablePass(order_, sorted_, 1024, [&](uint32_t row) { return places_[row] >> 22; });
  run.check();
  samples.offsets = stablePass(order_, sorted_, input_.batchCount, [&](uint32_t row) { return batches_[row]; });
  samples.users.resize(count);
  samples.positives.resize(count);
  samples.negatives.resize(count);
  run.parallel((count + CHUNK - 1) / CHUNK, [&](size_t chunk) {
    const size_t end = std::min(count, (chunk + 1) * CHUNK);
    for (size_t to = chunk * CHUNK; to < end; to++) {
      const uint32_t row = order_[to];
      samples.users[to] = users_[row];
      samples.positives[to] = userCount + columns[row];
      samples.negatives[to] = userCount + negatives_[row];
    }
  });
}

}  // namespace cpu
}  // namespace cragru
