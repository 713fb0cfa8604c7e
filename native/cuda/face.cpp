// From the structs of native/kernels.h to the plain C table, and from its status codes back to Error and Cancelled.
#include "face.h"

#include <memory>

namespace cragru {
namespace cuda {

namespace {

static_assert(int(AttentionOutput::heads) == CRAGRU_CUDA_HEADS && int(AttentionOutput::top) == CRAGRU_CUDA_TOP, "both enums are one list");

// One call of the table.
class Call {
 public:
  explicit Call(const Run& run) {
    call_.cancelled = [](void* context) {
      try {
        static_cast<const Run*>(context)->check();
        return 0;
      } catch (const Cancelled&) {
        return 1;
      }
    };
    call_.progress = [](void* context, double done, double total) { static_cast<const Run*>(context)->progress(done, total); };
    call_.context = const_cast<Run*>(&run);
  }

  template <class In>
  void operator()(int (*kernel)(CragruCudaCall*, const In*), const In& input) {
    finish(kernel(&call_, &input));
  }

  std::shared_ptr<void> upload(const void* data, size_t bytes) {
    CragruCudaArray* array = nullptr;
    finish(cragru_cuda_table()->upload(&call_, data, bytes, &array));
    return {array, [](void* kept) { cragru_cuda_table()->free(static_cast<CragruCudaArray*>(kept)); }};
  }

 private:
  void finish(int status) {
    const std::string text = call_.text, number = std::to_string(call_.bytes);
    switch (status) {
      case CRAGRU_CUDA_DONE: return;
      case CRAGRU_CUDA_CANCELLED: throw Cancelled{};
      case CRAGRU_CUDA_MEMORY: throw Error{"NATIVE_MEMORY", "not enough memory on the GPU: " + text + ".", "Pass fewer rows at a time, dispose of held arrays, or use CRAGRU_DEVICE=cpu."};
      case CRAGRU_CUDA_HOST: throw Error{"NATIVE_MEMORY", text + ".", "Pass fewer rows at a time."};
      case CRAGRU_CUDA_RANGE: throw Error{"NATIVE_RANGE", "the values of instance " + number + " are too large to add.", "Scale the values."};
      case CRAGRU_CUDA_DIVERGED: throw Error{"NATIVE_DIVERGED", "training diverged in epoch " + number + ".", "Lower the learning rate or the regularisation."};
      case CRAGRU_CUDA_PIVOT: throw Error{"NATIVE_NOT_POSITIVE", "the matrix is not positive definite: the pivot of column " + number + " is not a positive number.",
                                         "Add a larger multiple of the identity, or rebuild the matrix from its data."};
      case CRAGRU_CUDA_INVERSE: throw Error{"NATIVE_NOT_POSITIVE", "the inverse leaves the range of double: column " + number + " of the factor's inverse is too large.",
                                            "Scale the matrix, or add a larger multiple of the identity."};
      case CRAGRU_CUDA_SPOILT: throw Error{"NATIVE_DIVERGED", text + "; a held matrix is spoilt.", "Scale the matrix and the vectors."};
      case CRAGRU_CUDA_SUMS: throw Error{"NATIVE_DIVERGED", text + ".", "Scale the vectors and the parameters down."};
      case CRAGRU_CUDA_MEANS: throw Error{"NATIVE_DIVERGED", text + ".", "Scale the points down."};
      case CRAGRU_CUDA_LOGITS: throw Error{"NATIVE_RANGE", "the logits of user " + number + " leave the range of float32.", "Scale the vectors."};
      default: throw Error{"NATIVE_CUDA", "the GPU reports: " + text + ".", "Use CRAGRU_DEVICE=cpu, and look at nvidia-smi."};
    }
  }

