// What the queue executes: a kernel on checked arguments, a kernel that changes a matrix, and the two errands of held arrays.
#pragma once
#include "check.h"
#include "cpu/roofs.h"
#include "present.h"
#if defined(CRAGRU_CUDA)
#include "cuda/face.h"
#endif

namespace cragru {

// check, then compute; both on the queue's thread.
template <class Input, class Result>
class KernelJob : public Job {
 public:
  using Compute = Result (*)(Input&, Run&);

  KernelJob(Napi::Env env, Input input, Compute compute) : Job(env), input_(std::move(input)), compute_(compute) {}

  void execute(Run& run) override {
    check(input_, run);
    result_ = compute_(input_, run);
    input_ = Input();
  }

  Napi::Object result(Napi::Env env) override { return present(env, std::move(result_)); }

 private:
  Input input_;
  Result result_;
  Compute compute_;
};

// A kernel that changes a matrix. A held one is taken out of its storage for the time of the work (jobs run one at a time) and put
// back whatever happens; `uncancelled` work on it runs to its end, since half of it would leave neither the old nor the new matrix.
template <class Input>
class MatrixJob : public Job {
 public:
  using Compute = void (*)(Input&, Run&);

  MatrixJob(Napi::Env env, Input input, std::shared_ptr<Storage<double>> held, Compute compute, bool uncancelled)
      : Job(env), input_(std::move(input)), held_(std::move(held)), compute_(compute), uncancelled_(uncancelled) {}

  void execute(Run& run) override {
    if (!held_) {
      check(input_, run);
      compute_(input_, run);
      result_ = std::move(input_.matrix);
      return;
    }
    struct Loan {
      std::vector<double>& mine;
      std::vector<double>& theirs;
      Loan(std::vector<double>& mine, std::vector<double>& theirs) : mine(mine), theirs(theirs) { mine.swap(theirs); }
      ~Loan() { mine.swap(theirs); }
    } loan(input_.matrix, held_->values);
    input_.matrixChecked = held_->finite;
    check(input_, run);
    // Until the work is done: an update that fails may leave what the next call must refuse.
    held_->finite = false;
    if (uncancelled_) run.cancelled = nullptr;
    compute_(input_, run);
    held_->finite = true;
  }

  Napi::Object result(Napi::Env env) override { return present(env, std::move(result_)); }

 private:
  Input input_;
  std::shared_ptr<Storage<double>> held_;
  std::vector<double> result_;
  Compute compute_;
  bool uncancelled_;
};

// Looks at what was held, once, so that calls need not.
class SealJob : public Job {
 public:
  explicit SealJob(Napi::Env env) : Job(env) {}

  Array<float> floats;
  Array<double> doubles;
  Csr csr;
  size_t columnCount = 0;

  void execute(Run& run) override {
    requireFinite(floats, "the held array", run);
    requireFinite(doubles, "the held array", run);
    if (columnCount > 0) {
      requireFreeCsr(csr, columnCount, run);
      csr.columns.storage()->offsets = csr.offsets.storage().get();
      csr.columns.storage()->columnCount = columnCount;
    }
#if defined(CRAGRU_CUDA)
    if (!run.cuda) return;
    if (!floats.empty()) cuda::keep(floats.storage(), run);
    if (!csr.offsets.empty()) cuda::keep(csr.offsets.storage(), run);
    if (!csr.columns.empty()) cuda::keep(csr.columns.storage(), run);
#endif
  }

  Napi::Object result(Napi::Env env) override { return Napi::Object::New(env); }
};

// A copy of a held array as it is when its turn comes.
template <class T>
class ReadJob : public Job {
 public:
  ReadJob(Napi::Env env, std::shared_ptr<Storage<T>> storage) : Job(env), storage_(std::move(storage)) {}
  void execute(Run&) override { values_ = storage_->values; }
  Napi::Object result(Napi::Env env) override { return present(env, std::move(values_)); }

 private:
  std::shared_ptr<Storage<T>> storage_;
  std::vector<T> values_;
};

// Measures the machine; the doctor and the benchmarks divide by it.
class RoofsJob : public Job {
 public:
  explicit RoofsJob(Napi::Env env) : Job(env) {}
  void execute(Run& run) override { roofs_ = cpu::measureRoofs(threads, run); }
  Napi::Object result(Napi::Env env) override {
    return Fields(env).add("floats", roofs_.floats).add("doubles", roofs_.doubles).add("cache", roofs_.cache).add("memory", roofs_.memory).object;
  }

 private:
  cpu::Roofs roofs_;
};

}  // namespace cragru
