#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/support/status.h"
#include "runtime/model.h"
#include "runtime/thread_pool.h"
#include "runtime/trace.h"

namespace qloom::runtime {

struct ExecutorOptions {
  /// Parts that run at the same time, each with an arena of its own: 1 to 1024.
  int threads = 1;
  int64_t tile = 0;        ///< samples per tile; 0: chosen from the program's size and the caches
  bool profile = false;    ///< measure each call
  Trace* trace = nullptr;  ///< not owned: gets an event for each call on each tile
  /// Not owned: the host's threads. Null: `threads` - 1 of its own, besides the caller's.
  ParallelFor* pool = nullptr;
  /// What it costs to cut a call into parts: nanoseconds from handing them out until the last is
  /// known to be done, beyond their work. Negative: measured when the executor is made, and again
  /// while it runs as long as the other threads never came in time.
  double fork_ns = -1;
  /// Calls are made by the functions of their chains (Program::chains), where none is timed or cut.
  bool chains = true;
};

/// Runs a Model on batches. One per thread of the caller; owns the arenas (one per worker). Threads
/// take tiles of samples; where a batch is too small for that, they share each sample of the calls
/// that are long enough (Call::work_items). Equal inputs give equal bits for every number of
/// threads, every tile and every split.
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

  /// A model with stateful recurrent layers keeps their states from run to run, sample by sample.
  /// Until they are reset all runs must then have as many samples as the first, which needs memory
  /// for them (StatusCode::out_of_memory). A run with an error leaves them as they were. Names of
  /// the states, "layer/state0": empty where nothing is kept.
  [[nodiscard]] std::vector<std::string> states() const;
  /// A state behind the last run: samples × elements; empty before the first and for other names.
  [[nodiscard]] std::span<const float> state(std::string_view name) const;
  /// All states as before the first run, for any number of samples.
  void reset_states() noexcept;

  /// Best nanoseconds per sample of each call so far (profile only).
  [[nodiscard]] std::span<const double> measured_ns() const;
  [[nodiscard]] int64_t tile() const;  ///< samples per tile; 0: the whole batch
  /// Calls that threads share for a batch of `samples`; 0: they take tiles, or there is one thread.
  [[nodiscard]] int64_t shared_calls(int64_t samples) const;
  [[nodiscard]] double fork_ns() const;  ///< as given or measured; 0 with one thread,
                                         ///< infinite where the other threads never took part

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qloom::runtime
