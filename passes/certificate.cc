#include "passes/certificate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "graph/interpret.h"
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/quantizer.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"

// Both evaluations of a value agree bit by bit when each node's condition holds, given that its
// operands agree:
//   quantize        step 2^k and |x| < 2^24 steps: then x + (q − x) = q in float32
//   conv, dense     both operands on power-of-two grids, every partial sum below 2^24 grid units:
//   then
//                   float32 sums are exact in every order
//   average, sum    the same for the sum; the division is one operation
//   elementwise, batch_norm, piecewise-linear activations   one defined order of roundings
//   powers of two   no operand near a threshold, where TensorFlow's logarithm may decide otherwise
// From eight channels on TensorFlow's reciprocal square root differs between processors; a
// quantizer behind the batch normalization takes that away, so only outputs without one carry the
// condition.
//   exp and what is made of it: no two libraries agree to the bit
// A failure taints what follows until a quantizer, behind which codes are compared and conditions
// are asked anew; the output keeps the list.

namespace qloom::passes {
namespace {

constexpr double kExact = 16777216;  // 2^24
constexpr int64_t kVectorRsqrt = 8;  // channels that TensorFlow normalizes at once
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct State {
  bool tainted = false;
  std::set<NodeId> failures;  ///< upstream, in order of ids
  std::set<NodeId> roots;     ///< reciprocal square roots that no quantizer has taken away yet
  double bound = kInfinity;   ///< largest magnitude; infinite where the caller's input decides
  double step = 0;            ///< every element is a multiple of this power of two; 0 if unknown
};

bool is_power_of_two(double v) {
  int exponent;
  return v > 0 && std::frexp(v, &exponent) == 0.5;
}

bool power_of_two_steps(const TensorType& type) {
  const Tensor step = type.step();
  return std::all_of(step.f64().begin(), step.f64().end(), is_power_of_two);
}

class Analysis {
 public:
  explicit Analysis(const Graph& graph) : Analysis(graph, {}) {}
  /// `inputs`: what is known of the first inputs, where these are values of an outer graph.
  Analysis(const Graph& graph, const std::vector<State>& inputs) : graph_(graph) {
    for (size_t i = 0; i < inputs.size(); ++i) states_[graph.inputs()[i]] = inputs[i];
    for (NodeId id : graph.order()) visit(graph.node(id));
  }

  [[nodiscard]] Certificate certificate(const Graph::Output& output) const {
    Certificate c;
    c.output = output.name;
    const State& state = states_.at(output.value);
    c.exact = state.failures.empty() && state.roots.empty();
    for (NodeId id : graph_.order()) {
      if (!state.failures.contains(id) && !state.roots.contains(id)) continue;
      const Node& node = graph_.node(id);
      c.failures.push_back({.node = node.name,
                            .layer = node.origins.empty() ? "" : node.origins.front().layer,
                            .condition = conditions_.at(id)});
    }
    return c;
  }

 private:
  void visit(const Node& node) {
    if (node.op == &ops::input) {
      if (states_.contains(node.results[0])) return;
      State s;
      if (const auto b = type_bound(graph_.type(node.results[0]))) s.bound = *b;
      s.step = finest_step(graph_.type(node.results[0]));
      states_[node.results[0]] = s;
      return;
    }
    if (node.op == &ops::constant ||
        std::all_of(node.operands.begin(), node.operands.end(),
                    [&](ValueId v) { return constants_.contains(v); })) {
      constant(node);
      return;
    }
    if (node.op == &ops::scan) return scan(node);
    State s;
    s.bound = bound(node);
    s.step = step(node);
    for (ValueId operand : node.operands) {
      const State& o = states_.at(operand);
      s.tainted = s.tainted || o.tainted;
      s.failures.insert(o.failures.begin(), o.failures.end());
      s.roots.insert(o.roots.begin(), o.roots.end());
    }
    if (node.op == &ops::quantize) s.roots.clear();
    if (node.op == &ops::batch_norm && takes_vector_roots(node)) {
      conditions_[node.id] =
          "reciprocal square root of 8 or more channels, which TensorFlow computes "
          "differently on different processors: within 3 ulp of the largest term";
      s.roots.insert(node.id);
    }
    const bool was_tainted = s.tainted;
    if (node.op == &ops::quantize) s.tainted = false;
    if (!was_tainted || node.op == &ops::quantize) {
      if (auto condition = failure(node)) {
        conditions_[node.id] = std::move(*condition);
        s.failures.insert(node.id);
        s.tainted = true;
      }
    }
    for (ValueId result : node.results) states_[result] = s;
  }

