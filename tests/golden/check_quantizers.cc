// tests/golden/check_quantizers.cc: bundles of quantizer calls: values, codes, scales, and what
// QKeras prints, saves and bounds; draws of the training phase by their moments. Gradients are not
// checked.
//
// What must agree, and how closely:
//   most classes              y, q, scale and codes bit for bit
//   quantized_po2, relu_po2   the same, but not where `loose` marks inputs next to a threshold
//   binary, ternary, … "auto" codes exactly; the scale is a mean, whose order of summation is open:
//                             3e-7 relative, and y as far as that moves it
//   quantized_ulaw            within 2 ulp (logarithm)
#include <algorithm>
#include <cmath>
#include <set>

#include "graph/builder.h"
#include "graph/interpret.h"
#include "graph/quantizer.h"
#include "graph/support/error.h"
#include "tests/golden/runner.h"
#include "tests/golden/values.h"

namespace qloom::golden {
namespace {

constexpr int64_t kUnknownCode = -2147483648;

const std::set<std::string, std::less<>> kFunctions{
    "hard_sigmoid", "smooth_sigmoid", "binary_sigmoid", "hard_tanh", "smooth_tanh", "binary_tanh"};
const std::set<std::string, std::less<>> kSigns{"binary", "ternary", "stochastic_binary",
                                                "stochastic_ternary"};

InternalSigmoid sigmoid_of(const Json& c) {
  const std::string mode = c.value("internal_sigmoid", "hard");
  return mode == "smooth" ? InternalSigmoid::smooth
         : mode == "real" ? InternalSigmoid::real
                          : InternalSigmoid::hard;
}

class Case {
 public:
  Case(const Bundle& bundle, const Json& c)
      : bundle_(bundle), c_(c), family_(c.at("family").get<std::string>()) {}

  [[nodiscard]] Outcome check() {
    const std::string name = c_.at("name").get<std::string>();
    try {
      const std::string text = kFunctions.contains(family_) ? function() : quantizer();
      return text.empty() ? Outcome::pass(name) : Outcome::fail(name, text);
    } catch (const std::exception& error) {
      return Outcome::fail(name, join_text("unexpected error: ", error.what()));
    }
  }

 private:
  [[nodiscard]] std::string function() const {
    const Tensor x = bundle_.f32(c_.at("x"));
    const Tensor y = bundle_.f32(c_.at("y"));
    const auto nonfinite = [](float v) { return !std::isfinite(v); };
    if (!family_.starts_with("binary_") || std::ranges::none_of(x.f32(), nonfinite))
      return compare("y", evaluate_function(x), y);
    // Values that a function quantizes must be finite: refused as a whole, right without those.
    try {
      static_cast<void>(evaluate_function(x));
      return "NaN or infinity is accepted in a function that quantizes";
    } catch (const UserError&) {
    }
    std::vector<float> finite(x.f32().begin(), x.f32().end());
    std::ranges::replace_if(finite, nonfinite, 0.0f);
    return compare(
        "y", evaluate_function(Tensor(x.extents(), std::move(finite))), y,
        {.ignore = [&](int64_t i) { return nonfinite(x.f32()[static_cast<size_t>(i)]); }});
  }

  [[nodiscard]] Tensor evaluate_function(const Tensor& x) const {
    Builder builder("function");
    Shape shape;
    for (const int64_t extent : x.extents()) shape.push_back(extent);
    const ValueId input = builder.input("x", shape);
    builder.output("y", builder.apply(ActivationFunction{family_}, input));
    const auto results = interpret(builder.finish(), std::vector<Tensor>{x},
                                   EvaluationOptions::preset("eager", Evaluation::qkeras));
    return to_f32(results[0]);
  }

  [[nodiscard]] Attributes arguments() const {
    Attributes result;
    for (const auto& [key, value] : c_.at("kwargs").items())
      result.set(key, to_attribute(bundle_, value));
    return result;
  }

