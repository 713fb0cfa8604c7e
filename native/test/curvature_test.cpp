// Hessian products against differences of gradients, Gauss-Newton against its definition, conjugate gradients against the residual.
#include "expect.h"

using namespace cragru;
using namespace cragru::test;

namespace {

constexpr size_t USERS = 9, ITEMS = 11, ROWS = USERS + ITEMS;

Loss problem(bool bce, size_t dimension, size_t layers, size_t samples) {
  Loss loss;
  loss.userCount = USERS;
  loss.itemCount = ITEMS;
  loss.dimension = dimension;
  loss.layers = layers;
  loss.parameters = numbers<float>(ROWS * dimension, 1, 2);
  if (layers > 0) loss.positives = sparse(USERS, ITEMS, 300, 2);
  loss.bce = bce;
  Draws draws(3);
  std::vector<uint32_t> users, items, negatives;
  std::vector<float> labels;
  for (size_t sample = 0; sample < samples; sample++) {
    users.push_back(draws.below(USERS));
    items.push_back(draws.below(ITEMS));
    negatives.push_back(draws.below(ITEMS));
    labels.push_back(float(draws.below(3)) / 2);
  }
  loss.users = users;
  loss.items = items;
  if (bce) loss.labels = labels;
  else loss.negatives = negatives;
  loss.regularisation = 0.03;
  return loss;
}

struct Sampled {
  double score, slope, curve;  // derivatives of the loss by the score
};

// What every sample adds to the loss: score = e_u . z with z = e_i - e_j or e_i.
template <class Each>
void forSamples(const Loss& loss, const std::vector<double>& E, Each each) {
  const size_t d = loss.dimension;
  for (size_t sample = 0; sample < loss.users.size(); sample++) {
    std::vector<double> z(d);
    const size_t u = loss.users[sample], i = USERS + loss.items[sample], j = loss.bce ? 0 : USERS + loss.negatives[sample];
    double x = 0;
    for (size_t k = 0; k < d; k++) {
      z[k] = E[i * d + k] - (loss.bce ? 0 : E[j * d + k]);
      x += E[u * d + k] * z[k];
    }
    const double s = 1 / (1 + std::exp(-x));
    each(u, i, j, z, Sampled{x, loss.bce ? s - loss.labels[sample] : s - 1, s * (1 - s)});
  }
}

std::vector<double> gradientAt(const Loss& loss, const std::vector<std::vector<double>>& S, const std::vector<double>& parameters) {
  const size_t d = loss.dimension;
  const auto E = times(S, parameters, d);
  std::vector<double> sums(ROWS * d, 0);
  forSamples(loss, E, [&](size_t u, size_t i, size_t j, const std::vector<double>& z, Sampled sampled) {
    for (size_t k = 0; k < d; k++) {
      const double share = sampled.slope / double(loss.users.size());
      sums[u * d + k] += share * z[k];
      sums[i * d + k] += share * E[u * d + k];
      if (!loss.bce) sums[j * d + k] -= share * E[u * d + k];
    }
  });
  sums = times(S, sums, d);
  for (size_t at = 0; at < sums.size(); at++) sums[at] += loss.regularisation * parameters[at];
  return sums;
}

// J' diag(curve) J v / n + regularisation v.
std::vector<double> gaussNewton(const Loss& loss, const std::vector<std::vector<double>>& S, const std::vector<double>& v) {
  const size_t d = loss.dimension;
  const auto E = times(S, {loss.parameters.begin(), loss.parameters.end()}, d), V = times(S, v, d);
  std::vector<double> sums(ROWS * d, 0);
  forSamples(loss, E, [&](size_t u, size_t i, size_t j, const std::vector<double>& z, Sampled sampled) {
    double moved = 0;
    for (size_t k = 0; k < d; k++) moved += V[u * d + k] * z[k] + E[u * d + k] * (V[i * d + k] - (loss.bce ? 0 : V[j * d + k]));
    for (size_t k = 0; k < d; k++) {
      const double share = sampled.curve * moved / double(loss.users.size());
      sums[u * d + k] += share * z[k];
      sums[i * d + k] += share * E[u * d + k];
      if (!loss.bce) sums[j * d + k] -= share * E[u * d + k];
    }
  });
  sums = times(S, sums, d);
  for (size_t at = 0; at < sums.size(); at++) sums[at] += loss.regularisation * v[at];
  return sums;
}

}  // namespace

