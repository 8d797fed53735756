#include "bindings/import/qtools_model.h"

#include <algorithm>
#include <unordered_map>

#include "bindings/import/assign_weights.h"
#include "bindings/import/keras_shapes.h"
#include "bindings/import/layer.h"
#include "graph/support/error.h"

namespace qloom {
namespace {

using keras::read_quantizer;

/// One entry of `get_quantizers()`.
struct QuantizerKey {
  std::string_view key, fallback = "";
  bool is_kernel = false;  ///< an unsaid alpha becomes auto_po2
};

struct QuantizerList {
  std::string_view class_name;
  std::vector<QuantizerKey> (*keys)();
};

constexpr std::string_view kDepthwise = "depthwise_quantizer";
constexpr std::string_view kBias = "bias_quantizer";

std::vector<QuantizerKey> kernel_and_bias() { return {{"kernel_quantizer", "", true}, {kBias}}; }
std::vector<QuantizerKey> depthwise_and_bias() { return {{kDepthwise, "", true}, {kBias}}; }
std::vector<QuantizerKey> separable() {
  return {{kDepthwise, "", true}, {"pointwise_quantizer", "", true}, {kBias}};
}
std::vector<QuantizerKey> recurrent() {
  return {{"kernel_quantizer", "", true},
          {"recurrent_quantizer", "", true},
          {kBias},
          {"state_quantizer"}};
}
std::vector<QuantizerKey> average() { return {{"average_quantizer"}}; }
std::vector<QuantizerKey> norm() {
  return {{"gamma_quantizer", "quantized_relu_po2(6,2048)", true},
          {"beta_quantizer", "quantized_po2(5)"},
          {"mean_quantizer", "quantized_po2(5)"},
          {"variance_quantizer", "quantized_relu_po2(6,quadratic_approximation=True)", true},
          {"inverse_quantizer"}};
}
std::vector<QuantizerKey> scale_shift() {
  return {{"weight_quantizer", "", true}, {kBias, "", true}};
}

// Source: the constructors in QKeras (`self.quantizers`).
constexpr QuantizerList kQuantizers[] = {{"QDense", kernel_and_bias},
                                         {"QConv1D", kernel_and_bias},
                                         {"QConv2D", kernel_and_bias},
                                         {"QConv2DTranspose", kernel_and_bias},
                                         {"QConv2DBatchnorm", kernel_and_bias},
                                         {"QDenseBatchnorm", kernel_and_bias},
                                         {"QDepthwiseConv2D", depthwise_and_bias},
                                         {"QDepthwiseConv2DBatchnorm", depthwise_and_bias},
                                         {"QDepthwiseConv2DTranspose", depthwise_and_bias},
                                         {"QSeparableConv1D", separable},
                                         {"QSeparableConv2D", separable},
                                         {"QSeparableConv2DTranspose", separable},
                                         {"QSimpleRNN", recurrent},
                                         {"QLSTM", recurrent},
                                         {"QGRU", recurrent},
                                         {"QAveragePooling2D", average},
                                         {"QGlobalAveragePooling2D", average},
                                         {"QBatchNormalization", norm},
                                         {"QScaleShift", scale_shift}};

// Classes whose objects have an attribute `activation`; QBatchNormalization's is never applied.
constexpr std::string_view kWithActivation[] = {"Dense",
                                                "Conv1D",
                                                "Conv2D",
                                                "DepthwiseConv2D",
                                                "SeparableConv1D",
                                                "SeparableConv2D",
                                                "Conv2DTranspose",
                                                "Conv2DBatchnorm",
                                                "DepthwiseConv2DBatchnorm",
                                                "SimpleRNN",
                                                "LSTM",
                                                "GRU",
                                                "Activation",
                                                "AveragePooling2D",
                                                "GlobalAveragePooling2D",
                                                "ScaleShift",
                                                "DenseBatchnorm"};

bool has_activation(std::string_view class_name) {
  const bool quantized = class_name.starts_with('Q');
  const std::string_view base = quantized ? class_name.substr(1) : class_name;
  if (!quantized && base.ends_with("AveragePooling2D")) return false;
  return std::ranges::find(kWithActivation, base) != std::end(kWithActivation);
}

/// Keras classes name functions of their own; what they do to numbers plays no part here.
QuantizerOrFunction activation_of(const ConfigView& config, bool quantized) {
  const ConfigView v = config["activation"];
  if (!quantized && !v.is_none() && v.value().text() != nullptr)
    return ActivationFunction{v.as_text()};
  return read_quantizer(v);
}

/// A QAdaptiveActivation's quantizer before its first call: integer bits 0.
/// Source: QKeras qkeras/qlayers.py, QAdaptiveActivation.
QuantizerOrFunction adaptive_quantizer(const ConfigView& config) {
  QuantizerOrFunction what = read_quantizer(config["activation"]);
  auto* q = std::get_if<Quantizer>(&what);
  if (q == nullptr) config["activation"].fail_expected("quantized_bits or quantized_relu");
  q->set("bits", config["total_bits"].as_positive());
  if (q->name() == "quantized_relu") q->set("negative_slope", config["relu_neg_slope"].real_or(0));
  return what;
}

Extents sizes_of(const ConfigView& v, size_t axes) {
  if (v.is_none()) return {};
  return v.value().array() != nullptr ? v.as_positives(v.size()) : v.as_positives(axes);
}

std::string to_text(const Extents& extents) {
  std::string out;
  for (const int64_t n : extents) out += (out.empty() ? "[" : ", ") + std::to_string(n);
  return out.empty() ? "[]" : out + "]";
}

class Converter {
 public:
  explicit Converter(KerasModel model) : model_(with_assigned_weights(std::move(model))) {
    for (size_t k = 0; k < model_.layers.size(); ++k) index_.emplace(model_.layers[k].name, k);
  }

