// What an epoch of BPR costs in the form that CPU libraries have it: for each sample a random positive, a random negative, a search
// of the negative among the user's items, then SGD on three rows in float32, at once. It is the inner loop of `implicit`
// (implicit/cpu/bpr.pyx, bpr_update: mt19937 draws over the entries, so negatives by popularity; verify_negative_samples), in C++ and
// with all that the compiler may do for it: build it as strong as it gets. Several threads take a share of the samples each and race.
//   g++ -std=c++17 -O3 -march=native -ffast-math -pthread -o sequential_bpr bench/peers/sequential_bpr.cpp
//   ./sequential_bpr FOLDER 6040 3706 64 1         reads FOLDER/positives.offsets.u32 and .columns.u32; users, items, dimension, threads
// Speaks as peers/protocol.py says: one epoch to warm up, then an epoch for each line "go".
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

static double milliseconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return double(now.tv_sec) * 1e3 + double(now.tv_nsec) / 1e6;
}

static std::vector<uint32_t> load(const std::string& path) {
  std::vector<uint32_t> values;
  if (FILE* file = fopen(path.c_str(), "rb")) {
    fseek(file, 0, SEEK_END);
    values.resize(size_t(ftell(file)) / 4);
    rewind(file);
    if (fread(values.data(), 4, values.size(), file) != values.size()) values.clear();
    fclose(file);
  }
  return values;
}

int main(int argc, char** argv) {
  if (argc != 6) return fputs("usage: sequential_bpr FOLDER users items dimension threads\n", stderr), 2;
  const std::string folder = argv[1];
  const size_t userCount = size_t(atol(argv[2])), itemCount = size_t(atol(argv[3])), dimension = size_t(atol(argv[4])), threads = size_t(atol(argv[5]));
  const std::vector<uint32_t> offsets = load(folder + "/positives.offsets.u32"), columns = load(folder + "/positives.columns.u32");
  if (offsets.size() != userCount + 1 || columns.size() != offsets.back() || columns.empty() || threads < 1) return fputs("no rows there\n", stderr), 1;
  std::vector<uint32_t> users(columns.size());
  for (uint32_t user = 0; user < userCount; user++) std::fill(users.begin() + offsets[user], users.begin() + offsets[user + 1], user);
  std::mt19937 start(1);
  std::uniform_real_distribution<float> initial(-0.5f, 0.5f);
  std::vector<float> X(userCount * dimension), Y(itemCount * dimension);
  for (float& value : X) value = initial(start) / float(dimension);
  for (float& value : Y) value = initial(start) / float(dimension);
  std::vector<std::mt19937> randoms;
  for (size_t thread = 0; thread < threads; thread++) randoms.emplace_back(uint32_t(thread + 2));

  const auto share = [&](size_t thread) {
    std::mt19937& random = randoms[thread];
    std::uniform_int_distribution<uint32_t> entry(0, uint32_t(columns.size() - 1));
    const float rate = 0.01f, regularisation = 0.01f;
    for (size_t sample = thread; sample < columns.size(); sample += threads) {
      const uint32_t liked = entry(random), disliked = columns[entry(random)], user = users[liked];
      if (std::binary_search(columns.begin() + offsets[user], columns.begin() + offsets[user + 1], disliked)) continue;
      float *u = &X[user * dimension], *i = &Y[columns[liked] * dimension], *j = &Y[disliked * dimension];
      float score = 0;
      for (size_t d = 0; d < dimension; d++) score += u[d] * (i[d] - j[d]);
      const float z = 1.0f / (1.0f + std::exp(score));
      for (size_t d = 0; d < dimension; d++) {
        const float own = u[d];
        u[d] += rate * (z * (i[d] - j[d]) - regularisation * own);
        i[d] += rate * (z * own - regularisation * i[d]);
        j[d] += rate * (-z * own - regularisation * j[d]);
      }
    }
  };
  const auto epoch = [&] {
    std::vector<std::thread> others;
    for (size_t thread = 1; thread < threads; thread++) others.emplace_back(share, thread);
    share(0);
    for (std::thread& other : others) other.join();
  };

  epoch();
  printf("{\"peer\": \"sequential C++, %zu %s\"}\n", threads, threads == 1 ? "thread" : "threads");
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    if (strcmp(line, "go\n") != 0) continue;
    const double wall = milliseconds(CLOCK_MONOTONIC), cpu = milliseconds(CLOCK_PROCESS_CPUTIME_ID);
    epoch();
    printf("{\"wallMs\": %.4f, \"cpuMs\": %.4f}\n", milliseconds(CLOCK_MONOTONIC) - wall, milliseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    fflush(stdout);
  }
}