  /// The step is analysed with what holds for its states: first that they agree; where it then
  /// turns out that they do not after a step, with that. Failures inside count as the scan's own.
  void scan(const Node& node) {
    const auto a = from_attributes<ops::Scan>(node.attributes);
    const Graph& body = *node.body;
    const auto states = static_cast<size_t>(a.states), sequences = static_cast<size_t>(a.sequences);
    State all;
    std::vector<State> inputs;
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const State& outside = states_.at(node.operands[i]);
      all.failures.insert(outside.failures.begin(), outside.failures.end());
      all.roots.insert(outside.roots.begin(), outside.roots.end());
      State s;
      s.tainted = outside.tainted;
      const TensorType& type = body.type(body.inputs()[i]);
      s.bound = type_bound(type).value_or(i < sequences ? outside.bound : kInfinity);
      s.step = i < sequences ? outside.step : finest_step(type);
      inputs.push_back(s);
    }
    std::optional<Analysis> step;
    for (bool again = true; again;) {
      again = false;
      step.emplace(body, inputs);
      for (size_t k = 0; k < states; ++k) {
        State& before = inputs[sequences + k];
        if (before.tainted || !step->states_.at(body.outputs()[k].value).tainted) continue;
        before.tainted = again = true;
      }
    }
    for (size_t k = 0; k < body.outputs().size(); ++k) {
      const State& inside = step->states_.at(body.outputs()[k].value);
      State s = inside;
      s.failures = all.failures;
      s.roots = all.roots;
      for (const NodeId id : body.order()) {
        if (!inside.failures.contains(id) && !inside.roots.contains(id)) continue;
        s.failures.insert(node.id);
        conditions_.try_emplace(
            node.id, join_text("step, ", body.node(id).name, ": ", step->conditions_.at(id)));
      }
      states_[node.results[k]] = s;
    }
  }

  /// Known when compiling: both evaluations are simply run.
  void constant(const Node& node) {
    struct Both {
      std::vector<RuntimeValue> canonical, qkeras;
    } now;
    EvaluationOptions options = graph_.options();
    for (Evaluation evaluation : {Evaluation::canonical, Evaluation::qkeras}) {
      options.evaluation = evaluation;
      auto& to = evaluation == Evaluation::canonical ? now.canonical : now.qkeras;
      if (node.op == &ops::constant) {
        to.push_back(constant_value(graph_, node, options));
        continue;
      }
      std::vector<RuntimeValue> operands;
      for (ValueId v : node.operands)
        operands.push_back(evaluation == Evaluation::canonical ? constants_.at(v)
                                                               : qkeras_constants_.at(v));
      to = evaluate(graph_, node, operands, options);
    }
    State s;
    for (ValueId operand : node.operands) {
      const State& o = states_.at(operand);
      s.tainted = s.tainted || o.tainted;
      s.failures.insert(o.failures.begin(), o.failures.end());
    }
    for (size_t i = 0; i < node.results.size(); ++i) {
      const Tensor a = to_f32(now.canonical[i]), b = to_f32(now.qkeras[i]);
      if (!s.tainted && !a.same_bits(b)) {
        s.tainted = true;
        s.failures.insert(node.id);
        conditions_[node.id] =
            join_text("constant ", graph_.type(node.results[i]),
                      ": x + (q - x) leaves a residue, its scale is no power of two");
      }
      if (!s.tainted && node.op == &ops::quantize) {
        if (auto condition = uncertain_constant(node)) {
          s.tainted = true;
          s.failures.insert(node.id);
          conditions_[node.id] = std::move(*condition);
        }
      }
      s.bound = 0;
      s.step = finest_step(graph_.type(node.results[i]));
      for (float f : a.f32()) s.bound = std::max(s.bound, std::fabs(static_cast<double>(f)));
      states_[node.results[i]] = s;
      constants_.emplace(node.results[i], now.canonical[i]);
      qkeras_constants_.emplace(node.results[i], now.qkeras[i]);
    }
  }

