// The table of one instruction set. The functions are defined in *_blocks.cpp.
#include "block_functions.h"

namespace cragru {
namespace cpu {

namespace CRAGRU_ISA_NAMESPACE {
static const ScoreBlocks SCORE_BLOCKS = {
    PANEL_ITEMS,
    {floatUserBytes, floatPanelBytes, packFloatUsers, packFloatPanel, floatTile, 0x7fc00000u, floatFold, floatTake},
#if defined(__AVX512VNNI__)
    {integerUserBytes, integerPanelBytes, packIntegerUsers, packIntegerPanel, integerTile, 0x80000000u, integerFold, integerTake},
#else
    {},
#endif
    scoreItems,
    boundPanels,
    kthLargest,
    keepReaching,
    pickOpen,
    leastSettled,
    rankCandidates,
};
static const CurvatureBlocks CURVATURE_BLOCKS = {bendUser, bendItem, hopDoubles, innerBlock, addScaled, scaleAndAdd};
static const KMeansBlocks KMEANS_BLOCKS = {PANEL_POINTS, packPoints, assignPanel, addRows};
}  // namespace CRAGRU_ISA_NAMESPACE

extern const Blocks CRAGRU_JOIN(blocks_, ISA);
const Blocks CRAGRU_JOIN(blocks_, ISA) = {
    CRAGRU_QUOTE(ISA),
    CRAGRU_ISA_NAMESPACE::SCORE_BLOCKS,
    {CRAGRU_ISA_NAMESPACE::packKeys, CRAGRU_ISA_NAMESPACE::scaleRow, CRAGRU_ISA_NAMESPACE::attendHead, CRAGRU_ISA_NAMESPACE::mixHead,
     CRAGRU_ISA_NAMESPACE::poolWeights, CRAGRU_ISA_NAMESPACE::topWeights},
    CRAGRU_ISA_NAMESPACE::CURVATURE_BLOCKS,
    CRAGRU_ISA_NAMESPACE::KMEANS_BLOCKS,
    CRAGRU_ISA_NAMESPACE::scaleRows,
    CRAGRU_ISA_NAMESPACE::hopRows,
    CRAGRU_ISA_NAMESPACE::drawPairs,
    CRAGRU_ISA_NAMESPACE::userGroups,
    CRAGRU_ISA_NAMESPACE::itemGroups,
    CRAGRU_ISA_NAMESPACE::idleRows,
    CRAGRU_ISA_NAMESPACE::moveRows,
    CRAGRU_ISA_NAMESPACE::hogwildSamples,
    CRAGRU_ISA_NAMESPACE::sumOfLosses,
    CRAGRU_ISA_NAMESPACE::allFinite,
    CRAGRU_ISA_NAMESPACE::chooseLevels,
    CRAGRU_ISA_NAMESPACE::spinFloats,
    CRAGRU_ISA_NAMESPACE::spinDoubles,
    CRAGRU_ISA_NAMESPACE::readBytes,
    {CRAGRU_ISA_NAMESPACE::countShared, CRAGRU_ISA_NAMESPACE::SHARED_WORDS, CRAGRU_ISA_NAMESPACE::countAtLeast, CRAGRU_ISA_NAMESPACE::findAtLeast},
    {CRAGRU_ISA_NAMESPACE::subtractProduct, CRAGRU_ISA_NAMESPACE::solveTile, CRAGRU_ISA_NAMESPACE::factorTile},
};

}  // namespace cpu
}  // namespace cragru
