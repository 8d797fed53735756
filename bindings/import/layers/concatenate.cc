// bindings/import/layers/concatenate.cc: inputs one after the other along an axis.
#include <algorithm>

#include "bindings/import/layer.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Concatenate"};
constexpr std::string_view kKeys[] = {"axis"};
constexpr int kMany = 1 << 20;

// Along the time steps masks are joined as the inputs are; else a step counts that counts in all.
ValueId joined_mask(LayerBuilder& layer, const ConfigView& axis) {
  std::vector<ValueId> masks;
  for (const std::optional<ValueId>& mask : layer.input_masks()) {
    if (!mask) axis.fail("some inputs have a mask and others none, which cannot be joined");
    masks.push_back(*mask);
  }
  return layer.graph.concat(masks, 1, layer.name("mask"));
}

ValueId build(LayerBuilder& layer) {
  const ConfigView axis_view = layer.config("axis");
  const int64_t axis = axis_view.integer_or(-1);
  const int rank = layer.rank(layer.input());
  const int64_t place = axis < 0 ? axis + rank : axis;
  if (place < 1 || place >= rank) axis_view.fail_expected("an axis of the inputs, not the batch");
  const Shape& first = layer.shape(layer.input());
  for (const ValueId x : layer.inputs()) {
    const Shape& shape = layer.shape(x);
    bool fits = shape.size() == first.size();
    for (size_t k = 0; fits && k < shape.size(); ++k)
      fits = static_cast<int64_t>(k) == place || shape[k] == first[k];
    if (!fits) {
      layer.fail(join_text("its inputs have shapes ", to_string(first), " and ", to_string(shape),
                           ", which differ outside axis ", place));
    }
  }
  const bool is_masked = std::ranges::any_of(
      layer.input_masks(), [](const std::optional<ValueId>& mask) { return mask.has_value(); });
  if (is_masked && place == 1) layer.set_mask(joined_mask(layer, axis_view));
  return layer.graph.concat(layer.inputs(), place, layer.name());
}

}  // namespace

extern constinit const LayerDef concatenate{.class_names = kClasses,
                                            .doc = "Inputs one after the other along an axis.",
                                            .keys = kKeys,
                                            .min_inputs = 1,
                                            .max_inputs = kMany,
                                            .mask = MaskUse::builds,
                                            .build = build};

}  // namespace qloom::keras::layers
