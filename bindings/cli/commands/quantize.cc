// qloom quantize: what a quantizer makes of numbers.
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "bindings/cli/command.h"
#include "bindings/report/table.h"
#include "graph/builder.h"
#include "graph/interpret.h"
#include "graph/quantizer.h"
#include "graph/support/error.h"

namespace qloom::cli::commands {
namespace {

struct Arguments {
  std::string quantizer;
  std::vector<double> values;
  bool json = false;
};

nlohmann::ordered_json number(double v) {
  return std::isfinite(v) ? nlohmann::ordered_json(v)
                          : nlohmann::ordered_json(fmt::format("{}", v));
}

/// Element of a tensor that broadcasts against a vector.
template <class T>
T broadcast_at(std::span<const T> values, size_t i) {
  return values[values.size() == 1 ? 0 : i];
}

int print_function(const Arguments& a, const ActivationFunction& function, const Tensor& x) {
  Builder builder("quantize");
  const ValueId input = builder.input("x", {Dim::batch()});
  builder.output("y", builder.apply(function, input));
  const Graph graph = builder.finish();
  EvaluationOptions options;
  options.evaluation = Evaluation::qkeras;
  const Tensor y = to_f32(interpret(graph, std::vector<Tensor>{x}, options)[0]);
  Table table({"x", "value"});
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (size_t i = 0; i < a.values.size(); ++i) {
    table.add({fmt::format("{}", x.f32()[i]), fmt::format("{}", y.f32()[i])});
    rows.push_back({{"x", number(x.f32()[i])}, {"value", number(y.f32()[i])}});
  }
  if (a.json) {
    std::puts(
        nlohmann::ordered_json{{"function", function.name}, {"values", rows}}.dump(2).c_str());
  } else {
    fmt::print("{}: a plain function, not a quantizer\n\n{}", function.name, table.to_string());
  }
  return kSuccess;
}

int print_quantizer(const Arguments& a, const Quantizer& quantizer, const Tensor& x) {
  const Quantized q = quantizer.forward(x);
  const bool has_codes = q.codes && q.step;
  Table table({"x", "code", "step", "scale", "value"});
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (size_t i = 0; i < a.values.size(); ++i) {
    const float value = q.y.f32()[i];
    nlohmann::ordered_json row{
        {"x", number(x.f32()[i])}, {"code", nullptr}, {"step", nullptr}, {"scale", nullptr}};
    std::string code = "-", step = "-", scale = "-";
    if (has_codes) {
      row["code"] = q.codes->i64()[i];
      row["step"] = broadcast_at(q.step->f64(), i);
      code = std::to_string(q.codes->i64()[i]);
      step = fmt::format("{}", broadcast_at(q.step->f64(), i));
    }
    if (q.scale) {
      row["scale"] = number(broadcast_at(q.scale->f32(), i));
      scale = fmt::format("{}", broadcast_at(q.scale->f32(), i));
    }
    row["value"] = number(value);
    rows.push_back(std::move(row));
    table.add({fmt::format("{}", x.f32()[i]), code, step, scale, fmt::format("{}", value)});
  }
  const std::string set = quantizer.values().to_string();
  if (a.json) {
    const nlohmann::ordered_json out{{"quantizer", quantizer.to_string()},
                                     {"value_set", set},
                                     {"values", rows},
                                     {"notes", quantizer.notes()}};
    std::puts(out.dump(2).c_str());
    return kSuccess;
  }
  fmt::print("{}\nvalue set: {}{}\n\n{}", quantizer.to_string(), set,
             quantizer.scale().kind == ScaleRule::Kind::none ? "" : " × scale", table.to_string());
  for (const std::string& note : quantizer.notes()) fmt::print("note: {}\n", note);
  return kSuccess;
}

int run(const Arguments& a) {
  std::vector<float> values;
  for (const double v : a.values) values.push_back(static_cast<float>(v));
  const auto count = static_cast<int64_t>(values.size());
  const Tensor x({count}, std::move(values));
  const QuantizerOrFunction what = parse_quantizer(a.quantizer);
  if (const auto* quantizer = std::get_if<Quantizer>(&what))
    return print_quantizer(a, *quantizer, x);
  if (const auto* function = std::get_if<ActivationFunction>(&what))
    return print_function(a, *function, x);
  throw UserError(join_text("'", a.quantizer, "' names no quantizer"));
}

}  // namespace

extern const CommandDef quantize{
    .name = "quantize",
    .doc = "What a quantizer makes of numbers: code, step, scale, value",
    .example = "qloom quantize \"quantized_bits(4,0,1,alpha=1)\" -- 0.1 0.3 -0.9 2",
    .add = [](CLI::App& app) -> std::function<int()> {
      auto a = std::make_shared<Arguments>();
      app.add_option("STRING", a->quantizer,
                     "a quantizer as QKeras writes it, or an activation's name")
          ->required();
      app.add_option("VALUES", a->values, "numbers; put -- before negative ones")->required();
      add_json_flag(app, a->json);
      return [a] { return run(*a); };
    }};

}  // namespace qloom::cli::commands
