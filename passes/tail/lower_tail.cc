#include "passes/tail/lower_tail.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/tail/body_function.h"
#include "passes/tail/code_forms.h"
#include "passes/tail/fold_scales.h"
#include "passes/tail/reference_order.h"
#include "passes/tail/tail_builder.h"

// Each value of the body is lowered on demand, as an integer code or as float32:
//   1. a code that is a function of the source, or a quantizer's code as a function of what it
//      quantizes: thresholds or scale and round (code_forms.h)
//   2. sums, differences, minima and maxima of codes on a common grid: integers
//   3. else float32 in reference order (reference_order.h); its code is value / step, exact on a
//      power-of-two grid
// The cheaper of both forms of 1: a threshold costs two operations, scale and round six or seven.

namespace qloom::passes {
namespace {

using kernels::Storage;
using kernels::Tail;
using kernels::TailOp;

constexpr int kCheapThresholds = 3, kThresholds = 15, kAnyThresholds = 255, kChanges = 64;
constexpr int64_t kExact = int64_t{1} << 24;

struct Refusal {
  std::string reason;
};
template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  throw Refusal{join_text(parts...)};
}

/// One step, or one for each of the channels, which the last axis has.
std::vector<double> steps_of(const TensorType& type) {
  const Tensor step = type.step();
  if (channels_of_constant(step.extents()) < 0)
    refuse("the scale of ", type, " varies along another axis than the last");
  return {step.f64().begin(), step.f64().end()};
}

bool is_power_of_two(double v) {
  int exponent;
  return v > 0 && std::frexp(v, &exponent) == 0.5 && exponent > -120 && exponent < 120;
}

class Lowering {
 public:
  explicit Lowering(const TailRequest& request)
      : request_(request),
        body_(*request.region->body),
        source_(tail_source(body_)),
        operands_(tail_operands(body_)),
        builder_(channels()) {}

  Tail run() {
    for (size_t i = 0; i < operands_.size(); ++i)
      builder_.tail().operands.push_back(
          {.type = body_.type(body_.inputs()[static_cast<size_t>(operands_[i])]),
           .storage = request_.operand_storages[i]});
    for (const auto& [result, storage] : request_.outputs) {
      const ValueId value = body_.outputs()[static_cast<size_t>(result)].value;
      const TensorType& type = body_.type(value);
      const int step = storage.kind == Storage::Kind::f32 ? f32(value) : code(value);
      builder_.tail().outputs.push_back(
          {.step = step, .type = type, .storage = storage, .value_index = result});
    }
    builder_.prune();
    const bool integers = root_of(body_) != nullptr && body_.type(source_).has_codes();
    Tail tail = integers ? fold_scales(builder_.tail(), channels()) : std::move(builder_.tail());
    for (const std::string& form : forms_) tail.form += (tail.form.empty() ? "" : ", ") + form;
    if (tail.form.empty()) tail.form = "codes";
    for (const std::string& proof : proofs_) tail.proof += (tail.proof.empty() ? "" : "; ") + proof;
    return tail;
  }

 private:
  [[nodiscard]] int64_t channels() const { return body_.type(source_).shape.back().extent(); }
  void note(const std::string& form) {
    if (std::find(forms_.begin(), forms_.end(), form) == forms_.end()) forms_.push_back(form);
  }

  /// The tail operand that a body input is, or -1.
  [[nodiscard]] int operand_index(ValueId value) const {
    for (size_t i = 0; i < operands_.size(); ++i)
      if (body_.inputs()[static_cast<size_t>(operands_[i])] == value) return static_cast<int>(i);
    return -1;
  }
  /// Step and storage of a value that is read, not computed; -1 if it is computed.
  struct Read {
    int step = -1;
    bool is_f32 = false;
  };
  Read read(ValueId value) {
    if (value == source_) {
      const bool rooted = root_of(body_) != nullptr;
      return {builder_.accumulator(), rooted ? !body_.type(source_).has_codes()
                                             : request_.input_storage.kind == Storage::Kind::f32};
    }
    const int index = operand_index(value);
    if (index < 0) return {};
    return {builder_.operand(index),
            request_.operand_storages[static_cast<size_t>(index)].kind == Storage::Kind::f32};
  }

