// The keyed draws of one epoch, and its samples in order: by batch, then as they stand in the positives. All sorts are stable.
#include "device_math.h"
#include "sort.h"
#include "train.h"

namespace cragru {
namespace cuda {

namespace {

constexpr uint32_t MOST_DRAWS = 100;

__global__ void expandUsers(const uint32_t* offsets, size_t userCount, uint32_t* users) {
  const size_t user = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  if (user >= userCount) return;
  for (unsigned at = offsets[user] + laneOf(); at < offsets[user + 1]; at += 32) users[at] = unsigned(user);
}

struct Draw {
  const uint32_t *offsets, *columns, *users;
  size_t count;
  uint32_t itemCount, batchCount, seed, epoch, orderStream, negativeStream;
};

__global__ void drawEntries(Draw in, uint32_t* batches, uint32_t* order, uint32_t* negatives, uint32_t* batchCounts) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= in.count) return;
  const uint32_t user = in.users[at], item = in.columns[at];
  const uint32_t batch = multiplyHigh(philox(user, item, in.epoch, 0, in.seed, in.orderStream).lane[0], in.batchCount);
  batches[at] = batch;
  order[at] = unsigned(at);
  atomicAdd(&batchCounts[batch], 1u);
  const unsigned from = in.offsets[user], to = in.offsets[user + 1];
  uint32_t negative = 0;
  for (uint32_t draw = 0; draw < MOST_DRAWS; draw++) {
    negative = multiplyHigh(philox(user, item, in.epoch, draw, in.seed, in.negativeStream).lane[0], in.itemCount);
    const unsigned found = lowerBound(in.columns, from, to, negative);
    if (found == to || in.columns[found] != negative) break;
  }
  negatives[at] = negative;
}

__global__ void gatherSamples(Draw in, const uint32_t* order, const uint32_t* drawn, uint32_t userCount, uint32_t* users, uint32_t* positives, uint32_t* negatives,
                              uint32_t* keys, uint32_t* references) {
  const size_t sample = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (sample >= in.count) return;
  const uint32_t entry = order[sample];
  users[sample] = in.users[entry];
  positives[sample] = userCount + in.columns[entry];
  negatives[sample] = userCount + drawn[entry];
  keys[2 * sample] = in.columns[entry];
  keys[2 * sample + 1] = drawn[entry];
  references[2 * sample] = unsigned(2 * sample);
  references[2 * sample + 1] = unsigned(2 * sample + 1);
}

__global__ void keysOfBatches(const uint32_t* references, const uint32_t* batches, size_t count, uint32_t* keys) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < count) keys[at] = batches[references[at] / 2];
}

unsigned bitsOfCount(size_t count) {
  unsigned bits = 0;
  while ((count - 1) >> bits) bits++;
  return bits;
}

}  // namespace

Samples::Samples(Work& work, const CragruCudaTraining& input)
    : input_(input), count_(input.positives.columns.count), rowOffsets_(work, input.positives.offsets), columns_(work, input.positives.columns) {
  for (Buffer<uint32_t>* one : {&rowUsers_, &drawn_, &users_, &positives_, &negatives_, &batches_, &order_, &otherBatches_, &otherOrder_}) {
    *one = Buffer<uint32_t>(work, count_);
  }
  for (Buffer<uint32_t>* two : {&references_, &keys_, &otherKeys_, &otherReferences_}) *two = Buffer<uint32_t>(work, 2 * count_);
  starts_ = Buffer<uint32_t>(work, size_t(input.batchCount) + 1);
  CRAGRU_LAUNCH(work, expandUsers, gridFor(input.userCount * 32, 256), 256, 0, rowOffsets_.data(), input.userCount, rowUsers_.data());
}

void Samples::draw(Work& work, uint64_t epoch) {
  const Draw in = {rowOffsets_.data(), columns_.data(), rowUsers_.data(), count_, uint32_t(input_.itemCount), input_.batchCount, input_.seed, uint32_t(epoch),
                   streamId("order"), streamId("negative")};
  work.fill(starts_.data(), 0, starts_.size());
  CRAGRU_LAUNCH(work, drawEntries, gridFor(count_, 256), 256, 0, in, batches_.data(), order_.data(), drawn_.data(), starts_.data());
  exclusiveScan(work, starts_.data(), starts_.size());
  const unsigned batchBits = bitsOfCount(input_.batchCount);
  sortByKey(work, batches_, order_, otherBatches_, otherOrder_, batchBits);
  CRAGRU_LAUNCH(work, gatherSamples, gridFor(count_, 256), 256, 0, in, order_.data(), drawn_.data(), uint32_t(input_.userCount), users_.data(), positives_.data(),
                negatives_.data(), keys_.data(), references_.data());
  sortByKey(work, keys_, references_, otherKeys_, otherReferences_, bitsOfCount(input_.itemCount));
  CRAGRU_LAUNCH(work, keysOfBatches, gridFor(2 * count_, 256), 256, 0, references_.data(), batches_.data(), 2 * count_, keys_.data());
  sortByKey(work, keys_, references_, otherKeys_, otherReferences_, batchBits);
  offsets_.resize(starts_.size());
  work.download(offsets_.data(), starts_.data(), starts_.size());
  work.wait();
}

}  // namespace cuda
}  // namespace cragru
