#include "bindings/import/expression.h"

#include <algorithm>

#include "graph/interpret.h"
#include "graph/support/error.h"

namespace qloom::keras {

Expressions::Expressions(LayerBuilder& layer, std::string_view part)
    : layer_(layer), name_(layer.name(part)) {}

Term Expressions::folded(ValueId value) {
  Graph& graph = layer_.graph.graph();
  const Node& node = graph.producer(value);
  std::vector<RuntimeValue> operands;
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::qkeras;
  for (const ValueId operand : node.operands) {
    const Node* constant = graph.constant_of(operand);
    if (constant == nullptr) return {this, value};
    operands.push_back(constant_value(graph, *constant, options));
  }
  Tensor result = to_f32(evaluate(graph, node, operands, options)[0]);
  const std::string name = node.name;
  graph.erase(node.id);
  return {this, layer_.graph.constant(name, std::move(result))};
}

Term Expressions::constant(double value) {
  return {this,
          layer_.graph.constant(name_ + "_constant", Tensor::scalar(static_cast<float>(value)))};
}

Term Expressions::combine(ops::Elementwise kind, Term a, Term b) {
  return folded(layer_.graph.elementwise(kind, a.id, b.id, name_));
}

Term Expressions::apply(std::string_view function, Term x) {
  return folded(layer_.graph.activation(x.id, {.function = std::string(function)}, name_));
}

Term Expressions::reciprocal_root(Term x) { return 1.0 / apply("sqrt", x); }

Term Expressions::is_above(Term x, Term limit) { return apply("is_positive", x - limit); }

Term Expressions::choose(Term condition, Term a, Term b) {
  return condition * a + (1.0 - condition) * b;
}

Term Expressions::reshape(Term x, const Extents& extents) {
  return folded(layer_.graph.reshape(x.id, extents, name_));
}

Term Expressions::permute(Term x, const std::vector<int64_t>& axes) {
  return folded(layer_.graph.permute(x.id, axes, name_));
}

Term Expressions::reduce(Term x, ops::Reduce reduce) {
  return folded(layer_.graph.reduce(x.id, std::move(reduce), name_));
}

Tensor Expressions::values(Term x) const {
  const Graph& graph = layer_.graph.graph();
  const Node* constant = graph.constant_of(x.id);
  qloom_assert(constant != nullptr, "'", graph.producer(x.id).name, "' is no constant");
  return to_f32(constant_value(graph, *constant));
}

bool Expressions::is_constant(Term x) const {
  return layer_.graph.graph().constant_of(x.id) != nullptr;
}

}  // namespace qloom::keras