  static Quantizer quantizer_of(const Node& node) {
    const auto attributes = from_attributes<ops::Quantize>(node.attributes);
    return Quantizer::from_config(attributes.quantizer, attributes.arguments);
  }

  [[nodiscard]] std::optional<std::string> uncertain_constant(const Node& node) const {
    const Quantizer q = quantizer_of(node);
    for (const float x : to_f32(qkeras_constants_.at(node.operands[0])).f32())
      if (q.is_uncertain(x)) return logarithm_near(node.operands[0], x);
    return std::nullopt;
  }

  [[nodiscard]] std::string logarithm_near(ValueId operand, double x) const {
    return join_text(
        "operand ", name(operand), " may be ", x,
        ", so near a threshold that TensorFlow's logarithm may give another power of two");
  }

  /// An element of the operand whose power of two TensorFlow's logarithm may see otherwise.
  /// Thresholds lie near 2^(k/2), so of a grid only the points beside those matter, and the limit,
  /// where a max_value takes over.
  [[nodiscard]] std::optional<std::string> logarithm(const Quantizer& q, ValueId operand) const {
    if (!q.has_uncertain_inputs()) return std::nullopt;
    const State& x = states_.at(operand);
    if (x.step == 0)
      return join_text(
          "operand ", name(operand), " ", graph_.type(operand),
          " may come so near a threshold that TensorFlow's logarithm gives another power of two");
    std::vector<double> points{
        std::min(x.bound, static_cast<double>(std::numeric_limits<float>::max()))};
    for (int k = -252; k < 256; ++k)
      points.push_back(std::nearbyint(std::exp2(k / 2.0) / x.step) * x.step);
    for (const double point : points)
      for (const double value : {point, -point})
        if (point <= x.bound && q.is_uncertain(static_cast<float>(value)))
          return logarithm_near(operand, value);
    return std::nullopt;
  }

  [[nodiscard]] bool takes_vector_roots(const Node& node) const {
    const bool quantized =
        !from_attributes<ops::BatchNorm>(node.attributes).inverse_quantizer.empty();
    return !quantized && elements_per_sample(graph_.type(node.operands[4]).shape) >= kVectorRsqrt;
  }

  /// The finest step of codes on power-of-two grids, 0 otherwise.
  [[nodiscard]] static double finest_step(const TensorType& type) {
    if (!type.has_codes() || !power_of_two_steps(type)) return 0;
    double finest = kInfinity;
    const Tensor step = type.step();
    for (double s : step.f64()) finest = std::min(finest, s);
    return finest;
  }

  /// Sums, maxima and moved elements stay on the finest grid of their operands.
  [[nodiscard]] double step(const Node& node) const {
    if (const double s = finest_step(graph_.type(node.results[0])); s > 0) return s;
    bool keeps = node.op == &ops::reshape || node.op == &ops::permute || node.op == &ops::concat ||
                 node.op == &ops::pad;
    if (node.op == &ops::elementwise) {
      const auto kind = from_attributes<ops::ElementwiseOp>(node.attributes).kind;
      keeps = kind == ops::Elementwise::add || kind == ops::Elementwise::subtract ||
              kind == ops::Elementwise::maximum || kind == ops::Elementwise::minimum;
    }
    if (node.op == &ops::pool)
      keeps = from_attributes<ops::Pool>(node.attributes).kind == ops::PoolKind::max;
    if (!keeps) return 0;
    double finest = kInfinity;
    for (ValueId operand : node.operands) finest = std::min(finest, states_.at(operand).step);
    return finest;
  }

  [[nodiscard]] static std::optional<double> type_bound(const TensorType& type) {
    if (!type.has_codes()) return std::nullopt;
    const auto grid = *type.numeric.grid();
    const double code =
        std::max(std::fabs(static_cast<double>(grid.lo)), std::fabs(static_cast<double>(grid.hi)));
    double largest = 0;
    const Tensor step = type.step();
    for (double s : step.f64()) largest = std::max(largest, s);
    return code * largest;
  }

