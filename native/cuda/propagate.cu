// S E0 in Horner form, T <- E0 + A~ T; the recipe stands in src/native/reference/propagate.ts. T itself is only written at the
// end: a hop reads the scaled rows s T and writes the next ones. The sum of a row runs over its neighbours in order, so the
// parallelism is in the columns: a lane owns some, and loads many neighbours ahead of its chain of adds.
#include "graph.h"
#include "numeric.h"

namespace cragru {
namespace cuda {

namespace {

constexpr int HOP_THREADS = 256, AHEAD = 8;
// Long rows: columns of one turn, neighbours of one stage, stages under way.
constexpr int LONG_COLUMNS = 64, STAGE = 32, STAGES = 3;
constexpr unsigned LONG_BLOCKS = 264;

__device__ __forceinline__ float valueOf(float operand) { return operand; }
__device__ __forceinline__ float valueOf(uint16_t operand) { return __uint_as_float(unsigned(operand) << 16); }
__device__ __forceinline__ void store(float* to, float value) { *to = value; }
// bfloat16, ties to even.
__device__ __forceinline__ void store(uint16_t* to, float value) {
  const unsigned bits = __float_as_uint(value);
  *to = uint16_t((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

template <class Operand, int VECTOR>
struct alignas(sizeof(Operand) * VECTOR) Pack {
  Operand part[VECTOR];
};

struct Hop {
  const float* base;  // [rows, dimension]
  size_t dimension, stride;
  float divisor;  // of the last hop
  float* output;  // of the last hop [rows, dimension], else null
};

// Scaled rows, padded with zeros.
template <class Operand>
__global__ void scaleRows(const float* scales, const float* input, size_t rows, size_t dimension, size_t stride, Operand* output) {
  const size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= rows * stride) return;
  const size_t row = at / stride, d = at % stride;
  store(output + at, d < dimension ? scales[row] * input[row * dimension + d] : 0.0f);
}

template <class Operand>
__device__ __forceinline__ void finishColumn(const Hop& hop, size_t row, size_t column, float scale, float sum, Operand* next) {
  if (column >= hop.dimension) {
    if (!hop.output && column < hop.stride) store(next + row * hop.stride + column, 0.0f);
    return;
  }
  const float t = hop.base[row * hop.dimension + column] + scale * sum;
  if (hop.output) hop.output[row * hop.dimension + column] = t / hop.divisor;
  else store(next + row * hop.stride + column, scale * t);
}

// A warp walks one row: 32 neighbours are read together and handed round.
template <class Operand, int VECTOR>
__device__ void walkRow(const GraphView& graph, const Hop& hop, size_t row, const Operand* scaled, Operand* next) {
  const unsigned from = graph.offsets[row], to = graph.offsets[row + 1];
  const float scale = graph.scales[row];
  for (size_t first = 0; first < hop.stride; first += 32 * VECTOR) {
    const size_t column = first + laneOf() * VECTOR;
    const bool inside = column < hop.stride;
    const Operand* own = scaled + (inside ? column : 0);
    float sums[VECTOR];
#pragma unroll
    for (int v = 0; v < VECTOR; v++) sums[v] = 0.0f;
    for (unsigned start = from; start < to; start += 32) {
      const unsigned left = to - start < 32 ? to - start : 32;
      const unsigned neighbour = laneOf() < left ? graph.columns[start + laneOf()] : 0u;
      unsigned edge = 0;
      for (; edge + AHEAD <= left; edge += AHEAD) {
        Pack<Operand, VECTOR> values[AHEAD];
#pragma unroll
        for (int a = 0; a < AHEAD; a++) {
          values[a] = *reinterpret_cast<const Pack<Operand, VECTOR>*>(own + size_t(__shfl_sync(ALL_LANES, neighbour, edge + a)) * hop.stride);
        }
#pragma unroll
        for (int a = 0; a < AHEAD; a++) {
#pragma unroll
          for (int v = 0; v < VECTOR; v++) sums[v] = sums[v] + valueOf(values[a].part[v]);
        }
      }
      for (; edge < left; edge++) {
        const Pack<Operand, VECTOR> value = *reinterpret_cast<const Pack<Operand, VECTOR>*>(own + size_t(__shfl_sync(ALL_LANES, neighbour, edge)) * hop.stride);
#pragma unroll
        for (int v = 0; v < VECTOR; v++) sums[v] = sums[v] + valueOf(value.part[v]);
      }
    }
#pragma unroll
    for (int v = 0; v < VECTOR; v++) {
      if (inside) finishColumn(hop, row, column + v, scale, sums[v], next);
    }
  }
}

// A block walks one long row: all threads bring stages of neighbours to shared memory, 64 of them add, each its own column.
template <class Operand>
__device__ void walkLongRow(const GraphView& graph, const Hop& hop, size_t row, const Operand* scaled, Operand* next, Operand* stages) {
  constexpr int EACH = 16 / int(sizeof(Operand)), PIECES = STAGE * LONG_COLUMNS / EACH;
  const unsigned from = graph.offsets[row], count = graph.offsets[row + 1] - from, turns = (count + STAGE - 1) / STAGE;
  const float scale = graph.scales[row];
  for (size_t first = 0; first < hop.stride; first += LONG_COLUMNS) {
    const auto load = [&](unsigned turn) {
      Operand* to = stages + turn % STAGES * (STAGE * LONG_COLUMNS);
      for (unsigned piece = threadIdx.x; piece < unsigned(PIECES); piece += HOP_THREADS) {
        const unsigned edge = turn * STAGE + piece / (LONG_COLUMNS / EACH), d = piece % (LONG_COLUMNS / EACH) * EACH;
        const bool holds = edge < count && first + d < hop.stride;
        copy16(to + size_t(piece) * EACH, holds ? scaled + size_t(graph.columns[from + edge]) * hop.stride + first + d : scaled, holds);
      }
      commitCopies();
    };
    for (unsigned turn = 0; turn < STAGES - 1; turn++) load(turn);
    float sum = 0.0f;
    for (unsigned turn = 0; turn < turns; turn++) {
      waitCopies<STAGES - 2>();
      __syncthreads();
      load(turn + STAGES - 1);
      if (threadIdx.x < LONG_COLUMNS) {
        const Operand* values = stages + turn % STAGES * (STAGE * LONG_COLUMNS) + threadIdx.x;
        const unsigned left = count - turn * STAGE;
        if (left >= STAGE) {
#pragma unroll
          for (int edge = 0; edge < STAGE; edge++) sum = sum + valueOf(values[edge * LONG_COLUMNS]);
        } else {
          for (unsigned edge = 0; edge < left; edge++) sum = sum + valueOf(values[edge * LONG_COLUMNS]);
        }
      }
    }
    waitCopies<0>();
    __syncthreads();
    if (threadIdx.x < LONG_COLUMNS) finishColumn(hop, row, first + threadIdx.x, scale, sum, next);
  }
}

// The first LONG_BLOCKS blocks take the long rows; a warp of the others takes one row.
template <class Operand, int VECTOR>
__global__ void __launch_bounds__(HOP_THREADS) hopRows(GraphView graph, Hop hop, const Operand* scaled, Operand* next, unsigned longBlocks) {
  CRAGRU_SHARED(memory);

  if (blockIdx.x < longBlocks) {
    for (unsigned at = blockIdx.x; at < *graph.longCount; at += longBlocks) {
      walkLongRow<Operand>(graph, hop, graph.longRows[at], scaled, next, reinterpret_cast<Operand*>(memory));
    }
    return;
  }
  const size_t row = (size_t(blockIdx.x - longBlocks) * HOP_THREADS + threadIdx.x) / 32;
  if (row >= graph.rows || graph.offsets[row + 1] - graph.offsets[row] > LONG_DEGREE) return;
  walkRow<Operand, VECTOR>(graph, hop, row, scaled, next);
}

}  // namespace

Propagation::Propagation(Work& work, GraphView graph, size_t dimension, size_t layers, bool bf16)
    : graph_(graph), dimension_(dimension), stride_(divide(dimension, 8) * 8), layers_(layers), bf16_(bf16) {
  const size_t bytes = graph.rows * stride_ * (bf16 ? 2 : 4);
  scaled_ = Buffer<unsigned char>(work, bytes);
  if (layers > 1) next_ = Buffer<unsigned char>(work, bytes);
}

template <class Operand, int VECTOR>
void Propagation::hops(Work& work, const float* input, float* output) {
  const size_t size = graph_.rows * stride_;
  CRAGRU_LAUNCH(work, scaleRows<Operand>, gridFor(size, 256), 256, 0, graph_.scales, input, graph_.rows, dimension_, stride_,
                reinterpret_cast<Operand*>(scaled_.data()));
  const unsigned blocks = LONG_BLOCKS + unsigned(divide(graph_.rows, HOP_THREADS / 32));
  for (size_t layer = 1; layer <= layers_; layer++) {
    const Hop hop = {input, dimension_, stride_, float(layers_ + 1), layer == layers_ ? output : nullptr};
    CRAGRU_LAUNCH(work, (hopRows<Operand, VECTOR>), blocks, HOP_THREADS, STAGES * STAGE * LONG_COLUMNS * sizeof(Operand), graph_, hop,
                  reinterpret_cast<const Operand*>(scaled_.data()), reinterpret_cast<Operand*>(next_.data()), LONG_BLOCKS);
    if (layer < layers_) std::swap(scaled_, next_);
  }
}

void Propagation::apply(Work& work, const float* input, float* output) {
  if (bf16_) {
    if (stride_ <= 64) hops<uint16_t, 2>(work, input, output);
    else hops<uint16_t, 4>(work, input, output);
  } else if (stride_ <= 32) {
    hops<float, 1>(work, input, output);
  } else if (stride_ <= 64) {
    hops<float, 2>(work, input, output);
  } else {
    hops<float, 4>(work, input, output);
  }
}

void propagate(Work& work, const CragruCudaPropagate& input) {
  const size_t size = (input.userCount + input.itemCount) * input.dimension;
  const Input<float> parameters(work, input.parameters);
  if (input.layers == 0) {
    work.download(input.result, parameters.data(), size);
    work.wait();
    return;
  }
  const Graph graph(work, input.positives, input.userCount, input.itemCount);
  Propagation propagation(work, graph.view(), input.dimension, input.layers, input.bf16 != 0);
  Buffer<float> output(work, size);
  propagation.apply(work, parameters.data(), output.data());
  work.download(input.result, output.data(), size);
  work.wait();
}

}  // namespace cuda
}  // namespace cragru
