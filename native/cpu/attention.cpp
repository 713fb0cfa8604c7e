// A ragged batch of softmax attention: one user a chunk, keys transposed once a user. The order of operations stands in
// src/native/reference/attention.ts.
#include <algorithm>

#include "../run.h"

namespace cragru {
namespace cpu {

std::vector<float> attentionWeights(const Attention& input, Run& run) {
  const size_t groups = input.queryOffsets.size() - 1, dimension = input.dimension;
  std::vector<size_t> starts(groups + 1, 0);
  for (size_t group = 0; group < groups; group++) {
    const size_t queries = input.queryOffsets[group + 1] - input.queryOffsets[group], keys = input.keyOffsets[group + 1] - input.keyOffsets[group];
    starts[group + 1] = starts[group] + queries * keys;
  }
  std::vector<float> result(input.output == AttentionOutput::weights ? starts[groups] : input.keyOffsets[groups], 0.0f);
  std::atomic<size_t> done{0};
  run.parallel(groups, [&](size_t group) {
    const size_t keyStart = input.keyOffsets[group], count = input.keyOffsets[group + 1] - keyStart;
    const size_t queryStart = input.queryOffsets[group], queryEnd = input.queryOffsets[group + 1];
    if (count > 0 && queryEnd > queryStart) {
      const size_t stride = (count + 7) / 8 * 8;
      std::vector<double> transposed(stride * dimension), scratch(input.heads * (stride + 1)), weights(stride), pooled(count, 0.0);
      run.blocks.transposeKeys(input.keys.data() + keyStart * dimension, count, dimension, stride, transposed.data());
      const float* bias = input.bias.empty() ? nullptr : input.bias.data() + keyStart;
      for (size_t query = queryStart; query < queryEnd; query++) {
        run.check();
        run.blocks.attend(input.queries.data() + query * dimension, transposed.data(), bias, count, stride, dimension, input.heads, scratch.data(), weights.data());
        if (input.output == AttentionOutput::weights) {
          float* to = result.data() + starts[group] + (query - queryStart) * count;
          for (size_t j = 0; j < count; j++) to[j] = float(weights[j]);
        } else if (input.output == AttentionOutput::mean) {
          for (size_t j = 0; j < count; j++) pooled[j] = pooled[j] + weights[j];
        } else {
          for (size_t j = 0; j < count; j++) pooled[j] = weights[j] > pooled[j] ? weights[j] : pooled[j];
        }
      }
      if (input.output == AttentionOutput::max) {
        for (size_t j = 0; j < count; j++) result[keyStart + j] = float(pooled[j]);
      } else if (input.output == AttentionOutput::mean) {
        for (size_t j = 0; j < count; j++) result[keyStart + j] = float(pooled[j] / double(queryEnd - queryStart));
      }
    }
    run.progress(double(done.fetch_add(1) + 1), double(groups));
  });
  return result;
}

}  // namespace cpu
}  // namespace cragru
