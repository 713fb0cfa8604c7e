// Registration, and the way of each call: copy the arguments, check the copies, queue a job. The exports are the six calls of
// src/native/kernels.ts; `describe` is not enumerable. What the calls mean is decided in TypeScript.
#include <algorithm>
#include <new>
#include <stdexcept>

#include "arguments.h"
#include "check.h"
#include "cuda/table.h"
#include "task.h"

namespace cragru {

namespace {

// To be raised together with ADDON_CONTRACT in src/native/addon.ts.
constexpr int CONTRACT = 1;

template <class Typed, class T>
Typed toTypedArray(Napi::Env env, const std::vector<T>& values) {
  Typed array = Typed::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(T));
  return array;
}

Napi::Value present(Napi::Env env, const std::vector<float>& values) { return toTypedArray<Napi::Float32Array>(env, values); }

Napi::Value present(Napi::Env env, const TopK& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("items", toTypedArray<Napi::Uint32Array>(env, result.items));
  object.Set("scores", toTypedArray<Napi::Float32Array>(env, result.scores));
  return object;
}

Napi::Value present(Napi::Env env, const EpochResult& result) {
  Napi::Object state = Napi::Object::New(env);
  state.Set("userCount", double(result.state.userCount));
  state.Set("itemCount", double(result.state.itemCount));
  state.Set("dimension", double(result.state.dimension));
  state.Set("parameters", toTypedArray<Napi::Float32Array>(env, result.state.parameters));
  state.Set("first", toTypedArray<Napi::Float32Array>(env, result.state.first));
  state.Set("second", toTypedArray<Napi::Float32Array>(env, result.state.second));
  state.Set("step", double(result.state.step));
  Napi::Object object = Napi::Object::New(env);
  object.Set("state", state);
  object.Set("losses", toTypedArray<Napi::Float64Array>(env, result.losses));
  return object;
}

Napi::Value present(Napi::Env env, const KnapsackResult& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("choices", toTypedArray<Napi::Uint32Array>(env, result.choices));
  object.Set("totals", toTypedArray<Napi::Float64Array>(env, result.totals));
  return object;
}

template <class Input, class Result>
class KernelJob : public Job {
 public:
  using Compute = Result (*)(Input&, Run&);

  KernelJob(Napi::Env env, Input input, Compute compute) : Job(env), input_(std::move(input)), compute_(compute) {}

  void execute(Run& run) override {
    result_ = compute_(input_, run);
    input_ = Input();
  }

  Napi::Value result(Napi::Env env) override { return present(env, result_); }

