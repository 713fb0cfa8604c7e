// Registration, and the way of each call: copy the arguments, queue a job that checks the copies and computes. The exports are
// the calls of src/native/kernels.ts; `describe` and what held arrays need are not enumerable. What the calls mean is decided in
// TypeScript.
#include <algorithm>
#include <new>
#include <stdexcept>

#include "jobs.h"
#include "readers.h"

// The kernel of the device that the call asked for; queue() refuses cuda where there is none.
#if defined(CRAGRU_CUDA)
#define ON_DEVICE(kernel) (run.cuda ? cuda::kernel : cpu::kernel)
#else
#define ON_DEVICE(kernel) cpu::kernel
#endif

namespace cragru {

namespace {

// To be raised together with ADDON_CONTRACT in src/native/addon.ts.
constexpr int CONTRACT = 2;

[[noreturn]] void throwToJs(Napi::Env env, const Error& error) {
  Napi::Error value = Napi::Error::New(env, error.message);
  value.Set("code", Napi::String::New(env, error.code));
  if (!error.hint.empty()) value.Set("hint", Napi::String::New(env, error.hint));
  throw value;
}

// Runs a body of a call; whatever it throws becomes a JavaScript error with a code.
template <class Body>
Napi::Value guarded(Napi::Env env, Body&& body) {
  try {
    return body();
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
                             InstanceMethod("kmeans", &Addon::kmeans, napi_enumerable),
                             InstanceMethod("gram", &Addon::gram, napi_enumerable),
                             InstanceMethod("itemCooccurrence", &Addon::itemCooccurrence, napi_enumerable),
                             InstanceMethod("cholesky", &Addon::cholesky, napi_enumerable),
                             InstanceMethod("rankUpdate", &Addon::rankUpdate, napi_enumerable),
                             InstanceMethod("hessianProduct", &Addon::hessianProduct, napi_enumerable),
                             InstanceMethod("conjugateGradient", &Addon::conjugateGradient, napi_enumerable),
                             InstanceMethod("allocate", &Addon::allocate, napi_default),
                             InstanceMethod("fill", &Addon::fill, napi_default),
                             InstanceMethod("seal", &Addon::seal, napi_default),
                             InstanceMethod("read", &Addon::read, napi_default),
                             InstanceMethod("dispose", &Addon::dispose, napi_default),
                             InstanceMethod("roofs", &Addon::roofs, napi_default),
                             InstanceMethod("describe", &Addon::describe, napi_default),
                         });
  }

 private:
  Napi::Value scoreTopK(const Napi::CallbackInfo& info) {
    return start<ScoreTopK, TopK>(info, readScoreTopK, [](ScoreTopK& input, Run& run) { return ON_DEVICE(scoreTopK)(input, run); });
  }

  Napi::Value train(const Napi::CallbackInfo& info) {
    return start<Training, EpochResult>(info, readTraining, [](Training& input, Run& run) { return ON_DEVICE(train)(std::move(input), run); });
  }

  Napi::Value propagate(const Napi::CallbackInfo& info) {
    return start<Propagate, std::vector<float>>(info, readPropagate, [](Propagate& input, Run& run) { return ON_DEVICE(propagate)(input, run); });
  }

  Napi::Value attentionWeights(const Napi::CallbackInfo& info) {
    return start<Attention, AttentionResult>(info, readAttention, [](Attention& input, Run& run) {
      AttentionResult result = ON_DEVICE(attentionWeights)(input, run);
      result.top = input.output == AttentionOutput::top;
      return result;
    });
  }

  Napi::Value knapsack(const Napi::CallbackInfo& info) {
    return start<Knapsack, KnapsackResult>(info, readKnapsack, [](Knapsack& input, Run& run) { return ON_DEVICE(knapsack)(input, run); });
  }

  Napi::Value kmeans(const Napi::CallbackInfo& info) {
    return start<KMeans, KMeansRound>(info, readKMeans, [](KMeans& input, Run& run) { return ON_DEVICE(kmeans)(input, run); });
  }

  Napi::Value gram(const Napi::CallbackInfo& info) {
    return start<Gram, std::vector<uint32_t>>(info, readGram, [](Gram& input, Run& run) { return ON_DEVICE(gram)(input, run); });
  }

  Napi::Value itemCooccurrence(const Napi::CallbackInfo& info) {
    return start<Cooccurrence, CooccurrenceResult>(info, readCooccurrence, [](Cooccurrence& input, Run& run) { return ON_DEVICE(itemCooccurrence)(input, run); });
  }

  Napi::Value cholesky(const Napi::CallbackInfo& info) {
    return startMatrix<Cholesky>(info, readCholesky, [](Cholesky& input, Run& run) { ON_DEVICE(cholesky)(input, run); }, false);
  }

  Napi::Value rankUpdate(const Napi::CallbackInfo& info) {
    return startMatrix<RankUpdate>(info, readRankUpdate, [](RankUpdate& input, Run& run) { ON_DEVICE(rankUpdate)(input, run); }, true);
  }

  Napi::Value hessianProduct(const Napi::CallbackInfo& info) {
    return start<HessianProduct, std::vector<double>>(info, readHessianProduct, [](HessianProduct& input, Run& run) { return ON_DEVICE(hessianProduct)(input, run); });
  }

