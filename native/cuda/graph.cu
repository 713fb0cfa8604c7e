// Both sides of the graph from the users' rows: the item rows are the transpose, a stable sort of the edges by item.
#include "graph.h"

#include "sort.h"

namespace cragru {
namespace cuda {

namespace {




// A warp a user: copies its columns, and lists (item, user) for the transpose.
__global__ void listEdges(const uint32_t* offsets, const uint32_t* columns, size_t userCount, uint32_t* stacked, uint32_t* items, uint32_t* users,
                          uint32_t* itemCounts) {
  const size_t user = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  if (user >= userCount) return;
  for (unsigned at = offsets[user] + laneOf(); at < offsets[user + 1]; at += 32) {
    const uint32_t item = columns[at];
    stacked[at] = unsigned(userCount) + item;
    items[at] = item;
    users[at] = unsigned(user);
    atomicAdd(&itemCounts[item], 1u);
  }
}

// offsets[userCount + item] = edges + start of the item; one more than items.
__global__ void placeItems(const uint32_t* starts, size_t count, uint32_t edges, uint32_t* offsets) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < count) offsets[at] = edges + starts[at];
}

__global__ void scaleDegrees(const uint32_t* offsets, size_t rows, float* scales, uint32_t* longRows, uint32_t* longCount) {
  const size_t row = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  const unsigned degree = offsets[row + 1] - offsets[row];
  scales[row] = degree > 0 ? float(1.0 / sqrt(double(degree))) : 0.0f;
  if (degree > LONG_DEGREE) longRows[atomicAdd(longCount, 1u)] = unsigned(row);
}

}  // namespace

Graph::Graph(Work& work, const CragruCudaCsr& positives, size_t userCount, size_t itemCount) : rows_(userCount + itemCount) {
  const size_t edges = positives.columns.count;
  const Input<uint32_t> offsets(work, positives.offsets), columns(work, positives.columns);
  offsets_ = Buffer<uint32_t>(work, rows_ + 1);
  columns_ = Buffer<uint32_t>(work, 2 * edges);
  scales_ = Buffer<float>(work, rows_);
  longRows_ = Buffer<uint32_t>(work, rows_);
  longCount_ = Buffer<uint32_t>(work, 1);
  work.copy(offsets_.data(), offsets.data(), userCount);
  {
    Buffer<uint32_t> items(work, edges), users(work, edges), otherItems(work, edges), otherUsers(work, edges), starts(work, itemCount + 1);
    work.fill(starts.data(), 0, itemCount + 1);
    CRAGRU_LAUNCH(work, listEdges, gridFor(userCount * 32, 256), 256, 0, offsets.data(), columns.data(), userCount, columns_.data(), items.data(),
                  users.data(), starts.data());
    exclusiveScan(work, starts.data(), itemCount + 1);
    CRAGRU_LAUNCH(work, placeItems, gridFor(itemCount + 1, 256), 256, 0, starts.data(), itemCount + 1, uint32_t(edges), offsets_.data() + userCount);
    unsigned bits = 0;
    while ((itemCount - 1) >> bits) bits++;
    sortByKey(work, items, users, otherItems, otherUsers, bits);
    work.copy(columns_.data() + edges, users.data(), edges);
  }
  work.fill(longCount_.data(), 0, 1);
  CRAGRU_LAUNCH(work, scaleDegrees, gridFor(rows_, 256), 256, 0, offsets_.data(), rows_, scales_.data(), longRows_.data(), longCount_.data());
}

}  // namespace cuda
}  // namespace cragru
