#include "passes/analysis/qtools/parallelism.h"

#include <algorithm>
#include <cmath>

#include "graph/attributes.h"
#include "graph/support/error.h"

namespace qloom::qtools {
namespace {

/// What kind of pipeline stage a class is.
enum class StageKind : uint8_t { passes, multiplies, windowed, global, upsamples, joins };
struct StageClass {
  std::string_view layer_class;
  StageKind kind;
  bool has_weight_record = true;  ///< QTools keeps no weight shape for the others and raises
};
constexpr StageClass kStages[] = {{"QDense", StageKind::multiplies},
                                  {"QConv2D", StageKind::multiplies},
                                  {"QDepthwiseConv2D", StageKind::windowed},
                                  {"MaxPooling2D", StageKind::windowed, false},
                                  {"GlobalMaxPooling2D", StageKind::global, false},
                                  {"QAveragePooling2D", StageKind::windowed},
                                  {"QGlobalAveragePooling2D", StageKind::global},
                                  {"UpSampling2D", StageKind::upsamples, false},
                                  {"Concatenate", StageKind::joins, false},
                                  {"QBatchNormalization", StageKind::passes},
                                  {"QActivation", StageKind::passes},
                                  {"Activation", StageKind::passes},
                                  {"Dropout", StageKind::passes},
                                  {"Reshape", StageKind::passes},
                                  {"ZeroPadding2D", StageKind::passes}};

/// Plain layers count as quantized ones, what is not known passes its elements on. QTools raises.
const StageClass& stage_class_of(std::string_view layer_class, const Context& context) {
  static constexpr StageClass kUnknown{"", StageKind::passes};
  const auto* stage = std::ranges::find(kStages, layer_class, &StageClass::layer_class);
  if (stage != std::end(kStages)) return *stage;
  stage = std::ranges::find(kStages, "Q" + std::string(layer_class), &StageClass::layer_class);
  const bool is_plain = stage != std::end(kStages);
  context.refuse("AssertionError",
                 join_text("layers of class ", layer_class, " are no pipeline stages; taken as ",
                           is_plain ? join_text("a ", stage->layer_class)
                                    : "one that passes its elements on"));
  return is_plain ? *stage : kUnknown;
}

std::vector<int64_t> divisors(int64_t n) {
  std::vector<int64_t> out, above;
  for (int64_t d = 1; d <= n / d; ++d) {
    if (n % d != 0) continue;
    out.push_back(d);
    if (d != n / d) above.push_back(n / d);
  }
  out.insert(out.end(), above.rbegin(), above.rend());
  return out;
}

double positions(const Extents& shape) {
  double product = 1;
  for (size_t axis = 0; axis + 1 < shape.size(); ++axis)
    if (shape[axis] != kUnknownExtent) product *= static_cast<double>(shape[axis]);
  return product;
}

/// Ways to serve the next stage: by the elements that this one takes a clock, in the order found.
struct State {
  int64_t elements = 0;
  Stage stage;
};
using States = std::vector<State>;

void keep_cheaper(States& states, int64_t elements, const Stage& stage) {
  const auto found = std::ranges::find(states, elements, &State::elements);
  if (found == states.end())
    states.push_back({elements, stage});
  else if (stage.gates_from_here < found->stage.gates_from_here)
    found->stage = stage;
}

/// All choices for one layer.
class StageSearch {
 public:
  StageSearch(const QtoolsModel& model, const LayerTypes& types, const StageClass& stage_class,
              const ParallelismOptions& options, double throughput, const Context& context)
      : layer_(model.layers[types.layer]),
        class_(stage_class),
        options_(options),
        context_(context),
        widths_(widths_of(types)),
        out_rate_(throughput) {
    const Extents& in = layer_.input_shapes.back();
    cin_ = in.back();
    cout_ = layer_.output_shape.back();
    if (layer_.kernel_size.size() == 2) {
      height_ = layer_.kernel_size[0];
      width_ = layer_.kernel_size[1];
    }
    in_rate_ = throughput * positions(in) / positions(layer_.output_shape);
    if (const Part* weight = types.find("weight_quantizer"))
      weights_ = static_cast<double>(element_count(*weight->shape));
    base_.node = model.keras_index(types.layer);
    base_.layer = layer_.name;
  }

  [[nodiscard]] double in_rate() const { return in_rate_; }

