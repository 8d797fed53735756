#include "passes/analysis/qtools/estimate.h"

#include <algorithm>
#include <cmath>

#include "graph/support/error.h"
#include "passes/analysis/qtools/data_map.h"

namespace qloom::qtools {
namespace {

constexpr std::string_view kAccumulated[] = {"QDense", "QConv1D", "QConv2D", "QDepthwiseConv2D"};
constexpr std::string_view kAverages[] = {"QAveragePooling2D", "QGlobalAveragePooling2D"};
constexpr std::string_view kFolded[] = {"QConv2DBatchnorm", "QDepthwiseConv2DBatchnorm"};
// QKeras's list names more classes; the others have no quantizers and are passed over.
constexpr std::string_view kSparse[] = {
    "QDense",     "QConv1D", "QConv2D", "QDepthwiseConv2D", "QSeparableConv1D", "QSeparableConv2D",
    "QSimpleRNN", "QLSTM",   "QGRU",    "QConv2DTranspose"};

bool one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// Rows: weights. Columns: input.
constexpr std::string_view kOperations[kModes][kModes] = {
    {"mult", "barrel", "mux", "mux", "mux", "fmult"},
    {"barrel", "adder", "mux", "xor", "mux", "fmult"},
    {"mux", "mux", "mux", "mux", "xor", "fmult"},
    {"mux", "xor", "mux", "xor", "xor", "fmult"},
    {"mux", "mux", "xor", "xor", "xor", "fmult"},
    {"fmult", "fmult", "fmult", "fmult", "fmult", "fmult"}};

/// A quantizer class: fixed widths, or (0) its own.
struct ModeRule {
  std::string_view class_name;
  int mode;
  int64_t bits;
  bool is_signed;
  int mode_at_special = -1;  ///< with `special_bits` bits and 1 integer bit
  int64_t special_bits = 0;
};
constexpr ModeRule kModeRules[] = {{"quantized_bits", 0, 0, true, 2, 2},
                                   {"quantized_ulaw", 0, 0, true, 2, 2},
                                   {"quantized_tanh", 0, 0, true, 2, 2},
                                   {"quantized_relu", 0, 0, false, 4, 1},
                                   {"quantized_po2", 1, 0, true},
                                   {"quantized_relu_po2", 1, 0, false},
                                   {"ternary", 2, 2, true},
                                   {"stochastic_ternary", 2, 2, true},
                                   {"binary", 3, 1, true},
                                   {"stochastic_binary", 3, 1, true},
                                   {"bernoulli", 4, 1, false}};

EstimatedType mode_of(const QuantizerOrFunction& what, const Context& context) {
  if (std::holds_alternative<std::monostate>(what)) return {};
  const auto* f = std::get_if<ActivationFunction>(&what);
  if (f != nullptr && f->name == "linear") return {};
  const auto* q = std::get_if<Quantizer>(&what);
  const auto* rule = q == nullptr ? std::end(kModeRules)
                                  : std::ranges::find(kModeRules, q->name(), &ModeRule::class_name);
  if (rule == std::end(kModeRules)) {
    // A quantized_hswish has no text for the message either, for another reason.
    const bool is_hswish = q != nullptr && q->name() == "quantized_hswish";
    context.refuse(is_hswish               ? "AssertionError"
                   : has_qkeras_text(what) ? "ValueError"
                                           : "UnboundLocalError",
                   join_text(q != nullptr ? std::string(q->name()) : f->name,
                             " is unknown to these statistics; taken as float or signed bits"));
    const AttributeValue* bits = q == nullptr ? nullptr : q->arguments().find("bits");
    return bits == nullptr ? EstimatedType{} : EstimatedType{0, bits->as_integer(), true};
  }
  const Attributes& a = q->arguments();
  EstimatedType t{rule->mode, rule->bits, rule->is_signed};
  if (rule->bits == 0) t.bits = a["bits"].as_integer();
  if (t.bits == rule->special_bits) {
    const AttributeValue* integer = a.find("integer");
    if (integer == nullptr)
      context.refuse("AttributeError", "a quantized_tanh has no integer bits; taken as 0");
    else if (integer->as_integer() == 1)
      t.mode = rule->mode_at_special;
  }
  return t;
}

/// Which layers are counted, and how.
struct CountedClass {
  std::string_view class_name;
  int64_t kernels = 1;
  bool is_depthwise = false;  ///< the first kernel has one filter a channel
  bool is_dense = false;
};
constexpr CountedClass kCounted[] = {{"QDense", 1, false, true},
                                     {"QConv2D"},
                                     {"QConv1D"},
                                     {"QDepthwiseConv2D", 1, true},
                                     {"QSeparableConv1D", 2, true},
                                     {"QSeparableConv2D", 2, true}};

/// The one axis that is longer than 1.
int64_t only_extent(const Extents& shape, const Context& context) {
  if (std::count_if(shape.begin() + 1, shape.end(), [](int64_t n) { return n > 1; }) != 1)
    context.refuse("AssertionError",
                   "QKeras counts a dense layer only where exactly one axis of input and output "
                   "is longer than 1; the longest is taken");
  return *std::max_element(shape.begin() + 1, shape.end());
}

void count(LayerEstimate& out, const ModelLayer& layer, const CountedClass& kind,
           const Context& context) {
  const Extents& in = layer.input_shapes.at(0);
  const Extents& result = layer.output_shape;
  if (kind.is_dense) {
    out.operations = checked_product({only_extent(in, context), only_extent(result, context)});
    out.weight_counts = {out.operations};
  } else {
    const int64_t window = checked_product(std::span(layer.kernel_size));
    const int64_t cin = in.back(), cout = result.back();
    const int64_t positions = checked_product(std::span(result).subspan(1, result.size() - 2));
    if (!kind.is_depthwise) {
      out.operations = checked_product({window, positions, cin, cout});
      out.weight_counts = {checked_product({window, cin, cout})};
    } else {
      out.operations = checked_product({window, positions, cin});
      out.weight_counts = {checked_product({window, cin})};
      // The pointwise part of a separable layer, with its input channels forgotten; a depthwise
      // layer alone counts each filter for every output channel.
      if (kind.kernels == 2) out.operations += checked_product({positions, cout});
      if (kind.kernels == 2)
        out.weight_counts.push_back(checked_product({cout, cin}));
      else
        out.weight_counts[0] = checked_product({out.weight_counts[0], cout});
    }
  }
  const auto bias = static_cast<size_t>(kind.kernels);
  if (layer.weights.size() > bias) out.bias_count = element_count(layer.weights[bias].shape);
}

/// What passes from layer to layer: the quantizer of each layer's output.
std::vector<QuantizerOrFunction> passed_quantizers(const QtoolsModel& model) {
  static const QuantizerOrFunction kInput = parse_quantizer("quantized_relu(8, 0)");
  constexpr std::string_view kOwn[] = {"QActivation", "QAdaptiveActivation", "QDense", "QConv2D",
                                       "QConv1D",     "QDepthwiseConv2D"};
  std::vector<QuantizerOrFunction> out(model.layers.size());
  for (size_t k = 0; k < model.layers.size(); ++k) {
    const ModelLayer& l = model.layers[k];
    if (one_of(kOwn, l.class_name))
      out[k] = l.activation.value_or(QuantizerOrFunction());
    else
      out[k] = l.inputs.empty() ? kInput : out[l.inputs.front()];
  }
  return out;
}

const ModelLayer* find_layer(const QtoolsModel& model, std::string_view name) {
  const auto found = std::ranges::find(model.layers, name, &ModelLayer::name);
  return found == model.layers.end() ? nullptr : &*found;
}

bool draws_at_random(const ModelLayer& layer) {
  return layer.quantizers &&
         std::ranges::any_of(*layer.quantizers, [](const QuantizerOrFunction& what) {
           const auto* q = std::get_if<Quantizer>(&what);
           return q != nullptr && q->name() == "bernoulli";
         });
}

/// Sums of the positive and the negative weights of one output channel, its bias included.
std::pair<double, double> worst_sums(const Tensor& kernel, const Tensor* bias, int64_t channel) {
  const int64_t channels = kernel.extents().back();
  double positive = 0, negative = 0;
  const auto add = [&](double w) { (w > 0 ? positive : negative) += w; };
  for (int64_t i = channel; i < kernel.size(); i += channels)
    add(static_cast<double>(kernel.f32()[static_cast<size_t>(i)]));
  if (bias != nullptr && channel < bias->size())
    add(static_cast<double>(bias->f32()[static_cast<size_t>(channel)]));
  return {positive, negative};
}

}  // namespace

std::string LayerEstimate::operation_name() const {
  const bool is_signed = input.is_signed || weights[0].is_signed;
  return join_text(is_signed ? "s" : "u", operation, "_", weights[0].bits, "_", input.bits);
}

std::map<std::string, int64_t> Estimate::operation_totals() const {
  std::map<std::string, int64_t> out;
  for (const LayerEstimate& l : layers)
    if (l.operations > 0) out[l.operation_name()] += l.operations;
  return out;
}

int64_t Estimate::weight_bits() const {
  int64_t bits = 0;
  for (const LayerEstimate& l : layers) {
    for (size_t k = 0; k < l.weights.size(); ++k)
      bits += checked_product({l.weight_counts[k], l.weights[k].bits});
    bits += checked_product({l.bias_count, l.bias.bits});
  }
  return bits;
}

Estimate estimate_operations(const QtoolsModel& model) {
  Estimate out;
  const std::vector<QuantizerOrFunction> passed = passed_quantizers(model);
  for (const ModelLayer& l : model.layers) {
    const auto* kind = std::ranges::find(kCounted, l.class_name, &CountedClass::class_name);
    if (kind == std::end(kCounted)) continue;
    const Context context{out.refusals, l.name};
    LayerEstimate e;
    e.name = l.name;
    count(e, l, *kind, context);
    const auto kernels = static_cast<size_t>(kind->kernels);
    for (size_t k = 0; k < kernels; ++k) e.weights.push_back(mode_of(l.quantizer(k), context));
    e.bias = mode_of(l.quantizer(kernels), context);
    e.input = mode_of(passed[l.inputs.at(0)], context);
    e.operation = kOperations[e.weights[0].mode][e.input.mode];
    out.layers.push_back(std::move(e));
  }
  return out;
}

Sparsity sparsity_of(const QtoolsModel& model, const QtoolsModel& unfolded) {
  Sparsity out;
  int64_t all = 0, all_zeros = 0;
  for (const ModelLayer& layer : model.layers) {
    if (one_of(kAverages, layer.class_name) &&
        std::holds_alternative<std::monostate>(layer.quantizer(0)))
      Context{out.refusals, layer.name}.refuse(
          "TypeError",
          "QKeras quantizes the reciprocal of the pool's area, for which there is no "
          "quantizer; the area has no part in this");
    const bool folded = one_of(kFolded, layer.class_name);
    if (!folded && !one_of(kSparse, layer.class_name)) continue;
    const ModelLayer& l = folded ? *find_layer(unfolded, layer.name) : layer;
    if (draws_at_random(layer)) {
      out.random.push_back(layer.name);
      continue;
    }
    int64_t count = 0, zeros = 0;
    for (size_t k = 0; k < l.weights.size(); ++k) {
      if (!l.weights[k].value) continue;
      Tensor values = *l.weights[k].value;
      const auto* q = std::get_if<Quantizer>(&l.quantizer(k));
      if (q != nullptr && !folded) values = q->forward(values).y;
      count += values.size();
      zeros += std::ranges::count(values.f32(), 0.0F);
    }
    if (count == 0) continue;
    out.layers.emplace_back(l.name, static_cast<double>(zeros) / static_cast<double>(count));
    all += count;
    all_zeros += zeros;
  }
  if (all > 0) out.total = static_cast<double>(all_zeros) / static_cast<double>(all);
  return out;
}

bool has_analyzed_accumulator(std::string_view layer_class) {
  return one_of(kAccumulated, layer_class);
}

InputRanges same_range(const QtoolsModel& unfolded, double low, double high) {
  InputRanges out;
  for (const ModelLayer& l : unfolded.layers)
    if (has_analyzed_accumulator(l.class_name)) out[l.name] = {low, high};
  return out;
}

AccumulatorBits analyze_accumulator(const QtoolsModel& model, const InputRanges& ranges) {
  AccumulatorBits out;
  for (const ModelLayer& l : model.layers) {
    if (!has_analyzed_accumulator(l.class_name)) continue;
    const Context context{out.refusals, l.name};
    const auto range = ranges.find(l.name);
    qloom_check(range != ranges.end(), "layer '", l.name, "': no range of its input is given");
    qloom_check(!l.weights.empty() && l.weights[0].value, "layer '", l.name, "' has no weights");
    const auto [low, high] = range->second;
    const Tensor& kernel = *l.weights[0].value;
    const Tensor* bias =
        l.use_bias && l.weights.size() > 1 && l.weights[1].value ? &*l.weights[1].value : nullptr;
    int64_t channels = kernel.extents()[1];
    if (channels > kernel.extents().back()) {
      context.refuse("IndexError",
                     join_text("QKeras looks for ", channels, " output channels, the kernel has ",
                               kernel.extents().back(), "; all of these are looked at"));
      channels = kernel.extents().back();
    }
    double worst = -INFINITY;
    for (int64_t c = 0; c < channels; ++c) {
      const auto [positive, negative] = worst_sums(kernel, bias, c);
      const double up = std::max(high, 0.0), down = std::min(low, 0.0);
      worst =
          std::max({worst, positive * up + negative * down, -(negative * up + positive * down)});
    }
    if (worst <= 0) {
      context.refuse("OverflowError", "all sums are zero, which has no logarithm; taken as 0 bits");
      out.layers[l.name] = 0;
    } else {
      out.layers[l.name] = static_cast<int64_t>(std::ceil(std::log2(worst)));
    }
  }
  return out;
}

}  // namespace qloom::qtools
