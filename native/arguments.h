// Reads arguments from JavaScript objects. Every array is copied at once into memory of our own, before any other property
// is read: a getter, a transfer or a resize in between cannot pull memory from under a kernel. A held array is shared instead of
// copied. Contents are checked later, on the worker thread, by check.h.
#pragma once
#include <napi.h>

#include <cstring>

#include "held.h"

namespace cragru {

class Arguments {
 public:
  explicit Arguments(Napi::Value value) {
    if (!value.IsObject()) throw Error{"NATIVE_INPUT", "an argument is not an object.", ""};
    object_ = value.As<Napi::Object>();
  }

  bool has(const char* name) const {
    Napi::Value value = object_.Get(name);
    return !value.IsUndefined();
  }

  Arguments inner(const char* name) const { return Arguments(object_.Get(name)); }

  Napi::Value get(const char* name) const { return object_.Get(name); }

  double number(const char* name) const {
    Napi::Value value = object_.Get(name);
    if (!value.IsNumber()) throw Error{"NATIVE_INPUT", std::string(name) + " is not a number.", ""};
    return value.As<Napi::Number>().DoubleValue();
  }

  // A whole number up to 2^53.
  uint64_t whole(const char* name) const {
    const double value = number(name);
    if (!(value >= 0 && value <= 9007199254740992.0) || value != double(uint64_t(value))) {
      throw Error{"NATIVE_RANGE", std::string(name) + " is not a whole number.", ""};
    }
    return uint64_t(value);
  }

  uint32_t word(const char* name) const {
    const uint64_t value = whole(name);
    if (value > 0xffffffffu) throw Error{"NATIVE_RANGE", std::string(name) + " does not fit in 32 bits.", ""};
    return uint32_t(value);
  }

  std::string text(const char* name) const {
    Napi::Value value = object_.Get(name);
    if (!value.IsString()) throw Error{"NATIVE_INPUT", std::string(name) + " is not a string.", ""};
    return value.As<Napi::String>().Utf8Value();
  }

  Array<float> floats(const char* name) const {
    const HeldArray* held = heldOf(name, HeldArray::Kind::float32);
    return held ? Array<float>(held->floats) : Array<float>(copy<float>(name, napi_float32_array));
  }
  Array<double> doubles(const char* name) const {
    const HeldArray* held = heldOf(name, HeldArray::Kind::float64);
    return held ? Array<double>(held->doubles) : Array<double>(copy<double>(name, napi_float64_array));
  }
  Array<uint32_t> words(const char* name) const {
    const HeldArray* held = heldOf(name, HeldArray::Kind::uint32);
    return held ? Array<uint32_t>(held->words) : Array<uint32_t>(copy<uint32_t>(name, napi_uint32_array));
  }

  Csr csr(const char* name) const {
    const Arguments value = inner(name);
    return {value.words("offsets"), value.words("columns")};
  }

  // An array that the kernel changes: a copy, or the memory of a held array that was made for this call.
  std::vector<float> ownFloats(const char* name) const {
    const HeldArray* held = heldOf(name, HeldArray::Kind::float32);
    if (held == nullptr) return copy<float>(name, napi_float32_array);
    return held->once ? std::move(held->floats->values) : held->floats->values;
  }
  std::vector<double> ownDoubles(const char* name) const {
    const HeldArray* held = heldOf(name, HeldArray::Kind::float64);
    if (held == nullptr) return copy<double>(name, napi_float64_array);
    return held->once ? std::move(held->doubles->values) : held->doubles->values;
  }

  // The held array behind a property, or nothing where a typed array stands there.
  HeldArray* heldOf(const char* name, HeldArray::Kind kind) const {
    Napi::Value value = object_.Get(name);
    if (HeldArray::of(value) == nullptr) return nullptr;
    HeldArray& held = HeldArray::alive(value);
    if (held.kind != kind) throw Error{"NATIVE_INPUT", std::string(name) + " is a held array of another kind.", ""};
    return &held;
  }

 private:
  template <class T>
  std::vector<T> copy(const char* name, napi_typedarray_type wanted) const {
    Napi::Value value = object_.Get(name);
    napi_typedarray_type type;
    size_t length = 0;
    void* data = nullptr;
    if (!value.IsTypedArray() || napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok || type != wanted) {
      throw Error{"NATIVE_INPUT", std::string(name) + " is not a typed array of the right kind.", ""};
    }
    std::vector<T> values(data ? length : 0);
    if (!values.empty()) std::memcpy(values.data(), data, values.size() * sizeof(T));
    return values;
  }

  Napi::Object object_;
};

}  // namespace cragru
