#include "bindings/import/keras_shapes.h"

#include <algorithm>

#include "graph/support/error.h"

namespace qloom::keras {
namespace {

using Inputs = std::span<const Extents>;

/// Far beyond any use; the product of two stays in 64 bits.
constexpr int64_t kMaxExtent = int64_t{1} << 31;

/// An integer of a configuration that sizes are computed from.
int64_t bounded(const ConfigView& v, int64_t fallback) {
  const int64_t n = v.integer_or(fallback);
  if (n < -kMaxExtent || n > kMaxExtent)
    v.fail_expected(join_text("an integer of at most ", kMaxExtent));
  return n;
}

int64_t bounded(const ConfigView& v) { return bounded(v, v.as_integer()); }

int64_t positive(const ConfigView& v) {
  if (v.as_positive() > kMaxExtent) v.fail_expected(join_text("at most ", kMaxExtent));
  return v.as_positive();
}

int64_t positive(const ConfigView& v, int64_t fallback) {
  return v.exists() ? positive(v) : fallback;
}

/// A layer's configuration with its inputs: what a rule works with.
struct Layer {
  std::string_view class_name;
  const ConfigView& config;
  Inputs inputs;

  [[nodiscard]] const Extents& input() const { return inputs.front(); }
  [[nodiscard]] bool channels_first() const {
    const ConfigView format = config["data_format"];
    return !format.is_none() && format.as_text() == "channels_first";
  }
  [[nodiscard]] size_t channel_axis() const { return channels_first() ? 1 : input().size() - 1; }
  [[nodiscard]] size_t spatial_axis() const { return channels_first() ? 2 : 1; }
  [[nodiscard]] size_t spatial_axes() const { return input().size() - 2; }
  [[nodiscard]] int64_t channels() const { return input()[channel_axis()]; }
  /// As many positive numbers as there are spatial axes; `fallback` where the key is absent.
  [[nodiscard]] Extents sizes(std::string_view key, int64_t fallback) const {
    const ConfigView v = config[key];
    if (v.is_none()) return Extents(spatial_axes(), fallback);
    const Extents out = v.as_positives(spatial_axes());
    if (std::ranges::max(out) > kMaxExtent) v.fail_expected(join_text("at most ", kMaxExtent));
    return out;
  }
  [[nodiscard]] std::string padding() const {
    std::string word = config["padding"].text_or("valid");
    std::ranges::transform(word, word.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return word;
  }
  [[nodiscard]] bool flag(std::string_view key, bool fallback) const {
    const ConfigView v = config[key];
    return v.is_none() ? fallback : v.as_bool();
  }
  void require_rank(size_t least) const {
    if (input().size() < least)
      config.fail(join_text("its input has ", input().size(), " axes, expected ", least,
                            " at least, the batch axis included"));
  }
};

bool is_open(int64_t extent) { return extent == kOpenExtent; }

int64_t product_of(std::span<const int64_t> extents) {
  if (std::ranges::any_of(extents, is_open)) return kOpenExtent;
  return element_count(extents);
}

int64_t windows(int64_t extent, int64_t size, int64_t stride, const std::string& padding) {
  if (is_open(extent)) return extent;
  if (padding == "valid") extent -= size - 1;
  return (extent + stride - 1) / stride;
}

Extents slide(const Layer& l, const Extents& sizes, const Extents& strides,
              const Extents& dilations, int64_t channels) {
  l.require_rank(3);
  Extents out = l.input();
  for (size_t k = 0; k < sizes.size(); ++k) {
    int64_t& extent = out[l.spatial_axis() + k];
    extent = windows(extent, (sizes[k] - 1) * dilations[k] + 1, strides[k], l.padding());
  }
  out[l.channel_axis()] = channels;
  return out;
}

Extents convolve(const Layer& l, int64_t channels) {
  return slide(l, l.sizes("kernel_size", 1), l.sizes("strides", 1), l.sizes("dilation_rate", 1),
               channels);
}

Extents convolution(const Layer& l) { return convolve(l, positive(l.config["filters"])); }

Extents depthwise(const Layer& l) {
  return convolve(l, l.channels() * positive(l.config["depth_multiplier"], 1));
}

// Source: Keras 2.15 keras/src/utils/conv_utils.py, deconv_output_length.
Extents upscale(const Layer& l, int64_t channels) {
  l.require_rank(3);
  Extents out = l.input();
  const Extents sizes = l.sizes("kernel_size", 1), strides = l.sizes("strides", 1);
  const Extents dilations = l.sizes("dilation_rate", 1);
  const ConfigView extra = l.config["output_padding"];
  for (size_t k = 0; k < sizes.size(); ++k) {
    int64_t& extent = out[l.spatial_axis() + k];
    if (is_open(extent)) continue;
    const int64_t size = (sizes[k] - 1) * dilations[k] + 1;
    const bool same = l.padding() == "same";
    if (extra.is_none()) {
      extent = same ? extent * strides[k]
                    : extent * strides[k] + std::max<int64_t>(size - strides[k], 0);
    } else {
      const int64_t add = extra.value().array() != nullptr ? bounded(extra[k]) : bounded(extra);
      extent = (extent - 1) * strides[k] + size - (same ? 2 * (size / 2) : 0) + add;
    }
  }
  out[l.channel_axis()] = channels;
  return out;
}

Extents transposed(const Layer& l) { return upscale(l, positive(l.config["filters"])); }

Extents transposed_depthwise(const Layer& l) {
  const ConfigView filters = l.config["filters"];
  return upscale(l, filters.is_none() ? l.channels() * positive(l.config["depth_multiplier"], 1)
                                      : positive(filters));
}

Extents pooled(const Layer& l) {
  const Extents sizes = l.sizes("pool_size", 2);
  const ConfigView strides = l.config["strides"];
  return slide(l, sizes, strides.is_none() ? sizes : l.sizes("strides", 1),
               Extents(sizes.size(), 1), l.channels());
}

Extents pooled_globally(const Layer& l) {
  l.require_rank(3);
  if (!l.flag("keepdims", false)) return {l.input()[0], l.channels()};
  Extents out(l.input().size(), 1);
  out[0] = l.input()[0];
  out[l.channel_axis()] = l.channels();
  return out;
}

Extents unchanged(const Layer& l) { return l.input(); }

Extents dense(const Layer& l) {
  Extents out = l.input();
  out.back() = positive(l.config["units"]);
  return out;
}

Extents flattened(const Layer& l) {
  return {l.input()[0], product_of(std::span(l.input()).subspan(1))};
}

Extents reshaped(const Layer& l) {
  const ConfigView target = l.config["target_shape"];
  Extents out{l.input()[0]};
  size_t open = 0;
  for (size_t k = 0; k < target.size(); ++k) {
    out.push_back(bounded(target[k]));
    if (out.back() == -1) open = k + 1;
  }
  if (open > 0) {
    const int64_t all = product_of(std::span(l.input()).subspan(1));
    out[open] = 1;
    const int64_t rest = product_of(std::span(out).subspan(1));
    if (rest <= 0) target.fail_expected("positive extents, and -1 once at most");
    out[open] = is_open(all) ? kOpenExtent : all / rest;
  }
  return out;
}

Extents permuted(const Layer& l) {
  const ConfigView dims = l.config["dims"];
  Extents out{l.input()[0]};
  for (size_t k = 0; k < dims.size(); ++k)
    out.push_back(l.input().at(static_cast<size_t>(positive(dims[k]))));
  return out;
}

Extents repeated(const Layer& l) {
  return {l.input()[0], positive(l.config["n"]), l.input().back()};
}

/// Pairs (before, after) for each spatial axis, from the forms that Keras writes.
std::vector<std::pair<int64_t, int64_t>> pairs(const Layer& l, std::string_view key) {
  const ConfigView v = l.config[key];
  const size_t axes = l.spatial_axes();
  std::vector<std::pair<int64_t, int64_t>> out;
  for (size_t k = 0; k < axes; ++k) {
    if (v.value().array() == nullptr) {
      out.emplace_back(bounded(v), bounded(v));
    } else if (axes == 1) {
      out.emplace_back(bounded(v[size_t{0}]), bounded(v[size_t{1}]));
    } else if (v[k].value().array() == nullptr) {
      out.emplace_back(bounded(v[k]), bounded(v[k]));
    } else {
      out.emplace_back(bounded(v[k][size_t{0}]), bounded(v[k][size_t{1}]));
    }
  }
  return out;
}

Extents resized(const Layer& l, std::string_view key, int64_t sign) {
  l.require_rank(3);
  Extents out = l.input();
  const auto amounts = pairs(l, key);
  for (size_t k = 0; k < amounts.size(); ++k) {
    int64_t& extent = out[l.spatial_axis() + k];
    if (!is_open(extent)) extent += sign * (amounts[k].first + amounts[k].second);
  }
  return out;
}

Extents padded(const Layer& l) { return resized(l, "padding", 1); }
Extents cropped(const Layer& l) { return resized(l, "cropping", -1); }

Extents upsampled(const Layer& l) {
  l.require_rank(3);
  Extents out = l.input();
  const Extents sizes = l.sizes("size", 2);
  for (size_t k = 0; k < sizes.size(); ++k)
    if (int64_t& extent = out[l.spatial_axis() + k]; !is_open(extent)) extent *= sizes[k];
  return out;
}

// Shapes broadcast at the last axis; the batch axis stays in front.
Extents merged(const Layer& l) {
  Extents out = l.input();
  for (const Extents& next : l.inputs.subspan(1)) {
    const Extents& longer = next.size() > out.size() ? next : out;
    const Extents& shorter = next.size() > out.size() ? out : next;
    Extents result = longer;
    for (size_t k = 1; k < shorter.size(); ++k) {
      const int64_t a = longer[longer.size() - k], b = shorter[shorter.size() - k];
      if (a != b && a != 1 && b != 1 && !is_open(a) && !is_open(b))
        l.config.fail(join_text("inputs with extents ", a, " and ", b, " do not broadcast"));
      result[longer.size() - k] = std::max(a, b);  // an open extent gives way to a number
    }
    out = std::move(result);
  }
  return out;
}

size_t axis_of(const ConfigView& v, int64_t fallback, size_t rank) {
  const int64_t axis = bounded(v, fallback);
  const int64_t index = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
  if (index < 0 || index >= static_cast<int64_t>(rank)) v.fail_expected("an axis of the input");
  return static_cast<size_t>(index);
}

Extents concatenated(const Layer& l) {
  Extents out = l.input();
  const size_t axis = axis_of(l.config["axis"], -1, out.size());
  for (const Extents& next : l.inputs.subspan(1)) {
    if (next.size() != out.size()) l.config.fail("its inputs have different numbers of axes");
    out[axis] = is_open(out[axis]) || is_open(next[axis]) ? kOpenExtent : out[axis] + next[axis];
  }
  return out;
}

Extents dotted(const Layer& l) {
  const ConfigView axes = l.config["axes"];
  if (l.inputs.size() != 2) l.config.fail("it has two inputs");
  Extents out;
  for (size_t input = 0; input < 2; ++input) {
    Extents shape = l.inputs[input];
    const int64_t axis = axes.value().array() != nullptr ? bounded(axes[input]) : bounded(axes);
    const auto at = static_cast<std::ptrdiff_t>(axis < 0 ? axis + std::ssize(shape) : axis);
    if (at < 1 || at >= std::ssize(shape)) axes.fail_expected("axes of the inputs");
    shape.erase(shape.begin() + at);
    out.insert(out.end(), shape.begin() + (input == 0 ? 0 : 1), shape.end());
  }
  return out.size() == 1 ? Extents{out[0], 1} : out;
}

Extents embedded(const Layer& l) {
  Extents out = l.input();
  out.push_back(positive(l.config["output_dim"]));
  return out;
}

Extents recurrent(const Layer& l) {
  l.require_rank(3);
  const int64_t units = positive(l.config["units"]);
  return l.flag("return_sequences", false) ? Extents{l.input()[0], l.input()[1], units}
                                           : Extents{l.input()[0], units};
}

// Both directions side by side, unless their results are merged otherwise.
Extents bidirectional(const Layer& l) {
  const auto units = [&](std::string_view key) {
    return positive(l.config[key]["config"]["units"]);
  };
  const ConfigView inner = l.config["layer"];
  const ConfigView config = inner["config"];
  Extents out = recurrent({inner["class_name"].as_text(), config, l.inputs});
  const ConfigView mode = l.config["merge_mode"];
  const bool concatenates = !mode.exists() || (!mode.is_none() && mode.as_text() == "concat");
  if (concatenates)
    out.back() += units(l.config["backward_layer"].is_none() ? "layer" : "backward_layer");
  return out;
}

// A layer around cells: the last one's units.
Extents around_cells(const Layer& l) {
  l.require_rank(3);
  ConfigView cell = l.config["cell"];
  if (const ConfigView cells = cell["config"]["cells"]; cells.exists())
    cell = cells[cells.size() - 1];
  const int64_t units = positive(cell["config"]["units"]);
  return l.flag("return_sequences", false) ? Extents{l.input()[0], l.input()[1], units}
                                           : Extents{l.input()[0], units};
}

// An expression: a sum, a difference or a product, perhaps with a constant that broadcasts into it.
Extents expression(const Layer& l) {
  constexpr std::string_view kKnown[] = {"__operators__.add", "math.add", "math.subtract",
                                         "math.multiply"};
  const ConfigView function = l.config["function"];
  if (l.class_name == "TFOpLambda" &&
      std::ranges::find(kKnown, function.as_text()) == std::end(kKnown))
    function.fail("this function is not known, so neither is its output's shape");
  return merged(l);
}

Extents given(const Layer& l) {
  const ConfigView old = l.config["batch_input_shape"];
  const ConfigView shape = old.exists() ? old : l.config["batch_shape"];
  Extents out;
  for (size_t k = 0; k < shape.size(); ++k)
    out.push_back(shape[k].is_none() ? kOpenExtent : bounded(shape[k]));
  return out;
}

// ---- variables ----

Extents kernel_of_dense(const Layer& l) { return {l.input().back(), positive(l.config["units"])}; }

Extents with_size(const Layer& l, int64_t in, int64_t out) {
  Extents shape = l.sizes("kernel_size", 1);
  shape.insert(shape.end(), {in, out});
  return shape;
}

Extents kernel_of_convolution(const Layer& l) {
  return with_size(l, l.channels() / positive(l.config["groups"], 1),
                   positive(l.config["filters"]));
}

Extents kernel_of_depthwise(const Layer& l) {
  return with_size(l, l.channels(), positive(l.config["depth_multiplier"], 1));
}

Extents kernel_of_transposed(const Layer& l) {
  return with_size(l, positive(l.config["filters"]), l.channels());
}

Extents parameters_of_norm(const Layer& l) {
  const ConfigView axis = l.config["axis"];
  const bool is_list = axis.exists() && axis.value().array() != nullptr;
  const size_t rank = l.input().size();
  if (!is_list) return {l.input()[axis_of(axis, -1, rank)]};
  if (axis.size() == 0) axis.fail_expected("one axis or more");
  Extents shape;
  for (size_t k = 0; k < axis.size(); ++k) shape.push_back(l.input()[axis_of(axis[k], -1, rank)]);
  return shape;
}

using Rule = Extents (*)(const Layer&);

/// What follows from the class. Q classes are like those without the Q unless they are listed.
struct KerasClass {
  std::string_view name;
  Rule output = nullptr;
  bool has_variables = false;
  Rule first_weight = nullptr;
};

constexpr KerasClass kClasses[] = {
    {"InputLayer", given},
    {"Dense", dense, true, kernel_of_dense},
    {"Conv1D", convolution, true, kernel_of_convolution},
    {"Conv2D", convolution, true, kernel_of_convolution},
    {"Conv3D", convolution, true, kernel_of_convolution},
    {"DepthwiseConv1D", depthwise, true, kernel_of_depthwise},
    {"DepthwiseConv2D", depthwise, true, kernel_of_depthwise},
    {"SeparableConv1D", convolution, true, kernel_of_depthwise},
    {"SeparableConv2D", convolution, true, kernel_of_depthwise},
    {"Conv1DTranspose", transposed, true, kernel_of_transposed},
    {"Conv2DTranspose", transposed, true, kernel_of_transposed},
    {"DepthwiseConv2DTranspose", transposed_depthwise, true},
    {"SeparableConv2DTranspose", transposed, true},
    {"Conv2DBatchnorm", convolution, true, kernel_of_convolution},
    {"DepthwiseConv2DBatchnorm", depthwise, true, kernel_of_depthwise},
    {"DenseBatchnorm", dense, true, kernel_of_dense},
    {"BatchNormalization", unchanged, true, parameters_of_norm},
    {"LayerNormalization", unchanged, true},
    {"ScaleShift", unchanged, true},
    {"PReLU", unchanged, true},
    {"Embedding", embedded, true},
    {"SimpleRNN", recurrent, true},
    {"LSTM", recurrent, true},
    {"GRU", recurrent, true},
    {"Bidirectional", bidirectional, true},
    {"RNN", around_cells, true},
    {"TFOpLambda", expression},
    {"ops.Add", expression},
    {"ops.Subtract", expression},
    {"ops.Multiply", expression},
    {"MaxPooling1D", pooled},
    {"MaxPooling2D", pooled},
    {"MaxPooling3D", pooled},
    {"AveragePooling1D", pooled},
    {"AveragePooling2D", pooled},
    {"AveragePooling3D", pooled},
    {"GlobalMaxPooling1D", pooled_globally},
    {"GlobalMaxPooling2D", pooled_globally},
    {"GlobalMaxPooling3D", pooled_globally},
    {"GlobalAveragePooling1D", pooled_globally},
    {"GlobalAveragePooling2D", pooled_globally},
    {"GlobalAveragePooling3D", pooled_globally},
    {"Flatten", flattened},
    {"Reshape", reshaped},
    {"Permute", permuted},
    {"RepeatVector", repeated},
    {"ZeroPadding1D", padded},
    {"ZeroPadding2D", padded},
    {"Cropping1D", cropped},
    {"Cropping2D", cropped},
    {"UpSampling1D", upsampled},
    {"UpSampling2D", upsampled},
    {"Add", merged},
    {"Subtract", merged},
    {"Multiply", merged},
    {"Maximum", merged},
    {"Minimum", merged},
    {"Average", merged},
    {"Concatenate", concatenated},
    {"Dot", dotted},
    {"Activation", unchanged},
    {"AdaptiveActivation", unchanged, true},
    {"ReLU", unchanged},
    {"LeakyReLU", unchanged},
    {"ThresholdedReLU", unchanged},
    {"ELU", unchanged},
    {"Softmax", unchanged},
    {"Rescaling", unchanged},
    {"Masking", unchanged},
    {"Dropout", unchanged},
    {"AlphaDropout", unchanged},
    {"SpatialDropout1D", unchanged},
    {"SpatialDropout2D", unchanged},
    {"GaussianNoise", unchanged},
    {"GaussianDropout", unchanged},
    {"ActivityRegularization", unchanged}};

const KerasClass* find_class(std::string_view name) {
  for (const std::string_view candidate :
       {name, name.starts_with('Q') ? name.substr(1) : std::string_view()}) {
    const auto* found = std::ranges::find(kClasses, candidate, &KerasClass::name);
    if (found != std::end(kClasses)) return found;
  }
  return nullptr;
}

/// The inputs that the class sees: one index of axis 1 below TimeDistributed.
std::vector<Extents> seen_inputs(const KerasLayer& layer, Inputs inputs) {
  std::vector<Extents> out(inputs.begin(), inputs.end());
  if (layer.time_distributed)
    for (Extents& shape : out)
      if (shape.size() > 1) shape.erase(shape.begin() + 1);
  return out;
}

void check_extents(const ConfigView& config, const Extents& shape) {
  if (shape.empty()) config.fail("its output has no axis, not even for the batch");
  for (const int64_t n : shape)
    if (!is_open(n) && (n < 0 || n > kMaxExtent))
      config.fail(join_text("its output has an axis of ", n, ", expected 0 to ", kMaxExtent));
}

}  // namespace

Extents output_shape(const KerasModel& model, const KerasLayer& layer, Inputs inputs) {
  const ConfigView config = model.view(layer);
  const KerasClass* known = find_class(layer.class_name);
  if (known == nullptr) config.fail("this class is not known, so neither is its output's shape");
  if (inputs.empty() && known->output != given) config.fail("it has no input");
  const std::vector<Extents> seen = seen_inputs(layer, inputs);
  for (const Extents& shape : seen)
    if (shape.size() < 2)
      config.fail(join_text("an input has ", shape.size(),
                            " axes, expected 2 at least, the batch axis included"));
  Extents out = known->output({layer.class_name, config, seen});
  if (layer.time_distributed) out.insert(out.begin() + 1, inputs.front().at(1));
  check_extents(config, out);
  return out;
}

std::vector<Extents> weight_shapes(const KerasModel& model, const KerasLayer& layer,
                                   Inputs inputs) {
  const KerasClass* known = find_class(layer.class_name);
  if (known == nullptr || known->first_weight == nullptr || inputs.empty()) return {};
  const ConfigView config = model.view(layer);
  const std::vector<Extents> seen = seen_inputs(layer, inputs);
  const Layer l{layer.class_name, config, seen};
  const Extents first = known->first_weight(l);
  if (known->first_weight == parameters_of_norm)
    return std::vector<Extents>(
        2 + (l.flag("scale", true) ? 1 : 0) + (l.flag("center", true) ? 1 : 0), first);
  std::vector<Extents> out{first};
  if (l.flag("use_bias", true)) out.push_back({known->output(l)[l.channel_axis()]});
  return out;
}

bool has_variables(std::string_view class_name) {
  const KerasClass* known = find_class(class_name);
  return known != nullptr && known->has_variables;
}

}  // namespace qloom::keras
