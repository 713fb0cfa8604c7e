// An argument array: fixed after it was filled, shared without a copy between a call and a held value.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

namespace cragru {

// The memory behind an Array. `checked` says that the contents passed the check for finite numbers.
template <class T>
struct Storage {
  std::vector<T> values;
  bool checked = false;
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
  const T& back() const { return storage_->values.back(); }
  bool checked() const { return storage_ && storage_->checked; }
  const std::shared_ptr<Storage<T>>& storage() const { return storage_; }

 private:
  std::shared_ptr<Storage<T>> storage_;
};

}  // namespace cragru
