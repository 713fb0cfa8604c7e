#include "pool.h"

namespace cragru {

namespace {
// Long enough for the serial code between two parallel parts of a training step, short enough to cost an idle process nothing.
constexpr int SPINS = 2000;

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}
}  // namespace

Pool::~Pool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    generation_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void Pool::run(size_t chunks, unsigned threads, void (*work)(void*, size_t), void* context) {
  if (chunks <= 1 || threads <= 1) {
    for (size_t chunk = 0; chunk < chunks; chunk++) work(context, chunk);
    return;
  }
  while (helpers_.size() + 1 < threads) helpers_.emplace_back([this] { helper(); });
  bool sleepers;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    work_ = work;
    context_ = context;
    chunks_ = chunks;
    failure_ = nullptr;
    seats_ = threads - 1;
    open_ = true;
    next_.store(0);
    generation_.fetch_add(1);
    sleepers = asleep_ > 0;
  }
  if (sleepers) wake_.notify_all();
  takeChunks();
  for (int spin = 0; spin < SPINS && active_.load() > 0; spin++) relax();
  std::exception_ptr failure;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    open_ = false;
    done_.wait(lock, [this] { return active_.load() == 0; });
    failure = failure_;
    failure_ = nullptr;
  }
  if (failure) std::rethrow_exception(failure);
}

void Pool::takeChunks() {
  for (;;) {
    const size_t chunk = next_.fetch_add(1);
    if (chunk >= chunks_) return;
    try {
      work_(context_, chunk);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_.store(chunks_);
    }
  }
}

void Pool::helper() {
  uint64_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < SPINS && generation_.load() == seen; spin++) relax();
    std::unique_lock<std::mutex> lock(mutex_);
    if (generation_.load() == seen) {
      asleep_++;
      wake_.wait(lock, [this, seen] { return generation_.load() != seen; });
      asleep_--;
    }
    if (stop_) return;
    seen = generation_.load();
    if (!open_ || seats_ == 0) continue;
    seats_--;
    active_.fetch_add(1);
    lock.unlock();
    takeChunks();
    lock.lock();
    if (active_.fetch_sub(1) == 1) done_.notify_one();
  }
}

}  // namespace cragru
