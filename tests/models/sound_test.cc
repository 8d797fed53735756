// The types of the rules `sound` are promises: no value of any run lies outside of its type. Real
// networks run on recorded samples, on mixtures of them and far beyond, in the interpreter, where
// every value of the graph and of the bodies of scans is looked at, and in compiled code, where
// every layer and every sum is made an output. Sums are driven to the ends of their intervals.
// QLOOM_TEST_MODEL=name checks one.
#include "passes/analysis/qtools/sound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "graph/interpret.h"
#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/analysis/layers.h"
#include "passes/compile.h"
#include "passes/inference_table.h"
#include "tests/models/driven_sums.h"
#include "tests/models/recorded_models.h"
#include "tests/support/paths.h"

namespace qloom::testing {
namespace {

using qtools::SoundLayer;
using qtools::SoundReport;
using qtools::SoundSum;

/// What was looked at.
struct Coverage {
  int64_t layers = 0, layers_with_codes = 0;
  int64_t edges = 0, edges_with_codes = 0;  ///< values that are no weights, bodies included
  int64_t interpreted = 0;                  ///< values of edges with codes
  int64_t probes = 0, compiled = 0;         ///< layers and sums in compiled code, their values
  int64_t recorded_layers = 0, recorded = 0;
  int64_t sums = 0, sums_with_codes = 0, narrower = 0;
  int64_t driven = 0, reached_low = 0, reached_high = 0;
  std::set<std::string_view> ops;         ///< that made values with codes
  std::vector<std::string> not_compiled;  ///< with the reason
  std::vector<std::string> not_driven;    ///< with the reason; integer sums only

  void add(const Coverage& other) {
    for (const auto member :
         {&Coverage::layers, &Coverage::layers_with_codes, &Coverage::edges,
          &Coverage::edges_with_codes, &Coverage::interpreted, &Coverage::probes,
          &Coverage::compiled, &Coverage::recorded_layers, &Coverage::recorded, &Coverage::sums,
          &Coverage::sums_with_codes, &Coverage::narrower, &Coverage::driven,
          &Coverage::reached_low, &Coverage::reached_high})
      this->*member += other.*member;
    ops.insert(other.ops.begin(), other.ops.end());
    not_compiled.insert(not_compiled.end(), other.not_compiled.begin(), other.not_compiled.end());
    not_driven.insert(not_driven.end(), other.not_driven.begin(), other.not_driven.end());
  }
  void print(const std::string& name) const {
    const auto n = [](int64_t v) { return static_cast<long long>(v); };
    std::printf(
        "%-30s %3lld layers, %3lld with codes; %4lld edges, %4lld with codes by %zu ops: %lld "
        "values; compiled: %3lld probes, %lld values; recorded: %3lld layers, %lld values; sums: "
        "%3lld, %3lld of codes, %3lld narrower by weights, %3lld driven, ends reached %lld + "
        "%lld\n",
        name.c_str(), n(layers), n(layers_with_codes), n(edges), n(edges_with_codes), ops.size(),
        n(interpreted), n(probes), n(compiled), n(recorded_layers), n(recorded), n(sums),
        n(sums_with_codes), n(narrower), n(driven), n(reached_low), n(reached_high));
  }
};

EvaluationOptions canonical(const Graph& graph) {
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  return options;
}

bool is_computed(const Node& node) {
  return !node.results.empty() && !node.constant && !node.is(ops::input);
}

/// Calls `run` with a few samples at a time, on all cores.
void for_each_part(const std::vector<Tensor>& inputs,
                   const std::function<void(const std::vector<Tensor>&)>& run) {
  constexpr int64_t kSamples = 8;
  const int64_t samples = inputs.at(0).extents()[0];
  std::atomic<int64_t> next = 0;
  const auto work = [&] {
    for (int64_t first; (first = kSamples * next++) < samples;) {
      std::vector<Tensor> part;
      for (const Tensor& x : inputs) {
        Extents extents = x.extents();
        const auto size = static_cast<size_t>(x.size() / extents[0]);
        extents[0] = std::min(kSamples, samples - first);
        const auto values = x.f32().subspan(static_cast<size_t>(first) * size,
                                            static_cast<size_t>(extents[0]) * size);
        part.emplace_back(std::move(extents), std::vector<float>(values.begin(), values.end()));
      }
      run(part);
    }
  };
  std::vector<std::jthread> threads;
  for (unsigned k = 1; k < std::thread::hardware_concurrency(); ++k) threads.emplace_back(work);
  work();
}

/// Holds all values of one model against the types.
class ModelCheck {
 public:
  ModelCheck(const RecordedModel& model, Coverage& coverage)
      : model_(model),
        graph_(model.graph),
        report_(qtools::sound_report(model.graph)),
        coverage_(coverage) {
    for (const SoundLayer& layer : report_.layers) {
      promises_[{"", layer.output_node}].push_back(layer.output);
      for (const SoundSum& s : layer.sums) {
        promises_[{s.scan, s.sum_node}].push_back(s.sum);
        promises_[{s.scan, s.sum_node}].push_back(s.exact);
      }
    }
    folded_ = graph_.clone();
    fold(folded_);
    folded_.infer_types();
    find_edges(graph_, "");
  }

