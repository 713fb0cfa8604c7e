// Kernels on their way: each leaves this file when its own arrives.
#include "../run.h"

namespace cragru {
namespace cpu {
static Error pending() { return {"NATIVE_FAILED", "not merged yet", ""}; }
AttentionResult attentionWeights(const Attention&, Run&) { throw pending(); }
KnapsackResult knapsack(const Knapsack&, Run&) { throw pending(); }
KMeansRound kmeans(const KMeans&, Run&) { throw pending(); }
std::vector<uint32_t> gram(const Gram&, Run&) { throw pending(); }
CooccurrenceResult itemCooccurrence(const Cooccurrence&, Run&) { throw pending(); }
void cholesky(Cholesky&, Run&) { throw pending(); }
void rankUpdate(RankUpdate&, Run&) { throw pending(); }
std::vector<double> hessianProduct(const HessianProduct&, Run&) { throw pending(); }
ConjugateGradientResult conjugateGradient(const ConjugateGradient&, Run&) { throw pending(); }
}  // namespace cpu
}  // namespace cragru
