// Arrays that stay on this side between calls. JavaScript sees an object without content, made by `allocate`, filled in
// pieces (so that a long copy never holds up the event loop) and checked by a job of its own. A call that is under way shares the
// memory, so `dispose` is safe at any time.
#pragma once
#include <napi.h>

#include "kernels.h"

namespace cragru {

class HeldArray {
 public:
  enum class Kind { float32, float64, uint32 };

  Kind kind = Kind::float32;
  size_t length = 0;
  // Values that have arrived. Not the size of the memory, which a kernel may have on loan just now.
  size_t filled = 0;
  bool disposed = false;
  // A call has seen it: from then on its contents, once checked, must not change under a kernel.
  bool sealed = false;
  // Made for one call: a kernel that changes it may take the memory instead of a copy.
  bool once = false;
  std::shared_ptr<Storage<float>> floats;
  std::shared_ptr<Storage<double>> doubles;
  std::shared_ptr<Storage<uint32_t>> words;

  size_t bytes() const { return length * (kind == Kind::float64 ? 8 : 4); }

  // A new object around room for `length` values. JavaScript thread.
  static Napi::Value allocate(Napi::Env env, const std::string& kind, size_t length, bool once) {
    std::unique_ptr<HeldArray> held(new HeldArray);
    held->length = length;
    held->once = once;
    if (kind == "float32") {
      held->floats = std::make_shared<Storage<float>>();
      held->floats->values.reserve(length);
    } else if (kind == "float64") {
      held->kind = Kind::float64;
      held->doubles = std::make_shared<Storage<double>>();
      held->doubles->values.reserve(length);
    } else if (kind == "uint32") {
      held->kind = Kind::uint32;
      held->words = std::make_shared<Storage<uint32_t>>();
      held->words->values.reserve(length);
    } else {
      throw Error{"NATIVE_INPUT", "there is no array of this kind.", ""};
    }
    Napi::Object object = Napi::Object::New(env);
    const size_t bytes = held->bytes();
    if (napi_type_tag_object(env, object, &TAG) != napi_ok || napi_wrap(env, object, held.get(), finalize, nullptr, nullptr) != napi_ok) {
      throw Error{"NATIVE_FAILED", "a held array could not be made.", ""};
    }
    held.release();
    int64_t all = 0;
    napi_adjust_external_memory(env, int64_t(bytes), &all);
    return object;
  }

  // The held array behind a value, or nothing where it is something else.
  static HeldArray* of(Napi::Value value) {
    if (!value.IsObject()) return nullptr;
    bool tagged = false;
    void* found = nullptr;
    if (napi_check_object_type_tag(value.Env(), value, &TAG, &tagged) != napi_ok || !tagged) return nullptr;
    if (napi_unwrap(value.Env(), value, &found) != napi_ok) return nullptr;
    return static_cast<HeldArray*>(found);
  }

  // As `of`, for a value that must be one that is alive.
  static HeldArray& alive(Napi::Value value) {
    HeldArray* held = of(value);
    if (held == nullptr) throw Error{"NATIVE_INPUT", "this is no held array.", ""};
    if (held->disposed) throw Error{"NATIVE_DISPOSED", "a held array was used after dispose().", "Hold the data again."};
    if (held->filled != held->length) throw Error{"NATIVE_INPUT", "a held array is not filled yet.", ""};
    held->sealed = true;
    return *held;
  }

  // Appends `chunk`, a typed array of the same kind.
  void fill(Napi::Value chunk) {
    if (disposed || sealed) throw Error{"NATIVE_INPUT", "a held array cannot be filled any more.", ""};
    napi_typedarray_type type;
    size_t count = 0;
    void* data = nullptr;
    const napi_typedarray_type wanted = kind == Kind::float32 ? napi_float32_array : kind == Kind::float64 ? napi_float64_array : napi_uint32_array;
    if (!chunk.IsTypedArray() || napi_get_typedarray_info(chunk.Env(), chunk, &type, &count, &data, nullptr, nullptr) != napi_ok || type != wanted) {
      throw Error{"NATIVE_INPUT", "a piece of a held array is not a typed array of its kind.", ""};
    }
    if (count > length - filled) throw Error{"NATIVE_SHAPE", "a piece does not fit into its held array.", ""};
    if (count == 0 || data == nullptr) return;
    if (kind == Kind::float32) append(floats->values, data, count);
    else if (kind == Kind::float64) append(doubles->values, data, count);
    else append(words->values, data, count);
    filled += count;
  }

  void dispose(Napi::Env env) {
    if (disposed) return;
    disposed = true;
    floats.reset();
    doubles.reset();
    words.reset();
    int64_t all = 0;
    napi_adjust_external_memory(env, -int64_t(bytes()), &all);
  }

 private:
  template <class T>
  static void append(std::vector<T>& values, const void* data, size_t count) {
    const T* from = static_cast<const T*>(data);
    values.insert(values.end(), from, from + count);
  }

  static void finalize(napi_env env, void* data, void*) {
    HeldArray* held = static_cast<HeldArray*>(data);
    held->dispose(Napi::Env(env));
    delete held;
  }

  static constexpr napi_type_tag TAG = {0x6372616772752d68ull, 0x656c642d61727279ull};
};

}  // namespace cragru
