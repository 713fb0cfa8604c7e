// Scratch memory of a kernel, not filled.
#pragma once
#include "../pages.h"

namespace cragru {
namespace cpu {

template <class T>
class Buffer {
 public:
  explicit Buffer(size_t count) {
    if (count > 0) values_ = static_cast<T*>(allocatePages(count * sizeof(T)));
  }
  ~Buffer() { std::free(values_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* data() { return values_; }
  const T* data() const { return values_; }

 private:
  T* values_ = nullptr;
};

}  // namespace cpu
}  // namespace cragru
