// graph/ops/quantize.cc — a QKeras quantizer applied to a value.
#include <algorithm>
#include <cmath>

#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/quantizer.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}, {.name = "key", .optional = true}};

Quantizer quantizer_of(const Node& node) {
  const auto a = from_attributes<Quantize>(node.attributes);
  return Quantizer::from_config(a.quantizer, a.arguments);
}

// Integer bits by channel that are all alike are one number: so whoever asks what the quantizer
// does to a value need not know how many channels there are.
void merge_equal_integers(Attributes& arguments) {
  const AttributeValue* value = arguments.find("integer");
  if (value == nullptr || !value->is_list()) return;
  const auto bits = value->as_reals();
  const auto first = bits.empty() ? 0.5 : bits.front();
  if (first != std::rint(first) ||
      !std::all_of(bits.begin(), bits.end(), [&](double b) { return b == first; }))
    return;
  arguments.set("integer", AttributeValue(static_cast<int64_t>(first)));
}

Attributes attrs(const Attributes& given) {
  auto a = from_attributes<Quantize>(given);
  const QuantizerDef* def = find_quantizer(a.quantizer);
  qloom_check(def, "'", a.quantizer, "' is not a quantizer");
  a.arguments = Quantizer(*def, a.arguments).arguments();
  merge_equal_integers(a.arguments);
  return to_attributes(a);
}

QuantizeOptions quantize_options(const EvaluationOptions& o) {
  return {.internal_sigmoid = o.internal_sigmoid, .division = o.division};
}

// The step of one code as scale of a type with this value set, spread to the rank of x.
Scale scale_of_step(const Tensor& step, const Numeric& numeric, int rank) {
  const int fraction = numeric.grid()->fraction;
  std::vector<double> scale;
  for (const double s : step.f64()) scale.push_back(std::ldexp(s, fraction));
  Extents extents(static_cast<size_t>(rank - step.rank()), 1);
  extents.insert(extents.end(), step.extents().begin(), step.extents().end());
  return compressed_scale(std::move(extents), std::move(scale));
}

Scale constant_scale(const InferContext& c, const ScaleRule& rule, const Shape& shape) {
  if (rule.kind == ScaleRule::Kind::none) return {};
  if (rule.constant.size() == 1) return Scale::constant(rule.constant[0]);
  const auto n = static_cast<int64_t>(rule.constant.size());
  check(c, !shape.empty() && shape.back() == Dim(n), "the quantizer has ", n,
        " scales, x has the shape ", to_string(shape));
  Extents extents(shape.size(), 1);
  extents.back() = n;
  return Scale::constant(Tensor(std::move(extents), rule.constant));
}

// Shape of a scale that is computed from data. Which axes are reduced follows from the quantizer's
// arguments, so it is asked with a small batch; an axis that grows with the batch is the batch
// axis.
Shape data_scale_shape(const Quantizer& q, const Shape& shape, const QuantizeOptions& options) {
  const auto ask = [&](int64_t batch) -> Extents {
    const Extents extents = qloom::bind(shape, batch);
    std::vector<float> ramp(static_cast<size_t>(element_count(extents)));
    for (size_t i = 0; i < ramp.size(); ++i) ramp[i] = (static_cast<float>(i % 7) - 3.0F) / 4.0F;
    Draws draws(0);
    QuantizeOptions with_draws = options;
    with_draws.draws = &draws;  // for those that always draw
    const Quantized out = q.forward(Tensor(extents, std::move(ramp)), with_draws);
    return out.step ? out.step->extents() : out.scale ? out.scale->extents() : Extents{};
  };
  const Extents two = ask(2), three = ask(3);
  Shape out;
  for (size_t i = 0; i < two.size(); ++i)
    out.push_back(two[i] == three[i] ? Dim(two[i]) : Dim::batch());
  return out;
}

std::vector<TensorType> infer(const InferContext& c) {
  const TensorType& x = c.operands[0];
  const Quantizer q = quantizer_of(c.node);
  const QuantizeOptions options = quantize_options(c.options);
  const Numeric values = q.values();
  const ScaleRule rule = q.scale();
  if (c.constants[0]) check_finite(c.node, constant_f32(*c.constants[0], x));
  const bool draws = c.operands.size() > 1;
  if (draws) {
    check(c, c.operands[1].shape == Shape{4}, "the key has the shape ",
          to_string(c.operands[1].shape), ", expected [4]: that of a random");
    check(c, q.draws(), q.to_string(), " draws no values");
  }
  try {
    if (draws) {  // half steps, scales of drawn codes: floats
      const TensorType y{x.shape, Numeric::float32(), {}};
      if (rule.kind != ScaleRule::Kind::data || c.constants[0]) return {y};
      return {y, {data_scale_shape(q, x.shape, options), Numeric::float32(), {}}};
    }
    if (rule.kind != ScaleRule::Kind::data)
      return {{x.shape, values, constant_scale(c, rule, x.shape)}};
    const bool two = c.node.results.size() == 2;
    if (c.constants[0]) {
      const Quantized out = q.forward(constant_f32(*c.constants[0], x), options);
      TensorType type{x.shape, Numeric::float32(), {}};
      if (out.codes && out.step && values.grid())
        type = {x.shape, values, scale_of_step(*out.step, values, x.rank())};
      if (!two) return {type};
      const Extents e = out.step    ? out.step->extents()
                        : out.scale ? out.scale->extents()
                                    : Extents{};
      return {type, {Shape(e.begin(), e.end()), Numeric::float32(), {}}};
    }
    const TensorType scale{data_scale_shape(q, x.shape, options), Numeric::float32(), {}};
    if (values.is_float32()) return {{x.shape, values, {}}, scale};
    return {{x.shape, values, Scale::dynamic(c.results[1])}, scale};
  } catch (const UserError& e) {
    const std::string own = label(c.node);
    if (std::string_view(e.what()).starts_with(own)) throw;
    fail(c, e.what());
  }
}

