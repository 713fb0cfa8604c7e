// Results as JavaScript sees them: the result types of src/native/kernels.ts, field by field.
#pragma once
#include <type_traits>

#include "task.h"

namespace cragru {

template <class T>
using TypedArrayOf = std::conditional_t<std::is_same_v<T, float>, Napi::Float32Array, std::conditional_t<std::is_same_v<T, double>, Napi::Float64Array, Napi::Uint32Array>>;

template <class T, class Memory>
inline Napi::Object present(Napi::Env env, const std::vector<T, Memory>& values, Copies& copies) {
  return copies.array<TypedArrayOf<T>>(env, values);
}

// The fields of a result object, one after the other.
class Fields {
 public:
  Fields(Napi::Env env, Copies& copies) : object(Napi::Object::New(env)), copies_(copies) {}

  template <class T, class Memory>
  Fields& add(const char* name, const std::vector<T, Memory>& values) {
    object.Set(name, present(object.Env(), values, copies_));
    return *this;
  }
  Fields& add(const char* name, double value) {
    object.Set(name, value);
    return *this;
  }

  Napi::Object object;

 private:
  Copies& copies_;
};

inline Napi::Object present(Napi::Env env, const TopK& result, Copies& copies) {
  return Fields(env, copies).add("items", result.items).add("scores", result.scores).object;
}

inline Napi::Object present(Napi::Env env, const EpochResult& result, Copies& copies) {
  const TrainingState& state = result.state;
  Fields fields(env, copies);
  fields.object.Set("state", Fields(env, copies)
                                 .add("userCount", double(state.userCount))
                                 .add("itemCount", double(state.itemCount))
                                 .add("dimension", double(state.dimension))
                                 .add("parameters", state.parameters)
                                 .add("first", state.first)
                                 .add("second", state.second)
                                 .add("step", double(state.step))
                                 .object);
  return fields.add("losses", result.losses).object;
}

inline Napi::Object present(Napi::Env env, const AttentionResult& result, Copies& copies) {
  Fields fields(env, copies);
  fields.add("weights", result.weights);
  if (result.top) fields.add("keys", result.keys);
  return fields.object;
}

inline Napi::Object present(Napi::Env env, const KnapsackResult& result, Copies& copies) {
  return Fields(env, copies).add("choices", result.choices).add("totals", result.totals).object;
}

inline Napi::Object present(Napi::Env env, const KMeansRound& result, Copies& copies) {
  return Fields(env, copies).add("labels", result.labels).add("centroids", result.centroids).add("distances", result.distances).add("rounds", double(result.rounds)).object;
}

inline Napi::Object present(Napi::Env env, const CooccurrenceResult& result, Copies& copies) {
  return Fields(env, copies).add("items", result.items).add("counts", result.counts).object;
}

inline Napi::Object present(Napi::Env env, const ConjugateGradientResult& result, Copies& copies) {
  Fields fields(env, copies);
  fields.add("solution", result.solution).add("iterations", double(result.iterations)).add("residual", result.residual);
  fields.object.Set("negativeCurvature", result.negativeCurvature);
  return fields.object;
}

}  // namespace cragru
