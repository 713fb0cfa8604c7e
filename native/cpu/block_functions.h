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
void scaleRows(const float* scales, const float* input, size_t dimension, size_t from, size_t to, float* output);
void hopRows(const uint32_t* offsets, const uint32_t* columns, const float* scales, const float* scaled, const float* base, size_t dimension,
             size_t from, size_t to, int last, float divisor, float* output);
void coefficients(const Batch* batch, size_t from, size_t to, const float* embeddings, size_t dimension, double* scratch, double* weights,
                  double* losses);
void accumulateRow(const Batch* batch, const uint32_t* references, size_t count, const double* weights, const float* embeddings,
                   size_t dimension, double share, double* sums, float* gradient);
void adamRows(const Step* step, const uint32_t* occurrences, const float* gradient, int sparse, size_t dimension, size_t from, size_t to,
              float* parameters, float* first, float* second);
void sgdRows(const Step* step, const uint32_t* occurrences, const float* gradient, int sparse, size_t dimension, size_t from, size_t to,
             float* parameters);
int allFinite(const float* values, size_t count);
float packKeys(const float* keys, size_t count, size_t dimension, float* packed);
float scaleQueries(const float* queries, size_t values, float scale, float* scaled);
int attendHead(const HeadShape* shape, const float* queries, size_t count, const float* packed, const float* start, float* e, float* totals);
void mixHead(const float* e, size_t stride, float inverse, int first, float* weights);
void poolWeights(const float* weights, size_t count, int largest, float* pooled);
void chooseLevels(const double* values, size_t levels, const double* best, size_t width, double* next, uint16_t* picks);
double spinFloats(size_t rounds, double* sink);
double spinDoubles(size_t rounds, double* sink);
double readBytes(const float* values, size_t count, double* sink);

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
