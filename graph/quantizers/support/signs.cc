#include "graph/quantizers/support/signs.h"

#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/scales.h"
#include "graph/support/error.h"

namespace qloom::quantizers::signs {
namespace {

/// scale × code with the straight-through sum; QKeras puts tanh before it when alpha is None.
Quantized result(const Settings& s, const Tensor& x, const std::vector<float>& values,
                 std::vector<float> codes, const Tensor& scale) {
  const Broadcast by(scale, x.extents(), join_text(s.quantizer(), ": alpha"));
  const bool no_alpha = s.is_none("alpha");
  Outcome out;
  out.q.resize(values.size());
  out.y.resize(values.size());
  by.for_each([&](size_t i, float step) { out.q[i] = step * codes[i]; });
  if (no_alpha)
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

}  // namespace

Quantized binary(const Settings& s, const Tensor& x, const QuantizeOptions& options) {
  const bool data = is_auto(s);
  const std::vector<float> values = flushed(x);
  std::vector<float> codes = values;
  const bool use_01 = s.flag("use_01");
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
  const auto rank = static_cast<int>(extents.size());
  const ScaleMap map(extents, rank > 1 ? reduced_axes({}, rank, s.quantizer())
                                       : std::vector<bool>(extents.size(), true));
  std::vector<float> magnitudes = values;
  for (float& v : magnitudes) v = std::fabs(v);
  std::vector<float> start = map.maximum(magnitudes);
  for (float& v : start) {
    v = 2.0f * v / 3.0f;
    if (power_of_two) v = nearest_power_of_two(v + kEpsilon, options.division);
  }
  Tensor scale = map.tensor(start);
  for (int64_t round = 0; round < unrolls; ++round) {
    const Broadcast by(scale, extents, s.quantizer());
    by.for_each([&](size_t i, float step) {
      const float v = step * round_through(values[i] / step);
      codes[i] = std::fabs(v) >= step / 2.0f ? sign(values[i]) : 0.0f;
    });
    Tensor next = least_squares_scale(power_of_two, values, codes, extents,
                                      {.quantizer = s.quantizer(), .division = options.division});
    const bool stays = equal_values(next, scale);
    scale = std::move(next);
    if (stays) break;  // the following rounds would repeat this one
  }
  return result(s, x, values, std::move(codes), scale);
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
