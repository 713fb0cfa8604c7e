// Vectors that begin at a cache line: a full register read across two lines costs twice.
#pragma once
#include <cstddef>
#include <new>
#include <vector>

namespace cragru {
namespace cpu {

template <class T>
struct LineAllocator {
  using value_type = T;
  LineAllocator() = default;
  template <class Other>
  LineAllocator(const LineAllocator<Other>&) {}
  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(64))); }
  void deallocate(T* values, size_t) { ::operator delete(values, std::align_val_t(64)); }
  bool operator==(const LineAllocator&) const { return true; }
  bool operator!=(const LineAllocator&) const { return false; }
};

template <class T>
using AlignedVector = std::vector<T, LineAllocator<T>>;

}  // namespace cpu
}  // namespace cragru
