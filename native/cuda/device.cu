// What GPUs are there. The CUDA runtime is linked statically and opens the driver only when it is asked, so this object loads
// and answers "none" on a machine without GPU and driver.
#include <cuda_runtime.h>

#include <cstdio>
#include <cstring>

#include "table.h"

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

const CragruCudaTable table = {CRAGRU_CUDA_VERSION, countDevices, describeDevice};

}  // namespace

extern "C" const CragruCudaTable* cragru_cuda_table(void) { return &table; }