  States run(const States& next) {
    for (const State& state : next) {
      base_.out_elements = state.elements;
      after_ = state.stage.gates_from_here;
      if (class_.kind == StageKind::passes) {
        Stage stage = base_;
        stage.gates_from_here = after_;
        keep_cheaper(found_, state.elements, stage);
        continue;
      }
      for (const int64_t cout :
           unroll_candidates(state.elements, options_.compute_to_memory_max_ratio))
        if (cout_ % cout == 0) unroll(cout);
    }
    return std::move(found_);
  }

 private:
  void unroll(int64_t cout) {
    const bool own_channels =
        class_.kind == StageKind::windowed || class_.kind == StageKind::global;
    for (const int64_t cin : own_channels ? std::vector<int64_t>{cout} : divisors(cin_))
      for (const int64_t width : divisors(width_))
        for (const int64_t height : divisors(height_)) {
          const Unroll u{cin, cout, height, width};
          if (compute_rate(u) >= out_rate_) buffer(u);
        }
  }

  [[nodiscard]] double compute_rate(const Unroll& u) const {
    const auto window = static_cast<double>(u.height * u.width);
    const auto kernel = static_cast<double>(height_ * width_);
    const auto out = static_cast<double>(u.cout), channels = static_cast<double>(cout_);
    switch (class_.kind) {
      case StageKind::multiplies:
        return static_cast<double>(u.cin) * out * window /
               (static_cast<double>(cin_) * channels * kernel);
      case StageKind::windowed:
      case StageKind::upsamples:
        return out * window / (channels * kernel);
      default:
        return out / channels;
    }
  }

  /// Elements that go into the units a clock, for each position of the window.
  [[nodiscard]] int64_t entering(const Unroll& u) const {
    switch (class_.kind) {
      case StageKind::multiplies:
      case StageKind::joins:
        return class_.kind == StageKind::joins ? u.cin / (u.height * u.width) : u.cin;
      case StageKind::windowed:
        return u.cout;
      default:
        return u.cout / (u.height * u.width);
    }
  }

  void buffer(const Unroll& u) {
    const auto delivered = static_cast<double>(base_.out_elements);
    const double spread = class_.kind == StageKind::upsamples
                              ? static_cast<double>(cout_ * height_ * width_)
                              : static_cast<double>(cout_);
    for (const int64_t taken :
         unroll_candidates(entering(u), options_.memory_to_unroll_max_ratio)) {
      const double taken_rate = static_cast<double>(taken) / static_cast<double>(cin_),
                   delivered_rate = delivered / spread;
      const bool enough = options_.as_qtools
                              ? taken_rate >= out_rate_ && delivered_rate >= in_rate_
                              : taken_rate >= in_rate_ && delivered_rate >= out_rate_;
      if (!enough) continue;
      if (!class_.has_weight_record && !was_refused_) {
        was_refused_ = true;
        context_.refuse("TypeError", join_text("QTools keeps no weight shape for a ",
                                               class_.layer_class, "; taken as without weights"));
      }
      Stage stage = base_;
      stage.unroll = u;
      stage.taken_ratio = static_cast<double>(u.cin) / static_cast<double>(taken);
      stage.delivered_ratio = delivered / static_cast<double>(u.cout);
      stage.gates = area(u, taken);
      stage.gates_from_here = stage.gates + after_;
      keep_cheaper(found_, taken, stage);
    }
  }

  [[nodiscard]] double area(const Unroll& u, int64_t taken) const {
    constexpr double kRegisterBit = 10, kRomBit = 0.1;
    double unit = mac_gates(widths_.input, widths_.weight, widths_.sum);
    if (!options_.as_qtools || !class_.has_weight_record) unit = std::max(unit, 0.0);
    const double units = unit * static_cast<double>(u.cin) * static_cast<double>(u.cout) *
                         static_cast<double>(u.height) * static_cast<double>(u.width);
    const double memory = static_cast<double>(taken * widths_.input) * kRegisterBit +
                          static_cast<double>(base_.out_elements * widths_.output) * kRegisterBit +
                          weights_ * static_cast<double>(widths_.weight) * kRomBit;
    return units + memory;
  }

