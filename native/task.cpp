#include "task.h"

namespace cragru {

namespace {

int64_t milliseconds() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr int64_t PROGRESS_EVERY_MS = 50;

Napi::Error toJs(Napi::Env env, const Error& error) {
  Napi::Error value = Napi::Error::New(env, error.message);
  value.Set("code", Napi::String::New(env, error.code));
  if (!error.hint.empty()) value.Set("hint", Napi::String::New(env, error.hint));
  return value;
}

}  // namespace

Queue::Queue(Napi::Env env) : env_(env) {
  napi_value name = Napi::String::New(env, "cragru");
  napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, onMessage, &messages_);
  if (status != napi_ok) throw Napi::Error::New(env, "cragru: no thread-safe function could be made");
  // An idle queue must not keep the process alive; add() takes a hold while jobs are open.
  napi_unref_threadsafe_function(env, messages_);
  // Hooks run last in, first out: ours before the thread-safe function's own, so no thread can call it after it is gone.
  napi_add_env_cleanup_hook(env, onClose, this);
}

Queue::~Queue() {
  if (messages_) napi_remove_env_cleanup_hook(env_, onClose, this);
  close();
}

void Queue::onClose(void* self) { static_cast<Queue*>(self)->close(); }

void Queue::close() {
  closing_ = true;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    waiting_.clear();
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  // JavaScript handles must go while the environment is alive.
  for (const std::shared_ptr<Job>& job : open_) job->onProgress.Reset();
  open_.clear();
  messages_ = nullptr;
}

Napi::Value Queue::add(Napi::Env env, std::shared_ptr<Job> job) {
  if (closing_) throw toJs(env, {"NATIVE_CLOSED", "this environment is shutting down.", ""});
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  if (open_.empty()) napi_ref_threadsafe_function(env, messages_);
  open_.insert(job);
  Napi::Object handle = Napi::Object::New(env);
  handle.Set("promise", job->deferred.Promise());
  std::weak_ptr<Job> weak = job;
  handle.Set("cancel", Napi::Function::New(env, [this, weak](const Napi::CallbackInfo& info) {
    if (std::shared_ptr<Job> job = weak.lock()) cancel(info.Env(), job);
  }));
  {
    std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back(std::move(job));
  }
  wake_.notify_one();
  return handle;
}

void Queue::work() {
  for (;;) {
    std::shared_ptr<Job> job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
      if (stop_) return;
      job = std::move(waiting_.front());
      waiting_.pop_front();
    }
    Run run(pool_, job->threads, *job->blocks);
    run.cancelled = &job->cancelled;
    run.closing = &closing_;
    run.cuda = job->cuda;
    if (!job->onProgress.IsEmpty()) run.onProgress = [this, &job](double done, double total) { announce(job, done, total); };
    try {
      run.check();
      job->execute(run);
    } catch (const Cancelled&) {
      job->error.reset(new Error{"NATIVE_CANCELLED", "the call was cancelled.", ""});
    } catch (const Error& error) {
      job->error.reset(new Error(error));
    } catch (const std::bad_alloc&) {
      job->error.reset(new Error{"NATIVE_MEMORY", "not enough memory.", "Pass fewer rows at a time."});
    } catch (const std::length_error&) {
      job->error.reset(new Error{"NATIVE_MEMORY", "an array would be too large.", "Pass fewer rows at a time."});
    } catch (const std::exception& error) {
      job->error.reset(new Error{"NATIVE_FAILED", error.what(), ""});
    } catch (...) {
      job->error.reset(new Error{"NATIVE_FAILED", "the kernel failed.", ""});
    }
    if (!send(std::move(job), Kind::finished)) return;
  }
}

void Queue::announce(const std::shared_ptr<Job>& job, double done, double total) {
  job->done.store(done, std::memory_order_relaxed);
  job->total.store(total, std::memory_order_relaxed);
  const int64_t now = milliseconds();
  int64_t next = job->nextAnnouncement.load(std::memory_order_relaxed);
  if (now < next || !job->nextAnnouncement.compare_exchange_strong(next, now + PROGRESS_EVERY_MS)) return;
  if (!job->announced.exchange(true)) send(job, Kind::progress);
}

bool Queue::send(std::shared_ptr<Job> job, Kind kind) {
  Message* message = new Message{std::move(job), kind};
  if (napi_call_threadsafe_function(messages_, message, napi_tsfn_nonblocking) == napi_ok) return true;
  delete message;  // the environment is closing
  return false;
}

void Queue::onMessage(napi_env rawEnv, napi_value, void* context, void* data) {
  std::unique_ptr<Message> message(static_cast<Message*>(data));
  if (rawEnv == nullptr) return;  // the environment is gone: nobody waits
  Napi::Env env(rawEnv);
  Napi::HandleScope scope(env);
  Queue* self = static_cast<Queue*>(context);
  const std::shared_ptr<Job>& job = message->job;
  if (message->kind == Kind::finished) return self->settle(env, job);
  job->announced = false;
  if (job->settled || job->cancelled || job->onProgress.IsEmpty()) return;
  try {
    job->onProgress.Call({Napi::Number::New(env, job->done.load()), Napi::Number::New(env, job->total.load())});
  } catch (const Napi::Error& error) {
    // A call-back that throws fails the call with what it threw.
    job->cancelled = true;
    job->settled = true;
    try {
      job->deferred.Reject(error.Value());
    } catch (const Napi::Error&) {
      // The environment is being torn down and runs no JavaScript any more.
    }
  }
}

// A job that waits is settled at once; one that runs stops at its next check and is settled by its message.
void Queue::cancel(Napi::Env env, const std::shared_ptr<Job>& job) {
  if (job->settled) return;
  job->cancelled = true;
  bool waited = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto at = waiting_.begin(); at != waiting_.end() && !waited; ++at) {
      if (*at != job) continue;
      waiting_.erase(at);
      waited = true;
      break;
    }
  }
  if (!waited) return;
  job->error.reset(new Error{"NATIVE_CANCELLED", "the call was cancelled.", ""});
  settle(env, job);
}

void Queue::settle(Napi::Env env, const std::shared_ptr<Job>& job) {
  try {
    if (!job->settled) {
      if (job->error) {
        job->settled = true;
        job->deferred.Reject(toJs(env, *job->error).Value());
      } else {
        const Napi::Object value = job->result(env);
        job->settled = true;
        job->deferred.Resolve(value);
      }
    }
  } catch (const Napi::Error& error) {
    // An array that could not be made; or the environment is being torn down and runs no JavaScript any more.
    try {
      if (!job->settled) job->deferred.Reject(error.Value());
      job->settled = true;
    } catch (const Napi::Error&) {
    }
  }
  job->onProgress.Reset();
  open_.erase(job);
  if (open_.empty() && messages_) napi_unref_threadsafe_function(env, messages_);
}

}  // namespace cragru
