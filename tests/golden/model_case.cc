#include "tests/golden/model_case.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <set>

#include "bindings/golden/compare.h"
#include "bindings/import/layer.h"
#include "graph/interpret.h"
#include "graph/support/error.h"
#include "passes/compile.h"
#include "tests/golden/values.h"

namespace qloom::golden {
namespace {

/// Classes that the importer must know: a case with these is never skipped for its layers.
constexpr auto kPromised = std::to_array<std::string_view>({"InputLayer",
                                                            "Dense",
                                                            "QDense",
                                                            "Conv1D",
                                                            "QConv1D",
                                                            "Conv2D",
                                                            "QConv2D",
                                                            "DepthwiseConv2D",
                                                            "QDepthwiseConv2D",
                                                            "QActivation",
                                                            "Activation",
                                                            "ReLU",
                                                            "LeakyReLU",
                                                            "Softmax",
                                                            "BatchNormalization",
                                                            "QBatchNormalization",
                                                            "Flatten",
                                                            "Reshape",
                                                            "MaxPooling1D",
                                                            "MaxPooling2D",
                                                            "AveragePooling1D",
                                                            "AveragePooling2D",
                                                            "QAveragePooling2D",
                                                            "GlobalAveragePooling1D",
                                                            "GlobalMaxPooling1D",
                                                            "GlobalAveragePooling2D",
                                                            "GlobalMaxPooling2D",
                                                            "QGlobalAveragePooling2D",
                                                            "Add",
                                                            "Subtract",
                                                            "Multiply",
                                                            "Maximum",
                                                            "Minimum",
                                                            "Average",
                                                            "Concatenate",
                                                            "ZeroPadding1D",
                                                            "ZeroPadding2D",
                                                            "Rescaling",
                                                            "Masking",
                                                            "Dropout",
                                                            "SpatialDropout2D",
                                                            "GaussianNoise",
                                                            "GaussianDropout",
                                                            "Conv1DTranspose",
                                                            "Conv2DTranspose",
                                                            "QConv2DTranspose",
                                                            "QDepthwiseConv2DTranspose",
                                                            "QSeparableConv2DTranspose",
                                                            "SeparableConv1D",
                                                            "SeparableConv2D",
                                                            "QSeparableConv1D",
                                                            "QSeparableConv2D",
                                                            "QAdaptiveActivation",
                                                            "QConv2DBatchnorm",
                                                            "QDepthwiseConv2DBatchnorm",
                                                            "QDenseBatchnorm",
                                                            "QScaleShift",
                                                            "UpSampling1D",
                                                            "UpSampling2D",
                                                            "Cropping1D",
                                                            "Cropping2D",
                                                            "Permute",
                                                            "RepeatVector",
                                                            "ELU",
                                                            "ThresholdedReLU",
                                                            "PReLU",
                                                            "LayerNormalization",
                                                            "Dot",
                                                            "Embedding",
                                                            "SimpleRNN",
                                                            "LSTM",
                                                            "GRU",
                                                            "QSimpleRNN",
                                                            "QLSTM",
                                                            "QGRU",
                                                            "RNN",
                                                            "Bidirectional",
                                                            "QBidirectional"});

/// "" or the first output that differs; `who` says which of both ran.
std::string compare_outputs(std::string_view who, const Graph& graph,
                            const std::vector<Tensor>& got, const std::vector<Tensor>& expected,
                            double relative) {
  if (got.size() < expected.size())
    return join_text(who, ": ", got.size(), " outputs, expected ", expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    Tolerance tolerance;
    if (relative > 0) {
      double largest = 1;
      for (const float v : expected[i].f32())
        if (std::isfinite(v)) largest = std::max(largest, std::fabs(static_cast<double>(v)));
      tolerance.absolute = [&, relative, largest](int64_t at) {
        const float v = expected[i].f32()[static_cast<size_t>(at)];
        return std::max(relative * largest, 4 * ulp_of(v));
      };
    }
    const std::string text = compare(join_text(who, ": output '", graph.outputs()[i].name, "' "),
                                     got[i], expected[i], tolerance);
    if (!text.empty()) return text;
  }
  return "";
}

}  // namespace

std::string unknown_layers(const KerasModel& model) {
  std::set<std::string> unknown;
  for (const KerasLayer& layer : model.layers) {
    if (keras::find_layer(layer.class_name) != nullptr) continue;
    qloom_check(std::ranges::find(kPromised, layer.class_name) == kPromised.end(), "layer class ",
                layer.class_name, " must be known and is not");
    unknown.insert(layer.class_name);
  }
  std::string text;
  for (const std::string& name : unknown) text += (text.empty() ? "layers: " : ", ") + name;
  return text;
}

std::string preset_of(const RunOptions& options) {
  return options.evaluation.empty() ? "eager" : options.evaluation;
}

std::string compare_with_state(const Graph& graph, const Call& call, double relative,
                               State& state) {
  EvaluationOptions evaluation = graph.options();
  evaluation.evaluation = Evaluation::qkeras;
  std::vector<Tensor> interpreted;
  for (const RuntimeValue& value : interpret(graph, call.inputs, evaluation, {}, &state))
    interpreted.push_back(to_f32(value));
  return compare_outputs("interpreter", graph, interpreted, call.outputs, relative);
}

std::string compare_with_executor(const Graph& graph, const Call& call, double relative,
                                  runtime::Executor& executor, const runtime::Program& program) {
  return compare_outputs("compiled", graph, run_executor(executor, program, call.inputs),
                         call.outputs, relative);
}

passes::Compilation compiled_case(const Graph& graph, const std::string& case_name,
                                  const RunOptions& options) {
  passes::CompileOptions compile;
  if (options.references == nullptr) return passes::compile(graph.clone(), compile);
  compile.expected_samples = 0;
  passes::Compilation compiled = passes::compile(graph.clone(), compile);
  double total = 0;
  for (const passes::RegionReport& region : compiled.regions) total += region.predicted_ns;
  for (const passes::RegionReport& region : compiled.regions)
    if (region.kernel.starts_with("reference_"))
      options.references->push_back(
          {case_name, region.name, region.kernel, region.predicted_ns / total});
  return compiled;
}

std::string compare_call(const Graph& graph, const std::string& case_name, const Call& call,
                         bool exact, const RunOptions& options) {
  State state;
  const double relative = exact ? 0 : 1e-6;
  std::string text = compare_with_state(graph, call, relative, state);
  if (!text.empty() || options.interpreter_only) return text;
  const passes::Compilation compilation = compiled_case(graph, case_name, options);
  return compare_outputs("compiled", graph, run_model(compilation.model, call.inputs, 1),
                         call.outputs, relative);
}

std::string find_file(const Bundle& bundle, const RunOptions& options, const std::string& file) {
  for (const std::string& folder : {bundle.folder(), options.root})
    if (std::filesystem::is_regular_file(folder + file)) return folder + file;
  return "";
}

std::vector<Tensor> tensors(const Bundle& bundle, const Json& list) {
  std::vector<Tensor> result;
  for (const Json& entry : list)
    result.push_back(bundle.f32(Bundle::is_tensor(entry) ? entry : entry.at("value")));
  return result;
}

}  // namespace qloom::golden
