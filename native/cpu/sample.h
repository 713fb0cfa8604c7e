// The keyed draws of one training epoch; twin of src/native/reference/sample.ts.
#pragma once
#include "../run.h"

namespace cragru {
namespace cpu {

// Rows of one epoch in batch order; item rows are numbers in the stacked table.
struct EpochSamples {
  std::vector<uint32_t> offsets;  // [batchCount + 1]
  std::vector<uint32_t> users, positives, negatives;
};

class Sampler {
 public:
  Sampler(const Training& input);
  void draw(uint32_t epoch, Run& run, EpochSamples& samples);

 private:
  const Training& input_;
  std::vector<uint32_t> users_;  // user of each row
  std::vector<uint32_t> batches_, places_, negatives_, order_, sorted_;
};

}  // namespace cpu
}  // namespace cragru
