#include "bindings/import/sampled_accumulators.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "bindings/import/keras_import.h"
#include "bindings/import/qtools_model.h"
#include "graph/interpret.h"

namespace qloom {
namespace {

using Values = std::unordered_map<std::string, Tensor>;

/// What each layer yields, by its name.
Values run(const KerasModel& model, std::span<const Tensor> inputs) {
  const Graph graph = import_keras(model);
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::qkeras;
  Values values;
  (void)interpret(graph, inputs, options,
                  [&](const Node& node, std::span<const RuntimeValue> results) {
                    if (!results.empty()) values.insert_or_assign(node.name, to_f32(results[0]));
                  });
  return values;
}

/// A layer that adds nothing to the graph yields what it reads.
const Tensor& output_of(const qtools::QtoolsModel& model, size_t layer, const Values& values) {
  for (;;) {
    const auto found = values.find(model.layers[layer].name);
    if (found != values.end()) return found->second;
    layer = model.layers[layer].inputs.at(0);
  }
}

}  // namespace

qtools::AccumulatorBits analyze_accumulator_from_sample(const KerasModel& unfolded,
                                                        std::span<const Tensor> inputs,
                                                        SampleMode mode) {
  const qtools::QtoolsModel model = qtools_model_of(unfolded);
  std::vector<size_t> analyzed;
  for (size_t k = 0; k < model.layers.size(); ++k)
    if (qtools::has_analyzed_accumulator(model.layers[k].class_name)) analyzed.push_back(k);
  qtools::AccumulatorBits out;
  if (analyzed.empty()) {
    out.refusals.push_back({"", "IndexError", "no layer has an accumulator that is analysed"});
    return out;
  }
  const Values values = run(unfolded, inputs);
  qtools::InputRanges ranges;
  for (const size_t k : analyzed) {
    const qtools::ModelLayer& layer = model.layers[k];
    const bool conservative = mode == SampleMode::conservative;
    const Tensor& seen = output_of(model, conservative ? layer.inputs.at(0) : k, values);
    std::span<const float> numbers = seen.f32();
    if (analyzed.size() == 1)
      numbers = numbers.first(numbers.size() / static_cast<size_t>(seen.extents().at(0)));
    const auto [low, high] = std::ranges::minmax(numbers);
    ranges[layer.name] = {low, high};
    const double largest = std::max(std::fabs(low), std::fabs(high));
    if (!conservative)
      out.layers[layer.name] =
          largest == 0 ? 0 : static_cast<int64_t>(std::ceil(std::log2(largest)));
  }
  return mode == SampleMode::conservative ? analyze_accumulator(model, ranges) : out;
}

}  // namespace qloom
