#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "graph/interpret.h"
#include "jit/compiler.h"
#include "jit/target.h"
#include "passes/certificate.h"
#include "passes/choose/kernel_times.h"
#include "passes/pass.h"
#include "runtime/model.h"

namespace qloom::passes {

/// fast: kernels that sum floats in another order may be chosen.
enum class FloatMode : uint8_t { reproducible, fast };

/// Whether what is concatenated is written straight into the result by whoever computes it.
enum class ConcatInPlace : uint8_t {
  never,
  where_faster,    ///< as predicted
  where_possible,  ///< for tests
};

struct CompileOptions {
  /// What code is made for and kernels are chosen for. Any other than this machine's needs
  /// `in_memory` off.
  jit::Target target = jit::Target::host();
  FloatMode float_mode = FloatMode::reproducible;
  /// The graph's own options() carry the evaluation switches (division, batch norm rounding).
  ManagerOptions passes = {};
  std::vector<std::pair<std::string, std::string>> pinned =
      {};  ///< node name → kernel name, or "KERNEL VARIANT" with Variant::to_string; the first
           ///< dense layer of a chain's run → name of a DenseRunDef, which is then taken at any
           ///< cost
  std::vector<std::string> disabled_kernels = {};
  /// Measured on the target, in place of predictions; null: none. Kernels and variants that they do
  /// not name are taken to be as much slower than predicted as the worst of those measured.
  std::shared_ptr<const KernelTimes> times = nullptr;
  int64_t batch = 16;  ///< samples a call that costs are predicted for, >= 1; any number can be run
  int64_t exhaustive_limit = int64_t{1} << 20;  ///< points per channel of exhaustive verification
  /// Samples that the model is expected to see: Halide is used where it saves more time on so many
  /// than it takes to compile.
  int64_t expected_samples = 10'000;
  ConcatInPlace concat_in_place = ConcatInPlace::where_faster;
  /// Functions that make several calls, where that is predicted to be faster (form_chains).
  bool chains = true;
  /// Samples per tile of a chain, which is then made of all calls that can be; 0: chosen.
  int64_t chain_tile = 0;
  jit::CompilerFlags compiler = {};
  bool in_memory =
      true;  ///< load the code through ORC; false: leave `objects` for the cache to link
};

struct Candidate {
  std::string kernel;
  bool matches = false;
  std::string reason;       ///< why not
  double predicted_ns = 0;  ///< per sample, of its best variant, if it matches
  std::vector<std::pair<std::string, double>> variants{};  ///< each with its prediction, best first
};
/// Another way in which values could go in or out of a region.
struct LayoutAlternative {
  std::string what;    ///< "input as bits"
  double more_ns = 0;  ///< per sample, that the whole network would take with it
};
/// What `explain` prints for one region (or a node that stayed alone).
struct RegionReport {
  std::string name, op;
  std::vector<std::string> layers;
  std::vector<std::string> inputs;  ///< value set and storage of each
  std::string output;               ///< value set and storage
  std::optional<std::pair<int64_t, int64_t>> accumulator;
  std::string tail_form, tail_proof;  ///< "" where there is none
  std::string kernel, variant;
  double predicted_ns = 0;
  std::string shape;               ///< shape_of the node; "" within a loop and for conversions
  std::vector<std::string> parts;  ///< "channels 16..31 of 'cat'", where outputs are written to
  bool tuned = false;  ///< CompileOptions::times has the kernel; predicted_ns is measured
  int64_t macs = 0;
  bool both_quantized = false;  ///< root conv or dense whose two operands have codes
  bool emitted = false;
  std::vector<std::pair<int, kernels::Storage>>
      results;  ///< (result of the node, storage) of each output buffer, in buffer order
  std::vector<Candidate> candidates;
  std::vector<LayoutAlternative> alternatives;
};

/// What `explain` prints for calls that one function makes (runtime::Chain).
struct ChainReport {
  std::vector<std::string> regions;  ///< names of the calls, in order
  int64_t tile = 0;                  ///< samples that go through all of them together
  int64_t scratch_bytes = 0;         ///< for what lies between them, and their own scratch
  double apart_ns = 0;               ///< predicted per sample, each call on the executor's tile
  double predicted_ns = 0;           ///< as a chain
  std::vector<std::string> fused;    ///< calls that are one loop, each a sentence
};

struct Compilation {
  jit::Target target;  ///< that it is for
  Graph graph;         ///< after the passes
  runtime::Program program;
  std::shared_ptr<const runtime::Model> model;  ///< null when in_memory is false
  std::vector<std::vector<uint8_t>> objects;    ///< relocatable objects
  std::vector<RegionReport> regions;
  std::vector<ChainReport> chains;
  std::vector<Certificate> certificates;
  std::vector<PassRecord> passes;
  std::vector<std::string> notes;
};

/// Passes, lowering of tails, choice of kernels, memory plan, code. Throws UserError where the
/// caller can help, InternalError (asks for a report) otherwise.
[[nodiscard]] Compilation compile(Graph graph, const CompileOptions& options = {});

/// Code of Compilation::objects through ORC, without touching the disk; null where there are none.
[[nodiscard]] std::shared_ptr<const jit::Code> load_in_memory(
    std::span<const std::vector<uint8_t>> objects, const std::string& name);

}  // namespace qloom::passes
