#include "bindings/report/summary.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "bindings/report/table.h"
#include "graph/interpret.h"
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/quantizer.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"

namespace qloom::report {
namespace {

/// Value set with its scale, without the shape.
std::string set_of(const TensorType& type) {
  return type.numeric.to_string() + type.scale.to_string();
}

/// The fewest digits that read back.
std::string shortest(double value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

std::string range_of(const Tensor& scale) {
  const auto values = scale.f64();
  if (values.empty()) return "1";
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (*low == *high)
    return shortest(*low) + (values.size() > 1 ? join_text(" (", values.size(), " channels)") : "");
  return join_text(shortest(*low), " .. ", shortest(*high), " (", values.size(), " channels)");
}

std::string width_of(const TensorType& type) {
  return type.is_float32() ? "float" : std::to_string(type.numeric.bits());
}

class Report {
 public:
  explicit Report(const Graph& graph) : graph_(&graph) {
    out_.model = graph.name;
    for (const NodeId id : graph.order()) add(graph.node(id));
  }

  SummaryReport take() {
    for (const LayerReport& l : out_.layers) {
      out_.parameters += l.parameters;
      out_.packed_bytes += l.packed_bytes;
      for (const auto& [widths, macs] : l.macs) out_.macs += macs;
    }
    return std::move(out_);
  }

 private:
  /// Consecutive nodes of a layer share its row; a layer's constants may come before its first op.
  LayerReport& row_of(const Node& node) {
    const Origin origin = node.origins.empty() ? Origin{node.name, "", "", 0} : node.origins.back();
    const std::string& name = origin.layer.empty() ? node.name : origin.layer;
    const auto found = std::find_if(out_.layers.begin(), out_.layers.end(),
                                    [&](const LayerReport& l) { return l.name == name; });
    if (found != out_.layers.end()) return *found;
    LayerReport& row = out_.layers.emplace_back();
    row.name = name;
    row.layer_class = origin.layer_class.empty() ? std::string(node.op->name) : origin.layer_class;
    return row;
  }

  /// Computed from constants alone: a weight on its way.
  [[nodiscard]] bool from_weights(ValueId value) const {
    const Node& node = graph_->producer(value);
    if (node.constant) return true;
    return !node.operands.empty() &&
           std::all_of(node.operands.begin(), node.operands.end(),
                       [&](ValueId operand) { return from_weights(operand); });
  }

  void add_quantizer(LayerReport& row, const Node& node) {
    const auto attributes = from_attributes<ops::Quantize>(node.attributes);
    const Quantizer quantizer = Quantizer::from_config(attributes.quantizer, attributes.arguments);
    const TensorType& type = graph_->type(node.results[0]);
    const bool weight = from_weights(node.operands[0]);
    std::string of = "output";
    if (weight) {
      of = graph_->producer(node.operands[0]).name;
      if (of.starts_with(row.name + "/")) of.erase(0, row.name.size() + 1);
    }
    row.quantizers.push_back(
        {of, quantizer.to_string(),
         type.scale.is_dynamic() ? "from the data" : range_of(type.scale.values()),
         quantizer.notes()});
    if (weight && row.weight_set.empty()) row.weight_set = set_of(type);
    if (weight) {
      const int64_t elements = elements_per_sample(type.shape);
      packed_bits_[row.name] += elements * (type.numeric.bits() - 32);
    }
  }

  void add(const Node& node) {
    LayerReport& row = row_of(node);
    if (node.constant) {
      // Numbers that the importer made (an epsilon, a pool's 1/n) are no parameters: weights have a
      // shape.
      if (node.constant->rank() > 0) {
        row.parameters += node.constant->size();
        packed_bits_[row.name] += node.constant->size() * 32;
      }
    } else if (node.is(ops::scan)) {
      add_scan(node);
    } else if (!node.results.empty()) {
      add_op(row, node);
    }
    row.packed_bytes = (packed_bits_[row.name] + 7) / 8;
  }

  /// The nodes of a step belong to the layer; its input and output are those of the scan.
  void add_scan(const Node& node) {
    const Graph* outer = graph_;
    graph_ = node.body.get();
    repeats_ = outer->type(node.operands[0]).shape[1].extent();
    for (const NodeId id : graph_->order())
      if (!graph_->node(id).is(ops::input)) add(graph_->node(id));
    graph_ = outer;
    repeats_ = 1;
    LayerReport& row = row_of(node);
    // What the layer shows: the collected steps, else the last state.
    const auto collected = static_cast<size_t>(node.attributes["states"].as_integer());
    const TensorType& result =
        graph_->type(node.results[collected < node.results.size() ? collected : 0]);
    row.output_shape = to_string(result.shape);
    row.output_set = set_of(result);
    row.input_set = set_of(graph_->type(node.operands[0]));
    row.packed_bytes = (packed_bits_[row.name] + 7) / 8;
  }

  void add_op(LayerReport& row, const Node& node) {
    if (node.is(ops::quantize)) add_quantizer(row, node);
    const TensorType& result = graph_->type(node.results[0]);
    if (from_weights(node.results[0])) return;
    row.output_shape = to_string(result.shape);
    row.output_set = set_of(result);
    if (node.operands.empty()) return;
    const TensorType& input = graph_->type(node.operands[0]);
    if (row.input_set.empty()) row.input_set = set_of(input);
    if (node.op->count == nullptr) return;
    std::vector<TensorType> operands, results;
    for (const ValueId v : node.operands) operands.push_back(graph_->type(v));
    for (const ValueId v : node.results) results.push_back(graph_->type(v));
    const int64_t macs = node.op->count(node, operands, results).multiply_accumulates * repeats_;
    if (macs == 0 || node.operands.size() < 2) return;
    row.macs[width_of(input) + " × " + width_of(operands[1]) + " bit"] += macs;
    if (row.weight_set.empty()) row.weight_set = set_of(operands[1]);
  }

  const Graph* graph_;   ///< or, within a scan, its body
  int64_t repeats_ = 1;  ///< how often its nodes are done
  SummaryReport out_;
  std::map<std::string, int64_t> packed_bits_;
};

/// Without a limit one row a layer; else its value sets stand below it.
Table layers_table(const SummaryReport& report, size_t width) {
  if (width == 0) {
    Table table({"layer (class)", "output shape", "input", "weights", "output", "parameters",
                 "MACs", "packed bytes"});
    for (const LayerReport& l : report.layers)
      table.add({l.name + " (" + l.layer_class + ")", l.output_shape, l.input_set, l.weight_set,
                 l.output_set, grouped(l.parameters), macs_text(l), grouped(l.packed_bytes)});
    return table;
  }
  Table table({"layer (class)", "output shape", "parameters", "MACs", "bytes"});
  for (const LayerReport& l : report.layers) {
    table.add({l.name + " (" + l.layer_class + ")", l.output_shape, grouped(l.parameters),
               macs_text(l), grouped(l.packed_bytes)});
    std::string sets = l.input_set;
    if (!l.weight_set.empty()) sets += " × " + l.weight_set;
    sets += (sets.empty() ? "" : " → ") + l.output_set;
    if (!sets.empty()) table.add_note(sets);
  }
  return table;
}

}  // namespace

SummaryReport summary_of(const Graph& graph) { return Report(graph).take(); }

std::string macs_text(const LayerReport& layer) {
  std::string out;
  for (const auto& [widths, macs] : layer.macs)
    out += (out.empty() ? "" : ", ") + grouped(macs) + (widths.empty() ? "" : " (" + widths + ")");
  return out.empty() ? "-" : out;
}

std::string to_text(const SummaryReport& report, size_t width) {
  std::string out = report.model + "\n\n" + layers_table(report, width).to_string(width);
  out += join_text("\nparameters: ", grouped(report.parameters),
                   "   MACs a sample: ", grouped(report.macs),
                   "   packed weights: ", grouped(report.packed_bytes), " bytes\n\n");
  Table quantizers({"layer", "quantizer of", "quantizer", "scale"});
  std::vector<std::string> notes;
  for (const LayerReport& l : report.layers)
    for (const QuantizerReport& q : l.quantizers) {
      quantizers.add({l.name, q.of, q.text, q.scale});
      for (const std::string& note : q.notes)
        notes.push_back(join_text(l.name, ", ", q.of, ": ", note));
    }
  out += quantizers.to_string(width);
  for (const std::string& note : notes) out += wrapped("note: " + note, width, 2) + "\n";
  return out;
}

}  // namespace qloom::report
