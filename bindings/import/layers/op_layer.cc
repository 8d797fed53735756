// bindings/import/layers/op_layer.cc: sums, differences and products that were written as
// expressions (x + 1.5, x * y): TFOpLambda in Keras 2, operations in Keras 3. Either operand may be
// a constant. Source: Keras 2 keras/layers/core/tf_op_layer.py; Keras 3 keras/src/ops/numpy.py.
#include <algorithm>
#include <optional>

#include "bindings/import/layer.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"TFOpLambda", "ops.Add", "ops.Subtract", "ops.Multiply"};
constexpr std::string_view kKeys[] = {"function"};
constexpr std::string_view kSecond[] = {"y", "x2", "#1"};  // what calls name the second operand

struct Function {
  std::string_view name;  // of the function (Keras 2) or the class (Keras 3)
  ops::Elementwise op;
};
constexpr Function kFunctions[] = {{"__operators__.add", ops::Elementwise::add},
                                   {"math.add", ops::Elementwise::add},
                                   {"math.subtract", ops::Elementwise::subtract},
                                   {"math.multiply", ops::Elementwise::multiply},
                                   {"ops.Add", ops::Elementwise::add},
                                   {"ops.Subtract", ops::Elementwise::subtract},
                                   {"ops.Multiply", ops::Elementwise::multiply}};

const Function& function_of(const LayerBuilder& layer) {
  const bool is_keras2 = layer.class_name() == "TFOpLambda";
  const std::string name =
      is_keras2 ? layer.config("function").as_text() : std::string(layer.class_name());
  for (const Function& f : kFunctions) {
    if (f.name == name) return f;
  }
  layer.fail(join_text("the function '", name,
                       "' is not supported; sums, differences and products of two operands are"));
}

void append_values(const ConfigView& v, size_t axis, Extents& extents, std::vector<float>& values) {
  if (v.value().array() == nullptr) {
    if (axis != extents.size()) v.fail_expected("lists of equal depth");
    values.push_back(static_cast<float>(v.as_real()));
    return;
  }
  const auto size = static_cast<int64_t>(v.size());
  if (axis == extents.size() && values.empty()) extents.push_back(size);
  if (axis >= extents.size() || extents[axis] != size || size == 0)
    v.fail_expected("a number, or lists of equal length that are not empty");
  for (size_t k = 0; k < v.size(); ++k) append_values(v[k], axis + 1, extents, values);
}

// A constant operand: a number or nested lists.
ValueId constant(LayerBuilder& layer, const ConfigValue& value) {
  Extents extents;
  std::vector<float> values;
  append_values(ConfigView(value, layer.owner(), "constant operand"), 0, extents, values);
  return layer.graph.constant(layer.name("constant"), Tensor(extents, std::move(values)));
}

ValueId build(LayerBuilder& layer) {
  const Function& function = function_of(layer);
  const KerasCall& call = layer.call();
  std::optional<ConfigValue> second;
  for (const auto& [key, value] : *call.kwargs.object()) {
    if (key == "name" || value.is_null()) continue;
    if (std::find(std::begin(kSecond), std::end(kSecond), key) == std::end(kSecond) || second) {
      layer.fail("the call argument " + key + "=" + value.to_string() + " is not supported");
    }
    second = value;
  }
  const bool is_constant = second && second->find("input") == nullptr;
  const size_t tensors = layer.inputs().size();
  if (tensors + (call.constant ? 1 : 0) + (is_constant ? 1 : 0) != 2)
    layer.fail(join_text("has ", tensors, " tensors as operands, expected two operands"));
  const ValueId a = call.constant ? constant(layer, *call.constant) : layer.inputs().front();
  const ValueId b = is_constant ? constant(layer, *second) : layer.inputs().back();
  if (tensors == 2 && layer.rank(a) != layer.rank(b)) {
    layer.fail(join_text("its operands have shapes ", to_string(layer.shape(a)), " and ",
                         to_string(layer.shape(b)), ", expected the same number of axes"));
  }
  return layer.graph.elementwise(function.op, a, b, layer.name());
}

}  // namespace

extern constinit const LayerDef op_layer{.class_names = kClasses,
                                         .doc = "An expression of two operands: +, - or *.",
                                         .keys = kKeys,
                                         .min_inputs = 1,
                                         .max_inputs = 2,
                                         .has_call_arguments = true,
                                         .build = build};

}  // namespace qloom::keras::layers
