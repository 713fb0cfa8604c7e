// The parts of scoreTopK by themselves: the bounds of both candidate passes, which must hold for every pair, selection against
// sorting, and every way of cutting the work.
#include <algorithm>
#include <limits>

#include "../cpu/score_list.h"
#include "expect.h"

using namespace cragru;
using namespace cragru::test;

namespace {

std::vector<const cpu::Blocks*> everyBlocks() {
  const cpu::Blocks* const* list;
  const size_t count = cpu::supportedBlocks(&list);
  return {list, list + count};
}

float scoreOf(const float* user, const float* item, size_t dimension) {
  double s[8] = {}, t[4];
  for (size_t d = 0; d < dimension; d++) s[d % 8] += double(user[d]) * double(item[d]);
  for (size_t l = 0; l < 4; l++) t[l] = s[l] + s[l + 4];
  return float((t[0] + t[2]) + (t[1] + t[3]));
}

// Rows of very different sizes within and across rows.
std::vector<float> rowsOf(size_t rows, size_t dimension, int kind, uint32_t seed) {
  std::vector<float> values = numbers<float>(rows * dimension, seed, 2);
  Draws draws(seed + 1);
  for (size_t row = 0; row < rows; row++) {
    const double scale = kind == 1 ? std::pow(10.0, draws.number(36)) : kind == 2 && draws.below(5) == 0 ? 1e5 : kind == 3 ? 1e-25 : kind == 4 && draws.below(2) ? 0 : 1;
    for (size_t d = 0; d < dimension; d++) values[row * dimension + d] *= float(kind == 5 ? (d % 3 ? 1e-3 : 1e3) : scale);
    // Alternating signs of one size: sums that cancel, errors that add up.
    if (kind == 6) for (size_t d = 0; d < dimension; d++) values[row * dimension + d] = (d + row) % 2 ? 0.9961f : -0.9961f;
  }
  return values;
}

constexpr int KINDS = 7;

}  // namespace

TEST("score passes: no value is further from its score than the bound, no filter hides a score") {
  for (const cpu::Blocks* blocks : everyBlocks()) {
    const cpu::ScoreBlocks& score = blocks->score;
    for (const cpu::ScorePass* pass : {&score.floats, &score.integers}) {
      if (!pass->tile) continue;
      for (const size_t dimension : {1, 2, 3, 4, 7, 8, 63, 64, 65, 255, 256, 257, 600}) {
        for (int kind = 0; kind < KINDS * KINDS; kind++) {
          const size_t users = 7, items = score.panelItems - 1;
          const auto a = rowsOf(users, dimension, kind % KINDS, 1), b = rowsOf(items, dimension, kind / KINDS, 5);
          std::vector<uint8_t> packedUsers(pass->userBytes(dimension)), packedItems(pass->panelBytes(dimension));
          cpu::ScoreGroup group;
          double facts[4];
          const cpu::ScorePanels panels{facts, facts + 1, facts + 2, facts + 3};
          pass->packUsers(a.data(), users, dimension, packedUsers.data(), &group);
          pass->packPanel(b.data(), items, dimension, packedItems.data(), &panels, 0);
          std::vector<uint32_t> values(cpu::SCORE_GROUP * score.panelItems), filtered = values, bases(cpu::SCORE_GROUP), unused = bases;
          pass->tile(packedUsers.data(), &group, packedItems.data(), &panels, 0, dimension, nullptr, values.data(), score.panelItems, unused.data());
          float thresholds[cpu::SCORE_GROUP];
          for (size_t user = 0; user < cpu::SCORE_GROUP; user++) {
            thresholds[user] = user < users ? scoreOf(&a[user * dimension], &b[user * dimension], dimension) : std::numeric_limits<float>::infinity();
          }
          const uint32_t found = pass->tile(packedUsers.data(), &group, packedItems.data(), &panels, 0, dimension, thresholds, filtered.data(), score.panelItems, bases.data());
          expect(found == (1u << users) - 1, "each user's own threshold is reached, and no absent user's");
          for (size_t user = 0; user < users; user++) {
            float error, scale;
            score.boundPanels(&group, user, &panels, 0, 1, &error, &scale);
            for (size_t item = 0; item < items; item++) {
              const double wanted = scoreOf(&a[user * dimension], &b[item * dimension], dimension);
              const auto valueOf = [&](const std::vector<uint32_t>& from, const uint32_t* base) {
                const uint32_t* at = &from[user * score.panelItems + item];
                int32_t whole, wholeBase = 0;
                float real, realBase = 0;
                std::memcpy(&whole, at, 4), std::memcpy(&real, at, 4);
                if (base) std::memcpy(&wholeBase, base, 4), std::memcpy(&realBase, base, 4);
                return pass == &score.integers ? float(whole + wholeBase) * scale : real + realBase;
              };
              expect(std::fabs(double(valueOf(values, nullptr)) - wanted) <= error, std::string(blocks->name) + ": a value within its bound");
              expect(std::fabs(double(valueOf(filtered, &bases[user])) - wanted) <= error, std::string(blocks->name) + ": a filtered value within its bound");
              const int32_t sign = int32_t(filtered[user * score.panelItems + item]);
              expect(sign >= 0 || wanted < thresholds[user], std::string(blocks->name) + ": nothing at the threshold is filtered out");
            }
          }
        }
      }
    }
  }
}

