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

namespace {

// What all convolutions have. `causal` says whether this one may be.
ConvGeometry read_window(const LayerBuilder& layer, int spatial_axes, bool causal) {
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
  g.conv.padding = layer.padding(causal);
  const Shape& shape = layer.shape(layer.input());
  const bool first = layer.channels_first();
  if (first && g.conv.padding == ops::Padding::causal) {
    layer.config("data_format").fail("causal padding needs channels_last (Keras refuses it too)");
  }
  g.channels = shape[first ? 1 : shape.size() - 1].extent();
  return g;
}

}  // namespace

ConvGeometry read_conv_geometry(const LayerBuilder& layer, int spatial_axes) {
  ConvGeometry g = read_window(layer, spatial_axes, spatial_axes == 1);
  const Shape& shape = layer.shape(layer.input());
  const bool first = layer.channels_first();
  for (size_t k = 0; k < static_cast<size_t>(spatial_axes); ++k) {
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

TransposedGeometry read_transposed_geometry(const LayerBuilder& layer, int spatial_axes) {
  const ConvGeometry g = read_window(layer, spatial_axes, false);
  TransposedGeometry t;
  t.kernel_size = g.kernel_size;
  t.channels = g.channels;
  t.conv.strides = g.conv.strides;
  t.conv.dilations = g.conv.dilations;
  t.conv.padding = g.conv.padding;
  // QKeras's layers have the argument and ignore it.
  const ConfigView more = layer.config("output_padding");
  if (layer.is_quantized() || more.is_none()) return t;
  for (size_t k = 0; k < static_cast<size_t>(spatial_axes); ++k) {
    const int64_t cells =
        more.value().array() != nullptr ? more[k].as_integer() : more.as_integer();
    if (cells < 0 || cells >= t.conv.strides[k]) more.fail_expected("less than the stride, from 0");
    t.conv.output_padding.push_back(cells);
  }
  return t;
}

ValueId transposed_kernel(LayerBuilder& layer, std::string_view part, const Extents& stored,
                          std::string_view axes, std::string_view quantizer_key) {
  const ValueId kernel = layer.quantized(layer.weight(part, stored, axes),
                                         layer.weight_quantizer(quantizer_key), part);
  std::vector<int64_t> order;
  for (size_t k = 0; k < stored.size(); ++k) order.push_back(static_cast<int64_t>(k));
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return layer.graph.permute(kernel, order, layer.name(std::string(part) + "_transposed"));
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
