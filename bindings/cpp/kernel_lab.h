// bindings/cpp/kernel_lab.h: for those who write kernels: check one against the interpreter, and
// time it beside the others.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/cpp/compiled.h"
#include "graph/graph.h"
#include "kernels/kernel.h"
#include "passes/compile.h"

namespace qloom {

using kernels::register_kernel;

/// A compiled network against the reference interpreter (canonical evaluation) on random inputs.
struct NetworkCheck {
  int64_t values = 0;     ///< of all outputs
  int64_t different = 0;  ///< in some bit
  std::string first;      ///< "output 'fc', sample 3, element 7: 0.25, the interpreter gives 0.5"
  [[nodiscard]] bool ok() const { return values > 0 && different == 0; }
};
/// `samples` uniform in ± reach. Throws as running does.
[[nodiscard]] NetworkCheck check(const CompiledNetwork& network, int64_t samples = 16,
                                 uint64_t seed = 1, float reach = 2);

/// A kernel on random layers of all kinds (dense, convolutions of one and two dimensions, strided,
/// padded, dilated, grouped, depthwise; pooling; elementwise chains) of all kinds of value sets and
/// of what follows the sums. Every layer that it matches runs with it and is compared bit by bit.
struct KernelCheck {
  std::string kernel;
  int regions = 0;                      ///< it was asked for
  int matched = 0;                      ///< and ran
  std::map<std::string, int> refusals;  ///< its reasons (# for numbers), and how often
  std::vector<std::string> failures;    ///< layer and first difference
  /// It ran somewhere and was right everywhere.
  [[nodiscard]] bool ok() const { return matched > 0 && failures.empty(); }
};
std::ostream& operator<<(std::ostream&, const KernelCheck&);

struct KernelCheckOptions {
  int networks = 24;
  uint64_t seed = 1;
  jit::Target target = jit::Target::host();
};
/// Throws UserError when there is no such kernel.
[[nodiscard]] KernelCheck check_kernel(std::string_view kernel,
                                       const KernelCheckOptions& options = {});

/// One kernel for one region of a graph.
struct KernelTime {
  std::string kernel;
  bool matches = false;
  std::string reason;          ///< why not
  double predicted_ns = 0;     ///< per sample, if it matches
  double measured_ns = 0;      ///< per sample: best of interleaved repetitions
  bool chosen = false;         ///< what the compiler takes
  bool is_registered = false;  ///< from outside the library
};
std::ostream& operator<<(std::ostream&, std::span<const KernelTime>);

struct KernelTimeOptions {
  int64_t batch = 64;
  int rounds = 5;
  double seconds = 0.5;  ///< for all kernels together
  passes::CompileOptions compile = {};
};
/// Compiles the graph once with each kernel that matches the region and measures the region's call,
/// the kernels taking turns; in the order of the measured times, then those that do not match.
/// `region`: its name in `explain`, or a layer in it. Throws UserError that lists the regions when
/// there is none.
[[nodiscard]] std::vector<KernelTime> compare_kernels(const Graph& graph, std::string_view region,
                                                      const KernelTimeOptions& options = {});

}  // namespace qloom
