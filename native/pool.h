// Threads of one environment. Work comes as numbered chunks, cut by size and never by thread, so results cannot depend on
// who runs what. The caller takes chunks too; helpers that wake late find the work done and go back to sleep.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace cragru {

class Pool {
 public:
  Pool() = default;
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Calls work(context, chunk) for chunk 0 .. chunks - 1 on up to `threads` threads, this one included. The first exception
  // stops the remaining chunks and is thrown here. One caller at a time.
  void run(size_t chunks, unsigned threads, void (*work)(void*, size_t), void* context);

 private:
  void helper();
  void takeChunks();

  std::vector<std::thread> helpers_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  // Guarded by mutex_ (read without it only by threads that joined under it).
  bool open_ = false, stop_ = false;
  unsigned seats_ = 0;  // helpers that may still join the current work
  unsigned asleep_ = 0;
  void (*work_)(void*, size_t) = nullptr;
  void* context_ = nullptr;
  size_t chunks_ = 0;
  std::exception_ptr failure_;

  std::atomic<size_t> next_{0};
  std::atomic<unsigned> active_{0};
  std::atomic<uint64_t> generation_{0};
};

}  // namespace cragru
