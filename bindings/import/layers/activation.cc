// bindings/import/layers/activation.cc: a quantizer or a plain function on each element. In
// QActivation names follow QKeras's grammar (its own hard_sigmoid, quantizers as text or objects);
// alpha=None stays None: activations are not promoted to auto_po2.
// Source: QKeras qkeras/qlayers.py, QActivation.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Activation", "QActivation"};
constexpr std::string_view kKeys[] = {"activation"};

ValueId build(LayerBuilder& layer) {
  (void)layer.config("activation").value();      // required
  if (layer.is_quantized()) layer.set_mask({});  // QKeras's layers of its own support no masks
  return layer.activate(layer.input(), layer.activation());
}

}  // namespace

extern constinit const LayerDef activation{.class_names = kClasses,
                                           .doc = "A quantizer or a function, element by element.",
                                           .keys = kKeys,
                                           .mask = MaskUse::passes,
                                           .is_per_position = true,
                                           .build = build};

}  // namespace qloom::keras::layers
