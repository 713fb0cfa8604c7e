// Exact multiple-choice knapsack by dynamic programming. A warp solves a small instance with both rows of the table in shared
// memory; instances with many weights go through global memory, one category a launch, a thread a weight. Levels ascend and a later
// one wins only when strictly better, as in src/native/reference/knapsack.ts.
#include <algorithm>
#include <cmath>
#include <vector>

#include "calls.h"
#include "numeric.h"

namespace cragru {
namespace cuda {

namespace {

constexpr unsigned WARPS = 4, MOST_WIDTH = 1024;
constexpr int TOGETHER = 4;  // weights of a lane side by side
constexpr uint64_t MOST_STEPS = uint64_t(1) << 26;
constexpr uint64_t LAUNCH_STEPS = uint64_t(1) << 34;
constexpr size_t PICK_BYTES = size_t(1) << 29;

struct Instance {
  uint32_t number, firstCategory, categories, width;  // width = capacity + 1
  uint64_t picks;                                      // start of [categories, width] in the picks
  uint64_t rows;                                       // start of [2, width] in the rows (large instances)
};

struct Table {
  const Instance* instances;
  const uint64_t* starts;  // [all categories + 1], where the values of a category start
  const double* values;
  uint16_t* picks;
  uint32_t* choices;
  double* totals;
  uint32_t* overflow;  // lowest instance whose total is not finite
  int atMost;
};

// From the last category backwards.
__device__ void backtrack(const Table& table, const Instance& instance, double total) {
  if (!(fabs(total) < INFINITY)) {
    atomicMin(table.overflow, instance.number);
    return;
  }
  table.totals[instance.number] = total;
  uint32_t left = instance.width - 1;
  for (uint32_t category = instance.categories; category-- > 0;) {
    const uint32_t level = table.picks[instance.picks + uint64_t(category) * instance.width + left];
    table.choices[instance.firstCategory + category] = level;
    left -= level;
  }
}

// A warp an instance. pitch: doubles of one row in shared memory.
__global__ void __launch_bounds__(WARPS * 32) solveSmall(Table table, unsigned count, unsigned pitch) {
  CRAGRU_SHARED(memory);
  const unsigned warp = threadIdx.x / 32, lane = laneOf(), at = blockIdx.x * WARPS + warp;
  if (at >= count) return;
  const Instance instance = table.instances[at];
  double* best = reinterpret_cast<double*>(memory) + size_t(warp) * 2 * pitch;
  double* next = best + pitch;
  const unsigned width = instance.width;
  for (unsigned w = lane; w < width; w += 32) best[w] = w == 0 || table.atMost ? 0.0 : -INFINITY;
  __syncwarp();
  for (uint32_t category = 0; category < instance.categories; category++) {
    const uint64_t start = table.starts[instance.firstCategory + category];
    const unsigned levels = unsigned(table.starts[instance.firstCategory + category + 1] - start);
    const double* values = table.values + start;
    uint16_t* picks = table.picks + instance.picks + uint64_t(category) * width;
    for (unsigned first = 0; first < width; first += 32 * TOGETHER) {
      double most[TOGETHER];
      unsigned pick[TOGETHER];
#pragma unroll
      for (int t = 0; t < TOGETHER; t++) {
        most[t] = -INFINITY;
        pick[t] = 0;
      }
      const unsigned own = first + lane, last = least(levels, least(width - 1, first + 32 * TOGETHER - 1));
      for (unsigned x = 1; x <= last; x++) {
        const double value = values[x - 1];
#pragma unroll
        for (int t = 0; t < TOGETHER; t++) {
          const unsigned w = own + 32 * t;
          if (w >= x && w < width) {
            const double sum = best[w - x] + value;
            if (sum > most[t]) {
              most[t] = sum;
              pick[t] = x;
            }
          }
        }
      }
#pragma unroll
      for (int t = 0; t < TOGETHER; t++) {
        const unsigned w = own + 32 * t;
        if (w < width) {
          next[w] = most[t];
          picks[w] = uint16_t(pick[t]);
        }
      }
    }
    __syncwarp();
    double* const other = best;
    best = next;
    next = other;
  }
  if (lane == 0) backtrack(table, instance, best[width - 1]);
}

__global__ void startLarge(Table table, double* rows) {
  const Instance instance = table.instances[blockIdx.y];
  const size_t w = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (w < instance.width) rows[instance.rows + w] = w == 0 || table.atMost ? 0.0 : -INFINITY;
}

// Category number `category` of every large instance that has it, weights [from, from + threads of the grid).
__global__ void stepLarge(Table table, double* rows, uint32_t category, size_t from) {
  const Instance instance = table.instances[blockIdx.y];
  const size_t w = from + size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (category >= instance.categories || w >= instance.width) return;
  const double* best = rows + instance.rows + (category % 2) * uint64_t(instance.width);
  double* next = rows + instance.rows + (1 - category % 2) * uint64_t(instance.width);
  const uint64_t start = table.starts[instance.firstCategory + category];
  const uint64_t levels = table.starts[instance.firstCategory + category + 1] - start;
  const unsigned last = unsigned(levels < w ? levels : w);
  double most = -INFINITY;
  unsigned pick = 0;
  for (unsigned x = 1; x <= last; x++) {
    const double sum = best[w - x] + table.values[start + x - 1];
    if (sum > most) {
      most = sum;
      pick = x;
    }
  }
  next[w] = most;
  table.picks[instance.picks + uint64_t(category) * instance.width + w] = uint16_t(pick);
}

__global__ void endLarge(Table table, const double* rows, unsigned count) {
  const unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= count) return;
  const Instance instance = table.instances[at];
  backtrack(table, instance, rows[instance.rows + (instance.categories % 2) * uint64_t(instance.width) + instance.width - 1]);
}

// How the instances are cut into launches.
struct Plan {
  std::vector<Instance> instances;  // small ones by width class, then large ones
  std::vector<uint64_t> starts;
  std::vector<uint64_t> steps;  // of each instance
  size_t small = 0;
};

unsigned classOf(unsigned width) {
  unsigned pitch = 64;
  while (pitch < width) pitch *= 2;
  return pitch;
}

Plan makePlan(const CragruCudaKnapsack& input) {
  const size_t count = input.capacities.count, categories = input.levels.count;
  Plan plan;
  plan.starts.resize(categories + 1);
  for (size_t category = 0; category < categories; category++) plan.starts[category + 1] = plan.starts[category] + input.levels.data[category];
  std::vector<uint64_t> steps(count);
  std::vector<uint32_t> order(count);
  for (size_t number = 0; number < count; number++) {
    const uint64_t width = uint64_t(input.capacities.data[number]) + 1;
    for (uint32_t category = input.categoryOffsets.data[number]; category < input.categoryOffsets.data[number + 1]; category++) {
      steps[number] += width * std::min<uint64_t>(width, input.levels.data[category]);
    }
    order[number] = uint32_t(number);
  }
  const auto isSmall = [&](uint32_t number) { return input.capacities.data[number] < MOST_WIDTH && steps[number] <= MOST_STEPS; };
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const bool smallA = isSmall(a), smallB = isSmall(b);
    if (smallA != smallB) return smallA;
    return smallA && classOf(input.capacities.data[a] + 1) < classOf(input.capacities.data[b] + 1);
  });
  for (const uint32_t number : order) {
    const uint32_t first = input.categoryOffsets.data[number];
    plan.instances.push_back({number, first, input.categoryOffsets.data[number + 1] - first, input.capacities.data[number] + 1, 0, 0});
    plan.steps.push_back(steps[number]);
    plan.small += isSmall(number) ? 1 : 0;
  }
  return plan;
}

}  // namespace

