#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace qloom::runtime {

/// The only threads. Parts 0..n-1 of a job run on up to `threads` threads, the caller's included;
/// which thread takes which part never changes a result.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);  ///< >= 1; 1 starts no thread
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  [[nodiscard]] int threads() const;
  /// body(part, worker) with worker in [0, threads). Returns when all parts are done. body must not
  /// throw. One job at a time.
  void run(int64_t parts, const std::function<void(int64_t part, int worker)>& body) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qloom::runtime
