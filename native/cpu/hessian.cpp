// Hessian-vector products of BPR and BCE, and conjugate gradients on them. The order of operations stands in
// src/native/reference/hessian.ts. Samples are sorted by user once a call, and their item occurrences by item; then a chunk owns
// the rows it sums: first users, each with its samples (which also gives every sample's a), then items. Vectors inside are rows
// padded with zeros to a multiple of 8 values. Item rows take their occurrences tile by tile of users, so that the user
// rows of a tile stay in the second-level cache: the order of a sum is the same.
#include <cmath>
#include <cstring>

#include "aligned.h"
#include "graph.h"
#include "entries.h"

namespace cragru {
namespace cpu {

namespace {

constexpr size_t USER_CHUNK = 2048;       // samples of one chunk of users, at least
constexpr size_t ITEM_CHUNK = 2048;      // occurrences of one chunk of items, at least
constexpr size_t CALL = 16384;            // samples or occurrences between two looks at the flags
constexpr size_t TILE_BYTES = 512 << 10;  // user rows and weights of one tile
constexpr size_t SLAB = 16;               // columns of one propagated slab: its table fits in the second-level cache
constexpr size_t BLOCK_ROWS = 64;         // rows of one block of an inner product, as the reference has them

size_t paddedTo(size_t count, size_t multiple) { return (count + multiple - 1) / multiple * multiple; }

[[noreturn]] void refuseInfinite() {
  throw Error{"NATIVE_DIVERGED", "a sum left the finite numbers.", "Scale the vectors and the parameters down."};
}

double finite(double value) {
  if (!std::isfinite(value)) refuseInfinite();
  return value;
}

// S in double.
class Smoother {
 public:
  Smoother(const Loss& loss, size_t width, Run& run) : width_(width), layers_(loss.layers) {
    if (layers_ == 0) return;
    graph_ = buildGraph(loss.positives, loss.userCount, loss.itemCount, run);
    scales_.resize(graph_.rows);
    for (size_t row = 0; row < graph_.rows; row++) {
      const uint32_t degree = graph_.offsets[row + 1] - graph_.offsets[row];
      scales_[row] = degree > 0 ? 1.0 / std::sqrt(double(degree)) : 0.0;
    }
    scaled_.resize(graph_.rows * width);
    if (layers_ > 1) next_.resize(graph_.rows * width);
  }

  bool identity() const { return layers_ == 0; }

  // Rows at distances of a stride; input and output must not be the same.
  void apply(const double* input, size_t inputStride, double* output, size_t outputStride, Run& run) {
    const size_t rows = graph_.rows, chunks = graph_.bounds.size() - 1, slabs = (width_ + SLAB - 1) / SLAB;
    const auto each = [&](auto&& body) {
      run.parallel(slabs * chunks, [&](size_t number) {
        const size_t column = number / chunks * SLAB, chunk = number % chunks;
        body(column, std::min(SLAB, width_ - column), graph_.bounds[chunk], graph_.bounds[chunk + 1]);
      });
    };
    each([&](size_t column, size_t slab, size_t from, size_t to) {
      double* scaled = scaled_.data() + rows * column;
      for (size_t row = from; row < to; row++) {
        for (size_t d = 0; d < slab; d++) scaled[row * slab + d] = scales_[row] * input[row * inputStride + column + d];
      }
    });
    for (size_t layer = 1; layer <= layers_; layer++) {
      const bool last = layer == layers_;
      each([&](size_t column, size_t slab, size_t from, size_t to) {
        run.blocks.curvature.hop(graph_.offsets.data(), graph_.columns.data(), scales_.data(), scaled_.data() + rows * column, slab, input + column,
                              inputStride, from, to, last, double(layers_ + 1), last ? output + column : next_.data() + rows * column,
                              last ? outputStride : slab);
      });
      if (!last) scaled_.swap(next_);
    }
  }

 private:
  size_t width_, layers_;
  Graph graph_;
  std::vector<double> scales_;
  AlignedVector<double> scaled_, next_;
};

// H of one loss at one point, restricted to rows; what depends on E alone is computed once.
class Curvature {
 public:
  Curvature(const Loss& loss, const Array<uint32_t>* rows, Run& run)
      : loss_(loss), run_(run), rows_(loss.userCount + loss.itemCount), dimension_(loss.dimension), width_(paddedTo(dimension_, 8)), kept_(rows),
        smoother_(loss, width_, run) {
    table_.resize(rows_ * 2 * width_);
    sums_.resize(rows_ * width_);
    if (!smoother_.identity()) smooth_.resize(rows_ * width_);
    // Without a graph only samples that touch a kept row matter.
    if (kept_ && smoother_.identity()) {
      wanted_.assign(rows_, 0);
      for (const uint32_t row : *kept_) wanted_[row] = 1;
    }
    embed();
    sort();
  }