  int code(ValueId value) {
    if (const auto it = codes_.find(value); it != codes_.end()) return it->second;
    const int step = lower_code(value);
    codes_.emplace(value, step);
    return step;
  }

  int f32(ValueId value) {
    if (const auto it = floats_.find(value); it != floats_.end()) return it->second;
    const int step = lower_f32(value);
    floats_.emplace(value, step);
    return step;
  }

  int lower_code(ValueId value) {
    const TensorType& type = body_.type(value);
    if (!type.has_codes()) refuse("value ", type, " has no codes");
    const Read given = read(value);
    if (given.step >= 0) return given.is_f32 ? code_of(given.step, type) : given.step;
    if (const Node* constant = body_.constant_of(value)) {
      std::vector<int32_t> codes;
      for (int64_t c : constant->constant->i64()) {
        if (c < INT32_MIN || c > INT32_MAX)
          refuse("constant '", constant->name, "' ", type, " leaves 32 bits");
        codes.push_back(static_cast<int32_t>(c));
      }
      return builder_.constant(std::move(codes));
    }
    const Node& node = body_.producer(value);
    if (node.op == &ops::quantize || !has_reference_form(node)) return function_code(node, value);
    // Of two codes a threshold decides, where what comes before leads to one.
    if (node.op == &ops::activation && type.numeric.grid()->hi - type.numeric.grid()->lo <= 2) {
      try {
        return function_code(node, value);
      } catch (const Refusal&) {
      }
    }
    if (const auto step = common_grid(node, value)) return *step;
    if (const auto step = selected_code(node, value)) return *step;
    if (const auto step = integer_relu(node, value)) return *step;
    return code_of(f32(value), type);
  }

  /// A code that no float32 operations of the tail make: a function of the source, or of a value in
  /// between.
  int function_code(const Node& node, ValueId value) {
    const auto attempt = [&](ValueId source, int max_rows, int max_changes) -> std::optional<int> {
      try {
        return code_function(source, value, max_rows, max_changes);
      } catch (const Refusal&) {
        return std::nullopt;  // the source itself has no form
      }
    };
    const TensorType& type = body_.type(value);
    const auto grid = *type.numeric.grid();
    const int64_t codes = grid.hi - grid.lo;
    const ValueId x = node.operands[0];
    const bool of_floats = !body_.type(source_).has_codes();
    // A rounding quantizer of a float as such …
    if (of_floats && codes > kCheapThresholds)
      if (const auto step = rounding(node, value)) return *step;
    // … the source as a whole, where that is short: many codes of a float behind other operations
    // have no short form, and looking for their thresholds in 2^32 floats takes long …
    if (!of_floats || x == source_ || codes <= kThresholds)
      if (const auto step = attempt(source_, kThresholds, 0)) return *step;
    if (!of_floats)
      if (const auto step = rounding(node, value)) return *step;
    // … of what comes before, the nearest first …
    for (ValueId x = node.operands[0]; x != source_ && operand_index(x) < 0;) {
      if (const auto step = attempt(x, kAnyThresholds, kChanges)) return *step;
      const Node& before = body_.producer(x);
      const auto variable = std::find_if(before.operands.begin(), before.operands.end(),
                                         [&](ValueId v) { return !is_constant(body_, v); });
      if (variable == before.operands.end()) break;
      x = *variable;
    }
    // … or of the source however long it is.
    if (const auto step = attempt(source_, kAnyThresholds, kChanges)) return *step;
    refuse(node.op->name, " '", node.name, "' of ", body_.type(node.operands[0]),
           ": its codes are neither monotone nor few enough to enumerate, or no form agrees with "
           "them");
  }

