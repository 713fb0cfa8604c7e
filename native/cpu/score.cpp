// Scores, mask and top-k in one pass. Items are packed once into panels of doubles; a block of users walks over the panels
// and keeps, for each user, a heap of the best k whose root is the threshold, so nearly all scores cost one comparison and never
// leave the first-level cache. Long catalogues are packed slab by slab (32 MB). Items come in ascending order: an equal score
// never replaces an entry.
#include <algorithm>
#include <limits>

#include "../run.h"

namespace cragru {
namespace cpu {

namespace {

constexpr size_t BLOCK_USERS = 32;
constexpr size_t SLAB_VALUES = size_t(1) << 22;

bool worse(float score, uint32_t item, float otherScore, uint32_t otherItem) {
  return score < otherScore || (score == otherScore && item > otherItem);
}

// A heap over two parallel arrays, worst entry first.
struct Heap {
  uint32_t* items;
  float* scores;

  void siftDown(size_t at, size_t count) {
    const uint32_t item = items[at];
    const float score = scores[at];
    for (;;) {
      size_t child = 2 * at + 1;
      if (child >= count) break;
      if (child + 1 < count && worse(scores[child + 1], items[child + 1], scores[child], items[child])) child++;
      if (!worse(scores[child], items[child], score, item)) break;
      items[at] = items[child];
      scores[at] = scores[child];
      at = child;
    }
    items[at] = item;
    scores[at] = score;
  }

  void build(size_t count) {
    for (size_t at = count / 2; at-- > 0;) siftDown(at, count);
  }

  // Best first: the worst entry moves to the end, again and again.
  void sort(size_t count) {
    for (; count > 1; count--) {
      std::swap(items[0], items[count - 1]);
      std::swap(scores[0], scores[count - 1]);
      siftDown(0, count - 1);
    }
  }
};

// What one call keeps per user between slabs.
struct Kept {
  std::vector<size_t> counts;    // entries in the heap
  std::vector<size_t> maskNext;  // first mask entry not yet passed
};

class Scorer {
 public:
  Scorer(const ScoreTopK& input, Run& run) : input_(input), run_(run), blocks_(run.blocks) {
    result_.items.assign(input.userRows * input.k, NO_ITEM);
    result_.scores.assign(input.userRows * input.k, -std::numeric_limits<float>::infinity());
    kept_.counts.assign(input.userRows, 0);
    kept_.maskNext.assign(input.userRows, 0);
    for (size_t row = 0; input.masked && row < input.userRows; row++) kept_.maskNext[row] = input.mask.offsets[row];
  }

  TopK scoreAll() {
    const size_t panelItems = blocks_.panelItems;
    const size_t slabPanels = std::max<size_t>(1, SLAB_VALUES / (input_.dimension * panelItems));
    const size_t panels = (input_.itemCount + panelItems - 1) / panelItems;
    panels_.resize(std::min(slabPanels, panels) * panelItems * input_.dimension);
    for (size_t first = 0; first < panels; first += slabPanels) scoreSlab(first, std::min(panels, first + slabPanels), panels);
    run_.parallel((input_.userRows + 255) / 256, [&](size_t chunk) {
      const size_t end = std::min(input_.userRows, (chunk + 1) * 256);
      for (size_t row = chunk * 256; row < end; row++) {
        Heap heap = heapOf(row);
        if (kept_.counts[row] < input_.k) heap.build(kept_.counts[row]);
        heap.sort(kept_.counts[row]);
      }
    });
    return std::move(result_);
  }

 private:
  Heap heapOf(size_t row) { return {result_.items.data() + row * input_.k, result_.scores.data() + row * input_.k}; }

