// Every kernel on shapes like MovieLens 1M without Node: roofs first, then a JSON line for each kernel, instruction set and thread
// count. One thread is timed by its CPU time, several by wall time; the median of the runs after one warm-up.
//   cmake -S . -B build/core -DCRAGRU_NODE=OFF -DCRAGRU_CUDA=OFF && cmake --build build/core
//   build/core/cragru_bench [words] [--threads N] [--isa NAME | --every-isa] [--runs N] [--small]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "../check.h"
#include "../math.h"
#include "../run.h"
#include "roofs.h"

using namespace cragru;

namespace {

struct Settings {
  unsigned threads = 1;
  int runs = 5;
  bool small = false, everyIsa = false;
  std::string isa;
  std::vector<std::string> words;
};

std::map<std::string, double> roofs;

double seconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

struct Draws {
  uint32_t seed, at = 0;
  explicit Draws(uint32_t seed) : seed(seed) {}
  uint32_t below(uint32_t n) { return multiplyHigh(philox(at++, 0, 0, 0, seed, 7).lane[0], n); }
  double uniform() { return double(philox(at++, 1, 0, 0, seed, 7).lane[0]) / 4294967296.0; }
};

// Sums of four uniform numbers: near enough to normal ones for lists and sums.
template <class T>
std::vector<T> numbers(size_t count, uint32_t seed, double scale) {
  Draws draws(seed);
  std::vector<T> values(count);
  for (T& value : values) value = T((draws.uniform() + draws.uniform() + draws.uniform() + draws.uniform() - 2) * scale);
  return values;
}

// Histories of very different lengths, popular items first in rank and dealt to item numbers by a fixed stride.
Csr powerLaw(size_t users, size_t items, size_t rows) {
  Draws draws(5);
  std::vector<uint32_t> offsets{0}, columns, row;
  const double mean = double(rows) / double(users);
  for (size_t user = 0; user < users; user++) {
    const double u = draws.uniform();
    const size_t length = std::min(items / 2, size_t(std::max(5.0, mean * 0.55 / std::sqrt(1.02 - u))));
    std::vector<bool> has(items, false);
    row.clear();
    while (row.size() < length) {
      const double v = draws.uniform();
      const size_t rank = size_t(double(items) * v * v * v), item = (rank * 1009) % items;
      if (has[item]) continue;
      has[item] = true;
      row.push_back(uint32_t(item));
    }
    std::sort(row.begin(), row.end());
    columns.insert(columns.end(), row.begin(), row.end());
    offsets.push_back(uint32_t(columns.size()));
  }
  return {offsets, columns};
}

struct Bound {
  const char* roof;  // of roofs.h, nullptr: none
  double work;       // operations or bytes
};

// Runs `work` as often as asked and prints its line. `units` divides the time of one call.
template <class Work>
void measure(const Settings& settings, Pool& pool, const std::string& kernel, const std::string& shape, double units, Bound bound, Work work) {
  if (!settings.words.empty() && std::none_of(settings.words.begin(), settings.words.end(), [&](const std::string& word) { return kernel.find(word) != std::string::npos; })) return;
  const cpu::Blocks* const* list;
  const size_t isas = cpu::supportedBlocks(&list);
  for (size_t isa = 0; isa < isas; isa++) {
    if (!settings.everyIsa && (settings.isa.empty() ? isa + 1 < isas : settings.isa != list[isa]->name)) continue;
    Run run(pool, settings.threads, *list[isa]);
    std::vector<double> times;
    try {
      work(run);
      for (int round = 0; round < settings.runs; round++) {
        const clockid_t clock = settings.threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
        const double start = seconds(clock);
        work(run);
        times.push_back((seconds(clock) - start) / units);
      }
    } catch (const Error& error) {
      std::printf("{\"kernel\": \"%s\", \"failed\": \"%s\"}\n", kernel.c_str(), error.message.c_str());
      continue;
    }
    std::sort(times.begin(), times.end());
    const double median = times[times.size() / 2], rate = bound.work / median / 1e9;
    std::printf("{\"kernel\": \"%s\", \"shape\": \"%s\", \"isa\": \"%s\", \"threads\": %u, \"ms\": %.4g, \"least\": %.4g", kernel.c_str(), shape.c_str(), list[isa]->name,
                settings.threads, median * 1e3, times[0] * 1e3);
    if (bound.roof) std::printf(", \"rate\": %.4g, \"roof\": \"%s\", \"share\": %.3f", rate, bound.roof, rate / roofs[bound.roof]);
    std::printf("}\n");
    std::fflush(stdout);
  }
}

void all(const Settings& settings) {
  Pool pool;
  const bool small = settings.small;
  const size_t users = small ? 943 : 6040, items = small ? 1682 : 3706, rows = small ? 100000 : 1000000, d = 64;
  const std::string shape = std::to_string(users) + " x " + std::to_string(items) + ", d 64";
  const Csr positives = powerLaw(users, items, rows);
  const double edges = double(positives.columns.size());
  const Array<float> parameters = numbers<float>((users + items) * d, 1, 0.1);
  const auto timed = [&](const std::string& kernel, const std::string& on, double units, Bound bound, auto work) { measure(settings, pool, kernel, on, units, bound, work); };
  Run once(pool, 1, *[] {
    const cpu::Blocks* const* list;
    return cpu::supportedBlocks(&list), list[0];
  }());

  ScoreTopK score;
  score.users = numbers<float>(users * d, 2, 1);
  score.items = numbers<float>(items * d, 3, 1);
  score.dimension = d;
  score.k = 50;
  score.masked = true;
  score.mask = positives;
  check(score, once);
  timed("scoreTopK", shape + ", masked, k 50", 1, {"fma32", 2.0 * double(users * items * d)}, [&](Run& run) { cpu::scoreTopK(score, run); });

  Propagate hop;
  hop.userCount = users, hop.itemCount = items, hop.dimension = d, hop.layers = 10;
  hop.parameters = parameters;
  hop.positives = positives;
  check(hop, once);
  timed("propagate", shape + ", one of 10 hops", 10, {"l2", 2 * edges * double(d) * 4}, [&](Run& run) { cpu::propagate(hop, run); });
  Propagate rounded = hop;
  rounded.bf16 = true;
  timed("propagate bf16", shape + ", one of 10 hops", 10, {"l2", 2 * edges * double(d) * 2}, [&](Run& run) { cpu::propagate(rounded, run); });

  Training training;
  training.state.userCount = users, training.state.itemCount = items, training.state.dimension = d;
  training.state.parameters.assign(parameters.begin(), parameters.end());
  training.positives = positives;
  training.epochs = 1;
  training.batchCount = uint32_t(edges / 8192) + 1;
  training.learningRate = 0.05;
  training.regularisation = 0.01;
  training.adam = false;
  check(training, once);
  timed("bprEpoch", shape + ", SGD, batch 8192", 1, {"l3", edges * 6 * double(d) * 4}, [&](Run& run) { cpu::train(training, run); });
  Training raced = training;
  raced.hogwild = true;
  timed("bprEpoch hogwild", shape, 1, {"l3", edges * 6 * double(d) * 4}, [&](Run& run) { cpu::train(raced, run); });
  Training light = training;
  light.adam = true;
  light.state.first.assign(parameters.size(), 0), light.state.second.assign(parameters.size(), 0);
  light.layers = 3;
  light.batchCount = small ? 49 : 20;
  timed("lightGcnEpoch", shape + ", a step of 3 layers", light.batchCount, {"l2", 12 * edges * double(d) * 4}, [&](Run& run) { cpu::train(light, run); });

  Attention attention;
  const size_t readers = small ? 100 : 1000;
  attention.dimension = d, attention.heads = 8, attention.k = 10;
  std::vector<uint32_t> queryOffsets, keyOffsets;
  for (uint32_t reader = 0; reader <= readers; reader++) queryOffsets.push_back(50 * reader), keyOffsets.push_back(165 * reader);
  attention.queryOffsets = queryOffsets, attention.keyOffsets = keyOffsets;
  attention.queries = numbers<float>(readers * 50 * d, 4, 1), attention.keys = numbers<float>(readers * 165 * d, 5, 1);
  check(attention, once);
  const std::pair<const char*, AttentionOutput> outputs[] = {{"weights", AttentionOutput::weights}, {"max", AttentionOutput::max}, {"top", AttentionOutput::top}};
  for (const auto& [name, output] : outputs) {
    attention.output = output;
    timed(std::string("attentionWeights ") + name, std::to_string(readers) + " x 50 x 165, 8 heads", 1, {"fma32", 2.0 * double(readers) * 50 * 165 * double(d)},
          [&](Run& run) { cpu::attentionWeights(attention, run); });
  }

  Knapsack knapsack;
  std::vector<uint32_t> categories;
  for (uint32_t instance = 0; instance <= users; instance++) categories.push_back(18 * instance);
  knapsack.categoryOffsets = categories;
  knapsack.levels = std::vector<uint32_t>(users * 18, 10);
  knapsack.capacities = std::vector<uint32_t>(users, 100);
  knapsack.values = numbers<double>(users * 180, 6, 1);
  knapsack.atMost = true;
  check(knapsack, once);
  timed("knapsack", std::to_string(users) + " x 18 x 10, capacity 100", 1, {"fma64", 2.0 * double(users) * 18 * 10 * 100}, [&](Run& run) { cpu::knapsack(knapsack, run); });

  KMeans means;
  means.dimension = 32, means.rounds = 10;
  means.points = numbers<double>(items * 32, 7, 1), means.centroids = numbers<double>(24 * 32, 8, 1);
  check(means, once);
  timed("kmeans", std::to_string(items) + " x 32, 24 clusters, up to 10 rounds", 1, {"fma64", 2.0 * 10 * double(items) * 24 * 32}, [&](Run& run) { cpu::kmeans(means, run); });

  Gram gram;
  gram.positives = positives, gram.columnCount = items;
  check(gram, once);
  timed("gram", shape, 1, {nullptr, 1}, [&](Run& run) { cpu::gram(gram, run); });
  Cooccurrence shared;
  shared.positives = positives, shared.columnCount = items, shared.k = 50;
  check(shared, once);
  timed("itemCooccurrence", shape + ", k 50", 1, {nullptr, 1}, [&](Run& run) { cpu::itemCooccurrence(shared, run); });

  Cholesky ridge;
  ridge.size = items;
  if (settings.words.empty() || std::any_of(settings.words.begin(), settings.words.end(), [](const std::string& word) { return std::string("cholesky rankUpdate").find(word) != std::string::npos; })) {
    const std::vector<uint32_t> counts = cpu::gram(gram, once);
    ridge.matrix.assign(counts.begin(), counts.end());
    for (size_t i = 0; i < items; i++) ridge.matrix[i * (i + 1) / 2 + i] += 1000;
  }
  const std::vector<double> matrix = ridge.matrix;
  const double n = double(items);
  timed("cholesky factor", "order " + std::to_string(items), 1, {"fma64", n * n * n / 3}, [&](Run& run) { ridge.matrix = matrix, cpu::cholesky(ridge, run); });
  ridge.inverse = true;
  timed("cholesky inverse", "order " + std::to_string(items), 1, {"fma64", n * n * n}, [&](Run& run) { ridge.matrix = matrix, cpu::cholesky(ridge, run); });
  for (const size_t rank : {1, 100}) {
    RankUpdate update;
    update.size = items;
    update.matrix = matrix;
    update.vectors = numbers<double>(rank * items, 9, 1);
    update.weights = std::vector<double>(rank, -1e-3);
    timed("rankUpdate", "order " + std::to_string(items) + ", rank " + std::to_string(rank), 1, rank == 1 ? Bound{"triad", 8 * n * n} : Bound{"fma64", double(rank) * n * n},
          [&](Run& run) { cpu::rankUpdate(update, run); });
  }

  HessianProduct product;
  Loss& loss = product.loss;
  loss.userCount = users, loss.itemCount = items, loss.dimension = d, loss.layers = 3;
  loss.parameters = parameters, loss.positives = positives, loss.regularisation = 1e-4;
  std::vector<uint32_t> owner, negatives;
  Draws draws(10);
  for (uint32_t user = 0; user < users; user++) owner.insert(owner.end(), positives.offsets[user + 1] - positives.offsets[user], user);
  for (size_t at = 0; at < owner.size(); at++) negatives.push_back(draws.below(uint32_t(items)));
  loss.users = owner, loss.items = positives.columns, loss.negatives = negatives;
  product.vector = numbers<double>(parameters.size(), 11, 1);
  check(product, once);
  // Six rows read and three written in double a sample; two propagations of V and of the sums, one of E.
  timed("hessianProduct", shape + ", 3 layers", 1, {"l3", edges * double(d) * 8 * (12 + 9 * 2)}, [&](Run& run) { cpu::hessianProduct(product, run); });
  ConjugateGradient solve;
  solve.loss = loss;
  solve.loss.layers = 0, solve.loss.gaussNewton = true;
  solve.gradient = product.vector;
  solve.damping = 1e-3, solve.tolerance = 0, solve.iterations = 5;
  check(solve, once);
  timed("conjugateGradient", shape + ", one of 5 iterations, 0 layers", 5, {nullptr, 1}, [&](Run& run) { cpu::conjugateGradient(solve, run); });
}

}  // namespace