  /// clamp(round(x / step)) of the float that a quantizer takes.
  std::optional<int> rounding(const Node& node, ValueId value) {
    if (node.op != &ops::quantize || !body_.type(value).scale.is_per_tensor()) return std::nullopt;
    const BodyFunction function =
        BodyFunction(body_, node.operands[0], request_.options).over_floats();
    try {
      int64_t evaluated = 0;
      const auto step = lower_rounding(builder_, f32(node.operands[0]), function, value,
                                       float_interval(function, {value}), evaluated);
      if (!step) return std::nullopt;
      note("scale and round");
      proofs_.push_back(
          join_text("monotone, asked on both sides of every threshold: ", evaluated, " points"));
      return step;
    } catch (const Refusal&) {
      return std::nullopt;  // the float itself has no form
    }
  }

  static bool has_reference_form(const Node& node) {
    return node.op != &ops::activation ||
           passes::has_reference_form(from_attributes<ops::Activation>(node.attributes).function);
  }

  int lower_f32(ValueId value) {
    const TensorType& type = body_.type(value);
    const Read given = read(value);
    if (given.step >= 0) return given.is_f32 ? given.step : value_of(given.step, type);
    if (const Node* constant = body_.constant_of(value))
      return builder_.constant(constant_values(body_, *constant, request_.options));
    const Node& node = body_.producer(value);
    if (type.has_codes() && (node.op == &ops::quantize || !has_reference_form(node)))
      return value_of(code(value), type);
    if (node.op == &ops::select) {
      const int condition = code(node.operands[0]), a = f32(node.operands[1]);
      return builder_.step(TailOp::select, condition, a, f32(node.operands[2]));
    }
    std::vector<int> operands;
    for (ValueId operand : node.operands)
      operands.push_back(is_constant(body_, operand) ? -1 : f32(operand));
    const auto lowered = lower_in_reference_order({.builder = builder_,
                                                   .body = body_,
                                                   .node = node,
                                                   .operands = operands,
                                                   .options = request_.options});
    if (lowered.step < 0) refuse("no form for ", lowered.reason);
    note("float32 in reference order");
    return lowered.step;
  }

  /// Code → the float32 nearest to code × step.
  int value_of(int step, const TensorType& type) {
    const auto grid = *type.numeric.grid();
    const bool exact = grid.lo >= -kExact && grid.hi <= kExact;
    std::vector<float> factors;
    bool ones = true;
    for (double s : steps_of(type)) {
      const auto f = static_cast<float>(s);
      // One product of exact factors is rounded once, as the reference's; a power of two rounds
      // nothing, so there the code may be rounded before.
      if (!is_power_of_two(s) && !(exact && static_cast<double>(f) == s))
        refuse("value ", type, ": its step ", s, " is no float32, or its codes leave 2^24");
      factors.push_back(f);
      ones = ones && s == 1;
    }
    const int value = builder_.step(TailOp::to_f32, step);
    return ones ? value
                : builder_.step(TailOp::multiply, value, builder_.constant(std::move(factors)));
  }

  /// A float32 that lies on a grid → its code.
  int code_of(int step, const TensorType& type) {
    std::vector<float> factors;
    bool ones = true;
    for (double s : steps_of(type)) {
      if (!is_power_of_two(s)) refuse("value ", type, ": its step ", s, " is no power of two");
      factors.push_back(static_cast<float>(1 / s));
      ones = ones && s == 1;
    }
    if (!ones) step = builder_.step(TailOp::multiply, step, builder_.constant(std::move(factors)));
    return builder_.step(TailOp::to_int, step);
  }

  /// Integers on the result's grid, for operands that have codes without float arithmetic.
  std::optional<int> common_grid(const Node& node, ValueId value) {
    if (node.op != &ops::elementwise) return std::nullopt;
    const auto kind = from_attributes<ops::ElementwiseOp>(node.attributes).kind;
    TailOp op;
    switch (kind) {
      case ops::Elementwise::add:
        op = TailOp::add;
        break;
      case ops::Elementwise::subtract:
        op = TailOp::subtract;
        break;
      case ops::Elementwise::maximum:
        op = TailOp::maximum;
        break;
      case ops::Elementwise::minimum:
        op = TailOp::minimum;
        break;
      case ops::Elementwise::multiply:
        return product_of_codes(node, value);
      default:
        return std::nullopt;
    }
    const TensorType& type = body_.type(value);
    if (!type.scale.is_per_tensor()) return std::nullopt;
    const double unit = steps_of(type)[0];
    const auto a = code_in_units(node.operands[0], unit), b = code_in_units(node.operands[1], unit);
    if (!a || !b) return std::nullopt;
    note("integers on a common grid");
    return builder_.step(op, *a, *b);
  }

