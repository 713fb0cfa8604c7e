// The table of one instruction set. The functions are defined in *_blocks.cpp.
#include "block_functions.h"

namespace cragru {
namespace cpu {

extern const Blocks CRAGRU_JOIN(blocks_, ISA);
const Blocks CRAGRU_JOIN(blocks_, ISA) = {
    CRAGRU_QUOTE(ISA),
    CRAGRU_ISA_NAMESPACE::PANEL_ITEMS,
    CRAGRU_ISA_NAMESPACE::packPanel,
    CRAGRU_ISA_NAMESPACE::scorePanel,
    CRAGRU_ISA_NAMESPACE::scaleRows,
    CRAGRU_ISA_NAMESPACE::hopRows,
    CRAGRU_ISA_NAMESPACE::coefficients,
    CRAGRU_ISA_NAMESPACE::accumulateRow,
    CRAGRU_ISA_NAMESPACE::adamRows,
    CRAGRU_ISA_NAMESPACE::sgdRows,
    CRAGRU_ISA_NAMESPACE::allFinite,
    CRAGRU_ISA_NAMESPACE::transposeKeys,
    CRAGRU_ISA_NAMESPACE::attend,
    CRAGRU_ISA_NAMESPACE::chooseLevels,
    CRAGRU_ISA_NAMESPACE::curvatureScalars,
    CRAGRU_ISA_NAMESPACE::bendUser,
    CRAGRU_ISA_NAMESPACE::bendItem,
    CRAGRU_ISA_NAMESPACE::hopDoubles,
    CRAGRU_ISA_NAMESPACE::innerBlock,
    CRAGRU_ISA_NAMESPACE::addScaled,
    CRAGRU_ISA_NAMESPACE::scaleAndAdd,
};

}  // namespace cpu
}  // namespace cragru