  [[nodiscard]] double bound(const Node& node) const {
    if (const auto b = type_bound(graph_.type(node.results[0]))) return *b;
    const auto of = [&](size_t i) { return states_.at(node.operands[i]).bound; };
    if (node.op == &ops::elementwise) {
      switch (from_attributes<ops::ElementwiseOp>(node.attributes).kind) {
        case ops::Elementwise::add:
        case ops::Elementwise::subtract:
          return of(0) + of(1);
        case ops::Elementwise::multiply:
          return of(0) * of(1);
        case ops::Elementwise::divide:
          return kInfinity;
        default:
          return std::max(of(0), of(1));
      }
    }
    if (node.op == &ops::batch_norm) return batch_norm_bound(node, of(0));
    if (node.op == &ops::softmax) return 1;
    if (node.op == &ops::conv || node.op == &ops::dense) {
      const Tensor* weights = nullptr;
      const auto found = constants_.find(node.operands[1]);
      if (found == constants_.end()) return kInfinity;
      const Tensor values = to_f32(found->second);
      weights = &values;
      const auto channels = static_cast<size_t>(weights->extents().back());
      std::vector<double> sums(channels, 0);
      for (size_t i = 0; i < weights->f32().size(); ++i)
        sums[i % channels] += std::fabs(weights->f32()[i]);
      return *std::max_element(sums.begin(), sums.end()) * of(0);
    }
    if (const double cells = cells_summed(node); cells > 0) return cells * of(0);
    double largest = 0;
    for (size_t i = 0; i < node.operands.size(); ++i) largest = std::max(largest, of(i));
    return largest;
  }

  /// Elements that a sum over windows or axes adds; 0 for other nodes.
  [[nodiscard]] double cells_summed(const Node& node) const {
    double cells = 1;
    if (node.op == &ops::pool) {
      const auto pool = from_attributes<ops::Pool>(node.attributes);
      if (pool.kind != ops::PoolKind::sum) return 0;
      for (const int64_t size : pool.sizes) cells *= static_cast<double>(size);
      return cells;
    }
    if (node.op != &ops::reduce) return 0;
    const auto reduce = from_attributes<ops::Reduce>(node.attributes);
    if (reduce.kind != ops::ReduceKind::sum) return 0;
    for (const int64_t axis : reduce.axes)
      cells *= static_cast<double>(
          graph_.type(node.operands[0]).shape[static_cast<size_t>(axis)].extent());
    return cells;
  }

  [[nodiscard]] double batch_norm_bound(const Node& node, double x) const {
    std::vector<Tensor> p;
    for (size_t i = 1; i < 5; ++i) {
      const auto found = constants_.find(node.operands[i]);
      if (found == constants_.end()) return kInfinity;
      p.push_back(to_f32(found->second));
    }
    const double epsilon = from_attributes<ops::BatchNorm>(node.attributes).epsilon;
    double largest = 0;
    for (size_t c = 0; c < p[0].f32().size(); ++c) {
      const double inverse = std::fabs(p[0].f32()[c]) / std::sqrt(p[3].f32()[c] + epsilon);
      largest =
          std::max(largest, (x + std::fabs(p[2].f32()[c])) * inverse + std::fabs(p[1].f32()[c]));
    }
    return largest * 1.001;  // roundings
  }

  [[nodiscard]] std::string name(ValueId v) const { return graph_.producer(v).name; }

