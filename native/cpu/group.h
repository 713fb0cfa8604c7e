// Batches grouped by the rows they read, so that one chunk owns a row and sums its gradient in sample order.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "../run.h"
#include "buffer.h"
#include "sample.h"

namespace cragru {
namespace cpu {

struct GroupedBatch : Batch {
  size_t userGroups, itemGroups;
  // Chunks of groups [chunks + 1], each about as much work.
  const uint32_t *userBounds, *itemBounds;
  size_t userChunks, itemChunks;
};

// The consecutive batches of a training window, none of them empty.
class Grouping {
 public:
  Grouping(size_t userCount, size_t itemCount) : userCount_(userCount), itemCount_(itemCount) {}

  // `batches` are numbers of batches of the sampler's epoch, ascending.
  void build(const Sampler& sampler, const std::vector<uint32_t>& batches, size_t from, size_t to, Run& run);
  size_t size() const { return batches_.size(); }
  const GroupedBatch& operator[](size_t at) const { return batches_[at]; }

  // touched[row]: bit s where batch s reads the row; 0 rows included.
  void mark(uint64_t* touched, Run& run) const;

 private:
  void groupUsers(GroupedBatch& batch, size_t at, Run& run);
  void groupItems(GroupedBatch& batch, size_t at, uint32_t* counts, Run& run);
  std::unique_ptr<Buffer<uint32_t>> takeCounts();
  void giveCounts(std::unique_ptr<Buffer<uint32_t>> counts);

  const size_t userCount_, itemCount_;
  std::vector<GroupedBatch> batches_;
  std::vector<size_t> places_;  // of each batch in the arrays below, in samples from the window's start
  Buffer<uint32_t> slots_, userStarts_, userBounds_, itemRows_, itemStarts_, itemBounds_, references_;
  // A counter for each item, all 0 between uses: one set for each batch at work.
  std::mutex mutex_;
  std::vector<std::unique_ptr<Buffer<uint32_t>>> counts_;
};

}  // namespace cpu
}  // namespace cragru
