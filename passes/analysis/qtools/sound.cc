#include "passes/analysis/qtools/sound.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <unordered_map>

#include "graph/ops/attributes.h"
#include "graph/ops/geometry.h"
#include "graph/ops/sum_of_products.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "passes/inference_table.h"

namespace qloom::qtools {
namespace {

constexpr int64_t kFloatBits = 32;

bool multiplies_weights(const Node& node) { return node.is(ops::dense) || node.is(ops::conv); }

/// Moves or renames elements only: needs no hardware and no memory of its own.
bool only_moves(const Node& node) {
  return node.is(ops::reshape) || node.is(ops::permute) || node.is(ops::input);
}

/// Which tap of a kernel meets how many outputs of one channel, padding left out; in the order of
/// the kernel's leading axes.
std::vector<int64_t> uses_of_taps(const Node& node, const TensorType& x, const TensorType& w,
                                  const TensorType& y) {
  if (node.is(ops::dense)) return {elements_per_sample(y.shape) / w.shape.back().extent()};
  const auto conv = from_attributes<ops::Conv>(node.attributes);
  std::vector<std::vector<int64_t>> axes;
  const auto spatial = static_cast<size_t>(x.rank() - 2);
  for (size_t a = 0; a < spatial; ++a) {
    const ops::SpatialAxis axis =
        ops::spatial_axis(x.shape[a + 1].extent(), w.shape[a].extent(), conv.strides[a],
                          conv.dilations[a], conv.padding);
    std::vector<int64_t>& uses = axes.emplace_back();
    for (int64_t tap = 0; tap < axis.taps; ++tap) {
      int64_t inside = 0;
      for (int64_t i = 0; i < axis.out; ++i) inside += axis.inside(i, tap) ? 1 : 0;
      uses.push_back(inside);
    }
  }
  if (spatial == 1) return axes[0];
  std::vector<int64_t> out;
  for (const int64_t rows : axes[0])
    for (const int64_t columns : axes[1]) out.push_back(rows * columns);
  return out;
}

Numeric product_of(const TensorType& x, const TensorType& w) {
  const auto s = ops::sum_of_products(x, w);
  if (!s) return Numeric::float32();
  if (s->w_factors.empty() && !s->x_exponent) return product(x.numeric, w.numeric);
  return product(Numeric::integers(s->x.lo, s->x.hi, s->x_fraction),
                 Numeric::integers(s->w.lo, s->w.hi, s->w_fraction));
}

class Analysis {
 public:
  Analysis(const Graph& graph, const EnergyOptions& options)
      : graph_(graph), folded_(graph.clone()), options_(options) {
    (void)find_memory(options.weights_memory);
    passes::fold_constants.run(folded_, {});
    folded_.infer_types();
  }

  SoundReport run() {
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (!node.results.empty()) add(node);
    }
    for (const Graph::Output& output : graph_.outputs()) store(output.value);
    for (const ValueId value : stored_)
      out_.activation_bits += elements_per_sample(graph_.type(value).shape) * bits_of(value);
    return std::move(out_);
  }

 private:
  [[nodiscard]] int64_t bits_of(ValueId value) const { return graph_.type(value).numeric.bits(); }
  [[nodiscard]] int64_t elements_of(ValueId value) const {
    return elements_per_sample(graph_.type(value).shape);
  }

  /// Computed from constants alone: a weight on its way.
  bool from_weights(ValueId value) {
    const Node& node = graph_.producer(value);
    const auto known = from_weights_.find(node.name);
    if (known != from_weights_.end()) return known->second;
    const bool yes = node.constant ||
                     (!node.operands.empty() && std::ranges::all_of(node.operands, [&](ValueId v) {
                       return from_weights(v);
                     }));
    from_weights_.emplace(node.name, yes);
    return yes;
  }

  static Origin origin_of(const Node& node) {
    return node.origins.empty() ? Origin{} : node.origins.back();
  }
  static std::string layer_of(const Node& node) {
    const Origin origin = origin_of(node);
    return origin.layer.empty() ? node.name : origin.layer;
  }

  size_t row_of(const Node& node) {
    const std::string name = layer_of(node);
    const auto [at, is_new] = rows_.emplace(name, out_.layers.size());
    if (is_new) {
      const Origin origin = origin_of(node);
      const std::string layer_class =
          origin.layer_class.empty() ? std::string(node.op->name) : origin.layer_class;
      out_.layers.push_back({.name = name, .class_name = layer_class});
      out_.energy.layers.push_back({.layer = at->second, .name = name, .class_name = layer_class});
    }
    return at->second;
  }

