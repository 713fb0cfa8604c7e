// native/math.h for kernels: its functions for the host and the device alike, so that both run the same lines.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "device.h"

#if defined(__CUDACC__)
// Only its own text sees this: the system headers it names are included above.
#define inline __host__ __device__ inline
#include "../math.h"
#undef inline
#else
#include "../math.h"
#endif

namespace cragru {
namespace cuda {

// exp32 of native/math.h. Device code cannot read the table there; the test compares both.
__device__ __forceinline__ float expOf32(float x) {
  const float shifted = __fmaf_rn(x, 1.4426950408889634f, 12582912.0f), n = shifted - 12582912.0f;
  const float r = __fmaf_rn(n, 1.9046542121259336e-9f, __fmaf_rn(n, -0.6931471824645996f, x));
  float p = 0.0013820689637213945f;
  p = __fmaf_rn(p, r, 0.008368675597012043f);
  p = __fmaf_rn(p, r, 0.04166826605796814f);
  p = __fmaf_rn(p, r, 0.1666652113199234f);
  p = __fmaf_rn(p, r, 0.4999999403953552f);
  p = __fmaf_rn(p, r, 1.0f);
  p = __fmaf_rn(p, r, 1.0f);
  p = __uint_as_float(__float_as_uint(p) + (__float_as_uint(shifted) << 23));
  return x < -64.0f ? 0.0f : p;
}

}  // namespace cuda
}  // namespace cragru