int main(int count, char** values) {
  Settings settings;
  for (int at = 1; at < count; at++) {
    const std::string word = values[at];
    const bool more = at + 1 < count;
    if (word == "--small") settings.small = true;
    else if (word == "--every-isa") settings.everyIsa = true;
    else if (word == "--isa" && more) settings.isa = values[++at];
    else if (word == "--threads" && more) settings.threads = unsigned(std::atoi(values[++at]));
    else if (word == "--runs" && more) settings.runs = std::atoi(values[++at]);
    else if (word.rfind("--", 0) != 0) settings.words.push_back(word);
    else return std::fprintf(stderr, "cragru_bench [words] [--threads N] [--isa NAME | --every-isa] [--runs N] [--small]\n"), 2;
  }
  if (settings.threads < 1 || settings.threads > 256 || settings.runs < 1) return std::fprintf(stderr, "threads: 1 to 256; runs: at least 1\n"), 2;
  if (!settings.isa.empty() && !cpu::blocksNamed(settings.isa.c_str())) return std::fprintf(stderr, "this machine or build has no instruction set %s\n", settings.isa.c_str()), 2;
  for (const auto& [name, rate] : measureRoofs(settings.threads)) {
    roofs[name] = rate;
    std::printf("{\"roof\": \"%s\", \"threads\": %u, \"rate\": %.4g}\n", name.c_str(), settings.threads, rate);
  }
  all(settings);
}