  /// The value as it lies in memory: before it was reshaped.
  ValueId unmoved(ValueId value) const {
    const Node* node = &graph_.producer(value);
    while (only_moves(*node) && !node->operands.empty()) {
      value = node->operands[0];
      node = &graph_.producer(value);
    }
    return value;
  }
  void store(ValueId value) {
    value = unmoved(value);
    if (std::ranges::find(stored_, value) == stored_.end()) stored_.push_back(value);
  }

  void add(const Node& node) {
    const ValueId value = node.results[0];
    if (node.constant || from_weights(value)) {
      add_weights(node);
      return;
    }
    const size_t row = row_of(node);
    SoundLayer& layer = out_.layers[row];
    LayerEnergy& energy = out_.energy.layers[row];
    layer.output = graph_.type(value).numeric;
    layer.output_node = node.name;
    for (const ValueId operand : node.operands)
      if (!from_weights(operand) && layer_of(graph_.producer(operand)) != layer.name) {
        layer.inputs.push_back(graph_.type(operand).numeric);
        if (!only_moves(node))
          energy.inputs += access(operand, graph_.producer(operand).is(ops::input));
      }
    if (!only_moves(node) && leaves_layer(value, layer.name))
      energy.outputs += access(value, is_model_output(value));
    std::vector<TensorType> operands, results;
    for (const ValueId v : node.operands) operands.push_back(graph_.type(v));
    for (const ValueId v : node.results) results.push_back(graph_.type(v));
    const OpCounts counts = node.op->count ? node.op->count(node, operands, results) : OpCounts{};
    if (multiplies_weights(node)) {
      store(node.operands[0]);
      layer.sums.push_back(sum_of(node, counts.multiply_accumulates));
      energy.operations += price_of(layer.sums.back());
    } else {
      energy.operations += price_of(node, counts.other);
    }
    // A layer that multiplies is measured by that alone.
    if (multiplies_weights(node)) {
      others_[row] = 0;
      multiplications_[row] += counts.multiply_accumulates;
    } else if (multiplications_[row] == 0 && !only_moves(node)) {
      others_[row] += counts.other;
    }
    layer.operations = multiplications_[row] + others_[row];
  }

  /// Weights count once, where they have the value set that is stored.
  void add_weights(const Node& node) {
    const ValueId value = node.results[0];
    if (graph_.type(value).rank() == 0) return;
    for (const NodeId user : graph_.users(value)) {
      const Node& reader = graph_.node(user);
      if (from_weights(reader.results[0])) continue;
      const size_t row = row_of(reader);
      out_.layers[row].weight_bits += elements_of(value) * bits_of(value);
      out_.energy.layers[row].parameters +=
          memory_energy(*options_.process,
                        {.memory = find_memory(options_.weights_memory),
                         .through_sram = options_.through_sram,
                         .min_sram_bits = options_.min_sram_bits},
                        elements_of(value), bits_of(value));
      return;
    }
  }

  bool is_model_output(ValueId value) const {
    return std::ranges::any_of(graph_.outputs(),
                               [&](const Graph::Output& o) { return o.value == value; });
  }
  bool leaves_layer(ValueId value, const std::string& layer) const {
    if (is_model_output(value)) return true;
    return std::ranges::any_of(graph_.users(value),
                               [&](NodeId user) { return layer_of(graph_.node(user)) != layer; });
  }
  double access(ValueId value, bool at_border) const {
    return memory_energy(*options_.process,
                         {.memory = find_memory(options_.activations_memory),
                          .at_model_border = at_border,
                          .through_sram = options_.through_sram,
                          .min_sram_bits = options_.min_sram_bits},
                         elements_of(value), bits_of(value));
  }

  SoundSum sum_of(const Node& node, int64_t multiplications) {
    const TensorType &x = graph_.type(node.operands[0]), &w = graph_.type(node.operands[1]),
                     &y = graph_.type(node.results[0]);
    const Node* sum = &node;
    // The adder of the bias belongs to the accumulator where it is as exact.
    const std::vector<NodeId> users = graph_.users(node.results[0]);
    if (users.size() == 1 && !graph_.is_output(node.results[0])) {
      const Node& user = graph_.node(users[0]);
      if (user.is(ops::elementwise) && layer_of(user) == layer_of(node) &&
          from_attributes<ops::ElementwiseOp>(user.attributes).kind == ops::Elementwise::add &&
          user.operands.size() == 2 && user.operands[0] == node.results[0] &&
          from_weights(user.operands[1]) && graph_.type(user.results[0]).has_codes())
        sum = &user;
    }
    SoundSum out{.node = node.name,
                 .sum_node = sum->name,
                 .input = x.numeric,
                 .weight = w.numeric,
                 .product = product_of(x, w),
                 .sum = graph_.type(sum->results[0]).numeric,
                 .exact = {},
                 .multiplications = multiplications,
                 .weights = elements_per_sample(w.shape)};
    const Node* folded = folded_.find(sum->name);
    qloom_assert(folded != nullptr, sum->name, " is gone after folding");
    out.exact = y.has_codes() ? folded_.type(folded->results[0]).numeric : Numeric::float32();
    if (sum != &node && y.has_codes()) add_actual_bias(out, *folded, node);
    count_bits(out, node, x, w, y);
    return out;
  }

