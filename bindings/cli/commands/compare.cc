// qloom compare: a model against reference results.
#include "bindings/golden/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "bindings/cli/command.h"
#include "bindings/cli/support/npy.h"
#include "bindings/cli/support/progress.h"
#include "bindings/report/table.h"
#include "graph/support/error.h"

namespace qloom::cli::commands {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  ModelArguments model;
  std::string golden, input, expected;
  int threads = 1;
  passes::FloatMode float_mode = passes::FloatMode::reproducible;
};

Json to_json(const std::vector<golden::OutputComparison>& outputs) {
  Json list = Json::array();
  for (const golden::OutputComparison& o : outputs)
    list.push_back({{"name", o.name},
                    {"values", o.values},
                    {"bit_equal", o.bit_equal()},
                    {"bit_equal_values", o.equal_values},
                    {"max_ulp", o.max_ulp},
                    {"max_abs", o.max_abs},
                    {"argmax_equal", o.argmax_equal},
                    {"certificate", o.certificate}});
  return list;
}

void print(const golden::Comparison& c) {
  fmt::print("{}: {} samples\n\n", c.model, grouped(c.samples));
  Table table({"output", "in", "values", "bit-equal", "max ulp", "max abs", "argmax", "contract"});
  const auto rows = [&](const std::vector<golden::OutputComparison>& outputs, const char* where) {
    for (const golden::OutputComparison& o : outputs)
      table.add({o.name, where, grouped(o.values), grouped(o.equal_values),
                 std::to_string(o.max_ulp), fmt::format("{:.3g}", o.max_abs),
                 o.argmax_equal ? "equal" : "differs", o.within ? "kept" : "BROKEN"});
  };
  rows(c.compiled, "compiled code");
  rows(c.interpreter, "interpreter");
  fmt::print("{}\n", table.to_string());
  for (const golden::OutputComparison& o : c.compiled) fmt::print("{}\n", o.certificate);
  if (c.layers_compared > 0)
    fmt::print("layers: {} of {} bit-equal in the interpreter\n", c.layers_equal,
               c.layers_compared);
  if (c.first_difference)
    fmt::print("first difference: layer '{}', index {}: got {}, expected {}\n",
               c.first_difference->layer, c.first_difference->index, c.first_difference->got,
               c.first_difference->expected);
  fmt::print("{}\n", c.within_contract ? "within the contract" : "BEYOND THE CONTRACT");
}

/// How many outputs the model has; the logits of those that are a softmax follow them.
size_t outputs_without_logits(const Graph& graph) {
  size_t count = 0, logits = 0;
  while (count + logits < graph.outputs().size()) {
    const Node& node = graph.producer(graph.outputs()[count].value);
    logits += node.op->name == "softmax" ? 1 : 0;
    ++count;
  }
  return count;
}

/// The arrays in the order of the outputs: by name if all names are there, else as they stand.
std::vector<golden::Expected::Value> expected_outputs(const std::string& file, const Graph& graph,
                                                      int64_t samples) {
  NamedArrays arrays = read_arrays(file);
  const size_t needed = outputs_without_logits(graph);
  const auto named = [&](size_t i) {
    return std::ranges::find_if(arrays,
                                [&](const auto& a) { return a.first == graph.outputs()[i].name; });
  };
  std::vector<size_t> order;
  for (size_t i = 0; i < graph.outputs().size() && named(i) != arrays.end(); ++i)
    order.push_back(static_cast<size_t>(named(i) - arrays.begin()));
  if (order.size() < needed) {
    order.resize(arrays.size());
    std::iota(order.begin(), order.end(), size_t{0});
  }
  const bool complete = order.size() >= needed && order.size() <= graph.outputs().size();
  qloom_check(complete && order.size() == arrays.size(), file, ": ", arrays.size(), " arrays (",
              names_of(arrays), "), the model has ", needed, " outputs");
  std::vector<golden::Expected::Value> out;
  for (size_t i = 0; i < order.size(); ++i) {
    auto& [name, array] = arrays[order[i]];
    const Extents want = bind(graph.type(graph.outputs()[i].value).shape, samples);
    qloom_check(array.extents() == want, file, ": the array for output '", graph.outputs()[i].name,
                "' has shape ", to_string(Shape(array.extents().begin(), array.extents().end())),
                ", the model gives ", to_string(Shape(want.begin(), want.end())));
    out.push_back({std::move(name), std::move(array)});
  }
  return out;
}

