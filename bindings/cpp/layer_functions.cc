#include "bindings/cpp/layer_functions.h"

#include "bindings/cpp/composite_layers.h"
#include "graph/support/error.h"

// Source: QKeras qkeras/qconvolutional.py (QMobileNetSeparableConv2D), qkeras/qoctave.py.

namespace qloom::qkeras {
namespace {

bool is_given(const QuantizerArgument& a) {
  return a.config() && !std::holds_alternative<std::monostate>(a.config()->value);
}

/// "quantized_relu(4,2)" → "qr42": what QKeras appends to names. Numbers of several digits end in
/// an underscore.
std::string suffix_of(const std::string& activation) {
  const auto has = [&](std::string_view part) {
    return activation.find(part) != std::string::npos;
  };
  if (activation.empty()) return "linear";
  if (has("po2")) return "q2";
  std::string out = has("quantized_relu") ? "qr" : has("quantized_tanh") ? "qt" : "qb";
  const auto is_digit = [&](size_t i) {
    return i < activation.size() && activation[i] >= '0' && activation[i] <= '9';
  };
  for (size_t i = 0; i < activation.size(); ++i) {
    if (!is_digit(i)) continue;
    size_t end = i;
    while (is_digit(end)) ++end;
    out += activation.substr(i, end - i) + (end - i > 1 ? "_" : "");
    i = end;
  }
  return out;
}

/// One call of QOctaveConv2D.
class OctaveBuilder {
 public:
  OctaveBuilder(const QOctaveConv2D& of, Network& network, const std::string& name,
                std::source_location where)
      : of_(of), network_(network), name_(name), where_(where) {}

  Octaves build(const Octaves& x) {
    if (of_.alpha == -1) return {end(x), std::nullopt};
    qloom_check(of_.alpha >= 0 && of_.alpha <= 1, where_.file_name(), ":", where_.line(), ": '",
                name_, "' (QOctaveConv2D): alpha is ", of_.alpha, ", expected 0 to 1, or -1");
    const auto high = static_cast<int64_t>(static_cast<double>(of_.filters) * (1 - of_.alpha));
    const int64_t low = of_.filters - high;
    std::optional<Symbol> h_to_h, h_to_l, l_to_h, l_to_l;
    if (high > 0 && x.high) h_to_h = accumulated(convolved(*x.high, high, "h_to_h"), "h_to_h");
    if (low > 0 && x.high) {
      const QAveragePooling2D half{
          .pool_size = 2, .strides = 2, .average_quantizer = of_.pooling_quantizer};
      h_to_l = accumulated(convolved(add(half, *x.high, "_avg_h_to_l"), low, "h_to_l"), "h_to_l");
    }
    if (high > 0 && x.low) l_to_h = to_high(*x.low, high);
    // QKeras quantizes both kernels of this one as depthwise.
    if (low > 0 && x.low)
      l_to_l = accumulated(convolved(*x.low, low, "l_to_l", &of_.depthwise_quantizer), "l_to_l");
    const auto high_sum = sum(h_to_h, l_to_h, "_a_h"), low_sum = sum(l_to_l, h_to_l, "_a_l");
    const auto high_out = shown(high_sum, "_h_act");
    return {high_out, shown(low_sum, "_l_act")};
  }

 private:
  template <LayerStruct L>
  Symbol add(const L& layer, const Symbols& x, const std::string& suffix) {
    return network_.add(layer, x, name_ + suffix, where_);
  }

  std::optional<Symbol> end(const Octaves& x) {
    qloom_check(x.high.has_value(), where_.file_name(), ":", where_.line(), ": '", name_,
                "' (QOctaveConv2D): with alpha -1 it needs high frequencies");
    const Symbol y = convolved(*x.high, of_.filters, "h_to_h");
    return shown(y, "_c_h_to_h_act");
  }

  Symbol plain(const Symbol& x, int64_t filters, const std::string& way, bool pointwise) {
    const QConv2D conv{.filters = filters,
                       .kernel_size = pointwise ? Sizes(1) : of_.kernel_size,
                       .strides = pointwise ? Sizes(1) : of_.strides,
                       .padding = pointwise ? "same" : of_.padding,
                       .kernel_quantizer = of_.kernel_quantizer,
                       .bias_quantizer = of_.bias_quantizer};
    return add(conv, x, "_c_" + way);
  }

