// bindings/import/layers/adaptive_activation.cc: quantized_bits or quantized_relu whose integer
// bits follow moving averages of the smallest and the largest activation.
//
//   y       = quantizer(x) with the integer bits that the call before left (the plain activation
//             before quantization_delay steps of training)
//   ema_min -= (ema_min - min(plain x))·(1 - ema_decay), likewise the maximum, in training; with
//             ema_freeze_delay in every call until that many steps
//   integer = bits that hold [ema_min, ema_max]
//
// Where the graph keeps no state the averages are as stored, and the integer bits follow from them:
// what QKeras gives from the second call on. A file holds no integer bits, so its first call has 0.
//
// Integer bits that are state are a power of two in front of and behind a quantizer without integer
// bits: products with powers of two are exact.
// Source: QKeras qkeras/qlayers.py, QAdaptiveActivation; quantizers.py, _get_integer_bits.
#include <algorithm>
#include <functional>

#include "bindings/import/statistics.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"QAdaptiveActivation"};
constexpr std::string_view kKeys[] = {"activation",       "total_bits",      "current_step",
                                      "symmetric",        "ema_decay",       "quantization_delay",
                                      "ema_freeze_delay", "per_channel",     "po2_rounding",
                                      "relu_neg_slope",   "relu_upper_bound"};

std::vector<std::string_view> weights(const ConfigView&) { return {"step", "ema_min", "ema_max"}; }

struct Adaptive {
  bool is_relu = false;
  int64_t bits = 0;
  bool symmetric = true;
  bool per_channel = false;
  bool po2_rounding = false;
  double slope = 0;
  std::optional<double> upper_bound;
  double decay = 0.9999;
  int64_t quantization_delay = 0;
  int64_t freeze_delay = 0;  // 0: never
  bool counts = false;       // its own steps: what no optimizer's counter was given to begins at -1
  [[nodiscard]] bool keeps_negative() const { return !is_relu || slope != 0; }
  [[nodiscard]] int64_t unsigned_bits() const { return bits - (keeps_negative() ? 1 : 0); }
};

Adaptive read(const LayerBuilder& layer) {
  Adaptive a;
  const ConfigView activation = layer.config("activation");
  const auto word = activation.as_choice({"quantized_bits", "quantized_relu"});
  a.is_relu = word == "quantized_relu";
  a.bits = layer.config("total_bits").as_positive();
  a.symmetric = layer.config("symmetric").bool_or(true);
  a.per_channel = layer.config("per_channel").bool_or(false);
  a.po2_rounding = layer.config("po2_rounding").bool_or(false);
  a.slope = a.is_relu ? layer.config("relu_neg_slope").real_or(0) : 0;
  if (const ConfigView bound = layer.config("relu_upper_bound"); a.is_relu && !bound.is_none())
    a.upper_bound = bound.as_real();
  a.decay = layer.config("ema_decay").real_or(0.9999);
  const auto count = [&](std::string_view key) {
    const ConfigView view = layer.config(key);
    return view.is_none() ? int64_t{0} : view.as_integer();
  };
  a.quantization_delay = count("quantization_delay");
  a.freeze_delay = count("ema_freeze_delay");
  const ConfigView step = layer.config("current_step");
  a.counts = step.is_none() || step.as_real() < 0;  // a float variable in qkeras-v3
  if (a.unsigned_bits() < 1) layer.config("total_bits").fail("no bit is left beside the sign");
  return a;
}

// The quantizer with these integer bits: one number, or one for each channel.
Quantizer quantizer_of(const Adaptive& a, const AttributeValue& integer) {
  if (!a.is_relu)
    return Quantizer::from_config("quantized_bits", {{"bits", a.bits},
                                                     {"integer", integer},
                                                     {"symmetric", a.symmetric},
                                                     {"keep_negative", true},
                                                     {"alpha", 1.0}});
  Attributes arguments{{"bits", a.bits},
                       {"integer", integer},
                       {"negative_slope", a.slope},
                       {"is_quantized_clip", false}};
  if (a.upper_bound) arguments.set("relu_upper_bound", *a.upper_bound);
  return Quantizer::from_config("quantized_relu", arguments);
}

// What the quantizer gives without quantization.
Term plain(const Adaptive& a, LayerBuilder& layer, Expressions& e) {
  const ValueId x = layer.input();
  if (!a.is_relu) return e(x);
  ops::Activation relu{.function = a.slope == 0 ? "relu" : "leaky_relu", .negative_slope = a.slope};
  const Term y = e(layer.graph.activation(x, relu, layer.name("plain")));
  return a.upper_bound ? e.minimum(y, e.constant(*a.upper_bound)) : y;
}

