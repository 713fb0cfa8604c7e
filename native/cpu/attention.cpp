// A ragged batch of softmax attention. Keys are packed once a user, or once a chunk where a user's candidates make several; a row of
// weights lives in the cache until it is copied, pooled or searched. The order of operations stands in
// src/native/reference/attention.ts.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "../run.h"

namespace cragru {
namespace cpu {

namespace {

constexpr size_t TOGETHER = ATTENTION_QUERIES;
// Candidates of one user whose weights are pooled before blocks are pooled: part of the order of operations.
constexpr size_t BLOCK = 64;
// Work of a chunk, a millisecond or less, and keys packed between two looks at the cancel flag.
constexpr size_t CHUNK = size_t(1) << 23, PACKED = 4096;
// Largest sum of magnitudes under which no partial sum of a logit can leave float32.
constexpr double SAFE = 1e38;

// Candidates [from, to) of one user, at most BLOCK.
struct Piece {
  size_t group, from, to;
};

size_t padded(size_t count) { return (count + ATTENTION_PADDING - 1) / ATTENTION_PADDING * ATTENTION_PADDING; }

// One allocation a chunk, every array at a cache line.
class Buffers {
 public:
  Buffers(size_t stride, size_t dimension, bool top) {
    const size_t row = padded(stride), scaledLength = TOGETHER * padded(dimension), scratchLength = top ? 4 * (row + 16) : 0;
    memory_.reset(new float[16 + row * dimension + row + scaledLength + 2 * TOGETHER * row + scratchLength]);
    float* at = memory_.get();
    at += (64 - reinterpret_cast<uintptr_t>(at) % 64) % 64 / sizeof(float);
    packed = at;
    start = packed + row * dimension;
    scaled = start + row;
    e = scaled + scaledLength;
    weights = e + TOGETHER * row;
    scratch = reinterpret_cast<uint64_t*>(weights + TOGETHER * row);
  }
  float *packed, *start, *scaled, *e, *weights;
  uint64_t* scratch;

 private:
  std::unique_ptr<float[]> memory_;
};

class AttentionBatch {
 public:
  AttentionBatch(const Attention& input, AttentionResult& result, Run& run) : input_(input), result_(result), run_(run), blocks_(run.blocks.attention), output_(input.output) {
    const size_t groups = input.queryOffsets.size() - 1;
    const bool pooled = output_ == AttentionOutput::max || output_ == AttentionOutput::mean;
    starts_.resize(groups);
    size_t cells = 0, partials = 0, work = 0;
    for (size_t group = 0; group < groups; group++) {
      const size_t keys = keysOf(group), queries = queriesOf(group);
      if (keys > 0 && queries > 0) {
        const bool parts = pooled && queries > BLOCK;
        starts_[group] = parts ? partials : pooled ? input.keyOffsets[group] : cells;
        if (parts) {
          partials += (queries + BLOCK - 1) / BLOCK * keys;
          inParts_.push_back(group);
        }
        for (size_t from = input.queryOffsets[group]; from < input.queryOffsets[group + 1]; from += BLOCK) {
          const size_t to = std::min<size_t>(from + BLOCK, input.queryOffsets[group + 1]);
          if (chunks_.empty() || work >= CHUNK) chunks_.push_back(pieces_.size()), work = 0;
          pieces_.push_back({group, from, to});
          // An exp costs about as much as a dozen products.
          work += (to - from) * padded(keys) * (input.dimension + 12 * input.heads);
        }
      }
      cells += keys * queries;
    }
    chunks_.push_back(pieces_.size());
    partials_.resize(partials);
    switch (output_) {
      case AttentionOutput::heads: result.weights.resize(cells * input.heads); break;
      case AttentionOutput::weights: result.weights.resize(cells); break;
      case AttentionOutput::top:
        result.weights.resize(input.queryOffsets[groups] * input.k, 0.0f);
        result.keys.resize(result.weights.size(), NO_ITEM);
        break;
      default: result.weights.resize(input.keyOffsets[groups], 0.0f);
    }
  }

  void compute() {
    std::atomic<size_t> done{0};
    run_.parallel(chunks_.size() - 1, [&](size_t chunk) {
      attendChunk(chunks_[chunk], chunks_[chunk + 1]);
      const size_t pieces = chunks_[chunk + 1] - chunks_[chunk];
      run_.progress(double(done.fetch_add(pieces) + pieces), double(pieces_.size()));
    });
    if (failed_ != NONE) {
      throw Error{"NATIVE_RANGE", "the logits of user " + std::to_string(failed_.load()) + " leave the range of float32.", "Scale the vectors."};
    }
    run_.parallel(inParts_.size(), [&](size_t at) { poolParts(inParts_[at]); });
  }

 private:
  static constexpr size_t NONE = std::numeric_limits<size_t>::max();

  size_t keysOf(size_t group) const { return input_.keyOffsets[group + 1] - input_.keyOffsets[group]; }
  size_t queriesOf(size_t group) const { return input_.queryOffsets[group + 1] - input_.queryOffsets[group]; }

  void attendChunk(size_t from, size_t to) {
    size_t longest = 0, group = NONE;
    for (size_t at = from; at < to; at++) longest = std::max(longest, keysOf(pieces_[at].group));
    Buffers buffers(longest, input_.dimension, output_ == AttentionOutput::top);
    double largestKey = 0, largestBias = 0;
    for (size_t at = from; at < to; at++) {
      const Piece& piece = pieces_[at];
      if (piece.group != group) {
        group = piece.group;
        largestKey = pack(group, buffers, largestBias);
      }
      if (!attendPiece(piece, buffers, largestKey, largestBias)) fail(group);
    }
  }

