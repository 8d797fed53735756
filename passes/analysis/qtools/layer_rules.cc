#include "passes/analysis/qtools/layer_rules.h"

#include <algorithm>
#include <set>

#include "graph/support/error.h"
#include "passes/analysis/qtools/layer_classes.h"

namespace qloom::qtools {
namespace {

constexpr std::string_view kMerges[] = {"Add",     "Multiply", "Subtract",    "Average",
                                        "Maximum", "Minimum",  "Concatenate", "Dot"};
constexpr std::string_view kAverages[] = {"AveragePooling2D",  "AvgPool2D",
                                          "GlobalAvgPool2D",   "GlobalAveragePooling2D",
                                          "QAveragePooling2D", "QGlobalAveragePooling2D"};
constexpr std::string_view kActivations[] = {"QActivation", "QAdaptiveActivation", "Activation"};
constexpr std::string_view kMacs[] = {"Dense", "Conv1D", "Conv2D", "DepthwiseConv2D",
                                      "Conv2DTranspose"};
constexpr std::string_view kFolded[] = {"QConv2DBatchnorm", "QDepthwiseConv2DBatchnorm"};

template <const auto& kNames>
bool one_of(std::string_view name) {
  return std::ranges::find(kNames, name) != std::end(kNames);
}

bool passes_type(std::string_view name) {
  return is_shape_layer(name) || contains(name, "UpSampling");
}

bool is_auto_po2(const QuantizerOrFunction& what) {
  const auto* q = std::get_if<Quantizer>(&what);
  if (q == nullptr || q->name() != "quantized_bits") return false;
  const AttributeValue& alpha = q->arguments()["alpha"];
  return alpha.is_string() && alpha.as_string() == "auto_po2";
}

std::string describe(const QuantizerOrFunction& what) {
  if (const auto* q = std::get_if<Quantizer>(&what)) return q->to_string();
  if (const auto* f = std::get_if<ActivationFunction>(&what)) return f->name;
  return "none";
}

}  // namespace

bool is_merge(std::string_view layer_class) { return one_of<kMerges>(layer_class); }

bool is_multiply_accumulate(std::string_view layer_class) {
  return one_of<kMacs>(layer_class) ||
         (layer_class.starts_with('Q') && one_of<kMacs>(layer_class.substr(1)));
}

// The first that matches.
const LayerWalk::Rule LayerWalk::kRules[] = {
    {is_merge, &LayerWalk::merge_layer},
    {passes_type, &LayerWalk::shape_layer},
    {one_of<kAverages>, &LayerWalk::average_layer},
    {one_of<kActivations>, &LayerWalk::activation_layer},
    {is_batch_norm, &LayerWalk::batch_norm_layer},
    {is_multiply_accumulate, &LayerWalk::mac_layer},
    {one_of<kFolded>, &LayerWalk::folded_layer},
};

bool LayerWalk::has_no_rule(std::string_view layer_class) {
  return std::ranges::none_of(kRules, [&](const Rule& r) { return r.matches(layer_class); });
}

LayerWalk::LayerWalk(const QtoolsModel& model, const MapOptions& options, Wiring& wiring,
                     size_t layer, const Context& context)
    : model_(model),
      options_(options),
      wiring_(wiring),
      index_(layer),
      layer_(model.layers[layer]),
      context_(context) {}

LayerTypes LayerWalk::run() {
  int64_t largest = -1;
  for (const Edge* edge : wiring_.incoming(index_)) {
    if (const auto* type = std::get_if<QtoolsType>(&edge->type))
      inputs_.push_back(convert_again(*type));
    else if (const auto* declared = std::get_if<QuantizerOrFunction>(&edge->type))
      inputs_.push_back(converted(*declared));
    else
      inputs_.push_back(intermediate_type());
    if (edge->shape.elements() > largest) {
      largest = edge->shape.elements();
      input_shape_ = edge->shape;
    }
  }
  entry_ = {.layer = index_, .name = layer_.name, .class_name = layer_.class_name};
  entry_.inputs = inputs_;
  entry_.output_shape = {layer_.output_shape, false};
  entry_.operation_count = operation_count(layer_, input_shape_.extents, context_);
  const auto* rule =
      std::ranges::find_if(kRules, [&](const Rule& r) { return r.matches(layer_.class_name); });
  const QtoolsType computed = rule == std::end(kRules) ? other_layer() : (this->*rule->output)();
  const auto& declared = wiring_.declared(index_);
  if (options_.for_reference || !declared || !is_supported(*declared)) {
    wiring_.set_outgoing(index_, computed);
    entry_.output = convert_again(computed);
  } else {
    entry_.output = converted(*declared);
  }
  return std::move(entry_);
}

QtoolsType LayerWalk::intermediate_type() const { return options_.process->intermediate_type(); }

QtoolsType LayerWalk::named_or_refused(const std::string& name) const {
  if (const auto type = named_type(name)) return *type;
  context_.refuse("AssertionError", join_text("QTools has no type for ", name, "; taken as ",
                                              intermediate_type().to_string()));
  return intermediate_type();
}

QtoolsType LayerWalk::default_weight_type() const {
  return options_.keras_quantizer.empty() ? intermediate_type()
                                          : named_or_refused(options_.keras_quantizer);
}

QtoolsType LayerWalk::default_result_type() const {
  return options_.keras_accumulator.empty() ? intermediate_type()
                                            : named_or_refused(options_.keras_accumulator);
}

QtoolsType LayerWalk::converted(const QuantizerOrFunction& what) const {
  return convert(what, intermediate_type(), context_);
}

QtoolsType LayerWalk::required(const QuantizerOrFunction& what, std::string_view of) const {
  if (!is_supported(what)) {
    const QtoolsType type = unlisted_type(what).value_or(intermediate_type());
    context_.refuse(has_qkeras_text(what) ? "TagMissingError" : "UnboundLocalError",
                    join_text("QTools has no type for the ", of, " quantizer ", describe(what),
                              "; taken as ", type.to_string()));
    return type;
  }
  return converted(what);
}

Operation LayerWalk::overridden(Operation operation) const {
  operation.out = default_result_type();
  return operation;
}

const HardwareWeights* LayerWalk::hardware() const {
  if (!options_.hardware) return nullptr;
  const auto found = options_.hardware->find(layer_.name);
  return found == options_.hardware->end() ? nullptr : &found->second;
}

LearnedScale LayerWalk::scale_of(const ModelLayer& layer, size_t quantizer) const {
  const QuantizerOrFunction& what = layer.quantizer(quantizer);
  if (!is_auto_po2(what)) return {};
  if (const auto given = options_.scales.find(layer.name); given != options_.scales.end())
    return quantizer < given->second.size() ? given->second[quantizer] : LearnedScale{};
  const bool was_called = options_.scales_from_weights ||
                          (options_.is_inference && !options_.model_weights_already_quantized);
  if (!was_called || quantizer >= layer.weights.size() || !layer.weights[quantizer].value)
    return {};
  const auto scale = std::get<Quantizer>(what).forward(*layer.weights[quantizer].value).scale;
  if (!scale || scale->size() == 0) return {};
  const auto [low, high] = std::ranges::minmax(scale->f32());
  return {.known = true, .smallest = low, .largest = high};
}

int64_t LayerWalk::count_values(const ModelLayer& layer, size_t index) const {
  if (index >= layer.weights.size() || !layer.weights[index].value) {
    context_.refuse("IndexError", join_text("QTools counts values of weight ", index,
                                            ", which the layer does not have; not counted"));
    return -1;
  }
  Tensor values = *layer.weights[index].value;
  if (!options_.model_weights_already_quantized)
    if (const auto* q = std::get_if<Quantizer>(&layer.quantizer(index)))
      values = q->forward(values).y;
  return std::ssize(std::set<float>(values.f32().begin(), values.f32().end()));
}

void LayerWalk::put_weights(const QtoolsType& weight, const std::optional<QtoolsType>& bias) {
  const Extents& shape = layer_.weights.at(0).shape;
  entry_.parts.push_back({"weight_quantizer", weight, {}, shape});
  // QTools takes the last axis of the kernel for the length of the bias.
  if (bias) entry_.parts.push_back({"bias_quantizer", *bias, {}, Extents{shape.back()}, true});
}

QtoolsType LayerWalk::merge_layer() {
  int64_t dot_terms = 1;
  if (!layer_.dot_axes.empty() && !layer_.input_shapes.empty()) {
    const Extents& shape = layer_.input_shapes.front();
    const int64_t axis = layer_.dot_axes.front();
    dot_terms = shape.at(static_cast<size_t>(axis < 0 ? axis + std::ssize(shape) : axis));
  }
  Operation merged = merge(layer_.class_name, inputs_, context_, dot_terms);
  if (options_.for_reference) merged = overridden(merged);
  put(layer_.class_name + "_quantizer", merged);
  return merged.out;
}

QtoolsType LayerWalk::shape_layer() { return inputs_.at(0); }

QtoolsType LayerWalk::average_layer() {
  const bool quantized = layer_.class_name.starts_with('Q');
  Extents window = layer_.pool_size;
  // Global: all positions of the input; a wrapped shape has none.
  if (window.empty() && !input_shape_.is_list)
    window.assign(input_shape_.extents.begin() + 1, input_shape_.extents.end() - 1);
  window.insert(window.end(), {1, 1});
  Operation sum = accumulate(window, inputs_.at(0), false);
  std::optional<Operation> average;
  if (quantized) {
    const QtoolsType type = converted(layer_.quantizer(0));
    put("average_quantizer", type);
    average = multiply(sum.out, type);
  }
  if (options_.for_reference) {
    sum = overridden(sum);
    if (average) average = overridden(*average);
  }
  put("pool_sum_accumulator", sum);
  if (!average) return sum.out;
  put("pool_avg_multiplier", *average);
  return average->out;
}

QtoolsType LayerWalk::activation_layer() {
  if (options_.for_reference || !layer_.class_name.starts_with('Q')) return default_result_type();
  return required(layer_.activation.value_or(QuantizerOrFunction()), "activation");
}

BatchNormTypes LayerWalk::batch_norm_types(const ModelLayer& norm) const {
  BatchNormTypes types;
  if (is_plain(norm)) {
    const QtoolsType t = default_weight_type();
    types = {t, t, t, t, t};
  } else {
    const auto or_input = [&](size_t index) {
      const QuantizerOrFunction& q = norm.quantizer(index);
      return std::holds_alternative<std::monostate>(q) ? inputs_.at(0) : converted(q);
    };
    types = {converted(norm.quantizer(0)), or_input(1), or_input(2), converted(norm.quantizer(3)),
             converted(norm.quantizer(4))};
  }
  if (options_.is_inference) {
    const size_t variance = 4 - (norm.scale ? 0 : 1) - (norm.center ? 0 : 1) - 1;
    if (norm.scale && types.gamma.is_po2()) types.gamma.value_count = count_values(norm, 0);
    if (types.variance.is_po2()) types.variance.value_count = count_values(norm, variance);
  }
  return types;
}

QtoolsType LayerWalk::passed_or_default() const {
  const bool is_default =
      options_.for_reference && !options_.keras_accumulator.empty() && !wiring_.is_first(index_);
  return is_default ? default_result_type() : inputs_.at(0);
}

QtoolsType LayerWalk::batch_norm_layer() {
  entry_.output_shape = input_shape_;
  if (options_.hardware) {
    if (hardware() == nullptr)
      context_.refuse("KeyError",
                      "QTools wants every batch normalisation in the hardware dictionary; taken as "
                      "not merged with the layer before");
    else if (hardware()->enable_bn_fusing)
      return passed_or_default();
  }
  const BatchNormTypes types = batch_norm_types(layer_);
  BatchNorm norm = batch_norm(inputs_.at(0), types, layer_.scale, layer_.center, context_);
  if (is_plain()) {
    norm.divider = overridden(norm.divider);
    if (norm.multiplier) norm.multiplier = overridden(*norm.multiplier);
    if (norm.accumulator) norm.accumulator = overridden(*norm.accumulator);
  }
  // All four, also those that scale and center leave out.
  put("gamma_quantizer", types.gamma);
  put("beta_quantizer", types.beta);
  put("mean_quantizer", types.mean);
  put("variance_quantizer", types.variance);
  put("internal_divide_quantizer", norm.divider);
  if (norm.multiplier) put("internal_multiplier", *norm.multiplier);
  if (norm.accumulator) put("internal_accumulator", *norm.accumulator);
  return norm.output();
}

QtoolsType LayerWalk::mac_layer() {
  const bool plain = is_plain();
  const QuantizerOrFunction& kernel_quantizer = layer_.quantizer(0);
  QtoolsType weight = plain ? default_weight_type() : required(kernel_quantizer, "weight");
  QtoolsType bias_type = plain ? default_weight_type() : required(layer_.quantizer(1), "bias");
  if (options_.is_inference) {
    if (weight.is_po2()) weight.value_count = count_values(layer_, 0);
    if (bias_type.is_po2()) bias_type.value_count = count_values(layer_, 1);
  }
  const bool is_merged = hardware() != nullptr && hardware()->enable_bn_fusing;
  const bool has_scale = !plain && is_auto_po2(kernel_quantizer);
  Operation product = multiply(weight, inputs_.at(0));
  const Operation scaled =
      has_scale ? adjust_for_scale(product, scale_of(layer_, 0), context_) : product;
  if (is_merged && !plain) product = scaled;

  Extents kernel = layer_.weights.at(0).shape;
  if (is_depthwise(layer_.class_name)) {
    if (has_scale && !is_merged && kernel.back() != 1)
      context_.refuse("AssertionError",
                      join_text("QTools knows auto_po2 of a depthwise kernel only with a depth "
                                "multiplier of 1, found ",
                                kernel.back(), "; taken alike"));
    kernel[kernel.size() - 2] = kernel.back() = 1;
  }
  const auto with_bias = [&](const Operation& sum) {
    return layer_.use_bias ? add(sum.out, bias_type) : sum;
  };
  Operation kernel_sum = accumulate(kernel, product.out, false);
  Operation sum = with_bias(kernel_sum);
  const std::optional<QtoolsType> bias = layer_.use_bias ? std::optional(bias_type) : std::nullopt;
  Operation fused_sum = sum;
  if (has_scale && !is_merged) fused_sum = with_bias(accumulate(kernel, scaled.out, false));
  if (plain) {
    // Without a bias QTools has one object for both sums.
    if (!layer_.use_bias) kernel_sum = overridden(kernel_sum);
    product = overridden(product);
    sum = fused_sum = overridden(sum);
  }

  QtoolsType output = sum.out;
  put_weights(weight, bias);
  put("multiplier", product);
  put("accumulator", sum);
  if (is_merged) {
    const std::vector<size_t> readers = wiring_.readers(index_);
    const bool found =
        !readers.empty() && model_.layers[readers[0]].name == hardware()->fused_bn_layer_name;
    if (!found)
      context_.refuse("AssertionError",
                      join_text("the layer after it is not '", hardware()->fused_bn_layer_name,
                                "', which the hardware dictionary names"));
    if (found) {
      const ModelLayer& norm = model_.layers[readers[0]];
      FusedBatchNorm fused{.sum = kernel_sum.out,
                           .bias = bias,
                           .types = batch_norm_types(norm),
                           .use_beta = norm.center,
                           .inverse_scale = scale_of(norm, 4)};
      fused_sum = fuse_batch_norm(fused, context_);
      if (plain) fused_sum = overridden(fused_sum);
      put("bn_beta_quantizer", fused.types.beta);
      put("bn_mean_quantizer", fused.types.mean);
      put("bn_inverse_quantizer", fused.types.inverse);
      output = fused_sum.out;
    }
  }
  put("fused_accumulator", fused_sum);
  return output;
}

QtoolsType LayerWalk::folded_layer() {
  const bool plain = is_plain();
  QtoolsType weight = plain ? default_weight_type() : required(layer_.quantizer(0), "weight");
  std::optional<QtoolsType> bias;
  if (plain)
    bias = default_weight_type();
  else if (!std::holds_alternative<std::monostate>(layer_.quantizer(1)))
    bias = required(layer_.quantizer(1), "bias");
  if (options_.is_inference) {
    if (!options_.model_weights_already_quantized)
      context_.refuse("IndexError",
                      "QTools looks for a quantizer for each weight, and a folded layer has more "
                      "weights; counted where there is one");
    if (weight.is_po2()) weight.value_count = count_values(layer_, 0);
    if (bias && bias->is_po2()) bias->value_count = count_values(layer_, 1);
  }
  Operation product = multiply(weight, inputs_.at(0));
  if (!plain) product = adjust_for_scale(product, scale_of(layer_, 0), context_);
  // The bias is one more term of the sum, whatever its width.
  Operation sum = accumulate(layer_.weights.at(0).shape, product.out, bias.has_value());
  if (!bias) {
    bias = sum.out;
    if (!sum.out.is_float()) {
      ++sum.out.bits;
      ++sum.out.int_bits;
    }
  }
  if (plain) {
    product = overridden(product);
    sum = overridden(sum);
  }
  put_weights(weight, bias);
  put("multiplier", product);
  put("accumulator", sum);
  return sum.out;
}

QtoolsType LayerWalk::other_layer() { return passed_or_default(); }

}  // namespace qloom::qtools
