#include "score_list.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace cragru {
namespace cpu {

namespace {
// Up to here entries are placed by counting, which takes no branch; beyond, sorting is faster.
constexpr size_t RANKED = 384;
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

uint64_t ListMaker::hidden(UserList& list, size_t item) const {
  const size_t end = item + blocks_.panelItems;
  uint64_t bits = end > input_.itemCount ? ~uint64_t(0) << (input_.itemCount - item) : 0;
  if (!input_.masked) return bits;
  const uint32_t* columns = input_.mask.columns.data();
  const size_t last = input_.mask.offsets[list.row + 1];
  size_t at = list.maskAt;
  while (at < last && columns[at] < item) at++;
  for (; at < last && columns[at] < end; at++) bits |= uint64_t(1) << (columns[at] - item);
  list.maskAt = at;
  return bits;
}

void ListMaker::raise(UserList& list, const float* lows, size_t count) const {
  if (count < input_.k) return;
  list.threshold = std::max(list.threshold, blocks_.kthLargest(lows, count, input_.k, input_.k / 32 + 1));
}

void ListMaker::offer(UserList& list, const ScorePass& pass, const void* values, const void* base, size_t stride, size_t panels,
                      const float* errors, const float* scales, const uint64_t* seen, size_t seenStride, size_t firstItem,
                      ListScratch& scratch) const {
  for (;;) {
    const size_t done = pass.take(values, base, stride, panels, errors, scales, list.threshold, seen, seenStride, uint32_t(firstItem), &list.at,
                                  &list.count, room_);
    if (list.count >= list.tidyAt) tidy(list, scratch);
    if (done == panels) return;
    values = static_cast<const uint32_t*>(values) + done * stride;
    panels -= done;
    errors += done;
    scales += done;
    seen += done * seenStride;
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

void ListMaker::score(const UserList& list, ListScratch& scratch) const {
  scratch.scores.resize(room_ + ROOM_PADDING);
  scratch.scored += list.count;
  blocks_.scoreItems(input_.users.data() + list.row * input_.dimension, input_.items.data(), list.at.items, list.count, input_.dimension,
                     scratch.scores.data());
}

// Bounds that do not tell candidates apart (equal scores) are replaced by the scores, of which k stay.
void ListMaker::settle(UserList& list, ListScratch& scratch) const {
  bool settled = true;
  for (size_t at = 0; at < list.count && settled; at++) settled = list.at.low[at] == list.at.high[at];
  const float* scores = list.at.low;
  if (!settled) {
    score(list, scratch);
    scores = scratch.scores.data();
  }
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
    list.threshold = std::max(list.threshold, blocks_.kthLargest(list.at.low, list.count, k, 0));
    list.count = blocks_.keepReaching(&list.at, list.count, list.threshold);
  }
  score(list, scratch);
  const float* scores = scratch.scores.data();
  uint32_t* items = result.items.data() + list.row * k;
  float* sorted = result.scores.data() + list.row * k;
  if (list.count <= RANKED) {
    scratch.places.resize(RANKED + ROOM_PADDING);
    blocks_.rank(scores, list.count, scratch.places.data());
    for (size_t at = 0; at < list.count; at++) {
      const size_t place = scratch.places[at];
      if (place >= k) continue;
      items[place] = list.at.items[at];
      sorted[place] = scores[at];
    }
    return;
  }
  scratch.keys.resize(list.count);
  for (size_t at = 0; at < list.count; at++) scratch.keys[at] = uint64_t(keyOf(scores[at])) << 32 | at;
  std::sort(scratch.keys.begin(), scratch.keys.end());
  for (size_t place = 0; place < std::min(k, list.count); place++) {
    const size_t at = uint32_t(scratch.keys[place]);
    items[place] = list.at.items[at];
    sorted[place] = scores[at];
  }
}

void ListMaker::finishZeros(UserList& list, TopK& result) const {
  uint32_t* items = result.items.data() + list.row * input_.k;
  size_t place = 0;
  list.maskAt = input_.masked ? input_.mask.offsets[list.row] : 0;
  for (size_t first = 0; first < input_.itemCount && place < input_.k; first += blocks_.panelItems) {
    uint64_t open = ~hidden(list, first);
    if (blocks_.panelItems < 64) open &= (uint64_t(1) << blocks_.panelItems) - 1;
    for (; open && place < input_.k; open &= open - 1) items[place++] = uint32_t(first) + uint32_t(__builtin_ctzll(open));
  }
  std::fill_n(result.scores.data() + list.row * input_.k, place, 0.0f);
}

}  // namespace cpu
}  // namespace cragru