  Symbol convolved(const Symbol& x, int64_t filters, const std::string& way,
                   const QuantizerArgument* pointwise = nullptr) {
    if (!of_.use_separable) return plain(x, filters, way, false);
    const QSeparableConv2D conv{
        .filters = filters,
        .kernel_size = of_.kernel_size,
        .strides = of_.strides,
        .padding = of_.padding,
        .depthwise_quantizer = of_.depthwise_quantizer,
        .pointwise_quantizer = pointwise != nullptr ? *pointwise : of_.pointwise_quantizer,
        .bias_quantizer = of_.bias_quantizer};
    return add(conv, x, "_c_" + way);
  }

  Symbol accumulated(const Symbol& x, const std::string& way) {
    if (of_.acc_quantizer.empty()) return x;
    return add(QActivation{of_.acc_quantizer}, x,
               "_c_" + way + "_act_" + suffix_of(of_.acc_quantizer));
  }

  Symbol to_high(const Symbol& low, int64_t filters) {
    const Shape& shape = low.shape();
    const bool pixel = shape[1] == Dim(1) && shape[2] == Dim(1);
    const Symbol y = accumulated(
        pixel ? plain(low, filters, "l_to_h", true) : convolved(low, filters, "l_to_h"), "l_to_h");
    return pixel ? y : add(UpSampling2D{.size = 2}, y, "_u_l_to_h");
  }

  std::optional<Symbol> sum(const std::optional<Symbol>& a, const std::optional<Symbol>& b,
                            const std::string& suffix) {
    if (a && b) return add(Add{}, {*a, *b}, suffix);
    return a ? a : b;
  }

  std::optional<Symbol> shown(const std::optional<Symbol>& x, const std::string& suffix) {
    if (!x || of_.activation.empty()) return x;
    return add(QActivation{of_.activation}, *x, suffix + "_" + suffix_of(of_.activation));
  }

  const QOctaveConv2D& of_;
  Network& network_;
  const std::string& name_;
  std::source_location where_;
};

}  // namespace

Symbol QMobileNetSeparableConv2D::operator()(Network& network, const Symbol& x,
                                             const std::string& name,
                                             std::source_location where) const {
  const auto pointwise = [&](const Symbol& of) {
    const QConv2D conv{.filters = filters,
                       .kernel_size = 1,
                       .strides = 1,
                       .padding = "same",
                       .use_bias = use_bias,
                       .kernel_quantizer = pointwise_quantizer,
                       .bias_quantizer = bias_quantizer};
    return network.add(conv, of, name + "_pw", where);
  };
  const auto between = [&](Symbol y) {
    if (is_given(depthwise_activation))
      y = network.add(QActivation{depthwise_activation}, y, name + "_dw_act", where);
    if (depthwise_dropout_rate > 0)
      y = network.add(Dropout{.rate = depthwise_dropout_rate}, y, name + "_dw_dropout", where);
    return y;
  };
  const QDepthwiseConv2D depthwise{.kernel_size = kernel_size,
                                   .strides = strides,
                                   .padding = padding,
                                   .depth_multiplier = depth_multiplier,
                                   .dilation_rate = dilation_rate,
                                   .use_bias = false,
                                   .depthwise_quantizer = depthwise_quantizer};
  Symbol y = pw_first ? between(pointwise(x)) : x;
  y = network.add(depthwise, y, name + "_dw", where);
  if (!pw_first) y = pointwise(between(y));
  // Text such as "quantized_relu(4,1)" is no name that Keras's Activation knows; QKeras's users
  // hand it the quantizer itself, which computes the same.
  if (is_given(activation)) y = network.add(QActivation{activation}, y, name + "_pw_act", where);
  return y;
}

Octaves QOctaveConv2D::operator()(Network& network, const Octaves& x, const std::string& name,
                                  std::source_location where) const {
  return OctaveBuilder(*this, network, name, where).build(x);
}

}  // namespace qloom::qkeras
