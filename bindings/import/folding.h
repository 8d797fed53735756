// bindings/import/folding.h: a batch normalization folded into the kernel before it that is
// quantized: what the folded layers share. K kernel, b bias or 0, statistics per output channel:
//
//   inference     y = act(conv(x, q_K(K·inv)) + q_b((b - mean)·inv + beta))
//                 inv = gamma / sqrt(variance + epsilon), from the moving statistics
//
//   training      y0 = conv(x, K) + b, not quantized; μ, v its mean and variance over the batch
//                 The moving statistics follow μ and v for ema_freeze_delay + 2 steps ("following";
//                 for ever where the delay is null or negative). Then, with the new ones:
//   ema_stats_folding    kernel by the moving variance; the sum times
//                        sqrt(moving + epsilon)/sqrt(v + epsilon), bias from μ and v, while
//                        following
//   batch_stats_folding  kernel and bias by μ and v while following
//
// Weights alone are folded when the graph is built: at inference an ordinary convolution is left.
// Source: QKeras qkeras/qconv2d_batchnorm.py, qdepthwiseconv2d_batchnorm.py; qkeras-v3
// qdense_batchnorm.py.
#pragma once

#include <array>

#include "bindings/import/layer.h"

namespace qloom::keras {

/// What multiplies the input, before it is folded.
struct FoldedProduct {
  Extents kernel;        ///< extents of the stored kernel
  Extents factor;        ///< extents of one number per output channel that multiply it
  int64_t channels = 0;  ///< outputs
  /// x · kernel, the node called "layer/part".
  std::function<ValueId(ValueId kernel, std::string_view part)> multiply;
};

/// Builds the layer. `part` names the kernel's variable: its quantizer is `quantizer_key`.
ValueId build_folded(LayerBuilder& layer, const FoldedProduct& product, std::string_view part,
                     std::string_view quantizer_key);

/// Variables in the order of QKeras's files.
[[nodiscard]] std::vector<std::string_view> folded_weights(std::string_view kernel,
                                                           const ConfigView& config);

/// Keys that `build_folded` reads.
constexpr std::array<std::string_view, 11> kFoldingKeys{
    "activation", "use_bias", "bias_quantizer",   "axis",        "momentum", "epsilon", "center",
    "scale",      "fused",    "ema_freeze_delay", "folding_mode"};
/// Keys without effect: renormalization is dropped with a warning by QKeras.
constexpr std::array<std::string_view, 9> kFoldingIgnored{
    "kernel_range",    "bias_range",         "depthwise_range", "renorm",      "renorm_clipping",
    "renorm_momentum", "virtual_batch_size", "adjustment",      "synchronized"};

/// `own` keys and those of folding.
template <size_t n>
constexpr std::array<std::string_view, n + kFoldingKeys.size()> with_folding_keys(
    const std::string_view (&own)[n]) {
  std::array<std::string_view, n + kFoldingKeys.size()> out{};
  std::copy_n(own, n, out.begin());
  std::copy(kFoldingKeys.begin(), kFoldingKeys.end(), out.begin() + n);
  return out;
}

}  // namespace qloom::keras
