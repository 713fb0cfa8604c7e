// Memory that is not filled: large arrays are first touched by the threads that use them. It begins on a cache line, and lies on large
// pages where the system offers them: 33 MB are 16 of those, and 8,000 small ones.
#pragma once
#include <cstdlib>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace cragru {

// Freed by std::free.
inline void* allocatePages(size_t bytes) {
  const size_t page = size_t(2) << 20, align = bytes >= 4 * page ? page : 64;
  void* memory = std::aligned_alloc(align, (bytes + align - 1) / align * align);
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  if (align == page) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return memory;
}

}  // namespace cragru
