// The types of the rules `sound` are promises: no value of any run lies outside of its type. Real
// networks run on recorded samples, and on inputs made from their weights that drive each
// accumulator to the ends of its interval, in the interpreter and in compiled code.
#include "passes/analysis/qtools/sound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <random>

#include "bindings/golden/compare.h"
#include "bindings/import/keras_import.h"
#include "bindings/import/read.h"
#include "graph/interpret.h"
#include "graph/ops/attributes.h"
#include "graph/ops/geometry.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "passes/compile.h"
#include "passes/inference_table.h"
#include "tests/models/model_files.h"
#include "tests/support/paths.h"

namespace qloom::testing {
namespace {

using golden::Json;
using qtools::SoundLayer;
using qtools::SoundReport;
using qtools::SoundSum;

/// A shared model with what the reference recorded.
struct Recorded {
  std::string name;
  Graph graph;
  golden::Expected expected;
};

/// The file of a case that is read: the whole model, else the architecture with its weights.
std::pair<std::string, std::string> files_of(const Json& c, const std::string& folder) {
  std::string architecture, weights;
  for (const auto& file : c.at("files").get<std::vector<std::string>>()) {
    const std::string path = folder + file;
    if (file.ends_with(".onnx") || !std::filesystem::exists(path)) continue;
    if (file.ends_with("_weights.h5"))
      weights = path;
    else if (!file.ends_with(".json") && !file.ends_with(".weights.h5"))
      return {path, ""};
    else if (file.ends_with(".json") && architecture.empty())
      architecture = path;
  }
  return {weights.empty() ? "" : architecture, weights};
}

/// Visits every shared model that this version can build a graph of. Returns how many.
template <class Visit>
int for_each_model(Visit&& visit) {
  int count = 0;
  for (const char* part : {"own", "public", "reports"}) {
    const std::filesystem::path folder = *shared_dir() / "models" / part;
    std::vector<std::string> bundles;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::filesystem::path data = entry.path();
      if (data.extension() != ".json" || !std::filesystem::exists(data.replace_extension(".bin")))
        continue;
      bundles.push_back(entry.path().string());
    }
    std::ranges::sort(bundles);
    for (const std::string& path : bundles) {
      const golden::Bundle bundle(path);
      for (const Json& c : bundle.cases()) {
        const auto [file, weights] = files_of(c, bundle.folder());
        if (file.empty()) continue;
        const std::string name = c.at("name").get<std::string>();
        std::optional<Graph> graph;
        try {
          graph =
              import_keras(read_keras_model(file, {.weights = weights}), {.split_softmax = true});
        } catch (const UserError& error) {
          const std::string why = error.what();
          EXPECT_NE(why.find("not supported"), std::string::npos) << name << ": " << why;
          continue;
        }
        visit(Recorded{name, std::move(*graph), golden::expected_of(bundle, c)});
        ++count;
      }
    }
  }
  return count;
}

Tensor first_samples(const Tensor& x, int64_t samples) {
  Extents extents = x.extents();
  samples = std::min(samples, extents[0]);
  const int64_t size = x.size() / extents[0] * samples;
  extents[0] = samples;
  const auto values = x.f32().first(static_cast<size_t>(size));
  return {extents, std::vector<float>(values.begin(), values.end())};
}

/// First code of a value that its type does not hold, as text; "" if there is none.
std::string outside(const RuntimeValue& value, const Numeric& numeric) {
  const auto grid = numeric.grid();
  if (!grid || value.data.dtype() != DType::i64) return "";
  for (const int64_t code : value.data.i64())
    if (code < grid->lo || code > grid->hi ||
        !numeric.contains(std::ldexp(static_cast<double>(code), -grid->fraction)))
      return "code " + std::to_string(code) + " is not in " + numeric.to_string();
  return "";
}

/// What the report promises, by node.
std::map<std::string, std::vector<Numeric>> promises_of(const SoundReport& report) {
  std::map<std::string, std::vector<Numeric>> out;
  for (const SoundLayer& layer : report.layers) {
    out[layer.output_node].push_back(layer.output);
    for (const SoundSum& s : layer.sums) {
      out[s.sum_node].push_back(s.sum);
      out[s.sum_node].push_back(s.exact);
    }
  }
  return out;
}

EvaluationOptions canonical(const Graph& graph) {
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  return options;
}

/// Runs the interpreter and holds each value against what is promised. Returns how many values.
int64_t check_run(const Graph& graph, const SoundReport& report, const std::vector<Tensor>& inputs,
                  const std::string& what) {
  const auto promises = promises_of(report);
  int64_t checked = 0;
  (void)interpret(graph, inputs, canonical(graph),
                  [&](const Node& node, std::span<const RuntimeValue> results) {
                    const auto found = promises.find(node.name);
                    if (found == promises.end()) return;
                    for (const Numeric& numeric : found->second) {
                      EXPECT_EQ(outside(results[0], numeric), "") << what << ", " << node.name;
                      if (numeric.grid()) checked += results[0].data.size();
                    }
                  });
  return checked;
}

/// Holds what the reference recorded of each layer against its type. Its float32 values may differ
/// from a code's by the rounding of x + (q - x). Returns how many values.
int64_t check_recorded(const Graph& graph, const SoundReport& report,
                       const golden::Expected& expected) {
  int64_t checked = 0;
  for (const SoundLayer& layer : report.layers) {
    const auto recorded =
        std::ranges::find(expected.layers, layer.name, &golden::Expected::Layer::name);
    const Node* node = graph.find(layer.name);
    if (recorded == expected.layers.end() || node == nullptr) continue;
    const TensorType& type = graph.type(node->results[0]);
    const auto grid = layer.output.grid();
    if (!grid || !type.has_codes() || node->name != layer.output_node) continue;
    const Tensor step = type.step();
    const auto steps = static_cast<size_t>(step.size());
    if (steps != 1 && step.size() != recorded->extents.back()) continue;
    const auto values = recorded->head.f32();
    for (size_t i = 0; i < values.size(); ++i) {
      const double exact = values[i] / step.f64()[i % steps], code = std::rint(exact);
      EXPECT_LT(std::fabs(exact - code), 0.01) << layer.name << ", value " << values[i];
      EXPECT_GE(code, static_cast<double>(grid->lo)) << layer.name << ", value " << values[i];
      EXPECT_LE(code, static_cast<double>(grid->hi)) << layer.name << ", value " << values[i];
      EXPECT_TRUE(layer.output.contains(std::ldexp(code, -grid->fraction)))
          << layer.name << ", value " << values[i];
      ++checked;
    }
  }
  return checked;
}

/// A layer cut out of its network: a quantizer, the products, the bias.
struct Cut {
  Graph graph;
  TensorType x;      ///< what the quantizer yields
  size_t input = 0;  ///< position of the new input
  Quantizer quantizer;
};

/// None where the layer's input does not come from a quantizer with one constant scale.
std::optional<Cut> cut_out(const Graph& whole, const SoundSum& s) {
  const Node& node = *whole.find(s.node);
  const TensorType& x = whole.type(node.operands[0]);
  if (!x.has_codes() || !x.scale.is_per_tensor()) return std::nullopt;
  const Node* source = &whole.producer(node.operands[0]);
  while (source->is(ops::reshape) || source->is(ops::permute) || source->is(ops::pool))
    source = &whole.producer(source->operands[0]);
  if (!source->is(ops::quantize) || whole.type(source->results[0]).numeric != x.numeric)
    return std::nullopt;
  const auto quantize = from_attributes<ops::Quantize>(source->attributes);
  Cut cut{.graph = whole.clone(),
          .x = x,
          .input = whole.inputs().size(),
          .quantizer = Quantizer::from_config(quantize.quantizer, quantize.arguments)};
  const ValueId input = cut.graph.add_input("cut", {x.shape, Numeric::float32(), {}});
  const ValueId quantized =
      cut.graph.add(ops::quantize, "cut.quantized", {input}, source->attributes).results[0];
  cut.graph.set_operand(cut.graph.find(s.node)->id, 0, quantized);
  cut.graph.clear_outputs();
  cut.graph.add_output("sum", cut.graph.find(s.sum_node)->results[0]);
  cut.graph.remove_dead();
  cut.graph.infer_types();
  return cut;
}

/// The kernel's codes, [taps…, inputs of a group, channels]; empty where it has none.
std::vector<int64_t> codes_of_weights(const Graph& folded, const SoundSum& s) {
  const Node* kernel = folded.constant_of(folded.find(s.node)->operands[1]);
  if (kernel == nullptr) return {};
  if (kernel->constant->dtype() != DType::i64) return {};
  return {kernel->constant->i64().begin(), kernel->constant->i64().end()};
}

/// For each channel the sample that makes its sum largest and the one that makes it smallest, at
/// the output position in the middle. Codes of x, one sample after the other.
std::vector<int64_t> extreme_codes(const Graph& graph, const SoundSum& s, const TensorType& x,
                                   const std::vector<int64_t>& weights,
                                   const std::vector<int64_t>& channels) {
  const Node& node = *graph.find(s.node);
  const auto grid = *x.numeric.grid();
  const Extents extents = qloom::bind(x.shape, 1);
  const int64_t size = element_count(extents);
  const TensorType& w = graph.type(node.operands[1]);
  const int64_t outputs = w.shape.back().extent();
  std::vector<int64_t> out;
  for (const int64_t k : channels)
    for (const bool largest : {true, false}) {
      std::vector<int64_t> sample(static_cast<size_t>(size), grid.lo);
      const auto set = [&](int64_t at, int64_t weight) {
        sample[static_cast<size_t>(at)] = (weight > 0) == largest ? grid.hi : grid.lo;
      };
      if (node.is(ops::dense)) {
        const int64_t inputs = w.shape[0].extent();
        for (int64_t row = 0; row < size / inputs; ++row)
          for (int64_t i = 0; i < inputs; ++i)
            set(row * inputs + i, weights[static_cast<size_t>(i * outputs + k)]);
      } else {
        const auto conv = from_attributes<ops::Conv>(node.attributes);
        const bool flat = x.rank() == 3;
        ops::SpatialAxis rows, columns;
        const size_t last = extents.size() - 2;
        if (!flat)
          rows = ops::spatial_axis(extents[1], w.shape[0].extent(), conv.strides[0],
                                   conv.dilations[0], conv.padding);
        columns = ops::spatial_axis(extents[last], w.shape[flat ? 0 : 1].extent(),
                                    conv.strides.back(), conv.dilations.back(), conv.padding);
        const int64_t i = rows.out / 2, j = columns.out / 2, channels_in = extents.back();
        const int64_t inputs = channels_in / conv.groups,
                      first = k / (outputs / conv.groups) * inputs;
        for (int64_t r = 0; r < rows.taps; ++r)
          for (int64_t t = 0; t < columns.taps; ++t) {
            if (!rows.inside(i, r) || !columns.inside(j, t)) continue;
            for (int64_t c = 0; c < inputs; ++c)
              set((rows.at(i, r) * columns.in + columns.at(j, t)) * channels_in + first + c,
                  weights[static_cast<size_t>(((r * columns.taps + t) * inputs + c) * outputs +
                                              k)]);
          }
      }
      out.insert(out.end(), sample.begin(), sample.end());
    }
  return out;
}

struct Driven {
  int sums = 0, reached_low = 0, reached_high = 0, not_cut = 0;
};

/// Drives one sum to its ends: interpreter and compiled code give the same, within the types.
void drive(const Recorded& model, const SoundSum& s, const Graph& folded, int64_t most_channels,
           Driven& driven) {
  const std::string what = model.name + ", " + s.node;
  std::optional<Cut> cut = cut_out(model.graph, s);
  const std::vector<int64_t> weights = codes_of_weights(folded, s);
  if (!cut || weights.empty()) {
    ++driven.not_cut;
    return;
  }
  // All channels that may hold an end would be too many: those with the largest sums of weights.
  const auto outputs = static_cast<size_t>(
      model.graph.type(model.graph.find(s.node)->operands[1]).shape.back().extent());
  std::vector<int64_t> positive(outputs), negative(outputs);
  for (size_t i = 0; i < weights.size(); ++i)
    (weights[i] > 0 ? positive : negative)[i % outputs] += weights[i];
  const auto grid = *cut->x.numeric.grid();
  std::vector<int64_t> by_high(outputs), by_low;
  for (size_t k = 0; k < outputs; ++k) by_high[k] = static_cast<int64_t>(k);
  by_low = by_high;
  const auto high = [&](int64_t k) {
    return positive[static_cast<size_t>(k)] * grid.hi + negative[static_cast<size_t>(k)] * grid.lo;
  };
  const auto low = [&](int64_t k) {
    return positive[static_cast<size_t>(k)] * grid.lo + negative[static_cast<size_t>(k)] * grid.hi;
  };
  std::ranges::sort(by_high, [&](int64_t a, int64_t b) { return high(a) > high(b); });
  std::ranges::sort(by_low, [&](int64_t a, int64_t b) { return low(a) < low(b); });
  std::vector<int64_t> channels;
  for (size_t k = 0; k < outputs && static_cast<int64_t>(k) < most_channels; ++k)
    channels.insert(channels.end(), {by_high[k], by_low[k]});

  const std::vector<int64_t> codes = extreme_codes(model.graph, s, cut->x, weights, channels);
  const double step = cut->x.step().f64()[0];
  const auto samples = static_cast<int64_t>(channels.size()) * 2;
  std::vector<Tensor> inputs;
  for (const ValueId input : model.graph.inputs()) {
    const Extents extents = qloom::bind(model.graph.type(input).shape, samples);
    inputs.emplace_back(extents, std::vector<float>(static_cast<size_t>(element_count(extents))));
  }
  std::vector<float> values;
  for (const int64_t code : codes)
    values.push_back(static_cast<float>(static_cast<double>(code) * step));
  inputs.emplace_back(qloom::bind(cut->x.shape, samples), std::move(values));
  const Quantized again = cut->quantizer.forward(inputs.back());
  const Tensor& kept = again.q ? *again.q : again.y;
  if (!std::ranges::equal(kept.f32(), inputs.back().f32())) {  // a tanh, a sigmoid
    ++driven.not_cut;
    return;
  }

  const std::vector<RuntimeValue> sums = interpret(cut->graph, inputs, canonical(cut->graph));
  EXPECT_EQ(outside(sums[0], s.sum), "") << what;
  EXPECT_EQ(outside(sums[0], s.exact), "") << what;
  const passes::Compilation compiled = passes::compile(cut->graph.clone());
  const Tensor got = golden::run_model(compiled.model, inputs, 1)[0];
  EXPECT_TRUE(std::ranges::equal(got.f32(), to_f32(sums[0]).f32())) << what;
  ++driven.sums;
  if (!s.exact.grid()) return;
  const auto [least, most] = std::ranges::minmax(sums[0].data.i64());
  driven.reached_low += least == s.exact.grid()->lo ? 1 : 0;
  driven.reached_high += most == s.exact.grid()->hi ? 1 : 0;
}

int64_t macs_of(const SoundReport& report) {
  int64_t macs = 1;
  for (const SoundLayer& layer : report.layers)
    for (const SoundSum& s : layer.sums) macs += s.multiplications;
  return macs;
}

/// `macs`: how many to spend on each model's recorded samples.
void check_models(int64_t macs, int64_t least_samples, int64_t most_channels) {
  int64_t run = 0, recorded = 0, exact_sums = 0, narrower = 0;
  Driven driven;
  const int models = for_each_model([&](const Recorded& model) {
    SCOPED_TRACE(model.name);
    const SoundReport report = qtools::sound_report(model.graph);
    Graph folded = model.graph.clone();
    passes::fold_constants.run(folded, {});
    folded.infer_types();
    for (const SoundLayer& layer : report.layers)
      for (const SoundSum& s : layer.sums) {
        EXPECT_LE(s.exact.bits(), s.sum.bits()) << s.node;
        EXPECT_TRUE(s.sum.contains(s.exact)) << s.node << ": " << s.exact << " in " << s.sum;
        EXPECT_EQ(s.exact.is_float32(), s.sum.is_float32()) << s.node;
        exact_sums += s.exact.is_float32() ? 0 : 1;
        narrower += s.exact.bits() < s.sum.bits() ? 1 : 0;
        drive(model, s, folded, most_channels, driven);
      }
    const int64_t samples = std::clamp<int64_t>(macs / macs_of(report), least_samples, 1000);
    std::vector<Tensor> inputs;
    for (const Tensor& x : model.expected.inputs) inputs.push_back(first_samples(x, samples));
    run += check_run(model.graph, report, inputs, "recorded samples");
    // Far beyond the range of every quantizer, to both sides.
    std::mt19937 random(1);
    std::normal_distribution<float> wide(0.0F, 1000.0F);
    for (Tensor& x : inputs) {
      Tensor few = first_samples(x, least_samples);
      std::vector<float> values(static_cast<size_t>(few.size()));
      for (float& v : values) v = wide(random);
      x = Tensor(few.extents(), std::move(values));
    }
    run += check_run(model.graph, report, inputs, "wide samples");
    recorded += check_recorded(model.graph, report, model.expected);
  });
  std::printf(
      "%d models, %lld values, %lld recorded values; %lld integer sums, %lld of them "
      "narrower with their weights; %d driven to their ends, reached %d times below and "
      "%d above; %d sums not driven\n",
      models, static_cast<long long>(run), static_cast<long long>(recorded),
      static_cast<long long>(exact_sums), static_cast<long long>(narrower), driven.sums,
      driven.reached_low, driven.reached_high, driven.not_cut);
  // That this is no empty check.
  EXPECT_GE(models, 20);
  EXPECT_GE(run, 1000000);
  EXPECT_GE(recorded, 50000);
  EXPECT_GE(driven.sums, 40);
  EXPECT_GE(driven.reached_low + driven.reached_high, driven.sums);
  EXPECT_GE(narrower, 20);
}

TEST(Sound, NoValueLiesOutsideItsType) {
  QLOOM_NEEDS_SHARED();
  check_models(10'000'000, 1, 1);
}

TEST(SoundLong, NoValueOfManyLiesOutsideItsType) {
  QLOOM_NEEDS_SHARED();
  check_models(5'000'000'000, 4, 16);
}

}  // namespace
}  // namespace qloom::testing