  void scoreSlab(size_t firstPanel, size_t lastPanel, size_t allPanels) {
    const size_t panelItems = blocks_.panelItems, dimension = input_.dimension, panelSize = panelItems * dimension;
    run_.parallel((lastPanel - firstPanel + 15) / 16, [&](size_t chunk) {
      const size_t end = std::min(lastPanel, firstPanel + (chunk + 1) * 16);
      for (size_t panel = firstPanel + chunk * 16; panel < end; panel++) {
        const size_t item = panel * panelItems;
        blocks_.packPanel(input_.items.data() + item * dimension, std::min(panelItems, input_.itemCount - item), dimension,
                          panels_.data() + (panel - firstPanel) * panelSize);
      }
    });
    std::atomic<size_t> done{0};
    run_.parallel((input_.userRows + BLOCK_USERS - 1) / BLOCK_USERS, [&](size_t chunk) {
      const size_t from = chunk * BLOCK_USERS, to = std::min(input_.userRows, from + BLOCK_USERS);
      scoreBlock(from, to, firstPanel, lastPanel);
      const double users = double(done.fetch_add(to - from) + to - from);
      run_.progress((double(firstPanel) * double(input_.userRows) + users * double(lastPanel - firstPanel)) / double(allPanels), double(input_.userRows));
    });
  }

  void scoreBlock(size_t from, size_t to, size_t firstPanel, size_t lastPanel) {
    const size_t panelItems = blocks_.panelItems, dimension = input_.dimension;
    // Missing users of the last group stay zero and are not looked at.
    std::vector<double> users((to - from + SCORE_USERS - 1) / SCORE_USERS * SCORE_USERS * dimension, 0.0);
    for (size_t at = 0; at < (to - from) * dimension; at++) users[at] = input_.users[from * dimension + at];
    std::vector<float> scores(SCORE_USERS * panelItems);
    std::vector<float> thresholds(users.size() / dimension, -std::numeric_limits<float>::infinity());
    for (size_t row = from; row < to; row++) {
      if (kept_.counts[row] == input_.k) thresholds[row - from] = heapOf(row).scores[0];
    }
    for (size_t panel = firstPanel; panel < lastPanel; panel++) {
      run_.check();
      const size_t firstItem = panel * panelItems;
      const size_t present = std::min(panelItems, input_.itemCount - firstItem);
      const uint64_t everyone = present == 64 ? ~uint64_t(0) : (uint64_t(1) << present) - 1;
      const double* packed = panels_.data() + (panel - firstPanel) * panelItems * dimension;
      for (size_t group = from; group < to; group += SCORE_USERS) {
        uint64_t above[SCORE_USERS];
        blocks_.scorePanel(users.data() + (group - from) * dimension, packed, dimension, thresholds.data() + (group - from), scores.data(), above);
        const size_t end = std::min(to, group + SCORE_USERS);
        for (size_t row = group; row < end; row++) {
          // A heap that is not full takes everything, an infinitely bad score too.
          const uint64_t wanted = (kept_.counts[row] < input_.k ? ~uint64_t(0) : above[row - group]) & everyone;
          if (wanted) thresholds[row - from] = take(row, wanted, firstItem, scores.data() + (row - group) * panelItems);
        }
      }
    }
  }

  // Offers the marked items of one panel to a user's heap; returns the new threshold.
  float take(size_t row, uint64_t wanted, size_t firstItem, const float* scores) {
    Heap heap = heapOf(row);
    size_t count = kept_.counts[row];
    size_t maskAt = kept_.maskNext[row];
    const size_t maskEnd = input_.masked ? input_.mask.offsets[row + 1] : 0;
    for (; wanted; wanted &= wanted - 1) {
      const size_t lane = size_t(__builtin_ctzll(wanted));
      const uint32_t item = uint32_t(firstItem + lane);
      while (maskAt < maskEnd && input_.mask.columns[maskAt] < item) maskAt++;
      if (maskAt < maskEnd && input_.mask.columns[maskAt] == item) continue;
      const float score = scores[lane];
      if (count < input_.k) {
        heap.items[count] = item;
        heap.scores[count] = score;
        if (++count == input_.k) heap.build(count);
      } else if (score > heap.scores[0]) {
        heap.items[0] = item;
        heap.scores[0] = score;
        heap.siftDown(0, count);
      }
    }
    kept_.counts[row] = count;
    kept_.maskNext[row] = maskAt;
    return count == input_.k ? heap.scores[0] : -std::numeric_limits<float>::infinity();
  }

  const ScoreTopK& input_;
  Run& run_;
  const Blocks& blocks_;
  TopK result_;
  Kept kept_;
  std::vector<double> panels_;
};

}  // namespace

TopK scoreTopK(const ScoreTopK& input, Run& run) { return Scorer(input, run).scoreAll(); }

}  // namespace cpu
}  // namespace cragru