  Napi::Value conjugateGradient(const Napi::CallbackInfo& info) {
    return start<ConjugateGradient, ConjugateGradientResult>(info, readConjugateGradient, [](ConjugateGradient& input, Run& run) { return ON_DEVICE(conjugateGradient)(input, run); });
  }

  // call(input, { isa, threads, progress? }) -> { promise, cancel }
  template <class Input, class Result>
  Napi::Value start(const Napi::CallbackInfo& info, Input (*read)(const Arguments&), Result (*compute)(Input&, Run&)) {
    Napi::Env env = info.Env();
    return guarded(env, [&] { return queue(info, std::make_shared<KernelJob<Input, Result>>(env, read(Arguments(info[0])), compute)); });
  }

  template <class Input>
  Napi::Value startMatrix(const Napi::CallbackInfo& info, Input (*read)(const Arguments&), void (*compute)(Input&, Run&), bool uncancelled) {
    Napi::Env env = info.Env();
    return guarded(env, [&] {
      const Arguments arguments(info[0]);
      Input input = read(arguments);
      std::shared_ptr<Storage<double>> storage;
      const HeldArray* held = arguments.heldOf("matrix", HeldArray::Kind::float64);
      if (held != nullptr && !held->once) storage = held->doubles;
      else input.matrix = arguments.ownDoubles("matrix");
      return queue(info, std::make_shared<MatrixJob<Input>>(env, std::move(input), std::move(storage), compute, uncancelled));
    });
  }

  // Queues a job with the settings in the second argument of its call.
  Napi::Value queue(const Napi::CallbackInfo& info, std::shared_ptr<Job> job) {
    const Arguments control(info[1]);
    job->cuda = readChoice(control, "device", {"cpu", "cuda"}) == 1;
    if (job->cuda && !gpuPresent()) throw Error{"NATIVE_CUDA", "there is no usable GPU.", "Use CRAGRU_DEVICE=cpu."};
    job->blocks = cpu::blocksNamed(control.text("isa").c_str());
    if (job->blocks == nullptr) throw Error{"NATIVE_ISA", "this instruction set is not available.", ""};
    const uint64_t threads = control.whole("threads");
    if (threads < 1 || threads > 256) throw Error{"NATIVE_THREADS", "threads must be from 1 to 256.", ""};
    job->threads = unsigned(threads);
    if (control.has("progress")) {
      Napi::Value progress = control.get("progress");
      if (!progress.IsFunction()) throw Error{"NATIVE_INPUT", "progress is not a function.", ""};
      job->onProgress = Napi::Persistent(progress.As<Napi::Function>());
    }
    return queue_.add(info.Env(), std::move(job));
  }

  // allocate({ kind, length, once? }) -> an empty held array with room for `length` values
  Napi::Value allocate(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      const Arguments read(info[0]);
      return HeldArray::allocate(info.Env(), read.text("kind"), read.whole("length"), read.has("once"));
    });
  }

  // fill({ array, chunk }): appends
  Napi::Value fill(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      const Arguments read(info[0]);
      HeldArray* held = HeldArray::of(read.get("array"));
      if (held == nullptr) throw Error{"NATIVE_INPUT", "array is no held array.", ""};
      held->fill(read.get("chunk"));
      return info.Env().Undefined();
    });
  }

  // seal({ values } or { offsets, columns, columnCount }, control) -> job: what is held is sound
  Napi::Value seal(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      const Arguments read(info[0]);
      auto job = std::make_shared<SealJob>(info.Env());
      if (read.has("columnCount")) {
        job->columnCount = read.whole("columnCount");
        job->csr = {read.words("offsets"), read.words("columns")};
      } else {
        const HeldArray& held = HeldArray::alive(read.get("values"));
        job->floats = Array<float>(held.floats);
        job->doubles = Array<double>(held.doubles);
      }
      return queue(info, std::move(job));
    });
  }

  // read({ array }, control) -> job: a typed array
  Napi::Value read(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      const HeldArray& held = HeldArray::alive(Arguments(info[0]).get("array"));
      if (held.floats) return queue(info, std::make_shared<ReadJob<float>>(info.Env(), held.floats));
      if (held.doubles) return queue(info, std::make_shared<ReadJob<double>>(info.Env(), held.doubles));
      return queue(info, std::make_shared<ReadJob<uint32_t>>(info.Env(), held.words));
    });
  }

  // dispose({ array }): jobs under way keep the memory until they end
  Napi::Value dispose(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      HeldArray* held = HeldArray::of(Arguments(info[0]).get("array"));
      if (held == nullptr) throw Error{"NATIVE_INPUT", "array is no held array.", ""};
      held->dispose(info.Env());
      return info.Env().Undefined();
    });
  }

  // roofs({}, control) -> job: what the machine can do at most, with these threads and this instruction set
  Napi::Value roofs(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return queue(info, std::make_shared<RoofsJob>(info.Env())); });
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

  static bool gpuPresent() {
#if defined(CRAGRU_CUDA)
    char text[CRAGRU_CUDA_TEXT];
    return cragru_cuda_table()->countDevices(text, sizeof text) > 0;
#else
    return false;
#endif
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
