// passes/choose/node_choices.h: kernels for a node that stays alone: reference kernels, Halide
// pipelines, primitives of oneDNN.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "passes/choose/select_kernels.h"

namespace qloom::passes {

/// The node as data for those kernels; operands lie in their plain storages. `results`: which
/// result in which storage, in buffer order.
[[nodiscard]] kernels::ReferenceSpec reference_spec(
    const Graph& graph, const Node& node,
    const std::vector<std::pair<int, kernels::Storage>>& results);

/// Every kernel that takes the node, cheapest first; what each said goes to `candidates`.
/// `ruled_out`: why an option forbids a kernel, empty if none does. Throws UserError listing all
/// reasons when no kernel takes it.
[[nodiscard]] std::vector<Choice> node_choices(
    const Graph& graph, const Node& node,
    const std::vector<std::pair<int, kernels::Storage>>& results, const CompileOptions& options,
    const std::function<std::string(const kernels::KernelDef&)>& ruled_out,
    std::vector<Candidate>& candidates);

/// Why the root of a region is better run by a primitive, and what follows it by a chain, than the
/// region as a whole, which takes `region_ns` a sample; empty where it is not.
[[nodiscard]] std::string faster_apart(const Graph& graph, const Node& region, double region_ns,
                                       const CompileOptions& options);

/// Compiling a pipeline takes as long as a small model runs. Where the time that pipelines save on
/// CompileOptions::expected_samples is less than what they take to compile, the next best choice
/// comes first, and the report says so. Pinned nodes keep theirs.
void drop_dear_pipelines(Selection& selection, const CompileOptions& options);

}  // namespace qloom::passes
