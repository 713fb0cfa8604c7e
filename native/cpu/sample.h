// The keyed draws of one training epoch; twin of src/native/reference/sample.ts.
#pragma once
#include <vector>

#include "../run.h"
#include "buffer.h"
#include "train_data.h"

namespace cragru {
namespace cpu {

class Sampler {
 public:
  explicit Sampler(const Training& input);
  // Draws an epoch: samples() by batch, offsets() [batchCount + 1]. Inside a batch they stand by (user, item), or under hogwild by
  // (place, user, item).
  void draw(uint32_t epoch, Run& run);

  const Sample* samples() const { return samples_.data(); }
  size_t count() const { return count_; }
  const std::vector<uint32_t>& offsets() const { return offsets_; }

 private:
  struct Scratch;
  void drawBatches(uint32_t epoch, size_t chunk, Run& run);
  void drawNegatives(uint32_t epoch, size_t chunk, Run& run);
  void countStarts(Run& run);
  void sortBucket(size_t bucket, Run& run);
  size_t expandUsers(size_t block, uint32_t* users) const;

  const Training& input_;
  size_t count_, chunkRows_, chunks_, splits_, buckets_;
  std::vector<uint32_t> blockUsers_;  // user of the first row of each block
  std::vector<uint32_t> starts_;      // [chunks, buckets] counts, then where the chunk's rows of a bucket go
  std::vector<uint32_t> bucketOffsets_, offsets_;
  Buffer<uint32_t> rowBuckets_, places_;
  Buffer<Sample> samples_;
};

}  // namespace cpu
}  // namespace cragru
