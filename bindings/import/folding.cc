#include "bindings/import/folding.h"

#include "bindings/import/statistics.h"
#include "graph/support/error.h"

namespace qloom::keras {
namespace {

void check_axis(const LayerBuilder& layer) {
  ConfigView axis = layer.config("axis");
  if (axis.is_none()) return;
  if (axis.value().array() != nullptr) {
    if (axis.size() != 1) axis.fail_expected("one axis, that of the channels");
    axis = axis[size_t{0}];
  }
  const int64_t last = layer.rank(layer.input()) - 1;
  if (axis.as_integer() != -1 && axis.as_integer() != last)
    axis.fail_expected(join_text("-1 or ", last, ": the channels"));
}

// What the normalization does to kernel and bias.
struct Folding {
  Term factor;                     ///< of the kernel, [channels]
  Term bias;                       ///< [channels]
  std::optional<Term> correction;  ///< of the sum, [channels]
};

struct Parameters {
  std::optional<Term> gamma;
  Term beta, bias, mean, variance;
  double epsilon;
};

Term inverse(Expressions& e, const Parameters& p, Term variance) {
  const Term root = e.reciprocal_root(variance + p.epsilon);
  return p.gamma ? root * *p.gamma : root;
}

Folding at_inference(Expressions& e, const Parameters& p) {
  const Term factor = inverse(e, p, p.variance);
  return {factor, factor * (p.bias - p.mean) + p.beta, std::nullopt};
}

// Follows the batch while `following` is 1 (or for ever) and folds with what is then known.
Folding at_training(LayerBuilder& layer, Expressions& e, Parameters p, ValueId sum,
                    bool folds_moving) {
  const BatchStatistics batch = batch_statistics(e, e(sum), layer.shape(sum), layer.rank(sum) - 1);
  const Term step = e(layer.statistic("iteration", {}, "one counter"));
  const ConfigView delay = layer.config("ema_freeze_delay");
  std::optional<Term> following;
  if (!delay.is_none() && delay.as_integer() >= 0)
    following = 1.0 - e.is_above(step, e.constant(static_cast<double>(delay.as_integer()) + 0.5));
  const auto while_following = [&](Term a, Term b) {
    return following ? e.choose(*following, a, b) : a;
  };
  const auto rate = static_cast<float>(1.0 - layer.config("momentum").real_or(0.99));
  const ConfigView fused = layer.config("fused");
  const bool is_fused =
      layer.rank(sum) == 4 && !layer.is_keras3() && (fused.is_none() || fused.as_bool());
  const auto follow = [&](std::string_view name, Term average, Term value) {
    const Term next = while_following(moved(average, value, rate), average);
    layer.set_state(name, next.id);
    return next;
  };
  p.mean = follow("moving_mean", p.mean, batch.mean);
  p.variance = follow("moving_variance", p.variance, is_fused ? batch.unbiased : batch.variance);
  layer.set_state("iteration", (step + 1.0).id);

  Parameters of_batch = p;
  of_batch.mean = batch.mean;
  of_batch.variance = batch.variance;
  const Folding moving = at_inference(e, p), current = at_inference(e, of_batch);
  const Term bias = while_following(current.bias, moving.bias);
  if (!folds_moving) return {while_following(current.factor, moving.factor), bias, std::nullopt};
  const Term ratio =
      e.apply("sqrt", p.variance + p.epsilon) * e.reciprocal_root(batch.variance + p.epsilon);
  return {moving.factor, bias, while_following(ratio, e.constant(1))};
}

}  // namespace

ValueId build_folded(LayerBuilder& layer, const FoldedProduct& product, std::string_view part,
                     std::string_view quantizer_key) {
  check_axis(layer);
  const ConfigView mode = layer.config("folding_mode");
  const bool folds_moving =
      !mode.exists() ||
      mode.as_choice({"ema_stats_folding", "batch_stats_folding"}) == "ema_stats_folding";
  if (!layer.config("center").bool_or(true))
    layer.config("center").fail("a folded layer needs beta (QKeras fails without it)");

  Expressions e(layer, "folded");
  const Extents per_channel{product.channels};
  const ValueId kernel = layer.weight(part, product.kernel, "kernel_size, input channels, outputs");
  Parameters p{.gamma = std::nullopt,
               .beta = e(layer.weight("beta", per_channel, "output channels")),
               .bias = e.constant(0),
               .mean = e(layer.statistic("moving_mean", per_channel, "output channels")),
               .variance = e(layer.statistic("moving_variance", per_channel, "output channels")),
               .epsilon = layer.config("epsilon").real_or(1e-3)};
  if (layer.config("scale").bool_or(true))
    p.gamma = e(layer.weight("gamma", per_channel, "output channels"));
  ValueId stored_bias{};
  if (layer.has_bias()) {
    stored_bias = layer.weight("bias", per_channel, "output channels");
    p.bias = e(stored_bias);
  }
  Folding folding = [&] {
    if (!layer.is_training()) {
      static_cast<void>(layer.statistic("iteration", {}, "one counter"));
      return at_inference(e, p);
    }
    ValueId sum = product.multiply(kernel, "unfolded");
    if (layer.has_bias()) sum = layer.graph.add(sum, stored_bias, layer.name("unfolded_bias_add"));
    return at_training(layer, e, p, sum, folds_moving);
  }();

  if (product.factor.size() > 1) folding.factor = e.reshape(folding.factor, product.factor);
  const ValueId folded_kernel = layer.quantized(
      (folding.factor * e(kernel)).id, layer.weight_quantizer(quantizer_key), "folded_kernel");
  const ValueId folded_bias =
      layer.quantized(folding.bias.id, layer.quantizer("bias_quantizer"), "folded_bias");
  ValueId y = product.multiply(folded_kernel, "product");
  if (folding.correction)
    y = layer.graph.elementwise(ops::Elementwise::multiply, y, folding.correction->id,
                                layer.name("corrected"));
  const QuantizerOrFunction act = layer.activation();
  y = layer.graph.add(y, folded_bias, layer.name("bias_add", is_identity(act)));
  return layer.activate(y, act);
}

std::vector<std::string_view> folded_weights(std::string_view kernel, const ConfigView& config) {
  std::vector<std::string_view> names{kernel};
  if (config["use_bias"].bool_or(true)) names.emplace_back("bias");
  if (config["scale"].bool_or(true)) names.emplace_back("gamma");
  if (config["center"].bool_or(true)) names.emplace_back("beta");
  for (const char* name : {"iteration", "moving_mean", "moving_variance"}) names.emplace_back(name);
  return names;
}

}  // namespace qloom::keras
