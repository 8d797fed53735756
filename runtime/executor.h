#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "graph/support/status.h"
#include "runtime/model.h"
#include "runtime/thread_pool.h"

namespace qloom::runtime {

struct ExecutorOptions {
  int threads = 1;
  int64_t tile = 0;       ///< samples per tile; 0: chosen from the program's size and the caches
  bool profile = false;   ///< measure each call
};

/// Runs a Model on batches. One per thread of the caller; owns the arenas (one per worker). Equal
/// inputs give equal bits for every number of threads and every tile.
class Executor {
 public:
  explicit Executor(std::shared_ptr<const Model> model, ExecutorOptions options = {});
  ~Executor();
  Executor(Executor&&) noexcept;

  /// inputs[i]: samples × elements of input i, float32, row-major; outputs likewise. Checks sizes, and
  /// that values to be quantized are finite (the Status names input, sample and index). Sets and
  /// restores the rounding and denormal mode. Never throws, never allocates.
  [[nodiscard]] Status run(std::span<const std::span<const float>> inputs,
                           std::span<const std::span<float>> outputs, int64_t samples) noexcept;

  /// Best nanoseconds per sample of each call so far (profile only).
  [[nodiscard]] std::span<const double> measured_ns() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qloom::runtime