  void check(int64_t most_macs, int64_t compiled_samples, int64_t most_channels) {
    for (const SoundLayer& layer : report_.layers) {
      ++coverage_.layers;
      coverage_.layers_with_codes += layer.output.is_float32() ? 0 : 1;
      for (const SoundSum& s : layer.sums) check_sum(s, most_channels);
    }
    int64_t macs = 1;
    for (const SoundLayer& layer : report_.layers)
      for (const SoundSum& s : layer.sums) macs += s.multiplications;
    const int64_t samples = most_macs == 0 ? 1000 : std::clamp<int64_t>(most_macs / macs, 1, 1000);
    const int64_t few = std::min<int64_t>(samples, 20);
    for (const auto& inputs : {samples_like(model_.expected.inputs, samples),
                               wide_samples_like(model_.expected.inputs, few)})
      for_each_part(inputs, [&](const std::vector<Tensor>& part) { interpret_all(part); });
    EXPECT_EQ(seen_.size(), edges_.size());
    for (const auto& edge : edges_)
      EXPECT_TRUE(seen_.contains(edge)) << edge.first << "/" << edge.second << " was not looked at";
    coverage_.edges_with_codes += static_cast<int64_t>(seen_.size());
    run_compiled({samples_like(model_.expected.inputs, compiled_samples),
                  wide_samples_like(model_.expected.inputs, few)});
    check_recorded();
  }

 private:
  using Edge = std::pair<std::string, std::string>;  // scan, node

  static void fold(Graph& graph) {
    passes::fold_constants.run(graph, {});
    for (const NodeId id : graph.order())
      if (Node& node = graph.node(id); node.body) fold(*node.body);
  }

  bool from_weights(const Graph& graph, const Node& node) const {
    return node.constant ||
           (!node.operands.empty() && std::ranges::all_of(node.operands, [&](ValueId v) {
             return from_weights(graph, graph.producer(v));
           }));
  }

  /// What a run has to show.
  void find_edges(const Graph& graph, const std::string& scan) {
    for (const NodeId id : graph.order()) {
      const Node& node = graph.node(id);
      if (!is_computed(node) || from_weights(graph, node)) continue;
      ++coverage_.edges;
      bool any = false;
      for (const ValueId v : node.results) any = any || !graph.type(v).numeric.is_float32();
      if (any) edges_.insert({scan, node.name});
      if (node.body) find_edges(*node.body, node.name);
    }
  }