  /// A code as a multiple of `unit`, of which its steps are powers of two.
  std::optional<int> code_in_units(ValueId value, double unit) {
    const TensorType& type = body_.type(value);
    if (!type.has_codes()) return std::nullopt;
    std::vector<int32_t> shifts;
    for (const double s : steps_of(type)) {
      const double ratio = s / unit;
      if (!is_power_of_two(ratio) || ratio < 1 || ratio > static_cast<double>(kExact))
        return std::nullopt;
      shifts.push_back(std::countr_zero(static_cast<uint32_t>(ratio)));
    }
    const bool none = std::ranges::all_of(shifts, [](int32_t s) { return s == 0; });
    const int step = code(value);
    return none ? step
                : builder_.step(TailOp::shift_left, step, builder_.constant(std::move(shifts)));
  }

  /// One of two codes on the result's grid.
  std::optional<int> selected_code(const Node& node, ValueId value) {
    const TensorType& type = body_.type(value);
    if (node.op != &ops::select || !type.scale.is_per_tensor()) return std::nullopt;
    const double unit = steps_of(type)[0];
    const auto a = code_in_units(node.operands[1], unit), b = code_in_units(node.operands[2], unit);
    if (!a || !b) return std::nullopt;
    note("integers on a common grid");
    return builder_.step(TailOp::select, code(node.operands[0]), *a, *b);
  }

  /// The product of both codes, for operands whose steps make the result's: an average's 1/count.
  std::optional<int> product_of_codes(const Node& node, ValueId value) {
    const TensorType& type = body_.type(value);
    if (!type.has_codes() || !type.scale.is_per_tensor()) return std::nullopt;
    double step = 1;
    for (ValueId operand : node.operands) {
      const TensorType& t = body_.type(operand);
      if (!t.has_codes() || !t.scale.is_per_tensor()) return std::nullopt;
      step *= steps_of(t)[0];
    }
    if (step != steps_of(type)[0]) return std::nullopt;
    std::vector<int> factors;
    for (ValueId operand : node.operands) {
      const Node* constant = body_.constant_of(operand);
      if (constant != nullptr &&
          std::ranges::all_of(constant->constant->i64(), [](int64_t c) { return c == 1; }))
        continue;
      factors.push_back(code(operand));
    }
    if (factors.empty()) return std::nullopt;
    note("integers on a common grid");
    return factors.size() == 1 ? factors[0]
                               : builder_.step(TailOp::multiply, factors[0], factors[1]);
  }

  /// clip(code, 0, code of max_value), for a relu whose operand has the same step.
  std::optional<int> integer_relu(const Node& node, ValueId value) {
    if (node.op != &ops::activation) return std::nullopt;
    const auto relu = from_attributes<ops::Activation>(node.attributes);
    const TensorType &x = body_.type(node.operands[0]), &y = body_.type(value);
    if (relu.function != "relu" || relu.negative_slope != 0 || relu.threshold != 0 ||
        !x.has_codes() || steps_of(x) != steps_of(y))
      return std::nullopt;
    note("integers on a common grid");
    int step = builder_.step(TailOp::maximum, code(node.operands[0]), builder_.integer(0));
    if (relu.max_value)
      step = builder_.step(TailOp::minimum, step,
                           builder_.integer(static_cast<int32_t>(y.numeric.grid()->hi)));
    return step;
  }

