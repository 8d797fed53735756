#include "graph/quantizers/support/bits.h"

#include <algorithm>
#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/scales.h"
#include "graph/support/error.h"

namespace qloom::quantizers::bits {
namespace {

/// n = bits - keep_negative: bits of the magnitude.
int64_t magnitude_bits(const Settings& s) {
  return s.integer("bits") - (s.flag("keep_negative") ? 1 : 0);
}

/// 2^integer; a vector along the last axis where integer is a list.
Tensor integer_factor(const Settings& s) {
  const Tensor integer = s.array("integer");
  std::vector<float> factors;
  for (const float v : integer.f32()) factors.push_back(pow2(v));
  return Tensor(integer.extents(), std::move(factors));
}

/// True where the scale is taken from the data (also when post_training_scale then fixes it).
bool text_alpha(const Settings& s) { return s.is_text("alpha"); }

/// QKeras takes every text with "po2" in it for "auto_po2", and any text beside a fixed scale.
void check_text_alpha(const Settings& s) {
  const std::string alpha = s.text("alpha");
  s.check(alpha == "auto" || alpha.find("po2") != std::string::npos ||
              !s.is_none("post_training_scale"),
          "alpha must be None, a number, 'auto' or 'auto_po2', found ", s["alpha"]);
}

/// Codes under the scale s: ties away from zero, through floor(|t|/s + 0.5) with a rounded
/// addition.
std::vector<float> auto_codes(const std::vector<float>& t, const Tensor& scale,
                              const Extents& extents, float top) {
  const Broadcast s(scale, extents, "quantized_bits: scale");
  std::vector<float> codes(t.size());
  // Where int32 holds all codes, floor is one instruction: it cuts numbers that are not negative.
  if (top < 0x1p31f && std::ranges::none_of(scale.f32(), [](float v) { return std::signbit(v); }))
    s.for_each([top, from = t.data(), to = codes.data()](size_t i, float step) {
      const float v = std::fabs(from[i]) / step + 0.5f, clipped = v < top ? v : top;
      to[i] = sign(from[i]) * static_cast<float>(static_cast<int32_t>(clipped));
    });
  else
    s.for_each([&](size_t i, float step) {
      const float v = std::floor(std::fabs(t[i]) / step + 0.5f);
      codes[i] = sign(t[i]) * (v < top ? v : top);
    });
  return codes;
}

/// The scale of t = x / 2^integer from its largest value; "auto_po2" goes on from the nearest power
/// of two with five rounds of least squares.
Tensor scale_from_data(const Settings& s, const std::vector<float>& t, const Extents& extents,
                       float top, Division division) {
  const auto rank = static_cast<int>(extents.size());
  s.check(rank > 0, "alpha ", s["alpha"], " needs a tensor with at least one axis");
  const ScaleMap map(extents, rank > 1 ? reduced_axes(s["scale_axis"], rank, s.quantizer())
                                       : std::vector<bool>{true});
  std::vector<float> magnitudes = t;
  for (float& v : magnitudes) v = std::fabs(v);
  std::vector<float> scale = map.maximum(magnitudes);
  check_text_alpha(s);
  const bool power_of_two = s.text("alpha") != "auto";
  for (float& v : scale) {
    v = divide(v * 2.0f, top * 2.0f, division);
    if (power_of_two) v = nearest_power_of_two(v + kEpsilon, division);
  }
  Tensor result = map.tensor(scale);
  for (int round = 0; power_of_two && round < 5; ++round) {
    Tensor next = least_squares_scale(true, t, auto_codes(t, result, extents, top), extents,
                                      {.quantizer = s.quantizer(),
                                       .scale_axis = s["scale_axis"],
                                       .elements_per_scale = s["elements_per_scale"],
                                       .min_po2_exponent = s["min_po2_exponent"],
                                       .max_po2_exponent = s["max_po2_exponent"],
                                       .division = division});
    const bool stays = equal_values(next, result);
    result = std::move(next);
    if (stays) break;  // the following rounds would repeat this one
  }
  return result;
}

Quantized forward_auto(const Settings& s, const Tensor& x, const QuantizeOptions& options) {
  s.check(s.flag("symmetric"), "alpha ", s["alpha"], " needs symmetric");
  const int64_t n = magnitude_bits(s);
  const auto m = static_cast<float>(std::exp2(static_cast<double>(n)));
  const auto top = static_cast<float>(std::exp2(static_cast<double>(s.integer("bits") - 1)) - 1.0);
  const Tensor factor = integer_factor(s);
  const Broadcast mi(factor, x.extents(), "quantized_bits: integer");
  const std::vector<float> values = flushed(x);
  std::vector<float> t(values.size());
  mi.for_each([&](size_t i, float f) { t[i] = values[i] / f; });
  // The attribute `scale` is s × m, or the given value, unchanged.
  const bool frozen = !s.is_none("post_training_scale");
  Tensor scale = frozen ? s.array("post_training_scale") : Tensor();
  Tensor small;
  if (frozen) {
    std::vector<float> quotients;
    for (const float v : scale.f32()) quotients.push_back(v / m);
    small = Tensor(scale.extents(), std::move(quotients));
  } else {
    small = scale_from_data(s, t, x.extents(), top, options.division);
  }
  std::vector<float> products;
  for (const float v : small.f32()) products.push_back(v * m);
  const Tensor large(small.extents(), std::move(products));
  if (!frozen) scale = large;
  const Broadcast by(large, x.extents(), "quantized_bits: post_training_scale");
  const double noise = s.real("qnoise_factor");
  const bool use_ste = s.flag("use_ste");
  Outcome out;
  out.codes = auto_codes(t, small, x.extents(), top);
  out.q.resize(t.size());
  out.y.resize(t.size());
  mi.for_each([&](size_t i, float f) {
    out.q[i] = f * out.codes[i] / m;
    out.y[i] = f * t[i];
  });
  by.for_each([&](size_t i, float step) {
    out.q[i] = step * out.q[i];
    out.y[i] = straight_through(out.y[i], out.q[i], noise, use_ste);
  });
  std::optional<Tensor> step;
  if (factor.size() == 1) step = scaled(large, static_cast<double>(factor.f32()[0]) / m);
  return assemble(x, std::move(out), std::move(step), std::move(scale));
}

}  // namespace

void construct(std::string_view quantizer, Attributes& a) {
  const Settings s(quantizer, a);
  s.check(magnitude_bits(s) >= 0, "bits must be at least 1 for signed values, found ", a["bits"]);
  if (s.is_text("alpha")) {
    check_text_alpha(s);
    a.set("symmetric", true);
  } else {
    if (!s.is_none("alpha")) static_cast<void>(s.array("alpha"));
    s.check(s.is_none("post_training_scale"), "post_training_scale ", a["post_training_scale"],
            " needs alpha 'auto' or 'auto_po2', found ", a["alpha"]);
  }
}

void set_trainable_parameter(Attributes& a) {
  if (!a["alpha"].is_none()) return;
  a.set("alpha", "auto_po2");
  a.set("symmetric", true);
}

bool draws(const Settings& s) { return s.flag("use_stochastic_rounding") && !text_alpha(s); }

Quantized forward(const Settings& s, const Tensor& x, const QuantizeOptions& options) {
  if (s.text("alpha") != "auto_po2")
    for (const std::string_view name :
         {"elements_per_scale", "min_po2_exponent", "max_po2_exponent"})
      s.check(s.is_none(name), name, " needs alpha 'auto_po2', found ", s["alpha"]);
  if (text_alpha(s)) return forward_auto(s, x, options);

  const int64_t n = magnitude_bits(s);
  const bool keep_negative = s.flag("keep_negative");
  const auto m = static_cast<float>(std::exp2(static_cast<double>(n)));
  const float lo = keep_negative ? -m + static_cast<float>(s.real("symmetric")) : 0.0f;
  const Tensor factor = integer_factor(s);
  const Broadcast mi(factor, x.extents(), "quantized_bits: integer");
  const Tensor alpha =
      s.is_none("alpha") ? Tensor({1}, std::vector<float>{1.0f}) : s.array("alpha");
  const Broadcast scale(alpha, x.extents(), "quantized_bits: alpha");
  const std::vector<float> values = flushed(x);
  const double noise = s.real("qnoise_factor");
  const bool use_ste = s.flag("use_ste");
  const Rounding rounded(rounding_draws(s, options), 1);
  Outcome out;
  out.codes.resize(values.size());
  out.q.resize(values.size());
  out.y.resize(values.size());
  if (n > 0)
    rounded.with([&](const auto& round) {
      mi.for_each([&](size_t i, float f) {
        out.codes[i] = clip(round(values[i] * m / f), lo, m - 1.0f);
        out.q[i] = f * out.codes[i] / m;
      });
    });
  else
    for (size_t i = 0; i < values.size(); ++i) {
      const float q = sign_or_one(values[i]);
      out.q[i] = out.codes[i] = keep_negative ? q : (q + 1.0f) / 2.0f;
    }
  scale.for_each([&](size_t i, float a) {
    out.q[i] = a * out.q[i];
    out.y[i] = straight_through(values[i], out.q[i], noise, use_ste);
  });
  std::optional<Tensor> step;
  if (n <= 0) {
    step = scaled(alpha, 1.0);
  } else if (factor.size() == 1) {
    step = scaled(alpha, static_cast<double>(factor.f32()[0]) / m);
  } else if (alpha.size() == 1) {
    step = scaled(factor, static_cast<double>(alpha.f32()[0]) / m);
  }
  return assemble(x, std::move(out), std::move(step), alpha);
}

Numeric values(const Settings& s) {
  const int64_t bits = s.integer("bits");
  const int64_t n = magnitude_bits(s);
  const bool vector = s["integer"].is_list();
  const int64_t fraction = n - (vector ? 0 : s.integer("integer"));
  if (s.real("qnoise_factor") != 1 || bits > 60) return Numeric::float32();
  if (text_alpha(s)) {
    if (bits < 2) return Numeric::float32();  // no levels: NaN or zero
    const int64_t top = (int64_t{1} << (bits - 1)) - 1;
    return integer_set(-top, top, fraction);
  }
  if (n <= 0) return s.flag("keep_negative") ? Numeric::binary() : Numeric::bit();
  const auto m = static_cast<float>(std::exp2(static_cast<double>(n)));
  const float lo = s.flag("keep_negative") ? -m + static_cast<float>(s.real("symmetric")) : 0.0f;
  return integer_set(static_cast<int64_t>(lo), static_cast<int64_t>(m - 1.0f), fraction);
}

bool has_fixed_scale(const Settings& s) {
  if (!s.is_text("alpha")) return true;
  if (s.is_none("post_training_scale")) return false;
  const Tensor fixed = s.array("post_training_scale");
  return fixed.size() == 1 || fixed.extents().back() == fixed.size();
}

ScaleRule scale(const Settings& s) {
  ScaleRule rule = alpha_rule(s);
  if (rule.kind == ScaleRule::Kind::data && has_fixed_scale(s)) {
    const Tensor fixed = s.array("post_training_scale");
    rule = constant_rule(fixed);
  }
  if (!s["integer"].is_list() || rule.kind == ScaleRule::Kind::data) return rule;
  // One integer per channel: the factors 2^integer belong to the scale, not to the value set.
  const Tensor factor = integer_factor(s);
  const std::vector<double> alpha = rule.constant.empty() ? std::vector<double>{1} : rule.constant;
  if (rule.kind == ScaleRule::Kind::none) rule.power_of_two = true;
  rule.kind = ScaleRule::Kind::constant;
  rule.constant.clear();
  for (size_t i = 0; i < factor.f32().size(); ++i)
    rule.constant.push_back(factor.f32()[i] * alpha[alpha.size() == 1 ? 0 : i % alpha.size()]);
  return rule;
}

double max(const Settings& s) {
  if (magnitude_bits(s) <= 0) return 1.0;
  const Tensor factor = integer_factor(s);
  s.check(factor.size() == 1, "max() and min() need one integer, found ", s["integer"]);
  return std::max(1.0, static_cast<double>(factor.f32()[0]));
}

double min(const Settings& s) { return s.flag("keep_negative") ? -max(s) : 0.0; }

std::vector<float> range(const Settings& s) {
  s.check(s["symmetric"].is_number() && s["symmetric"].as_real() == 0,
          "range() needs symmetric = 0");
  s.check(s.flag("keep_negative"), "range() needs keep_negative");
  if (!s.is_none("alpha")) {
    s.check(!s.is_text("alpha"), "range() needs alpha None or 1.0, found ", s["alpha"]);
    const Tensor alpha = s.array("alpha");
    s.check(alpha.size() == 1 && alpha.f32()[0] == 1.0f, "range() needs alpha None or 1.0, found ",
            s["alpha"]);
  }
  const int64_t bits = s.integer("bits");
  s.check(bits >= 1 && bits <= 24, "range() of ", bits, " bits");
  s.check(!s["integer"].is_list(), "range() needs one integer, found ", s["integer"]);
  const double step = std::exp2(static_cast<double>(s.integer("integer") - bits + 1));
  const int64_t half = int64_t{1} << (bits - 1);
  std::vector<float> result;
  for (int64_t k = 0; k < half; ++k)
    result.push_back(static_cast<float>(static_cast<double>(k) * step));
  for (int64_t k = -half; k < 0; ++k)
    result.push_back(static_cast<float>(static_cast<double>(k) * step));
  return result;
}

std::vector<std::string> notes(const Settings& s) {
  std::vector<std::string> result;
  const int64_t bits = s.integer("bits");
  if (text_alpha(s)) {
    if (s.text("alpha") != "auto" && s.text("alpha") != "auto_po2")
      result.push_back("alpha " + s["alpha"].to_string() + " counts as 'auto_po2'");
    if (bits == 1)
      result.push_back("1 bit with alpha " + s["alpha"].to_string() +
                       " has no levels (NaN or zero in QKeras): binary is meant");
    if (!s.flag("keep_negative"))
      result.push_back("keep_negative=False does not clip negative values when alpha is " +
                       s["alpha"].to_string());
    if (s.flag("use_stochastic_rounding"))
      result.push_back("use_stochastic_rounding is ignored when alpha is " +
                       s["alpha"].to_string());
  } else if (!s["integer"].is_list()) {
    const int64_t n = magnitude_bits(s);
    const int64_t integer = s.integer("integer");
    if (n > 0 && integer > n)
      result.push_back("integer = " + std::to_string(integer) + " of " + std::to_string(bits) +
                       " bits: the step is " +
                       python_text(std::exp2(static_cast<double>(integer - n))));
    if (n <= 0 && integer != 0) result.push_back("1 bit is -1 or +1 whatever integer says");
  }
  return result;
}

}  // namespace qloom::quantizers::bits
