// Scratch memory of a kernel: not filled (large arrays are first touched by the threads that use them), on a cache line, and on large
// pages where the system offers them.
#pragma once
#include <cstdlib>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace cragru {
namespace cpu {

template <class T>
class Buffer {
 public:
  explicit Buffer(size_t count) {
    const size_t page = size_t(2) << 20, bytes = count * sizeof(T), align = bytes >= 4 * page ? page : 64;
    if (bytes == 0) return;
    values_ = static_cast<T*>(std::aligned_alloc(align, (bytes + align - 1) / align * align));
    if (values_ == nullptr) throw std::bad_alloc();
#if defined(__linux__)
    if (align == page) madvise(values_, bytes, MADV_HUGEPAGE);
#endif
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