  /// Empty when all agrees, else what does not.
  [[nodiscard]] std::string quantizer() {
    const QuantizerDef* def = find_quantizer(family_);
    if (def == nullptr) return join_text("no quantizer class ", family_);
    const Json error = c_.value("error", Json());
    std::optional<Quantizer> made;
    try {
      made.emplace(*def, arguments());
    } catch (const UserError& refusal) {
      // Refusing when made what QKeras refuses at the call is as good.
      return error.is_null() ? join_text("refused: ", refusal.what()) : "";
    }
    if (!error.is_null() && error.at("at") == "construct")
      return join_text("accepted; QKeras refuses: ", error.at("message").get<std::string>());
    if (c_.value("hook", false)) made->set_trainable_parameter();
    if (c_.contains("attributes_set_after_construction"))
      for (const auto& [key, value] : c_.at("attributes_set_after_construction").items())
        made->set(key, to_attribute(bundle_, value, key == "integer"));
    quantizer_ = &*made;
    if (!error.is_null()) {
      if (std::string text = accessors(nullptr); !text.empty()) return text;
      return refusal_at_call(error);
    }
    const Tensor x = bundle_.f32(c_.at("x"));
    if (c_.at("kind") == "stateful") return three_calls(x);
    if (c_.at("kind") == "statistical") return moments(x);
    Draws draws(1);
    const Quantized got = made->forward(
        x, {.internal_sigmoid = sigmoid_of(c_), .draws = trains() ? &draws : nullptr});
    if (std::string text = numbers(x, got); !text.empty()) return text;
    return accessors(got.scale ? &*got.scale : nullptr);
  }

  [[nodiscard]] bool trains() const { return c_.value("phase", Json()) == 1; }

  /// The reference's means within five of its standard errors of ours, which are taken over so many
  /// draws that their own error counts for nothing; where the reference saw few values, nothing
  /// else is drawn. An element of a probability near 1 may have shown no variance at all: the
  /// variance of our own draws counts too.
  [[nodiscard]] std::string moments(const Tensor& x) const {
    const auto theirs = c_.at("draws").get<int64_t>(), n = 20 * theirs;
    const auto size = static_cast<size_t>(x.size());
    std::vector<double> sums(size, 0), squares(size, 0);
    std::vector<float> seen;
    for (int64_t i = 0; i < n; ++i) {
      Draws draws(Draws::key(20240607, static_cast<uint64_t>(i)));
      const Quantized got =
          quantizer_->forward(x, {.internal_sigmoid = sigmoid_of(c_), .draws = &draws});
      for (size_t k = 0; k < size; ++k) {
        const float v = got.y.f32()[k];
        sums[k] += static_cast<double>(v);
        squares[k] += static_cast<double>(v) * static_cast<double>(v);
        if (seen.size() <= 40 && std::ranges::find(seen, v) == seen.end()) seen.push_back(v);
      }
    }
    const Tensor mean = bundle_.f32(c_.at("mean")), variance = bundle_.f32(c_.at("variance"));
    for (size_t k = 0; k < size; ++k) {
      const double own = sums[k] / static_cast<double>(n);
      const double spread = squares[k] / static_cast<double>(n) - own * own;
      const double v = std::max(static_cast<double>(variance.f32()[k]), spread);
      const double bound = 5 * std::sqrt(v / static_cast<double>(theirs)) + 1e-6;
      if (!(std::abs(own - static_cast<double>(mean.f32()[k])) <= bound))
        return join_text("mean of element ", k, " is ", own, ", expected ", mean.f32()[k], " ± ",
                         bound);
    }
    if (c_.value("distinct", Json()).is_null()) return "";
    const auto distinct = c_.at("distinct").get<std::vector<double>>();
    for (const float v : seen)
      if (std::ranges::none_of(distinct, [&](double d) {
            return std::abs(d - static_cast<double>(v)) <= 2 * ulp_of(d) + 1e-6;
          }))
        return join_text("the value ", v, " is drawn, which the reference never did");
    return "";
  }

  /// The call must be refused, but for two limits of Python that are no limits here.
  [[nodiscard]] std::string refusal_at_call(const Json& error) const {
    const std::string message = error.at("message").get<std::string>();
    const Tensor x = bundle_.f32(c_.at("x"));
    // 1. QKeras compares alpha with a text, which an array, tensor or variable does not survive; a
    //    list of the same numbers works, and here there are only lists.
    const bool array_alpha = c_.contains("alpha_as");
    // 2. binary puts zeros to +1 through a tensor of the wrong shape when rounding is stochastic.
    const bool tie_shape = family_ == "binary" &&
                           quantizer_->arguments()["use_stochastic_rounding"].truthy() &&
                           error.at("type") == "InvalidArgumentError";
    try {
      Draws draws(1);
      const Quantized got = quantizer_->forward(
          x, {.internal_sigmoid = sigmoid_of(c_), .draws = trains() ? &draws : nullptr});
      if (array_alpha || tie_shape)
        return got.y.extents() == x.extents() ? "" : "y has another shape than x";
      return join_text("computed; QKeras refuses: ", error.at("type").get<std::string>(), " ",
                       message);
    } catch (const UserError&) {
      return "";
    }
  }

