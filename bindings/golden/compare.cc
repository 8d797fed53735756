#include "bindings/golden/compare.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "graph/support/error.h"
#include "passes/compile.h"
#include "runtime/executor.h"

namespace qloom::golden {
namespace {

constexpr double kFloatBound = 1e-6;  // of the largest expected magnitude, at least of 1
/// The same in float_mode fast, on top of it.
constexpr double kFastBound = 1e-5;
constexpr int64_t kFloatUlp = 4;

/// Order-preserving integer of a float: neighbours differ by 1, both zeros are 0.
int64_t ordinal(float value) {
  const auto bits = std::bit_cast<int32_t>(value);
  return bits >= 0 ? bits : -static_cast<int64_t>(bits & 0x7fffffff);
}

double largest_magnitude(std::span<const float> values) {
  double largest = 1;
  for (const float v : values)
    if (std::isfinite(v)) largest = std::max(largest, std::abs(static_cast<double>(v)));
  return largest;
}

bool close(float got, float expected, double bound) {
  if (std::isnan(got) || std::isnan(expected)) return std::isnan(got) && std::isnan(expected);
  return got == expected || ulp_distance(got, expected) <= kFloatUlp ||
         std::abs(static_cast<double>(got) - expected) <= bound;
}

/// Same largest element in each row, unless the expected top two are closer than the bound.
bool same_argmax(std::span<const float> got, std::span<const float> expected, int64_t columns,
                 double bound) {
  if (columns < 2) return true;
  for (size_t row = 0; row + static_cast<size_t>(columns) <= expected.size();
       row += static_cast<size_t>(columns)) {
    const auto g = got.subspan(row, static_cast<size_t>(columns));
    const auto e = expected.subspan(row, static_cast<size_t>(columns));
    const auto picked = static_cast<size_t>(std::max_element(g.begin(), g.end()) - g.begin());
    const float best = *std::max_element(e.begin(), e.end());
    if (static_cast<double>(best) - e[picked] > bound) return false;
  }
  return true;
}

Tensor first_samples(const Tensor& whole, int64_t samples) {
  Extents extents = whole.extents();
  extents[0] = std::min(samples, extents[0]);
  const auto count = static_cast<size_t>(element_count(extents));
  const auto values = whole.f32().first(count);
  return Tensor(std::move(extents), std::vector<float>(values.begin(), values.end()));
}

/// Last value of each layer, in layer order, on the given inputs.
std::map<std::string, Tensor> layer_values(const Graph& graph, const std::vector<Tensor>& inputs) {
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::qkeras;
  std::map<std::string, Tensor> last;
  (void)interpret(graph, inputs, options,
                  [&](const Node& node, std::span<const RuntimeValue> results) {
                    if (node.constant || node.origins.empty() || results.empty() ||
                        results[0].type.shape.empty())
                      return;
                    const bool from_weights =
                        std::all_of(node.operands.begin(), node.operands.end(),
                                    [&](ValueId v) { return graph.constant_of(v) != nullptr; });
                    if (from_weights && !node.operands.empty()) return;
                    last[node.origins.back().layer] = to_f32(results[0]);
                  });
  return last;
}

void compare_layers(const Graph& graph, const Expected& expected, Comparison& out) {
  if (expected.layers.empty()) return;
  std::vector<Tensor> inputs;
  for (const Tensor& input : expected.inputs)
    inputs.push_back(first_samples(input, expected.layer_samples));
  const std::map<std::string, Tensor> values = layer_values(graph, inputs);
  for (const Expected::Layer& layer : expected.layers) {
    const auto found = values.find(layer.name);
    if (found == values.end() || found->second.size() != element_count(layer.extents)) continue;
    ++out.layers_compared;
    const auto want = layer.head.f32();
    const auto got = found->second.f32();
    const double bound = kFloatBound * largest_magnitude(want);
    bool equal = true;
    for (size_t i = 0; i < want.size(); ++i) {
      equal = equal && (got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i])));
      if (close(got[i], want[i], bound) || out.first_difference) continue;
      out.first_difference = LayerDifference{layer.name, static_cast<int64_t>(i), got[i], want[i]};
    }
    out.layers_equal += equal ? 1 : 0;
  }
}