TEST("score selection: k-th value, places and kept candidates against sorting") {
  for (const cpu::Blocks* blocks : everyBlocks()) {
    const cpu::ScoreBlocks& score = blocks->score;
    for (const size_t count : {1, 2, 15, 16, 17, 50, 333}) {
      for (int kind = 0; kind < 4; kind++) {
        std::vector<float> values = kind == 0 ? numbers<float>(count, 3) : kind == 1 ? wholes<float>(count, 4, 2) : std::vector<float>(count, -0.0f);
        if (kind == 3) for (size_t at = 0; at < count; at++) values[at] = at % 5 ? (at % 2 ? 1e38f : -1e-44f) : -std::numeric_limits<float>::infinity();
        std::vector<float> order = values;
        std::sort(order.begin(), order.end(), std::greater<float>());
        for (size_t k = 1; k <= count; k += 1 + count / 9) {
          for (const size_t slack : {0, 3}) {
            const float last = score.kthLargest(values.data(), count, k, slack);
            const size_t reaching = size_t(std::count_if(values.begin(), values.end(), [&](float value) { return value >= last; }));
            const size_t equals = size_t(std::count(values.begin(), values.end(), order[k - 1]));
            expect(reaching >= k && (reaching <= k + slack || reaching < k + equals), std::string(blocks->name) + ": k-th value");
            if (slack == 0) {
              expect(std::count_if(values.begin(), values.end(), [&](float value) { return value > order[k - 1]; }) < long(k) && last <= order[k - 1], "k-th value is no more than it");
            }
          }
        }
        std::vector<uint32_t> places(count + 64), items(count + 16);
        std::vector<float> scratch = values, low(count + 16), high(count + 16);
        scratch.resize(count + 64);
        score.rank(scratch.data(), count, places.data());
        for (size_t at = 0; at < count; at++) {
          size_t before = 0;
          for (size_t other = 0; other < count; other++) before += values[other] > values[at] || (values[other] == values[at] && other < at);
          expect(places[at] == before, std::string(blocks->name) + ": place");
          low[at] = values[at] - 1, high[at] = values[at], items[at] = uint32_t(at);
        }
        const float threshold = order[count / 2];
        const cpu::ScoreCandidates list{low.data(), high.data(), items.data()};
        const size_t kept = score.keepReaching(&list, count, threshold);
        size_t wanted = 0;
        for (size_t at = 0; at < count; at++) {
          if (values[at] < threshold) continue;
          expect(wanted < kept && items[wanted] == at && high[wanted] == values[at], std::string(blocks->name) + ": kept candidate");
          wanted++;
        }
        expect(wanted == kept, std::string(blocks->name) + ": number of kept candidates");
      }
    }
  }
}

TEST("score: one list however the work is cut") {
  for (const int kind : {0, 2, 4, 5}) {
    for (const size_t k : {3, 60}) {
      ScoreTopK input;
      input.dimension = 10;
      input.k = k;
      input.users = rowsOf(90, 10, 0, 1);
      input.items = rowsOf(9300, 10, kind, 2);
      input.masked = true;
      input.mask = sparse(90, 9300, 20, 3);
      check(input, plainRun());
      const TopK wanted = cpu::scoreTopK(input, plainRun());
      cpu::ScoreLimits slabs, trial, few, parts;
      slabs.slabBytes = 40000;
      trial.trialUsers = 16;
      few.fewUsers = 1000;
      parts.fewUsers = 1000, parts.partItems = 1;
      for (Run& run : everyRun()) {
        for (const cpu::ScoreLimits& limits : {slabs, trial, few, parts}) expect(same(cpu::scoreTopK(input, run, limits), wanted), "score, cut in another way");
      }
    }
  }
}
