// bindings/cpp/layer_functions.h: what QKeras has as functions that add several layers to a
// network. The layers have QKeras's names, so that weights of its files are found.
//
//   Symbol y = QMobileNetSeparableConv2D{.filters = 16, .kernel_size = 3,
//                                        .pointwise_quantizer = "ternary()"}(net, x, "block1");
#pragma once

#include <optional>
#include <source_location>
#include <string>

#include "bindings/cpp/layers.h"
#include "bindings/cpp/network.h"

namespace qloom::qkeras {

/// A depthwise convolution without bias, then one of 1 × 1 (or the other way round): layers
/// NAME_dw, NAME_dw_act, NAME_dw_dropout, NAME_pw, NAME_pw_act, those that are asked for.
struct QMobileNetSeparableConv2D {
  int64_t filters = 0;
  Sizes kernel_size = {};
  Sizes strides = 1;
  std::string padding = "valid";
  Sizes dilation_rate = 1;
  int64_t depth_multiplier = 1;
  QuantizerArgument activation = {};
  bool use_bias = true;
  QuantizerArgument depthwise_quantizer = {};
  QuantizerArgument pointwise_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  QuantizerArgument depthwise_activation = {};
  double depthwise_dropout_rate = 0;
  bool pw_first = false;

  Symbol operator()(Network& network, const Symbol& x, const std::string& name,
                    std::source_location where = std::source_location::current()) const;
};

/// High and low frequencies: the low ones have half the height and width. One of both may be
/// missing.
struct Octaves {
  std::optional<Symbol> high, low;
};

/// Convolutions within and between high and low frequencies. `alpha`: the share of filters that are
/// low; -1: high ones only, without exchange (the end of a network). Layers NAME_c_h_to_h,
/// NAME_avg_h_to_l, NAME_c_h_to_l, NAME_c_l_to_h, NAME_u_l_to_h, NAME_c_l_to_l, NAME_a_h, NAME_a_l,
/// and quantizers with QKeras's suffixes.
struct QOctaveConv2D {
  int64_t filters = 0;
  Sizes kernel_size = {};
  double alpha = 0.5;
  Sizes strides = 1;
  std::string padding = "valid";
  bool use_separable = true;
  QuantizerArgument kernel_quantizer = {};
  QuantizerArgument depthwise_quantizer = {};
  QuantizerArgument pointwise_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  std::string acc_quantizer = {};  ///< as text: layers are called after it
  QuantizerArgument pooling_quantizer = {};
  std::string activation = {};  ///< as text, likewise

  Octaves operator()(Network& network, const Octaves& x, const std::string& name,
                     std::source_location where = std::source_location::current()) const;
};

}  // namespace qloom::qkeras