/// Which output is the input of the softmax that output i is; none if it is no softmax.
std::optional<size_t> logits_of(const Graph& graph, size_t i) {
  const Node& node = graph.producer(graph.outputs()[i].value);
  if (node.op->name != "softmax") return std::nullopt;
  for (size_t k = 0; k < graph.outputs().size(); ++k)
    if (k != i && graph.outputs()[k].value == node.operands[0]) return k;
  return std::nullopt;
}

std::vector<OutputComparison> compare_outputs(const Graph& graph, const std::vector<Tensor>& got,
                                              const std::vector<Expected::Value>& wanted,
                                              const std::vector<passes::Certificate>& certificates,
                                              size_t compared, double relative = 0) {
  std::vector<OutputComparison> out;
  for (size_t i = 0; i < compared; ++i) {
    const auto one = [&](size_t k, double inherited) {
      const double more = relative * largest_magnitude(wanted[k].value.f32());
      return compare_output(graph.outputs()[k].name, got[k], wanted[k].value, certificates[k],
                            inherited + more);
    };
    const std::optional<size_t> logits = logits_of(graph, i);
    const bool known = logits && *logits < compared;
    out.push_back(one(i, known ? 0.5 * one(*logits, 0).max_abs : 0));
  }
  return out;
}

const Json& field(const Bundle& bundle, const Json& one_case, const char* name) {
  qloom_check(one_case.contains(name), bundle.path(), ": the case has no field `", name,
              "`; is this a model bundle?");
  return one_case[name];
}

}  // namespace

int64_t ulp_distance(float got, float expected) {
  if (std::isnan(got) || std::isnan(expected))
    return std::isnan(got) == std::isnan(expected) ? 0 : std::numeric_limits<int64_t>::max();
  return std::abs(ordinal(got) - ordinal(expected));
}

Expected expected_of(const Bundle& bundle, const Json& one_case) {
  Expected out;
  out.name = field(bundle, one_case, "name").get<std::string>();
  const auto value_of = [&](const Json& entry) {
    return Expected::Value{
        entry.is_object() && entry.contains("name") ? entry["name"].get<std::string>() : "",
        bundle.f32(Bundle::is_tensor(entry) ? entry : entry.at("value"))};
  };
  for (const Json& entry : field(bundle, one_case, "inputs"))
    out.inputs.push_back(value_of(entry).value);
  for (const Json& entry : field(bundle, one_case, "outputs"))
    out.outputs.push_back(value_of(entry));
  if (one_case.contains("logits"))
    for (const Json& entry : one_case["logits"]) out.logits.push_back(value_of(entry));
  if (!one_case.contains("layers") || !one_case.contains("layer_samples")) return out;
  out.layer_samples = one_case["layer_samples"].get<int64_t>();
  for (const Json& layer : one_case["layers"]) {
    // Later calls of a shared layer have no value of their own here.
    if (!layer.contains("outputs") || layer["outputs"].size() != 1 || layer.value("call", 0) != 0)
      continue;
    const Json& output = layer["outputs"][0];
    Expected::Layer one{layer["name"].get<std::string>(), {}, {}};
    if (output.contains("value")) {
      const Tensor whole = bundle.f32(output["value"]);
      one.extents = whole.extents();
      one.head = whole.reshaped({whole.size()});
    } else if (output.contains("head")) {
      one.extents = output["shape"].get<Extents>();
      const Tensor head = bundle.f32(output["head"]);
      one.head = head.reshaped({head.size()});
    } else {
      continue;
    }
    out.layers.push_back(std::move(one));
  }
  return out;
}

OutputComparison compare_output(std::string name, const Tensor& got, const Tensor& expected,
                                const passes::Certificate& certificate, double inherited) {
  OutputComparison out;
  out.name = std::move(name);
  out.certificate = certificate.to_string();
  qloom_check(got.size() == expected.size(), "output '", out.name, "' has ", got.size(),
              " values, expected ", expected.size());
  const auto g = got.f32();
  const auto e = expected.f32();
  out.values = expected.size();
  const double bound = kFloatBound * largest_magnitude(e) + inherited;
  bool all_close = true;
  for (size_t i = 0; i < e.size(); ++i) {
    const int64_t ulp = ulp_distance(g[i], e[i]);
    out.equal_values += ulp == 0 ? 1 : 0;
    out.max_ulp = std::max(out.max_ulp, ulp);
    if (ulp != 0) out.max_abs = std::max(out.max_abs, std::abs(static_cast<double>(g[i]) - e[i]));
    all_close = all_close && close(g[i], e[i], bound);
  }
  out.argmax_equal = same_argmax(g, e, expected.rank() > 0 ? expected.extents().back() : 1,
                                 certificate.exact ? 0 : bound);
  out.within = certificate.exact ? out.bit_equal() : all_close && out.argmax_equal;
  return out;
}