  void check_value(const Graph& graph, const std::string& scan, const Node& node,
                   std::span<const RuntimeValue> results) {
    const Edge edge{scan, node.name};
    if (!edges_.contains(edge)) return;
    int64_t looked_at = 0;
    for (size_t k = 0; k < results.size(); ++k) {
      const TensorType& type = graph.type(node.results[k]);
      if (type.numeric.is_float32()) continue;
      ASSERT_EQ(results[k].data.dtype(), DType::i64) << model_.name << " " << node.name;
      EXPECT_EQ(outside(results[k].data.i64(), type.numeric), "")
          << model_.name << " " << scan << " " << node.name;
      looked_at += results[k].data.size();
    }
    if (const auto found = promises_.find(edge); found != promises_.end()) {
      const ValueId shown = passes::shown_result(graph, node);
      const auto k =
          static_cast<size_t>(std::ranges::find(node.results, shown) - node.results.begin());
      for (const Numeric& numeric : found->second)
        if (numeric.grid()) {
          EXPECT_EQ(outside(results[k].data.i64(), numeric), "")
              << model_.name << " " << scan << " " << node.name;
        }
    }
    const std::lock_guard lock(mutex_);
    coverage_.interpreted += looked_at;
    seen_.insert(edge);
    coverage_.ops.insert(node.op->name);
  }

  void interpret_all(const std::vector<Tensor>& inputs) {
    std::map<ValueId, RuntimeValue> values;  // for scans
    const bool has_scans =
        std::ranges::any_of(edges_, [](const Edge& e) { return !e.first.empty(); });
    (void)interpret(graph_, inputs, canonical(graph_),
                    [&](const Node& node, std::span<const RuntimeValue> results) {
                      if (has_scans)
                        for (size_t k = 0; k < results.size(); ++k)
                          values.insert_or_assign(node.results[k], results[k]);
                      if (node.body) step_through(node, values);
                      if (is_computed(node)) check_value(graph_, "", node, results);
                    });
  }

  static RuntimeValue as(TensorType type, const Tensor& floats) {
    type.shape.assign(floats.extents().begin(), floats.extents().end());
    return {type, type.has_codes() ? to_codes(floats, type) : floats};
  }

  /// A scan, step by step.
  void step_through(const Node& scan, const std::map<ValueId, RuntimeValue>& values) {
    const auto a = from_attributes<ops::Scan>(scan.attributes);
    const Graph& body = *scan.body;
    const auto sequences = static_cast<size_t>(a.sequences), states = static_cast<size_t>(a.states);
    const Extents all = values.at(scan.operands[0]).data.extents();
    std::vector<RuntimeValue> inputs;
    for (size_t i = 0; i < scan.operands.size(); ++i) {
      const TensorType& inside = body.type(body.inputs()[i]);
      Tensor floats = to_f32(values.at(scan.operands[i]));
      if (i >= sequences && i < sequences + states) {
        const Extents extents = qloom::bind(inside.shape, all[0]);
        std::vector<float> repeated;
        while (static_cast<int64_t>(repeated.size()) < element_count(extents))
          repeated.insert(repeated.end(), floats.f32().begin(), floats.f32().end());
        floats = Tensor(extents, std::move(repeated));
      }
      inputs.push_back(i < sequences ? RuntimeValue{} : as(inside, floats));
    }
    for (int64_t k = 0; k < all[1]; ++k) {
      const int64_t step = a.reverse ? all[1] - 1 - k : k;
      for (size_t i = 0; i < sequences; ++i) {
        const Tensor floats = to_f32(values.at(scan.operands[i]));
        Extents extents = floats.extents();
        extents.erase(extents.begin() + 1);
        const auto inner = static_cast<size_t>(floats.size() / (all[0] * all[1]));
        std::vector<float> one;
        for (int64_t n = 0; n < all[0]; ++n) {
          const auto from =
              floats.f32().subspan(static_cast<size_t>(n * all[1] + step) * inner, inner);
          one.insert(one.end(), from.begin(), from.end());
        }
        inputs[i] = as(body.type(body.inputs()[i]), Tensor(extents, std::move(one)));
      }
      const std::vector<RuntimeValue> outputs =
          ops::interpret_values(body, inputs, canonical(graph_),
                                [&](const Node& node, std::span<const RuntimeValue> results) {
                                  if (is_computed(node))
                                    check_value(body, scan.name, node, results);
                                });
      for (size_t s = 0; s < states; ++s)
        inputs[sequences + s] = as(body.type(body.inputs()[sequences + s]), to_f32(outputs[s]));
    }
  }

