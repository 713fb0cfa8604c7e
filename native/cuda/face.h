// The kernels on a GPU, with the signatures and the results of namespace cpu (native/kernels.h), bit for bit.
#pragma once
#include "../run.h"
#include "table.h"

namespace cragru {
namespace cuda {

// Copies held values to the GPU, once: calls that are given this storage later read them there. Only for values that no call
// changes: float32 arrays and the two arrays of a CSR. The copy lives as long as the storage.
template <class T>
void keep(const std::shared_ptr<Storage<T>>& storage, Run& run);

TopK scoreTopK(const ScoreTopK& input, Run& run);
EpochResult train(Training input, Run& run);
std::vector<float> propagate(const Propagate& input, Run& run);
AttentionResult attentionWeights(const Attention& input, Run& run);
KnapsackResult knapsack(const Knapsack& input, Run& run);
KMeansRound kmeans(const KMeans& input, Run& run);
std::vector<uint32_t> gram(const Gram& input, Run& run);
CooccurrenceResult itemCooccurrence(const Cooccurrence& input, Run& run);
void cholesky(Cholesky& input, Run& run);
void rankUpdate(RankUpdate& input, Run& run);
std::vector<double> hessianProduct(const HessianProduct& input, Run& run);
ConjugateGradientResult conjugateGradient(const ConjugateGradient& input, Run& run);

}  // namespace cuda
}  // namespace cragru