  /// The classes with a state of their own: the first call sets the scale from the data, and calls
  /// on the same data repeat it.
  [[nodiscard]] std::string three_calls(const Tensor& x) const {
    const Quantized got = quantizer_->forward(x);
    const Tensor y = bundle_.f32(c_.at("y"));
    const Tensor scale = bundle_.f32(c_.at("scale"));
    for (int64_t call = 0; call < 3; ++call) {
      const auto part = [&](const Tensor& all) {
        const auto n = static_cast<size_t>(all.size() / 3);
        const auto values = all.f32().subspan(static_cast<size_t>(call) * n, n);
        return Tensor({all.extents().begin() + 1, all.extents().end()},
                      std::vector<float>(values.begin(), values.end()));
      };
      std::string text = compare(join_text("call ", call, " y"), got.y, part(y));
      if (text.empty())
        text = compare(join_text("call ", call, " scale"), got.scale.value(), part(scale));
      if (!text.empty()) return text;
    }
    return accessors_after_build(*got.scale);
  }

  /// As accessors(), but for what the build adds to the configuration, and for max(), for which
  /// quantized_bits_learnable_po2 takes the exponent rounded up where the data had it rounded down.
  [[nodiscard]] std::string accessors_after_build(const Tensor& scale) const {
    const Attributes config = quantizer_->config();
    for (const auto& [key, value] : config.entries()) {
      const bool built = key == "scale_axis" && value.is_none();
      if (!built && !equals(bundle_, value, c_.at("config").at(key)))
        return join_text("config: ", key, "=", value, ", expected ",
                         c_.at("config").at(key).dump());
    }
    const QuantizerDef& def = quantizer_->def();
    for (const auto& [key, f] : {std::pair{"max", def.max}, std::pair{"min", def.min}}) {
      const Tensor expected = Bundle::is_tensor(c_.at(key))
                                  ? bundle_.f32(c_.at(key))
                                  : Tensor::filled(scale.extents(), c_.at(key).get<float>());
      const auto top = static_cast<float>(f(quantizer_->arguments()));
      std::vector<float> got;
      for (size_t i = 0; i < scale.f32().size(); ++i) {
        const float own = top * scale.f32()[i];
        const bool up = family_ == "quantized_bits_learnable_po2" && expected.f32()[i] == 2 * own;
        got.push_back(up ? 2 * own : own);
      }
      if (std::string text = compare(key, Tensor(scale.extents(), std::move(got)), expected);
          !text.empty())
        return text;
    }
    return "";
  }

  /// The scale is a mean in float32, whose order of summation TensorFlow does not define.
  [[nodiscard]] bool mean_scale() const {
    const AttributeValue* alpha = quantizer_->arguments().find("alpha");
    return kSigns.contains(family_) && alpha != nullptr && alpha->is_string() &&
           alpha->as_string() == "auto";
  }

