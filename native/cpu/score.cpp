// Scores, mask and top-k in one pass. Items are packed once into panels; blocks of users walk over them with a candidate pass
// (score.h): values with a proved error bound, kept where they may still belong to the list. What is left at the end, little more
// than k items a user, is scored exactly and put in order, so the lists are those of the contract whichever pass ran. The score
// matrix never exists: a block keeps one chunk of values until it knows a first threshold; after that values are compared in
// registers.
#include <algorithm>
#include <limits>
#include <memory>
#include <mutex>

#include "../run.h"
#include "score_list.h"

namespace cragru {
namespace cpu {

namespace {

constexpr size_t BLOCK_USERS = 64;
// Users and items whose values are kept while thresholds are unknown: 256 KB.
constexpr size_t OPENING_USERS = 16;
constexpr size_t OPENING_ITEMS = 4096;
// The share of the items that the integers' bound may leave to exact scoring before the floats take over.
constexpr double TRIAL_SHARE = 1.0 / 12;
// Products of norms up to here keep the passes inside the finite numbers.
constexpr double SAFE_PRODUCT = 0x1p120;

// Memory on cache lines, not cleared; kept when it is large enough.
class Lines {
 public:
  void reserve(size_t bytes) {
    if (bytes <= bytes_) return;
    memory_.reset(new uint8_t[bytes + 64]);
    bytes_ = bytes;
  }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(memory_.get()) + 63) & ~uintptr_t(63));
  }

 private:
  std::unique_ptr<uint8_t[]> memory_;
  size_t bytes_ = 0;
};

// Users that walk over the items together.
struct Block {
  size_t from = 0, to = 0;
  Lines users;  // packed groups
  std::vector<ScoreGroup> groups;
  std::vector<UserList> lists;
  std::vector<float> thresholds;
  std::vector<float> bounds;
  std::vector<uint32_t> items;
  bool safe = true;
};

// What one thread needs, kept between blocks.
struct Workspace {
  Block block, merged;
  Lines values;
  std::vector<float> errors, scales, maxima;
  ListScratch scratch;
};

// Packed items.
struct Slab {
  size_t firstPanel = 0, lastPanel = 0;
  const ScorePass* pass = nullptr;
  Lines panels;
  std::vector<double> facts;
  ScorePanels at{};
  double norm = 0;
};

class Scorer {
 public:
  Scorer(const ScoreTopK& input, Run& run, const ScoreLimits& limits) : input_(input), run_(run), limits_(limits), blocks_(run.blocks.score), maker_(input, run.blocks.score) {
    result_.items.assign(input.userRows * input.k, NO_ITEM);
    result_.scores.assign(input.userRows * input.k, -std::numeric_limits<float>::infinity());
    panels_ = (input.itemCount + blocks_.panelItems - 1) / blocks_.panelItems;
    openingPanels_ = std::min(panels_, OPENING_ITEMS / blocks_.panelItems);
    // The n-th chunk of a catalogue holds about k / n candidates.
    openingEnd_ = openingPanels_ * std::max<size_t>(1, input.k / 5);
    // Each panel of the opening is a lane of maxima: enough of them that the k-th largest maximum is close to the k-th score.
    folds_ = std::min(openingPanels_, 5 * input.k / blocks_.panelItems + 2);
  }

  TopK scoreAll() {
    if (input_.userRows <= limits_.fewUsers) {
      scoreFew();
      return std::move(result_);
    }
    const ScorePass* pass = blocks_.integers.tile ? &blocks_.integers : &blocks_.floats;
    size_t from = 0;
    if (pass == &blocks_.integers && input_.userRows >= 4 * limits_.trialUsers) {
      scoreUsers(0, from = limits_.trialUsers, pass);
      const double most = double(input_.k) + TRIAL_SHARE * double(input_.itemCount);
      if (double(scored_.load()) > most * double(limits_.trialUsers)) pass = &blocks_.floats;
    }
    const size_t userBytes = (maker_.room() + ListMaker::ROOM_PADDING) * 12;
    const size_t most = std::max<size_t>(1, limits_.slabBytes / userBytes / BLOCK_USERS) * BLOCK_USERS;
    while (from < input_.userRows) {
      const size_t to = slabCount(*pass) > 1 ? std::min(input_.userRows, from + most) : input_.userRows;
      scoreUsers(from, to, pass);
      from = to;
    }
    return std::move(result_);
  }

 private:
  size_t slabPanels(const ScorePass& pass) const { return std::max<size_t>(1, limits_.slabBytes / pass.panelBytes(input_.dimension)); }
  size_t slabCount(const ScorePass& pass) const { return (panels_ + slabPanels(pass) - 1) / slabPanels(pass); }

