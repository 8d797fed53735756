#include "bindings/report/sound.h"

#include "bindings/report/stats.h"
#include "bindings/report/table.h"
#include "graph/support/error.h"

namespace qloom::report {
namespace {

using qtools::SoundLayer;
using qtools::SoundSum;
using Json = nlohmann::ordered_json;

std::string inputs_text(const std::vector<Numeric>& inputs) {
  std::string out;
  for (const Numeric& numeric : inputs) {
    const std::string text = short_text(numeric);
    if (out == text) continue;
    out += (out.empty() ? "" : ", ") + text;
  }
  return out.empty() ? "-" : out;
}

void add_layer(Table& table, const SoundLayer& layer) {
  const std::string output = short_text(layer.output), operations = grouped(layer.operations);
  if (layer.sums.empty()) {
    table.add({layer.name, inputs_text(layer.inputs), "-", "-", "-", "-", output, operations, "-"});
    return;
  }
  for (size_t k = 0; k < layer.sums.size(); ++k) {
    const SoundSum& s = layer.sums[k];
    table.add({k == 0 ? layer.name : "", short_text(s.input), short_text(s.weight),
               short_text(s.product), short_text(s.sum), short_text(s.exact), k == 0 ? output : "",
               k == 0 ? operations : "", grouped(s.ebops)});
  }
}

Json type_json(const Numeric& numeric) {
  return {{"set", numeric.to_string()}, {"type", short_text(numeric)}, {"bits", numeric.bits()}};
}

Json sum_json(const SoundSum& s) {
  return {{"node", s.node},
          {"input", type_json(s.input)},
          {"weights", type_json(s.weight)},
          {"by", qtools::to_string(
                     multiply(qtools::qtools_type_of(s.weight), qtools::qtools_type_of(s.input))
                         .implementation)},
          {"product", type_json(s.product)},
          {"sum", type_json(s.sum)},
          {"exact", type_json(s.exact)},
          {"multiplications", s.multiplications},
          {"weights_not_zero", s.weights_not_zero},
          {"bops", s.bops},
          {"ebops", s.ebops}};
}

std::string bytes_text(int64_t bits) { return grouped((bits + 7) / 8) + " bytes"; }

}  // namespace

std::string short_text(const Numeric& numeric) {
  return short_text(qtools::qtools_type_of(numeric));
}

std::string to_text(const qtools::SoundReport& report, const std::string& title, size_t width) {
  Table table({"layer", "input", "weights", "product", "sum", "exact", "output", "ops", "EBOPs"});
  for (const SoundLayer& layer : report.layers)
    if (!layer.inputs.empty() || layer.operations > 0) add_layer(table, layer);
  table.add_rule();
  table.add({"all", "", "", "", "", "", "", grouped(report.operations()), grouped(report.ebops())});
  return title + "\n\n" + table.to_string(width) +
         join_text("\nweights      ", bytes_text(report.weight_bits()), "\nactivations  ",
                   bytes_text(report.activation_bits), "\nBOPs         ", grouped(report.bops()),
                   "\nEBOPs        ", grouped(report.ebops()), "\nenergy       ",
                   grouped(report.energy.counted_sum()), " pJ, ",
                   grouped(report.energy.total_cost()), " pJ with all that the sum leaves out\n");
}

Json to_json(const qtools::SoundReport& report) {
  Json layers = Json::array();
  for (const SoundLayer& layer : report.layers) {
    Json inputs = Json::array(), sums = Json::array();
    for (const Numeric& numeric : layer.inputs) inputs.push_back(type_json(numeric));
    for (const SoundSum& s : layer.sums) sums.push_back(sum_json(s));
    layers.push_back({{"layer", layer.name},
                      {"class_name", layer.class_name},
                      {"inputs", inputs},
                      {"sums", sums},
                      {"output", type_json(layer.output)},
                      {"operations", layer.operations},
                      {"weight_bits", layer.weight_bits}});
  }
  return {{"layers", layers},
          {"weight_bits", report.weight_bits()},
          {"activation_bits", report.activation_bits},
          {"operations", report.operations()},
          {"bops", report.bops()},
          {"ebops", report.ebops()}};
}

}  // namespace qloom::report
