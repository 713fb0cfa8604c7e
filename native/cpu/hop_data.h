// What a hop over the graph shares with its caller: plain C types, as blocks.h asks. Rows of all tables are `stride` values, a
// multiple of ROW_FLOATS (train_data.h).
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace cragru {
namespace cpu {

// Columns are read ahead by this much; that many entries must be readable behind the last one.
constexpr size_t READ_AHEAD = 8;

struct Hop {
  // The graph.
  const uint32_t *offsets, *columns;
  const float* scales;
  size_t stride;
  // The operands Z = s T: float32, or bfloat16 in pairs whose order is known to the inner loops alone.
  const void* operands;
  int bf16;
  // For users' rows and for items' rows, where not null: operands of rows whose level is not below `limit` are +0 and not read.
  // Three bytes behind the last level must be readable.
  const uint8_t* levels[2];
  uint8_t limit;
  size_t userCount;
  const float* base;  // E0 [rows, stride]
  // Either the next hop's operands are written, or, where `output` is not null, T / divisor.
  void* next;
  float* output;
  float divisor;
  // Called within long rows; throws when the call is cancelled.
  void (*check)(const void* run);
  const void* run;
};

}  // namespace cpu
}  // namespace cragru
