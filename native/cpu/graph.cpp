#include "graph.h"

#include <algorithm>
#include <cmath>

namespace cragru {
namespace cpu {

namespace {
// Edges of one part of the transposition, at least; parts have counters for all items, so there are not many.
constexpr size_t PART_EDGES = 65536;
constexpr size_t MOST_PARTS = 16;
// About 8,192 edges a chunk: tens of microseconds.
constexpr size_t CHUNK_EDGES = 8192;
}  // namespace

// Each part of the users counts its items and later writes their edges behind those of the parts before: users stay ascending.
Graph buildGraph(const Csr& positives, size_t userCount, size_t itemCount, Run& run) {
  Graph graph;
  const size_t edges = positives.columns.size();
  const uint32_t *userOffsets = positives.offsets.data(), *items = positives.columns.data();
  graph.userCount = userCount;
  graph.rows = userCount + itemCount;
  graph.offsets.resize(graph.rows + 1);
  graph.columns.resize(2 * edges + READ_AHEAD);
  graph.scales.resize(graph.rows);

  const size_t parts = std::min(MOST_PARTS, edges / PART_EDGES + 1);
  std::vector<size_t> users(parts + 1, userCount);
  for (size_t part = 0; part < parts; part++) {
    users[part] = size_t(std::lower_bound(userOffsets, userOffsets + userCount, edges * part / parts) - userOffsets);
  }
  users[0] = 0;
  std::vector<uint32_t> next(parts * itemCount, 0);
  run.parallel(parts, [&](size_t part) {
    uint32_t* counts = next.data() + part * itemCount;
    for (size_t user = users[part]; user < users[part + 1]; user++) {
      if (user % 256 == 0) run.check();
      graph.offsets[user] = userOffsets[user];
      for (size_t edge = userOffsets[user]; edge < userOffsets[user + 1]; edge++) {
        graph.columns[edge] = uint32_t(userCount + items[edge]);
        counts[items[edge]]++;
      }
    }
  });
  uint32_t at = uint32_t(edges);
  for (size_t item = 0; item < itemCount; item++) {
    graph.offsets[userCount + item] = at;
    for (size_t part = 0; part < parts; part++) {
      const uint32_t count = next[part * itemCount + item];
      next[part * itemCount + item] = at;
      at += count;
    }
  }
  graph.offsets[graph.rows] = at;
  run.check();
  run.parallel(parts, [&](size_t part) {
    uint32_t* to = next.data() + part * itemCount;
    for (size_t user = users[part]; user < users[part + 1]; user++) {
      if (user % 256 == 0) run.check();
      for (size_t edge = userOffsets[user]; edge < userOffsets[user + 1]; edge++) graph.columns[to[items[edge]]++] = uint32_t(user);
    }
  });

  graph.bounds.push_back(0);
  size_t weight = 0;
  for (size_t row = 0; row < graph.rows; row++) {
    if (row % 65536 == 0) run.check();
    const size_t degree = graph.degree(row);
    graph.scales[row] = degree > 0 ? float(1.0 / std::sqrt(double(degree))) : 0.0f;
    weight += 4 + degree;
    if (weight >= CHUNK_EDGES || row + 1 == graph.rows) {
      graph.bounds.push_back(uint32_t(row + 1));
      weight = 0;
    }
  }
  return graph;
}

}  // namespace cpu
}  // namespace cragru
