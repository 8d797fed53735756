// tests/examples/contributing/merge_relus.cc: one of two rectifiers that follow each other.
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/pass.h"

namespace qloom::passes {
namespace {

bool is_plain_relu(const Node& node) {
  if (!node.is(ops::activation)) return false;
  const auto a = from_attributes<ops::Activation>(node.attributes);
  return a == ops::Activation{.function = "relu"};
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (!is_plain_relu(node) || !is_plain_relu(graph.producer(node.operands[0]))) continue;
    // What follows reads the type: it must not change.
    if (graph.type(node.operands[0]) != graph.type(node.results[0])) continue;
    graph.replace_all_uses(node.results[0], node.operands[0]);
    graph.erase(id);
    ++rewrites;
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef merge_relus{.name = "merge_relus",
                                           .doc = R"(Removes a rectifier behind a rectifier.
              relu(relu(x))  →  relu(x)
              Needs: neither has a limit, a slope or a threshold.  Gives: no such pair.)",
                                           .run = run};

}  // namespace qloom::passes
