#include <algorithm>

#include "graph/support/error.h"
#include "passes/analysis/qtools/data_map.h"
#include "passes/analysis/qtools/layer_classes.h"

namespace qloom::qtools {
namespace {

int64_t merged(const ModelLayer&, const Extents& in, const Context&) {
  return elements_per_sample(in);
}

int64_t written(const ModelLayer& layer, const Extents&, const Context&) {
  return elements_per_sample(layer.output_shape);
}

// Additions of one output position; QTools leaves out how many positions there are.
int64_t averaged(const ModelLayer& layer, const Extents& in, const Context&) {
  const int64_t window = layer.pool_size.empty()
                             ? checked_product(std::span(in).subspan(1, in.size() - 2))
                             : checked_product(std::span(layer.pool_size));
  return checked_product({layer.output_shape.back(), window});
}

// Also transposed ones, by output positions; groups are not looked at.
int64_t convolved(const ModelLayer& layer, const Extents& in, const Context&) {
  const Extents& kernel = layer.weights.at(0).shape;
  return checked_product({elements_per_sample(layer.output_shape),
                          checked_product(std::span(kernel).first(kernel.size() - 2)), in.back()});
}

int64_t depthwise(const ModelLayer& layer, const Extents& in, const Context&) {
  const Extents& kernel = layer.weights.at(0).shape;
  return checked_product(
      {kernel[0], kernel[1], layer.output_shape[1], layer.output_shape[2], in.back()});
}

bool has_several_extents(const Extents& shape) {
  return std::count_if(shape.begin() + 1, shape.end(), [](int64_t n) { return n > 1; }) > 1;
}

int64_t dense(const ModelLayer& layer, const Extents& in, const Context& context) {
  const Extents& out = layer.output_shape;
  if (has_several_extents(in) || has_several_extents(out)) {
    context.refuse("AssertionError",
                   "QTools counts a dense layer only where one axis at most is longer than 1; "
                   "counted for every position");
    return checked_product({elements_per_sample(in), out.back()});
  }
  return checked_product(
      {*std::max_element(in.begin() + 1, in.end()), *std::max_element(out.begin() + 1, out.end())});
}

struct CountRule {
  bool (*matches)(std::string_view layer_class);
  int64_t (*count)(const ModelLayer&, const Extents& in, const Context&);
};

template <const auto& kNames>
bool one_of(std::string_view name) {
  return std::ranges::find(kNames, name) != std::end(kNames);
}

constexpr std::string_view kAverages[] = {"AveragePooling2D", "AvgPool2D", "GlobalAvgPool2D",
                                          "GlobalAveragePooling2D", "QGlobalAveragePooling2D"};
constexpr std::string_view kConvolutions[] = {
    "QConv2D", "Conv2D", "QConv2DBatchnorm", "QConv2DTranspose", "Conv2DTranspose",
    "QConv1D", "Conv1D"};
constexpr std::string_view kDepthwise[] = {"QDepthwiseConv2D", "DepthwiseConv2D"};
constexpr std::string_view kDense[] = {"QDense", "Dense"};

// The first that matches.
constexpr CountRule kRules[] = {
    {is_merge, merged},
    {is_shape_layer, merged},
    {one_of<kAverages>, averaged},
    {[](std::string_view name) { return contains(name, "UpSampling"); }, written},
    {[](std::string_view name) {
       return contains(name, "Activation") || contains(name, "BatchNormalization");
     },
     merged},
    {one_of<kConvolutions>, convolved},
    {one_of<kDepthwise>, depthwise},
    {one_of<kDense>, dense},
};

}  // namespace

int64_t operation_count(const ModelLayer& layer, const Extents& input_shape,
                        const Context& context) {
  const auto* rule =
      std::ranges::find_if(kRules, [&](const CountRule& r) { return r.matches(layer.class_name); });
  if (rule == std::end(kRules)) return 0;
  const auto is_open = [](const Extents& shape) {
    return std::find(shape.begin() + 1, shape.end(), kUnknownExtent) != shape.end();
  };
  if (is_open(input_shape) || is_open(layer.output_shape))
    context.refuse("TypeError", "an axis has no fixed extent; counted as 1");
  return rule->count(layer, input_shape, context);
}

}  // namespace qloom::qtools