  /// Why the node's own condition fails, given that its operands agree.
  [[nodiscard]] std::optional<std::string> failure(const Node& node) const {
    if (node.op == &ops::quantize) return quantize(node);
    if (node.op == &ops::conv || node.op == &ops::dense) return product(node);
    if (node.op == &ops::softmax) return "softmax: exp and a float sum, within 4 ulp or 1e-6";
    if (node.op == &ops::activation) return activation(node);
    if (node.op == &ops::pool) {
      const auto pool = from_attributes<ops::Pool>(node.attributes);
      if (pool.kind == ops::PoolKind::max) return std::nullopt;
      int64_t cells = 1;
      for (int64_t size : pool.sizes) cells *= size;
      return sum(node, static_cast<double>(cells));
    }
    if (node.op == &ops::reduce) {
      const auto reduce = from_attributes<ops::Reduce>(node.attributes);
      if (reduce.kind == ops::ReduceKind::max || reduce.kind == ops::ReduceKind::min)
        return std::nullopt;
      double cells = 1;
      for (int64_t axis : reduce.axes)
        cells *= static_cast<double>(
            graph_.type(node.operands[0]).shape[static_cast<size_t>(axis)].extent());
      return sum(node, cells);
    }
    return std::nullopt;
  }

  [[nodiscard]] std::optional<std::string> activation(const Node& node) const {
    const auto function = from_attributes<ops::Activation>(node.attributes).function;
    for (const char* transcendental :
         {"sigmoid", "tanh", "exponential", "elu", "selu", "softplus", "swish", "gelu", "mish"})
      if (function == transcendental) return function + ": made of exp, within 4 ulp or 1e-6";
    return std::nullopt;
  }

  [[nodiscard]] std::optional<std::string> quantize(const Node& node) const {
    const TensorType& type = graph_.type(node.results[0]);
    const auto attributes = from_attributes<ops::Quantize>(node.attributes);
    const Quantizer q = quantizer_of(node);
    if (node.results.size() == 2) {
      if (q.scale().power_of_two) return std::nullopt;
      return join_text(
          attributes.quantizer,
          ": its scale comes from data and is no power of two, so x + (q - x) leaves a residue");
    }
    if (!type.has_codes())
      return join_text(attributes.quantizer, ": its values ", type, " lie on no grid");
    if (!power_of_two_steps(type))
      return join_text(attributes.quantizer, ": its scale ", type,
                       " is no power of two, so x + (q - x) leaves a residue");
    if (leaves_residue(q, type))
      return join_text(attributes.quantizer,
                       ": codes of the other sign than x, where x + (q - x) rounds");
    const double x = states_.at(node.operands[0]).bound;
    double finest = kInfinity;
    const Tensor step = type.step();
    for (double s : step.f64()) finest = std::min(finest, s);
    if (std::isfinite(x) && x >= kExact * finest)
      return join_text("operand ", name(node.operands[0]), " reaches ", x,
                       ", which is 2^24 steps of ", finest, " or more");
    return logarithm(q, node.operands[0]);
  }

  /// On a power-of-two grid x + (q − x) = q as long as q has x's sign: then |q − x| <= max(|q|,
  /// |x|) is a multiple of the finer unit in the last place, and exact or rounded to half a unit of
  /// q. A q of the other sign makes the difference larger than x, which may lose x's last bit;
  /// unless the class adds to something else than x (a clipped x). Which of these holds is asked of
  /// the quantizer itself, at points with all 24 bits set.
  [[nodiscard]] bool leaves_residue(const Quantizer& q, const TensorType& type) const {
    double finest = kInfinity;
    const Tensor step = type.step();
    for (double s : step.f64()) finest = std::min(finest, s);
    std::vector<float> points;
    for (double magnitude = finest / 64; magnitude < finest * 1048576; magnitude *= 2)
      for (int i = 0; i < 32; ++i) {
        const float x = std::nextafterf(static_cast<float>(magnitude * (2 - i / 37.0)), 0.0F);
        points.push_back(x);
        points.push_back(-x);
      }
    // Scales per channel stand along the last axis.
    const int64_t channels = step.size();
    points.resize((points.size() + static_cast<size_t>(channels) - 1) /
                      static_cast<size_t>(channels) * static_cast<size_t>(channels),
                  0.5F);
    const Quantized out =
        q.forward(Tensor({static_cast<int64_t>(points.size()) / channels, channels}, points),
                  {.internal_sigmoid = graph_.options().internal_sigmoid,
                   .division = graph_.options().division});
    return out.q.has_value() &&
           !std::equal(out.q->f32().begin(), out.q->f32().end(), out.y.f32().begin());
  }

