#pragma once

#include <string>
#include <string_view>

#include "graph/graph.h"

namespace qloom {

/// Readable form of a graph, bodies of regions included; parses back to an equal graph.
///
///   graph digits {
///     %0 image: [N, 8, 8, 1] float32 = input {}
///     %1 in_q: [N, 8, 8, 1] fixed(8, 6, signed, narrow) = quantize(%0)
///     {quantizer='quantized_bits', …} @ in_q (QActivation) … output softmax = %12
///   }
///
/// With `constants` the data of constants follows in a section of their own (else it is left out
/// and the text does not parse back).
[[nodiscard]] std::string to_text(const Graph& graph, bool constants = true);
/// Throws UserError naming line and column.
[[nodiscard]] Graph parse_graph(std::string_view text);
/// Equal structure, names, attributes, types, constants (bits) and bodies; ids may differ.
[[nodiscard]] bool equal(const Graph& a, const Graph& b);
/// Graphviz form: one box per node, labelled with op, layer and type.
[[nodiscard]] std::string to_dot(const Graph& graph);

}  // namespace qloom