  /// Transitions of `value` as a function of `source`; none where it is no such function or they
  /// cannot be found.
  const std::optional<Transitions>& transitions(ValueId source, ValueId value) {
    const BodyFunction function(body_, source, request_.options);
    KnownTransitions& known = request_.known != nullptr ? *request_.known : known_;
    return known.find(function, value, request_.exhaustive_limit, [&] {
      return source == source_ ? source_interval(request_) : value_interval(function, value);
    });
  }

  [[nodiscard]] Interval value_interval(const BodyFunction& function, ValueId value) const {
    const TensorType& type = body_.type(function.source());
    if (!type.has_codes()) return float_interval(function, {{value}});
    const auto grid = *type.numeric.grid();
    return {{grid.lo}, {grid.hi}};
  }

  std::optional<int> code_function(ValueId source, ValueId value, int max_rows, int max_changes) {
    const auto& found = transitions(source, value);
    if (!found) return std::nullopt;
    const int rows = threshold_rows(*found);
    const double unit = steps_of(body_.type(value))[0];
    const auto x = [&] { return found->source_is_f32 ? f32(source) : code(source); };
    std::optional<int> step;
    std::string form = "thresholds";
    if (rows >= 0 && rows <= kCheapThresholds)
      step = lower_thresholds(builder_, x(), *found, kCheapThresholds);
    if (!step) {
      step = lower_scale_and_round(builder_, x(), *found, unit, request_.fused_multiply_add);
      form = "scale and round";
    }
    if (!step) {
      step = lower_thresholds(builder_, x(), *found, max_rows);
      form = "thresholds";
    }
    if (!step) {
      step = lower_changes(builder_, x(), *found, max_changes);
      form = "thresholds of rising and falling codes";
    }
    if (!step) return std::nullopt;
    note(form);
    int64_t thresholds = 0;
    for (const auto& channel : found->channels)
      thresholds += static_cast<int64_t>(channel.steps.size());
    proofs_.push_back(join_text(found->monotone ? "monotone, bisected" : "enumerated", ": ",
                                thresholds, " thresholds in ", found->channels.size(),
                                " channels, ", found->evaluated, " points"));
    return step;
  }

  const TailRequest& request_;
  const Graph& body_;
  ValueId source_;
  std::vector<int> operands_;
  TailBuilder builder_;
  std::map<ValueId, int> codes_, floats_;
  KnownTransitions known_;  ///< where the request has none
  std::vector<std::string> forms_, proofs_;
};

}  // namespace

ValueId tail_source(const Graph& body) {
  const Node* root = root_of(body);
  return root != nullptr ? root->results[0] : body.inputs()[0];
}

std::vector<int> tail_operands(const Graph& body) {
  const Node* root = root_of(body);
  const ValueId source = tail_source(body);
  std::vector<int> out;
  for (size_t i = 0; i < body.inputs().size(); ++i) {
    const ValueId input = body.inputs()[i];
    bool used = false;
    for (NodeId user : body.users(input)) used = used || root == nullptr || user != root->id;
    used = used || body.is_output(input);
    if (used && input != source) out.push_back(static_cast<int>(i));
  }
  return out;
}

Interval source_interval(const TailRequest& request) {
  const Graph& body = *request.region->body;
  const ValueId source = tail_source(body);
  const TensorType& type = body.type(source);
  if (!type.has_codes()) {
    const BodyFunction function(body, source, request.options);
    std::vector<ValueId> values;
    for (const auto& output : body.outputs())
      if (function.is_function(output.value)) values.push_back(output.value);
    return float_interval(function, values);
  }
  const auto grid = *type.numeric.grid();
  if (request.accumulator.lo.empty()) return {{grid.lo}, {grid.hi}};
  // The graph may know more: taps that no position of a small image meets.
  Interval out = request.accumulator;
  for (int64_t& lo : out.lo) lo = std::max(lo, grid.lo);
  for (int64_t& hi : out.hi) hi = std::min(hi, grid.hi);
  return out;
}

LoweredTail lower_tail(const TailRequest& request) {
  try {
    return {.tail = Lowering(request).run(), .reason = {}};
  } catch (const Refusal& refusal) {
    return {.tail = std::nullopt, .reason = refusal.reason};
  }
}

}  // namespace qloom::passes
