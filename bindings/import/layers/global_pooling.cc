// bindings/import/layers/global_pooling.cc: the largest or the mean over all positions.
//
// QGlobalAveragePooling2D with a quantizer: y = act(Σx · q(1/(H·W))): the sum first, other than in
// QAveragePooling2D. Source: QKeras qkeras/qpooling.py.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"GlobalAveragePooling1D", "GlobalAveragePooling2D",
                                         "GlobalMaxPooling1D", "GlobalMaxPooling2D",
                                         "QGlobalAveragePooling2D"};
constexpr std::string_view kKeys[] = {"data_format", "keepdims", "average_quantizer", "activation"};

// The mean over the time steps that count.
ValueId masked_mean(LayerBuilder& layer, ValueId mask, ops::Reduce reduce) {
  Builder& graph = layer.graph;
  const int64_t steps = layer.shape(mask)[1].extent();
  const ValueId factor = layer.channels_first()
                             ? graph.reshape(mask, {1, steps}, layer.name("mask"))
                             : graph.reshape(mask, {steps, 1}, layer.name("mask"));
  reduce.kind = ops::ReduceKind::sum;
  const ValueId kept =
      graph.elementwise(ops::Elementwise::multiply, layer.input(), factor, layer.name("kept"));
  return graph.elementwise(ops::Elementwise::divide, graph.reduce(kept, reduce, layer.name("sum")),
                           graph.reduce(factor, reduce, layer.name("count")), layer.name());
}

ValueId build(LayerBuilder& layer) {
  const int spatial_axes = layer.class_name().ends_with("1D") ? 1 : 2;
  layer.require_rank(spatial_axes + 2);
  ops::Reduce reduce;
  reduce.kind =
      layer.class_name().starts_with("GlobalMax") ? ops::ReduceKind::max : ops::ReduceKind::mean;
  const ConfigView keep = layer.config("keepdims");
  reduce.keep_dims = !keep.is_none() && keep.as_bool();
  int64_t positions = 1;
  for (int k = 0; k < spatial_axes; ++k) {
    const int axis = k + (layer.channels_first() ? 2 : 1);
    reduce.axes.push_back(axis);
    positions *= layer.shape(layer.input())[static_cast<size_t>(axis)].extent();
  }
  const std::optional<ValueId> mask = layer.mask();
  layer.set_mask({});
  if (mask && layer.class_name() == "GlobalAveragePooling1D")
    return masked_mean(layer, *mask, reduce);
  if (!layer.is_quantized()) return layer.graph.reduce(layer.input(), reduce, layer.name());

  const QuantizerOrFunction average = layer.quantizer("average_quantizer");
  const QuantizerOrFunction act = layer.quantizer("activation");
  const bool is_linear = is_identity(act);
  if (std::holds_alternative<std::monostate>(average)) {
    return layer.activate(layer.graph.reduce(layer.input(), reduce, layer.name("mean", is_linear)),
                          act);
  }
  reduce.kind = ops::ReduceKind::sum;
  const ValueId sum = layer.graph.reduce(layer.input(), reduce, layer.name("sum"));
  const auto inverse = static_cast<float>(1.0 / static_cast<double>(positions));
  const ValueId factor =
      layer.quantized(layer.graph.constant(layer.name("inverse_area"), Tensor::scalar(inverse)),
                      average, "inverse_area");
  return layer.activate(layer.graph.elementwise(ops::Elementwise::multiply, sum, factor,
                                                layer.name("average", is_linear)),
                        act);
}

}  // namespace

extern constinit const LayerDef global_pooling{
    .class_names = kClasses,
    .doc = "Maximum or mean over all positions.",
    .keys = kKeys,
    .mask = MaskUse::builds,  // GlobalAveragePooling1D leaves masked steps out
    .build = build};

}  // namespace qloom::keras::layers