 private:
  Input input_;
  Result result_;
  Compute compute_;
};

ScoreTopK readScoreTopK(const Arguments& read) {
  ScoreTopK input;
  input.users = read.floats("users");
  input.items = read.floats("items");
  input.dimension = read.whole("dimension");
  input.k = read.whole("k");
  input.masked = read.has("mask");
  if (input.masked) input.mask = read.csr("mask");
  return input;
}

Propagate readPropagate(const Arguments& read) {
  Propagate input;
  input.userCount = read.whole("userCount");
  input.itemCount = read.whole("itemCount");
  input.dimension = read.whole("dimension");
  input.layers = read.whole("layers");
  input.parameters = read.floats("parameters");
  input.positives = read.csr("positives");
  return input;
}

Training readTraining(const Arguments& both) {
  const Arguments state = both.inner("state"), read = both.inner("input");
  Training input;
  input.state.userCount = state.whole("userCount");
  input.state.itemCount = state.whole("itemCount");
  input.state.dimension = state.whole("dimension");
  input.state.parameters = state.floats("parameters");
  input.state.first = state.floats("first");
  input.state.second = state.floats("second");
  input.state.step = state.whole("step");
  input.positives = read.csr("positives");
  input.seed = read.word("seed");
  input.firstEpoch = read.whole("firstEpoch");
  input.epochs = read.whole("epochs");
  input.batchCount = read.word("batchCount");
  input.learningRate = read.number("learningRate");
  input.regularisation = read.number("regularisation");
  const std::string optimiser = read.text("optimiser");
  if (optimiser != "adam" && optimiser != "sgd") throw Error{"NATIVE_RANGE", "optimiser must be \"adam\" or \"sgd\".", ""};
  input.adam = optimiser == "adam";
  input.layers = read.whole("layers");
  return input;
}

Attention readAttention(const Arguments& read) {
  Attention input;
  input.queries = read.floats("queries");
  input.queryOffsets = read.words("queryOffsets");
  input.keys = read.floats("keys");
  input.keyOffsets = read.words("keyOffsets");
  input.dimension = read.whole("dimension");
  input.heads = read.whole("heads");
  if (read.has("bias")) input.bias = read.floats("bias");
  const std::string output = read.text("output");
  if (output == "weights") input.output = AttentionOutput::weights;
  else if (output == "max") input.output = AttentionOutput::max;
  else if (output == "mean") input.output = AttentionOutput::mean;
  else throw Error{"NATIVE_RANGE", "output must be \"weights\", \"max\" or \"mean\".", ""};
  return input;
}

Knapsack readKnapsack(const Arguments& read) {
  Knapsack input;
  input.values = read.doubles("values");
  input.instances = read.whole("instances");
  input.categories = read.whole("categories");
  input.levels = read.whole("levels");
  input.capacity = read.whole("capacity");
  const std::string boundary = read.text("boundary");
  if (boundary != "exact" && boundary != "atMost") throw Error{"NATIVE_RANGE", "boundary must be \"exact\" or \"atMost\".", ""};
  input.atMost = boundary == "atMost";
  return input;
}

[[noreturn]] void throwToJs(Napi::Env env, const Error& error) {
  Napi::Error value = Napi::Error::New(env, error.message);
  value.Set("code", Napi::String::New(env, error.code));
  if (!error.hint.empty()) value.Set("hint", Napi::String::New(env, error.hint));
  throw value;
}

}  // namespace

class Addon : public Napi::Addon<Addon> {
 public:
  Addon(Napi::Env env, Napi::Object exports) : queue_(env) {
    DefineAddon(exports, {
                             InstanceMethod("scoreTopK", &Addon::scoreTopK, napi_enumerable),
                             InstanceMethod("bprEpoch", &Addon::train, napi_enumerable),
                             InstanceMethod("lightGcnEpoch", &Addon::train, napi_enumerable),
                             InstanceMethod("propagate", &Addon::propagate, napi_enumerable),
                             InstanceMethod("attentionWeights", &Addon::attentionWeights, napi_enumerable),
                             InstanceMethod("knapsack", &Addon::knapsack, napi_enumerable),
                             InstanceMethod("describe", &Addon::describe, napi_default),
                         });
  }

 private:
  Napi::Value scoreTopK(const Napi::CallbackInfo& info) {
    return start<ScoreTopK, TopK>(info, readScoreTopK, [](ScoreTopK& input, Run& run) { return cpu::scoreTopK(input, run); });
  }

  // BPR arrives as LightGCN with 0 layers.
  Napi::Value train(const Napi::CallbackInfo& info) {
    return start<Training, EpochResult>(info, readTraining, [](Training& input, Run& run) { return cpu::train(std::move(input), run); });
  }

  Napi::Value propagate(const Napi::CallbackInfo& info) {
    return start<Propagate, std::vector<float>>(info, readPropagate, [](Propagate& input, Run& run) { return cpu::propagate(input, run); });
  }

  Napi::Value attentionWeights(const Napi::CallbackInfo& info) {
    return start<Attention, std::vector<float>>(info, readAttention, [](Attention& input, Run& run) { return cpu::attentionWeights(input, run); });
  }