golden::Expected expected_from_arrays(const Arguments& a, const Graph& graph) {
  golden::Expected out;
  out.name = graph.name;
  std::vector<std::string> names;
  for (const ValueId v : graph.inputs()) names.push_back(graph.producer(v).name);
  out.inputs = arrays_for_inputs(read_arrays(a.input), names, a.input);
  qloom_check(!out.inputs.empty() && out.inputs[0].rank() > 0, a.input,
              ": inputs need a batch axis");
  out.outputs = expected_outputs(
      a.expected, graph, golden::samples_in(graph.type(graph.inputs()[0]).shape, out.inputs[0]));
  return out;
}

int run(const Arguments& a) {
  qloom_check(a.golden.empty() != (a.input.empty() || a.expected.empty()),
              "give either --golden BUNDLE or both --input X.npy and --expected Y.npy");
  const Graph graph = a.model.load(true);
  golden::Comparison c;
  {
    const Progress progress("comparing");
    if (a.golden.empty()) {
      c = golden::compare(graph, expected_from_arrays(a, graph), a.threads, true, a.float_mode);
    } else {
      const golden::Bundle bundle(a.golden);
      qloom_check(bundle.cases().size() == 1, a.golden, ": ", bundle.cases().size(),
                  " cases; a model's bundle has one. For the others: qloom-golden");
      c = golden::compare(graph, golden::expected_of(bundle, bundle.cases()[0]), a.threads, true,
                          a.float_mode);
    }
  }
  if (a.model.json) {
    Json difference;
    if (c.first_difference)
      difference = {{"layer", c.first_difference->layer},
                    {"index", c.first_difference->index},
                    {"got", c.first_difference->got},
                    {"expected", c.first_difference->expected}};
    const Json out{{"model", c.model},
                   {"samples", c.samples},
                   {"outputs", to_json(c.compiled)},
                   {"interpreter", to_json(c.interpreter)},
                   {"first_difference", difference},
                   {"within_contract", c.within_contract}};
    std::puts(out.dump(2).c_str());
  } else {
    print(c);
  }
  return c.within_contract ? kSuccess : kNo;
}

}  // namespace

extern const CommandDef compare{
    .name = "compare",
    .doc = "Compare a model with reference results, in compiled code and in the interpreter",
    .example =
        "qloom compare model.h5 --input x.npy --expected y.npy\n"
        "  qloom compare model.h5 --golden model_ref.json",
    .add = [](CLI::App& app) -> std::function<int()> {
      auto a = std::make_shared<Arguments>();
      add_model_arguments(app, a->model);
      app.add_option("--golden", a->golden,
                     "bundle of reference results (.json with its .bin); --evaluation is then "
                     "eager unless given");
      app.add_option("--input", a->input, "samples (.npy, .npz)");
      app.add_option("--expected", a->expected, "what the model should give for them (.npy, .npz)");
      add_float_mode(app, a->float_mode);
      app.add_option("--threads", a->threads, "threads that share the batch")
          ->check(CLI::Range(1, 1024))
          ->capture_default_str();
      // Bundles hold eager calls: that is what they are compared with unless something else is
      // asked for.
      return [a, evaluation = app.get_option("--evaluation")] {
        if (!a->golden.empty() && evaluation->count() == 0) a->model.evaluation = "eager";
        return run(*a);
      };
    }};

}  // namespace qloom::cli::commands