  /// The reason why an operand lies on no power-of-two grid.
  [[nodiscard]] std::optional<std::string> off_grid(ValueId v) const {
    const TensorType& type = graph_.type(v);
    if (type.is_float32() && type.scale.is_none())
      return join_text("operand ", name(v),
                       " is float32 and not quantized: a float sum in some order");
    if (!type.has_codes())
      return join_text("operand ", name(v), " ", type, " has no codes: a float sum in some order");
    if (!power_of_two_steps(type))
      return join_text("operand ", name(v), " ", type,
                       " is on no power-of-two grid: a float sum in some order");
    return std::nullopt;
  }

  [[nodiscard]] std::optional<std::string> sum(const Node& node, double cells) const {
    const ValueId x = node.operands[0];
    if (auto reason = off_grid(x)) return reason;
    return too_large(graph_.type(x), cells);
  }

  [[nodiscard]] static std::optional<std::string> too_large(const TensorType& type, double cells) {
    const double units = cells * units_of(type);
    if (units < kExact) return std::nullopt;
    return join_text("sums reach ", units, " grid units, 2^24 or more");
  }

  /// Largest magnitude in the finest steps of the value.
  [[nodiscard]] static double units_of(const TensorType& type) {
    double finest = kInfinity;
    const Tensor step = type.step();
    for (double s : step.f64()) finest = std::min(finest, s);
    return *type_bound(type) / finest;
  }

  [[nodiscard]] std::optional<std::string> product(const Node& node) const {
    for (ValueId operand : node.operands)
      if (auto reason = off_grid(operand)) return reason;
    const TensorType& w = graph_.type(node.operands[1]);
    const double activation = units_of(graph_.type(node.operands[0]));
    const auto found = constants_.find(node.operands[1]);
    if (found == constants_.end()) {
      const auto terms =
          static_cast<double>(elements_per_sample(w.shape) / w.shape.back().extent());
      return too_large(w, terms * activation);
    }
    // Per output channel, in units of its own finest weight step.
    const Tensor codes = found->second.data;
    const Tensor step = w.step();
    const auto channels = static_cast<size_t>(codes.extents().back());
    const auto strides = broadcast_strides(step.extents(), codes.extents());
    std::vector<double> sums(channels, 0), finest(channels, kInfinity);
    for (size_t i = 0; i < codes.i64().size(); ++i) {
      int64_t rest = static_cast<int64_t>(i), at = 0;
      for (int axis = codes.rank() - 1; axis >= 0; --axis) {
        const int64_t extent = codes.extents()[static_cast<size_t>(axis)];
        at += rest % extent * strides[static_cast<size_t>(axis)];
        rest /= extent;
      }
      const double s = step.f64()[static_cast<size_t>(at)];
      sums[i % channels] += std::fabs(static_cast<double>(codes.i64()[i])) * s;
      finest[i % channels] = std::min(finest[i % channels], s);
    }
    for (size_t c = 0; c < channels; ++c) {
      const double units = sums[c] / finest[c] * activation;
      if (units >= kExact)
        return join_text("sums of channel ", c, " reach ", units, " grid units, 2^24 or more");
    }
    return std::nullopt;
  }

  const Graph& graph_;
  std::map<ValueId, State> states_;
  std::map<ValueId, RuntimeValue> constants_, qkeras_constants_;
  std::map<NodeId, std::string> conditions_;
};

}  // namespace

std::string Certificate::to_string() const {
  if (exact)
    return join_text(
        output,
        ": bit-equal to QKeras for every finite input below 2^24 steps of the input's quantizer: "
        "common power-of-two grids, sums below 2^24 units, one order of roundings");
  std::string text = output + ": codes are compared where float values may differ:";
  for (const Failure& f : failures) {
    text += "\n  " + f.node;
    if (!f.layer.empty() && f.layer != f.node) text += " (layer " + f.layer + ")";
    text += ": " + f.condition;
  }
  return text;
}

std::vector<Certificate> certificates(const Graph& graph) {
  const Analysis analysis(graph);
  std::vector<Certificate> out;
  for (const auto& output : graph.outputs()) out.push_back(analysis.certificate(output));
  return out;
}

}  // namespace qloom::passes