  [[nodiscard]] std::string numbers(const Tensor& x, const Quantized& got) const {
    Tensor y = bundle_.f32(c_.at("y"));
    constexpr double kMean = 3e-7;
    Tolerance tolerance;
    if (c_.contains("loose")) {
      const Tensor loose = bundle_.f32(c_.at("loose"));
      tolerance.ignore = [loose](int64_t i) { return loose.f32()[static_cast<size_t>(i)] != 0; };
    }
    if (family_ == "quantized_ulaw")
      tolerance.absolute = [y](int64_t i) { return 2 * ulp_of(y.f32()[static_cast<size_t>(i)]); };
    const std::vector<float> q(got.q->f32().begin(), got.q->f32().end());
    if (mean_scale())
      // q moves by 3e-7 of itself; the two additions of x + (q - x) round at most once more each.
      tolerance.absolute = [&x, q](int64_t i) {
        const auto at = static_cast<size_t>(i);
        const double large = std::max(std::fabs(x.f32()[at]), std::fabs(q[at]));
        return kMean * std::fabs(q[at]) + ulp_of(large);
      };
    if (y.extents() != x.extents() && family_ == "binary" && got.y.extents() == x.extents() &&
        y.size() % x.size() == 0) {
      // The tie-break tensor of the wrong shape again: it repeats the last axis of extent 1.
      const int64_t times = y.size() / x.size();
      std::vector<float> first;
      for (int64_t i = 0; i < y.size(); ++i) {
        const float v = y.f32()[static_cast<size_t>(i)];
        if (i % times == 0) first.push_back(v);
        if (v != first.back()) return "y: columns of the reference differ";
      }
      y = Tensor(x.extents(), std::move(first));
    }
    if (std::string text = compare("y", got.y, y, tolerance); !text.empty()) return text;
    if (c_.contains("q") && c_.at("q").is_object()) {
      Tolerance same = tolerance;
      same.absolute = {};
      // The reference took q from (1 - 1)·x + 1·q, which an infinite x spoils.
      same.ignore = [&x, ignore = tolerance.ignore](int64_t i) {
        return !std::isfinite(x.f32()[static_cast<size_t>(i)]) || (ignore && ignore(i));
      };
      if (std::string text = compare("q", *got.q, bundle_.f32(c_.at("q")), same); !text.empty())
        return text;
    }
    const Json& scale = c_.at("scale");
    if (scale.is_null() != !got.scale.has_value())
      return got.scale ? "scale: there is none in QKeras" : "scale: missing";
    if (got.scale) {
      const Tensor expected = bundle_.f32(scale);
      Tolerance close;
      if (mean_scale())
        close.absolute = [expected](int64_t i) {
          return kMean * std::fabs(expected.f32()[static_cast<size_t>(i)]);
        };
      if (std::string text = compare("scale", *got.scale, expected, close); !text.empty())
        return text;
    }
    return c_.contains("codes") ? codes(x, got) : "";
  }

  /// Canonical values code × step, and codes where the steps are the same.
  [[nodiscard]] std::string codes(const Tensor& x, const Quantized& got) const {
    const Tensor expected = bundle_.i64(c_.at("codes"));
    const Tensor step = bundle_.f64(c_.at("step"));
    const auto strides = broadcast_strides(step.extents(), x.extents());
    const auto step_of = [&](const Tensor& t, const std::vector<int64_t>& by, int64_t index) {
      int64_t at = 0;
      for (size_t a = x.extents().size(); a-- > 0;) {
        at += index % x.extents()[a] * by[a];
        index /= x.extents()[a];
      }
      return t.f64()[static_cast<size_t>(at)];
    };
    std::vector<int64_t> own;
    if (got.step) own = broadcast_strides(got.step->extents(), x.extents());
    if (!got.codes && std::ranges::none_of(got.q->f32(), [](float v) { return std::isnan(v); }))
      return "codes: missing";
    for (int64_t i = 0; i < x.size(); ++i) {
      const auto at = static_cast<size_t>(i);
      const int64_t code = expected.i64()[at];
      if (code == kUnknownCode) continue;
      const double wanted = step_of(step, strides, i);
      if (!got.codes) {  // NaN elsewhere in the tensor: the code follows from the value
        const auto derived = std::llrint(static_cast<double>(got.q->f32()[at]) / wanted);
        if (derived != code)
          return difference_text("code", i, x.extents(), static_cast<double>(derived),
                                 static_cast<double>(code));
        continue;
      }
      const double have = step_of(*got.step, own, i);
      const auto mine = static_cast<double>(got.codes->i64()[at]);
      // A step of another power of two counts the same grid in other units.
      // Both are compared as float32: the reference has the double of a given alpha.
      double ratio = static_cast<float>(have) / static_cast<float>(wanted);
      if (mean_scale()) ratio = std::fabs(ratio - 1) <= 3e-7 ? 1.0 : ratio;
      if (mine * ratio != static_cast<double>(code))
        return difference_text("code", i, x.extents(), mine * ratio, static_cast<double>(code));
    }
    return "";
  }

  [[nodiscard]] std::string accessors(const Tensor* scale) const;
  [[nodiscard]] std::string bound(std::string_view key, double (*f)(const Attributes&),
                                  const Tensor* scale) const;
  [[nodiscard]] std::string range(const Tensor* scale) const;
  [[nodiscard]] std::vector<float> range_times_scale(const std::vector<float>& codes,
                                                     const Tensor& scale) const;