  // All scores exactly, a piece of work for each user and part of the items.
  void scoreFew() {
    const size_t partPanels = std::max<size_t>(1, limits_.partItems / OPENING_ITEMS) * openingPanels_;
    const size_t parts = (panels_ + partPanels - 1) / partPanels;
    std::vector<Block> pieces(input_.userRows * parts);
    std::atomic<size_t> done{0};
    run_.parallel(pieces.size(), [&](size_t chunk) {
      const size_t user = chunk / parts, panel = chunk % parts * partPanels;
      std::unique_ptr<Workspace> space = workspace();
      begin(pieces[chunk], user, user + 1, nullptr);
      walkExactly(pieces[chunk], panel, std::min(panels_, panel + partPanels), *space);
      run_.progress(double(done.fetch_add(1) + 1) / double(parts), double(input_.userRows));
      putBack(std::move(space));
    });
    run_.parallel(input_.userRows, [&](size_t user) {
      std::unique_ptr<Workspace> space = workspace();
      maker_.finish(merge(&pieces[user * parts], parts, space->merged), result_, space->scratch);
      putBack(std::move(space));
    });
  }

  // One list of those of a user's parts, which stand in the order of items.
  UserList& merge(Block* pieces, size_t parts, Block& merged) {
    size_t count = 0;
    for (size_t part = 0; part < parts; part++) count += pieces[part].lists[0].count;
    merged.bounds.resize(2 * (count + ListMaker::ROOM_PADDING));
    merged.items.resize(count + ListMaker::ROOM_PADDING);
    merged.lists.resize(1);
    UserList& list = merged.lists[0];
    maker_.begin(list, {merged.bounds.data(), merged.bounds.data() + count + ListMaker::ROOM_PADDING, merged.items.data()}, pieces[0].from);
    for (size_t part = 0; part < parts; part++) {
      const UserList& own = pieces[part].lists[0];
      std::copy_n(own.at.low, own.count, list.at.low + list.count);
      std::copy_n(own.at.high, own.count, list.at.high + list.count);
      std::copy_n(own.at.items, own.count, list.at.items + list.count);
      list.count += own.count;
      list.threshold = std::max(list.threshold, own.threshold);
    }
    return list;
  }

  void scoreUsers(size_t from, size_t to, const ScorePass* pass) {
    const size_t blockUsers = std::min(BLOCK_USERS, std::max<size_t>(SCORE_GROUP, (to - from) / 16 / SCORE_GROUP * SCORE_GROUP));
    const size_t blockCount = (to - from + blockUsers - 1) / blockUsers;
    const size_t slabs = slabCount(*pass);
    std::vector<Block> kept(slabs > 1 ? blockCount : 0);
    for (size_t slab = 0; slab < slabs; slab++) {
      pack(*pass, slab * slabPanels(*pass));
      std::atomic<size_t> done{0};
      run_.parallel(blockCount, [&](size_t chunk) {
        std::unique_ptr<Workspace> space = workspace();
        Block& block = slabs > 1 ? kept[chunk] : space->block;
        if (slab == 0) begin(block, from + chunk * blockUsers, std::min(to, from + (chunk + 1) * blockUsers), pass);
        if (safe(block)) walk(block, *pass, *space);
        else walkExactly(block, slab_.firstPanel, slab_.lastPanel, *space);
        if (slab + 1 == slabs) finish(block, *space);
        const double users = double(done.fetch_add(block.to - block.from) + block.to - block.from);
        run_.progress(double(from) + (double(slab) * double(to - from) + users) / double(slabs), double(input_.userRows));
        scored_.fetch_add(space->scratch.scored);
        space->scratch.scored = 0;
        putBack(std::move(space));
      });
    }
  }

  void pack(const ScorePass& pass, size_t firstPanel) {
    if (slab_.pass == &pass && slab_.firstPanel == firstPanel) return;
    const size_t bytes = pass.panelBytes(input_.dimension);
    slab_.firstPanel = firstPanel;
    slab_.lastPanel = std::min(panels_, firstPanel + slabPanels(pass));
    slab_.pass = &pass;
    const size_t count = slab_.lastPanel - firstPanel;
    slab_.panels.reserve(count * bytes);
    slab_.facts.resize(count * 4);
    slab_.at = {slab_.facts.data(), slab_.facts.data() + count, slab_.facts.data() + 2 * count, slab_.facts.data() + 3 * count};
    run_.parallel((count + 15) / 16, [&](size_t chunk) {
      for (size_t panel = chunk * 16; panel < std::min(count, (chunk + 1) * 16); panel++) {
        const size_t item = (firstPanel + panel) * blocks_.panelItems;
        pass.packPanel(input_.items.data() + item * input_.dimension, std::min(blocks_.panelItems, input_.itemCount - item), input_.dimension,
                       slab_.panels.as<uint8_t>() + panel * bytes, &slab_.at, panel);
      }
    });
    slab_.norm = *std::max_element(slab_.at.norm, slab_.at.norm + count);
  }

