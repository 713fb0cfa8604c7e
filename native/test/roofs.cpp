// Meant to be compiled for the very processor it runs on (-march=native), with -DCRAGRU_ROOFS_MAIN as a program of its own:
//   c++ -std=c++17 -O3 -march=native -DCRAGRU_ROOFS_MAIN native/test/roofs.cpp -o roofs -pthread && ./roofs 2
#include "roofs.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>

namespace cragru {

namespace {

double clockOf(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

// Seconds of work(thread) run on every thread at once; the best of `runs`.
double best(unsigned threads, int runs, const std::function<void(unsigned)>& work) {
  double least = 1e30;
  for (int run = 0; run < runs; run++) {
    if (threads == 1) {
      const double start = clockOf(CLOCK_THREAD_CPUTIME_ID);
      work(0);
      least = std::min(least, clockOf(CLOCK_THREAD_CPUTIME_ID) - start);
      continue;
    }
    std::atomic<unsigned> ready{0}, done{0};
    std::atomic<bool> go{false};
    std::vector<std::thread> helpers;
    for (unsigned thread = 0; thread < threads; thread++) {
      helpers.emplace_back([&, thread] {
        ready++;
        while (!go) {
        }
        work(thread);
        done++;
      });
    }
    while (ready < threads) std::this_thread::yield();
    const double start = clockOf(CLOCK_MONOTONIC);
    go = true;
    for (std::thread& helper : helpers) helper.join();
    least = std::min(least, clockOf(CLOCK_MONOTONIC) - start);
  }
  return least;
}

#if defined(__AVX512F__)
constexpr size_t BYTES = 64;
#elif defined(__AVX__)
constexpr size_t BYTES = 32;
#else
constexpr size_t BYTES = 16;
#endif

// Sixteen independent chains: more than the latency times the units of any processor so far.
template <class T>
double multiplyAdds(unsigned threads) {
  typedef T Vector __attribute__((vector_size(BYTES)));
  constexpr int CHAINS = 16, ROUNDS = 2000000;
  const double seconds = best(threads, 5, [](unsigned) {
    Vector sums[CHAINS], a = {}, b = {};
    a += T(0.999999), b += T(1e-6);
    for (Vector& sum : sums) sum = a;
    for (int round = 0; round < ROUNDS; round++) {
#pragma GCC unroll 16
      for (int chain = 0; chain < CHAINS; chain++) sums[chain] = sums[chain] * a + b;  // contracted: this file allows it
#if defined(__x86_64__)
      asm volatile("" : "+v"(a), "+v"(b));
#else
      asm volatile("" : "+w"(a), "+w"(b));
#endif
    }
    Vector all = {};
    for (const Vector& sum : sums) all += sum;
    volatile T sink = all[0];
    (void)sink;
  });
  return 2.0 * CHAINS * ROUNDS * double(BYTES / sizeof(T)) * threads / seconds / 1e9;
}

double reads(unsigned threads, size_t bytes, const std::vector<std::vector<float>>& memory) {
  const size_t count = bytes / sizeof(float), repeats = std::max<size_t>(1, (size_t(192) << 20) / bytes);
  typedef float Vector __attribute__((vector_size(BYTES), aligned(4)));
  constexpr size_t LANES = BYTES / sizeof(float);
  const double seconds = best(threads, 5, [&](unsigned thread) {
    // A load across two lines of the cache counts twice: begin at a line.
    const float* from = reinterpret_cast<const float*>((reinterpret_cast<uintptr_t>(memory[thread].data()) + 63) & ~uintptr_t(63));
    Vector sums[8] = {};
    for (size_t round = 0; round < repeats; round++) {
      for (size_t at = 0; at + 8 * LANES <= count; at += 8 * LANES) {
#pragma GCC unroll 8
        for (size_t part = 0; part < 8; part++) sums[part] += *reinterpret_cast<const Vector*>(from + at + part * LANES);
      }
      asm volatile("" ::: "memory");
    }
    Vector all = {};
    for (const Vector& sum : sums) all += sum;
    volatile float sink = all[0];
    (void)sink;
  });
  return double(bytes) * repeats * threads / seconds / 1e9;
}

double triad(unsigned threads) {
  constexpr size_t COUNT = size_t(12) << 20;
  std::vector<std::vector<float>> a(threads, std::vector<float>(COUNT)), b(threads, std::vector<float>(COUNT, 2)), c(threads, std::vector<float>(COUNT, 3));
  const double seconds = best(threads, 7, [&](unsigned thread) {
    float* to = a[thread].data();
    const float *from = b[thread].data(), *other = c[thread].data();
    for (size_t at = 0; at < COUNT; at++) to[at] = from[at] + 3 * other[at];
    asm volatile("" ::"r"(to) : "memory");
  });
  return 12.0 * COUNT * threads / seconds / 1e9;
}

}  // namespace

std::vector<std::pair<std::string, double>> measureRoofs(unsigned threads) {
  std::vector<std::pair<std::string, double>> roofs;
  roofs.push_back({"fma32", multiplyAdds<float>(threads)});
  roofs.push_back({"fma64", multiplyAdds<double>(threads)});
  std::vector<std::vector<float>> memory(threads, std::vector<float>((size_t(32) << 20) + 16, 1));
  // Working sets a thread: in the first, second and third cache of the processors of these years, and beyond.
  roofs.push_back({"l1", reads(threads, size_t(16) << 10, memory)});
  roofs.push_back({"l2", reads(threads, size_t(512) << 10, memory)});
  roofs.push_back({"l3", reads(threads, size_t(4) << 20, memory)});
  roofs.push_back({"memory", reads(threads, size_t(128) << 20, memory)});
  roofs.push_back({"triad", triad(threads)});
  return roofs;
}

}  // namespace cragru

#if defined(CRAGRU_ROOFS_MAIN)
int main(int count, char** values) {
  const int threads = count > 1 ? std::atoi(values[1]) : 1;
  if (threads < 1 || threads > 256) return std::fprintf(stderr, "threads: 1 to 256\n"), 2;
  std::printf("{");
  const char* comma = "";
  for (const auto& [name, rate] : cragru::measureRoofs(unsigned(threads))) {
    std::printf("%s\"%s\": %.2f", comma, name.c_str(), rate);
    comma = ", ";
  }
  std::printf("}\n");
}
#endif