  const Bundle& bundle_;
  const Json& c_;
  std::string family_;
  const Quantizer* quantizer_ = nullptr;
};

bool is_error(const Json& value) { return value.is_object() && value.contains("error"); }

/// get_config(), str(), max(), min() and range(), which must raise where QKeras's do.
std::string Case::accessors(const Tensor* scale) const {
  const QuantizerDef& def = quantizer_->def();
  const Attributes& a = quantizer_->arguments();
  // QKeras cannot save a post_training_scale that is no array; there is nothing to compare with.
  if (c_.contains("config") && !is_error(c_.at("config"))) {
    const Attributes config = quantizer_->config();
    if (config.entries().size() != c_.at("config").size())
      return join_text("config: ", config, ", expected ", c_.at("config").dump());
    for (const auto& [key, value] : c_.at("config").items()) {
      const AttributeValue* have = config.find(key);
      if (have == nullptr || !equals(bundle_, *have, value))
        return join_text("config: ", config, ", expected ", c_.at("config").dump());
    }
  }
  // An array prints as NumPy or TensorFlow prints it; here there are only lists.
  if (c_.contains("str") && !c_.contains("alpha_as")) {
    try {
      const std::string text = def.to_string(a);
      if (c_.at("str") != text) return join_text("str: ", text, ", expected ", c_.at("str").dump());
    } catch (const UserError& error) {
      if (!is_error(c_.at("str"))) return join_text("str: ", error.what());
    }
  }
  if (std::string text = bound("max", def.max, scale); !text.empty()) return text;
  if (std::string text = bound("min", def.min, scale); !text.empty()) return text;
  return range(scale);
}

std::string Case::bound(std::string_view key, double (*f)(const Attributes&),
                        const Tensor* scale) const {
  if (!c_.contains(key)) return "";
  const Json& expected = c_.at(std::string(key));
  double value = 0;
  try {
    value = f(quantizer_->arguments());
  } catch (const UserError& error) {
    return is_error(expected) ? "" : join_text(key, ": ", error.what());
  }
  if (is_error(expected))
    return join_text(key, ": ", value, "; QKeras raises ", expected["error"].dump());
  std::vector<float> got{static_cast<float>(value)};
  Extents extents{1};
  if (quantizer_->def().bounds_times_scale && scale != nullptr) {
    got.clear();
    for (const float s : scale->f32()) got.push_back(static_cast<float>(value) * s);
    extents = scale->extents();
  }
  const Tensor wanted = Bundle::is_tensor(expected)
                            ? bundle_.f32(expected)
                            : Tensor({1}, std::vector<float>{expected.get<float>()});
  return compare(key, Tensor(extents, std::move(got)), wanted);
}

/// QKeras multiplies codes and scale as tensors, which works when they broadcast: the last axis of
/// the scale must be 1 or the number of codes. With one signed bit it stacks max() and min().
std::vector<float> Case::range_times_scale(const std::vector<float>& codes,
                                           const Tensor& scale) const {
  const auto s = scale.f32();
  std::vector<float> result;
  const Attributes& a = quantizer_->arguments();
  if (a["bits"].as_integer() == 1 && a["keep_negative"].truthy()) {
    for (const float code : codes)
      for (const float v : s) result.push_back(code * v);
    return result;
  }
  const int64_t last = scale.rank() == 0 ? 1 : scale.extents().back();
  qloom_check(last == 1 || last == std::ssize(codes), "range() of a scale per channel");
  for (size_t i = 0; i < s.size(); i += static_cast<size_t>(last))
    for (size_t k = 0; k < codes.size(); ++k) result.push_back(codes[k] * s[last == 1 ? i : i + k]);
  return result;
}

std::string Case::range(const Tensor* scale) const {
  if (!c_.contains("range") || c_.at("range") == "not stored") return "";
  const Json& expected = c_.at("range");
  const QuantizerDef& def = quantizer_->def();
  if (def.range == nullptr) return "range: missing";
  std::vector<float> got;
  try {
    got = def.range(quantizer_->arguments());
    if (def.bounds_times_scale && scale != nullptr) got = range_times_scale(got, *scale);
  } catch (const UserError& error) {
    return is_error(expected) ? "" : join_text("range: ", error.what());
  }
  if (is_error(expected)) return join_text("range: QKeras raises ", expected["error"].dump());
  const auto n = std::ssize(got);
  const Tensor wanted = bundle_.f32(expected);
  return compare("range", Tensor({n}, std::move(got)),
                 wanted.size() == n ? wanted.reshaped({n}) : wanted);
}

}  // namespace

std::vector<Outcome> check_quantizers(const Bundle& bundle, const RunOptions&,
                                      const Listener& listener) {
  std::vector<Outcome> outcomes;
  for (const Json& c : bundle.cases()) {
    outcomes.push_back(Case(bundle, c).check());
    if (listener) listener(outcomes.back());
  }
  return outcomes;
}

}  // namespace qloom::golden
