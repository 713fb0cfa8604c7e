#include "score_list.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace cragru {
namespace cpu {

namespace {
// Up to here entries are placed by counting, which takes no branch; beyond, sorting is faster.
constexpr size_t RANKED = 384;
constexpr size_t RANK_PADDING = 64;
constexpr float LOWEST = -std::numeric_limits<float>::infinity();

// Ascending where scores fall; -0 equals 0.
uint32_t keyOf(float score) {
  const float value = score + 0.0f;
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits & 0x80000000u ? bits : ~bits & 0x7fffffffu;
}
}  // namespace

ListMaker::ListMaker(const ScoreTopK& input, const ScoreBlocks& blocks) : input_(input), blocks_(blocks) {
  step_ = std::max<size_t>(input.k / 2, 48);
  room_ = input.k + 2 * step_ + 2 * blocks.panelItems;
}

void ListMaker::begin(UserList& list, const ScoreCandidates& at, size_t row) const {
  list = {at, row, 0, input_.k + step_, input_.masked ? input_.mask.offsets[row] : 0, LOWEST};
}

void ListMaker::hide(UserList& list, const ScorePass& pass, uint32_t* values, size_t item, size_t panels) const {
  const size_t end = item + panels * blocks_.panelItems;
  for (size_t absent = input_.itemCount; absent < end; absent++) values[absent - item] = pass.hidden;
  if (!input_.masked) return;
  const uint32_t* columns = input_.mask.columns.data();
  const size_t last = input_.mask.offsets[list.row + 1];
  size_t at = list.maskAt;
  while (at < last && columns[at] < item) at++;
  for (; at < last && columns[at] < end; at++) values[columns[at] - item] = pass.hidden;
  list.maskAt = at;
}

void ListMaker::raise(UserList& list, const float* lows, size_t count) const {
  if (count < input_.k) return;
  list.threshold = std::max(list.threshold, blocks_.kthLargest(lows, count, input_.k, input_.k / 16 + 1));
}

void ListMaker::offer(UserList& list, const ScorePass& pass, const uint32_t* values, const void* base, size_t panels, const float* errors,
                      const float* scales, size_t firstItem, ListScratch& scratch) const {
  for (;;) {
    const size_t done = pass.take(values, base, panels, errors, scales, list.threshold, uint32_t(firstItem), &list.at, &list.count, room_);
    if (list.count >= list.tidyAt) tidy(list, scratch);
    if (done == panels) return;
    values += done * blocks_.panelItems;
    panels -= done;
    errors += done;
    scales += done;
    firstItem += done * blocks_.panelItems;
  }
}

// At least half a step of room is left afterwards.
void ListMaker::tidy(UserList& list, ListScratch& scratch) const {
  raise(list, list.at.low, list.count);
  list.count = blocks_.keepReaching(&list.at, list.count, list.threshold);
  if (list.count + blocks_.panelItems + step_ / 2 > room_) settle(list, scratch);
  list.tidyAt = std::min(list.count + step_, room_ - blocks_.panelItems + 1);
}

// Scores the candidates whose lower bound reaches `least` exactly, where that was not done yet.
void ListMaker::score(UserList& list, float least, ListScratch& scratch) const {
  if (scratch.items.size() < list.count + ROOM_PADDING) {
    const size_t length = list.count + room_ + RANK_PADDING;
    scratch.scores.resize(length);
    scratch.positions.resize(length);
    scratch.items.resize(length);
  }
  const size_t count = blocks_.pickOpen(&list.at, list.count, least, scratch.positions.data(), scratch.items.data());
  blocks_.scoreItems(input_.users.data() + list.row * input_.dimension, input_.items.data(), scratch.items.data(), count, input_.dimension,
                     scratch.scores.data());
  const uint32_t* positions = scratch.positions.data();
  const float* scores = scratch.scores.data();
  for (size_t at = 0; at < count; at++) list.at.low[positions[at]] = list.at.high[positions[at]] = scores[at];
  scratch.scored += count;
}

// Bounds that do not tell candidates apart (equal scores) are replaced by the scores, of which k stay.
void ListMaker::settle(UserList& list, ListScratch& scratch) const {
  score(list, LOWEST, scratch);
  const float* scores = list.at.low;
  const float last = blocks_.kthLargest(scores, list.count, input_.k, 0);
  size_t above = 0, kept = 0;
  for (size_t at = 0; at < list.count; at++) above += scores[at] > last;
  size_t equals = input_.k - above;
  for (size_t at = 0; at < list.count; at++) {
    const float own = scores[at];
    if (own < last || (own == last && equals == 0)) continue;
    if (own == last) equals--;
    list.at.low[kept] = list.at.high[kept] = own;
    list.at.items[kept++] = list.at.items[at];
  }
  list.count = kept;
  list.threshold = std::max(list.threshold, last);
}

void ListMaker::finish(UserList& list, TopK& result, ListScratch& scratch) const {
  const size_t k = input_.k;
  if (list.count > k) {
    // The scores of those that are k by their lower bounds put the threshold above where bounds alone can.
    raise(list, list.at.low, list.count);
    score(list, list.threshold, scratch);
    list.threshold = std::max(list.threshold, blocks_.leastSettled(&list.at, list.count));
    list.count = blocks_.keepReaching(&list.at, list.count, list.threshold);
  }
  score(list, LOWEST, scratch);
  std::copy_n(list.at.low, list.count, scratch.scores.begin());
  const float* scores = scratch.scores.data();
  const size_t length = std::min(k, list.count);
  uint32_t* items = result.items.data() + list.row * k;
  float* sorted = result.scores.data() + list.row * k;
  if (list.count <= RANKED) {
    scratch.places.resize(RANKED + RANK_PADDING);
    blocks_.rank(scratch.scores.data(), list.count, scratch.places.data());
    float placed[RANKED];
    uint32_t placedItems[RANKED];
    for (size_t at = 0; at < list.count; at++) {
      const size_t place = scratch.places[at];
      placedItems[place] = list.at.items[at];
      placed[place] = scores[at];
    }
    std::copy_n(placedItems, length, items);
    std::copy_n(placed, length, sorted);
    return;
  }
  scratch.keys.resize(list.count);
  for (size_t at = 0; at < list.count; at++) scratch.keys[at] = uint64_t(keyOf(scores[at])) << 32 | at;
  std::sort(scratch.keys.begin(), scratch.keys.end());
  for (size_t place = 0; place < length; place++) {
    const size_t at = uint32_t(scratch.keys[place]);
    items[place] = list.at.items[at];
    sorted[place] = scores[at];
  }
}

void ListMaker::finishZeros(UserList& list, TopK& result) const {
  size_t mask = input_.masked ? input_.mask.offsets[list.row] : 0, place = 0;
  const size_t maskEnd = input_.masked ? input_.mask.offsets[list.row + 1] : 0;
  for (size_t item = 0; item < input_.itemCount && place < input_.k; item++) {
    if (mask < maskEnd && input_.mask.columns[mask] == item) mask++;
    else result.items[list.row * input_.k + place++] = uint32_t(item);
  }
  std::fill_n(result.scores.data() + list.row * input_.k, place, 0.0f);
}

}  // namespace cpu
}  // namespace cragru
