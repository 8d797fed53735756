#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "graph/support/status.h"
#include "runtime/model.h"
#include "runtime/thread_pool.h"
#include "runtime/trace.h"

namespace qloom::runtime {

struct ExecutorOptions {
  int threads = 1;
  int64_t tile = 0;        ///< samples per tile; 0: chosen from the program's size and the caches
  bool profile = false;    ///< measure each call
  Trace* trace = nullptr;  ///< not owned: gets an event for each call on each tile
};

/// Runs a Model on batches. One per thread of the caller; owns the arenas (one per worker). Equal
/// inputs give equal bits for every number of threads and every tile.
class Executor {
 public:
  explicit Executor(std::shared_ptr<const Model> model, ExecutorOptions options = {});
  ~Executor();
  Executor(Executor&&) noexcept;

  /// inputs[i]: samples × elements of input i, float32, row-major; outputs likewise, not
  /// overlapping inputs. Checks sizes, and that values to be quantized are finite: the Status names
  /// the lowest sample, in it the first input, and the index of the element within the sample;
  /// outputs then hold no result. Sets and restores the rounding and denormal mode
  /// (graph/support/float_environment.h). Never throws, never allocates; except that a program that
  /// depends on the whole batch needs an arena for it, which grows when a batch is larger than all
  /// before (StatusCode::out_of_memory).
  [[nodiscard]] Status run(std::span<const std::span<const float>> inputs,
                           std::span<const std::span<float>> outputs, int64_t samples) noexcept;

  /// Best nanoseconds per sample of each call so far (profile only).
  [[nodiscard]] std::span<const double> measured_ns() const;
  [[nodiscard]] int64_t tile() const;  ///< samples per tile; 0: the whole batch

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qloom::runtime
