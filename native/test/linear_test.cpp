#include "expect.h"

using namespace cragru;
using namespace cragru::test;

namespace {

// Lower triangle of V V' + ridge, V [size, size + 3].
std::vector<double> positiveDefinite(size_t size, uint32_t seed, double ridge) {
  const std::vector<double> v = numbers<double>(size * (size + 3), seed);
  std::vector<double> triangle;
  for (size_t i = 0; i < size; i++) {
    for (size_t j = 0; j <= i; j++) {
      double sum = i == j ? ridge : 0;
      for (size_t k = 0; k < size + 3; k++) sum += v[i * (size + 3) + k] * v[j * (size + 3) + k];
      triangle.push_back(sum);
    }
  }
  return triangle;
}

double entry(const std::vector<double>& triangle, size_t i, size_t j) { return i >= j ? triangle[i * (i + 1) / 2 + j] : triangle[j * (j + 1) / 2 + i]; }

std::vector<double> choleskyOf(const Cholesky& input, Run& run) {
  Cholesky copy = input;
  cpu::cholesky(copy, run);
  return copy.matrix;
}

std::vector<double> updated(const RankUpdate& input, Run& run) {
  RankUpdate copy = input;
  cpu::rankUpdate(copy, run);
  return copy.matrix;
}

}  // namespace

TEST("cholesky: factor and inverse of many sizes") {
  for (const size_t size : {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97, 129, 200}) {
    Cholesky input;
    input.size = size;
    input.matrix = positiveDefinite(size, uint32_t(size), 0.5);
    const std::string label = " of order " + std::to_string(size);
    const std::vector<double> factor = onAll("cholesky factor" + label, input, choleskyOf);
    input.inverse = true;
    const std::vector<double> inverse = onAll("cholesky inverse" + label, input, choleskyOf);
    double worst = 0, off = 0;
    for (size_t i = 0; i < size; i++) {
      for (size_t j = 0; j <= i; j++) {
        double sum = 0, one = 0;
        for (size_t k = 0; k <= j; k++) sum += factor[i * (i + 1) / 2 + k] * factor[j * (j + 1) / 2 + k];
        for (size_t k = 0; k < size; k++) one += entry(input.matrix, i, k) * entry(inverse, k, j);
        worst = std::max(worst, std::fabs(sum - entry(input.matrix, i, j)));
        off = std::max(off, std::fabs(one - (i == j ? 1 : 0)));
      }
    }
    expect(worst < 1e-12 * double(size + 4), "L L' = A" + label);
    expect(off < 1e-9, "A inverse(A) = 1" + label);
  }
}

TEST("cholesky: what is not positive definite is refused and left as it was") {
  for (const size_t size : {1, 5, 40, 130}) {
    for (const size_t bad : {size_t(0), size / 2, size - 1}) {
      for (const double pivot : {0.0, -1.0}) {
        Cholesky input;
        input.size = size;
        input.matrix.assign(size * (size + 1) / 2, 0.0);
        for (size_t i = 0; i < size; i++) input.matrix[i * (i + 1) / 2 + i] = i == bad ? pivot : 2;
        for (Run& run : everyRun()) {
          for (const bool inverse : {false, true}) {
            Cholesky copy = input;
            copy.inverse = inverse;
            expect(refusal([&] { cpu::cholesky(copy, run); }) == "NATIVE_NOT_POSITIVE", "not positive definite");
            expect(same(copy.matrix, input.matrix), "a refused matrix is unchanged");
          }
        }
      }
    }
  }
}

TEST("rank update: against plain loops, and back again") {
  for (const size_t size : {1, 2, 7, 16, 33, 64, 65, 150}) {
    for (const size_t rank : {0, 1, 2, 3, 8, 100}) {
      RankUpdate input;
      input.size = size;
      input.matrix = numbers<double>(size * (size + 1) / 2, 3, 4);
      input.vectors = wholes<double>(rank * size, 4, 3);
      input.weights = wholes<double>(rank, 5, 2);
      const std::string label = " of order " + std::to_string(size) + ", rank " + std::to_string(rank);
      const std::vector<double> result = onAll("rank update" + label, input, updated);
      size_t at = 0;
      double worst = 0;
      for (size_t i = 0; i < size; i++) {
        for (size_t j = 0; j <= i; j++, at++) {
          double sum = input.matrix[at];
          for (size_t r = 0; r < rank; r++) sum += input.weights[r] * input.vectors[r * size + i] * input.vectors[r * size + j];
          worst = std::max(worst, std::fabs(result[at] - sum));
        }
      }
      expect(worst < 1e-11, "rank update" + label);
    }
  }
}
