// tests/golden/check_qtools_operators.cc: QTools's rules one by one.
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "bindings/report/qtools_json.h"
#include "graph/support/error.h"
#include "passes/analysis/qtools/batch_norm.h"
#include "passes/analysis/qtools/memory.h"
#include "tests/golden/check_qtools.h"

namespace qloom::golden {
namespace {

using qtools::Context;
using qtools::LearnedScale;
using qtools::Mode;
using qtools::Operation;
using qtools::QtoolsType;
using qtools::Refusal;

Json number(double value) {
  if (value == std::trunc(value)) return static_cast<int64_t>(value);
  return value;
}

/// All fields of a type, as the bundle has them.
Json record_of(const QtoolsType& t) {
  Json out{{"name", t.name},
           {"mode", static_cast<int>(t.mode)},
           {"bits", t.bits},
           {"int_bits", t.int_bits},
           {"is_signed", t.is_signed}};
  if (t.is_po2()) {
    out["max_val_po2"] = number(t.max_value);
    out["inference_value_counts"] = t.value_count;
  } else if (t.zero_one) {
    out["use_01"] = 1;
  }
  return out;
}

/// Names are constants of the library.
std::string_view constant_name(const std::string& name) {
  static const std::set<std::string, std::less<>> kNames{
      "quantized_bits", "quantized_relu",     "quantized_tanh", "quantized_ulaw",
      "quantized_po2",  "quantized_relu_po2", "ternary",        "stochastic_ternary",
      "binary",         "stochastic_binary",  "bernoulli",      "floating_point"};
  const auto found = kNames.find(name);
  qloom_check(found != kNames.end(), name, " is no type");
  return *found;
}

QtoolsType type_of(const Json& record) {
  QtoolsType t;
  t.name = constant_name(record.at("name").get<std::string>());
  t.mode = static_cast<Mode>(record.at("mode").get<int>());
  t.bits = record.at("bits").get<int64_t>();
  t.int_bits = record.at("int_bits").get<int64_t>();
  t.is_signed = record.at("is_signed").get<int>() != 0;
  t.max_value = record.value("max_val_po2", -1.0);
  t.value_count = record.value("inference_value_counts", int64_t{-1});
  t.zero_one = record.value("use_01", 0) != 0;
  return t;
}

QtoolsType operand(const Json& c, const char* name) {
  return type_of(c.at("operands").at(name).at("type"));
}

Json result_of(const Operation& operation) {
  Json out{{"op_type", qtools::to_string(operation.implementation)}};
  if (operation.gates) {
    out["gate_factor"] = operation.gates->factor;
    out["gate_bits"] = operation.gates->bits;
  }
  out["out"] = record_of(operation.out);
  out["json"] = report::to_json(operation);
  return out;
}

Json result_of(const std::optional<Operation>& operation) {
  return operation ? result_of(*operation) : Json();
}

/// Without the names of the library's classes.
Json stripped(Json value) {
  if (!value.is_object()) return value;
  value.erase("class");
  for (auto& [key, member] : value.items()) member = stripped(member);
  return value;
}

LearnedScale scale_of(const Json& scale) {
  LearnedScale out;
  if (!scale.is_array()) return out;  // a plain number counts as never called
  out.has_no_axes = scale.front().is_string();
  out.known = true;
  const Json values = out.has_no_axes ? Json::array({scale.at(1)}) : scale;
  out.smallest = out.largest = static_cast<float>(values.front().get<double>());
  for (const Json& value : values) {
    const auto v = static_cast<double>(static_cast<float>(value.get<double>()));
    out.smallest = std::min(out.smallest, v);
    out.largest = std::max(out.largest, v);
  }
  return out;
}

Json multiplier(const Json& c, const Context&) {
  return result_of(qtools::multiply(operand(c, "weight"), operand(c, "input")));
}

Json adder(const Json& c, const Context&) {
  return result_of(qtools::add(operand(c, "a"), operand(c, "b")));
}

Json divider(const Json& c, const Context& context) {
  return result_of(qtools::divide(operand(c, "numerator"), operand(c, "denominator"), context));
}

Json mac(const Json& c, const Context&) {
  const Operation product = qtools::multiply(operand(c, "weight"), operand(c, "input"));
  const Operation sum = qtools::accumulate(c.at("kernel_shape").get<std::vector<int64_t>>(),
                                           product.out, c.at("use_bias").get<bool>());
  Json out{{"multiplier", result_of(product)}, {"accumulator", result_of(sum)}};
  if (c.at("operands").contains("bias"))
    out["with_bias"] = result_of(qtools::add(sum.out, operand(c, "bias")));
  return out;
}

Json merge(const Json& c, const Context& context) {
  std::vector<QtoolsType> inputs;
  for (const Json& entry : c.at("operands").at("inputs"))
    inputs.push_back(type_of(entry.at("type")));
  const Operation result = qtools::merge(c.at("layer").get<std::string>(), inputs, context);
  // Where QTools has no rule it gives nothing, and the caller fails.
  return c.contains("result") && c.at("result").is_null() && !context.refusals.empty()
             ? Json()
             : result_of(result);
}

Json batch_norm(const Json& c, const Context& context) {
  const qtools::BatchNormTypes types{
      operand(c, "gamma"), operand(c, "beta"), operand(c, "mean"), operand(c, "variance"), {}};
  const qtools::BatchNorm result = qtools::batch_norm(
      operand(c, "input"), types, c.at("scale").get<bool>(), c.at("center").get<bool>(), context);
  return {{"divider", result_of(result.divider)},
          {"multiplier", result_of(result.multiplier)},
          {"accumulator", result_of(result.accumulator)},
          {"output", record_of(result.output())}};
}

Json fused_bn(const Json& c, const Context& context) {
  qtools::FusedBatchNorm fused;
  fused.sum = operand(c, "accumulator");
  if (c.at("use_bias").get<bool>()) fused.bias = operand(c, "bias");
  fused.types = {{}, operand(c, "beta"), operand(c, "mean"), {}, operand(c, "inverse")};
  fused.use_beta = c.at("use_beta").get<bool>();
  fused.inverse_scale = scale_of(c.at("inverse_scales"));
  return result_of(qtools::fuse_batch_norm(fused, context));
}

Json auto_po2(const Json& c, const Context& context) {
  return result_of(
      qtools::adjust_for_scale(qtools::multiply(operand(c, "weight"), operand(c, "input")),
                               scale_of(c.at("scale")), context));
}

Json po2_range(const Json& c, const Context&) {
  const QtoolsType t = operand(c, "a");
  const qtools::ExponentRange range = qtools::exponent_range(t);
  const QtoolsType fixed = qtools::to_fixed(t);
  return {{"minexp", range.min},
          {"maxexp", range.max},
          {"fixed_bits", fixed.bits},
          {"fixed_int_bits", fixed.int_bits}};
}

Json po2_value(const Json& c, const Context& context) {
  try {
    return record_of(
        qtools::narrow_to(operand(c, "a"), c.at("value").get<double>(), c.at("reset").get<bool>()));
  } catch (const UserError& error) {
    context.refuse("ValueError", error.what());
    return {};
  }
}

/// A text with brackets is a quantizer, another a plain string, null nothing.
QtoolsType converted(const Json& from, std::string_view state, const Context& context) {
  const QtoolsType fallback = process_of(state).intermediate_type();
  if (from.is_null()) return qtools::convert({}, fallback, context);
  return qtools::convert_text(from.get<std::string>(), fallback, context);
}

std::string check_convert(const Json& c, const Context& context) {
  const Json& from = c.at("from");
  const QtoolsType t = converted(from, c.at("settings").get<std::string>(), context);
  if (c.contains("error")) return check_refusal(context.refusals, c.at("error"));
  const bool is_quantizer =
      from.is_string() && from.get<std::string>().find('(') != std::string::npos;
  Json got{
      {"supported", is_quantizer ? qtools::is_supported(parse_quantizer(from.get<std::string>()))
                                 : from.is_null()},
      {"type", record_of(t)},
      {"json", report::to_json(t)},
      {"again", record_of(qtools::convert_again(t))}};
  Json expected;
  for (const char* key : {"supported", "type", "json", "again"}) expected[key] = c.at(key);
  if (const auto back = qtools::to_quantizer(t)) {
    Json config = Json::object();
    for (const auto& [key, value] : back->arguments.entries())
      config[key] = value.is_none() ? Json() : number(value.as_real());
    got["back"] = {{"class", back->class_name}, {"config", config}};
    expected["back"] = c.at("back");
  }
  return difference(got, expected);
}

std::string check_default_type(const Json& c) {
  try {
    const auto t = qtools::named_type(c.at("from").get<std::string>());
    if (c.contains("error")) return "accepted; QTools refuses: " + c.at("error").dump();
    return difference(t ? record_of(*t) : Json(), c.at("type"));
  } catch (const UserError& error) {
    return c.contains("error") ? "" : join_text("refused: ", error.what());
  }
}

std::string check_energy(const Json& c) {
  const qtools::Process& process = process_of(c.at("settings").get<std::string>());
  const auto of = c.at("class").get<std::string>(), name = c.at("operation").get<std::string>();
  Json got = Json::array();
  for (const Json& value : c.at("x")) {
    const auto x = value.get<double>();
    if (of == "sram" || of == "dram") {
      got.push_back((of == "sram" ? process.sram : process.dram)(x));
      continue;
    }
    using qtools::Implementation;
    Implementation implementation = Implementation::add;  // "or" is priced and never used
    for (const auto i : {Implementation::mul, Implementation::shifter, Implementation::mux,
                         Implementation::xor_gate, Implementation::and_gate})
      if (qtools::to_string(i) == name) implementation = i;
    const QtoolsType type =
        of == "fpm" ? qtools::int8_type() : QtoolsType::floating(std::stoi(of.substr(2)));
    const auto energy = qtools::operation_energy(process, type, implementation, x);
    got.push_back(energy ? Json(*energy) : Json());
  }
  return difference(got, c.at("y"));
}

std::string check_memory(const Json& c) {
  const auto mode = c.at("mode").get<std::string>();
  const qtools::MemoryAccess access{.memory = mode == "dram"   ? qtools::MemoryKind::dram
                                              : mode == "sram" ? qtools::MemoryKind::sram
                                                               : qtools::MemoryKind::none,
                                    .at_model_border = c.at("io_layer").get<bool>(),
                                    .through_sram = c.at("rd_wr_on_io").get<bool>(),
                                    .min_sram_bits = c.at("min_sram_size").get<int64_t>()};
  const int64_t elements = element_count(c.at("shape").get<Extents>());
  const double energy = qtools::memory_energy(process_of(c.at("settings").get<std::string>()),
                                              access, elements, c.at("bits").get<int64_t>());
  if (c.contains("error")) return std::isnan(energy) ? "" : "a number, expected none";
  return difference(energy, c.at("value"));
}

using Rule = Json (*)(const Json&, const Context&);
const std::map<std::string, Rule> kRules{{"multiplier", multiplier}, {"adder", adder},
                                         {"divider", divider},       {"mac", mac},
                                         {"merge", merge},           {"batch_norm", batch_norm},
                                         {"fused_bn", fused_bn},     {"auto_po2", auto_po2},
                                         {"po2_range", po2_range},   {"po2_value", po2_value}};

}  // namespace

std::string check_qtools_operator(const Json& c) {
  std::vector<Refusal> refusals;
  const Context context{refusals};
  const auto op = c.at("op").get<std::string>();
  if (op == "convert") return check_convert(c, context);
  if (op == "default_type") return check_default_type(c);
  if (op == "energy") return check_energy(c);
  if (op == "memory_energy") return check_memory(c);
  const auto rule = kRules.find(op);
  qloom_check(rule != kRules.end(), "operator ", op, " is not known");
  const Json got = rule->second(c, context);
  if (c.contains("error")) return check_refusal(refusals, c.at("error"));
  if (!refusals.empty() && !c.at("result").is_null())
    return join_text("refused: ", refusals[0].why);
  return difference(got, stripped(c.at("result")));
}

}  // namespace qloom::golden
