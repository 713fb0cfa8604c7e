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
    CRAGRU_ISA_NAMESPACE::packKeys,
    CRAGRU_ISA_NAMESPACE::scaleQueries,
    CRAGRU_ISA_NAMESPACE::attendHead,
    CRAGRU_ISA_NAMESPACE::mixHead,
    CRAGRU_ISA_NAMESPACE::poolWeights,
    CRAGRU_ISA_NAMESPACE::chooseLevels,
    CRAGRU_ISA_NAMESPACE::spinFloats,
    CRAGRU_ISA_NAMESPACE::spinDoubles,
    CRAGRU_ISA_NAMESPACE::readBytes,
};

}  // namespace cpu
}  // namespace cragru
