#include "graph/interpret.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/float_environment.h"

namespace qloom {
namespace {

std::vector<TensorType> declared_types(const Graph& graph, const Node& node) {
  std::vector<TensorType> types;
  for (const ValueId v : node.results) types.push_back(graph.type(v));
  return types;
}

std::string extents_text(const Extents& extents) {
  return to_string(Shape(extents.begin(), extents.end()));
}

// The batch that fits the tensor to the shape; -1 when the shape has no batch axis.
int64_t batch_of(const std::string& name, const Shape& shape, const Extents& extents) {
  int64_t batch = -1;
  bool fits = shape.size() == extents.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) {
    if (shape[i].is_static()) {
      fits = shape[i].extent() == extents[i];
    } else {
      fits = batch == -1 || batch == extents[i];
      batch = extents[i];
    }
  }
  qloom_check(fits, "input '", name, "' has the shape ", extents_text(extents), ", expected ",
              to_string(shape));
  return batch;
}

// True when inference and evaluation use the same switches; scales of constants depend on them.
bool same_switches(const EvaluationOptions& a, const EvaluationOptions& b) {
  return a.division == b.division && a.internal_sigmoid == b.internal_sigmoid &&
         a.batch_norm == b.batch_norm;
}

// What a variable holds at the beginning of a call.
RuntimeValue variable_value(const Graph& graph, const Node& node, const State* state,
                            int64_t batch) {
  const Shape& shape = graph.type(node.results[0]).shape;
  const Extents extents = qloom::bind(shape, batch);
  Tensor value = *node.constant;
  const auto kept = state ? state->find(node.name) : State::const_iterator{};
  if (state && kept != state->end()) {
    value = kept->second;
    qloom_check(value.extents() == extents, "state '", node.name, "' has the shape ",
                extents_text(value.extents()), ", expected ", extents_text(extents));
  } else if (value.extents() != extents) {  // one for each sample
    std::vector<float> all;
    for (int64_t i = 0; i < batch; ++i)
      all.insert(all.end(), value.f32().begin(), value.f32().end());
    value = Tensor(extents, std::move(all));
  }
  return {{{extents.begin(), extents.end()}, Numeric::float32(), {}}, std::move(value)};
}

}  // namespace

EvaluationOptions EvaluationOptions::preset(std::string_view name, Evaluation evaluation) {
  EvaluationOptions o;
  o.evaluation = evaluation;
  if (name == "eager") return o;
  o.division = Division::reciprocal;
  if (name == "predict") return o;
  o.batch_norm = BatchNormRounding::fused_multiply_add;
  qloom_check(name == "predict_onednn", "evaluation '", name,
              "' is unknown; known: eager, predict, predict_onednn");
  return o;
}

Tensor to_f32(const RuntimeValue& value) {
  if (value.data.dtype() == DType::f32) return value.data;
  const auto codes = value.data.i64();
  const Tensor step = value.type.step();
  const auto steps = step.f64();
  const Extents& extents = value.data.extents();
  std::vector<float> out(codes.size());
  if (steps.size() == 1) {
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<float>(static_cast<double>(codes[i]) * steps[0]);
    return Tensor(extents, std::move(out));
  }
  const std::vector<int64_t> none(extents.size(), 0);
  ops::for_each_offset(extents, broadcast_strides(step.extents(), extents), none,
                       [&](int64_t i, int64_t s, int64_t) {
                         const auto at = static_cast<size_t>(i);
                         out[at] = static_cast<float>(static_cast<double>(codes[at]) *
                                                      steps[static_cast<size_t>(s)]);
                       });
  return Tensor(extents, std::move(out));
}

Tensor to_codes(const Tensor& f32, const TensorType& type) {
  const auto values = f32.f32();
  const Numeric::Grid grid = *type.numeric.grid();
  const Tensor step = type.step();
  const auto steps = step.f64();
  const Extents& extents = f32.extents();
  std::vector<int64_t> out(values.size());
  const std::vector<int64_t> none(extents.size(), 0);
  ops::for_each_offset(
      extents, broadcast_strides(step.extents(), extents), none,
      [&](int64_t i, int64_t s, int64_t) {
        const auto at = static_cast<size_t>(i);
        const double one = steps[static_cast<size_t>(s)];
        const double code = one == 0 ? 0 : std::nearbyint(static_cast<double>(values[at]) / one);
        const bool fits = code >= static_cast<double>(grid.lo) &&
                          code <= static_cast<double>(grid.hi) &&
                          static_cast<float>(code * one) == values[at];
        qloom_assert(fits, "value ", values[at], " at element ", i, " does not lie in ", type);
        out[at] = static_cast<int64_t>(code);
      });
  return Tensor(extents, std::move(out));
}

