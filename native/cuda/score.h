// The full scoring of some users, for those whose candidates did not fit and for long lists.
#pragma once
#include <algorithm>
#include <vector>

#include "calls.h"
#include "sort.h"

namespace cragru {
namespace cuda {

struct ScoreAll {
  const float* items;
  size_t itemCount, stride, dimension, k;
  const uint32_t* maskOffsets;  // null: no mask
  const uint32_t* maskColumns;
};

// Scores every item of users [rows], sorts them and writes the lists of these users.
void scoreAll(Work& work, const ScoreAll& input, const float* users, const std::vector<uint32_t>& rows, uint32_t* resultItems, float* resultScores);

}  // namespace cuda
}  // namespace cragru
