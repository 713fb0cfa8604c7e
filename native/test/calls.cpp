#include "calls.h"

#include <algorithm>
#include <limits>

#include "../check.h"
#include "../run.h"

namespace cragru {
namespace test {

namespace {

// Reads the stream; zeros after its end.
class Bytes {
 public:
  Bytes(const uint8_t* bytes, size_t size) : at_(bytes), end_(bytes + size) {}
  uint32_t byte() { return at_ < end_ ? *at_++ : 0; }
  uint32_t below(uint32_t n) { return byte() % n; }
  // True about once in n.
  bool rarely(uint32_t n) { return byte() % n == n - 1; }

  // A size that is usually what it should be.
  size_t near(size_t right) { return rarely(40) ? right + below(3) - (right > 0 ? 1 : 0) : right; }

  template <class T>
  T number() {
    const uint32_t kind = byte();
    if (kind < 200) return T(int(kind) - 100) / T(16);
    switch (kind) {
      case 255: return std::numeric_limits<T>::quiet_NaN();
      case 254: return std::numeric_limits<T>::infinity();
      case 253: return std::numeric_limits<T>::max();
      case 252: return std::numeric_limits<T>::denorm_min();
      case 251: return -T(0);
      case 250: return T(1e30);
      case 249: return -T(1e-30);
      default: return T(1);
    }
  }

  template <class T>
  std::vector<T> numbers(size_t count) {
    std::vector<T> values(near(count));
    // A byte each would use up the stream: a few values, repeated.
    const size_t period = 1 + below(13);
    std::vector<T> some(period);
    for (T& value : some) value = number<T>();
    for (size_t at = 0; at < values.size(); at++) values[at] = some[at % period];
    return values;
  }

  std::vector<uint32_t> words(size_t count, uint32_t limit) {
    std::vector<uint32_t> values(near(count));
    for (uint32_t& value : values) value = rarely(60) ? limit : limit > 0 ? below(limit) : 0;
    return values;
  }

  std::vector<uint32_t> offsets(size_t groups, size_t total) {
    std::vector<uint32_t> values(near(groups + 1));
    for (uint32_t& value : values) value = total > 0 ? below(uint32_t(total + 1)) : 0;
    if (!rarely(30)) std::sort(values.begin(), values.end());
    if (!values.empty() && !rarely(30)) values.front() = 0, values.back() = uint32_t(total);
    if (!values.empty() && rarely(50)) values[below(uint32_t(values.size()))] = 0xffffffffu;
    return values;
  }

  Csr csr(size_t rows, size_t columns) {
    std::vector<uint32_t> starts{0}, entries;
    for (size_t row = 0; row < rows; row++) {
      const uint32_t mask = byte();
      for (size_t column = 0; column < columns; column++) {
        if ((mask >> (column % 8)) & 1) entries.push_back(uint32_t(column));
      }
      starts.push_back(uint32_t(entries.size()));
    }
    if (rarely(8)) starts = offsets(rows, entries.size());
    if (rarely(8) && !entries.empty()) entries[byte() % entries.size()] = below(uint32_t(columns + 2));
    return {starts, entries};
  }

