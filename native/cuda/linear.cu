// Symmetric matrices in double. Every entry is one chain of fused multiply-adds in ascending order (src/native/reference/linear.ts),
// so blocks can be applied one after the other: factor a block column, then apply it to all that lies right of it.
// The triangle stands as a square of whole blocks; what pads it is the identity, which changes no entry.
#include <algorithm>
#include <cmath>
#include <vector>

#include "calls.h"
#include "numeric.h"

namespace cragru {
namespace cuda {

namespace {

constexpr int BLOCK = 64, SLICE = 16, THREADS = 256;
constexpr int PITCH = BLOCK + 1;
// Multiply-adds of one launch.
constexpr size_t LAUNCH_WORK = size_t(1) << 36;

// A square of `pitch` columns from a packed triangle of order n, and back.
__global__ void unpack(const double* triangle, size_t n, size_t pitch, double* square) {
  const size_t column = size_t(blockIdx.y) * blockDim.x + threadIdx.x, row = blockIdx.x;
  if (column >= pitch) return;
  double value = row == column ? 1.0 : 0.0;
  if (row < n && column < n) value = column <= row ? triangle[row * (row + 1) / 2 + column] : 0.0;
  square[row * pitch + column] = value;
}

__global__ void pack(const double* square, size_t n, size_t pitch, double* triangle) {
  const size_t column = size_t(blockIdx.y) * blockDim.x + threadIdx.x, row = blockIdx.x;
  if (column <= row && row < n) triangle[row * (row + 1) / 2 + column] = square[row * pitch + column];
}

__device__ void loadBlock(const double* from, size_t pitch, double* to) {
  for (int at = threadIdx.x; at < BLOCK * BLOCK; at += THREADS) to[at / BLOCK * PITCH + at % BLOCK] = from[size_t(at / BLOCK) * pitch + at % BLOCK];
}

__device__ void storeBlock(const double* from, size_t pitch, double* to) {
  for (int at = threadIdx.x; at < BLOCK * BLOCK; at += THREADS) to[size_t(at / BLOCK) * pitch + at % BLOCK] = from[at / BLOCK * PITCH + at % BLOCK];
}

// The factor of a diagonal block, by one block of threads. pivot: lowest column without a positive finite pivot.
__global__ void factorDiagonal(double* square, size_t pitch, unsigned block, uint32_t* pivot) {
  CRAGRU_SHARED(memory);
  double* s = reinterpret_cast<double*>(memory);  // [BLOCK][PITCH]
  double* corner = square + block * BLOCK * (pitch + 1);
  loadBlock(corner, pitch, s);
  __syncthreads();
  for (int k = 0; k < BLOCK; k++) {
    const double value = s[k * PITCH + k];
    __syncthreads();
    if (threadIdx.x == 0) {
      if (!(value > 0.0 && value < INFINITY)) atomicMin(pivot, block * BLOCK + k);
      s[k * PITCH + k] = sqrt(value);
    }
    __syncthreads();
    const double root = s[k * PITCH + k];
    for (int i = k + 1 + threadIdx.x; i < BLOCK; i += THREADS) s[i * PITCH + k] = s[i * PITCH + k] / root;
    __syncthreads();
    for (int at = threadIdx.x; at < BLOCK * BLOCK; at += THREADS) {
      const int i = at / BLOCK, j = at % BLOCK;
      if (j > k && i >= j) s[i * PITCH + j] = __fma_rn(-s[i * PITCH + k], s[j * PITCH + k], s[i * PITCH + j]);
    }
    __syncthreads();
  }
  storeBlock(s, pitch, corner);
}

// The blocks below a diagonal block, one a block of threads.
__global__ void solveBelow(double* square, size_t pitch, unsigned block) {
  CRAGRU_SHARED(memory);
  double* l = reinterpret_cast<double*>(memory);  // [BLOCK][PITCH]
  double* s = l + BLOCK * PITCH;
  const double* corner = square + block * BLOCK * (pitch + 1);
  double* own = square + (block + 1 + blockIdx.x) * BLOCK * pitch + block * BLOCK;
  loadBlock(corner, pitch, l);
  loadBlock(own, pitch, s);
  __syncthreads();
  for (int k = 0; k < BLOCK; k++) {
    if (threadIdx.x < BLOCK) s[threadIdx.x * PITCH + k] = s[threadIdx.x * PITCH + k] / l[k * PITCH + k];
    __syncthreads();
    for (int at = threadIdx.x; at < BLOCK * BLOCK; at += THREADS) {
      const int i = at / BLOCK, j = at % BLOCK;
      if (j > k) s[i * PITCH + j] = __fma_rn(-s[i * PITCH + k], l[j * PITCH + k], s[i * PITCH + j]);
    }
    __syncthreads();
  }
  storeBlock(s, pitch, own);
}

// Row `block` of M = 1 / L from the sums in it, one block of columns a block of threads; the last holds the diagonal.
__global__ void solveInverse(const double* square, double* inverse, size_t pitch, unsigned block) {
  CRAGRU_SHARED(memory);
  double* l = reinterpret_cast<double*>(memory);  // [BLOCK][PITCH]
  double* s = l + BLOCK * PITCH;
  const bool diagonal = blockIdx.x == block;
  double* own = inverse + block * BLOCK * pitch + size_t(blockIdx.x) * BLOCK;
  loadBlock(square + block * BLOCK * (pitch + 1), pitch, l);
  loadBlock(own, pitch, s);
  __syncthreads();
  for (int k = 0; k < BLOCK; k++) {
    if (threadIdx.x < BLOCK) {
      const double sum = diagonal && threadIdx.x == unsigned(k) ? 1.0 : s[k * PITCH + threadIdx.x];
      s[k * PITCH + threadIdx.x] = sum / l[k * PITCH + k];
    }
    __syncthreads();
    for (int at = threadIdx.x; at < BLOCK * BLOCK; at += THREADS) {
      const int i = at / BLOCK, j = at % BLOCK;
      if (i > k) s[i * PITCH + j] = __fma_rn(-l[i * PITCH + k], s[k * PITCH + j], s[i * PITCH + j]);
    }
    __syncthreads();
  }
  storeBlock(s, pitch, own);
}

enum class Product {
  factor,   // square[i][j] -= sum over k of square[i][k] square[j][k]
  inverse,  // inverse[i][j] -= sum over k of square[i][k] inverse[k][j]
  square    // square[i][j] = sum over k of inverse[k][i] inverse[k][j], plus 0
};

// Blocks (firstRow + y, firstColumn + x) of one product over the k of the blocks [from, to); under `square` from its own row on.
template <Product KIND>
__global__ void __launch_bounds__(THREADS) multiply(double* square, double* inverse, size_t pitch, unsigned firstRow, unsigned firstColumn, unsigned from, unsigned to) {
  CRAGRU_SHARED(memory);
  double* left = reinterpret_cast<double*>(memory);  // [SLICE][BLOCK + 1]: k, i
  double* right = left + SLICE * PITCH;               // k, j
  const unsigned row = firstRow + blockIdx.y, column = firstColumn + blockIdx.x;
  if (KIND != Product::inverse && column > row) return;
  if (KIND == Product::square) from = row;
  const size_t rowStart = size_t(row) * BLOCK, columnStart = size_t(column) * BLOCK;
  double* result = (KIND == Product::inverse ? inverse : square) + rowStart * pitch + columnStart;
  const unsigned tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  double sums[4][4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) sums[i][j] = KIND == Product::square ? 0.0 : result[(ty + 16 * i) * pitch + tx + 16 * j];
  }
  for (size_t first = size_t(from) * BLOCK; first < size_t(to) * BLOCK; first += SLICE) {
    __syncthreads();
#pragma unroll
    for (int part = 0; part < SLICE * BLOCK / THREADS; part++) {
      const unsigned at = threadIdx.x + part * THREADS;
      const unsigned across = at % BLOCK, k = at / BLOCK;          // of rows by k: a row of memory is an index of the result
      const unsigned along = at % SLICE, other = at / SLICE;       // of rows that run along k
      if (KIND == Product::square) left[k * PITCH + across] = inverse[(first + k) * pitch + rowStart + across];
      else left[along * PITCH + other] = -square[(rowStart + other) * pitch + first + along];
      if (KIND == Product::factor) right[along * PITCH + other] = square[(columnStart + other) * pitch + first + along];
      else right[k * PITCH + across] = inverse[(first + k) * pitch + columnStart + across];
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < SLICE; k++) {
      double a[4], b[4];
#pragma unroll
      for (int i = 0; i < 4; i++) a[i] = left[k * PITCH + ty + 16 * i];
#pragma unroll
      for (int j = 0; j < 4; j++) b[j] = right[k * PITCH + tx + 16 * j];
#pragma unroll
      for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) sums[i][j] = __fma_rn(a[i], b[j], sums[i][j]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) result[(ty + 16 * i) * pitch + tx + 16 * j] = KIND == Product::square ? sums[i][j] + 0.0 : sums[i][j];
  }
}

// column: lowest column with an entry of 2^500 or more.
__global__ void checkRange(const double* inverse, size_t n, size_t pitch, uint32_t* column) {
  const size_t at = size_t(blockIdx.y) * blockDim.x + threadIdx.x, row = blockIdx.x;
  if (at <= row && row < n && !(fabs(inverse[row * pitch + at]) < 0x1p500)) atomicMin(column, unsigned(at));
}

// Eight rows by 256 columns a block: a value of v[j] serves eight entries.
constexpr int UPDATE_ROWS = 8, UPDATE_RANKS = 32;
__global__ void __launch_bounds__(256) update(double* triangle, size_t n, const double* vectors, const double* weights, size_t rank, uint32_t* spoilt) {
  CRAGRU_SHARED(memory);
  double* factors = reinterpret_cast<double*>(memory);  // [UPDATE_RANKS][UPDATE_ROWS]
  const size_t firstRow = size_t(blockIdx.y) * UPDATE_ROWS, column = size_t(blockIdx.x) * 256 + threadIdx.x;
  if (size_t(blockIdx.x) * 256 >= firstRow + UPDATE_ROWS) return;
  double sums[UPDATE_ROWS];
#pragma unroll
  for (int i = 0; i < UPDATE_ROWS; i++) {
    const size_t row = firstRow + i;
    sums[i] = row < n && column <= row ? triangle[row * (row + 1) / 2 + column] : 0.0;
  }
  for (size_t first = 0; first < rank; first += UPDATE_RANKS) {
    const unsigned ranks = unsigned(least(rank - first, size_t(UPDATE_RANKS)));
    __syncthreads();
    const unsigned r = threadIdx.x / UPDATE_ROWS, i = threadIdx.x % UPDATE_ROWS;
    if (r < ranks) factors[threadIdx.x] = firstRow + i < n ? weights[first + r] * vectors[(first + r) * n + firstRow + i] : 0.0;
    __syncthreads();
    for (unsigned at = 0; at < ranks; at++) {
      const double value = column < n ? vectors[(first + at) * n + column] : 0.0;
#pragma unroll
      for (int row = 0; row < UPDATE_ROWS; row++) sums[row] = __fma_rn(factors[at * UPDATE_ROWS + row], value, sums[row]);
    }
  }
  bool finite = true;
#pragma unroll
  for (int i = 0; i < UPDATE_ROWS; i++) {
    const size_t row = firstRow + i;
    if (row >= n || column > row) continue;
    triangle[row * (row + 1) / 2 + column] = sums[i];
    finite = finite && fabs(sums[i]) < INFINITY;
  }
  if (!finite) *spoilt = 1;
}

}  // namespace

void cholesky(Work& work, const CragruCudaCholesky& input) {
  const size_t n = input.size, size = n * (n + 1) / 2, blocks = divide(n, BLOCK), pitch = blocks * BLOCK;
  if (n == 0) return;
  const size_t sharedOne = BLOCK * PITCH * sizeof(double), sharedTwo = 2 * sharedOne, sharedSlices = 2 * SLICE * PITCH * sizeof(double);
  const double total = input.inverse ? 3.0 : 1.0;
  Buffer<double> triangle(work, size), square(work, pitch * pitch), inverse(work, input.inverse ? pitch * pitch : 0);
  Buffer<uint32_t> bad(work, 2);
  work.upload(triangle.data(), input.matrix, size);
  work.fill(bad.data(), 0xff, 2);
  CRAGRU_LAUNCH(work, unpack, dim3(unsigned(pitch), gridFor(pitch, 256).x), 256, 0, triangle.data(), n, pitch, square.data());
  for (unsigned block = 0; block < blocks; block++) {
    const unsigned below = unsigned(blocks) - block - 1;
    CRAGRU_LAUNCH(work, factorDiagonal, 1, THREADS, sharedOne, square.data(), pitch, block, bad.data());
    CRAGRU_LAUNCH(work, solveBelow, below, THREADS, sharedTwo, square.data(), pitch, block);
    CRAGRU_LAUNCH(work, multiply<Product::factor>, dim3(below, below), THREADS, sharedSlices, square.data(), inverse.data(), pitch, block + 1, block + 1, block, block + 1);
    work.step(double(block) / double(blocks), total);
  }
  uint32_t host[2];
  work.download(host, bad.data(), 2);
  work.wait();
  if (host[0] != 0xffffffffu) throw Failure{CRAGRU_CUDA_PIVOT, "the pivot of a column is not a positive number", host[0]};
  if (input.inverse) {
    work.fill(inverse.data(), 0, pitch * pitch);
    for (unsigned block = 0; block < blocks; block++) {
      CRAGRU_LAUNCH(work, solveInverse, block + 1, THREADS, sharedTwo, square.data(), inverse.data(), pitch, block);
      CRAGRU_LAUNCH(work, multiply<Product::inverse>, dim3(block + 1, unsigned(blocks) - block - 1), THREADS, sharedSlices, square.data(), inverse.data(), pitch, block + 1, 0u,
                    block, block + 1);
      work.step(1.0 + double(block) / double(blocks), total);
    }
    CRAGRU_LAUNCH(work, checkRange, dim3(unsigned(n), gridFor(n, 256).x), 256, 0, inverse.data(), n, pitch, bad.data() + 1);
    const size_t rows = std::max<size_t>(1, LAUNCH_WORK / (pitch * pitch * BLOCK));
    for (size_t row = 0; row < blocks; row += rows) {
      const unsigned now = unsigned(std::min(rows, blocks - row));
      CRAGRU_LAUNCH(work, multiply<Product::square>, dim3(unsigned(row) + now, now), THREADS, sharedSlices, square.data(), inverse.data(), pitch, unsigned(row), 0u, 0u,
                    unsigned(blocks));
      work.step(2.0 + double(row) / double(blocks), total);
    }
    work.download(host, bad.data(), 2);
    work.wait();
    if (host[1] != 0xffffffffu) throw Failure{CRAGRU_CUDA_INVERSE, "the inverse leaves the range of double", host[1]};
  }
  CRAGRU_LAUNCH(work, pack, dim3(unsigned(n), gridFor(n, 256).x), 256, 0, square.data(), n, pitch, triangle.data());
  work.download(input.matrix, triangle.data(), size);
  work.wait();
}

void rankUpdate(Work& work, const CragruCudaRankUpdate& input) {
  const size_t n = input.size, size = n * (n + 1) / 2, rank = input.weights.count;
  if (n == 0) return;
  const Input<double> vectors(work, input.vectors), weights(work, input.weights);
  Buffer<double> triangle(work, size);
  Buffer<uint32_t> spoilt(work, 1);
  work.upload(triangle.data(), input.matrix, size);
  work.fill(spoilt.data(), 0, 1);
  // Several vectors a launch; an update that has begun is not cancelled.
  CRAGRU_LAUNCH(work, update, dim3(gridFor(n, 256).x, unsigned(divide(n, UPDATE_ROWS))), 256, UPDATE_RANKS * UPDATE_ROWS * sizeof(double), triangle.data(), n,
                vectors.data(), weights.data(), rank, spoilt.data());
  uint32_t host = 0;
  work.download(&host, spoilt.data(), 1);
  work.download(input.matrix, triangle.data(), size);
  work.wait();
  if (host != 0) throw Failure{CRAGRU_CUDA_SPOILT, "the updated matrix leaves the finite numbers"};
}

}  // namespace cuda
}  // namespace cragru
