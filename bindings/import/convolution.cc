#include "bindings/import/convolution.h"

#include <algorithm>

#include "graph/support/error.h"

namespace qloom::keras {
namespace {

// Far beyond any use, and small enough that (k - 1)·d + 1 cannot overflow.
constexpr int64_t kMaxExtent = int64_t{1} << 31;

std::vector<int64_t> extents_of(const LayerBuilder& layer, std::string_view key, size_t count,
                                bool required) {
  const ConfigView v = layer.config(key);
  if (!v.exists() && !required) return std::vector<int64_t>(count, 1);
  std::vector<int64_t> out = v.as_positives(count);
  if (*std::max_element(out.begin(), out.end()) > kMaxExtent) {
    v.fail_expected("at most " + std::to_string(kMaxExtent));
  }
  return out;
}

bool exceeds_1(const std::vector<int64_t>& v) { return *std::max_element(v.begin(), v.end()) > 1; }

}  // namespace

ConvGeometry read_conv_geometry(const LayerBuilder& layer, int spatial_axes) {
  layer.require_rank(spatial_axes + 2);
  const auto count = static_cast<size_t>(spatial_axes);
  ConvGeometry g;
  g.kernel_size = extents_of(layer, "kernel_size", count, true);
  g.conv.strides = extents_of(layer, "strides", count, false);
  g.conv.dilations = extents_of(layer, "dilation_rate", count, false);
  if (exceeds_1(g.conv.strides) && exceeds_1(g.conv.dilations)) {
    layer.config("dilation_rate")
        .fail("dilation together with strides > 1 is not supported (Keras refuses it too)");
  }
  g.conv.padding = layer.padding(spatial_axes == 1);
  const Shape& shape = layer.shape(layer.input());
  const bool first = layer.channels_first();
  if (first && g.conv.padding == ops::Padding::causal) {
    layer.config("data_format").fail("causal padding needs channels_last (Keras refuses it too)");
  }
  g.channels = shape[first ? 1 : shape.size() - 1].extent();
  for (size_t k = 0; k < count; ++k) {
    const int64_t window = (g.kernel_size[k] - 1) * g.conv.dilations[k] + 1;
    const int64_t extent = shape[k + (first ? 2 : 1)].extent();
    if (g.conv.padding == ops::Padding::valid && window > extent) {
      layer.config("kernel_size")
          .fail(join_text("a window of ", window,
                          " (dilation included) is larger than the input of ", extent,
                          " on spatial axis ", k));
    }
  }
  return g;
}

ValueId finish_convolution(LayerBuilder& layer, ValueId kernel, const ops::Conv& conv,
                           int64_t out_channels, std::string_view bias_axes) {
  const bool permute = layer.channels_first();
  const ValueId x = permute ? layer.to_channels_last(layer.input()) : layer.input();
  const bool is_last = !permute && !layer.has_bias() && is_identity(layer.activation());
  const ValueId y = layer.graph.conv(x, kernel, conv, layer.name("conv", is_last));
  return layer.add_bias_and_activate(y, out_channels, bias_axes);
}

}  // namespace qloom::keras
