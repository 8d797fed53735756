#include "bindings/report/trace.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>

#include "bindings/golden/compare.h"
#include "bindings/report/table.h"
#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "passes/analysis/layers.h"
#include "passes/compile.h"

namespace qloom::report {
namespace {

double share(int64_t part, int64_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

LayerTrace trace_value(const Node& node, const Origin& origin, const RuntimeValue& value,
                       const Tensor& floats) {
  LayerTrace t{.name = origin.layer,
               .layer_class = origin.layer_class,
               .set = value.type.numeric.to_string(),
               .values = floats.size(),
               .saturated = {},
               .unused = {}};
  if (floats.size() == 0) return t;
  t.min = HUGE_VAL;
  t.max = -HUGE_VAL;
  for (const float v : floats.f32()) {
    t.min = std::min<double>(t.min, v);  // NaN is neither
    t.max = std::max<double>(t.max, v);
    t.nans += std::isnan(v) ? 1 : 0;
  }
  if (t.nans == t.values) t.min = t.max = 0;
  t.zeros = share(std::ranges::count(floats.f32(), 0.0F), floats.size());
  if (value.data.dtype() != DType::i64) return t;
  const Numeric::Grid set = *value.type.numeric.grid();
  const auto codes = value.data.i64();
  const auto [least, most] = std::ranges::minmax(codes);
  const double width = static_cast<double>(set.hi) - static_cast<double>(set.lo);
  if (width > 0) t.unused = 1 - (static_cast<double>(most) - static_cast<double>(least)) / width;
  // Sets of two or three members are all ends. A rectifier's zero is no clipped value.
  constexpr int64_t kFewCodes = 2;
  if (node.is(ops::quantize) && set.hi - set.lo > kFewCodes)
    t.saturated = share(
        std::ranges::count_if(
            codes, [&](int64_t code) { return code == set.hi || (code == set.lo && set.lo != 0); }),
        floats.size());
  return t;
}

std::string percent(const std::optional<double>& part) {
  if (!part) return "-";
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %%", 100 * *part);
  return text.data();
}

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.5g", value);
  return text.data();
}

/// The node that a layer's output comes from has the layer's name; null for other nodes.
const Origin* layer_shown_by(const Node& node) {
  if (node.results.empty() || node.origins.empty() || node.constant) return nullptr;
  const Origin& origin = node.origins.back();
  return origin.layer.empty() || node.name != origin.layer ? nullptr : &origin;
}

TraceReport empty_report(const Graph& graph, std::span<const Tensor> inputs) {
  const bool has_samples = !inputs.empty() && !inputs[0].extents().empty();
  return {.model = graph.name, .samples = has_samples ? inputs[0].extents()[0] : 0, .layers = {}};
}

}  // namespace

TraceReport trace_of(const Graph& graph, std::span<const Tensor> inputs, const LayerValues& each) {
  TraceReport report = empty_report(graph, inputs);
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  (void)interpret(graph, inputs, options,
                  [&](const Node& node, std::span<const RuntimeValue> results) {
                    const Origin* origin = layer_shown_by(node);
                    if (origin == nullptr) return;
                    const ValueId shown = passes::shown_result(graph, node);
                    const auto at = std::ranges::find(node.results, shown) - node.results.begin();
                    const RuntimeValue& value = results[static_cast<size_t>(at)];
                    const Tensor floats = to_f32(value);
                    report.layers.push_back(trace_value(node, *origin, value, floats));
                    if (each) each(origin->layer, floats);
                  });
  return report;
}

TraceReport trace_compiled(const Graph& graph, const std::vector<Tensor>& inputs, int threads,
                           const LayerValues& each) {
  TraceReport report = empty_report(graph, inputs);
  Graph probed = graph.clone();
  std::vector<std::pair<const Node*, ValueId>> layers;  // in the order of the new outputs
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (layer_shown_by(node) == nullptr) continue;
    layers.emplace_back(&node, passes::shown_result(graph, node));
    probed.add_output("layer/" + node.name, layers.back().second);
  }
  const size_t first = graph.outputs().size();
  const passes::Compilation compiled = passes::compile(std::move(probed));
  const std::vector<Tensor> outputs = golden::run_model(compiled.model, inputs, threads);
  for (size_t k = 0; k < layers.size(); ++k) {
    const auto& [node, value] = layers[k];
    const Tensor& floats = outputs[first + k];
    TensorType type = graph.type(value);
    // A scale that the values have brought along is not known here.
    const bool has_codes = type.has_codes() && !type.scale.is_dynamic();
    const Origin& origin = *layer_shown_by(*node);
    const RuntimeValue seen{type, has_codes ? to_codes(floats, type) : floats};
    report.layers.push_back(trace_value(*node, origin, seen, floats));
    if (each) each(origin.layer, floats);
  }
  return report;
}

std::string to_text(const TraceReport& report, size_t width) {
  Table table({"layer", "set", "min", "max", "saturated", "unused", "zeros"});
  for (const LayerTrace& l : report.layers)
    table.add({l.name, l.set, number(l.min), number(l.max), percent(l.saturated), percent(l.unused),
               percent(l.zeros)});
  std::string out =
      report.model + ": " + grouped(report.samples) + " samples\n\n" + table.to_string(width);
  for (const LayerTrace& l : report.layers)
    if (l.nans > 0) out += "\n" + l.name + ": " + grouped(l.nans) + " values are NaN";
  return out.back() == '\n' ? out : out + "\n";
}

}  // namespace qloom::report
