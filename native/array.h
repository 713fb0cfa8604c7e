// An argument array: fixed while a kernel reads it, shared without a copy between calls and a held value.
#pragma once
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

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
};

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
