// The kernels behind the table. Each enqueues its work and the copies of its results; table.cu waits.
#pragma once
#include "device.h"

namespace cragru {
namespace cuda {

void scoreTopK(Work& work, const CragruCudaScoreTopK& input);
void propagate(Work& work, const CragruCudaPropagate& input);
void knapsack(Work& work, const CragruCudaKnapsack& input);
void attentionWeights(Work& work, const CragruCudaAttention& input);
void train(Work& work, const CragruCudaTraining& input);
void cholesky(Work& work, const CragruCudaCholesky& input);
void rankUpdate(Work& work, const CragruCudaRankUpdate& input);
void gram(Work& work, const CragruCudaGram& input);
void itemCooccurrence(Work& work, const CragruCudaCooccurrence& input);
void kmeans(Work& work, const CragruCudaKMeans& input);
void hessianProduct(Work& work, const CragruCudaHessianProduct& input);
void conjugateGradient(Work& work, const CragruCudaConjugateGradient& input);

}  // namespace cuda
}  // namespace cragru
