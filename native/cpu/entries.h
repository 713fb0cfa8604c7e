// Numbered entries grouped by a key, stably: a counting sort in parts of a fixed size, on all threads.
#pragma once
#include <algorithm>

#include "../run.h"

namespace cragru {
namespace cpu {

// key(entry) < groups, or anything else to leave the entry out; place(slot, entry) is called once for each entry that stays, slots
// ascending by (key, entry). Returns where each group starts [groups + 1].
template <class Key, class Place>
std::vector<uint32_t> groupEntries(size_t count, size_t groups, Run& run, Key key, Place place) {
  constexpr size_t PART = 65536;
  // Few counters beside the entries: one thread adds them up.
  const size_t most = std::max<size_t>(1, count / (4 * std::max<size_t>(1, groups)));
  const size_t parts = std::min((count + PART - 1) / PART, most);
  std::vector<uint32_t> starts(groups + 1, 0);
  if (parts == 0) return starts;
  const size_t size = (count + parts - 1) / parts;
  std::vector<uint32_t> next(parts * groups, 0);
  run.parallel(parts, [&](size_t part) {
    uint32_t* own = next.data() + part * groups;
    const size_t end = std::min(count, (part + 1) * size);
    for (size_t entry = part * size; entry < end; entry++) {
      if (entry % PART == 0) run.check();
      const size_t group = key(entry);
      if (group < groups) own[group]++;
    }
  });
  uint32_t total = 0;
  for (size_t group = 0; group < groups; group++) {
    starts[group] = total;
    for (size_t part = 0; part < parts; part++) {
      const uint32_t found = next[part * groups + group];
      next[part * groups + group] = total;
      total += found;
    }
  }
  starts[groups] = total;
  run.parallel(parts, [&](size_t part) {
    uint32_t* own = next.data() + part * groups;
    const size_t end = std::min(count, (part + 1) * size);
    for (size_t entry = part * size; entry < end; entry++) {
      if (entry % PART == 0) run.check();
      const size_t group = key(entry);
      if (group < groups) place(own[group]++, entry);
    }
  });
  return starts;
}

// Cuts groups into chunks of at least `least` entries: chunk c is groups [bounds[c], bounds[c + 1]).
inline std::vector<uint32_t> boundsOf(const uint32_t* starts, size_t groups, size_t least) {
  std::vector<uint32_t> bounds(1, 0);
  size_t from = starts[0];
  for (size_t group = 0; group < groups; group++) {
    if (starts[group + 1] - from < least && group + 1 < groups) continue;
    bounds.push_back(uint32_t(group + 1));
    from = starts[group + 1];
  }
  return bounds;
}

}  // namespace cpu
}  // namespace cragru