TEST("hessian: products against differences of gradients, Gauss-Newton against its definition") {
  for (const bool bce : {false, true}) {
    for (const size_t dimension : {1, 5, 8, 19}) {
      for (const size_t layers : {0, 1, 3}) {
        HessianProduct input;
        input.loss = problem(bce, dimension, layers, 70);
        input.vector = numbers<double>(ROWS * dimension, 4, 2);
        const auto S = propagator(layers > 0 ? input.loss.positives : sparse(USERS, ITEMS, 0, 1), USERS, ITEMS, layers);
        const std::vector<double> result = onAll("hessian product", input, cpu::hessianProduct);
        const double h = 1e-5;
        std::vector<double> ahead(input.loss.parameters.begin(), input.loss.parameters.end()), behind = ahead;
        for (size_t at = 0; at < ahead.size(); at++) ahead[at] += h * input.vector[at], behind[at] -= h * input.vector[at];
        const auto more = gradientAt(input.loss, S, ahead), less = gradientAt(input.loss, S, behind);
        for (size_t at = 0; at < result.size(); at++) expectNear(result[at], (more[at] - less[at]) / (2 * h), 1e-7, "hessian product");
        input.loss.gaussNewton = true;
        const std::vector<double> gn = onAll("Gauss-Newton product", input, cpu::hessianProduct);
        const auto wanted = gaussNewton(input.loss, S, {input.vector.begin(), input.vector.end()});
        for (size_t at = 0; at < gn.size(); at++) expectNear(gn[at], wanted[at], 1e-12, "Gauss-Newton product");
      }
    }
  }
}

TEST("hessian: no samples leave the regularisation") {
  HessianProduct input;
  input.loss = problem(false, 3, 0, 0);
  input.vector = numbers<double>(ROWS * 3, 4);
  const std::vector<double> result = onAll("hessian without samples", input, cpu::hessianProduct);
  for (size_t at = 0; at < result.size(); at++) expectNear(result[at], 0.03 * input.vector[at], 1e-15, "hessian without samples");
}

TEST("conjugate gradients: the residual is what is said, on all rows and on some") {
  for (const bool bce : {false, true}) {
    for (const bool restricted : {false, true}) {
      for (const size_t layers : {0, 2}) {
        ConjugateGradient input;
        input.loss = problem(bce, 6, layers, 90);
        input.loss.gaussNewton = true;
        input.damping = 0.01;
        input.tolerance = 1e-8;
        input.iterations = 500;
        input.restricted = restricted;
        std::vector<uint32_t> rows;
        for (uint32_t row = 0; row < ROWS; row++) if (!restricted || row % 3 == 1) rows.push_back(row);
        if (restricted) input.rows = rows;
        input.gradient = numbers<double>(rows.size() * 6, 7);
        const ConjugateGradientResult result = onAll("conjugate gradients", input, cpu::conjugateGradient);
        expect(!result.negativeCurvature && result.iterations < 500 && result.residual < 1e-6, "conjugate gradients settle");
        HessianProduct product;
        product.loss = input.loss;
        std::vector<double> spread(ROWS * 6, 0);
        for (size_t at = 0; at < rows.size(); at++) for (size_t d = 0; d < 6; d++) spread[rows[at] * 6 + d] = result.solution[at * 6 + d];
        product.vector = spread;
        check(product, plainRun());
        const std::vector<double> image = cpu::hessianProduct(product, plainRun());
        double off = 0, size = 0;
        for (size_t at = 0; at < rows.size(); at++) {
          for (size_t d = 0; d < 6; d++) {
            const double wanted = input.gradient[at * 6 + d], gap = wanted - image[rows[at] * 6 + d] - 0.01 * result.solution[at * 6 + d];
            off += gap * gap;
            size += wanted * wanted;
          }
        }
        expectNear(result.residual, std::sqrt(off / size), 1e-9, "the residual of conjugate gradients");
      }
    }
  }
}

TEST("conjugate gradients: negative curvature, no iterations, a gradient of zeros") {
  ConjugateGradient input;
  input.loss = problem(false, 4, 0, 40);
  input.loss.regularisation = 0;
  input.gradient = numbers<double>(ROWS * 4, 7);
  input.tolerance = 1e-10;
  input.iterations = 300;
  expect(onAll("negative curvature", input, cpu::conjugateGradient).negativeCurvature, "the Hessian of BPR is not convex");
  input.iterations = 0;
  const ConjugateGradientResult none = onAll("no iterations", input, cpu::conjugateGradient);
  expect(none.iterations == 0 && none.residual == 1, "without iterations nothing is solved");
  input.iterations = 10;
  input.gradient = std::vector<double>(ROWS * 4, 0.0);
  const ConjugateGradientResult zero = onAll("zero gradient", input, cpu::conjugateGradient);
  expect(zero.iterations == 0 && zero.residual == 0 && !zero.negativeCurvature, "a gradient of zeros is solved");
}