  const ModelLayer& layer_;
  const StageClass& class_;
  const ParallelismOptions& options_;
  Context context_;
  StageWidths widths_;
  double out_rate_, in_rate_ = 0, weights_ = 0, after_ = 0;
  int64_t cin_ = 0, cout_ = 0, height_ = 1, width_ = 1;
  bool was_refused_ = false;
  Stage base_;
  States found_;
};

/// The layers from the last to the first, along first inputs.
std::vector<size_t> chain_of(const QtoolsModel& model, const DataMap& map) {
  std::vector<Refusal> known;  // what the wiring refuses stands in the map
  const Wiring wiring(model, map.sources, {known});
  std::vector<size_t> chain;
  std::optional<size_t> at = wiring.first_output();
  while (at) {
    chain.push_back(*at);
    const auto edges = wiring.incoming(*at);
    at = edges.empty() || edges.front()->from >= model.layers.size()
             ? std::nullopt
             : std::optional(edges.front()->from);
  }
  return chain;
}

}  // namespace

std::vector<int64_t> unroll_candidates(int64_t v, int64_t max_ratio) {
  std::vector<int64_t> out = divisors(v);
  for (int64_t factor = 2; factor <= max_ratio; ++factor) out.push_back(v * factor);
  return out;
}

double mac_gates(int64_t input_bits, int64_t weight_bits, int64_t sum_bits) {
  return 7.70469119 * static_cast<double>(input_bits) * static_cast<double>(weight_bits) +
         13.76199652 * static_cast<double>(sum_bits) - 92.15756665;
}

StageWidths widths_of(const LayerTypes& layer) {
  const Operation* product = layer.operation("multiplier");
  if (product == nullptr) product = layer.merge_operation();
  const Operation* sum = layer.operation("accumulator");
  const Part* weight = layer.find("weight_quantizer");
  const int64_t input = layer.inputs.at(0).bits;
  return {.input = input,
          .weight = weight == nullptr ? 0 : weight->type.bits,
          .product = product == nullptr ? input : product->out.bits,
          .sum = sum == nullptr ? input : sum->out.bits,
          .output = layer.output.bits};
}

std::string Stage::choice() const {
  const auto ratio = [&](double v) {
    return unroll ? AttributeValue(v).to_string() : std::string("0");
  };
  const Unroll u = unroll.value_or(Unroll{});
  return join_text("Choice(k=", ratio(taken_ratio), ", l=", ratio(delivered_ratio),
                   ", cin_unroll=", u.cin, ", cout_unroll=", u.cout, " kh_unroll=", u.height,
                   ", kw_unroll=", u.width, ")");
}

Parallelism find_parallelism(const QtoolsModel& model, const MapOptions& map_options,
                             const ParallelismOptions& options) {
  constexpr int64_t kMostElements = 1 << 20;
  qloom_check(
      options.out_elements_per_clock >= 1 && options.out_elements_per_clock <= kMostElements,
      options.out_elements_per_clock, " elements a clock are asked for, expected 1 to ",
      kMostElements);
  qloom_check(options.throughput > 0 && std::isfinite(options.throughput), "a throughput of ",
              options.throughput, " samples a clock is asked for, expected one above 0");
  const DataMap map = map_types(model, map_options);
  Parallelism result{.refusals = map.refusals};
  std::vector<States> chosen;  // from the last layer to the first
  States states{{options.out_elements_per_clock, {}}};
  double throughput = options.throughput;
  for (const size_t index : chain_of(model, map)) {
    const ModelLayer& layer = model.layers[index];
    const Context context{result.refusals, layer.name};
    StageSearch search(model, *map.find(layer.name), stage_class_of(layer.class_name, context),
                       options, throughput, context);
    states = search.run(states);
    if (states.empty()) return result;
    chosen.push_back(states);
    throughput = search.in_rate();
  }
  const auto best =
      std::ranges::min_element(states, {}, [](const State& s) { return s.stage.gates_from_here; });
  int64_t elements = best->elements;
  result.gates = best->stage.gates_from_here;
  Stage source{.node = -1, .layer = "None"};
  source.gates_from_here = *result.gates;
  source.out_elements = elements;
  result.path.push_back(source);
  for (auto layer = chosen.rbegin(); layer != chosen.rend(); ++layer) {
    const Stage& stage = std::ranges::find(*layer, elements, &State::elements)->stage;
    result.path.push_back(stage);
    elements = stage.out_elements;
  }
  return result;
}

}  // namespace qloom::qtools