void knapsack(Work& work, const CragruCudaKnapsack& input) {
  const size_t count = input.capacities.count;
  if (count == 0) return;
  Plan plan = makePlan(input);
  const Input<double> values(work, input.values);
  Buffer<uint64_t> starts(work, plan.starts.size());
  Buffer<Instance> instances(work, count);
  Buffer<uint32_t> choices(work, input.levels.count), overflow(work, 1);
  Buffer<double> totals(work, count);
  work.upload(starts.data(), plan.starts.data(), plan.starts.size());
  work.fill(overflow.data(), 0xff, 1);
  for (size_t from = 0; from < count;) {
    // As many as share a class, fit into the memory for picks and make a short launch.
    const bool small = from < plan.small;
    const unsigned pitch = classOf(plan.instances[from].width);
    uint64_t picks = 0, rows = 0, steps = 0;
    size_t widest = 0, deepest = 0, to = from;
    for (; to < count && (small ? to < plan.small && classOf(plan.instances[to].width) == pitch : to - from < 32768); to++) {
      Instance& instance = plan.instances[to];
      const uint64_t size = uint64_t(instance.categories) * instance.width;
      if (to > from && ((picks + size) * 2 + (rows + 2 * uint64_t(instance.width)) * 8 > PICK_BYTES || (small && steps + plan.steps[to] > LAUNCH_STEPS))) break;
      instance.picks = picks;
      instance.rows = rows;
      picks += size;
      rows += small ? 0 : 2 * uint64_t(instance.width);
      steps += plan.steps[to];
      widest = std::max<size_t>(widest, instance.width);
      deepest = std::max<size_t>(deepest, instance.categories);
    }
    const unsigned some = unsigned(to - from);
    Buffer<uint16_t> pickTable(work, picks);
    Buffer<double> rowTable(work, rows);
    work.upload(instances.data() + from, plan.instances.data() + from, some);
    const Table table = {instances.data() + from, starts.data(), values.data(), pickTable.data(), choices.data(), totals.data(), overflow.data(), input.atMost};
    if (small) {
      CRAGRU_LAUNCH(work, solveSmall, unsigned(divide(some, WARPS)), WARPS * 32, WARPS * 2 * pitch * sizeof(double), table, some, pitch);
    } else {
      CRAGRU_LAUNCH(work, startLarge, dim3(gridFor(widest, 256).x, some), 256, 0, table, rowTable.data());
      for (size_t category = 0; category < deepest; category++) {
        uint64_t most = 1;
        for (size_t at = from; at < to; at++) {
          const Instance& instance = plan.instances[at];
          if (category < instance.categories) most = std::max<uint64_t>(most, plan.starts[instance.firstCategory + category + 1] - plan.starts[instance.firstCategory + category]);
        }
        const size_t part = std::max<size_t>(256, LAUNCH_STEPS / most / some / 256 * 256);
        for (size_t w = 0; w < widest; w += part) {
          CRAGRU_LAUNCH(work, stepLarge, dim3(gridFor(std::min(part, widest - w), 256).x, some), 256, 0, table, rowTable.data(), uint32_t(category), w);
          work.step(double(from) + double(some) * double(category) / double(deepest), double(count));
        }
      }
      CRAGRU_LAUNCH(work, endLarge, gridFor(some, 128), 128, 0, table, rowTable.data(), some);
    }
    work.step(double(to), double(count));
    from = to;
  }
  uint32_t bad = 0;
  work.download(&bad, overflow.data(), 1);
  work.download(input.choices, choices.data(), input.levels.count);
  work.download(input.totals, totals.data(), count);
  work.wait();
  if (bad != 0xffffffffu) throw Failure{CRAGRU_CUDA_RANGE, "the values of an instance are too large to add", bad};
}

}  // namespace cuda
}  // namespace cragru
