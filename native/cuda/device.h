// What every kernel source includes: the CUDA runtime under nvcc, the emulator under -DCRAGRU_EMULATE, and one way to launch,
// allocate, copy and fail. Inside native/cuda a failure is a C++ exception; guarded() in table.cu turns it into a status.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#if defined(CRAGRU_EMULATE)
#include "emulate.h"
#define CRAGRU_SHARED(name) unsigned char* name = ::cragru::emulate::shared()
#else
#include <cuda_runtime.h>
// The shared memory of a block, as many bytes as the launch says.
#define CRAGRU_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#endif

#include "table.h"

namespace cragru {
namespace cuda {

struct Failure {
  int status;
  std::string text;
  uint64_t bytes = 0;
};

inline void must(cudaError_t status) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  throw Failure{CRAGRU_CUDA_DEVICE, std::string(cudaGetErrorString(status)) + " (CUDA error " + std::to_string(int(status)) + ")"};
}

// Where set (native/bench/cuda_bench.cu), told before and after every launch.
struct Watcher {
  virtual void before(const char* kernel, cudaStream_t stream) = 0;
  virtual void after(cudaStream_t stream) = 0;
};
inline Watcher* watcher = nullptr;

// One call: its stream, and the caller's wish to stop. Device work of a call runs in order on its stream.
class Work {
 public:
  explicit Work(CragruCudaCall* call) : call_(call) {
    must(cudaSetDevice(call->device));
    must(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    for (cudaEvent_t& event : events_) must(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  }
  // After a failure or a cancellation, what was launched still reads memory that is about to be freed.
  ~Work() {
    cudaStreamSynchronize(stream_);
    for (cudaEvent_t event : events_) cudaEventDestroy(event);
    cudaStreamDestroy(stream_);
  }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  cudaStream_t stream() const { return stream_; }

  void check() const {
    if (call_->cancelled && call_->cancelled(call_->context)) throw Failure{CRAGRU_CUDA_CANCELLED, "cancelled"};
  }

  // To be called after each few milliseconds of device work: waits until at most two such steps are under way, so that a
  // cancelled call ends soon.
  void step(double done, double total) {
    check();
    must(cudaEventRecord(events_[steps_ % 2], stream_));
    steps_++;
    if (steps_ >= 2) must(cudaEventSynchronize(events_[steps_ % 2]));
    if (call_->progress) call_->progress(call_->context, done, total);
  }

  void wait() {
    must(cudaStreamSynchronize(stream_));
    check();
  }

  // Host memory here is never pinned: what is uploaded may change on return, what is downloaded is there.
  template <class T>
  void download(T* host, const T* device, size_t count) {
    if (count > 0) must(cudaMemcpyAsync(host, device, count * sizeof(T), cudaMemcpyDeviceToHost, stream_));
  }
  template <class T>
  void upload(T* device, const T* host, size_t count) {
    if (count > 0) must(cudaMemcpyAsync(device, host, count * sizeof(T), cudaMemcpyHostToDevice, stream_));
  }
  template <class T>
  void copy(T* to, const T* from, size_t count) {
    if (count > 0) must(cudaMemcpyAsync(to, from, count * sizeof(T), cudaMemcpyDeviceToDevice, stream_));
  }
  // Every byte.
  template <class T>
  void fill(T* device, int byte, size_t count) {
    if (count > 0) must(cudaMemsetAsync(device, byte, count * sizeof(T), stream_));
  }

  // By CRAGRU_LAUNCH alone.
  template <class... P, class... A>
  void launch(const char* name, void (*kernel)(P...), dim3 grid, unsigned block, size_t shared, A... arguments) {
    if (grid.x == 0 || grid.y == 0) return;
#if defined(CRAGRU_EMULATE)
    (requirePointer(arguments, name), ...);
    must(cudaGetLastError());
    emulate::enqueue(stream_, [=] { emulate::runGrid(name, grid, dim3(block), shared, [=] { kernel(P(arguments)...); }); });
#else
    if (shared > 48 * 1024) must(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared)));
    if (watcher) watcher->before(name, stream_);
    kernel<<<grid, dim3(block), shared, stream_>>>(P(arguments)...);
    must(cudaGetLastError());
    if (watcher) watcher->after(stream_);
#endif
  }

 private:
#if defined(CRAGRU_EMULATE)
  template <class T>
  static void requirePointer(const T& argument, const char* name) {
    if constexpr (std::is_pointer<T>::value) emulate::requireDevicePointer(argument, name);
  }
#endif

  CragruCudaCall* call_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t events_[2] = {nullptr, nullptr};
  size_t steps_ = 0;
};

// A template kernel with commas stands in parentheses. An empty grid launches nothing.
#define CRAGRU_LAUNCH(work, kernel, grid, block, shared, ...) (work).launch(#kernel, kernel, grid, block, shared, __VA_ARGS__)

// In stream order, where the driver can; else at once, which waits for the GPU.
void* allocate(size_t bytes, cudaStream_t stream);
void release(void* data, cudaStream_t stream);

// Device memory for the time of a call; freed in stream order.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Work& work, size_t size) : data_(static_cast<T*>(size > 0 ? allocate(size * sizeof(T), work.stream()) : nullptr)), size_(size), stream_(work.stream()) {}
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(stream_, other.stream_);
    return *this;
  }
  ~Buffer() {
    if (data_) cuda::release(data_, stream_);
  }

  T* data() const { return data_; }
  size_t size() const { return size_; }
  // Leaves the memory to the caller.
  T* release() { return std::exchange(data_, nullptr); }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
  cudaStream_t stream_ = nullptr;
};

// Device memory that outlives calls; what the table calls CragruCudaArray.
void* heldData(const CragruCudaArray* array);

// An argument on the device: a copy for this call, or what is held there.
template <class T>
class Input {
 public:
  template <class Argument>
  Input(Work& work, const Argument& argument) : size_(argument.count) {
    if (argument.held) {
      data_ = static_cast<const T*>(heldData(argument.held));
    } else {
      own_ = Buffer<T>(work, argument.count);
      work.upload(own_.data(), argument.data, argument.count);
      data_ = own_.data();
    }
  }
  const T* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  Buffer<T> own_;
  const T* data_ = nullptr;
  size_t size_ = 0;
};

// Rounded up.
inline size_t divide(size_t a, size_t b) { return (a + b - 1) / b; }

// Blocks of `block` threads for `count` items, one a thread.
inline dim3 gridFor(size_t count, size_t block) { return dim3(unsigned(divide(count, block))); }

}  // namespace cuda
}  // namespace cragru