std::vector<float> canonical_values(const Quantized& out) {
  if (!out.codes || !out.step) {
    const Tensor& t = out.q ? *out.q : out.y;
    return {t.f32().begin(), t.f32().end()};
  }
  const Extents& extents = out.codes->extents();
  std::vector<float> values(static_cast<size_t>(out.codes->size()));
  const auto codes = out.codes->i64();
  const auto step = out.step->f64();
  const std::vector<int64_t> none(extents.size(), 0);
  for_each_offset(extents, broadcast_strides(out.step->extents(), extents), none,
                  [&](int64_t i, int64_t s, int64_t) {
                    const auto at = static_cast<size_t>(i);
                    values[at] = static_cast<float>(static_cast<double>(codes[at]) *
                                                    step[static_cast<size_t>(s)]);
                  });
  return values;
}

RuntimeValue scale_result(const EvaluateContext& c, const Quantizer& q, const Quantized& out) {
  const Numeric values = q.values();
  if (out.step && values.grid()) {
    std::vector<float> scale;
    for (const double s : out.step->f64())
      scale.push_back(static_cast<float>(std::ldexp(s, values.grid()->fraction)));
    return result(c, out.step->extents(), std::move(scale), 1);
  }
  const Tensor scale = out.scale ? *out.scale : Tensor::scalar(1.0F);
  return result(c, scale.extents(), std::vector<float>(scale.f32().begin(), scale.f32().end()), 1);
}

/// Refuses what is finite and too large for the quantizer's float32 arithmetic: QKeras gets NaN.
void check_overflow(const Node& node, const Quantizer& q, const Tensor& x,
                    const Tensor& quantized) {
  for (size_t i = 0; i < x.f32().size(); ++i)
    if (!std::isfinite(quantized.f32()[i]))
      throw UserError(join_text(label(node), ": ", x.f32()[i], " is too large for ", q.to_string(),
                                ", whose float32 arithmetic overflows"));
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const Quantizer q = quantizer_of(c.node);
  const Tensor x = to_f32(c.operands[0]);
  check_finite(c.node, x);
  QuantizeOptions options = quantize_options(c.options);
  std::optional<Draws> draws;
  if (c.operands.size() > 1) {
    uint64_t key = 0;
    const Tensor parts = to_f32(c.operands[1]);
    for (int64_t i = 0; i < parts.size(); ++i)
      key |= static_cast<uint64_t>(parts.f32()[static_cast<size_t>(i)]) << (16 * i);
    draws.emplace(key);
    options.draws = &*draws;
  }
  const Quantized out = q.forward(x, options);
  std::vector<RuntimeValue> results;
  if (c.options.evaluation == Evaluation::qkeras || draws) {
    results.push_back(
        result(c, x.extents(), std::vector<float>(out.y.f32().begin(), out.y.f32().end())));
  } else if (wants_codes(c)) {
    if (!out.codes) check_overflow(c.node, q, x, out.y);
    qloom_assert(out.codes, label(c.node), ": ", q.to_string(), " gives no codes for ",
                 c.results[0]);
    results.push_back(result(
        c, x.extents(), std::vector<int64_t>(out.codes->i64().begin(), out.codes->i64().end())));
  } else {
    results.push_back(result(c, x.extents(), canonical_values(out)));
  }
  if (c.results.size() == 2) results.push_back(scale_result(c, q, out));
  return results;
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType> results) {
  return {.other = elements_per_sample(results[0].shape)};
}

std::vector<Direction> direction(const Node& node, int, std::span<const TensorType>,
                                 std::span<const Node* const>) {
  return {quantizer_of(node).is_monotone() ? Direction::up : Direction::none};
}

// A scale from data is taken over the whole batch, and a stream is for the whole batch.
bool whole_batch(const Node& node) { return node.results.size() == 2 || node.operands.size() > 1; }

}  // namespace

extern constinit const OpDef quantize{
    .name = "quantize",
    .doc =
        "A QKeras quantizer; with a key it draws. Where its scale comes from data and x is no "
        "constant, the scale is a "
        "second result.",
    .operands = kOperands,
    .attrs = attrs,
    .infer = infer,
    .evaluate = evaluate,
    .count = count,
    .direction = direction,
    .whole_batch = whole_batch};

}  // namespace qloom::ops
