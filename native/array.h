// An argument array: fixed while a kernel reads it, shared without a copy between calls and a held value.
#pragma once
#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "pages.h"

namespace cragru {

// The memory behind an Array, and what is known about it, so that a held value is checked once.
template <class T>
struct Storage {
  std::vector<T> values;
  // The contents were found finite.
  bool finite = false;
  // Columns of a CSR: they passed with these offsets and this number of columns.
  const void* offsets = nullptr;
  size_t columnCount = 0;
  // A copy of the values on the GPU, where one is kept (native/cuda/face.h).
  std::shared_ptr<void> twin;
};

// Leaves new elements unset, on large pages where there are many.
template <class T>
struct Uncleared : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = Uncleared<U>;
  };
  Uncleared() = default;
  template <class U>
  Uncleared(const Uncleared<U>&) {}
  T* allocate(size_t count) {
    if (count > size_t(-1) / 2 / sizeof(T)) throw std::bad_alloc();
    return static_cast<T*>(allocatePages(count * sizeof(T)));
  }
  void deallocate(T* values, size_t) { std::free(values); }
  template <class U>
  void construct(U* at) {
    ::new (static_cast<void*>(at)) U;
  }
  template <class U, class... Values>
  void construct(U* at, Values&&... values) {
    ::new (static_cast<void*>(at)) U(std::forward<Values>(values)...);
  }
};

// A large result every element of which is written by the threads: clearing it first would cost one of them a pass over memory.
template <class T>
using Fresh = std::vector<T, Uncleared<T>>;

template <class T>
class Array {
 public:
  Array() = default;
  Array(std::vector<T> values) : storage_(std::make_shared<Storage<T>>()) { storage_->values = std::move(values); }
  explicit Array(std::shared_ptr<Storage<T>> storage) : storage_(std::move(storage)) {}

  const T* data() const { return storage_ ? storage_->values.data() : nullptr; }
  size_t size() const { return storage_ ? storage_->values.size() : 0; }
  bool empty() const { return size() == 0; }
  const T& operator[](size_t at) const { return storage_->values[at]; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size(); }
  const std::shared_ptr<Storage<T>>& storage() const { return storage_; }

 private:
  std::shared_ptr<Storage<T>> storage_;
};

}  // namespace cragru
