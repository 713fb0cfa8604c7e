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

// Where the bytes of a result go. The typed arrays are made on the JavaScript thread and filled there when they are small, on
// the queue's thread when they are large. Nobody has seen them yet, so nobody can transfer or resize them meanwhile.
struct Copies {
  struct One {
    void* to;
    const void* from;
    size_t bytes;
  };
  std::vector<One> list;
  size_t bytes = 0;

  template <class Typed, class T, class Memory>
  Typed array(Napi::Env env, const std::vector<T, Memory>& values) {
    Typed made = Typed::New(env, values.size());
    if (!values.empty()) list.push_back({made.Data(), values.data(), values.size() * sizeof(T)});
    bytes += values.size() * sizeof(T);
    return made;
  }

  void run() const {
    for (const One& one : list) std::memcpy(one.to, one.from, one.bytes);
  }
};

// One call: made and settled on the JavaScript thread, executed on the queue's thread.
class Job {
 public:
  virtual ~Job() = default;
  // May throw anything. The result is kept inside.
  virtual void execute(Run& run) = 0;
  // On the JavaScript thread, after execute returned: arrays of the right length, and what is to be copied into them.
  virtual Napi::Object result(Napi::Env env, Copies& copies) = 0;

  explicit Job(Napi::Env env) : deferred(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise::Deferred deferred;
  Napi::FunctionReference onProgress;
  const cpu::Blocks* blocks = nullptr;
  unsigned threads = 1;
  bool cuda = false;  // on the GPU

  std::atomic<bool> cancelled{false};
  bool settled = false;  // JavaScript thread only
  std::unique_ptr<Error> error;
  // A large result on its way: executed, its arrays made, not yet filled.
  Copies copies;
  Napi::ObjectReference value;

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
