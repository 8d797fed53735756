// bindings/import/layers/rescaling.cc: x · scale + offset, each operation rounded.
#include <vector>

#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Rescaling"};
constexpr std::string_view kKeys[] = {"scale", "offset"};

// A number, or one per channel.
Tensor constant_of(const ConfigView& v) {
  if (v.value().array() == nullptr) return Tensor::scalar(static_cast<float>(v.as_real()));
  std::vector<float> values;
  for (size_t k = 0; k < v.size(); ++k) values.push_back(static_cast<float>(v[k].as_real()));
  const auto count = static_cast<int64_t>(values.size());
  return Tensor({count}, std::move(values));
}

ValueId build(LayerBuilder& layer) {
  if (!layer.is_keras3()) layer.set_mask({});
  const ValueId scale =
      layer.graph.constant(layer.name("scale"), constant_of(layer.config("scale")));
  const ConfigView offset_view = layer.config("offset");
  const Tensor offset = offset_view.exists() ? constant_of(offset_view) : Tensor::scalar(0.0F);
  const bool has_offset = offset.rank() > 0 || offset.f32()[0] != 0.0F;
  const ValueId scaled = layer.graph.elementwise(ops::Elementwise::multiply, layer.input(), scale,
                                                 layer.name("multiply", !has_offset));
  if (!has_offset) return scaled;
  return layer.graph.add(scaled, layer.graph.constant(layer.name("offset"), offset), layer.name());
}

}  // namespace

extern constinit const LayerDef rescaling{.class_names = kClasses,
                                          .doc = "A product with a constant, then a sum.",
                                          .keys = kKeys,
                                          .mask = MaskUse::passes,
                                          .is_per_position = true,
                                          .build = build};

}  // namespace qloom::keras::layers
