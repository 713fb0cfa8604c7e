// The list of one user while it is made: candidates with bounds on their scores, and a threshold that the list's last score is
// known to reach. Candidates stand in ascending order of items throughout, so that among equal scores the first ones win.
#pragma once
#include <vector>

#include "../kernels.h"
#include "score.h"

namespace cragru {
namespace cpu {

// An entry whose bounds are equal holds its score.
struct UserList {
  ScoreCandidates at;
  size_t row;
  size_t count;
  size_t tidyAt;  // candidates at which the list is made shorter again
  size_t maskAt;  // first mask entry not yet passed
  float threshold;
};

// What one thread needs to finish lists.
struct ListScratch {
  std::vector<float> scores;
  std::vector<uint32_t> places, items, positions;
  std::vector<uint64_t> keys;
  size_t scored = 0;  // items scored exactly
};

class ListMaker {
 public:
  ListMaker(const ScoreTopK& input, const ScoreBlocks& blocks);

  // Candidates of one list; a list's arrays are ROOM_PADDING longer.
  size_t room() const { return room_; }
  static constexpr size_t ROOM_PADDING = 16;  // of vectors

  void begin(UserList& list, const ScoreCandidates& at, size_t row) const;
  // Hides the masked items, and those past the last, in values of items from `item` on. To be asked in ascending order.
  void hide(UserList& list, const ScorePass& pass, uint32_t* values, size_t item, size_t panels) const;
  // Lower bounds of different items are known: k of them reach the threshold from now on.
  void raise(UserList& list, const float* lows, size_t count) const;
  // Offers panels of values (ScorePass::take).
  void offer(UserList& list, const ScorePass& pass, const uint32_t* values, const void* base, size_t panels, const float* errors,
             const float* scales, size_t firstItem, ListScratch& scratch) const;
  void finish(UserList& list, TopK& result, ListScratch& scratch) const;
  // The list of a user of zeros: the first k items.
  void finishZeros(UserList& list, TopK& result) const;

 private:
  void tidy(UserList& list, ListScratch& scratch) const;
  void settle(UserList& list, ListScratch& scratch) const;
  void score(UserList& list, float least, ListScratch& scratch) const;

  const ScoreTopK& input_;
  const ScoreBlocks& blocks_;
  size_t step_, room_;
};

// Where one way of working gives way to another; the lists are the same whichever it is, so only tests change them.
struct ScoreLimits {
  // Packed items, and lists in the making, that exist at one time.
  size_t slabBytes = size_t(96) << 20;
  // Up to here packing would cost more than it saves, and all scores are made exactly.
  size_t fewUsers = 6;
  // Users after whom the pass is chosen again.
  size_t trialUsers = 128;
  // Of few users, items of one piece of work.
  size_t partItems = 1 << 16;
};
TopK scoreTopK(const ScoreTopK& input, Run& run, const ScoreLimits& limits);

}  // namespace cpu
}  // namespace cragru