  // The lowest user is named, whatever runs first.
  void fail(size_t group) {
    size_t lowest = failed_.load();
    while (group < lowest && !failed_.compare_exchange_weak(lowest, group)) {
    }
  }

  // Returns the largest magnitude among the keys.
  double pack(size_t group, Buffers& buffers, double& largestBias) {
    const size_t first = input_.keyOffsets[group], count = keysOf(group), dimension = input_.dimension;
    float largest = 0;
    for (size_t at = 0; at < count; at += PACKED) {
      run_.check();
      largest = std::max(largest, blocks_.packKeys(input_.keys.data() + (first + at) * dimension, std::min(PACKED, count - at), dimension, buffers.packed + at * dimension));
    }
    largestBias = 0;
    std::fill(buffers.start, buffers.start + count, 0.0f);
    std::fill(buffers.start + count, buffers.start + padded(count), -std::numeric_limits<float>::infinity());
    if (!input_.bias.empty()) largestBias = blocks_.scaleRow(input_.bias.data() + first, count, 1.0f, buffers.start);
    return largest;
  }

  // False where a logit is not finite.
  bool attendPiece(const Piece& piece, Buffers& buffers, double largestKey, double largestBias) {
    const size_t dimension = input_.dimension, heads = input_.heads, width = dimension / heads;
    const float scale = float(1.0 / std::sqrt(double(width)));
    HeadShape shape;
    shape.dimension = dimension;
    shape.width = width;
    shape.keys = keysOf(piece.group);
    shape.stride = padded(shape.keys);
    for (size_t query = piece.from; query < piece.to; query += TOGETHER) {
      const size_t count = std::min(TOGETHER, piece.to - query);
      const float largest = blocks_.scaleRow(input_.queries.data() + query * dimension, count * dimension, scale, buffers.scaled);
      shape.guarded = !(double(largest) * largestKey * double(width) + largestBias < SAFE);
      for (size_t head = 0; head < heads; head++) {
        run_.check();
        float totals[TOGETHER];
        shape.first = head * width;
        if (!blocks_.attendHead(&shape, buffers.scaled + shape.first, count, buffers.packed, buffers.start, buffers.e, totals)) return false;
        for (size_t q = 0; q < count; q++) {
          const float* e = buffers.e + q * shape.stride;
          if (output_ == AttentionOutput::heads) {
            blocks_.mixHead(e, shape.stride, 1.0f / totals[q], 1, buffers.weights);
            const size_t row = head * queriesOf(piece.group) + query + q - input_.queryOffsets[piece.group];
            copyRow(buffers.weights, starts_[piece.group] * heads + row * shape.keys, shape.keys);
          } else {
            blocks_.mixHead(e, shape.stride, 1.0f / (totals[q] * float(heads)), head == 0, buffers.weights + q * shape.stride);
          }
        }
      }
      if (output_ == AttentionOutput::heads) continue;
      for (size_t q = 0; q < count; q++) keep(piece, query + q, buffers.weights + q * shape.stride, shape, buffers.scratch);
    }
    return true;
  }

  void copyRow(const float* weights, size_t at, size_t count) { std::memcpy(result_.weights.data() + at, weights, count * sizeof(float)); }

  void keep(const Piece& piece, size_t query, const float* weights, const HeadShape& shape, uint64_t* scratch) {
    const size_t first = input_.queryOffsets[piece.group];
    if (output_ == AttentionOutput::weights) {
      copyRow(weights, starts_[piece.group] + (query - first) * shape.keys, shape.keys);
    } else if (output_ == AttentionOutput::top) {
      blocks_.topWeights(weights, shape.stride, shape.keys, input_.k, scratch, result_.weights.data() + query * input_.k, result_.keys.data() + query * input_.k);
    } else {
      const bool parts = queriesOf(piece.group) > BLOCK, last = query + 1 == input_.queryOffsets[piece.group + 1];
      float* pooled = parts ? partials_.data() + starts_[piece.group] + (piece.from - first) / BLOCK * shape.keys : result_.weights.data() + starts_[piece.group];
      blocks_.poolWeights(weights, shape.keys, output_ == AttentionOutput::max, pooled);
      if (!parts && last && output_ == AttentionOutput::mean) average(pooled, piece.group);
    }
  }

  void average(float* pooled, size_t group) {
    const float queries = float(queriesOf(group));
    for (size_t j = 0; j < keysOf(group); j++) pooled[j] = pooled[j] / queries;
  }

  // Pools the blocks of one user, in order.
  void poolParts(size_t group) {
    const size_t keys = keysOf(group), blocks = (queriesOf(group) + BLOCK - 1) / BLOCK;
    float* pooled = result_.weights.data() + input_.keyOffsets[group];
    for (size_t block = 0; block < blocks; block++) {
      run_.check();
      blocks_.poolWeights(partials_.data() + starts_[group] + block * keys, keys, output_ == AttentionOutput::max, pooled);
    }
    if (output_ == AttentionOutput::mean) average(pooled, group);
  }

  const Attention& input_;
  AttentionResult& result_;
  Run& run_;
  const AttentionBlocks& blocks_;
  const AttentionOutput output_;
  // Where a user's part of the result, or of partials_, begins, in rows of keys of one head.
  std::vector<size_t> starts_;
  std::vector<Piece> pieces_;
  std::vector<size_t> chunks_;   // first piece of each chunk, and the end
  std::vector<size_t> inParts_;  // users whose candidates are pooled in several blocks
  std::vector<float> partials_;
  std::atomic<size_t> failed_{NONE};
};

}  // namespace

AttentionResult attentionWeights(const Attention& input, Run& run) {
  AttentionResult result;
  AttentionBatch(input, result, run).compute();
  return result;
}

}  // namespace cpu
}  // namespace cragru
