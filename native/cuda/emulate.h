// CUDA on the host, for tests where no GPU is: the kernel sources compile with a C++ compiler and run here, one thread of a block
// after the other, as fibers that change at barriers. It is a stricter machine than a GPU, so that mistakes show up:
// - threads and blocks run in an order drawn from a seed, so that a missing barrier changes results;
// - a barrier or warp function that not all threads reach, or reach at different lines, stops the program;
// - work of a stream runs only when the host waits for it or takes a copy;
// - new device and shared memory is filled with bytes 0xff (NaN, huge indices); beyond each device buffer lies a page that
//   nobody may touch, shared memory ends in a guard; the host cannot touch device memory at all, a kernel takes no host pointer.
// It gives no speed and knows nothing of coalescing, registers or the memory model between blocks of one launch.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>

#define __global__ static
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace cragru {
namespace emulate {

// 0: threads and blocks ascending; 1: descending; else shuffled by this seed.
extern uint32_t order;
// Bytes that cudaMallocAsync hands out at most.
extern size_t memoryLimit;
extern size_t memoryInUse;
// The error that the next launch reports; 0 none.
extern int failNext;

[[noreturn]] void stop(const char* text);

void barrier(const char* file, int line);
enum class WarpCall { sync, shuffle, ballot, match };
// The value of lane `source` (shuffle), the lanes whose value is not 0 (ballot), or those of equal value (match).
uint64_t warp(WarpCall call, unsigned mask, uint64_t value, unsigned source, int line);
unsigned lane();
unsigned char* shared();

void requireDevicePointer(const void* pointer, const char* kernel);
void enqueue(void* stream, std::function<void()> work);
void runGrid(const char* kernel, dim3 grid, dim3 block, size_t sharedBytes, const std::function<void()>& thread);

template <class T>
uint64_t toBits(T value) {
  static_assert(sizeof(T) <= 8, "warp functions move 4 or 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

template <class T>
T shuffle(unsigned mask, T value, unsigned source, int line) {
  const uint64_t bits = warp(WarpCall::shuffle, mask, toBits(value), source, line);
  T result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

}  // namespace emulate
}  // namespace cragru

#define __syncthreads() ::cragru::emulate::barrier(__FILE__, __LINE__)
#define __syncwarp() (void)::cragru::emulate::warp(::cragru::emulate::WarpCall::sync, 0xffffffffu, 0, 0, __LINE__)
#define __shfl_sync(mask, value, from) ::cragru::emulate::shuffle(mask, value, unsigned(from) & 31u, __LINE__)
#define __shfl_xor_sync(mask, value, with) ::cragru::emulate::shuffle(mask, value, (::cragru::emulate::lane() ^ unsigned(with)) & 31u, __LINE__)
#define __shfl_up_sync(mask, value, by) \
  ::cragru::emulate::shuffle(mask, value, ::cragru::emulate::lane() < unsigned(by) ? ::cragru::emulate::lane() : ::cragru::emulate::lane() - unsigned(by), __LINE__)
#define __shfl_down_sync(mask, value, by) \
  ::cragru::emulate::shuffle(mask, value, ::cragru::emulate::lane() + unsigned(by) > 31u ? ::cragru::emulate::lane() : ::cragru::emulate::lane() + unsigned(by), __LINE__)
#define __ballot_sync(mask, holds) unsigned(::cragru::emulate::warp(::cragru::emulate::WarpCall::ballot, mask, (holds) ? 1 : 0, 0, __LINE__))
#define __any_sync(mask, holds) (__ballot_sync(mask, holds) != 0u)
#define __all_sync(mask, holds) (__ballot_sync(mask, holds) == (mask))
#define __match_any_sync(mask, value) \
  unsigned(::cragru::emulate::warp(::cragru::emulate::WarpCall::match, mask, ::cragru::emulate::toBits(value), 0, __LINE__))
#define __threadfence() (void)0

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(unsigned(x)); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
inline unsigned __float_as_uint(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
inline float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline double __fma_rn(double a, double b, double c) { return __builtin_fma(a, b, c); }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
template <class T>
T __ldg(const T* from) {
  return *from;
}

template <class T, class V>
T atomicAdd(T* at, V value) {
  static_assert(std::is_integral<T>::value, "sums of floats depend on the order");
  const T old = *at;
  *at = T(old + T(value));
  return old;
}
template <class T, class V>
T atomicMax(T* at, V value) {
  const T old = *at;
  if (T(value) > old) *at = T(value);
  return old;
}
template <class T, class V>
T atomicMin(T* at, V value) {
  const T old = *at;
  if (T(value) < old) *at = T(value);
  return old;
}
template <class T, class V>
T atomicOr(T* at, V value) {
  const T old = *at;
  *at = old | T(value);
  return old;
}

// The part of the CUDA runtime that native/cuda uses, under its names.
typedef int cudaError_t;
typedef struct EmulatedStream* cudaStream_t;
typedef struct EmulatedEvent* cudaEvent_t;
enum { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMemoryAllocation = 2, cudaErrorLaunchFailure = 719 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum { cudaStreamNonBlocking = 1 };
struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem;
  int major, minor, multiProcessorCount;
};
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
const char* cudaGetErrorString(cudaError_t status);
cudaError_t cudaGetLastError();
cudaError_t cudaMemGetInfo(size_t* unused, size_t* total);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t stream);
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream);
cudaError_t cudaMalloc(void** pointer, size_t bytes);
cudaError_t cudaFree(void* pointer);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream);
enum { cudaEventDisableTiming = 2 };
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventDestroy(cudaEvent_t event);