  // Rows of a vector, and values of one row.
  size_t count() const { return kept_ ? kept_->size() : rows_; }
  size_t width() const { return width_; }
  size_t dimension() const { return dimension_; }

  // output = H input + damping * input, both [count, width].
  void product(const double* input, double damping, double* output) {
    double* vectors = table_.data() + width_;  // the right half of the table
    scatter(input, smoother_.identity() ? vectors : smooth_.data(), smoother_.identity() ? 2 * width_ : width_);
    if (!smoother_.identity()) smoother_.apply(smooth_.data(), width_, vectors, 2 * width_, run_);
    bendUsers();
    bendItems();
    const double* sums = sums_.data();
    const double samples = double(std::max<size_t>(1, loss_.users.size()));
    if (!smoother_.identity()) {
      eachRow(rows_, [&](size_t row) {
        for (size_t d = 0; d < width_; d++) sums_[row * width_ + d] = sums_[row * width_ + d] / samples;
      });
      smoother_.apply(sums_.data(), width_, smooth_.data(), width_, run_);
      sums = smooth_.data();
    }
    const double divisor = smoother_.identity() ? samples : 1.0;
    eachRow(count(), [&](size_t at) {
      const double* sum = sums + rowOf(at) * width_;
      const double* in = input + at * width_;
      double* out = output + at * width_;
      for (size_t d = 0; d < width_; d++) out[d] = (sum[d] / divisor + loss_.regularisation * in[d]) + damping * in[d];
    });
    clearSmooth();
  }

  // values [count, dimension] -> [count, width] and back.
  AlignedVector<double> pad(const double* values) {
    AlignedVector<double> padded(count() * width_);
    eachRow(count(), [&](size_t at) {
      double* row = padded.data() + at * width_;
      std::memcpy(row, values + at * dimension_, dimension_ * sizeof(double));
      std::fill(row + dimension_, row + width_, 0.0);
    });
    return padded;
  }

  std::vector<double> unpad(const AlignedVector<double>& padded) {
    std::vector<double> values(count() * dimension_);
    eachRow(count(), [&](size_t at) {
      for (size_t d = 0; d < dimension_; d++) values[at * dimension_ + d] = finite(padded[at * width_ + d]);
    });
    return values;
  }

 private:
  size_t rowOf(size_t at) const { return kept_ ? (*kept_)[at] : at; }

  template <class Body>
  void eachRow(size_t count, Body body) {
    const size_t together = std::max<size_t>(1, 8192 / width_);
    run_.parallel((count + together - 1) / together, [&](size_t chunk) {
      const size_t end = std::min(count, (chunk + 1) * together);
      for (size_t row = chunk * together; row < end; row++) body(row);
    });
  }

  void scatter(const double* input, double* rows, size_t stride) {
    eachRow(count(), [&](size_t at) { std::memcpy(rows + rowOf(at) * stride, input + at * width_, width_ * sizeof(double)); });
  }

  // E to the left half of the table.
  void embed() {
    double* to = smoother_.identity() ? table_.data() : smooth_.data();
    const size_t stride = smoother_.identity() ? 2 * width_ : width_;
    eachRow(rows_, [&](size_t row) {
      std::fill(table_.data() + row * 2 * width_, table_.data() + (row + 1) * 2 * width_, 0.0);
      for (size_t d = 0; d < width_; d++) to[row * stride + d] = d < dimension_ ? loss_.parameters[row * dimension_ + d] : 0.0;
    });
    if (smoother_.identity()) return;
    smoother_.apply(smooth_.data(), width_, table_.data(), 2 * width_, run_);
    clearSmooth();
  }

  // A restricted vector is 0 outside its rows, and those are written anew at each product.
  void clearSmooth() {
    if (!kept_ || smoother_.identity()) return;
    eachRow(rows_, [&](size_t row) { std::fill(smooth_.data() + row * width_, smooth_.data() + (row + 1) * width_, 0.0); });
  }

  void sort() {
    const size_t users = loss_.userCount, all = loss_.users.size();
    const uint32_t* negativeItems = loss_.bce ? nullptr : loss_.negatives.data();
    const auto touches = [&](size_t sample) {
      return wanted_[loss_.users[sample]] || wanted_[users + loss_.items[sample]] || (negativeItems && wanted_[users + negativeItems[sample]]);
    };
    items_.resize(all);
    owners_.resize(all);
    if (loss_.bce) labels_.resize(all);
    else negatives_.resize(all);
    userStarts_ = groupEntries(all, users, run_, [&](size_t sample) -> size_t { return wanted_.empty() || touches(sample) ? loss_.users[sample] : users; },
                               [&](size_t place, size_t sample) {
                                 items_[place] = uint32_t(users + loss_.items[sample]);
                                 owners_[place] = loss_.users[sample];
                                 if (negativeItems) negatives_[place] = uint32_t(users + negativeItems[sample]);
                                 else labels_[place] = loss_.labels[sample];
                               });
    const size_t count = userStarts_[users];
    c_.resize(count);
    weights_.resize(2 * count);
    userBounds_ = boundsOf(userStarts_.data(), users, USER_CHUNK);
    samples_ = {items_.data(), negatives_.data(), loss_.bce ? labels_.data() : nullptr, c_.data(), weights_.data()};

    sortOccurrences();
  }

