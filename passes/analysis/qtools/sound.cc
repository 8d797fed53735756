#include "passes/analysis/qtools/sound.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <unordered_map>
#include <utility>

#include "graph/ops/attributes.h"
#include "graph/ops/geometry.h"
#include "graph/ops/sum_of_products.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "passes/analysis/layers.h"
#include "passes/inference_table.h"

namespace qloom::qtools {
namespace {

constexpr int64_t kFloatBits = 32;

bool multiplies_weights(const Node& node) {
  return node.is(ops::dense) || node.is(ops::conv) || node.is(ops::conv_transpose);
}

/// Moves or renames elements only: needs no hardware and no memory of its own.
bool only_moves(const Node& node) {
  return node.is(ops::reshape) || node.is(ops::permute) || node.is(ops::input);
}

/// How often each tap meets an element of one channel along axis a, padding left out.
std::vector<int64_t> uses_of_taps(const ops::Conv& conv, size_t a, const Shape& x, const Shape& w) {
  const ops::SpatialAxis axis = ops::spatial_axis(x[a + 1].extent(), w[a].extent(), conv.strides[a],
                                                  conv.dilations[a], conv.padding);
  std::vector<int64_t> uses;
  for (int64_t tap = 0; tap < axis.taps; ++tap) {
    int64_t inside = 0;
    for (int64_t i = 0; i < axis.out; ++i) inside += axis.inside(i, tap) ? 1 : 0;
    uses.push_back(inside);
  }
  return uses;
}

/// As above; outputs that are cut off count as padding.
std::vector<int64_t> uses_of_taps(const ops::ConvTranspose& conv, size_t a, const Shape& x,
                                  const Shape& w) {
  std::optional<int64_t> more;
  if (!conv.output_padding.empty()) more = conv.output_padding[a];
  const ops::TransposedAxis axis = ops::transposed_axis(
      x[a + 1].extent(), w[a].extent(), conv.strides[a], conv.dilations[a], conv.padding, more);
  std::vector<int64_t> uses;
  for (int64_t tap = 0; tap < axis.taps; ++tap) {
    int64_t inside = 0;
    for (int64_t i = 0; i < axis.in; ++i) {
      const int64_t output = i * axis.stride + tap * axis.dilation - axis.before;
      inside += output >= 0 && output < axis.out ? 1 : 0;
    }
    uses.push_back(inside);
  }
  return uses;
}

/// Which tap of a kernel meets how many elements of one channel; in the order of the kernel's
/// leading axes.
std::vector<int64_t> uses_of_taps(const Node& node, const TensorType& x, const TensorType& w,
                                  const TensorType& y) {
  if (node.is(ops::dense)) return {elements_per_sample(y.shape) / w.shape.back().extent()};
  std::vector<std::vector<int64_t>> axes;
  const auto spatial = static_cast<size_t>(x.rank() - 2);
  for (size_t a = 0; a < spatial; ++a)
    axes.push_back(
        node.is(ops::conv)
            ? uses_of_taps(from_attributes<ops::Conv>(node.attributes), a, x.shape, w.shape)
            : uses_of_taps(from_attributes<ops::ConvTranspose>(node.attributes), a, x.shape,
                           w.shape));
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

void fold_weights(Graph& graph) {
  passes::fold_constants.run(graph, {});
  for (const NodeId id : graph.order())
    if (Node& node = graph.node(id); node.body) fold_weights(*node.body);
}

/// A graph, the same with its weights folded, and how often it runs for one sample: the body of a
/// scan once for each step.
struct Frame {
  const Graph* graph = nullptr;
  const Graph* folded = nullptr;
  int64_t runs = 1;
  const Node* scan = nullptr;  // whose body it is
  const Frame* outside = nullptr;
  [[nodiscard]] bool is_body() const { return scan != nullptr; }
};

class Analysis {
 public:
  Analysis(const Graph& graph, const EnergyOptions& options)
      : folded_(with_folded_weights(graph)), options_(options), at_{&graph, &folded_} {
    (void)find_memory(options.weights_memory);
    out_.energy.sram_per_bit = options.sram_per_bit;
  }

  SoundReport run() {
    add_nodes();
    for (const Graph::Output& output : graph().outputs()) store(output.value);
    for (const auto& [owner, value] : stored_) {
      const TensorType& type = owner->type(value);
      out_.activation_bits += elements_per_sample(type.shape) * type.numeric.bits();
    }
    return std::move(out_);
  }

 private:
  [[nodiscard]] const Graph& graph() const { return *at_.graph; }
  [[nodiscard]] const Graph& folded() const { return *at_.folded; }
  [[nodiscard]] const TensorType& type(ValueId value) const { return graph().type(value); }
  [[nodiscard]] int64_t bits_of(ValueId value) const { return type(value).numeric.bits(); }
  [[nodiscard]] int64_t elements_of(ValueId value) const {
    return elements_per_sample(type(value).shape);
  }

  void add_nodes() {
    const std::vector<NodeId> order = graph().order();
    for (const NodeId id : order)
      for (const ValueId operand : graph().node(id).operands) {
        std::vector<NodeId>& users = users_[{&graph(), operand}];
        if (users.empty() || users.back() != id) users.push_back(id);
      }
    for (const NodeId id : order) {
      const Node& node = graph().node(id);
      if (!node.results.empty() && !(at_.is_body() && node.is(ops::input))) add(node);
    }
  }

  /// Who reads a value of this graph: Graph::users for all values at once.
  [[nodiscard]] const std::vector<NodeId>& users(ValueId value) const {
    static const std::vector<NodeId> kNobody;
    const auto found = users_.find({&graph(), value});
    return found == users_.end() ? kNobody : found->second;
  }

  /// The body of a scan belongs to the same layer: what it reads and yields is counted outside.
  void add_body(const Node& node) {
    const Frame outside =
        std::exchange(at_, {.graph = node.body.get(),
                            .folded = folded().find(node.name)->body.get(),
                            .runs = at_.runs * type(node.operands[0]).shape[1].extent(),
                            .scan = &node,
                            .outside = &outside});
    add_nodes();
    at_ = outside;
  }

  /// Computed from constants alone: a weight on its way.
  bool from_weights(ValueId value) {
    const Node& node = graph().producer(value);
    const std::pair key(&graph(), node.id);
    const auto known = from_weights_.find(key);
    if (known != from_weights_.end()) return known->second;
    const bool yes = node.constant ||
                     (!node.operands.empty() && std::ranges::all_of(node.operands, [&](ValueId v) {
                       return from_weights(v);
                     }));
    from_weights_.emplace(key, yes);
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
    const Node* node = &graph().producer(value);
    while (only_moves(*node) && !node->operands.empty()) {
      value = node->operands[0];
      node = &graph().producer(value);
    }
    return value;
  }
  void store(ValueId value) {
    value = unmoved(value);
    // A step of a sequence lies where the sequence does.
    if (at_.is_body()) {
      const auto sequences = from_attributes<ops::Scan>(at_.scan->attributes).sequences;
      const auto inputs = graph().inputs().first(static_cast<size_t>(sequences));
      if (const auto at = std::ranges::find(inputs, value); at != inputs.end()) {
        const ValueId whole = at_.scan->operands[static_cast<size_t>(at - inputs.begin())];
        const Frame inside = std::exchange(at_, Frame(*at_.outside));
        store(whole);
        at_ = inside;
        return;
      }
    }
    const std::pair place(&graph(), value);
    if (std::ranges::find(stored_, place) == stored_.end()) stored_.push_back(place);
  }

  void add(const Node& node) {
    if (node.constant || from_weights(node.results[0])) {
      add_weights(node);
      return;
    }
    const size_t row = row_of(node);
    if (!at_.is_body()) add_border(node, row);
    if (node.is(ops::scan)) {
      add_body(node);
      return;
    }
    SoundLayer& layer = out_.layers[row];
    LayerEnergy& energy = out_.energy.layers[row];
    std::vector<TensorType> operands, results;
    for (const ValueId v : node.operands) operands.push_back(type(v));
    for (const ValueId v : node.results) results.push_back(type(v));
    OpCounts counts = node.op->count(node, operands, results);
    counts.multiply_accumulates *= at_.runs;
    counts.other *= at_.runs;
    // A layer that multiplies is measured by that alone.
    if (multiplies_weights(node)) {
      store(node.operands[0]);
      layer.sums.push_back(sum_of(node, counts.multiply_accumulates));
      energy.operations += price_of(layer.sums.back());
      others_[row] = 0;
      multiplications_[row] += counts.multiply_accumulates;
    } else {
      energy.operations += price_of(node, counts.other);
      if (multiplications_[row] == 0 && !only_moves(node)) others_[row] += counts.other;
    }
    layer.operations = multiplications_[row] + others_[row];
  }

  /// What a layer reads from others and yields.
  void add_border(const Node& node, size_t row) {
    SoundLayer& layer = out_.layers[row];
    LayerEnergy& energy = out_.energy.layers[row];
    const ValueId value = passes::shown_result(graph(), node);
    layer.output = type(value).numeric;
    layer.output_node = node.name;
    for (const ValueId operand : node.operands)
      if (!from_weights(operand) && layer_of(graph().producer(operand)) != layer.name) {
        layer.inputs.push_back(type(operand).numeric);
        if (!only_moves(node))
          energy.inputs += access(operand, graph().producer(operand).is(ops::input));
      }
    if (!only_moves(node) && leaves_layer(value, layer.name))
      energy.outputs += access(value, graph().is_output(value));
  }

  /// Weights count once, where they have the value set that is stored.
  void add_weights(const Node& node) {
    const ValueId value = node.results[0];
    if (graph().type(value).rank() == 0) return;
    for (const NodeId user : users(value)) {
      const Node& reader = graph().node(user);
      if (from_weights(reader.results[0])) continue;
      const size_t row = row_of(reader);
      out_.layers[row].weight_bits += elements_of(value) * bits_of(value);
      out_.energy.layers[row].parameters +=
          memory_energy(*options_.process, access_to(options_.weights_memory, false),
                        elements_of(value), bits_of(value));
      return;
    }
  }

  bool leaves_layer(ValueId value, const std::string& layer) const {
    if (graph().is_output(value)) return true;
    return std::ranges::any_of(users(value),
                               [&](NodeId user) { return layer_of(graph().node(user)) != layer; });
  }
  [[nodiscard]] MemoryAccess access_to(const std::string& memory, bool at_border) const {
    return {.memory = find_memory(memory),
            .at_model_border = at_border,
            .through_sram = options_.through_sram,
            .min_sram_bits = options_.min_sram_bits,
            .sram_per_bit = options_.sram_per_bit};
  }
  double access(ValueId value, bool at_border) const {
    return memory_energy(*options_.process, access_to(options_.activations_memory, at_border),
                         elements_of(value), bits_of(value));
  }

  SoundSum sum_of(const Node& node, int64_t multiplications) {
    const TensorType &x = graph().type(node.operands[0]), &w = graph().type(node.operands[1]),
                     &y = graph().type(node.results[0]);
    const Node* sum = &node;
    // The adder of the bias belongs to the accumulator where it is as exact.
    const std::vector<NodeId>& readers = users(node.results[0]);
    if (readers.size() == 1 && !graph().is_output(node.results[0])) {
      const Node& user = graph().node(readers[0]);
      if (user.is(ops::elementwise) && layer_of(user) == layer_of(node) &&
          from_attributes<ops::ElementwiseOp>(user.attributes).kind == ops::Elementwise::add &&
          user.operands.size() == 2 && user.operands[0] == node.results[0] &&
          from_weights(user.operands[1]) && graph().type(user.results[0]).has_codes())
        sum = &user;
    }
    SoundSum out{.node = node.name,
                 .sum_node = sum->name,
                 .scan = at_.is_body() ? at_.scan->name : "",
                 .input = x.numeric,
                 .weight = w.numeric,
                 .product = product_of(x, w),
                 .sum = graph().type(sum->results[0]).numeric,
                 .exact = {},
                 .multiplications = multiplications,
                 .weights = elements_per_sample(w.shape)};
    const Node* folded_sum = folded().find(sum->name);
    qloom_assert(folded_sum != nullptr, sum->name, " is gone after folding");
    out.exact = y.has_codes() ? folded().type(folded_sum->results[0]).numeric : Numeric::float32();
    if (sum != &node && y.has_codes()) add_actual_bias(out, *folded_sum, node);
    count_bits(out, node, x, w, y);
    return out;
  }

  /// The products' interval and the bias's least and greatest value, where the bias is known.
  void add_actual_bias(SoundSum& out, const Node& add, const Node& node) const {
    const Node& bias = folded().producer(add.operands[1]);
    const TensorType& products = folded().type(folded().find(node.name)->results[0]);
    const TensorType &biases = folded().type(add.operands[1]), &sum = folded().type(add.results[0]);
    if (!bias.constant || bias.constant->dtype() != DType::i64 || bias.constant->i64().empty())
      return;
    for (const TensorType* t : {&products, &biases, &sum})
      if (!t->has_codes() || !t->scale.is_per_tensor() || t->step().f64()[0] <= 0) return;
    const auto [least, greatest] = std::ranges::minmax(bias.constant->i64());
    const auto grid = *products.numeric.grid();
    // Of steps that are powers of two, so that what is below 2^53 is exact.
    const auto at = [&](int64_t code, int64_t of_bias) {
      return (static_cast<double>(code) * products.step().f64()[0] +
              static_cast<double>(of_bias) * biases.step().f64()[0]) /
             sum.step().f64()[0];
    };
    const double lo = at(grid.lo, least), hi = at(grid.hi, greatest);
    if (lo != std::rint(lo) || hi != std::rint(hi) || lo < -0x1p52 || hi > 0x1p52) return;
    out.exact = Numeric::integers(static_cast<int64_t>(lo), static_cast<int64_t>(hi),
                                  sum.numeric.grid()->fraction);
  }

  void count_bits(SoundSum& out, const Node& node, const TensorType& x, const TensorType& w,
                  const TensorType& y) const {
    const std::vector<int64_t> uses = uses_of_taps(node, x, w, y);
    const Node& kernel = folded().producer(folded().find(node.name)->operands[1]);
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
      out.ebops += at_.runs * uses[tap] * bits * input_bits;
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
    const Numeric& result = graph().type(node.results[0]).numeric;
    if (node.is(ops::elementwise)) {
      const auto kind = from_attributes<ops::ElementwiseOp>(node.attributes).kind;
      if (kind == ops::Elementwise::multiply || kind == ops::Elementwise::divide)
        return n * once(multiply(qtools_type_of(graph().type(node.operands[1]).numeric),
                                 qtools_type_of(graph().type(node.operands[0]).numeric)));
      return n * addition(result);
    }
    if (node.is(ops::pool) || node.is(ops::reduce)) return n * addition(result);
    if (node.is(ops::batch_norm)) {  // one product and one sum for each element
      const auto elements = static_cast<double>(at_.runs * elements_of(node.results[0]));
      const QtoolsType f32 = QtoolsType::floating(kFloatBits);
      return elements * (once(multiply(f32, f32)) + addition(Numeric::float32()));
    }
    return 0;
  }

  static Graph with_folded_weights(const Graph& graph) {
    Graph folded = graph.clone();
    fold_weights(folded);
    folded.infer_types();
    return folded;
  }

  Graph folded_;
  EnergyOptions options_;
  Frame at_;
  SoundReport out_;
  std::unordered_map<std::string, size_t> rows_;
  std::unordered_map<size_t, int64_t> multiplications_, others_;  // by row
  std::map<std::pair<const Graph*, NodeId>, bool> from_weights_;
  std::map<std::pair<const Graph*, ValueId>, std::vector<NodeId>> users_;
  std::vector<std::pair<const Graph*, ValueId>> stored_;
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
