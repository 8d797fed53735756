#include "graph/quantizers/support/signs.h"

#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/scales.h"
#include "graph/support/error.h"

namespace qloom::quantizers::signs {
namespace {

/// scale × code with the straight-through sum; QKeras puts tanh before it when alpha is None.
Quantized result(const Settings& s, const Tensor& x, const std::vector<float>& values,
                 std::vector<float> codes, const Tensor& scale, bool with_tanh = true) {
  const Broadcast by(scale, x.extents(), join_text(s.quantizer(), ": alpha"));
  const bool no_alpha = s.is_none("alpha");
  Outcome out;
  out.q.resize(values.size());
  out.y.resize(values.size());
  by.for_each([&](size_t i, float step) { out.q[i] = step * codes[i]; });
  if (no_alpha && with_tanh)
    for (size_t i = 0; i < values.size(); ++i)
      out.y[i] = straight_through(real_tanh(values[i]), out.q[i], 1.0);
  else
    for (size_t i = 0; i < values.size(); ++i)
      out.y[i] = straight_through(values[i], out.q[i], 1.0);
  out.codes = std::move(codes);
  return assemble(x, std::move(out), scaled(scale, 1.0), scale);
}

Tensor fixed_scale(const Settings& s) {
  return s.is_none("alpha") ? Tensor({1}, std::vector<float>{1.0f}) : s.array("alpha");
}

/// All axes but the channel's; `rank_1`: what is reduced of a tensor of rank 1.
ScaleMap channel_map(const Settings& s, const Extents& extents, bool rank_1) {
  const auto rank = static_cast<int>(extents.size());
  return ScaleMap(extents, rank > 1 ? reduced_axes({}, rank, s.quantizer())
                                    : std::vector<bool>(extents.size(), rank_1));
}

std::vector<float> magnitudes_of(std::vector<float> values) {
  for (float& v : values) v = std::fabs(v);
  return values;
}

/// Standard deviation of the elements that share a scale.
std::vector<float> deviations(const ScaleMap& map, const std::vector<float>& values,
                              const Extents& extents, std::string_view quantizer) {
  std::vector<float> squares(values.size());
  Broadcast(map.tensor(map.mean(values)), extents, quantizer).for_each([&](size_t i, float mean) {
    const float d = values[i] - mean;
    squares[i] = d * d;
  });
  std::vector<float> out = map.mean(squares);
  for (float& v : out) v = std::sqrt(v);
  return out;
}

float probability(const Settings& s, float logit, const QuantizeOptions& options) {
  return internal_sigmoid(
      logit, s.flag("use_real_sigmoid") ? InternalSigmoid::real : options.internal_sigmoid);
}

/// x rounded, with draws, to multiples of an eighth of twice its reach (at most 1).
std::vector<float> rounded_values(const Settings& s, std::vector<float> values,
                                  const Extents& extents, Draws* draws) {
  const ScaleMap map = channel_map(s, extents, true);
  std::vector<float> reach = map.maximum(magnitudes_of(values));
  for (float& m : reach) m = 2.0f * (m > 1.0f ? 1.0f : m);
  const Broadcast factor(map.tensor(reach), extents, s.quantizer());
  const Rounding rounded(draws, 8);
  factor.for_each([&](size_t i, float f) { values[i] = f * rounded(values[i] / f); });
  return values;
}

}  // namespace

Quantized binary(const Settings& s, const Tensor& x, const QuantizeOptions& options) {
  const bool data = is_auto(s);
  std::vector<float> values = flushed(x);
  Draws* const draws = rounding_draws(s, options);
  if (draws != nullptr) values = rounded_values(s, std::move(values), x.extents(), draws);
  std::vector<float> codes = values;
  const bool use_01 = s.flag("use_01");
  if (draws != nullptr)
    for (float& v : codes)
      if (v == 0) v = 2.0f * std::rint(draws->next()) - 1.0f;
  for (float& v : codes) v = sign_or_one(v);
  if (use_01)
    for (float& v : codes) v = (v + 1.0f) / 2.0f;
  const Tensor scale =
      data ? least_squares_scale(s.text("alpha") == "auto_po2", values, codes, x.extents(),
                                 {.quantizer = s.quantizer(),
                                  .scale_axis = s["scale_axis"],
                                  .elements_per_scale = s["elements_per_scale"],
                                  .min_po2_exponent = s["min_po2_exponent"],
                                  .max_po2_exponent = s["max_po2_exponent"],
                                  .division = options.division})
           : fixed_scale(s);
  return result(s, x, values, std::move(codes), scale);
}

Quantized ternary(const Settings& s, const Tensor& x, const QuantizeOptions& options) {
  const std::vector<float> values = flushed(x);
  const Extents& extents = x.extents();
  std::vector<float> codes(values.size());
  if (!is_auto(s)) {
    s.check(!s.flag("use_stochastic_rounding"),
            "use_stochastic_rounding needs alpha 'auto' or 'auto_po2', found ", s["alpha"]);
    const float threshold =
        s.is_none("threshold") ? 0.33f : static_cast<float>(s.real("threshold"));
    for (size_t i = 0; i < codes.size(); ++i)
      codes[i] = std::fabs(values[i]) >= threshold ? sign(values[i])
                 : std::isnan(values[i])           ? values[i]
                                                   : 0.0f;
    return result(s, x, values, std::move(codes), fixed_scale(s));
  }
  s.check(s.is_none("threshold"), "threshold must be None when alpha is ", s["alpha"], ", found ",
          s["threshold"]);
  const int64_t unrolls = s.integer("number_of_unrolls");
  s.check(unrolls >= 1, "number_of_unrolls must be 1 or more, found ", unrolls);
  const bool power_of_two = s.text("alpha") == "auto_po2";
  const ScaleMap map = channel_map(s, extents, true);
  Draws* const draws = rounding_draws(s, options);
  const Rounding rounded(draws, 3);  // multiples of a third
  std::vector<float> start = map.maximum(magnitudes_of(values));
  for (float& v : start) {
    v = 2.0f * v / 3.0f;
    if (power_of_two) v = nearest_power_of_two(v + kEpsilon, options.division);
  }
  Tensor scale = map.tensor(start);
  for (int64_t round = 0; round < unrolls; ++round) {
    const Broadcast by(scale, extents, s.quantizer());
    rounded.with([&](const auto& nearest) {
      by.for_each([&](size_t i, float step) {
        const float v = step * nearest(values[i] / step);
        codes[i] = std::fabs(v) >= step / 2.0f ? sign(values[i]) : 0.0f;
      });
    });
    Tensor next = least_squares_scale(power_of_two, values, codes, extents,
                                      {.quantizer = s.quantizer(), .division = options.division});
    const bool stays = equal_values(next, scale);
    scale = std::move(next);
    if (stays && draws == nullptr) break;  // the following rounds would repeat this one
  }
  return result(s, x, values, std::move(codes), scale);
}

Quantized drawn_binary(const Settings& s, const Tensor& x, const QuantizeOptions& options,
                       bool bits) {
  const bool data = is_auto(s);
  const std::vector<float> values = flushed(x);
  const Extents& extents = x.extents();
  const auto temperature = static_cast<float>(s.real("temperature"));
  const ScaleMap map = channel_map(s, extents, true);
  std::vector<float> sigma = deviations(map, values, extents, s.quantizer());
  for (float& v : sigma) v = data ? v + kEpsilon : 1.0f;
  const Broadcast by(map.tensor(sigma), extents, s.quantizer());
  const auto code = [&](float v) { return bits ? (sign_or_one(v) + 1.0f) / 2.0f : sign_or_one(v); };
  std::vector<float> codes(values.size()), likely(values.size());
  by.for_each([&](size_t i, float deviation) {
    const float p = probability(s, temperature * values[i] / deviation, options);
    codes[i] = code(p - options.draws->next());
    likely[i] = code(values[i]);
  });
  const Tensor scale =
      data ? least_squares_scale(s.text("alpha") == "auto_po2", values, likely, extents,
                                 {.quantizer = s.quantizer(), .division = options.division})
           : fixed_scale(s);
  return result(s, x, values, std::move(codes), scale, false);
}

Quantized drawn_ternary(const Settings& s, const Tensor& x, const QuantizeOptions& options) {
  s.check(is_auto(s), "in training alpha must be 'auto' or 'auto_po2', found ", s["alpha"]);
  const std::vector<float> values = flushed(x);
  const Extents& extents = x.extents();
  const bool power_of_two = s.text("alpha") == "auto_po2";
  const ScaleMap map = channel_map(s, extents, true);
  std::vector<float> start = map.maximum(magnitudes_of(values));
  for (float& v : start) {
    v = 2.0f * v / 3.0f;
    if (power_of_two) v = nearest_power_of_two(v + kEpsilon, options.division);
  }
  Tensor scale = map.tensor(start);
  std::vector<float> codes(values.size());
  for (int64_t round = 0; round < s.integer("number_of_unrolls"); ++round) {
    Broadcast(scale, extents, s.quantizer()).for_each([&](size_t i, float step) {
      codes[i] = std::fabs(values[i]) >= step / 2.0f ? sign(values[i]) : 0.0f;
    });
    scale = least_squares_scale(power_of_two, values, codes, extents,
                                {.quantizer = s.quantizer(), .division = options.division});
  }
  const auto temperature = static_cast<float>(s.real("temperature"));
  std::vector<float> sigma = deviations(map, values, extents, s.quantizer());
  for (float& v : sigma) v += kEpsilon;
  const std::vector<float> deviation =
      Broadcast(map.tensor(sigma), extents, s.quantizer()).spread();
  Broadcast(scale, extents, s.quantizer()).for_each([&](size_t i, float step) {
    const float v = values[i] / deviation[i], threshold = step / (2.0f * deviation[i]);
    const float above = probability(s, temperature * (v - threshold), options);
    const float below = probability(s, temperature * (v + threshold), options);
    const float first = sign_or_one(above - options.draws->next());
    codes[i] = (first + sign_or_one(below - options.draws->next())) / 2.0f;
  });
  return result(s, x, values, std::move(codes), scale, false);
}

std::string opening(const Settings& s) {
  std::string text = std::string(s.quantizer()) + "(";
  if (!s.is_none("alpha")) text += alpha_text(s);
  return text;
}

void add(std::string& text, const std::string& entry) {
  text += (text.back() == '(' ? "" : ",") + entry;
}

}  // namespace qloom::quantizers::signs