  Napi::Value knapsack(const Napi::CallbackInfo& info) {
    return start<Knapsack, KnapsackResult>(info, readKnapsack, [](Knapsack& input, Run& run) { return cpu::knapsack(input, run); });
  }

  // call(input, { isa, threads, progress? }) -> { promise, cancel }
  template <class Input, class Result>
  Napi::Value start(const Napi::CallbackInfo& info, Input (*read)(const Arguments&), Result (*compute)(Input&, Run&)) {
    Napi::Env env = info.Env();
    try {
      Input input = read(Arguments(info[0]));
      check(input);
      const Arguments control(info[1]);
      const cpu::Blocks* blocks = cpu::blocksNamed(control.text("isa").c_str());
      if (blocks == nullptr) throw Error{"NATIVE_ISA", "this instruction set is not available.", ""};
      const uint64_t threads = control.whole("threads");
      if (threads < 1 || threads > 256) throw Error{"NATIVE_THREADS", "threads must be from 1 to 256.", ""};
      auto job = std::make_shared<KernelJob<Input, Result>>(env, std::move(input), compute);
      job->blocks = blocks;
      job->threads = unsigned(threads);
      if (control.has("progress")) {
        Napi::Value progress = control.get("progress");
        if (!progress.IsFunction()) throw Error{"NATIVE_INPUT", "progress is not a function.", ""};
        job->onProgress = Napi::Persistent(progress.As<Napi::Function>());
      }
      return queue_.add(env, std::move(job));
    } catch (const Napi::Error&) {
      throw;
    } catch (const Error& error) {
      throwToJs(env, error);
    } catch (const std::bad_alloc&) {
      throwToJs(env, {"NATIVE_MEMORY", "not enough memory for the arguments.", "Pass fewer rows at a time."});
    } catch (const std::length_error&) {
      throwToJs(env, {"NATIVE_MEMORY", "an argument is too large.", "Pass fewer rows at a time."});
    } catch (const std::exception& error) {
      throwToJs(env, {"NATIVE_FAILED", error.what(), ""});
    }
  }

  Napi::Value describe(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    Napi::Object said = Napi::Object::New(env);
    said.Set("contract", CONTRACT);
    const cpu::Blocks* const* blocks;
    const size_t count = cpu::supportedBlocks(&blocks);
    Napi::Array isas = Napi::Array::New(env, count);
    for (size_t at = 0; at < count; at++) isas.Set(uint32_t(at), Napi::String::New(env, blocks[at]->name));
    said.Set("isas", isas);
    said.Set("cores", double(std::max(1u, std::thread::hardware_concurrency())));
    said.Set("cuda", describeCuda(env));
    return said;
  }

  static Napi::Object describeCuda(Napi::Env env) {
    Napi::Object cuda = Napi::Object::New(env);
    Napi::Array devices = Napi::Array::New(env);
#if defined(CRAGRU_CUDA)
    const CragruCudaTable* table = cragru_cuda_table();
    char text[CRAGRU_CUDA_TEXT];
    const int count = table->countDevices(text, sizeof text);
    for (int number = 0; number < count; number++) {
      CragruCudaDevice device;
      if (table->describeDevice(number, &device) != 0) continue;
      Napi::Object one = Napi::Object::New(env);
      one.Set("name", Napi::String::New(env, device.name));
      one.Set("memoryBytes", double(device.memoryBytes));
      one.Set("computeCapability", Napi::String::New(env, std::to_string(device.major) + "." + std::to_string(device.minor)));
      devices.Set(devices.Length(), one);
    }
    cuda.Set("text", Napi::String::New(env, text));
#else
    cuda.Set("text", Napi::String::New(env, "this build has no CUDA part, which needs CMake and nvcc when it is made"));
#endif
    cuda.Set("devices", devices);
    return cuda;
  }

  Queue queue_;
};

NODE_API_NAMED_ADDON(cragru, Addon)

}  // namespace cragru
