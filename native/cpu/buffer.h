// Uninitialised memory for tables and scratch: starts of rows on cache lines, large ones on large pages, kept between uses.
#pragma once
#include <cstddef>
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
  Buffer() = default;
  explicit Buffer(size_t size) { need(size); }
  ~Buffer() { std::free(values_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  // Room for `size` values; what stood there is lost when it grows.
  void need(size_t size) {
    if (size <= size_) return;
    std::free(values_);
    values_ = nullptr;
    size_ = 0;
    constexpr size_t LINE = 64, PAGE = size_t(1) << 21;
    const size_t alignment = size * sizeof(T) >= PAGE ? PAGE : LINE;
    const size_t bytes = (size * sizeof(T) + alignment - 1) / alignment * alignment;
    values_ = static_cast<T*>(std::aligned_alloc(alignment, bytes));
    if (!values_) throw std::bad_alloc();
#if defined(__linux__)
    // A hint: scattered writes over many megabytes otherwise miss the translation tables, and first use faults 4 KiB at a time.
    if (alignment == PAGE) madvise(values_, bytes, MADV_HUGEPAGE);
#endif
    size_ = size;
  }

  T* data() { return values_; }
  const T* data() const { return values_; }
  T& operator[](size_t at) { return values_[at]; }
  const T& operator[](size_t at) const { return values_[at]; }

 private:
  T* values_ = nullptr;
  size_t size_ = 0;
};

}  // namespace cpu
}  // namespace cragru
