// tests/golden/check_qtools_parallelism.cc: unroll factors and gates of pipelines.
#include "bindings/import/qtools_model.h"
#include "graph/support/error.h"
#include "passes/analysis/qtools/parallelism.h"
#include "tests/golden/check_qtools.h"

namespace qloom::golden {
namespace {

std::string check_parts(const Json& c) {
  Json candidates = Json::array(), gates = Json::array();
  for (const Json& entry : c.at("candidates"))
    candidates.push_back(
        {entry[0], entry[1],
         qtools::unroll_candidates(entry[0].get<int64_t>(), entry[1].get<int64_t>())});
  for (const Json& entry : c.at("mac_gates"))
    gates.push_back({entry[0], entry[1], entry[2],
                     qtools::mac_gates(entry[0].get<int64_t>(), entry[1].get<int64_t>(),
                                       entry[2].get<int64_t>())});
  return difference({{"candidates", candidates}, {"mac_gates", gates}},
                    {{"candidates", c.at("candidates")}, {"mac_gates", c.at("mac_gates")}});
}

Json path_of(const qtools::Parallelism& result) {
  Json path = Json::array();
  for (const qtools::Stage& stage : result.path)
    path.push_back({{"node", stage.node},
                    {"choice", stage.choice()},
                    {"cur_cost", stage.gates},
                    {"acc_cost", stage.gates_from_here},
                    {"OutElementPerClk", stage.out_elements},
                    {"layer_name", stage.layer}});
  return path;
}

}  // namespace

std::string check_qtools_parallelism(const Bundle& bundle, const Json& c,
                                     const RunOptions& options) {
  if (c.contains("candidates")) return check_parts(c);
  const qtools::QtoolsModel model = qtools_model_of(keras_model_of(bundle, c, options));
  const qtools::MapOptions map_options{.process = &process_of(c.at("settings").get<std::string>())};
  const Json& a = c.at("arguments");
  const qtools::ParallelismOptions asked{
      .out_elements_per_clock = a.value("target_OutElementPerClk", int64_t{10}),
      .throughput = a.value("target_out_throughput", 1.0),
      .compute_to_memory_max_ratio = a.value("compute_to_memory_max_ratio", int64_t{4}),
      .memory_to_unroll_max_ratio = a.value("memory_to_unroll_max_ratio", int64_t{4})};
  const qtools::Parallelism result = find_parallelism(model, map_options, asked);
  if (c.contains("error")) return check_refusal(result.refusals, c.at("error"));
  if (!result.refusals.empty()) return "refused: " + result.refusals[0].why;
  Json widths = Json::object();
  for (const qtools::LayerTypes& l : map_types(model, map_options).layers) {
    const qtools::StageWidths w = qtools::widths_of(l);
    widths[l.name] = {{"input_bits", w.input},
                      {"weight_bits", w.weight},
                      {"mac_bits", w.product},
                      {"acc_bits", w.sum},
                      {"output_bits", w.output}};
  }
  return difference({{"widths", widths},
                     {"path", path_of(result)},
                     {"cost", result.gates ? Json(*result.gates) : Json()}},
                    {{"widths", c.at("widths")}, {"path", c.at("path")}, {"cost", c.at("cost")}});
}

}  // namespace qloom::golden
