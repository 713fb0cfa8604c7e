// Small device functions that several kernels share.
#pragma once
#include "device.h"

namespace cragru {
namespace cuda {

constexpr unsigned ALL_LANES = 0xffffffffu;

__device__ __forceinline__ unsigned laneOf() { return threadIdx.x & 31u; }

template <class T>
__device__ __host__ __forceinline__ T least(T a, T b) {
  return b < a ? b : a;
}

// dot(a, b) of the contract by 8 neighbouring lanes, lane l being sum l; every lane gets the value. All lanes of the warp must
// call it. A lane's product is exact in double, so the fused form rounds where the two operations would.
__device__ __forceinline__ double dotOfEight(const float* a, const float* b, size_t dimension) {
  double sum = 0.0;
  for (size_t d = threadIdx.x & 7u; d < dimension; d += 8) sum = __fma_rn(double(a[d]), double(b[d]), sum);
  sum = sum + __shfl_xor_sync(ALL_LANES, sum, 4);
  sum = sum + __shfl_xor_sync(ALL_LANES, sum, 2);
  return sum + __shfl_xor_sync(ALL_LANES, sum, 1);
}

// The same by one thread.
__device__ inline double dotOfOne(const float* a, const float* b, size_t dimension) {
  double sums[8];
#pragma unroll
  for (int l = 0; l < 8; l++) {
    double sum = 0.0;
    for (size_t d = size_t(l); d < dimension; d += 8) sum = __fma_rn(double(a[d]), double(b[d]), sum);
    sums[l] = sum;
  }
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// Unsigned numbers in the order of the floats, -0 as 0; 0 comes from no number. Not for NaN.
__device__ __forceinline__ unsigned orderOf(float value) {
  const unsigned bits = value == 0.0f ? 0u : __float_as_uint(value);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float fromOrder(unsigned order) { return __uint_as_float(order & 0x80000000u ? order & 0x7fffffffu : ~order); }

// First place in sorted[from .. to) whose value is not below `value`.
__device__ __forceinline__ unsigned lowerBound(const uint32_t* sorted, unsigned from, unsigned to, unsigned value) {
  while (from < to) {
    const unsigned middle = from + (to - from) / 2;
    if (sorted[middle] < value) from = middle + 1;
    else to = middle;
  }
  return from;
}

// 16 bytes from global to shared memory without a register between, zeros where `holds` is not set; seen by the thread itself
// after waitCopies, by others after the barrier behind it.
__device__ __forceinline__ void copy16(void* shared, const void* global, bool holds) {
#if defined(CRAGRU_EMULATE)
  if (holds) std::memcpy(shared, global, 16);
  else std::memset(shared, 0, 16);
#else
  const unsigned to = unsigned(__cvta_generic_to_shared(shared));
  const int bytes = holds ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(global), "r"(bytes) : "memory");
#endif
}

__device__ __forceinline__ void commitCopies() {
#if !defined(CRAGRU_EMULATE)
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}

// All groups but the `PENDING` latest have arrived.
template <int PENDING>
__device__ __forceinline__ void waitCopies() {
#if !defined(CRAGRU_EMULATE)
  asm volatile("cp.async.wait_group %0;\n" ::"n"(PENDING) : "memory");
#endif
}

}  // namespace cuda
}  // namespace cragru
