#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace qloom::runtime {

/// What runs the parts of a job: an executor's own threads (ThreadPool), or a pool of the host
/// behind this interface (ExecutorOptions::pool).
class ParallelFor {
 public:
  using Body = void (*)(void* context, int64_t part);
  virtual ~ParallelFor() = default;
  /// Calls body(context, part) once for each part in [0, parts), in any order, on any threads, and
  /// returns when all calls have; what they wrote is then visible to the caller. Bodies do not
  /// throw. None waits for one that has not begun, so a single thread may run them all. An executor
  /// has one job at a time; executors that share a pool may have theirs at the same time.
  virtual void run(int64_t parts, Body body, void* context) noexcept = 0;
  /// The same with a callable f(part).
  template <class F>
  void for_parts(int64_t parts, F&& f) noexcept {
    using Function = std::remove_reference_t<F>;
    run(
        parts, [](void* context, int64_t part) { (*static_cast<Function*>(context))(part); },
        const_cast<std::remove_const_t<Function>*>(&f));
  }
};

/// Threads that wait for jobs: they spin briefly, then sleep. The caller of run takes parts too; a
/// job never waits for a thread that sleeps.
class ThreadPool final : public ParallelFor {
 public:
  explicit ThreadPool(int threads);  ///< >= 1, the caller's included; 1 starts no thread
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  [[nodiscard]] int threads() const;
  /// As ParallelFor; one job at a time.
  void run(int64_t parts, Body body, void* context) noexcept override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qloom::runtime