  void begin(Block& block, size_t from, size_t to, const ScorePass* pass) {
    const size_t count = to - from, groups = (count + SCORE_GROUP - 1) / SCORE_GROUP, length = maker_.room() + ListMaker::ROOM_PADDING;
    block.from = from;
    block.to = to;
    block.lists.resize(count);
    block.bounds.resize(2 * count * length);
    block.items.resize(count * length);
    for (size_t user = 0; user < count; user++) {
      float* bounds = block.bounds.data() + 2 * user * length;
      maker_.begin(block.lists[user], {bounds, bounds + length, block.items.data() + user * length}, from + user);
    }
    if (!pass) return;
    block.groups.resize(groups);
    block.users.reserve(groups * pass->userBytes(input_.dimension));
    block.thresholds.assign(groups * SCORE_GROUP, std::numeric_limits<float>::infinity());
    for (size_t group = 0; group < groups; group++) {
      const size_t user = group * SCORE_GROUP;
      pass->packUsers(input_.users.data() + (from + user) * input_.dimension, std::min<size_t>(SCORE_GROUP, count - user), input_.dimension,
                      block.users.as<uint8_t>() + group * pass->userBytes(input_.dimension), &block.groups[group]);
    }
    for (size_t user = 0; user < count; user++) {
      if (reach(block, user) > 0) block.thresholds[user] = -std::numeric_limits<float>::infinity();
    }
  }

  static void prefetch(const uint8_t* from, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(from + at, 0, 2);
  }

  static double reach(const Block& block, size_t user) { return block.groups[user / SCORE_GROUP].reach[user % SCORE_GROUP]; }

  bool safe(const Block& block) const {
    for (size_t user = 0; user < block.lists.size(); user++) {
      if (!(reach(block, user) * slab_.norm < SAFE_PRODUCT)) return false;
    }
    return true;
  }

  void walk(Block& block, const ScorePass& pass, Workspace& space) {
    size_t panel = 0;
    const size_t panels = slab_.lastPanel - slab_.firstPanel;
    while (panel < panels && slab_.firstPanel + panel < openingEnd_) {
      const size_t end = std::min(panels, panel + openingPanels_);
      for (size_t user = 0; user < block.lists.size(); user += OPENING_USERS) open(block, pass, user, panel, end, space);
      panel = end;
    }
    const size_t bytes = pass.panelBytes(input_.dimension), userBytes = pass.userBytes(input_.dimension);
    space.values.reserve(SCORE_GROUP * blocks_.panelItems * sizeof(float));
    for (; panel < panels; panel++) {
      run_.check();
      const size_t firstItem = (slab_.firstPanel + panel) * blocks_.panelItems;
      const size_t groups = block.groups.size(), slice = (bytes + groups - 1) / groups;
      for (size_t group = 0; group < groups; group++) {
        // The next panel comes from far: each group asks for its share of it.
        if (panel + 1 < panels) prefetch(slab_.panels.as<uint8_t>() + (panel + 1) * bytes + group * slice, slice);
        float* thresholds = block.thresholds.data() + group * SCORE_GROUP;
        uint32_t bases[SCORE_GROUP];
        uint32_t found = pass.tile(block.users.as<uint8_t>() + group * userBytes, &block.groups[group], slab_.panels.as<uint8_t>() + panel * bytes, &slab_.at, panel,
                                   input_.dimension, thresholds, space.values.as<uint32_t>(), blocks_.panelItems, bases);
        for (; found; found &= found - 1) {
          const size_t user = size_t(__builtin_ctz(found));
          UserList& list = block.lists[group * SCORE_GROUP + user];
          float error, scale;
          blocks_.boundPanels(&block.groups[group], user, &slab_.at, panel, 1, &error, &scale);
          uint32_t* values = space.values.as<uint32_t>() + user * blocks_.panelItems;
          maker_.hide(list, pass, values, firstItem, 1);
          maker_.offer(list, pass, values, bases + user, 1, &error, &scale, firstItem, space.scratch);
          thresholds[user] = list.threshold;
        }
      }
    }
  }