  void check_sum(const SoundSum& s, int64_t most_channels) {
    ++coverage_.sums;
    EXPECT_EQ(s.exact.is_float32(), s.sum.is_float32()) << s.node;
    if (s.sum.is_float32()) return;
    ++coverage_.sums_with_codes;
    EXPECT_LE(s.exact.bits(), s.sum.bits()) << s.node;
    EXPECT_TRUE(s.sum.contains(s.exact)) << s.node << ": " << s.exact << " in " << s.sum;
    coverage_.narrower += s.exact.bits() < s.sum.bits() ? 1 : 0;
    const bool in_body = !s.scan.empty();
    const Graph& graph = in_body ? *graph_.find(s.scan)->body : graph_;
    const Graph& folded = in_body ? *folded_.find(s.scan)->body : folded_;
    const DrivenSum driven = drive_sum(graph, folded, s, most_channels);
    EXPECT_EQ(driven.wrong, "") << s.node;
    if (!driven.not_driven.empty()) {
      coverage_.not_driven.push_back(model_.name + ", " + s.node + ": " + driven.not_driven);
      return;
    }
    ++coverage_.driven;
    coverage_.interpreted += driven.values;
    coverage_.compiled += driven.values;
    coverage_.reached_low += driven.reached_low ? 1 : 0;
    coverage_.reached_high += driven.reached_high ? 1 : 0;
    EXPECT_TRUE(driven.reached_low && driven.reached_high)
        << s.node << " of " << s.exact << " reached its end below: " << driven.reached_low
        << ", above: " << driven.reached_high;
  }

  /// Every layer and every sum that the report speaks of becomes an output.
  void run_compiled(const std::vector<std::vector<Tensor>>& batches) {
    Graph probed = graph_.clone();
    std::vector<std::pair<size_t, Edge>> probes;  // output, node
    for (const auto& [edge, numerics] : promises_) {
      if (!edges_.contains(edge)) continue;
      if (!edge.first.empty()) {
        coverage_.not_compiled.push_back(model_.name + ", " + edge.second + ": within a scan");
        continue;
      }
      const ValueId value = passes::shown_result(probed, *probed.find(edge.second));
      if (!probed.type(value).has_codes() || probed.type(value).scale.is_dynamic()) {
        coverage_.not_compiled.push_back(model_.name + ", " + edge.second +
                                         ": its scale comes from the data");
        continue;
      }
      probes.emplace_back(probed.outputs().size(), edge);
      probed.add_output("probe/" + edge.second, value);
    }
    coverage_.probes += static_cast<int64_t>(probes.size());
    const passes::Compilation compiled = passes::compile(probed.clone());
    for (const std::vector<Tensor>& inputs : batches)
      for_each_part(inputs, [&](const std::vector<Tensor>& part) {
        const std::vector<Tensor> outputs = golden::run_model(compiled.model, part, 1);
        for (const auto& [k, edge] : probes)
          check_compiled(edge, outputs[k], probed.type(probed.outputs()[k].value));
      });
  }

  void check_compiled(const Edge& edge, const Tensor& output, const TensorType& type) {
    const Tensor step = type.step();
    const auto steps = step.f64();
    const auto values = output.f32();
    ASSERT_TRUE(steps.size() == 1 || step.size() == output.extents().back())
        << model_.name << " " << edge.second;
    std::vector<int64_t> codes(values.size());
    for (size_t channel = 0; channel < steps.size(); ++channel)
      for (size_t i = channel; i < values.size(); i += steps.size()) {
        const double one = steps[channel];
        const double code = one == 0 ? 0 : values[i] / one;
        codes[i] = static_cast<int64_t>(code + (code < 0 ? -0.5 : 0.5));
        if (static_cast<float>(static_cast<double>(codes[i]) * one) != values[i])
          FAIL() << model_.name << " " << edge.second << ": " << values[i] << " is no multiple of "
                 << one;
      }
    std::vector<Numeric> numerics = promises_.at(edge);
    numerics.push_back(type.numeric);
    for (const Numeric& numeric : numerics) {
      if (!numeric.grid()) continue;
      ASSERT_EQ(numeric.grid()->fraction, type.numeric.grid()->fraction) << edge.second;
      EXPECT_EQ(outside(codes, numeric), "") << model_.name << ", compiled, " << edge.second;
    }
    const std::lock_guard lock(mutex_);
    coverage_.compiled += output.size();
  }

