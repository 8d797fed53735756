// bindings/import/layers/layer_normalization.cc: each sample normalized along its own axes:
// (x - mean)·(1/sqrt(variance + epsilon))·gamma + beta.
// Source: Keras 2 keras/layers/normalization/layer_normalization.py.
#include <algorithm>

#include "bindings/import/expression.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"LayerNormalization"};
constexpr std::string_view kKeys[] = {"axis", "epsilon", "center", "scale", "rms_scaling"};

std::vector<std::string_view> weights(const ConfigView& config) {
  std::vector<std::string_view> names;
  if (config["scale"].bool_or(true)) names.emplace_back("gamma");
  if (config["center"].bool_or(true)) names.emplace_back("beta");
  return names;
}

ValueId build(LayerBuilder& layer) {
  if (layer.config("rms_scaling").bool_or(false))
    layer.config("rms_scaling").fail("scaling by the root of the mean square is not supported");
  const Shape shape = layer.shape(layer.input());
  const auto rank = static_cast<int64_t>(shape.size());
  ops::Reduce reduce{.kind = ops::ReduceKind::mean, .axes = {}, .keep_dims = true};
  const ConfigView axis = layer.config("axis");
  const auto take = [&](int64_t a) {
    a = a < 0 ? a + rank : a;
    if (a < 1 || a >= rank)
      axis.fail_expected(join_text("one or more of the axes 1 to ", rank - 1));
    reduce.axes.push_back(a);
  };
  if (!axis.exists())
    take(-1);
  else if (axis.value().array() == nullptr)
    take(axis.as_integer());
  else
    for (size_t k = 0; k < axis.size(); ++k) take(axis[k].as_integer());
  std::sort(reduce.axes.begin(), reduce.axes.end());

  Extents stored, spread(shape.size(), 1);
  for (const int64_t a : reduce.axes) {
    const int64_t extent = shape[static_cast<size_t>(a)].extent();
    stored.push_back(extent);
    spread[static_cast<size_t>(a)] = extent;
  }
  Expressions e(layer, "normalized");
  const auto parameter = [&](std::string_view name) {
    return e.reshape(e(layer.weight(name, stored, "the extents of axis")), spread);
  };
  const Term deviation = e(layer.input()) - e.reduce(e(layer.input()), reduce);
  const Term variance = e.reduce(deviation * deviation, reduce);
  Term y = deviation * e.reciprocal_root(variance + layer.config("epsilon").real_or(1e-3));
  if (layer.config("scale").bool_or(true)) y = y * parameter("gamma");
  if (layer.config("center").bool_or(true)) y = y + parameter("beta");
  return layer.named(y.id);
}

}  // namespace

extern constinit const LayerDef layer_normalization{
    .class_names = kClasses,
    .doc = "Normalization of each sample along its own axes.",
    .keys = kKeys,
    .mask = MaskUse::passes,
    .weights = weights,
    .build = build};

}  // namespace qloom::keras::layers
