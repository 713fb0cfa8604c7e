// What an epoch of BPR costs in the form that CPU libraries have it: for each sample a random positive, a random negative, a search
// of the negative among the user's items, then sequential SGD on three rows in float32. It is the inner loop of `implicit`
// (implicit/cpu/bpr.pyx, bpr_update: mt19937 draws over the entries, so negatives by popularity; verify_negative_samples), in C++ and
// with all that the compiler may do for it: build it as strong as it gets.
//   g++ -O3 -march=native -ffast-math -o sequential_bpr bench/peers/sequential_bpr.cpp
//   ./sequential_bpr rows.bin 64 5           rows.bin: uint32 users, items, entries, offsets [users + 1], columns [entries]
// Prints the CPU milliseconds of each epoch.
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

static double cpuMilliseconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return double(usage.ru_utime.tv_sec) * 1e3 + double(usage.ru_utime.tv_usec) / 1e3;
}

int main(int argc, char** argv) {
  FILE* file = argc > 1 ? fopen(argv[1], "rb") : nullptr;
  uint32_t head[3];
  if (!file || fread(head, 4, 3, file) != 3) return puts("usage: sequential_bpr rows.bin [dimension] [epochs]"), 1;
  const size_t dimension = argc > 2 ? atoi(argv[2]) : 64;
  const int epochs = argc > 3 ? atoi(argv[3]) : 5;
  std::vector<uint32_t> offsets(head[0] + 1), columns(head[2]), users(head[2]);
  if (fread(offsets.data(), 4, offsets.size(), file) != offsets.size() || fread(columns.data(), 4, columns.size(), file) != columns.size()) return 1;
  fclose(file);
  for (uint32_t user = 0; user < head[0]; user++) std::fill(users.begin() + offsets[user], users.begin() + offsets[user + 1], user);
  std::mt19937 random(1);
  std::uniform_real_distribution<float> initial(-0.5f, 0.5f);
  std::uniform_int_distribution<uint32_t> entry(0, head[2] - 1);
  std::vector<float> X(head[0] * dimension), Y(head[1] * dimension);
  for (float& value : X) value = initial(random) / float(dimension);
  for (float& value : Y) value = initial(random) / float(dimension);
  const float rate = 0.01f, regularisation = 0.01f;
  size_t correct = 0, skipped = 0;
  for (int epoch = 0; epoch < epochs; epoch++) {
    const double started = cpuMilliseconds();
    for (size_t sample = 0; sample < head[2]; sample++) {
      const uint32_t liked = entry(random), disliked = columns[entry(random)], user = users[liked];
      if (std::binary_search(columns.begin() + offsets[user], columns.begin() + offsets[user + 1], disliked)) {
        skipped++;
        continue;
      }
      float *u = &X[user * dimension], *i = &Y[columns[liked] * dimension], *j = &Y[disliked * dimension];
      float score = 0;
      for (size_t d = 0; d < dimension; d++) score += u[d] * (i[d] - j[d]);
      const float z = 1.0f / (1.0f + std::exp(score));
      correct += z < 0.5f;
      for (size_t d = 0; d < dimension; d++) {
        const float own = u[d];
        u[d] += rate * (z * (i[d] - j[d]) - regularisation * own);
        i[d] += rate * (z * own - regularisation * i[d]);
        j[d] += rate * (-z * own - regularisation * j[d]);
      }
    }
    printf("epoch %d: %.1f ms\n", epoch, cpuMilliseconds() - started);
  }
  printf("correct %.3f, skipped %.3f\n", double(correct) / (double(head[2]) * epochs), double(skipped) / (double(head[2]) * epochs));
}
