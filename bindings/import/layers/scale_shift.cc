// bindings/import/layers/scale_shift.cc: y = act(x·q(weight) + q(bias)), one weight and one bias
// for all elements; both quantizers are promoted as those of kernels are. Source: QKeras
// qkeras/qmac.py, QScaleShift.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"QScaleShift"};
constexpr std::string_view kKeys[] = {"weight_quantizer", "bias_quantizer", "use_bias",
                                      "activation"};

std::vector<std::string_view> weights(const ConfigView& config) {
  if (config["use_bias"].bool_or(true)) return {"weight", "bias"};
  return {"weight"};
}

ValueId build(LayerBuilder& layer) {
  const auto read = [&](std::string_view part, std::string_view quantizer) {
    const ValueId v = layer.quantized(layer.weight(part, {1, 1}, "one number"),
                                      layer.weight_quantizer(quantizer), part);
    return layer.graph.reshape(v, {1}, layer.name(part) + "_flat");
  };
  const QuantizerOrFunction act = layer.activation();
  const bool is_linear = is_identity(act);
  ValueId y = layer.graph.elementwise(ops::Elementwise::multiply, layer.input(),
                                      read("weight", "weight_quantizer"),
                                      layer.name("scaled", !layer.has_bias() && is_linear));
  if (layer.has_bias())
    y = layer.graph.add(y, read("bias", "bias_quantizer"), layer.name("shifted", is_linear));
  return layer.activate(y, act);
}

}  // namespace

extern constinit const LayerDef scale_shift{.class_names = kClasses,
                                            .doc = "One factor and one offset for all elements.",
                                            .keys = kKeys,
                                            .is_per_position = true,
                                            .weights = weights,
                                            .build = build};

}  // namespace qloom::keras::layers