  // Panels for OPENING_USERS users, all of whose values are kept for a while: until maxima over few of them give each user a
  // threshold, and because many candidates are found faster in a row of values than tile by tile.
  void open(Block& block, const ScorePass& pass, size_t firstUser, size_t from, size_t to, Workspace& space) {
    const size_t users = std::min(OPENING_USERS, block.lists.size() - firstUser), groups = (users + SCORE_GROUP - 1) / SCORE_GROUP;
    const size_t panelItems = blocks_.panelItems, stride = openingPanels_ * panelItems;
    const size_t bytes = pass.panelBytes(input_.dimension), userBytes = pass.userBytes(input_.dimension);
    space.values.reserve(groups * SCORE_GROUP * stride * sizeof(float));
    reserve(space);
    for (size_t panel = from; panel < to; panel++) {
      if (panel % 16 == 0) run_.check();
      for (size_t group = 0; group < groups; group++) {
        const size_t at = firstUser / SCORE_GROUP + group;
        uint32_t bases[SCORE_GROUP];
        pass.tile(block.users.as<uint8_t>() + at * userBytes, &block.groups[at], slab_.panels.as<uint8_t>() + panel * bytes, &slab_.at, panel, input_.dimension,
                  nullptr, space.values.as<uint32_t>() + group * SCORE_GROUP * stride + (panel - from) * panelItems, stride, bases);
      }
    }
    for (size_t user = 0; user < users; user++) {
      const size_t at = firstUser + user;
      if (reach(block, at) == 0) continue;
      blocks_.boundPanels(&block.groups[at / SCORE_GROUP], at % SCORE_GROUP, &slab_.at, from, to - from, space.errors.data(), space.scales.data());
      offerOpening(block.lists[at], pass, space.values.as<uint32_t>() + user * stride, to - from, (slab_.firstPanel + from) * panelItems, space);
      block.thresholds[at] = block.lists[at].threshold;
    }
  }

  void reserve(Workspace& space) const {
    space.errors.resize(openingPanels_);
    space.scales.resize(openingPanels_);
    space.maxima.resize(folds_ * blocks_.panelItems);
  }

  void offerOpening(UserList& list, const ScorePass& pass, uint32_t* values, size_t panels, size_t firstItem, Workspace& space) {
    maker_.hide(list, pass, values, firstItem, panels);
    if (list.count < input_.k) {
      const size_t folds = std::min(folds_, panels);
      pass.fold(values, panels, space.errors.data(), space.scales.data(), folds, space.maxima.data());
      maker_.raise(list, space.maxima.data(), folds * blocks_.panelItems);
    }
    maker_.offer(list, pass, values, nullptr, panels, space.errors.data(), space.scales.data(), firstItem, space.scratch);
  }

  // The scores themselves as values, with bounds of 0: for few users, and where a pass could leave the finite numbers.
  void walkExactly(Block& block, size_t firstPanel, size_t lastPanel, Workspace& space) {
    const size_t panelItems = blocks_.panelItems;
    reserve(space);
    std::fill(space.errors.begin(), space.errors.end(), 0.0f);
    std::fill(space.scales.begin(), space.scales.end(), 1.0f);
    space.values.reserve(openingPanels_ * panelItems * sizeof(float));
    for (size_t panel = firstPanel; panel < lastPanel; panel += openingPanels_) {
      const size_t panels = std::min(openingPanels_, lastPanel - panel), firstItem = panel * panelItems;
      for (size_t user = 0; user < block.lists.size(); user++) {
        UserList& list = block.lists[user];
        if (!block.groups.empty() && reach(block, user) == 0) continue;
        run_.check();
        blocks_.scoreItems(input_.users.data() + list.row * input_.dimension, input_.items.data() + firstItem * input_.dimension, nullptr,
                           std::min(panels * panelItems, input_.itemCount - firstItem), input_.dimension, space.values.as<float>());
        offerOpening(list, blocks_.floats, space.values.as<uint32_t>(), panels, firstItem, space);
      }
    }
  }

  void finish(Block& block, Workspace& space) {
    for (size_t user = 0; user < block.lists.size(); user++) {
      if (!block.groups.empty() && reach(block, user) == 0) maker_.finishZeros(block.lists[user], result_);
      else maker_.finish(block.lists[user], result_, space.scratch);
    }
  }

  std::unique_ptr<Workspace> workspace() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (spaces_.empty()) return std::make_unique<Workspace>();
    std::unique_ptr<Workspace> space = std::move(spaces_.back());
    spaces_.pop_back();
    return space;
  }

  void putBack(std::unique_ptr<Workspace> space) {
    std::lock_guard<std::mutex> lock(mutex_);
    spaces_.push_back(std::move(space));
  }

  const ScoreTopK& input_;
  Run& run_;
  const ScoreLimits limits_;
  const ScoreBlocks& blocks_;
  ListMaker maker_;
  TopK result_;
  size_t panels_, openingPanels_, openingEnd_, folds_;
  Slab slab_;
  std::atomic<size_t> scored_{0};
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> spaces_;
};

}  // namespace

TopK scoreTopK(const ScoreTopK& input, Run& run) { return scoreTopK(input, run, ScoreLimits()); }
TopK scoreTopK(const ScoreTopK& input, Run& run, const ScoreLimits& limits) { return Scorer(input, run, limits).scoreAll(); }

}  // namespace cpu
}  // namespace cragru
