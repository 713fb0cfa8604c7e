// Vectors that begin at a cache line, as a full register read across two lines costs twice, and whose values are not set when they
// are made: the threads that fill them touch the memory first.
#pragma once
#include <cstddef>
#include <new>
#include <utility>
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
  template <class Value>
  void construct(Value* at) {
    ::new (static_cast<void*>(at)) Value;
  }
  template <class Value, class... Arguments>
  void construct(Value* at, Arguments&&... arguments) {
    ::new (static_cast<void*>(at)) Value(std::forward<Arguments>(arguments)...);
  }
  bool operator==(const LineAllocator&) const { return true; }
  bool operator!=(const LineAllocator&) const { return false; }
};

template <class T>
using AlignedVector = std::vector<T, LineAllocator<T>>;

}  // namespace cpu
}  // namespace cragru
