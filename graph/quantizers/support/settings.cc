#include "graph/quantizers/support/settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/scales.h"
#include "graph/support/error.h"

namespace qloom::quantizers {

int64_t Settings::integer(std::string_view name) const {
  const AttributeValue& v = (*this)[name];
  const bool integral =
      v.is_integer() || v.is_bool() ||
      (v.is_real() && std::rint(v.as_real()) == v.as_real() && std::fabs(v.as_real()) < 0x1p53);
  check(integral, name, " must be an integer, found ", v);
  return v.as_integer();
}

double Settings::real(std::string_view name) const {
  const AttributeValue& v = (*this)[name];
  check(v.is_number(), name, " must be a number, found ", v);
  return v.as_real();
}

std::string Settings::text(std::string_view name) const {
  return is_text(name) ? (*this)[name].as_string() : std::string();
}

Tensor Settings::array(std::string_view name) const {
  return array_argument((*this)[name], quantizer_, name);
}

void Settings::fail(const std::string& text) const {
  throw UserError(join_text(quantizer_, ": ", text));
}

bool is_auto(const Settings& s) {
  if (!s.is_text("alpha")) return false;
  const std::string alpha = s.text("alpha");
  s.check(alpha == "auto" || alpha == "auto_po2", "alpha must be None, a number, 'auto' or ",
          "'auto_po2', found ", s["alpha"]);
  return true;
}

void check_alpha(const Settings& s) {
  if (!s.is_none("alpha") && !is_auto(s)) static_cast<void>(s.array("alpha"));
}

ScaleRule alpha_rule(const Settings& s) {
  if (s.is_none("alpha")) return {};
  if (s.is_text("alpha"))
    return {.kind = ScaleRule::Kind::data,
            .power_of_two = s.text("alpha").find("po2") != std::string::npos};
  return constant_rule(s.array("alpha"));
}

ScaleRule constant_rule(const Tensor& scale) {
  ScaleRule rule{.kind = ScaleRule::Kind::constant, .power_of_two = true};
  for (const float v : scale.f32()) {
    rule.constant.push_back(v);
    int exponent = 0;
    rule.power_of_two = rule.power_of_two && std::frexp(v, &exponent) == 0.5f;
  }
  return rule;
}

Numeric integer_set(int64_t lo, int64_t hi, int64_t fraction) {
  const auto f = static_cast<int>(fraction);
  if (lo == -1 && hi == 1) return Numeric::ternary(f);
  if (lo == 0 && hi == 1) return Numeric::bit(f);
  return Numeric::integers(lo, hi, f);
}

void keep_whole_codes(Outcome& outcome) {
  if (!std::ranges::all_of(outcome.codes, [](float c) { return c == std::rint(c); }))
    outcome.codes.clear();
}

Quantized assemble(const Tensor& x, Outcome outcome, std::optional<Tensor> step,
                   std::optional<Tensor> scale) {
  Quantized result;
  if (step && static_cast<int64_t>(outcome.codes.size()) == x.size()) {  // of no samples, too
    std::vector<int64_t> codes;
    codes.reserve(outcome.codes.size());
    for (const float c : outcome.codes) {
      if (!(std::fabs(c) <= 0x1p62f)) break;  // NaN too
      codes.push_back(static_cast<int64_t>(c));
    }
    if (codes.size() == outcome.codes.size()) result.codes = Tensor(x.extents(), std::move(codes));
  }
  result.y = Tensor(x.extents(), std::move(outcome.y));
  result.q = Tensor(x.extents(), std::move(outcome.q));
  if (result.codes) result.step = std::move(step);
  result.scale = std::move(scale);
  return result;
}

Tensor scaled(const Tensor& values, double factor) {
  std::vector<double> result;
  result.reserve(static_cast<size_t>(values.size()));
  for (const float v : values.f32()) result.push_back(v * factor);
  return Tensor(values.extents(), std::move(result));
}

std::string python_text(const AttributeValue& value) {
  if (value.is_none()) return "None";
  if (value.is_bool()) return value.as_bool() ? "True" : "False";
  if (value.is_integer()) return std::to_string(value.as_integer());
  if (value.is_string()) return value.as_string();
  if (value.is_real()) {
    // repr(float): the shortest digits that read back, with an exponent below 1e-4 and from 1e16.
    const double v = value.as_real();
    if (std::isnan(v)) return "nan";
    if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
    const double a = std::fabs(v);
    const bool scientific = a != 0 && (a < 1e-4 || a >= 1e16);
    char buffer[64];
    const auto end =
        std::to_chars(buffer, buffer + sizeof buffer, v,
                      scientific ? std::chars_format::scientific : std::chars_format::fixed);
    std::string text(buffer, end.ptr);
    if (!scientific && text.find('.') == std::string::npos) text += ".0";
    return text;
  }
  if (value.is_list()) {
    std::string text = "[";
    const auto add = [&](const AttributeValue& v) {
      text += (text.size() > 1 ? ", " : "") + python_text(v);
    };
    if (value.is_integers())
      for (const int64_t v : value.as_integers()) add(v);
    else
      for (const double v : value.as_reals()) add(v);
    return text + "]";
  }
  return value.to_string();
}

std::string python_integer(const Settings& s, std::string_view name) {
  const AttributeValue& v = s[name];
  s.check(v.is_number() && std::fabs(v.as_real()) < 0x1p62, name,
          " cannot be printed as an integer: it is ", v);
  return std::to_string(static_cast<int64_t>(v.as_real()));
}

std::string alpha_text(const Settings& s) {
  const AttributeValue& alpha = s["alpha"];
  if (alpha.is_string()) return "alpha='" + alpha.as_string() + "'";
  if (alpha.is_list()) return "alpha=ListWrapper(" + python_text(alpha) + ")";
  return "alpha=" + python_text(alpha);
}

Attributes pick(const Attributes& arguments, std::initializer_list<std::string_view> names) {
  Attributes result;
  for (const std::string_view name : names) result.set(name, arguments[name]);
  return result;
}

double alpha_bound(const Settings& s) {
  if (s.is_none("alpha") || s.is_text("alpha")) return 1.0;
  const Tensor alpha = s.array("alpha");
  s.check(alpha.size() == 1, "max() and min() need an alpha with one element, found ", s["alpha"]);
  return std::max(1.0, static_cast<double>(alpha.f32()[0]));
}

}  // namespace qloom::quantizers
