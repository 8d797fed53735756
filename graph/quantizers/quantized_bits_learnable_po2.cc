// graph/quantizers/quantized_bits_learnable_po2.cc: symmetric codes times 2^e, where e is a trained
// exponent, rounded up, to nearest, or to whichever neighbour gives the smaller squared error.
// Before training the exponent is log2(max(3·σ(x)/qp, min_init_scale)).
#include <algorithm>
#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/msqe.h"
#include "graph/quantizers_table.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "quantized_bits_learnable_po2";

std::vector<ArgumentDef> arguments() {
  return {{"bits", 4},
          {"keep_negative", true},
          {"scale_axis", {}},
          {"per_channel_scale", false},
          {"init_scale", {}},
          {"use_second_moments_msqe_opt", true},
          {"second_moments_ema_decay", 0.999},
          {"use_sqrt_of_msqe_weight", true},
          {"use_outlier_mask_msqe_weight", true},
          {"use_stable_scale_exponent", false},
          {"stable_scale_ema_decay", 0.99},
          {"min_init_scale", 0.00001},
          {"use_po2_scale_ceil", true},
          {"use_po2_scale_msqe_round", true}};
}

Numeric values(const Attributes& a) { return msqe::values(Settings(kName, a)); }

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions&) {
  const Settings s(kName, a);
  msqe::Fit fit(s, x);
  std::vector<float> exponent = fit.deviation();
  for (float& e : exponent) {
    const auto least = static_cast<float>(s.real("min_init_scale"));
    e = s.is_none("init_scale") ? msqe::log2(std::max(3.0f * e / fit.top(), least))
                                : msqe::log2(static_cast<float>(s.real("init_scale")) + kEpsilon);
  }
  const auto powers = [&](float (*round)(float)) {
    std::vector<float> result;
    for (const float e : exponent) result.push_back(pow2(round(e)));
    return result;
  };
  if (!s.flag("use_po2_scale_msqe_round"))
    return fit.quantize(x, s.flag("use_po2_scale_ceil")
                               ? powers([](float e) { return std::ceil(e); })
                               : powers([](float e) { return std::rint(e); }));
  if (s.flag("use_outlier_mask_msqe_weight")) {
    std::vector<float> limit;
    for (const float e : exponent) limit.push_back(pow2(e) * (fit.top() + 0.5f));
    fit.mask(limit);
  }
  const std::vector<float> below = powers([](float e) { return std::floor(e); });
  std::vector<float> scale = powers([](float e) { return std::ceil(e); });
  const std::vector<float> floor_error = fit.error(below);
  const std::vector<float> ceil_error = fit.error(scale);
  for (size_t i = 0; i < scale.size(); ++i)
    if (floor_error[i] < ceil_error[i]) scale[i] = below[i];
  return fit.quantize(x, scale);
}

Attributes config(const Attributes& a) {
  return pick(
      a, {"bits", "keep_negative", "scale_axis", "per_channel_scale", "init_scale",
          "use_second_moments_msqe_opt", "second_moments_ema_decay", "use_outlier_mask_msqe_weight",
          "use_sqrt_of_msqe_weight", "use_stable_scale_exponent", "stable_scale_ema_decay",
          "min_init_scale", "use_po2_scale_ceil", "use_po2_scale_msqe_round"});
}

std::string to_string(const Attributes& a) {
  return msqe::to_string(Settings(kName, a), config(a));
}

double max(const Attributes& a) { return msqe::max(Settings(kName, a)); }

double min(const Attributes& a) { return msqe::min(Settings(kName, a)); }

}  // namespace

extern constinit const QuantizerDef quantized_bits_learnable_po2{
    .name = kName,
    .doc = "Symmetric codes times a power of two whose exponent is trained.",
    .source =
        "QKeras qkeras/experimental/quantizers/quantizers_po2.py, "
        "quantized_bits_learnable_po2",
    .arguments = arguments,
    .values = values,
    .scale = msqe::scale,
    .forward = forward,
    .config = config,
    .accept_config = msqe::accept_config,
    .to_string = to_string,
    .max = max,
    .min = min,
    .bounds_times_scale = true,
    .by_name = false};

}  // namespace qloom::quantizers