 private:
  const uint8_t *at_, *end_;
};

Pool& pool() {
  static Pool shared;
  return shared;
}

void losses(Bytes& bytes, Loss& loss) {
  loss.userCount = bytes.below(7);
  loss.itemCount = bytes.below(9);
  loss.dimension = bytes.below(20);
  loss.layers = bytes.below(4);
  loss.parameters = bytes.numbers<float>((loss.userCount + loss.itemCount) * loss.dimension);
  if (loss.layers > 0 || bytes.rarely(5)) loss.positives = bytes.csr(loss.userCount, loss.itemCount);
  loss.bce = bytes.below(2);
  const size_t samples = bytes.below(12);
  loss.users = bytes.words(samples, uint32_t(loss.userCount));
  loss.items = bytes.words(samples, uint32_t(loss.itemCount));
  if (!loss.bce || bytes.rarely(20)) loss.negatives = bytes.words(samples, uint32_t(loss.itemCount));
  if (loss.bce) loss.labels = std::vector<float>(bytes.near(samples), bytes.rarely(9) ? bytes.number<float>() : 0.5f);
  loss.regularisation = bytes.number<float>();
  loss.gaussNewton = bytes.below(2);
}

std::vector<double> triangle(Bytes& bytes, size_t size) {
  std::vector<double> matrix = bytes.numbers<double>(size * (size + 1) / 2);
  // Mostly dominated by its diagonal, so that it is positive definite.
  if (!bytes.rarely(4) && matrix.size() == size * (size + 1) / 2) {
    for (size_t i = 0; i < size; i++) matrix[i * (i + 1) / 2 + i] = 20.0 * double(size);
  }
  return matrix;
}

template <class Input, class Work>
void checked(Input& input, Run& run, Work work) {
  check(input, run);
  work(input, run);
}

void call(size_t number, Bytes& bytes) {
  const cpu::Blocks* const* list;
  const size_t isas = cpu::supportedBlocks(&list);
  Run run(pool(), 1 + bytes.below(3), *list[bytes.below(uint32_t(isas))]);
  switch (number) {
    case 0: {
      ScoreTopK input;
      input.dimension = bytes.below(70);
      const size_t users = bytes.below(80), items = bytes.below(140);
      input.users = bytes.numbers<float>(users * input.dimension);
      input.items = bytes.numbers<float>(items * input.dimension);
      input.k = bytes.rarely(3) ? items : bytes.below(30);
      input.masked = bytes.below(2);
      if (input.masked) input.mask = bytes.csr(users, items);
      return checked(input, run, cpu::scoreTopK);
    }
    case 1:
    case 2: {
      Training input;
      input.state.userCount = bytes.below(9);
      input.state.itemCount = bytes.below(11);
      input.state.dimension = bytes.below(20);
      const size_t size = (input.state.userCount + input.state.itemCount) * input.state.dimension;
      input.state.parameters = bytes.numbers<float>(size);
      input.adam = bytes.below(2);
      input.hogwild = !input.adam && bytes.below(2);
      input.bf16 = bytes.below(2);
      input.state.first = bytes.numbers<float>(input.adam ? size : 0);
      input.state.second.assign(bytes.near(input.adam ? size : 0), bytes.rarely(8) ? bytes.number<float>() : 0.01f);
      input.state.step = bytes.rarely(20) ? uint64_t(1) << 48 : bytes.below(100);
      input.positives = bytes.csr(input.state.userCount, input.state.itemCount);
      input.seed = bytes.byte();
      input.epochs = bytes.below(4);
      input.batchCount = bytes.rarely(5) ? 100 : bytes.below(6);
      input.firstEpoch = bytes.rarely(5) ? 0xfffffffe : bytes.below(9);
      input.learningRate = bytes.number<float>();
      input.regularisation = bytes.number<float>();
      input.layers = number == 1 ? 0 : bytes.below(5);
      check(input, run);
      cpu::train(std::move(input), run);
      return;
    }
    case 3: {
      Propagate input;
      input.userCount = bytes.below(20);
      input.itemCount = bytes.below(30);
      input.dimension = bytes.below(70);
      input.layers = bytes.below(5);
      input.bf16 = bytes.below(2);
      input.parameters = bytes.numbers<float>((input.userCount + input.itemCount) * input.dimension);
      input.positives = bytes.csr(input.userCount, input.itemCount);
      return checked(input, run, cpu::propagate);
    }
    case 4: {
      Attention input;
      input.heads = bytes.below(9);
      input.dimension = bytes.rarely(9) ? bytes.below(30) : input.heads * bytes.below(12);
      const size_t groups = bytes.below(7), queries = bytes.below(40), keys = bytes.below(250);
      input.queries = bytes.numbers<float>(queries * input.dimension);
      input.keys = bytes.numbers<float>(keys * input.dimension);
      input.queryOffsets = bytes.offsets(groups, queries);
      input.keyOffsets = bytes.offsets(groups, keys);
      if (bytes.below(2)) input.bias = bytes.numbers<float>(keys);
      input.output = AttentionOutput(bytes.below(5));
      input.k = bytes.rarely(9) ? 1000 : bytes.below(20);
      return checked(input, run, cpu::attentionWeights);
    }
    case 5: {
      Knapsack input;
      const size_t instances = bytes.below(12), categories = instances + bytes.below(20);
      input.categoryOffsets = bytes.offsets(instances, categories);
      std::vector<uint32_t> levels = bytes.words(categories, 12);
      for (uint32_t& count : levels) if (count == 0 && !bytes.rarely(40)) count = 1;
      size_t total = 0;
      for (const uint32_t count : levels) total += count;
      input.levels = levels;
      input.values = bytes.numbers<double>(total);
      input.atMost = bytes.below(2);
      std::vector<uint32_t> capacities = bytes.words(instances, 90);
      // Mostly one that can be met: all categories at a level in between.
      for (size_t n = 0; n < std::min(capacities.size(), input.categoryOffsets.size() - (input.categoryOffsets.empty() ? 0 : 1)); n++) {
        const uint32_t from = input.categoryOffsets[n], to = input.categoryOffsets[n + 1];
        uint32_t most = 0;
        for (uint32_t c = from; c < to && c < levels.size(); c++) most += levels[c];
        if (!bytes.rarely(30) && to > from && most >= to - from) capacities[n] = to - from + capacities[n] % (most - (to - from) + 1);
      }
      input.capacities = capacities;
      return checked(input, run, cpu::knapsack);
    }
    case 6: {
      KMeans input;
      input.dimension = bytes.below(20);
      input.points = bytes.numbers<double>(bytes.below(90) * input.dimension);
      input.centroids = bytes.numbers<double>(bytes.below(20) * input.dimension);
      input.rounds = bytes.below(9);
      return checked(input, run, cpu::kmeans);
    }
    case 7: {
      Gram input;
      input.columnCount = bytes.below(140);
      input.positives = bytes.csr(bytes.below(140), input.columnCount);
      return checked(input, run, cpu::gram);
    }
    case 8: {
      Cooccurrence input;
      input.columnCount = bytes.below(140);
      input.positives = bytes.csr(bytes.below(140), input.columnCount);
      input.k = bytes.rarely(9) ? 1000 : bytes.below(30);
      return checked(input, run, cpu::itemCooccurrence);
    }
    case 9: {
      Cholesky input;
      input.size = bytes.below(90);
      input.matrix = triangle(bytes, input.size);
      input.inverse = bytes.below(2);
      return checked(input, run, cpu::cholesky);
    }
    case 10: {
      RankUpdate input;
      input.size = bytes.below(90);
      input.matrix = triangle(bytes, input.size);
      const size_t rank = bytes.below(20);
      input.vectors = bytes.numbers<double>(rank * input.size);
      input.weights = bytes.numbers<double>(rank);
      return checked(input, run, cpu::rankUpdate);
    }
    default: {
      const bool solve = bytes.below(2);
      HessianProduct product;
      losses(bytes, product.loss);
      const size_t rows = product.loss.userCount + product.loss.itemCount;
      if (!solve) {
        product.vector = bytes.numbers<double>(rows * product.loss.dimension);
        return checked(product, run, cpu::hessianProduct);
      }
      ConjugateGradient input;
      input.loss = product.loss;
      input.restricted = bytes.below(2);
      size_t chosen = rows;
      if (input.restricted) {
        std::vector<uint32_t> numbers = bytes.words(bytes.below(uint32_t(rows + 1)), uint32_t(rows));
        if (!bytes.rarely(9)) {
          std::sort(numbers.begin(), numbers.end());
          numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
        }
        chosen = numbers.size();
        input.rows = numbers;
      }
      input.gradient = bytes.numbers<double>(chosen * product.loss.dimension);
      input.damping = bytes.number<float>();
      input.tolerance = bytes.number<float>();
      input.iterations = bytes.below(12);
      return checked(input, run, cpu::conjugateGradient);
    }
  }
}

}  // namespace

Fate callWith(size_t number, const uint8_t* bytes, size_t size) {
  Bytes stream(bytes, size);
  try {
    call(number, stream);
    return Fate::ran;
  } catch (const Error&) {
    return Fate::refused;
  }
}

}  // namespace test
}  // namespace cragru
