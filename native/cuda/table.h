/* The way to CUDA code: plain C types, status codes, one table of functions. Neither exceptions nor C++ types cross it, so the
   code behind it can later live in a library of its own without a change on this side. */
#ifndef CRAGRU_CUDA_TABLE_H
#define CRAGRU_CUDA_TABLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CRAGRU_CUDA_VERSION = 1, CRAGRU_CUDA_TEXT = 256 };

typedef struct {
  char name[256];
  uint64_t memoryBytes;
  int major, minor; /* compute capability */
} CragruCudaDevice;

typedef struct {
  int version;
  /* Number of usable devices, 0 without a driver or GPU; writes one sentence about what was found. Never fails. */
  int (*countDevices)(char* text, size_t size);
  /* 0, or a CUDA error number. */
  int (*describeDevice)(int number, CragruCudaDevice* device);
} CragruCudaTable;

const CragruCudaTable* cragru_cuda_table(void);

#ifdef __cplusplus
}
#endif

#endif
