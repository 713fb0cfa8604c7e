// The table, the devices and held memory. The CUDA runtime is linked statically and opens the driver only when it is asked, so this
// object loads and answers "none" on a machine without GPU and driver.
#include <cstdio>
#include <cstring>
#include <new>

#include "calls.h"

struct CragruCudaArray {
  void* data = nullptr;
  size_t bytes = 0;
  int device = 0;
};

namespace cragru {
namespace cuda {

namespace {

// Freed memory up to this size stays with the process for the next call.
constexpr uint64_t KEPT_BYTES = uint64_t(1) << 30;

// Whether the driver allocates in stream order; some virtual GPUs do not. One kind of GPU a process.
bool hasPools() {
#if defined(CRAGRU_EMULATE)
  return true;
#else
  static const bool has = [] {
    int device = 0, supported = 0;
    cudaMemPool_t pool;
    uint64_t bytes = KEPT_BYTES;
    cudaGetDevice(&device);
    if (cudaDeviceGetAttribute(&supported, cudaDevAttrMemoryPoolsSupported, device) != cudaSuccess) supported = 0;
    if (supported && cudaDeviceGetDefaultMemPool(&pool, device) == cudaSuccess) cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &bytes);
    cudaGetLastError();
    return supported != 0;
  }();
  return has;
#endif
}

}  // namespace

void* allocate(size_t bytes, cudaStream_t stream) {
  void* data = nullptr;
  const cudaError_t status = hasPools() ? cudaMallocAsync(&data, bytes, stream) : cudaMalloc(&data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t unused = 0, total = 0;
    cudaMemGetInfo(&unused, &total);
    char text[CRAGRU_CUDA_TEXT];
    std::snprintf(text, sizeof text, "%.1f MB of GPU memory are needed in one piece, %.1f of %.1f MB are unused", double(bytes) / 1e6, double(unused) / 1e6,
                  double(total) / 1e6);
    throw Failure{CRAGRU_CUDA_MEMORY, text, bytes};
  }
  must(status);
  return data;
}

void release(void* data, cudaStream_t stream) {
  if (hasPools()) cudaFreeAsync(data, stream);
  else cudaFree(data);
}

void* heldData(const CragruCudaArray* array) { return array->data; }

namespace {

int countDevices(char* text, size_t size) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();  // the error would otherwise surface at the next call
  if (status != cudaSuccess) {
    std::snprintf(text, size, "no usable GPU: %s (CUDA error %d)", cudaGetErrorString(status), int(status));
    return 0;
  }
  std::snprintf(text, size, "%d GPU%s found", count, count == 1 ? "" : "s");
  return count;
}

int describeDevice(int number, CragruCudaDevice* device) {
  cudaDeviceProp properties;
  const cudaError_t status = cudaGetDeviceProperties(&properties, number);
  cudaGetLastError();
  if (status != cudaSuccess) return int(status);
  std::memset(device, 0, sizeof *device);
  std::snprintf(device->name, sizeof device->name, "%s", properties.name);
  device->memoryBytes = properties.totalGlobalMem;
  device->major = properties.major;
  device->minor = properties.minor;
  return 0;
}

template <class Body>
int guarded(CragruCudaCall* call, Body&& body) {
  call->bytes = 0;
  call->text[0] = 0;
  try {
    body();
    return CRAGRU_CUDA_DONE;
  } catch (const Failure& failure) {
    call->bytes = failure.bytes;
    std::snprintf(call->text, sizeof call->text, "%s", failure.text.c_str());
    return failure.status;
  } catch (const std::bad_alloc&) {
    std::snprintf(call->text, sizeof call->text, "not enough memory beside the GPU");
    return CRAGRU_CUDA_HOST;
  }
}

// A kernel of the table: its own stream, an end that waits for the results.
template <class In, void (*kernel)(Work&, const In&)>
int run(CragruCudaCall* call, const In* input) {
  return guarded(call, [&] {
    Work work(call);
    work.check();
    kernel(work, *input);
    work.wait();
  });
}

int upload(CragruCudaCall* call, const void* data, size_t bytes, CragruCudaArray** array) {
  return guarded(call, [&] {
    Work work(call);
    Buffer<char> memory(work, bytes > 0 ? bytes : 1);
    work.upload(memory.data(), static_cast<const char*>(data), bytes);
    work.wait();
    *array = new CragruCudaArray{memory.data(), bytes, call->device};
    memory.release();
  });
}

int download(CragruCudaCall* call, const CragruCudaArray* array, void* data) {
  return guarded(call, [&] {
    Work work(call);
    work.download(static_cast<char*>(data), static_cast<const char*>(array->data), array->bytes);
    work.wait();
  });
}

void freeArray(CragruCudaArray* array) {
  if (!array) return;
  cudaStream_t stream;
  cudaSetDevice(array->device);
  if (cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess) {
    release(array->data, stream);
    cudaStreamSynchronize(stream);
    cudaStreamDestroy(stream);
  }
  cudaGetLastError();
  delete array;
}

const CragruCudaTable table = {
    CRAGRU_CUDA_VERSION,
    countDevices,
    describeDevice,
    upload,
    download,
    freeArray,
    run<CragruCudaScoreTopK, scoreTopK>,
    run<CragruCudaPropagate, propagate>,
    run<CragruCudaKnapsack, knapsack>,
    run<CragruCudaAttention, attentionWeights>,
    run<CragruCudaTraining, train>,
    run<CragruCudaCholesky, cholesky>,
    run<CragruCudaRankUpdate, rankUpdate>,
    run<CragruCudaGram, gram>,
    run<CragruCudaCooccurrence, itemCooccurrence>,
    run<CragruCudaKMeans, kmeans>,
    run<CragruCudaHessianProduct, hessianProduct>,
    run<CragruCudaConjugateGradient, conjugateGradient>,
};

}  // namespace
}  // namespace cuda
}  // namespace cragru

extern "C" const CragruCudaTable* cragru_cuda_table(void) { return &cragru::cuda::table; }
