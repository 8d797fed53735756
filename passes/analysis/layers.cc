#include "passes/analysis/layers.h"

#include <algorithm>

namespace qloom::passes {
namespace {

const std::string& layer_of(const Node& node) {
  return node.origins.empty() || node.origins.back().layer.empty() ? node.name
                                                                   : node.origins.back().layer;
}

}  // namespace

ValueId shown_result(const Graph& graph, const Node& node) {
  if (node.results.size() == 1) return node.results[0];
  for (const ValueId value : node.results)
    if (graph.is_output(value) || std::ranges::any_of(graph.users(value), [&](NodeId user) {
          return layer_of(graph.node(user)) != layer_of(node);
        }))
      return value;
  return node.results[0];
}

}  // namespace qloom::passes