  /// The products' interval and the bias's least and greatest value, where the bias is known.
  void add_actual_bias(SoundSum& out, const Node& add, const Node& node) const {
    const Node& bias = folded_.producer(add.operands[1]);
    const TensorType& products = folded_.type(folded_.find(node.name)->results[0]);
    const TensorType& biases = folded_.type(add.operands[1]);
    if (!bias.constant || bias.constant->dtype() != DType::i64 || !products.has_codes() ||
        !biases.has_codes() || products.scale != biases.scale || bias.constant->i64().empty())
      return;
    const auto grid = *products.numeric.grid(), steps = *biases.numeric.grid(),
               all = *out.exact.grid();
    const auto [least, greatest] = std::ranges::minmax(bias.constant->i64());
    const auto at = [&](int64_t code, int fraction) { return code << (all.fraction - fraction); };
    if (all.fraction < grid.fraction || all.fraction < steps.fraction) return;
    out.exact =
        Numeric::integers(at(grid.lo, grid.fraction) + at(least, steps.fraction),
                          at(grid.hi, grid.fraction) + at(greatest, steps.fraction), all.fraction);
  }

  void count_bits(SoundSum& out, const Node& node, const TensorType& x, const TensorType& w,
                  const TensorType& y) const {
    const std::vector<int64_t> uses = uses_of_taps(node, x, w, y);
    const Node& kernel = folded_.producer(folded_.find(node.name)->operands[1]);
    const int64_t per_tap = out.weights / static_cast<int64_t>(uses.size());
    const int64_t input_bits = x.numeric.bits();
    std::span<const int64_t> codes;
    std::span<const float> floats;
    if (kernel.constant && kernel.constant->dtype() == DType::i64)
      codes = kernel.constant->i64();
    else if (kernel.constant)
      floats = kernel.constant->f32();
    for (size_t tap = 0; tap < uses.size(); ++tap) {
      int64_t bits = 0, not_zero = 0;
      for (int64_t i = 0; i < per_tap; ++i) {
        int64_t effective = kFloatBits;  // of a kernel that is computed while running, too
        const auto at = tap * static_cast<size_t>(per_tap) + static_cast<size_t>(i);
        if (!codes.empty())
          effective = effective_bits(codes[at]);
        else if (!floats.empty())
          effective = floats[at] == 0 ? 0 : kFloatBits;
        bits += effective;
        not_zero += effective == 0 ? 0 : 1;
      }
      out.weights_not_zero += not_zero;
      out.ebops += uses[tap] * bits * input_bits;
    }
    out.bops =
        out.multiplications / out.weights * out.weights_not_zero * input_bits * w.numeric.bits();
  }

  [[nodiscard]] double once(const QtoolsType& result, Implementation implementation,
                            double bits) const {
    const auto price = operation_energy(*options_.process, result, implementation, bits);
    qloom_assert(price, "no price for ", to_string(implementation), " of ", result.to_string());
    return *price;
  }
  [[nodiscard]] double once(const Operation& operation) const {
    return operation.gates->factor *
           once(operation.out, operation.implementation, operation.gates->bits);
  }
  [[nodiscard]] double addition(const Numeric& result) const {
    const QtoolsType type = qtools_type_of(result);
    return once(type.is_float() ? type : to_fixed(type), Implementation::add,
                static_cast<double>(result.bits()));
  }

  [[nodiscard]] double price_of(const SoundSum& sum) const {
    const Operation product = multiply(qtools_type_of(sum.weight), qtools_type_of(sum.input));
    return static_cast<double>(sum.multiplications) * (once(product) + addition(sum.sum));
  }

  /// What is no sum of products, for each of its `count` operations.
  [[nodiscard]] double price_of(const Node& node, int64_t count) const {
    const auto n = static_cast<double>(count);
    const Numeric& result = graph_.type(node.results[0]).numeric;
    if (node.is(ops::elementwise)) {
      const auto kind = from_attributes<ops::ElementwiseOp>(node.attributes).kind;
      if (kind == ops::Elementwise::multiply || kind == ops::Elementwise::divide)
        return n * once(multiply(qtools_type_of(graph_.type(node.operands[1]).numeric),
                                 qtools_type_of(graph_.type(node.operands[0]).numeric)));
      return n * addition(result);
    }
    if (node.is(ops::pool) || node.is(ops::reduce)) return n * addition(result);
    if (node.is(ops::batch_norm)) {  // one product and one sum for each element
      const auto elements =
          static_cast<double>(elements_per_sample(graph_.type(node.results[0]).shape));
      const QtoolsType f32 = QtoolsType::floating(kFloatBits);
      return elements * (once(multiply(f32, f32)) + addition(Numeric::float32()));
    }
    return 0;
  }

