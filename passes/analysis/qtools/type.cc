#include "passes/analysis/qtools/type.h"

#include <algorithm>
#include <cmath>

#include "graph/support/error.h"

namespace qloom::qtools {
namespace {

/// A QKeras class that QTools lists.
struct Listed {
  std::string_view class_name;
  QtoolsType (*convert)(const Attributes& a);
  /// Converting the type once more does not copy it.
  bool becomes_ternary = false;
};

int64_t integer(const Attributes& a, std::string_view key) {
  constexpr int64_t kMost = int64_t{1} << 24;  // far beyond any hardware; sums of these stay exact
  const AttributeValue& v = a[key];  // QTools reads a tensor of one element as its element
  const int64_t n = v.is_list() && v.as_reals().size() == 1 ? static_cast<int64_t>(v.as_reals()[0])
                                                            : v.as_integer();
  qloom_check(std::abs(n) <= kMost, "a quantizer has ", key, "=", n, ", at most ", kMost,
              " is possible");
  return n;
}

double max_value(const Attributes& a) {
  return a["max_value"].truthy() ? a["max_value"].as_real() : -1;
}

QtoolsType bits_type(const Attributes& a) {
  return QtoolsType::fixed(integer(a, "bits"), integer(a, "integer"), a["keep_negative"].truthy());
}

QtoolsType relu_type(const Attributes& a) {
  QtoolsType t = QtoolsType::fixed(integer(a, "bits"), integer(a, "integer"),
                                   a["negative_slope"].truthy(), "quantized_relu");
  if (t.bits == 1 && t.int_bits == 1) t.mode = Mode::bit;
  return t;
}

// Its integer bits stay at the initial value of the record: -1.
QtoolsType tanh_type(const Attributes& a) {
  return QtoolsType::fixed(integer(a, "bits"), -1, true, "quantized_tanh");
}

QtoolsType ulaw_type(const Attributes& a) {
  return QtoolsType::fixed(integer(a, "bits"), integer(a, "integer"), true, "quantized_ulaw");
}

constexpr Listed kListed[] = {
    {"quantized_bits", bits_type},
    {"quantized_relu", relu_type},
    {"quantized_tanh", tanh_type, true},
    {"quantized_ulaw", ulaw_type, true},
    {"quantized_po2",
     [](const Attributes& a) { return QtoolsType::po2(integer(a, "bits"), true, max_value(a)); }},
    {"quantized_relu_po2",
     [](const Attributes& a) { return QtoolsType::po2(integer(a, "bits"), false, max_value(a)); }},
    {"ternary", [](const Attributes&) { return QtoolsType::ternary(); }},
    {"stochastic_ternary",
     [](const Attributes&) { return QtoolsType::ternary("stochastic_ternary"); }},
    {"binary", [](const Attributes& a) { return QtoolsType::binary(a["use_01"].truthy()); }},
    {"stochastic_binary",
     [](const Attributes&) { return QtoolsType::binary(false, "stochastic_binary"); }, true},
    {"bernoulli", [](const Attributes&) { return QtoolsType::binary(true, "bernoulli"); }, true},
};

// A subclass of quantized_bits that is not listed itself.
constexpr std::string_view kHswish = "quantized_hswish";

struct ShortName {
  std::string_view name;
  QtoolsType (*type)();
};
constexpr ShortName kShortNames[] = {
    {"fp32", [] { return QtoolsType::floating(32); }},
    {"fp16", [] { return QtoolsType::floating(16); }},
    {"int8", [] { return QtoolsType::fixed(8, 0, true); }},
    {"int16", [] { return QtoolsType::fixed(16, 7, true); }},
    {"int32", [] { return QtoolsType::fixed(32, 10, true); }},
};

const Listed* find_listed(std::string_view class_name) {
  const auto* found = std::ranges::find(kListed, class_name, &Listed::class_name);
  return found == std::end(kListed) ? nullptr : found;
}

}  // namespace

void Context::refuse(std::string_view exception, std::string why) const {
  refusals.push_back({std::string(layer), std::string(exception), std::move(why)});
}

int64_t QtoolsType::exported_int_bits() const {
  if (mode == Mode::ternary) return 2;
  return mode == Mode::fixed && is_signed ? int_bits + 1 : int_bits;
}

std::string QtoolsType::to_string() const {
  if (is_float()) return join_text("float", bits);
  std::string text = join_text(name, " ", exported_bits(), " bits");
  if (mode == Mode::fixed) text += join_text(", ", exported_int_bits(), " integer");
  if (is_po2() && max_value >= 0) text += join_text(", at most ", max_value);
  return text + (is_signed ? ", signed" : ", unsigned");
}

QtoolsType QtoolsType::fixed(int64_t bits, int64_t int_bits, bool is_signed,
                             std::string_view name) {
  return {.name = name, .bits = bits, .int_bits = int_bits, .is_signed = is_signed};
}

QtoolsType QtoolsType::po2(int64_t bits, bool is_signed, double max_value, int64_t int_bits) {
  return {.name = is_signed ? "quantized_po2" : "quantized_relu_po2",
          .mode = Mode::po2,
          .bits = bits,
          .int_bits = int_bits == -1 ? bits : int_bits,
          .is_signed = is_signed,
          .max_value = max_value};
}

QtoolsType QtoolsType::ternary(std::string_view name) {
  return {.name = name, .mode = Mode::ternary, .bits = 2, .int_bits = 2, .is_signed = true};
}

QtoolsType QtoolsType::binary(bool zero_one, std::string_view name) {
  return {.name = name,
          .mode = zero_one ? Mode::bit : Mode::binary,
          .bits = 1,
          .int_bits = 1,
          .is_signed = !zero_one,
          .zero_one = zero_one};
}

QtoolsType QtoolsType::floating(int64_t bits) {
  return {.name = "floating_point", .mode = Mode::floating, .bits = bits, .is_signed = true};
}

QtoolsType int8_type() { return QtoolsType::fixed(8, 0, true); }

bool is_supported(const QuantizerOrFunction& what) {
  if (std::holds_alternative<std::monostate>(what)) return true;
  const auto* q = std::get_if<Quantizer>(&what);
  return q != nullptr && (find_listed(q->name()) != nullptr || q->name() == kHswish);
}

bool has_qkeras_text(const QuantizerOrFunction& what) {
  const auto* q = std::get_if<Quantizer>(&what);
  if (q == nullptr) return true;
  try {
    (void)q->def().to_string(q->arguments());
  } catch (const UserError&) {
    return false;
  }
  return true;
}

QtoolsType convert(const QuantizerOrFunction& what, const QtoolsType& fallback,
                   const Context& context) {
  const auto* q = std::get_if<Quantizer>(&what);
  if (q == nullptr) return fallback;
  if (const Listed* listed = find_listed(q->name())) return listed->convert(q->arguments());
  if (q->name() == kHswish) {
    context.refuse("KeyError",
                   "QTools looks quantized_hswish up by its class and does not have it; taken as "
                   "quantized_bits");
    return QtoolsType::fixed(integer(q->arguments(), "bits"), integer(q->arguments(), "integer"),
                             true);
  }
  return fallback;
}

std::optional<QtoolsType> unlisted_type(const QuantizerOrFunction& what) {
  const auto* q = std::get_if<Quantizer>(&what);
  if (q == nullptr) return std::nullopt;
  const Attributes& a = q->arguments();
  if (q->name() == "quantized_sigmoid") return QtoolsType::fixed(integer(a, "bits"), 0, false);
  if (q->name() == "quantized_linear")
    return QtoolsType::fixed(integer(a, "bits"), integer(a, "integer"),
                             a["keep_negative"].truthy());
  return std::nullopt;
}

QtoolsType convert_text(std::string_view text, const QtoolsType& fallback, const Context& context) {
  if (const auto type = short_name_type(text)) return *type;
  if (text.find('(') == std::string_view::npos) return fallback;
  return convert(parse_quantizer(text), fallback, context);
}

QtoolsType convert_again(const QtoolsType& type) {
  const Listed* listed = find_listed(type.name);
  return listed != nullptr && listed->becomes_ternary ? QtoolsType::ternary("stochastic_ternary")
                                                      : type;
}

std::optional<QtoolsType> short_name_type(std::string_view name) {
  const auto* found = std::ranges::find(kShortNames, name, &ShortName::name);
  if (found == std::end(kShortNames)) return std::nullopt;
  return found->type();
}

std::optional<QtoolsType> named_type(std::string_view name) {
  if (auto type = short_name_type(name)) return type;
  std::string why = "it is no quantizer";
  try {
    const QuantizerOrFunction what = parse_quantizer(name);
    if (const auto* q = std::get_if<Quantizer>(&what); q != nullptr && q->name() != kHswish) {
      const Listed* listed = find_listed(q->name());
      if (listed == nullptr) return std::nullopt;
      return listed->convert(q->arguments());
    }
  } catch (const UserError& error) {
    why = error.what();
  }
  throw UserError(join_text(
      "'", name, "' cannot be a default type: expected fp32, fp16, int8, int16, int32 or a ",
      "quantizer such as quantized_bits(8, 0, 1); ", why));
}

std::optional<BackConversion> to_quantizer(const QtoolsType& t) {
  if (t.is_float()) return std::nullopt;
  BackConversion back{t.name, {}};
  const auto takes = [&](std::string_view key) {
    const QuantizerDef* def = find_quantizer(t.name);
    const auto arguments = def->arguments();
    return std::ranges::find(arguments, key, &ArgumentDef::name) != arguments.end();
  };
  if (takes("bits")) back.arguments.set("bits", t.bits);
  if (takes("integer")) back.arguments.set("integer", t.int_bits);
  if (takes("keep_negative")) back.arguments.set("keep_negative", t.is_signed);
  if (takes("use_01")) back.arguments.set("use_01", t.zero_one);
  if (takes("max_value"))
    back.arguments.set("max_value",
                       t.max_value < 0 ? AttributeValue() : AttributeValue(t.max_value));
  return back;
}

ExponentRange exponent_range(const QtoolsType& t) {
  const auto n = static_cast<double>(t.bits - (t.is_signed ? 1 : 0));  // exponent with its sign
  const double low = std::exp2(n - 1), top = low - 1;
  double high = top;
  if (t.max_value != -1)
    high = t.max_value <= 0 ? 0 : std::min(std::ceil(std::log2(t.max_value)), top);
  return {low, std::max(0.0, high)};
}

QtoolsType to_fixed(const QtoolsType& t) {
  if (!t.is_po2()) return t;
  constexpr int64_t kWidest = 48;  // far beyond any quantizer; keeps the widths in 64 bits
  qloom_check(t.bits <= kWidest, "a power-of-two type of ", t.bits,
              " bits has no fixed point form: at most ", kWidest, " are possible");
  const ExponentRange range = exponent_range(t);
  return QtoolsType::fixed(static_cast<int64_t>((t.is_signed ? 1 : 0) + range.min + range.max),
                           static_cast<int64_t>(range.max), t.is_signed);
}

QtoolsType narrow_to(const QtoolsType& t, double value, bool reset) {
  const bool negative = value < 0;
  const int64_t sign = negative ? 1 : 0;
  int64_t rest = t.bits - sign;
  if (value != 0) {
    const double e = std::log2(std::fabs(value));
    qloom_check(e == std::trunc(e), "the value ", value, " is no power of two");
    if (e == 0)
      rest = 1;
    else if (e > 0)
      rest = static_cast<int64_t>(std::floor(std::log2(e))) + 2;
    else
      rest = static_cast<int64_t>(std::ceil(std::log2(-e))) + 1;
  }
  const int64_t bits = reset ? rest + sign : std::min(t.bits, rest + sign);
  return QtoolsType::po2(bits, negative, std::min(value, t.max_value));
}

}  // namespace qloom::qtools
