// What the two candidate passes of scoreTopK share: shapes of the packed operands and the facts behind the error bound.
// A pass gives a value for each user and item that differs from the score by at most
//   reach(user) * spread(panel) + error(user) * norm(panel) + SCORE_TINY
// where norm is at least |v| for each item v of a panel, error(user) at least |u - u'| for the operand u' that the pass uses in
// place of u, reach at least |u'|, and spread covers both the items' own |v - v'| and all rounding. That is Cauchy-Schwarz:
// u v - u' v' = (u - u') v + u' (v - v').
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace cragru {
namespace cpu {

// Users of one tile.
enum { SCORE_GROUP = 8 };

// Covers what rounding loses to underflow. Scores that all lie below it are still right, only slower.
constexpr double SCORE_TINY = 0x1p-100;

struct ScoreGroup {
  double reach[SCORE_GROUP], error[SCORE_GROUP];
  // Value of one unit of the packed operand, and 1 / step; 1 in the float pass.
  double step[SCORE_GROUP], inverse[SCORE_GROUP];
};

// One entry a panel.
struct ScorePanels {
  double *spread, *norm, *step, *inverse;
};

// Bounds on the scores of items, and which items.
struct ScoreCandidates {
  float *low, *high;
  uint32_t* items;
};

// A candidate pass. Tiles are [SCORE_GROUP][panelItems] values of 32 bits: floats, or integers to be multiplied by both steps.
struct ScorePass {
  size_t (*userBytes)(size_t dimension);  // of a packed group
  size_t (*panelBytes)(size_t dimension);
  // rows [count <= SCORE_GROUP, dimension]; missing rows become zeros.
  void (*packUsers)(const float* rows, size_t count, size_t dimension, void* packed, ScoreGroup* facts);
  void (*packPanel)(const float* rows, size_t count, size_t dimension, void* packed, const ScorePanels* facts, size_t panel);
  // A group against a panel; user u's values go to values + u * stride. Without thresholds: plain values, always stored; the result
  // is 0. With thresholds: values less bases[user], where a value below 0 means a score below the user's threshold; the result has
  // a bit for each user with another one, and only where it is not 0 are values stored.
  uint32_t (*tile)(const void* users, const ScoreGroup* group, const void* packed, const ScorePanels* facts, size_t panel, size_t dimension,
                   const float* thresholds, void* values, size_t stride, void* bases);
  // The functions below leave out items with this value.
  uint32_t hidden;
  // Largest lower bounds of one user's items: maxima[(panel % folds) * panelItems + lane].
  void (*fold)(const void* values, size_t panels, const float* errors, const float* scales, size_t folds, float* maxima);
  // Appends the items whose upper bound reaches the threshold, while room for a whole panel is left; returns the panels done (not
  // always all) and moves *count. A few items just below may be among them. Up to 16 entries past the last one are scribbled on. `base` is what the tile took off, or null.
  size_t (*take)(const void* values, const void* base, size_t panels, const float* errors, const float* scales, float threshold,
                 uint32_t firstItem, const ScoreCandidates* to, size_t* count, size_t room);
};

struct ScoreBlocks {
  size_t panelItems;  // at most 64
  ScorePass floats;
  ScorePass integers;  // all null where the instruction set has no integer dot product
  // dot(user, items[numbers[at]]) rounded to float32; without numbers the items in turn.
  void (*scoreItems)(const float* user, const float* items, const uint32_t* numbers, size_t count, size_t dimension, float* scores);
  // The bound and the scale of one user's values for panels from .. from + panels - 1.
  void (*boundPanels)(const ScoreGroup* group, size_t user, const ScorePanels* facts, size_t from, size_t panels, float* errors, float* scales);
  // A number that at least k of the values reach, and at most k + slack unless values are equal. k <= count.
  float (*kthLargest)(const float* values, size_t count, size_t k, size_t slack);
  // Keeps the candidates whose upper bound reaches the threshold, in order; returns how many.
  size_t (*keepReaching)(const ScoreCandidates* list, size_t count, float threshold);
  // Positions and items of the candidates whose bounds differ and whose lower bound reaches `least`; returns how many. Writes up to
  // 16 entries past the last.
  size_t (*pickOpen)(const ScoreCandidates* list, size_t count, float least, uint32_t* positions, uint32_t* items);
  // The lowest score among candidates whose bounds are equal; Infinity without any.
  float (*leastSettled)(const ScoreCandidates* list, size_t count);
  // Place of each score: higher first, equal ones in order. Writes up to 64 entries past the last of both arrays.
  void (*rank)(float* scores, size_t count, uint32_t* places);
};

}  // namespace cpu
}  // namespace cragru