int64_t samples_in(const Shape& shape, const Tensor& x) {
  const auto batch = std::ranges::find_if(shape, [](const Dim& d) { return d.is_batch(); });
  const size_t axis = batch == shape.end() ? 0 : static_cast<size_t>(batch - shape.begin());
  qloom_check(axis < x.extents().size(), "inputs need a batch axis");
  return x.extents()[axis];
}

std::vector<Tensor> run_model(const std::shared_ptr<const runtime::Model>& model,
                              const std::vector<Tensor>& inputs, int threads) {
  runtime::Executor executor(model, {.threads = threads});
  return run_executor(executor, model->program(), inputs);
}

std::vector<Tensor> run_executor(runtime::Executor& executor, const runtime::Program& program,
                                 const std::vector<Tensor>& inputs) {
  qloom_check(inputs.size() == program.inputs.size(), "the model has ", program.inputs.size(),
              " inputs, ", inputs.size(), " were given");
  qloom_check(!inputs.empty(), "no input is given");
  const int64_t samples = samples_in(program.inputs[0].shape, inputs[0]);
  std::vector<std::span<const float>> in;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Extents want = bind(program.inputs[i].shape, samples);
    qloom_check(inputs[i].extents() == want, "input '", program.inputs[i].name, "' has shape ",
                to_string(Shape(inputs[i].extents().begin(), inputs[i].extents().end())),
                ", the model expects ", to_string(program.inputs[i].shape));
    in.push_back(inputs[i].f32());
  }
  std::vector<std::vector<float>> results;
  std::vector<std::span<float>> out;
  for (const runtime::Port& port : program.outputs)
    results.emplace_back(static_cast<size_t>(element_count(bind(port.shape, samples))));
  for (std::vector<float>& result : results) out.emplace_back(result);
  const Status status = executor.run(in, out, samples);
  qloom_check(status.ok(), status.message());
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < results.size(); ++i)
    tensors.emplace_back(bind(program.outputs[i].shape, samples), std::move(results[i]));
  return tensors;
}

Comparison compare(const Graph& graph, const Expected& expected, int threads, bool compiled,
                   passes::FloatMode float_mode) {
  Comparison out;
  out.model = expected.name;
  if (!expected.inputs.empty())
    out.samples = samples_in(graph.type(graph.inputs()[0]).shape, expected.inputs[0]);
  std::vector<Expected::Value> wanted = expected.outputs;
  wanted.insert(wanted.end(), expected.logits.begin(), expected.logits.end());
  const std::vector<passes::Certificate> certificates = passes::certificates(graph);
  const size_t compared = std::min(wanted.size(), graph.outputs().size());
  qloom_check(expected.outputs.size() <= graph.outputs().size(), "the model has ",
              graph.outputs().size(), " outputs, ", expected.outputs.size(), " are expected");

  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::qkeras;
  const std::vector<RuntimeValue> interpreted = interpret(graph, expected.inputs, options);
  std::vector<Tensor> interpreted_values;
  for (const RuntimeValue& value : interpreted) interpreted_values.push_back(to_f32(value));
  out.interpreter = compare_outputs(graph, interpreted_values, wanted, certificates, compared);
  if (compiled) {
    passes::CompileOptions compile;
    compile.float_mode = float_mode;
    const passes::Compilation compilation = passes::compile(graph.clone(), compile);
    const std::vector<Tensor> run = run_model(compilation.model, expected.inputs, threads);
    out.compiled = compare_outputs(graph, run, wanted, certificates, compared,
                                   float_mode == passes::FloatMode::fast ? kFastBound : 0);
  }
  const auto within = [](const OutputComparison& o) { return o.within; };
  out.within_contract =
      std::ranges::all_of(out.interpreter, within) && std::ranges::all_of(out.compiled, within);
  compare_layers(graph, expected, out);
  return out;
}

}  // namespace qloom::golden
