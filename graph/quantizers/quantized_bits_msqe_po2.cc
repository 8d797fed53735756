// graph/quantizers/quantized_bits_msqe_po2.cc: symmetric codes times the power of two with the
// smallest weighted squared error that least squares and a search of its neighbours find.
#include <algorithm>
#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/msqe.h"
#include "graph/quantizers_table.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "quantized_bits_msqe_po2";

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
          {"outlier_mask_sigma", 2.0},
          {"num_lls_iters", 3},
          {"should_line_search", true},
          {"line_search_range", 6}};
}

Numeric values(const Attributes& a) { return msqe::values(Settings(kName, a)); }

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions&) {
  const Settings s(kName, a);
  msqe::Fit fit(s, x);
  std::vector<float> best = fit.maximum_magnitude();
  for (float& v : best) {
    const float e = s.is_none("init_scale")
                        ? msqe::log2(v / fit.top() + kEpsilon)
                        : msqe::log2(static_cast<float>(s.real("init_scale")) + kEpsilon);
    v = pow2(std::rint(e));
  }
  if (s.flag("use_outlier_mask_msqe_weight")) {
    std::vector<float> limit = fit.deviation();
    for (float& v : limit) v *= static_cast<float>(s.real("outlier_mask_sigma"));
    fit.mask(limit);
  }
  std::vector<float> least = fit.error(best);
  const auto consider = [&](const std::vector<float>& candidate) {
    const std::vector<float> error = fit.error(candidate);
    for (size_t i = 0; i < best.size(); ++i) {
      if (!(error[i] < least[i])) continue;
      least[i] = error[i];
      best[i] = candidate[i];
    }
  };
  std::vector<float> scale = best;
  for (int64_t round = 0; round < s.integer("num_lls_iters"); ++round) {
    scale = fit.least_squares(scale);
    consider(scale);
  }
  if (s.flag("should_line_search")) {
    const std::vector<float> centre = best;
    const int64_t half = s.integer("line_search_range") / 2;
    for (int64_t offset = -half; offset <= half; ++offset) {
      if (offset == 0) continue;
      std::vector<float> candidate = centre;
      for (float& v : candidate) v *= pow2(static_cast<float>(offset));
      consider(candidate);
    }
  }
  return fit.quantize(x, best);
}

Attributes config(const Attributes& a) {
  return pick(
      a, {"bits", "keep_negative", "scale_axis", "per_channel_scale", "init_scale",
          "use_second_moments_msqe_opt", "second_moments_ema_decay", "use_sqrt_of_msqe_weight",
          "use_outlier_mask_msqe_weight", "use_stable_scale_exponent", "stable_scale_ema_decay",
          "outlier_mask_sigma", "num_lls_iters", "should_line_search", "line_search_range"});
}

std::string to_string(const Attributes& a) {
  return msqe::to_string(Settings(kName, a), config(a));
}

double max(const Attributes& a) { return msqe::max(Settings(kName, a)); }

double min(const Attributes& a) { return msqe::min(Settings(kName, a)); }

}  // namespace

extern constinit const QuantizerDef quantized_bits_msqe_po2{
    .name = kName,
    .doc = "Symmetric codes times the power of two with the least weighted squared error.",
    .source = "QKeras qkeras/experimental/quantizers/quantizers_po2.py, quantized_bits_msqe_po2",
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
