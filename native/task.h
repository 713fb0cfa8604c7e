// The one asynchronous worker. Each environment (main thread, worker thread) has one Queue: a thread that runs jobs one after
// the other, the pool it spreads them over, and one thread-safe function through which results and progress come back.
// Not libuv's pool: four long jobs there would hold back every file read of the process.
#pragma once
#include <napi.h>

#include <chrono>
#include <cstring>
#include <deque>
#include <memory>
#include <set>

#include "run.h"

namespace cragru {

// A result array as JavaScript sees it. A large one keeps the memory that the kernel filled: copying it would cost one thread as much
// as the kernel may have cost all of them. Where the runtime forbids memory of others (Electron) it is copied all the same.
constexpr size_t ADOPTED_FROM = size_t(1) << 20;

template <class Typed, class T, class Memory>
Typed typedArray(Napi::Env env, std::vector<T, Memory>&& values) {
  const size_t count = values.size(), bytes = count * sizeof(T);
  if (bytes >= ADOPTED_FROM) {
    auto kept = std::make_unique<std::vector<T, Memory>>(std::move(values));
    napi_value buffer;
    const napi_status status = napi_create_external_arraybuffer(
        env, kept->data(), bytes, [](napi_env, void*, void* held) { delete static_cast<std::vector<T, Memory>*>(held); }, kept.get(), &buffer);
    if (status == napi_ok) {
      kept.release();
      return Typed::New(env, count, Napi::ArrayBuffer(env, buffer), 0);
    }
    if (status != napi_no_external_buffers_allowed) throw Napi::Error::New(env);
    values = std::move(*kept);
  }
  Typed made = Typed::New(env, count);
  if (bytes > 0) std::memcpy(made.Data(), values.data(), bytes);
  return made;
}

// One call: made and settled on the JavaScript thread, executed on the queue's thread.
class Job {
 public:
  virtual ~Job() = default;
  // May throw anything. The result is kept inside.
  virtual void execute(Run& run) = 0;
  // On the JavaScript thread, after execute returned; at most once, since large arrays are given away.
  virtual Napi::Object result(Napi::Env env) = 0;

  explicit Job(Napi::Env env) : deferred(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise::Deferred deferred;
  Napi::FunctionReference onProgress;
  const cpu::Blocks* blocks = nullptr;
  unsigned threads = 1;
  bool cuda = false;  // on the GPU

  std::atomic<bool> cancelled{false};
  bool settled = false;  // JavaScript thread only
  std::unique_ptr<Error> error;

  // Progress: the latest values, and whether a message about them is on its way (never more than one).
  std::atomic<double> done{0}, total{0};
  std::atomic<bool> announced{false};
  std::atomic<int64_t> nextAnnouncement{0};
};

class Queue {
 public:
  explicit Queue(Napi::Env env);
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // JavaScript thread: queues the job and returns { promise, cancel }.
  Napi::Value add(Napi::Env env, std::shared_ptr<Job> job);

 private:
  enum class Kind { progress, finished };
  struct Message {
    std::shared_ptr<Job> job;
    Kind kind;
  };

  static void onMessage(napi_env env, napi_value, void* context, void* data);
  static void onClose(void* self);
  void work();
  void execute(Job& job);
  void announce(const std::shared_ptr<Job>& job, double done, double total);
  bool send(std::shared_ptr<Job> job, Kind kind);
  void cancel(Napi::Env env, const std::shared_ptr<Job>& job);
  void settle(Napi::Env env, const std::shared_ptr<Job>& job);
  void close();

  napi_env env_;
  napi_threadsafe_function messages_ = nullptr;
  Pool pool_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> waiting_;  // guarded by mutex_
  bool stop_ = false;                         // guarded by mutex_
  std::atomic<bool> closing_{false};
  std::set<std::shared_ptr<Job>> open_;  // unsettled jobs; JavaScript thread only
};

}  // namespace cragru
