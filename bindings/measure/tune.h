// bindings/measure/tune.h: kernels timed on this machine, for later choices.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "passes/choose/kernel_times.h"
#include "passes/compile.h"

namespace qloom::measure {

struct TuneOptions {
  double seconds = 3;  ///< about, without compiling
  int rounds = 5;      ///< medians are of so many; alternatives take turns in each
  int variants = 3;    ///< tried of each kernel: the best predicted ones
};

struct Tuned {
  passes::KernelTimes times;  ///< of the distinct shapes of the graph, but for those dropped
  size_t timed = 0;           ///< distinct shapes, also those dropped
  /// Shapes that were measured and did not gain: what was known of them is no longer true.
  std::vector<std::string> dropped;
  int changed = 0;  ///< calls that run on another kernel or variant with these times
  double before_ns = 0, after_ns = 0;  ///< the network, per sample, measured in turns
};

/// Times the best predicted variants of every matching kernel, once for nodes of equal shape, in
/// the network. What is chosen with these times is measured beside what was chosen without; times
/// of nodes that do not gain are left out, all of them where the network does not. Values that were
/// given in `compile.times` are not used. Throws UserError as compiling does.
[[nodiscard]] Tuned tune(const Graph& graph, const TuneOptions& options = {},
                         const passes::CompileOptions& compile = {});

}  // namespace qloom::measure
