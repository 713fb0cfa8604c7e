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
                   const float* thresholds, void* values, size_t stride, void* bases);
void floatFold(const void* values, size_t panels, const float* errors, const float* scales, size_t folds, float* maxima);
size_t floatTake(const void* values, const void* base, size_t panels, const float* errors, const float* scales, float threshold,
                 uint32_t firstItem, const ScoreCandidates* to, size_t* count, size_t room);
size_t integerUserBytes(size_t dimension);
size_t integerPanelBytes(size_t dimension);
void packIntegerUsers(const float* rows, size_t count, size_t dimension, void* packed, ScoreGroup* facts);
void packIntegerPanel(const float* rows, size_t count, size_t dimension, void* packed, const ScorePanels* facts, size_t panel);
uint32_t integerTile(const void* users, const ScoreGroup* group, const void* packed, const ScorePanels* facts, size_t panel, size_t dimension,
                     const float* thresholds, void* values, size_t stride, void* bases);
void integerFold(const void* values, size_t panels, const float* errors, const float* scales, size_t folds, float* maxima);
size_t integerTake(const void* values, const void* base, size_t panels, const float* errors, const float* scales, float threshold,
                   uint32_t firstItem, const ScoreCandidates* to, size_t* count, size_t room);
void scoreItems(const float* user, const float* items, const uint32_t* numbers, size_t count, size_t dimension, float* scores);
void boundPanels(const ScoreGroup* group, size_t user, const ScorePanels* facts, size_t from, size_t panels, float* errors, float* scales);
float kthLargest(const float* values, size_t count, size_t k, size_t slack);
size_t keepReaching(const ScoreCandidates* list, size_t count, float threshold);
size_t pickOpen(const ScoreCandidates* list, size_t count, float least, uint32_t* positions, uint32_t* items);
float leastSettled(const ScoreCandidates* list, size_t count);
void rankCandidates(float* scores, size_t count, uint32_t* places);

void scaleRows(const Hop* hop, const uint32_t* rows, size_t from, size_t to);
void hopRows(const Hop* hop, const uint32_t* rows, size_t from, size_t to);
void drawPairs(const uint32_t* users, const uint32_t* items, size_t count, uint32_t epoch, uint32_t draw, uint32_t seed, uint32_t stream,
               uint32_t range, uint32_t* scaled, uint32_t* second);
void userGroups(const Batch* batch, const TrainStep* step, const RowUpdate* update, size_t from, size_t to);
void itemGroups(const Batch* batch, const TrainStep* step, const RowUpdate* update, size_t from, size_t to);
void idleRows(const RowUpdate* update, size_t from, size_t to);
void moveRows(const RowUpdate* update, const float* gradient, size_t from, size_t to);
void hogwildSamples(const Sample* samples, size_t count, float* parameters, size_t stride, double scale, float decay, double* losses);
double sumOfLosses(const double* losses, size_t count);
int allFinite(const float* values, size_t count);
float packKeys(const float* keys, size_t count, size_t dimension, float* packed);
float scaleRow(const float* values, size_t count, float scale, float* scaled);
int attendHead(const HeadShape* shape, const float* queries, size_t count, const float* packed, const float* start, float* e, float* totals);
void mixHead(const float* e, size_t stride, float inverse, int first, float* weights);
void poolWeights(const float* weights, size_t count, int largest, float* pooled);
size_t topWeights(const float* row, size_t stride, size_t count, size_t k, uint64_t* scratch, float* weights, uint32_t* numbers);
void chooseLevels(const double* values, size_t levels, const double* best, size_t low, size_t high, size_t from, size_t to, double* next);
double spinFloats(size_t rounds, double* sink);
double spinDoubles(size_t rounds, double* sink);
double readBytes(const float* values, size_t count, double* sink);
// About what the loops of gram_blocks.cpp measure.
#if defined(__AVX512F__)
static const double SHARED_WORDS = 16.0;
#elif defined(__AVX2__)
static const double SHARED_WORDS = 4.5;
#else
static const double SHARED_WORDS = 2.0;
#endif
void countShared(const uint64_t* const* rows, const uint64_t* columns, size_t columnCount, size_t stride, size_t words, uint32_t* const* counts);
size_t countAtLeast(const uint32_t* counts, size_t count, uint32_t bound);
size_t findAtLeast(const uint32_t* counts, size_t count, uint32_t bound, uint32_t* found);
void subtractProduct(const Product* product);
void solveTile(const double* l, double* c);
size_t factorTile(double* c);

// hessianProduct, conjugateGradient
void bendUser(const CurvatureSamples* samples, size_t from, size_t to, size_t user, const double* table, size_t width, int full, int first,
              double* scratch, double* sums);
void bendItem(const Occurrence* occurrences, size_t count, const double* weights, const double* table, size_t width, int full, double* sums);
void hopDoubles(const uint32_t* offsets, const uint32_t* columns, const double* scales, const double* scaled, size_t slab, const double* base,
                size_t baseStride, size_t from, size_t to, int last, double divisor, double* output, size_t outputStride);
double innerBlock(const double* a, const double* b, size_t count);
void addScaled(double factor, const double* values, size_t count, double* sums);
void scaleAndAdd(double factor, const double* values, size_t count, double* sums);

// kmeans
enum { PANEL_POINTS = 2 * LANES };
void packPoints(const double* points, size_t count, size_t dimension, double* panel);
void assignPanel(const double* panel, const double* centroids, size_t first, size_t last, size_t dimension, uint64_t* labels, double* distances);
void addRows(const double* points, const uint32_t* members, size_t count, size_t dimension, size_t columns, double* sums);

}  // namespace CRAGRU_ISA_NAMESPACE
}  // namespace cpu
}  // namespace cragru
