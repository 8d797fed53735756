#include "bindings/import/unfold_model.h"

#include <array>
#include <cmath>

#include "graph/support/error.h"

namespace qloom {
namespace {

struct Pair {
  std::string_view folded, plain;
};
constexpr Pair kPairs[] = {{"QConv2DBatchnorm", "QConv2D"},
                           {"QDepthwiseConv2DBatchnorm", "QDepthwiseConv2D"}};
// What a plain layer does not have.
constexpr std::string_view kNormKeys[] = {"axis",
                                          "momentum",
                                          "epsilon",
                                          "center",
                                          "scale",
                                          "beta_initializer",
                                          "gamma_initializer",
                                          "moving_mean_initializer",
                                          "moving_variance_initializer",
                                          "beta_regularizer",
                                          "gamma_regularizer",
                                          "beta_constraint",
                                          "gamma_constraint",
                                          "renorm",
                                          "renorm_clipping",
                                          "renorm_momentum",
                                          "fused",
                                          "trainable_bn",
                                          "virtual_batch_size",
                                          "adjustment",
                                          "ema_freeze_delay",
                                          "folding_mode"};

/// The variables of a folded layer by their meaning; null where it has none.
struct Variables {
  const KerasWeight *kernel = nullptr, *bias = nullptr, *gamma = nullptr, *beta = nullptr,
                    *mean = nullptr, *variance = nullptr;
};

Variables variables_of(const KerasLayer& layer, const ConfigView& config) {
  Variables v;
  size_t next = 0;
  const auto take = [&](bool there) -> const KerasWeight* {
    return there && next < layer.weights.size() ? &layer.weights[next++] : nullptr;
  };
  v.kernel = take(true);
  v.bias = take(config["use_bias"].bool_or(true));
  v.gamma = take(config["scale"].bool_or(true));
  v.beta = take(config["center"].bool_or(true));
  const size_t left = layer.weights.size() - next;  // [iteration,] mean, variance
  if (left < 2 || left > 3)
    config.fail(join_text("the file has ", layer.weights.size(),
                          " weights for it, which is not kernel, bias, gamma, beta, iteration, "
                          "moving mean and moving variance"));
  v.mean = &layer.weights[layer.weights.size() - 2];
  v.variance = &layer.weights[layer.weights.size() - 1];
  const size_t channels = v.variance->values.size();
  for (const KerasWeight* w : {v.bias, v.gamma, v.beta, v.mean})
    if (w != nullptr && w->values.size() != channels)
      config.fail(join_text(w->name, " has ", w->values.size(), " values, expected ", channels));
  if (channels == 0 || v.kernel->values.size() % channels != 0)
    config.fail(join_text(v.kernel->name, " does not have ", channels, " channels"));
  return v;
}

void unfold(KerasModel& model, KerasLayer& layer, std::string_view plain_class) {
  const ConfigView config = model.view(layer);
  if (!layer.weights.empty()) {
    const Variables v = variables_of(layer, config);
    const auto epsilon = static_cast<float>(config["epsilon"].real_or(0.001));
    const size_t channels = v.variance->values.size();
    std::vector<float> inverse(channels);
    KerasWeight kernel = *v.kernel, bias{layer.name + "/bias", {}, {}};
    bias.shape = {static_cast<int64_t>(channels)};
    for (size_t c = 0; c < channels; ++c) {
      inverse[c] = 1.0F / std::sqrt(v.variance->values[c] + epsilon);
      if (v.gamma != nullptr) inverse[c] *= v.gamma->values[c];
      const float plain_bias = v.bias != nullptr ? v.bias->values[c] : 0.0F;
      const float beta = v.beta != nullptr ? v.beta->values[c] : 0.0F;
      bias.values.push_back(inverse[c] * (plain_bias - v.mean->values[c]) + beta);
    }
    // The last axis of a kernel; of a depthwise one, the last two: channels run fastest in both.
    for (size_t i = 0; i < kernel.values.size(); ++i) kernel.values[i] *= inverse[i % channels];
    layer.weights = {std::move(kernel), std::move(bias)};
  }
  layer.class_name = plain_class;
  for (const std::string_view key : kNormKeys) layer.config.remove(key);
  layer.config.set("use_bias", true);
}

}  // namespace

KerasModel unfold_model(KerasModel model) {
  for (KerasLayer& layer : model.layers)
    for (const Pair& pair : kPairs)
      if (layer.class_name == pair.folded) unfold(model, layer, pair.plain);
  return model;
}

}  // namespace qloom