  const Graph& graph_;
  Graph folded_;
  EnergyOptions options_;
  SoundReport out_;
  std::unordered_map<std::string, size_t> rows_;
  std::unordered_map<size_t, int64_t> multiplications_, others_;  // by row
  std::unordered_map<std::string, bool> from_weights_;
  std::vector<ValueId> stored_;
};

template <class Value>
int64_t total(const SoundReport& report, Value value) {
  int64_t sum = 0;
  for (const SoundLayer& layer : report.layers)
    for (const SoundSum& s : layer.sums) sum += s.*value;
  return sum;
}

}  // namespace

int64_t SoundReport::weight_bits() const {
  int64_t sum = 0;
  for (const SoundLayer& layer : layers) sum += layer.weight_bits;
  return sum;
}

int64_t SoundReport::operations() const {
  int64_t sum = 0;
  for (const SoundLayer& layer : layers) sum += layer.operations;
  return sum;
}

int64_t SoundReport::bops() const { return total(*this, &SoundSum::bops); }
int64_t SoundReport::ebops() const { return total(*this, &SoundSum::ebops); }

SoundReport sound_report(const Graph& graph, const EnergyOptions& energy) {
  return Analysis(graph, energy).run();
}

int effective_bits(int64_t code) {
  if (code == 0) return 0;
  const uint64_t magnitude =
      code < 0 ? 0 - static_cast<uint64_t>(code) : static_cast<uint64_t>(code);
  return std::bit_width(magnitude) - std::countr_zero(magnitude);
}

QtoolsType qtools_type_of(const Numeric& numeric) {
  switch (numeric.kind()) {
    case Numeric::Kind::float32:
      return QtoolsType::floating(kFloatBits);
    case Numeric::Kind::power_of_two:
      return QtoolsType::po2(numeric.bits(), numeric.is_signed(),
                             std::exp2(numeric.max_exponent()));
    case Numeric::Kind::ternary:
      return QtoolsType::ternary();
    case Numeric::Kind::binary:
      return QtoolsType::binary(false);
    case Numeric::Kind::bit:
      return QtoolsType::binary(true);
    case Numeric::Kind::fixed:
      break;
  }
  const int sign = numeric.is_signed() ? 1 : 0;
  return QtoolsType::fixed(numeric.bits(), numeric.bits() - sign - numeric.grid()->fraction,
                           numeric.is_signed());
}

void quantize_inputs(Graph& graph, const std::vector<std::string>& sources) {
  qloom_check(sources.size() == graph.inputs().size(), sources.size(),
              " source types are given, the model has ", graph.inputs().size(), " inputs");
  const std::vector<ValueId> inputs(graph.inputs().begin(), graph.inputs().end());
  for (size_t k = 0; k < inputs.size(); ++k) {
    if (sources[k].empty()) continue;
    std::optional<Quantizer> quantizer;
    if (const auto type = short_name_type(sources[k])) {
      if (type->is_float()) continue;
      const BackConversion back = *to_quantizer(*type);
      quantizer = Quantizer::from_config(back.class_name, back.arguments);
    } else {
      const QuantizerOrFunction what = parse_quantizer(sources[k]);
      const auto* given = std::get_if<Quantizer>(&what);
      qloom_check(given != nullptr, "'", sources[k],
                  "' is no type of an input: expected fp32, fp16, int8, int16, int32 or a "
                  "quantizer such as quantized_bits(8, 0, 1)");
      quantizer = *given;
    }
    const std::string name = graph.fresh_name(graph.producer(inputs[k]).name + ".quantized");
    const std::vector<NodeId> users = graph.users(inputs[k]);
    const Origin origin =
        graph.producer(inputs[k]).origins.empty() ? Origin{} : graph.producer(inputs[k]).origins[0];
    const ValueId quantized =
        graph
            .add(ops::quantize, name, {inputs[k]},
                 to_attributes(ops::Quantize{.quantizer = std::string(quantizer->name()),
                                             .arguments = quantizer->arguments()}),
                 origin)
            .results[0];
    for (const NodeId user : users) {
      const std::vector<ValueId> operands = graph.node(user).operands;
      for (size_t i = 0; i < operands.size(); ++i)
        if (operands[i] == inputs[k]) graph.set_operand(user, static_cast<int>(i), quantized);
    }
  }
  graph.infer_types();
}

}  // namespace qloom::qtools
