#include "bindings/report/qtools_json.h"

#include <cmath>

namespace qloom::report {
namespace {

using Json = nlohmann::ordered_json;
using qtools::Mode;

/// Whole numbers without a point.
Json number(double value) {
  if (value == std::trunc(value) && std::fabs(value) < 9e15) return static_cast<int64_t>(value);
  return value;
}

/// An open batch axis is -1, other open axes are null.
Json shape_json(const Extents& extents) {
  Json out = Json::array();
  for (const int64_t n : extents)
    out.push_back(n == qtools::kUnknownExtent && !out.empty() ? Json() : Json(n));
  return out;
}

Json shape_json(const qtools::EdgeShape& shape) {
  if (!shape.is_list) return shape_json(shape.extents);
  // The shape in a list: its own batch axis is not the first thing in that list.
  Json inner = shape_json(shape.extents);
  if (!inner.empty() && inner[0] == qtools::kUnknownExtent) inner[0] = nullptr;
  return Json::array({inner});
}

Json layer_json(const qtools::LayerTypes& layer) {
  Json out{{"layer_type", layer.class_name}, {"input_quantizer_list", Json::array()}};
  for (const qtools::QtoolsType& t : layer.inputs)
    out["input_quantizer_list"].push_back(to_json(t));
  out["output_quantizer"] = to_json(layer.output);
  out["output_quantizer"]["shape"] = shape_json(layer.output_shape);
  for (const qtools::Part& part : layer.parts) {
    Json& entry = out[part.key];
    entry = part.operation ? to_json(*part.operation) : to_json(part.type);
    if (part.shape)
      entry["shape"] = part.shape_is_number ? Json(part.shape->at(0)) : Json(*part.shape);
  }
  out["operation_count"] = layer.operation_count;
  return out;
}

}  // namespace

Json to_json(const qtools::QtoolsType& t) {
  Json out{{"quantizer_type", t.name}, {"bits", t.exported_bits()}};
  if (t.is_float()) return out;
  if (!t.is_po2()) out["int_bits"] = t.exported_int_bits();
  out["is_signed"] = t.is_signed || t.mode == Mode::ternary ? 1 : 0;
  if (t.is_po2()) out["max_value"] = number(t.max_value);
  if (t.mode == Mode::ternary) out["values"] = {0, -1, 1};
  if (t.mode == Mode::binary) out["values"] = {-1, 1};
  if (t.mode == Mode::bit) out["values"] = {0, 1};
  return out;
}

Json to_json(const qtools::Operation& operation) {
  Json out = to_json(operation.out);
  out["op_type"] = qtools::to_string(operation.implementation);
  return out;
}

Json to_json(const qtools::DataMap& map) {
  Json out = Json::object();
  for (const qtools::QtoolsType& t : map.sources) out["source_quantizers"].push_back(to_json(t));
  for (const qtools::LayerTypes& layer : map.layers) out[layer.name] = layer_json(layer);
  return out;
}

Json to_json(const qtools::EnergyReport& report) {
  Json out = Json::object();
  for (const qtools::LayerEnergy& layer : report.layers) {
    const std::array<double, 4> energy = layer.rounded();
    out[layer.name] = {{"class_name", layer.class_name},
                       {"energy",
                        {{"inputs", energy[0]},
                         {"outputs", energy[1]},
                         {"parameters", energy[2]},
                         {"op_cost", energy[3]}}}};
  }
  out["total_cost"] = report.total_cost();
  return out;
}

}  // namespace qloom::report
