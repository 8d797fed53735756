#include "tests/golden/values.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>

#include "graph/support/error.h"

namespace qloom::golden {
namespace {

void flatten(const Bundle& bundle, const Json& value, AttributeValue::Reals& reals) {
  if (Bundle::is_tensor(value)) {
    const Tensor t = bundle.f64(value);
    reals.insert(reals.end(), t.f64().begin(), t.f64().end());
  } else if (value.is_array()) {
    for (const Json& v : value) flatten(bundle, v, reals);
  } else if (value.is_boolean()) {
    reals.push_back(value.get<bool>() ? 1 : 0);
  } else {
    reals.push_back(value.get<double>());
  }
}

bool all_integers(const Json& list) {
  return std::ranges::all_of(list, [](const Json& v) { return v.is_number_integer(); });
}

/// An attribute's numbers; none when it is no number, list or array.
std::optional<AttributeValue::Reals> numbers(const AttributeValue& v) {
  if (v.is_number()) return AttributeValue::Reals{v.as_real()};
  if (v.is_list()) return v.as_reals();
  if (v.is_attributes())
    if (const AttributeValue* values = v.as_attributes().find("values")) return values->as_reals();
  return std::nullopt;
}

}  // namespace

AttributeValue to_attribute(const Bundle& bundle, const Json& value, bool integers) {
  if (value.is_null()) return {};
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array() && all_integers(value)) return value.get<AttributeValue::Integers>();
  if (Bundle::is_tensor(value) || value.is_array()) {
    AttributeValue::Reals reals;
    flatten(bundle, value, reals);
    if (integers) return AttributeValue::Integers(reals.begin(), reals.end());
    Extents extents;
    if (Bundle::is_tensor(value)) {
      extents = value["shape"].get<Extents>();
    } else {
      for (const Json* v = &value; v->is_array() && !v->empty(); v = &v->front())
        extents.push_back(std::ssize(*v));
    }
    if (extents.size() == 1) return reals;
    return AttributeValue(Attributes{{"shape", extents}, {"values", reals}});
  }
  if (value.is_object()) {
    Attributes entries;
    for (const auto& [key, v] : value.items()) entries.set(key, to_attribute(bundle, v));
    return AttributeValue(entries);
  }
  throw UserError(join_text(bundle.path(), ": a value that is no attribute: ", value.dump()));
}

bool equals(const Bundle& bundle, const AttributeValue& got, const Json& expected) {
  if (expected.is_null()) return got.is_none();
  if (expected.is_string()) {
    const std::string text = expected.get<std::string>();
    if (got.is_string()) return got.as_string() == text;
    // What JSON cannot hold is written as text.
    return got.is_real() && ((text == "inf" && got.as_real() > 0 && std::isinf(got.as_real())) ||
                             (text == "nan" && std::isnan(got.as_real())));
  }
  AttributeValue::Reals wanted;
  flatten(bundle, expected, wanted);
  const auto have = numbers(got);
  if (!have || have->size() != wanted.size()) return false;
  const bool array = Bundle::is_tensor(expected) || expected.is_array();
  for (size_t i = 0; i < wanted.size(); ++i) {
    // Arrays are float32 in the library, and came from float32 in the bundle.
    const bool same = array ? static_cast<float>((*have)[i]) == static_cast<float>(wanted[i])
                            : (*have)[i] == wanted[i];
    if (!same) return false;
  }
  return true;
}

int64_t ulps(float a, float b) {
  if (std::isnan(a) && std::isnan(b)) return 0;
  if (std::isnan(a) || std::isnan(b)) return int64_t{1} << 40;
  const auto ordered = [](float v) {
    const auto bits = static_cast<int64_t>(std::bit_cast<int32_t>(v));
    return bits < 0 ? -(bits & 0x7FFFFFFF) : bits;
  };
  return std::abs(ordered(a) - ordered(b));
}

double ulp_of(double v) {
  const auto f = static_cast<float>(std::fabs(v));
  return static_cast<double>(std::nextafter(f, HUGE_VALF)) - static_cast<double>(f);
}

std::string index_text(int64_t index, const Extents& extents) {
  std::vector<int64_t> position(extents.size(), 0);
  for (size_t a = extents.size(); a-- > 0;) {
    const int64_t extent = std::max<int64_t>(extents[a], 1);
    position[a] = index % extent;
    index /= extent;
  }
  return AttributeValue(position).to_string();
}

std::string difference_text(std::string_view what, int64_t index, const Extents& extents,
                            double got, double expected) {
  char numbers[96];
  std::snprintf(numbers, sizeof numbers, "got %.17g, expected %.17g", got, expected);
  return join_text(what, index_text(index, extents), ": ", numbers);
}

std::string compare(std::string_view what, const Tensor& got, const Tensor& expected,
                    const Tolerance& tolerance) {
  const bool single = got.size() == 1 && expected.size() == 1;
  if (!single && got.extents() != expected.extents())
    return join_text(what, ": shape ", AttributeValue(got.extents()), ", expected ",
                     AttributeValue(expected.extents()));
  for (int64_t i = 0; i < got.size(); ++i) {
    if (tolerance.ignore && tolerance.ignore(i)) continue;
    const float a = got.f32()[static_cast<size_t>(i)];
    const float b = expected.f32()[static_cast<size_t>(i)];
    if (ulps(a, b) == 0) continue;
    const double allowed = tolerance.absolute ? tolerance.absolute(i) : 0;
    if (std::fabs(static_cast<double>(a) - static_cast<double>(b)) <= allowed) continue;
    return difference_text(what, i, expected.extents(), a, b);
  }
  return "";
}

}  // namespace qloom::golden
