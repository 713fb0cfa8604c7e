// Results as JavaScript sees them: the result types of src/native/kernels.ts, field by field. Their arrays are given away.
#pragma once
#include <type_traits>

#include "task.h"

namespace cragru {

template <class T>
using TypedArrayOf = std::conditional_t<std::is_same_v<T, float>, Napi::Float32Array, std::conditional_t<std::is_same_v<T, double>, Napi::Float64Array, Napi::Uint32Array>>;

template <class T, class Memory>
inline Napi::Object present(Napi::Env env, std::vector<T, Memory>&& values) {
  return typedArray<TypedArrayOf<T>>(env, std::move(values));
}

// The fields of a result object, one after the other.
class Fields {
 public:
  explicit Fields(Napi::Env env) : object(Napi::Object::New(env)) {}

  template <class T, class Memory>
  Fields& add(const char* name, std::vector<T, Memory>&& values) {
    object.Set(name, present(object.Env(), std::move(values)));
    return *this;
  }
  Fields& add(const char* name, double value) {
    object.Set(name, value);
    return *this;
  }

  Napi::Object object;
};

inline Napi::Object present(Napi::Env env, TopK&& result) {
  return Fields(env).add("items", std::move(result.items)).add("scores", std::move(result.scores)).object;
}

inline Napi::Object present(Napi::Env env, EpochResult&& result) {
  TrainingState& state = result.state;
  Fields fields(env);
  fields.object.Set("state", Fields(env)
                                 .add("userCount", double(state.userCount))
                                 .add("itemCount", double(state.itemCount))
                                 .add("dimension", double(state.dimension))
                                 .add("parameters", std::move(state.parameters))
                                 .add("first", std::move(state.first))
                                 .add("second", std::move(state.second))
                                 .add("step", double(state.step))
                                 .object);
  return fields.add("losses", std::move(result.losses)).object;
}

inline Napi::Object present(Napi::Env env, AttentionResult&& result) {
  Fields fields(env);
  fields.add("weights", std::move(result.weights));
  if (result.top) fields.add("keys", std::move(result.keys));
  return fields.object;
}

inline Napi::Object present(Napi::Env env, KnapsackResult&& result) {
  return Fields(env).add("choices", std::move(result.choices)).add("totals", std::move(result.totals)).object;
}

inline Napi::Object present(Napi::Env env, KMeansRound&& result) {
  return Fields(env).add("labels", std::move(result.labels)).add("centroids", std::move(result.centroids)).add("distances", std::move(result.distances)).add("rounds", double(result.rounds)).object;
}

inline Napi::Object present(Napi::Env env, CooccurrenceResult&& result) {
  return Fields(env).add("items", std::move(result.items)).add("counts", std::move(result.counts)).object;
}

inline Napi::Object present(Napi::Env env, ConjugateGradientResult&& result) {
  Fields fields(env);
  fields.add("solution", std::move(result.solution)).add("iterations", double(result.iterations)).add("residual", result.residual);
  fields.object.Set("negativeCurvature", result.negativeCurvature);
  return fields.object;
}

}  // namespace cragru
