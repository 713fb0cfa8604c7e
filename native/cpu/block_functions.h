// Declarations of the inner loops of one instruction set; blocks.h says what each computes.
#pragma once
#include "blocks.h"
#include "simd.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

// Vectors of one panel: as many sums as the registers hold (32 with AVX-512, else 16), for 4 users.
#if defined(__AVX512F__)
enum { PANEL_VECTORS = 6 };
#elif defined(__AVX2__)
enum { PANEL_VECTORS = 3 };
#else
enum { PANEL_VECTORS = 2 };
#endif
enum { PANEL_ITEMS = PANEL_VECTORS * LANES };

void packPanel(const float* items, size_t count, size_t dimension, double* panel);
void scorePanel(const double* users, const double* panel, size_t dimension, const float* thresholds, float* scores, uint64_t* above);
void scaleRows(const Hop* hop, const uint32_t* rows, size_t from, size_t to);
void hopRows(const Hop* hop, const uint32_t* rows, size_t from, size_t to);
void drawPairs(const uint32_t* users, const uint32_t* items, size_t count, uint32_t epoch, uint32_t draw, uint32_t seed, uint32_t stream,
               uint32_t range, uint32_t* scaled, uint32_t* second);
void userGroups(const Batch* batch, const Step* step, const Update* update, size_t from, size_t to);
void itemGroups(const Batch* batch, const Step* step, const Update* update, size_t from, size_t to);
void idleRows(const Update* update, size_t from, size_t to);
void moveRows(const Update* update, const float* gradient, size_t from, size_t to);
void hogwildSamples(const Sample* samples, size_t count, float* parameters, size_t stride, double scale, float decay, double* losses);
double sumOfLosses(const double* losses, size_t count);
int allFinite(const float* values, size_t count);
void transposeKeys(const float* keys, size_t count, size_t dimension, size_t stride, double* transposed);
void attend(const float* query, const double* transposed, const float* bias, size_t count, size_t stride, size_t dimension, size_t heads,
            double* scratch, double* weights);
void chooseLevels(const double* values, size_t levels, const double* best, size_t width, double* next, uint16_t* picks);
double spinFloats(size_t rounds, double* sink);
double spinDoubles(size_t rounds, double* sink);
double readBytes(const float* values, size_t count, double* sink);

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
