// What a kernel sees of the call it serves: threads, instruction set, cancellation, progress.
#pragma once
#include <atomic>
#include <cstddef>
#include <functional>
#include <type_traits>

#include "cpu/blocks.h"
#include "kernels.h"
#include "pool.h"

namespace cragru {

class Run {
 public:
  Run(Pool& pool, unsigned threads, const cpu::Blocks& blocks) : blocks(blocks), pool_(pool), threads_(threads) {}

  const cpu::Blocks& blocks;

  // The call asked for the GPU; threads and blocks then serve what the host does.
  bool cuda = false;

  // Either flag, when set, makes check() throw.
  const std::atomic<bool>* cancelled = nullptr;
  const std::atomic<bool>* closing = nullptr;
  std::function<void(double done, double total)> onProgress;

  // To be called at least every 5 ms of work.
  void check() const {
    if ((cancelled && cancelled->load(std::memory_order_relaxed)) || (closing && closing->load(std::memory_order_relaxed))) throw Cancelled{};
  }

  void progress(double done, double total) const {
    if (onProgress) onProgress(done, total);
  }

  // body(chunk) for every chunk, on the pool. Chunks must not depend on one another.
  template <class Body>
  void parallel(size_t chunks, Body&& body) {
    struct Call {
      const Run* run;
      typename std::remove_reference<Body>::type* body;
    } call{this, &body};
    pool_.run(chunks, threads_, [](void* context, size_t chunk) {
      Call* call = static_cast<Call*>(context);
      call->run->check();
      (*call->body)(chunk);
    }, &call);
  }

 private:
  Pool& pool_;
  unsigned threads_;
};

}  // namespace cragru