  CragruCudaCall call_ = {};
};

const CragruCudaTable& table() { return *cragru_cuda_table(); }

template <class T>
CragruCudaArray* keptOf(const Array<T>& array) {
  return array.storage() ? static_cast<CragruCudaArray*>(array.storage()->twin.get()) : nullptr;
}

CragruCudaFloats of(const Array<float>& array) { return {array.data(), array.size(), keptOf(array)}; }
CragruCudaDoubles of(const Array<double>& array) { return {array.data(), array.size(), keptOf(array)}; }
CragruCudaWords of(const Array<uint32_t>& array) { return {array.data(), array.size(), keptOf(array)}; }
CragruCudaCsr of(const Csr& csr) { return {of(csr.offsets), of(csr.columns)}; }

CragruCudaLoss of(const Loss& loss) {
  CragruCudaLoss given = {};
  given.userCount = loss.userCount;
  given.itemCount = loss.itemCount;
  given.dimension = loss.dimension;
  given.layers = loss.layers;
  given.parameters = of(loss.parameters);
  given.positives = of(loss.positives);
  given.bce = loss.bce;
  given.users = of(loss.users);
  given.items = of(loss.items);
  given.negatives = of(loss.negatives);
  given.labels = of(loss.labels);
  given.regularisation = loss.regularisation;
  given.gaussNewton = loss.gaussNewton;
  return given;
}

}  // namespace

template <class T>
void keep(const std::shared_ptr<Storage<T>>& storage, Run& run) {
  if (storage->twin || storage->values.empty()) return;
  storage->twin = Call(run).upload(storage->values.data(), storage->values.size() * sizeof(T));
}
template void keep(const std::shared_ptr<Storage<float>>&, Run&);
template void keep(const std::shared_ptr<Storage<uint32_t>>&, Run&);

TopK scoreTopK(const ScoreTopK& input, Run& run) {
  TopK result;
  result.items.resize(input.userRows * input.k);
  result.scores.resize(input.userRows * input.k);
  CragruCudaScoreTopK given = {};
  given.users = of(input.users);
  given.items = of(input.items);
  given.userRows = input.userRows;
  given.itemCount = input.itemCount;
  given.dimension = input.dimension;
  given.k = input.k;
  given.masked = input.masked;
  given.mask = of(input.mask);
  given.resultItems = result.items.data();
  given.resultScores = result.scores.data();
  Call call(run);
  call(table().scoreTopK, given);
  return result;
}

EpochResult train(Training input, Run& run) {
  if (input.hogwild) throw Error{"NATIVE_CUDA", "update \"hogwild\" is not on the GPU.", "Use update \"batch\", or CRAGRU_DEVICE=cpu."};
  EpochResult result;
  result.losses.resize(input.epochs);
  CragruCudaTraining given = {};
  given.userCount = input.state.userCount;
  given.itemCount = input.state.itemCount;
  given.dimension = input.state.dimension;
  given.layers = input.layers;
  given.parameters = input.state.parameters.data();
  given.first = input.state.first.data();
  given.second = input.state.second.data();
  given.step = &input.state.step;
  given.positives = of(input.positives);
  given.seed = input.seed;
  given.batchCount = input.batchCount;
  given.firstEpoch = input.firstEpoch;
  given.epochs = input.epochs;
  given.learningRate = input.learningRate;
  given.regularisation = input.regularisation;
  given.adam = input.adam;
  given.bf16 = input.bf16;
  given.losses = result.losses.data();
  Call call(run);
  call(table().train, given);
  result.state = std::move(input.state);
  return result;
}

std::vector<float> propagate(const Propagate& input, Run& run) {
  std::vector<float> result((input.userCount + input.itemCount) * input.dimension);
  CragruCudaPropagate given = {};
  given.userCount = input.userCount;
  given.itemCount = input.itemCount;
  given.dimension = input.dimension;
  given.layers = input.layers;
  given.bf16 = input.bf16;
  given.parameters = of(input.parameters);
  given.positives = of(input.positives);
  given.result = result.data();
  Call call(run);
  call(table().propagate, given);
  return result;
}

AttentionResult attentionWeights(const Attention& input, Run& run) {
  const size_t users = input.queryOffsets.size() - 1;
  size_t cells = 0;
  for (size_t user = 0; user < users; user++) {
    cells += size_t(input.queryOffsets[user + 1] - input.queryOffsets[user]) * (input.keyOffsets[user + 1] - input.keyOffsets[user]);
  }
  AttentionResult result;
  switch (input.output) {
    case AttentionOutput::heads: result.weights.resize(cells * input.heads); break;
    case AttentionOutput::weights: result.weights.resize(cells); break;
    case AttentionOutput::top: result.weights.resize(input.queryOffsets[users] * input.k); break;
    default: result.weights.resize(input.keyOffsets[users]);
  }
  if (input.output == AttentionOutput::top) result.keys.resize(result.weights.size());
  CragruCudaAttention given = {};
  given.queries = of(input.queries);
  given.keys = of(input.keys);
  given.bias = of(input.bias);
  given.queryOffsets = of(input.queryOffsets);
  given.keyOffsets = of(input.keyOffsets);
  given.dimension = input.dimension;
  given.heads = input.heads;
  given.k = input.k;
  given.output = int(input.output);
  given.resultCount = result.weights.size();
  given.result = result.weights.data();
  given.resultKeys = result.keys.data();
  Call call(run);
  call(table().attentionWeights, given);
  return result;
}

KnapsackResult knapsack(const Knapsack& input, Run& run) {
  KnapsackResult result;
  result.choices.resize(input.levels.size());
  result.totals.resize(input.capacities.size());
  CragruCudaKnapsack given = {};
  given.categoryOffsets = of(input.categoryOffsets);
  given.levels = of(input.levels);
  given.capacities = of(input.capacities);
  given.values = of(input.values);
  given.atMost = input.atMost;
  given.choices = result.choices.data();
  given.totals = result.totals.data();
  Call call(run);
  call(table().knapsack, given);
  return result;
}

KMeansRound kmeans(const KMeans& input, Run& run) {
  KMeansRound result;
  result.labels.resize(input.points.size() / input.dimension);
  result.distances.resize(result.labels.size());
  result.centroids.resize(input.centroids.size());
  CragruCudaKMeans given = {};
  given.points = of(input.points);
  given.centroids = of(input.centroids);
  given.dimension = input.dimension;
  given.rounds = input.rounds;
  given.labels = result.labels.data();
  given.resultCentroids = result.centroids.data();
  given.distances = result.distances.data();
  given.done = &result.rounds;
  Call call(run);
  call(table().kmeans, given);
  return result;
}

std::vector<uint32_t> gram(const Gram& input, Run& run) {
  std::vector<uint32_t> result(input.columnCount * (input.columnCount + 1) / 2);
  CragruCudaGram given = {};
  given.positives = of(input.positives);
  given.columnCount = input.columnCount;
  given.result = result.data();
  Call call(run);
  call(table().gram, given);
  return result;
}

CooccurrenceResult itemCooccurrence(const Cooccurrence& input, Run& run) {
  CooccurrenceResult result;
  result.items.resize(input.columnCount * input.k);
  result.counts.resize(input.columnCount * input.k);
  CragruCudaCooccurrence given = {};
  given.positives = of(input.positives);
  given.columnCount = input.columnCount;
  given.k = input.k;
  given.resultItems = result.items.data();
  given.resultCounts = result.counts.data();
  Call call(run);
  call(table().itemCooccurrence, given);
  return result;
}

void cholesky(Cholesky& input, Run& run) {
  CragruCudaCholesky given = {};
  given.matrix = input.matrix.data();
  given.size = input.size;
  given.inverse = input.inverse;
  Call call(run);
  call(table().cholesky, given);
}

void rankUpdate(RankUpdate& input, Run& run) {
  CragruCudaRankUpdate given = {};
  given.matrix = input.matrix.data();
  given.size = input.size;
  given.vectors = of(input.vectors);
  given.weights = of(input.weights);
  Call call(run);
  call(table().rankUpdate, given);
}

std::vector<double> hessianProduct(const HessianProduct& input, Run& run) {
  std::vector<double> result(input.vector.size());
  CragruCudaHessianProduct given = {};
  given.loss = of(input.loss);
  given.vector = of(input.vector);
  given.result = result.data();
  Call call(run);
  call(table().hessianProduct, given);
  return result;
}

ConjugateGradientResult conjugateGradient(const ConjugateGradient& input, Run& run) {
  ConjugateGradientResult result;
  result.solution.resize(input.gradient.size());
  int negative = 0;
  CragruCudaConjugateGradient given = {};
  given.loss = of(input.loss);
  given.gradient = of(input.gradient);
  given.restricted = input.restricted;
  given.rows = input.rows.data();
  given.damping = input.damping;
  given.tolerance = input.tolerance;
  given.iterations = input.iterations;
  given.solution = result.solution.data();
  given.done = &result.iterations;
  given.residual = &result.residual;
  given.negativeCurvature = &negative;
  Call call(run);
  call(table().conjugateGradient, given);
  result.negativeCurvature = negative != 0;
  return result;
}

}  // namespace cuda
}  // namespace cragru
