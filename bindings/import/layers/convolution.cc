// bindings/import/layers/convolution.cc: y = act(conv(x, q(kernel) · mask) + q(bias)).
// The mask of QConv2D multiplies the quantized kernel: it does not change its scale.
// Source: QKeras qkeras/qconvolutional.py, QConv1D and QConv2D.
#include "bindings/import/convolution.h"

#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Conv1D", "Conv2D", "QConv1D", "QConv2D"};
constexpr std::string_view kKeys[] = {
    "filters", "kernel_size", "strides",  "padding",          "data_format",    "dilation_rate",
    "groups",  "activation",  "use_bias", "kernel_quantizer", "bias_quantizer", "mask"};
constexpr std::string_view kIgnored[] = {"kernel_range", "bias_range"};

std::vector<std::string_view> weights(const ConfigView& config) {
  if (config["use_bias"].bool_or(true)) return {"kernel", "bias"};
  return {"kernel"};
}

void collect(const ConfigView& v, std::vector<float>& out) {
  if (v.value().array() == nullptr) {
    out.push_back(static_cast<float>(v.as_real()));
    return;
  }
  for (size_t k = 0; k < v.size(); ++k) collect(v[k], out);
}

// The first two axes of the nested list are the window; the rest are of size 1.
Tensor read_mask(const ConfigView& mask, const std::vector<int64_t>& kernel_size) {
  if (mask.value().array() == nullptr || mask.size() == 0 ||
      mask[size_t{0}].value().array() == nullptr) {
    mask.fail_expected("a nested list of at least two axes");
  }
  std::vector<float> values;
  collect(mask, values);
  const auto rows = static_cast<int64_t>(mask.size());
  const auto columns = static_cast<int64_t>(mask[size_t{0}].size());
  if (rows != kernel_size[0] || columns != kernel_size[1] ||
      static_cast<int64_t>(values.size()) != rows * columns) {
    mask.fail(join_text("the mask has ", rows, " × ", columns, " taps and ", values.size(),
                        " values, expected ", kernel_size[0], " × ", kernel_size[1],
                        " as kernel_size says"));
  }
  return Tensor({rows, columns, 1, 1}, std::move(values));
}

ValueId build(LayerBuilder& layer) {
  const bool is_1d = layer.class_name().ends_with("1D");
  const ConvGeometry g = read_conv_geometry(layer, is_1d ? 1 : 2);
  const int64_t filters = layer.config("filters").as_positive();
  ops::Conv conv = g.conv;
  const ConfigView groups = layer.config("groups");
  conv.groups = groups.exists() ? groups.as_positive() : 1;
  if (filters % conv.groups != 0 || g.channels % conv.groups != 0) {
    groups.fail(join_text(conv.groups, " groups must divide the ", g.channels,
                          " input channels and the ", filters, " filters"));
  }
  Extents shape = g.kernel_size;
  shape.push_back(g.channels / conv.groups);
  shape.push_back(filters);
  ValueId kernel = layer.quantized(
      layer.weight("kernel", shape, "kernel_size, input channels / groups, filters"),
      layer.weight_quantizer("kernel_quantizer"), "kernel");
  if (const ConfigView mask = layer.config("mask"); !is_1d && !mask.is_none()) {
    const ValueId taps = layer.graph.constant(layer.name("mask"), read_mask(mask, g.kernel_size));
    kernel = layer.graph.elementwise(ops::Elementwise::multiply, kernel, taps,
                                     layer.name("masked_kernel"));
  }
  return finish_convolution(layer, kernel, conv, filters, "filters");
}

}  // namespace

extern constinit const LayerDef convolution{
    .class_names = kClasses,
    .doc = "Convolution over one or two axes, groups and dilation included.",
    .keys = kKeys,
    .ignored = kIgnored,
    .weights = weights,
    .build = build};

}  // namespace qloom::keras::layers