// Integer bits that hold values from `low` to `high`.
Term integer_bits(const Adaptive& a, Expressions& e, Term low, Term high) {
  const Term zero = e.constant(0);
  const auto ub = static_cast<double>(a.unsigned_bits());
  if (!a.keeps_negative()) {
    low = e.maximum(low, zero);
    high = e.maximum(high, zero);
  }
  // log2 of 0 is minus infinity, which is no more than 0.
  const auto magnitude = [&](Term v) {
    return e.apply(a.po2_rounding ? "round" : "ceil",
                   e.maximum(e.apply("log2", e.apply("abs", v)), zero));
  };
  Term low_bits = magnitude(low), high_bits = magnitude(high);
  if (!a.po2_rounding) {
    // The largest code of so many bits; one bit more for what lies above.
    const auto top = [&](Term bits) {
      return e.apply("exp2", bits) - e.apply("exp2", e.minimum(bits - ub, zero));
    };
    high_bits = high_bits + e.is_above(high, top(high_bits));
    if (a.symmetric) low_bits = low_bits + e.is_above(0.0 - top(low_bits), low);
  }
  return e.minimum(e.constant(ub), e.maximum(low_bits, high_bits));
}

// The quantizer with integer bits that are a value: q(x·2^-i)·2^i.
Term scaled(const Adaptive& a, LayerBuilder& layer, Expressions& e, Term integer) {
  Adaptive unit = a;
  unit.upper_bound = std::nullopt;  // applied behind
  const Term small = e(layer.input()) * e.apply("exp2", 0.0 - integer);
  const ValueId q = layer.graph.quantize(quantizer_of(unit, 0), small.id, layer.name("quantizer"));
  const Term y = e(q) * e.apply("exp2", integer);
  return a.upper_bound ? e.minimum(y, e.constant(*a.upper_bound)) : y;
}

ValueId build(LayerBuilder& layer) {
  const Adaptive a = read(layer);
  const Shape shape = layer.shape(layer.input());
  const int64_t channels = a.per_channel ? shape.back().extent() : 1;
  const std::string_view axes = a.per_channel ? "input channels" : "one range";
  Expressions e(layer, "range");
  Term low = e(layer.statistic("ema_min", {channels}, axes));
  Term high = e(layer.statistic("ema_max", {channels}, axes));
  Term step = e(layer.statistic("step", {}, "one counter"));
  if (!layer.keeps_state()) {
    const Tensor values = e.values(integer_bits(a, e, low, high));
    AttributeValue::Integers bits;
    for (const float v : values.f32()) bits.push_back(static_cast<int64_t>(v));
    const bool all_alike =
        std::adjacent_find(bits.begin(), bits.end(), std::not_equal_to<>()) == bits.end();
    const AttributeValue integer = all_alike ? AttributeValue(bits.front()) : AttributeValue(bits);
    return layer.graph.quantize(quantizer_of(a, integer), layer.input(), layer.name());
  }
  const bool is_training = layer.is_training();
  if (is_training && a.counts) {
    step = step + 1.0;
    layer.set_state("step", step.id);
  }
  const Term integer = e(layer.state("integer", Tensor::filled({channels}, 0.0F)));
  const Term x = plain(a, layer, e);
  Term y = scaled(a, layer, e, integer);
  if (is_training && a.quantization_delay > 0)
    y = e.choose(e.is_above(step, e.constant(static_cast<double>(a.quantization_delay) - 0.5)), y,
                 x);
  const bool freezes = a.freeze_delay != 0 && layer.config("trainable").bool_or(true);
  if (is_training || freezes) {
    ops::Reduce reduce{.kind = ops::ReduceKind::min, .axes = {}, .over_batch = true};
    for (int64_t k = 0; k < std::ssize(shape) - (a.per_channel ? 1 : 0); ++k)
      reduce.axes.push_back(k);
    const float rate = 1.0F - static_cast<float>(a.decay);
    const auto follow = [&](std::string_view name, Term average) {
      const Term extreme = e.reshape(e.reduce(x, reduce), {channels});
      Term next = moved(average, extreme, rate);
      if (freezes)
        next = e.choose(e.is_above(step, e.constant(static_cast<double>(a.freeze_delay) + 0.5)),
                        average, next);
      layer.set_state(name, next.id);
      return next;
    };
    low = follow("ema_min", low);
    reduce.kind = ops::ReduceKind::max;
    high = follow("ema_max", high);
  }
  layer.set_state("integer", integer_bits(a, e, low, high).id);
  return layer.named(y.id);
}

}  // namespace

extern constinit const LayerDef adaptive_activation{
    .class_names = kClasses,
    .doc = "A quantizer whose integer bits follow moving averages of the activation's range.",
    .keys = kKeys,
    .training = "ranges follow the batch, delays, integer bits of the call before",
    .weights = weights,
    .build = build};

}  // namespace qloom::keras::layers