std::vector<RuntimeValue> evaluate(const Graph& graph, const Node& node,
                                   std::span<const RuntimeValue> operands,
                                   const EvaluationOptions& options) {
  const FloatEnvironment environment;
  const std::vector<TensorType> types = declared_types(graph, node);
  return node.op->evaluate({node, operands, types, options});
}

RuntimeValue constant_value(const Graph& graph, const Node& node,
                            const EvaluationOptions& options) {
  qloom_assert(node.is(ops::constant), ops::label(node), " is no constant");
  return evaluate(graph, node, {}, options)[0];
}

std::vector<RuntimeValue> ops::interpret_values(
    const Graph& graph, std::span<const RuntimeValue> inputs, const EvaluationOptions& options,
    const Observer& observer, const std::function<RuntimeValue(const Node&)>& variable,
    const std::function<void(const Node&, const RuntimeValue&)>& assign) {
  qloom_assert(inputs.size() == graph.inputs().size(), "graph '", graph.name, "' has ",
               graph.inputs().size(), " inputs, ", inputs.size(), " are given");
  std::unordered_map<ValueId, RuntimeValue> values;
  std::unordered_map<ValueId, int> uses;  // values are dropped after their last use
  const std::vector<NodeId> order = graph.order();
  for (const NodeId id : order)
    for (const ValueId v : graph.node(id).operands) ++uses[v];
  for (const Graph::Output& o : graph.outputs()) ++uses[o.value];
  for (size_t i = 0; i < inputs.size(); ++i) values[graph.inputs()[i]] = inputs[i];

  for (const NodeId id : order) {
    const Node& node = graph.node(id);
    std::vector<RuntimeValue> results;
    if (node.is(ops::input)) {
      results.push_back(values.at(node.results[0]));
    } else if (node.is(ops::variable) && variable) {
      results.push_back(variable(node));
    } else {
      std::vector<RuntimeValue> operands;
      for (const ValueId v : node.operands) operands.push_back(values.at(v));
      results = evaluate(graph, node, operands, options);
    }
    qloom_assert(results.size() == node.results.size(), label(node), ": evaluation gives ",
                 results.size(), " results");
    if (observer) observer(node, results);
    if (node.is(ops::assign) && assign) assign(graph.producer(node.operands[0]), results[0]);
    for (const ValueId v : node.operands)
      if (--uses[v] == 0) values.erase(v);
    for (size_t i = 0; i < results.size(); ++i)
      if (uses[node.results[i]] > 0) values[node.results[i]] = std::move(results[i]);
  }
  std::vector<RuntimeValue> out;
  for (const Graph::Output& o : graph.outputs()) out.push_back(values.at(o.value));
  return out;
}

std::vector<RuntimeValue> interpret(const Graph& graph, std::span<const Tensor> inputs,
                                    const EvaluationOptions& options, const Observer& observer,
                                    State* state) {
  if (options.evaluation == Evaluation::canonical && !same_switches(options, graph.options())) {
    // The types of this graph were inferred with other switches.
    Graph other = graph.clone();
    other.set_options(options);
    other.infer_types();
    return interpret(other, inputs, options, observer, state);
  }
  qloom_check(inputs.size() == graph.inputs().size(), "graph '", graph.name, "' has ",
              graph.inputs().size(), " inputs, ", inputs.size(), " are given");
  std::vector<RuntimeValue> values;
  int64_t batch = -1;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Node& node = graph.producer(graph.inputs()[i]);
    TensorType type = graph.type(graph.inputs()[i]);
    const int64_t own = batch_of(node.name, type.shape, inputs[i].extents());
    qloom_check(own == -1 || batch == -1 || own == batch, "input '", node.name, "' has ", own,
                " samples, the inputs before it have ", batch);
    if (own != -1) batch = own;
    type.shape.assign(inputs[i].extents().begin(), inputs[i].extents().end());
    Tensor data = inputs[i];
    if (options.evaluation == Evaluation::canonical && type.has_codes())
      data = to_codes(data, type);
    values.push_back({std::move(type), std::move(data)});
  }
  State assigned;
  const auto variable = [&](const Node& node) {
    return variable_value(graph, node, state, std::max<int64_t>(batch, 1));
  };
  const auto assign = [&](const Node& node, const RuntimeValue& value) {
    assigned.insert_or_assign(node.name, value.data);
  };
  std::vector<RuntimeValue> out =
      ops::interpret_values(graph, values, options, observer, variable, assign);
  if (state)
    for (auto& [name, value] : assigned) state->insert_or_assign(name, std::move(value));
  return out;
}

}  // namespace qloom
