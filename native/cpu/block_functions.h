// Declarations of the inner loops of one instruction set; blocks.h says what each computes.
#pragma once
#include "blocks.h"
#include "simd.h"

namespace cragru {
namespace cpu {
namespace CRAGRU_ISA_NAMESPACE {

double dotRows(const float* a, const float* b, size_t dimension);

// scoreTopK
enum { PANEL_VECTORS = 3, PANEL_ITEMS = PANEL_VECTORS * WIDE_LANES };
size_t floatUserBytes(size_t dimension);
size_t floatPanelBytes(size_t dimension);
void packFloatUsers(const float* rows, size_t count, size_t dimension, void* packed, ScoreGroup* facts);
void packFloatPanel(const float* rows, size_t count, size_t dimension, void* packed, const ScorePanels* facts, size_t panel);
uint32_t floatTile(const void* users, const ScoreGroup* group, const void* packed, const ScorePanels* facts, size_t panel, size_t dimension,
                   const float* thresholds, void* values, void* bases);
void floatFold(const void* values, size_t stride, size_t panels, const float* errors, const float* scales, const uint64_t* seen,
               size_t seenStride, size_t folds, float* maxima);
size_t floatTake(const void* values, const void* base, size_t stride, size_t panels, const float* errors, const float* scales, float threshold,
                 const uint64_t* seen, size_t seenStride, uint32_t firstItem, const ScoreCandidates* to, size_t* count, size_t room);
size_t integerUserBytes(size_t dimension);
size_t integerPanelBytes(size_t dimension);
void packIntegerUsers(const float* rows, size_t count, size_t dimension, void* packed, ScoreGroup* facts);
void packIntegerPanel(const float* rows, size_t count, size_t dimension, void* packed, const ScorePanels* facts, size_t panel);
uint32_t integerTile(const void* users, const ScoreGroup* group, const void* packed, const ScorePanels* facts, size_t panel, size_t dimension,
                     const float* thresholds, void* values, void* bases);
void integerFold(const void* values, size_t stride, size_t panels, const float* errors, const float* scales, const uint64_t* seen,
                 size_t seenStride, size_t folds, float* maxima);
size_t integerTake(const void* values, const void* base, size_t stride, size_t panels, const float* errors, const float* scales, float threshold,
                   const uint64_t* seen, size_t seenStride, uint32_t firstItem, const ScoreCandidates* to, size_t* count, size_t room);
void scoreItems(const float* user, const float* items, const uint32_t* numbers, size_t count, size_t dimension, float* scores);
void boundPanels(const ScoreGroup* group, size_t user, const ScorePanels* facts, size_t from, size_t panels, float* errors, float* scales);
float kthLargest(const float* values, size_t count, size_t k, size_t slack);
size_t keepReaching(const ScoreCandidates* list, size_t count, float threshold);
void rankCandidates(const float* scores, size_t count, uint32_t* places);

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
