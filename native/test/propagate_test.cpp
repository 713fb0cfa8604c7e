#include "expect.h"

using namespace cragru;
using namespace cragru::test;

namespace {

Propagate problem(size_t users, size_t items, size_t dimension, size_t layers, uint32_t perMille) {
  Propagate input;
  input.userCount = users;
  input.itemCount = items;
  input.dimension = dimension;
  input.layers = layers;
  input.parameters = numbers<float>((users + items) * dimension, 5);
  input.positives = sparse(users, items, perMille, 6);
  return input;
}

}  // namespace

TEST("propagate: against a dense product") {
  for (const size_t dimension : {1, 7, 8, 16, 33, 64}) {
    for (const size_t layers : {0, 1, 2, 5}) {
      for (const bool bf16 : {false, true}) {
        Propagate input = problem(23, 31, dimension, layers, dimension == 7 ? 800 : 150);
        input.bf16 = bf16;
        const std::vector<float> result = onAll("propagate", input, cpu::propagate);
        const auto wanted = times(propagator(input.positives, 23, 31, layers), {input.parameters.begin(), input.parameters.end()}, dimension);
        for (size_t at = 0; at < wanted.size(); at++) {
          if (layers == 0) expect(result[at] == input.parameters[at], "propagate of 0 layers copies");
          else expectNear(result[at], wanted[at], bf16 ? 0.02 : 2e-6, bf16 ? "propagate with bf16 operands" : "propagate");
        }
      }
    }
  }
}

TEST("propagate: rows with many neighbours, and with none") {
  Propagate input = problem(400, 30, 12, 2, 800);
  const std::vector<float> result = onAll("propagate, wide rows", input, cpu::propagate);
  const auto wanted = times(propagator(input.positives, 400, 30, 2), {input.parameters.begin(), input.parameters.end()}, 12);
  for (size_t at = 0; at < wanted.size(); at++) expectNear(result[at], wanted[at], 1e-5, "propagate, wide rows");
  Propagate empty = problem(3, 4, 5, 3, 0);
  const std::vector<float> alone = onAll("propagate, no rows", empty, cpu::propagate);
  for (size_t at = 0; at < alone.size(); at++) expect(alone[at] == empty.parameters[at] / 4, "without neighbours only E0 / (layers + 1) is left");
}

TEST("propagate: denormals and signed zeros have the same bytes everywhere") {
  Propagate input = problem(9, 11, 20, 3, 400);
  input.parameters = numbers<float>(400, 3, 1e-43);
  onAll("propagate, denormals", input, cpu::propagate);
  std::vector<float> zeros(400);
  for (size_t at = 0; at < zeros.size(); at++) zeros[at] = at % 2 ? 0.0f : -0.0f;
  input.parameters = zeros;
  onAll("propagate, zeros", input, cpu::propagate);
  input.bf16 = true;
  input.parameters = numbers<float>(400, 3, 1e-39);
  onAll("propagate, denormals in bf16", input, cpu::propagate);
}
