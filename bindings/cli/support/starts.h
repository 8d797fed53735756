// bindings/cli/support/starts.h: what starting costs: `qloom run` in fresh processes.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bindings/measure/process.h"
#include "bindings/measure/speed.h"
#include "runtime/program.h"

namespace qloom::cli {

struct Starts {
  double cold_ms = 0;          ///< empty cache: read, compile, store, run one sample; best of three
  double warm_ms = 0;          ///< compiled model in the cache; best of nine
  int64_t peak_rss_bytes = 0;  ///< of a warm process that reads a batch from a file and runs it
};

/// A folder with a cache of its own, in which this program runs `arguments` (`run MODEL …`) again.
class FreshProcesses {
 public:
  /// `arguments`: what follows `qloom`, without inputs.
  explicit FreshProcesses(std::vector<std::string> arguments);

  /// `inputs` as random_inputs gives them, for a `batch` >= 1: starts with the first sample, memory
  /// with all. Throws UserError when a process fails.
  [[nodiscard]] Starts measure(const runtime::Program& program, const measure::Arrays& inputs,
                               int64_t batch) const;

 private:
  [[nodiscard]] measure::Finished run(const std::string& input, const std::string& cache) const;
  std::vector<std::string> arguments_;
  measure::TemporaryFolder folder_;
};

}  // namespace qloom::cli