  /// What the reference recorded of each layer. Its float32 values may differ from a code's by the
  /// rounding of x + (q - x).
  void check_recorded() {
    for (const SoundLayer& layer : report_.layers) {
      const auto recorded =
          std::ranges::find(model_.expected.layers, layer.name, &golden::Expected::Layer::name);
      const Node* node = graph_.find(layer.name);
      if (recorded == model_.expected.layers.end() || node == nullptr) continue;
      const TensorType& type = graph_.type(passes::shown_result(graph_, *node));
      const auto grid = layer.output.grid();
      if (!grid || !type.has_codes() || type.scale.is_dynamic() || node->name != layer.output_node)
        continue;
      const Tensor step = type.step();
      const auto steps = static_cast<size_t>(step.size());
      if (steps != 1 && step.size() != recorded->extents.back()) continue;
      ++coverage_.recorded_layers;
      const auto values = recorded->head.f32();
      for (size_t i = 0; i < values.size(); ++i) {
        const double exact = values[i] / step.f64()[i % steps], code = std::rint(exact);
        EXPECT_LT(std::fabs(exact - code), 0.01) << layer.name << ", value " << values[i];
        const int64_t codes[] = {static_cast<int64_t>(code)};
        EXPECT_EQ(outside(codes, layer.output), "") << layer.name << ", value " << values[i];
        ++coverage_.recorded;
      }
    }
  }

  const RecordedModel& model_;
  const Graph& graph_;
  const SoundReport report_;
  Graph folded_;
  std::map<Edge, std::vector<Numeric>> promises_;
  std::set<Edge> edges_, seen_;
  Coverage& coverage_;
  std::mutex mutex_;  ///< of seen_ and coverage_, while parts are run
};

/// `macs`: how many to spend on each model in the interpreter, for at most 1,000 samples; 0: for
/// all of these.
void check_models(bool all, int64_t macs, int64_t compiled_samples, int64_t channels) {
  Coverage total;
  int models = 0;
  const std::vector<std::string> left_out =
      for_each_recorded_model(all, [&](const RecordedModel& model) {
        if (const char* only = std::getenv("QLOOM_TEST_MODEL"); only && model.name != only) return;
        SCOPED_TRACE(model.name);
        Coverage one;
        ModelCheck(model, one).check(macs, compiled_samples, channels);
        one.print(model.name);
        total.add(one);
        ++models;
      });
  total.print(std::to_string(models) + " models");
  for (const std::string& text : total.not_compiled)
    std::printf("not compiled: %s\n", text.c_str());
  for (const std::string& text : total.not_driven) std::printf("not driven: %s\n", text.c_str());
  for (const std::string& text : left_out) ADD_FAILURE() << "left out: " << text;
  if (std::getenv("QLOOM_TEST_MODEL") != nullptr) return;
  EXPECT_EQ(models, all ? 35 : 34);
  // Every value with codes was looked at in the interpreter (above); every layer and sum outside of
  // scans in compiled code; every sum of codes was driven, and reached its ends.
  for (const std::string& text : total.not_compiled)
    EXPECT_TRUE(text.ends_with("within a scan")) << text;
  EXPECT_EQ(total.driven, total.sums_with_codes);
}

TEST(Sound, NoValueLiesOutsideItsType) {
  QLOOM_NEEDS_SHARED();
  check_models(false, 1'000'000, 4, 1);
}

TEST(SoundLong, NoValueOfAThousandSamplesLiesOutsideItsType) {
  QLOOM_NEEDS_SHARED();
  check_models(true, 0, 1000, 16);
}

}  // namespace
}  // namespace qloom::testing
