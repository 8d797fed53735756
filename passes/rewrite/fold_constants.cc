#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "passes/edit.h"
#include "passes/pass.h"

// Every operand constant → the result is one. The reference interpreter computes it, so that the
// value is by definition the one that the unfolded graph has.

namespace qloom::passes {
namespace {

bool foldable(const Graph& graph, const Node& node) {
  if (node.operands.empty() || node.op->has_body) return false;
  for (ValueId operand : node.operands)
    if (!is_constant(graph, operand)) return false;
  // A scale that is a value of the graph would refer to what is folded away. Values on no grid of
  // 62 bits (powers of two far apart) are constants without codes.
  for (ValueId result : node.results)
    if (graph.type(result).scale.is_dynamic()) return false;
  return true;
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (NodeId id : graph.order()) {
    Node& node = graph.node(id);
    if (!foldable(graph, node)) continue;
    std::vector<RuntimeValue> operands;
    for (ValueId operand : node.operands)
      operands.push_back(constant_value(graph, graph.producer(operand), graph.options()));
    EvaluationOptions options = graph.options();
    options.evaluation = Evaluation::canonical;
    const std::vector<RuntimeValue> values = evaluate(graph, node, operands, options);

    const std::string name = node.name;
    node.name = graph.fresh_name(name + ".unfolded");
    const std::vector<ValueId> results = node.results;
    const AddLike add(graph, node);
    for (size_t i = 0; i < results.size(); ++i) {
      // The declared type is kept: a tighter one would let later inference carry codes where the
      // imported graph computes in float32.
      graph.replace_all_uses(results[i],
                             add.constant(name, values[i].data, graph.type(results[i])));
    }
    graph.erase(id);
    ++rewrites;
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef fold_constants{
    .name = "fold_constants",
    .doc = R"(Evaluates nodes whose operands are all constants; quantized weights become codes.
              quantize(constant)  →  constant of codes, same type
              Needs: nothing.  Gives: no node has only constant operands. Intervals of sums over such
              weights become exact, so value sets behind them may become smaller.)",
    .run = run};

}  // namespace qloom::passes