  // Tiles of users: as many as fit in the cache, with enough occurrences to be worth a walk over all items. Their occurrences lie
  // together already, so each tile is sorted by item on its own.
  void sortOccurrences() {
    const size_t users = loss_.userCount, items = loss_.itemCount;
    std::vector<uint32_t> limits(1, 0);
    size_t bytes = 0;
    for (size_t user = 0; user < users; user++) {
      const size_t own = userStarts_[user + 1] - userStarts_[user];
      if (own > 0) bytes += (2 * width_ + 2 * own) * sizeof(double);
      const bool full = bytes >= TILE_BYTES && userStarts_[user + 1] - limits.back() >= 2 * items;
      if (!full && user + 1 < users) continue;
      limits.push_back(userStarts_[user + 1]);
      bytes = 0;
    }
    const size_t tiles = limits.size() - 1;
    occurrences_.resize(2 * items_.size());
    itemStarts_.resize(tiles * (items + 1));
    itemBounds_.resize(tiles);
    const size_t step = loss_.bce ? 2 : 1;
    run_.parallel(tiles, [&](size_t tile) {
      const size_t from = 2 * size_t(limits[tile]), to = 2 * size_t(limits[tile + 1]);
      const auto itemOf = [&](size_t entry) { return entry % 2 == 1 ? negatives_[entry / 2] : items_[entry / 2]; };
      uint32_t* starts = itemStarts_.data() + tile * (items + 1);
      std::fill(starts, starts + items + 1, 0);
      for (size_t entry = from; entry < to; entry += step) {
        if (entry % CALL == 0) run_.check();
        const uint32_t row = itemOf(entry);
        if (wanted_.empty() || wanted_[row]) starts[row - users + 1]++;
      }
      starts[0] = uint32_t(from);
      for (size_t item = 0; item < items; item++) starts[item + 1] += starts[item];
      std::vector<uint32_t> next(starts, starts + items);
      for (size_t entry = from; entry < to; entry += step) {
        if (entry % CALL == 0) run_.check();
        const uint32_t row = itemOf(entry);
        if (wanted_.empty() || wanted_[row]) occurrences_[next[row - users]++] = {uint32_t(entry), owners_[entry / 2]};
      }
      itemBounds_[tile] = boundsOf(starts, items, ITEM_CHUNK);
    });
  }

  // a of all samples, and the sums of users; the first time also c and r.
  void bendUsers() {
    eachRow(loss_.userCount, [&](size_t user) { std::fill(sums_.data() + user * width_, sums_.data() + (user + 1) * width_, 0.0); });
    run_.parallel(userBounds_.size() - 1, [&](size_t chunk) {
      AlignedVector<double> scratch(BEND_SAMPLES * 2 * width_);
      for (size_t user = userBounds_[chunk]; user < userBounds_[chunk + 1]; user++) {
        double* sums = wanted_.empty() || wanted_[user] ? sums_.data() + user * width_ : nullptr;
        for (size_t from = userStarts_[user]; from < userStarts_[user + 1]; from += CALL) {
          if (from > userStarts_[user]) run_.check();
          run_.blocks.curvature.bendUser(&samples_, from, std::min<size_t>(userStarts_[user + 1], from + CALL), user, table_.data(), width_,
                                         !loss_.gaussNewton, !scored_, scratch.data(), sums);
        }
      }
    });
    scored_ = true;
  }

  void bendItems() {
    const size_t items = loss_.itemCount;
    double* sums = sums_.data() + loss_.userCount * width_;
    for (size_t tile = 0; tile < itemBounds_.size(); tile++) {
      const uint32_t* starts = itemStarts_.data() + tile * (items + 1);
      const std::vector<uint32_t>& bounds = itemBounds_[tile];
      run_.parallel(bounds.size() - 1, [&](size_t chunk) {
        if (tile == 0) std::fill(sums + bounds[chunk] * width_, sums + bounds[chunk + 1] * width_, 0.0);
        for (size_t item = bounds[chunk]; item < bounds[chunk + 1]; item++) {
          for (size_t from = starts[item]; from < starts[item + 1]; from += CALL) {
            if (from > starts[item]) run_.check();
            run_.blocks.curvature.bendItem(occurrences_.data() + from, std::min<size_t>(CALL, starts[item + 1] - from), weights_.data(), table_.data(), width_,
                                 !loss_.gaussNewton, sums + item * width_);
          }
        }
      });
    }
  }

