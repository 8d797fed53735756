#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernel.h"
#include "passes/compile.h"

namespace qloom::passes {

/// A kernel and variant that could do a call, with its query (input storage and tail are its own).
struct Choice {
  const kernels::KernelDef* kernel = nullptr;
  kernels::Variant variant;
  std::shared_ptr<const kernels::Query> query;
  std::shared_ptr<const kernels::Tail> tail =
      nullptr;  ///< the query points to it; null for kernels of single nodes
  std::shared_ptr<const kernels::ReferenceSpec> spec = nullptr;  ///< of those; null for emitted
  double predicted_ns = 0;
};

/// A value in one storage.
struct Stored {
  ValueId value;
  kernels::Storage storage;
  bool operator==(const Stored&) const = default;
};

class RegionKernels;

/// Where an output lies in longer runs (TailOutput); pitch 0: it lies by itself.
struct Part {
  int64_t pitch = 0, offset = 0;
};

/// One call to be made: a region or a node that stays alone, or the conversion of a value from one
/// storage to another (node invalid).
struct Selected {
  NodeId node;
  int64_t loop = -1;  ///< the loop that it is a call of (passes/loops.h)
  std::string name;
  std::vector<Choice> choices;  ///< cheapest first
  std::vector<Stored> inputs;   ///< in the kernel's buffer order
  std::vector<Stored> outputs;
  /// The node's result that each output is, and its storage.
  std::vector<std::pair<int, kernels::Storage>> results;
  std::vector<Part> parts;  ///< of the outputs, or none; the Stored is then the whole (write_parts)
  RegionReport report;
};

struct Selection {
  std::vector<Selected> calls;  ///< in order; those of a loop next to each other
  /// The value whose memory this one shares (reshapes), for storages that keep no padding.
  std::map<ValueId, ValueId> alias;
  /// What else could run the regions: of the graph that was given.
  std::map<NodeId, std::shared_ptr<RegionKernels>> regions;
  [[nodiscard]] Stored resolve(Stored s, const Graph& graph) const;
};

/// Chooses a kernel for every region and node, and the storages of every value, for least predicted
/// time of the whole graph, conversions included (choose_layouts). Regions that cannot be lowered,
/// or that no emitted kernel takes, are dissolved (with a note) into nodes on reference kernels.
/// Throws UserError for unknown names in `pinned` and `disabled_kernels`, and for a node that no
/// kernel takes.
[[nodiscard]] Selection select_kernels(Graph& graph, const CompileOptions& options,
                                       std::vector<std::string>& notes);

/// Whether a reshaped value may share its operand's memory in this storage.
[[nodiscard]] bool same_layout(const Shape& a, const Shape& b, kernels::Storage storage);

}  // namespace qloom::passes
