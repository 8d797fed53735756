#include "tests/cpp/random_layers.h"

#include <algorithm>
#include <array>
#include <functional>

#include "bindings/cpp/layers.h"
#include "bindings/import/keras_import.h"
#include "graph/support/error.h"
#include "tests/cpp/random_draw.h"

namespace qloom::test {
namespace {

using testing::Random;

void bias_and_activation(Draw& d, std::string_view name) {
  d.flag("use_bias", 70);
  if (is_quantized(name)) {
    d.maybe("bias_quantizer", kBiases, 60);
    d.maybe("activation", kActivations, 50);
  } else {
    d.maybe("activation", kFunctions, 40);
  }
}

/// kernel_size, strides, padding, dilation_rate, data_format; gives the channels.
int64_t window(Draw& d, int spatial_axes, bool causal, bool first) {
  Extents shape = d.image(spatial_axes);
  const int64_t channels = shape.back();
  const bool same = d.random.chance(50);
  const bool is_causal = causal && !same && d.random.chance(40);
  std::vector<int64_t> kernel, strides, dilations;
  const bool dilates = d.random.chance(20);
  for (int i = 0; i < spatial_axes; ++i) {
    const int64_t extent = shape[static_cast<size_t>(i)];
    kernel.push_back(d.random.integer(1, same || is_causal ? 4 : std::min<int64_t>(extent, 4)));
    const bool fits = same || is_causal || 2 * (kernel.back() - 1) + 1 <= extent;
    dilations.push_back(dilates && fits ? 2 : 1);
    strides.push_back(dilates ? 1 : d.random.integer(1, 3));
  }
  d.list("kernel_size", kernel);
  d.list("strides", strides);
  d.list("dilation_rate", dilations);
  d.text("padding", is_causal ? "causal" : same ? "same" : "valid");
  const bool is_first = first && !is_causal && d.random.chance(20);
  d.text("data_format", is_first ? "channels_first" : "channels_last");
  if (is_first) std::rotate(shape.begin(), shape.end() - 1, shape.end());
  d.inputs = {shape};
  return channels;
}

int axes_of(std::string_view name) { return name.find("1D") != name.npos ? 1 : 2; }

void convolution(Draw& d, std::string_view name) {
  const int64_t channels = window(d, axes_of(name), axes_of(name) == 1, true);
  const int64_t groups = channels % 2 == 0 && d.random.chance(30) ? 2 : 1;
  d.number("groups", groups);
  d.number("filters", groups * d.random.integer(1, 4));
  bias_and_activation(d, name);
  if (is_quantized(name)) d.maybe("kernel_quantizer", kWeights, 85);
}

void depthwise(Draw& d, std::string_view name) {
  static_cast<void>(window(d, 2, false, true));
  d.number("depth_multiplier", d.random.integer(1, 2));
  bias_and_activation(d, name);
  if (is_quantized(name)) d.maybe("depthwise_quantizer", kWeights, 85);
}

void separable(Draw& d, std::string_view name) {
  static_cast<void>(window(d, axes_of(name), false, true));
  d.number("depth_multiplier", d.random.integer(1, 2));
  d.number("filters", d.random.integer(1, 5));
  bias_and_activation(d, name);
  if (!is_quantized(name)) return;
  d.maybe("depthwise_quantizer", kWeights, 85);
  d.maybe("pointwise_quantizer", kWeights, 85);
}

void transposed(Draw& d, std::string_view name) {
  static_cast<void>(window(d, axes_of(name), false, true));
  d.number("filters", d.random.integer(1, 4));
  bias_and_activation(d, name);
  if (is_quantized(name)) d.maybe("kernel_quantizer", kWeights, 85);
}

void transposed_depthwise(Draw& d, std::string_view) {
  const int64_t channels = window(d, 2, false, false);
  d.number("filters", channels);
  d.number("group_size", channels % 2 == 0 && d.random.chance(50) ? 2 : 1);
  d.flag("use_bias", 50);
  d.maybe("depthwise_kernel_quantizer", kWeights, 85);
  d.maybe("depthwise_activation", kActivations, 50);
}

void transposed_separable(Draw& d, std::string_view) {
  static_cast<void>(window(d, 2, false, false));
  d.number("filters", d.random.integer(1, 4));
  d.flag("use_bias", 50);
  d.maybe("depthwise_kernel_quantizer", kWeights, 85);
  d.maybe("pointwise_kernel_quantizer", kWeights, 85);
  d.maybe("bias_quantizer", kBiases, 60);
  d.maybe("depthwise_activation", kActivations, 50);
  d.maybe("pointwise_activation", kActivations, 50);
}

void folding(Draw& d, std::string_view name) {
  bias_and_activation(d, name);
  d.flag("scale", 70);
  d.text("folding_mode", d.random.chance(50) ? "ema_stats_folding" : "batch_stats_folding");
}
void folded_convolution(Draw& d, std::string_view name) {
  static_cast<void>(window(d, 2, false, false));
  d.number("filters", d.random.integer(1, 6));
  d.maybe("kernel_quantizer", kWeights, 85);
  folding(d, name);
}
void folded_depthwise(Draw& d, std::string_view name) {
  static_cast<void>(window(d, 2, false, false));
  d.number("depth_multiplier", d.random.integer(1, 2));
  d.maybe("depthwise_quantizer", kWeights, 85);
  folding(d, name);
}
void folded_dense(Draw& d, std::string_view name) {
  d.inputs = {{d.random.integer(1, 40)}};
  d.number("units", d.random.integer(1, 20));
  d.maybe("kernel_quantizer", kWeights, 85);
  folding(d, name);
}

void dense(Draw& d, std::string_view name) {
  d.inputs = {d.any_shape()};
  d.inputs[0].back() = d.random.integer(1, 70);
  d.number("units", d.random.integer(1, 20));
  bias_and_activation(d, name);
  if (is_quantized(name)) d.maybe("kernel_quantizer", kWeights, 85);
}

void activation(Draw& d, std::string_view name) {
  d.inputs = {d.any_shape()};
  d.text("activation",
         is_quantized(name) ? d.random.pick(kActivations) : d.random.pick(kFunctions));
}
void adaptive(Draw& d, std::string_view) {
  d.inputs = {d.any_shape()};
  const bool relu = d.random.chance(50);
  d.text("activation", relu ? "quantized_relu" : "quantized_bits");
  d.number("total_bits", d.random.integer(2, 8));
  d.flag("symmetric", 50);
  d.flag("per_channel", 50);
  d.flag("po2_rounding", 50);
  if (relu && d.random.chance(30)) d.set("relu_neg_slope", 0.25);
}
void scale_shift(Draw& d, std::string_view) {
  d.inputs = {d.any_shape()};
  d.maybe("weight_quantizer", kWeights, 85);
  d.maybe("bias_quantizer", kBiases, 85);
  d.flag("use_bias", 70);
  d.maybe("activation", kActivations, 50);
}
void batch_normalization(Draw& d, std::string_view name) {
  d.inputs = {d.any_shape()};
  d.number("axis", d.random.chance(70) ? -1 : 1);
  d.flag("center", 70);
  d.flag("scale", 70);
  if (!is_quantized(name)) return;
  for (const char* key : {"beta_quantizer", "mean_quantizer"})
    if (d.random.chance(50)) d.maybe(key, kBiases, 60);
  constexpr const char* kPositive[] = {"quantized_relu_po2(4)", "quantized_relu(8,3)",
                                       "quantized_relu_po2(6,2048)"};
  const bool inverse = d.random.chance(25);
  for (const char* key : {"gamma_quantizer", "variance_quantizer"})
    if (inverse)
      d.none(key);
    else if (d.random.chance(50))
      d.maybe(key, kPositive, 60);
  if (inverse) d.maybe("inverse_quantizer", kPositive, 80);
}
void layer_normalization(Draw& d, std::string_view) {
  d.inputs = {d.any_shape()};
  const auto rank = static_cast<int64_t>(d.inputs[0].size());
  if (d.random.chance(50)) d.list("axis", {d.random.integer(1, rank)});
  if (rank > 1 && d.random.chance(25)) d.config.clear(), d.list("axis", {1, rank});
  d.flag("center", 70);
  d.flag("scale", 70);
}

void pooling(Draw& d, std::string_view name) {
  const int axes = axes_of(name);
  d.inputs = {d.image(axes)};
  std::vector<int64_t> size, strides;
  for (int i = 0; i < axes; ++i) {
    size.push_back(d.random.integer(1, 3));
    strides.push_back(d.random.integer(1, 3));
  }
  d.list("pool_size", size);
  if (d.random.chance(60)) d.list("strides", strides);
  d.text("padding", d.random.chance(50) ? "same" : "valid");
  d.data_format();
  if (!is_quantized(name)) return;
  d.maybe("average_quantizer", kBiases, 70);
  d.maybe("activation", kActivations, 50);
}
void global_pooling(Draw& d, std::string_view name) {
  d.inputs = {d.image(axes_of(name))};
  d.flag("keepdims", 50);
  d.masks = name == "GlobalAveragePooling1D" && d.random.chance(30);
  if (!d.masks) d.data_format();
  if (!is_quantized(name)) return;
  d.maybe("average_quantizer", kBiases, 70);
  d.maybe("activation", kActivations, 50);
}

void merge(Draw& d, std::string_view name) {
  const Extents shape = d.any_shape();
  d.inputs.assign(name == "Subtract" ? 2 : static_cast<size_t>(d.random.integer(2, 3)), shape);
  if (d.random.chance(25))  // broadcast
    for (int64_t& extent : d.inputs[d.random.chance(70) ? 1 : 0])
      if (d.random.chance(60)) extent = 1;
}
void concatenate(Draw& d, std::string_view) {
  Extents shape = d.any_shape();
  const auto axis = static_cast<size_t>(d.random.integer(0, std::ssize(shape) - 1));
  d.inputs = {shape};
  for (int64_t more = d.random.integer(1, 2); more > 0; --more) {
    shape[axis] = d.random.integer(1, 20);
    d.inputs.push_back(shape);
  }
  if (axis + 1 != shape.size() || d.random.chance(30))
    d.number("axis", static_cast<int64_t>(axis) + 1);
}
void dot(Draw& d, std::string_view) {
  const int64_t summed = d.random.integer(1, 6);
  d.inputs = {{d.random.integer(1, 4), summed}, {d.random.integer(1, 4), summed}};
  if (d.random.chance(40)) d.inputs = {{summed}, {summed}};
  d.number("axes", -1);
  d.flag("normalize", 30);
}

void shape_only(Draw& d, std::string_view name) {
  if (name == "Permute") {
    d.inputs = {{d.random.integer(1, 4), d.random.integer(1, 4), d.random.integer(1, 4)}};
    std::vector<int64_t> dims{1, 2, 3};
    for (size_t i = 2; i > 0; --i)
      std::swap(dims[i], dims[static_cast<size_t>(d.random.integer(0, static_cast<int64_t>(i)))]);
    d.list("dims", dims);
  } else if (name == "RepeatVector") {
    d.inputs = {{d.random.integer(1, 9)}};
    d.number("n", d.random.integer(1, 4));
  } else if (name == "Reshape") {
    const int64_t a = d.random.integer(1, 4), b = d.random.integer(1, 4);
    d.inputs = {{a * b, 2}};
    d.list("target_shape", {a, -1, 2 * (d.random.chance(50) ? b : 1)});
  } else {
    d.inputs = {d.any_shape()};
    if (name == "PReLU" && d.inputs[0].size() > 1 && d.random.chance(40))
      d.list("shared_axes", {d.random.integer(1, std::ssize(d.inputs[0]))});
    if (name == "Softmax")
      d.number("axis", d.random.integer(1, static_cast<int64_t>(d.inputs[0].size())));
  }
}
void sides(Draw& d, std::string_view name) {
  const int axes = axes_of(name);
  d.inputs = {d.image(axes)};
  const char* key = name.starts_with("Zero") ? "padding" : "cropping";
  if (axes == 1) return d.list(key, {d.random.integer(0, 1), d.random.integer(0, 1)});
  ConfigValue::Array each;
  for (int i = 0; i < axes; ++i) {
    ConfigValue::Array pair;
    for (int k = 0; k < 2; ++k) pair.emplace_back(d.random.integer(0, 1));
    each.emplace_back(std::move(pair));
  }
  d.set(key, std::move(each));
  d.data_format();
}
void up_sampling(Draw& d, std::string_view name) {
  const int axes = axes_of(name);
  d.inputs = {d.image(axes)};
  if (axes == 1) return d.number("size", d.random.integer(1, 3));
  d.list("size", {d.random.integer(1, 3), d.random.integer(1, 3)});
  d.text("interpolation", d.random.chance(50) ? "nearest" : "bilinear");
  d.data_format();
}
void real_parameter(Draw& d, std::string_view name) {
  d.inputs = {d.any_shape()};
  const auto real = [&](const char* key, float lo, float hi) {
    d.set(key, static_cast<double>(d.random.real(lo, hi)));
  };
  if (name == "ReLU") {
    if (d.random.chance(50)) real("max_value", 0.5F, 3);
    if (d.random.chance(50)) real("negative_slope", 0, 1);
    if (d.random.chance(50)) real("threshold", 0, 0.5F);
  } else if (name == "ThresholdedReLU") {
    real("theta", 0, 1);
  } else if (name == "Rescaling") {
    real("scale", -2, 2);
    real("offset", -2, 2);
  } else if (name == "LeakyReLU" || name == "ELU") {
    real("alpha", 0, 1);
  }
}

constexpr Maker kMakers[] = {
    {"Activation", activation},
    {"Add", merge},
    {"Average", merge},
    {"AveragePooling1D", pooling},
    {"AveragePooling2D", pooling},
    {"BatchNormalization", batch_normalization},
    {"Concatenate", concatenate},
    {"Conv1D", convolution},
    {"Conv1DTranspose", transposed},
    {"Conv2D", convolution},
    {"Conv2DTranspose", transposed},
    {"Cropping1D", sides},
    {"Cropping2D", sides},
    {"Dense", dense},
    {"DepthwiseConv2D", depthwise},
    {"Dot", dot},
    {"ELU", real_parameter},
    {"Flatten", shape_only},
    {"GlobalAveragePooling1D", global_pooling},
    {"GlobalAveragePooling2D", global_pooling},
    {"GlobalMaxPooling1D", global_pooling},
    {"GlobalMaxPooling2D", global_pooling},
    {"LayerNormalization", layer_normalization},
    {"LeakyReLU", real_parameter},
    {"MaxPooling1D", pooling},
    {"MaxPooling2D", pooling},
    {"Maximum", merge},
    {"Minimum", merge},
    {"Multiply", merge},
    {"PReLU", shape_only},
    {"Permute", shape_only},
    {"QActivation", activation},
    {"QAdaptiveActivation", adaptive},
    {"QAveragePooling2D", pooling},
    {"QBatchNormalization", batch_normalization},
    {"QConv1D", convolution},
    {"QConv2D", convolution},
    {"QConv2DBatchnorm", folded_convolution},
    {"QConv2DTranspose", transposed},
    {"QDense", dense},
    {"QDenseBatchnorm", folded_dense},
    {"QDepthwiseConv2D", depthwise},
    {"QDepthwiseConv2DBatchnorm", folded_depthwise},
    {"QDepthwiseConv2DTranspose", transposed_depthwise},
    {"QGlobalAveragePooling2D", global_pooling},
    {"QScaleShift", scale_shift},
    {"QSeparableConv1D", separable},
    {"QSeparableConv2D", separable},
    {"QSeparableConv2DTranspose", transposed_separable},
    {"ReLU", real_parameter},
    {"RepeatVector", shape_only},
    {"Rescaling", real_parameter},
    {"Reshape", shape_only},
    {"SeparableConv1D", separable},
    {"SeparableConv2D", separable},
    {"Softmax", shape_only},
    {"Subtract", merge},
    {"ThresholdedReLU", real_parameter},
    {"UpSampling1D", up_sampling},
    {"UpSampling2D", up_sampling},
    {"ZeroPadding1D", sides},
    {"ZeroPadding2D", sides},
};

/// Values that suit the variable: variances positive, counters whole.
std::vector<float> values_for(const WeightInfo& weight, Random& random) {
  std::vector<float> values(static_cast<size_t>(element_count(weight.shape)));
  for (float& v : values) {
    if (weight.name == "iteration" || weight.name == "step")
      v = -1;
    else if (weight.name == "moving_variance" || weight.name == "gamma")
      v = random.real(0.25F, 2);
    else if (weight.name == "ema_min")
      v = random.real(-3, 0);
    else if (weight.name == "ema_max")
      v = random.real(0, 3);
    else
      v = random.real(-1.2F, 1.2F);
  }
  return values;
}

/// Inputs as the file would say: [null, each, …] below TimeDistributed, [T, null, …] with time
/// first.
void change_inputs(KerasModel& model, int64_t each, bool time_major) {
  for (KerasLayer& layer : model.layers) {
    if (layer.class_name != "InputLayer") continue;
    for (auto& [key, value] : std::get<ConfigValue::Object>(layer.config.value)) {
      if (key != "batch_input_shape") continue;
      auto& extents = std::get<ConfigValue::Array>(value.value);
      if (each > 0) extents.insert(extents.begin() + 1, ConfigValue(each));
      if (time_major && extents.size() == 3) std::swap(extents[0], extents[1]);
    }
  }
}

void set_time_major(ConfigValue& config) {
  auto& object = std::get<ConfigValue::Object>(config.value);
  bool inside = false;
  for (auto& [key, value] : object) {
    if (key != "layer" && key != "backward_layer") continue;
    inside = true;
    for (auto& [part, inner] : std::get<ConfigValue::Object>(value.value))
      if (part == "config") set_time_major(inner);
  }
  if (!inside) object.emplace_back("time_major", true);
}

std::vector<Maker> all_makers() {
  std::vector<Maker> out(std::begin(kMakers), std::end(kMakers));
  const auto more = sequence_makers();
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

}  // namespace

std::vector<std::string> random_layer_classes() {
  std::vector<std::string> out;
  for (const Maker& maker : all_makers()) out.emplace_back(maker.class_name);
  return out;
}

Graph RandomLayer::graph() const {
  KerasModel model = network.description();
  if (each > 0 || time_major) change_inputs(model, each, time_major);
  for (KerasLayer& layer : model.layers) {
    if (layer.name != "t") continue;
    layer.time_distributed = each > 0;
    if (time_major) set_time_major(layer.config);
  }
  for (size_t i = 0; i < more_outputs; ++i)
    model.outputs.push_back({.layer = "t", .tensor = static_cast<int64_t>(i + 1)});
  return import_keras(model);
}

std::vector<Tensor> RandomLayer::inputs(const Graph& graph, int64_t samples, uint64_t seed) const {
  std::vector<Tensor> out = testing::random_inputs(graph, samples, seed);
  Tensor& x = out[0];
  std::vector<float> values(x.f32().begin(), x.f32().end());
  Random random(seed);
  if (rows > 0)
    for (float& v : values) v = static_cast<float>(random.integer(0, rows - 1));
  if (masks) {
    const int64_t features = x.extents().back();
    for (auto step = values.begin(); step != values.end(); step += features)
      if (random.chance(40)) std::fill_n(step, features, 0.0F);
  }
  x = Tensor(x.extents(), std::move(values));
  return out;
}

std::string random_layer_class(uint64_t seed) {
  return std::string(Random(seed).pick(all_makers()).class_name);
}

RandomLayer random_layer(uint64_t seed) {
  Draw d(seed);
  const Maker maker = d.random.pick(all_makers());
  maker.make(d, maker.class_name);
  RandomLayer out{.network = Network("random" + std::to_string(seed)),
                  .class_name = std::string(maker.class_name),
                  .text = join_text(maker.class_name, " ", ConfigValue(d.config).to_string(1000)),
                  .more_outputs = d.more_outputs,
                  .rows = d.rows,
                  .masks = d.masks,
                  .stateful = d.stateful,
                  .time_major = d.time_major};
  if (out.time_major) out.text += " with time_major";
  const bool alone = d.inputs.size() == 1 && d.rows == 0 && d.more_outputs == 0 && !d.masks &&
                     !d.stateful && !d.time_major && d.reader.first.empty();
  if (alone && d.random.chance(12)) {
    out.each = d.random.integer(1, 3);
    out.text += join_text(" at each of ", out.each);
  }
  std::vector<Symbol> inputs;
  for (size_t i = 0; i < d.inputs.size(); ++i) {
    const Extents& extents = d.inputs[i];
    Symbol x = out.network.input(extents, "x" + std::to_string(i));
    out.text += join_text(" on ", to_string(Shape(extents.begin(), extents.end())));
    if (d.rows == 0 && d.random.chance(75)) {
      const char* quantizer = d.random.pick(kActivations);
      x = out.network.add(qkeras::QActivation{quantizer}, x);
      out.text += join_text(" of ", quantizer);
    }
    if (d.masks && i == 0) {
      x = out.network.add(Layer{"Masking", {{"mask_value", 0.0}}}, x);
      out.text += " behind Masking";
    }
    inputs.push_back(x);
  }
  Symbol y = out.network.add(Layer{out.class_name, d.config}, inputs, "t");
  std::vector<std::string> layers{"t"};
  if (!d.reader.first.empty()) {
    y = out.network.add(Layer{d.reader.first, d.reader.second}, y, "reader");
    out.text +=
        join_text(", then ", d.reader.first, " ", ConfigValue(d.reader.second).to_string(1000));
    layers.emplace_back("reader");
  }
  // The mean of no time step at all is infinite, and has no code.
  const bool may_be_infinite = d.masks && out.class_name == "GlobalAveragePooling1D";
  if (!may_be_infinite && d.random.chance(50)) {
    const char* quantizer = d.random.pick(kActivations);
    y = out.network.add(qkeras::QActivation{quantizer}, y);
    out.text += join_text(", then ", quantizer);
  }
  out.network.output(y);
  for (const std::string& layer : layers)
    for (const WeightInfo& weight : out.network.weights(layer))
      out.network.set_weight(layer, weight.name, values_for(weight, d.random));
  return out;
}

}  // namespace qloom::test