  const Loss& loss_;
  Run& run_;
  const size_t rows_, dimension_, width_;
  const Array<uint32_t>* kept_;
  Smoother smoother_;
  AlignedVector<double> table_, sums_, smooth_;
  std::vector<uint8_t> wanted_;  // rows to keep; empty: all
  // Samples in order of user.
  AlignedVector<uint32_t> items_, negatives_, owners_;
  std::vector<uint32_t> userStarts_, userBounds_;
  AlignedVector<float> labels_;
  AlignedVector<double> c_, weights_;
  CurvatureSamples samples_{};
  bool scored_ = false;  // c and r are there
  // By tile of users, then by item.
  AlignedVector<Occurrence> occurrences_;
  AlignedVector<uint32_t> itemStarts_;  // [tiles, items + 1]
  std::vector<std::vector<uint32_t>> itemBounds_;
};

// Vectors of padded rows.
class Vectors {
 public:
  Vectors(size_t values, size_t width, Run& run) : values_(values), block_(BLOCK_ROWS * width), run_(run), parts_((values + block_ - 1) / block_) {}

  // body(from, count) of every block gives its part of the sum.
  template <class Body>
  double sum(Body body) {
    each([&](size_t block, size_t from, size_t count) { parts_[block] = body(from, count); });
    double total = 0;
    for (const double part : parts_) total = total + part;
    return total;
  }

  template <class Body>
  void each(Body body) {
    const size_t together = std::max<size_t>(1, 16384 / block_);
    run_.parallel((parts_.size() + together - 1) / together, [&](size_t chunk) {
      const size_t end = std::min(parts_.size(), (chunk + 1) * together);
      for (size_t block = chunk * together; block < end; block++) body(block, block * block_, std::min(block_, values_ - block * block_));
    });
  }

 private:
  size_t values_, block_;
  Run& run_;
  std::vector<double> parts_;
};

}  // namespace

std::vector<double> hessianProduct(const HessianProduct& input, Run& run) {
  Curvature curvature(input.loss, nullptr, run);
  const AlignedVector<double> vector = curvature.pad(input.vector.data());
  AlignedVector<double> product(vector.size());
  curvature.product(vector.data(), 0.0, product.data());
  return curvature.unpad(product);
}

ConjugateGradientResult conjugateGradient(const ConjugateGradient& input, Run& run) {
  Curvature curvature(input.loss, input.restricted ? &input.rows : nullptr, run);
  const CurvatureBlocks& blocks = run.blocks.curvature;
  const AlignedVector<double> gradient = curvature.pad(input.gradient.data());
  Vectors vectors(gradient.size(), curvature.width(), run);
  AlignedVector<double> solution(gradient.size(), 0.0), residual = gradient, direction = gradient, product(gradient.size(), 0.0);
  const auto norm2 = [&](const AlignedVector<double>& a) {
    return finite(vectors.sum([&](size_t from, size_t count) { return blocks.innerBlock(a.data() + from, a.data() + from, count); }));
  };
  ConjugateGradientResult result;
  const double scale = norm2(gradient), goal = input.tolerance * std::sqrt(scale);
  double energy = scale;
  while (scale > 0 && result.iterations < input.iterations && !(std::sqrt(energy) <= goal)) {
    curvature.product(direction.data(), input.damping, product.data());
    const double curved = finite(vectors.sum([&](size_t from, size_t count) { return blocks.innerBlock(direction.data() + from, product.data() + from, count); }));
    if (!(curved > 0)) {
      result.negativeCurvature = true;
      break;
    }
    const double step = energy / curved;
    const double next = finite(vectors.sum([&](size_t from, size_t count) {
      blocks.addScaled(step, direction.data() + from, count, solution.data() + from);
      blocks.addScaled(-step, product.data() + from, count, residual.data() + from);
      return blocks.innerBlock(residual.data() + from, residual.data() + from, count);
    }));
    const double keep = next / energy;
    vectors.each([&](size_t, size_t from, size_t count) { blocks.scaleAndAdd(keep, residual.data() + from, count, direction.data() + from); });
    energy = next;
    result.iterations++;
    run.progress(double(result.iterations), double(input.iterations));
  }
  if (scale > 0) {
    if (result.iterations > 0) curvature.product(solution.data(), input.damping, product.data());
    else std::fill(product.begin(), product.end(), 0.0);
    vectors.each([&](size_t, size_t from, size_t count) {
      for (size_t at = from; at < from + count; at++) residual[at] = gradient[at] - product[at];
    });
    result.residual = finite(std::sqrt(norm2(residual)) / std::sqrt(scale));
  }
  result.solution = curvature.unpad(solution);
  return result;
}

}  // namespace cpu
}  // namespace cragru
