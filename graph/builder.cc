#include "graph/builder.h"

#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"

namespace qloom {
namespace {

// Name of the node that assigns to a variable: the variable's and this.
constexpr const char* kAssigned = "/assign";

std::string base_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

Origin origin_of(const Origin& layer, const std::source_location& where) {
  if (!layer.layer.empty()) return layer;
  Origin origin;
  origin.file = base_name(where.file_name());
  origin.line = static_cast<int>(where.line());
  return origin;
}

std::string name_of_node(const Graph& graph, const std::string& name, const Origin& layer,
                         std::string_view op) {
  if (!name.empty()) return graph.fresh_name(name);
  return graph.fresh_name(layer.layer.empty() ? std::string(op) : layer.layer);
}

ValueId add_node(Graph& graph, const Origin& layer, const OpDef& op, const std::string& name,
                 std::vector<ValueId> operands, Attributes attributes,
                 const std::source_location& where) {
  return graph
      .add(op, name_of_node(graph, name, layer, op.name), std::move(operands),
           std::move(attributes), origin_of(layer, where))
      .results[0];
}

}  // namespace

Builder::Builder(std::string graph_name) { graph_.name = std::move(graph_name); }

void Builder::set_layer(std::string layer, std::string layer_class) {
  layer_ = {};
  layer_.layer = std::move(layer);
  layer_.layer_class = std::move(layer_class);
}

ValueId Builder::input(std::string name, Shape shape, Where where) {
  return graph_.add_input(name_of_node(graph_, name, layer_, "input"),
                          {std::move(shape), Numeric::float32(), {}}, origin_of(layer_, where));
}

ValueId Builder::constant(std::string name, Tensor f32, Where where) {
  return graph_.add_constant(name_of_node(graph_, name, layer_, "constant"), std::move(f32),
                             origin_of(layer_, where));
}

ValueId Builder::variable(const std::string& name, Tensor initial, bool per_sample, Where where) {
  if (const Node* assigned = graph_.find(name + kAssigned)) return assigned->operands[1];
  if (const Node* known = graph_.find(name); known && known->is(ops::variable))
    return known->results[0];
  return graph_.add_variable(name, std::move(initial), per_sample, origin_of(layer_, where));
}

void Builder::assign(const std::string& name, ValueId value, Where where) {
  if (const Node* assigned = graph_.find(name + kAssigned)) {
    graph_.set_operand(assigned->id, 1, value);
    return;
  }
  const Node* known = graph_.find(name);
  qloom_assert(known && known->is(ops::variable), "'", name, "' is no variable");
  add_node(graph_, layer_, ops::assign, name + kAssigned, {known->results[0], value}, {}, where);
}

ValueId Builder::apply(const QuantizerOrFunction& what, ValueId x, std::string name, Where where) {
  if (const auto* q = std::get_if<Quantizer>(&what)) return quantize(*q, x, std::move(name), where);
  const auto* f = std::get_if<ActivationFunction>(&what);
  if (!f || f->name == "linear") return x;
  if (f->name == "softmax") return softmax(x, -1, std::move(name), where);
  ops::Activation a;
  a.function = f->name;
  if (f->name == "leaky_relu") a.negative_slope = 0.2;  // tf.nn.leaky_relu's default
  if (f->name == "relu6") {                             // min(max(x, 0), 6)
    a.function = "relu";
    a.max_value = 6.0;
  }
  return activation(x, a, std::move(name), where);
}

ValueId Builder::quantize(const Quantizer& quantizer, ValueId x, std::string name, Where where) {
  const ops::Quantize a{std::string(quantizer.name()), quantizer.arguments()};
  return add_node(graph_, layer_, ops::quantize, name, {x}, to_attributes(a), where);
}

ValueId Builder::quantize(const Quantizer& quantizer, ValueId x, ValueId key, std::string name,
                          Where where) {
  const ops::Quantize a{std::string(quantizer.name()), quantizer.arguments()};
  return add_node(graph_, layer_, ops::quantize, name, {x, key}, to_attributes(a), where);
}

ValueId Builder::random(ValueId counter, int64_t seed, std::string name, Where where) {
  return add_node(graph_, layer_, ops::random, name, {counter}, to_attributes(ops::Random{seed}),
                  where);
}

ValueId Builder::dense(ValueId x, ValueId kernel, std::string name, Where where) {
  return add_node(graph_, layer_, ops::dense, name, {x, kernel}, {}, where);
}

ValueId Builder::conv(ValueId x, ValueId kernel, ops::Conv conv, std::string name, Where where) {
  return add_node(graph_, layer_, ops::conv, name, {x, kernel}, to_attributes(conv), where);
}

ValueId Builder::conv_transpose(ValueId x, ValueId kernel, ops::ConvTranspose conv,
                                std::string name, Where where) {
  return add_node(graph_, layer_, ops::conv_transpose, name, {x, kernel}, to_attributes(conv),
                  where);
}

ValueId Builder::pool(ValueId x, ops::Pool pool, std::string name, Where where) {
  return add_node(graph_, layer_, ops::pool, name, {x}, to_attributes(pool), where);
}

ValueId Builder::elementwise(ops::Elementwise kind, ValueId a, ValueId b, std::string name,
                             Where where) {
  const ops::ElementwiseOp op{kind,
                              kind == ops::Elementwise::divide && graph_.constant_of(b) != nullptr};
  const std::string fallback(names_of(kind)[static_cast<size_t>(kind)]);
  return add_node(graph_, layer_, ops::elementwise,
                  name.empty() && layer_.layer.empty() ? fallback : name, {a, b}, to_attributes(op),
                  where);
}

ValueId Builder::add(ValueId a, ValueId b, std::string name, Where where) {
  return elementwise(ops::Elementwise::add, a, b, std::move(name), where);
}

ValueId Builder::reduce(ValueId x, ops::Reduce reduce, std::string name, Where where) {
  for (int64_t& axis : reduce.axes) axis = ops::front_axis(axis, type(x).rank());
  return add_node(graph_, layer_, ops::reduce, name, {x}, to_attributes(reduce), where);
}

ValueId Builder::concat(std::vector<ValueId> xs, int64_t axis, std::string name, Where where) {
  if (!xs.empty()) axis = ops::front_axis(axis, type(xs[0]).rank());
  return add_node(graph_, layer_, ops::concat, name, std::move(xs),
                  to_attributes(ops::Concat{axis}), where);
}

ValueId Builder::reshape(ValueId x, std::vector<int64_t> extents, std::string name, Where where) {
  return add_node(graph_, layer_, ops::reshape, name, {x},
                  to_attributes(ops::Reshape{std::move(extents)}), where);
}

ValueId Builder::permute(ValueId x, std::vector<int64_t> axes, std::string name, Where where) {
  return add_node(graph_, layer_, ops::permute, name, {x},
                  to_attributes(ops::Permute{std::move(axes)}), where);
}

ValueId Builder::pad(ValueId x, std::vector<int64_t> before, std::vector<int64_t> after,
                     std::string name, Where where) {
  return add_node(graph_, layer_, ops::pad, name, {x},
                  to_attributes(ops::Pad{std::move(before), std::move(after)}), where);
}

ValueId Builder::resize(ValueId x, ops::Resize resize, std::string name, Where where) {
  return add_node(graph_, layer_, ops::resize, name, {x}, to_attributes(resize), where);
}

ValueId Builder::gather(ValueId table, ValueId indices, std::string name, Where where) {
  return add_node(graph_, layer_, ops::gather, name, {table, indices}, {}, where);
}

ValueId Builder::batch_norm(ValueId x, ValueId gamma, ValueId beta, ValueId mean, ValueId variance,
                            ops::BatchNorm attributes, std::string name, Where where) {
  attributes.axis = ops::front_axis(attributes.axis, type(x).rank());
  return add_node(graph_, layer_, ops::batch_norm, name, {x, gamma, beta, mean, variance},
                  to_attributes(attributes), where);
}

ValueId Builder::activation(ValueId x, ops::Activation activation, std::string name, Where where) {
  return add_node(graph_, layer_, ops::activation, name, {x}, to_attributes(activation), where);
}

ValueId Builder::softmax(ValueId x, int64_t axis, std::string name, Where where) {
  axis = ops::front_axis(axis, type(x).rank());
  return add_node(graph_, layer_, ops::softmax, name, {x}, to_attributes(ops::Softmax{axis}),
                  where);
}

ValueId Builder::masking(ValueId x, double mask_value, std::string name, Where where) {
  return add_node(graph_, layer_, ops::masking, name, {x}, to_attributes(ops::Masking{mask_value}),
                  where);
}

ValueId Builder::slice(ValueId x, ops::Slice slice, std::string name, Where where) {
  slice.axis = ops::front_axis(slice.axis, type(x).rank());
  return add_node(graph_, layer_, ops::slice, name, {x}, to_attributes(slice), where);
}

ValueId Builder::step_mask(ValueId x, double mask_value, std::string name, Where where) {
  return add_node(graph_, layer_, ops::step_mask, name, {x},
                  to_attributes(ops::StepMask{mask_value}), where);
}

ValueId Builder::select(ValueId condition, ValueId a, ValueId b, std::string name, Where where) {
  return add_node(graph_, layer_, ops::select, name, {condition, a, b}, {}, where);
}

std::vector<ValueId> Builder::scan(std::vector<ValueId> operands, ops::Scan scan, Graph body,
                                   std::string name, Where where) {
  return graph_
      .add_scan(name_of_node(graph_, name, layer_, ops::scan.name), std::move(operands),
                to_attributes(scan), std::move(body), {origin_of(layer_, where)})
      .results;
}

void Builder::output(std::string name, ValueId value) { graph_.add_output(std::move(name), value); }

Graph Builder::finish() {
  verify(graph_);
  return std::move(graph_);
}

}  // namespace qloom
