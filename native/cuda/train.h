// The samples of one epoch on the device, in the order of src/native/reference/sample.ts.
#pragma once
#include <vector>

#include "calls.h"

namespace cragru {
namespace cuda {

// Sample s of batch b: offsets[b] <= s < offsets[b + 1]; within a batch by (user, item), so that a user's samples are neighbours.
// A reference is 2 sample for the positive item, 2 sample + 1 for the negative; references of a batch stand by (item row, sample).
struct SamplesView {
  const uint32_t *users, *positives, *negatives;  // stacked row numbers
  const uint32_t* references;
};

class Samples {
 public:
  Samples(Work& work, const CragruCudaTraining& input);
  void draw(Work& work, uint64_t epoch);
  SamplesView view() const { return {users_.data(), positives_.data(), negatives_.data(), references_.data()}; }
  // On the host, after draw.
  const std::vector<uint32_t>& offsets() const { return offsets_; }
  size_t count() const { return count_; }

 private:
  const CragruCudaTraining& input_;
  size_t count_;
  Input<uint32_t> rowOffsets_, columns_;
  Buffer<uint32_t> rowUsers_, drawn_;  // of each entry of the positives: its user, its negative
  Buffer<uint32_t> users_, positives_, negatives_, references_;
  Buffer<uint32_t> batches_, order_, otherBatches_, otherOrder_, keys_, otherKeys_, otherReferences_, starts_;
  std::vector<uint32_t> offsets_;
};

}  // namespace cuda
}  // namespace cragru