  qtools::QtoolsModel run() {
    qtools::QtoolsModel out{.name = model_.name, .is_functional = model_.functional};
    out.layers.resize(model_.layers.size());
    for (const KerasCallRef& call : model_.order)
      if (call.call == 0) out.layers[call.layer] = convert(call.layer, out);
    for (const InputRef& ref : model_.inputs) out.inputs.push_back(index_.at(ref.layer));
    return out;
  }

 private:
  qtools::ModelLayer convert(size_t index, const qtools::QtoolsModel& done) {
    KerasLayer& layer = model_.layers[index];
    const ConfigView config = model_.view(layer);
    const bool quantized = layer.class_name.starts_with('Q');
    qtools::ModelLayer out{.name = layer.name,
                           .class_name = layer.time_distributed ? "TimeDistributed"
                                         : layer.pruned         ? "PruneLowMagnitude"
                                                                : layer.class_name,
                           .calls = std::ssize(layer.calls),
                           .is_nested = layer.places.size() > 1};
    for (const InputRef& ref : layer.calls.front().inputs) {
      out.inputs.push_back(index_.at(ref.layer));
      out.input_shapes.push_back(done.layers[out.inputs.back()].output_shape);
    }
    out.output_shape = keras::output_shape(model_, layer, out.input_shapes);
    if (out.class_name != layer.class_name) return out;  // QTools does not look into wrappers
    const auto* list = std::ranges::find(kQuantizers, layer.class_name, &QuantizerList::class_name);
    if (list != std::end(kQuantizers)) {
      out.quantizers.emplace();
      for (const QuantizerKey& k : list->keys()) {
        QuantizerOrFunction what = read_quantizer(config[k.key], k.fallback);
        if (auto* q = std::get_if<Quantizer>(&what); q != nullptr && k.is_kernel)
          q->set_trainable_parameter();
        out.quantizers->push_back(std::move(what));
      }
    }
    out.is_adaptive = layer.class_name == "QAdaptiveActivation";
    if (out.is_adaptive)
      out.activation = adaptive_quantizer(config);
    else if (has_activation(layer.class_name))
      out.activation = activation_of(config, quantized);
    out.use_bias = config["use_bias"].bool_or(true);
    if (layer.class_name.ends_with("BatchNormalization")) {
      out.scale = config["scale"].bool_or(true);
      out.center = config["center"].bool_or(true);
    }
    const size_t axes = out.output_shape.size() < 2 ? 0 : out.output_shape.size() - 2;
    out.kernel_size = sizes_of(config["kernel_size"], axes);
    out.pool_size = sizes_of(config["pool_size"], axes);
    add_weights(out, layer);
    if (layer.class_name == "Dot") {
      const ConfigView v = config["axes"];
      for (size_t k = 0; k < 2; ++k)
        out.dot_axes.push_back(v.value().array() != nullptr ? v[k].as_integer() : v.as_integer());
    }
    return out;
  }

  void add_weights(qtools::ModelLayer& out, KerasLayer& layer) const {
    for (KerasWeight& w : layer.weights)
      out.weights.push_back({w.shape, Tensor(w.shape, std::move(w.values))});
    const auto shapes = keras::weight_shapes(model_, layer, out.input_shapes);
    if (shapes.empty()) return;
    if (out.weights.empty())
      for (const Extents& shape : shapes) out.weights.push_back({shape, {}});
    // Rules read the kernel's axes: a file that has another kernel must not reach them.
    qloom_check(out.weights[0].shape == shapes[0], model_.describe(layer),
                ": its first weight has shape ", to_text(out.weights[0].shape), ", expected ",
                to_text(shapes[0]));
  }

  KerasModel model_;
  std::unordered_map<std::string_view, size_t> index_;
};

}  // namespace

KerasModel with_assigned_weights(KerasModel model) {
  if (model.weight_groups.empty()) return model;
  keras::assign_weights(model,
                        [](const KerasLayer& l) { return keras::has_variables(l.class_name); });
  keras::apply_pruning_masks(model);
  model.weight_groups.clear();
  return model;
}

qtools::QtoolsModel qtools_model_of(KerasModel model) { return Converter(std::move(model)).run(); }

}  // namespace qloom
