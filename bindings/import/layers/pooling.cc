// bindings/import/layers/pooling.cc: the largest or the mean of a window. Cells outside the input
// do not count: the mean divides by the cells inside.
//
// QAveragePooling2D with a quantizer, A = window area: y = act(avgpool(x·A) · q(1/A)). At a border
// with `same` padding this is Σx · A/n · q(1/A). Source: QKeras qkeras/qpooling.py.
#include "bindings/import/layer.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"MaxPooling1D", "MaxPooling2D", "AveragePooling1D",
                                         "AveragePooling2D", "QAveragePooling2D"};
constexpr std::string_view kKeys[] = {"pool_size",   "strides",           "padding",
                                      "data_format", "average_quantizer", "activation"};
// With `same` padding a window may be larger than its input; far beyond any use.
constexpr int64_t kMaxWindow = int64_t{1} << 30;

ValueId build(LayerBuilder& layer) {
  const int spatial_axes = layer.class_name().ends_with("1D") ? 1 : 2;
  const auto count = static_cast<size_t>(spatial_axes);
  layer.require_rank(spatial_axes + 2);
  const bool first = layer.channels_first();

  ops::Pool pool;
  pool.kind = layer.class_name().starts_with("Max") ? ops::PoolKind::max : ops::PoolKind::average;
  const ConfigView size = layer.config("pool_size");
  pool.sizes = size.exists() ? size.as_positives(count) : std::vector<int64_t>(count, 2);
  const ConfigView strides = layer.config("strides");
  pool.strides = strides.is_none() ? pool.sizes : strides.as_positives(count);
  pool.padding = layer.padding();
  int64_t area = 1;
  for (size_t k = 0; k < count; ++k) {
    const int64_t extent = layer.shape(layer.input())[k + (first ? 2 : 1)].extent();
    const int64_t limit = pool.padding == ops::Padding::valid ? extent : kMaxWindow;
    if (pool.sizes[k] > limit) {
      size.fail(join_text("a window of ", pool.sizes[k], " is too large for an input of ", extent));
    }
    area *= pool.sizes[k];
  }

  const QuantizerOrFunction average =
      layer.is_quantized() ? layer.quantizer("average_quantizer") : QuantizerOrFunction();
  const QuantizerOrFunction act =
      layer.is_quantized() ? layer.quantizer("activation") : QuantizerOrFunction();
  const bool is_scaled = !std::holds_alternative<std::monostate>(average);
  const bool is_linear = is_identity(act);

  ValueId x = first ? layer.to_channels_last(layer.input()) : layer.input();
  if (is_scaled) {
    const ValueId factor =
        layer.graph.constant(layer.name("area"), Tensor::scalar(static_cast<float>(area)));
    x = layer.graph.elementwise(ops::Elementwise::multiply, x, factor, layer.name("times_area"));
  }
  x = layer.graph.pool(x, pool, layer.name("pool", !is_scaled && !first && is_linear));
  if (is_scaled) {
    const auto inverse = static_cast<float>(1.0 / static_cast<double>(area));
    const ValueId factor =
        layer.quantized(layer.graph.constant(layer.name("inverse_area"), Tensor::scalar(inverse)),
                        average, "inverse_area");
    x = layer.graph.elementwise(ops::Elementwise::multiply, x, factor,
                                layer.name("average", !first && is_linear));
  }
  if (first) x = layer.to_channels_first(x, layer.name("channels_first", is_linear));
  return layer.activate(x, act);
}

}  // namespace

extern constinit const LayerDef pooling{
    .class_names = kClasses, .doc = "Maximum or mean over windows.", .keys = kKeys, .build = build};

}  // namespace qloom::keras::layers
