#include "bindings/report/stats.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "bindings/report/qtools_json.h"
#include "bindings/report/sound.h"
#include "bindings/report/table.h"
#include "graph/support/error.h"

namespace qloom::report {
namespace {

using qtools::LayerTypes;
using qtools::Operation;
using qtools::Part;
using Json = nlohmann::ordered_json;

template <class... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 400> text{};
  std::snprintf(text.data(), text.size(), pattern, values...);
  return text.data();
}

/// The first of some parts that the layer has.
const Part* first_of(const LayerTypes& layer, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys)
    if (const Part* part = layer.find(key)) return part;
  return nullptr;
}

std::string type_text(const Part* part) { return part == nullptr ? "-" : short_text(part->type); }

/// What multiplies, or merges.
const Part* product_of(const LayerTypes& layer) {
  const std::string merge = layer.class_name + "_quantizer";
  return first_of(layer, {"multiplier", merge, "internal_multiplier", "pool_avg_multiplier",
                          "internal_divide_quantizer"});
}

std::string inputs_text(const LayerTypes& layer) {
  std::string out;
  for (const qtools::QtoolsType& t : layer.inputs) {
    const std::string text = short_text(t);
    if (out == text) continue;
    out += (out.empty() ? "" : ", ") + text;
  }
  return out;
}

/// A layer's name, marked where QTools raises and a rule of ours stands in its place.
std::string marked(const std::string& layer, const std::vector<qtools::Refusal>& refusals) {
  const bool is_refused =
      std::ranges::find(refusals, layer, &qtools::Refusal::layer) != refusals.end();
  return is_refused ? layer + " *" : layer;
}

std::vector<std::string> row_of(const LayerTypes& layer, const std::string& name, double energy) {
  const Part* product = product_of(layer);
  const Part* weight =
      first_of(layer, {"weight_quantizer", "gamma_quantizer", "average_quantizer"});
  const Part* sum =
      first_of(layer, {"accumulator", "internal_accumulator", "pool_sum_accumulator"});
  return {name,
          inputs_text(layer),
          type_text(weight),
          product == nullptr ? "-" : std::string(to_string(product->operation->implementation)),
          type_text(product),
          type_text(sum),
          short_text(layer.output),
          grouped(layer.operation_count),
          picojoules(energy)};
}

std::string refusals_text(const std::vector<qtools::Refusal>& refusals, size_t width) {
  std::string out;
  for (const qtools::Refusal& r : refusals) {
    const std::string where = r.layer.empty() ? "" : r.layer + ": ";
    out += "  " +
           wrapped(where + r.why + " (QTools raises " + r.exception + ")",
                   width == 0 ? 0 : width - 4, 4) +
           "\n";
  }
  return out;
}

std::vector<qtools::Refusal> all_refusals(const ModelStats& stats) {
  std::vector<qtools::Refusal> out = stats.map.refusals;
  out.insert(out.end(), stats.energy.refusals.begin(), stats.energy.refusals.end());
  out.insert(out.end(), stats.roofline.refusals.begin(), stats.roofline.refusals.end());
  return out;
}

Json refusals_json(const std::vector<qtools::Refusal>& refusals) {
  Json out = Json::array();
  for (const qtools::Refusal& r : refusals)
    out.push_back({{"layer", r.layer}, {"exception", r.exception}, {"why", r.why}});
  return out;
}

Json operations_json(const qtools::Estimate& estimate) {
  Json out = Json::array();
  for (const qtools::LayerEstimate& l : estimate.layers) {
    Json weights = Json::array();
    for (size_t k = 0; k < l.weights.size(); ++k)
      weights.push_back({{"count", l.weight_counts[k]}, {"bits", l.weights[k].bits}});
    out.push_back({{"layer", l.name},
                   {"operation", l.operation_name()},
                   {"count", l.operations},
                   {"weights", weights},
                   {"bias", {{"count", l.bias_count}, {"bits", l.bias.bits}}}});
  }
  return out;
}

}  // namespace

std::string short_text(const qtools::QtoolsType& t) {
  using qtools::Mode;
  switch (t.mode) {
    case Mode::fixed:
      return join_text(t.is_signed ? "s" : "u", t.bits, ".", t.exported_int_bits());
    case Mode::po2:
      return join_text(t.is_signed ? "po2(" : "relu_po2(", t.bits, ")");
    case Mode::ternary:
      return "ternary";
    case Mode::binary:
      return "±1";
    case Mode::bit:
      return "0/1";
    case Mode::floating:
      break;
  }
  return join_text("f", t.bits);
}

std::string picojoules(double value) {
  if (!(value < 1e15)) {  // of sizes that no hardware has
    char text[32];
    std::snprintf(text, sizeof text, "%.4g", value);
    return text;
  }
  const std::string text = format("%.2f", value);
  const size_t point = text.find('.');
  return grouped(std::stoll(text.substr(0, point))) + text.substr(point);
}

std::string to_text(const ModelStats& stats, size_t width) {
  const std::string title = stats.name + ": types by the rules of " + stats.rules +
                            ", energy of process " + stats.process;
  if (stats.sound) return to_text(*stats.sound, title, width);
  Table table({"layer", "input", "weights", "by", "product", "sum", "output", "ops", "pJ"});
  std::map<std::string, double> energies;
  for (const qtools::LayerEnergy& e : stats.energy.layers) energies[e.name] = e.counted();
  const std::vector<qtools::Refusal> refusals = all_refusals(stats);
  int64_t operations = 0;
  for (const LayerTypes& layer : stats.map.layers) {
    table.add(row_of(layer, marked(layer.name, refusals), energies[layer.name]));
    operations += layer.operation_count;
  }
  table.add_rule();
  table.add(
      {"all", "", "", "", "", "", "", grouped(operations), grouped(stats.energy.counted_sum())});
  std::string out = title + "\n\n" + table.to_string(width);
  const qtools::Roofline& r = stats.roofline;
  const auto bytes = [](double n) { return grouped(static_cast<int64_t>(n)) + " bytes"; };
  out += join_text("\nweights      ", bytes(static_cast<double>(r.weight_bytes)), ", as float32 ",
                   bytes(static_cast<double>(r.weight_bytes_float)), "\nactivations  ",
                   bytes(r.activation_bytes), ", as float32 ", bytes(r.activation_bytes_float),
                   "; with the model's input\nACE          ", grouped(r.ace),
                   " bit products, as float32 ", grouped(r.ace_float), "\nenergy       ",
                   grouped(stats.energy.counted_sum()), " pJ, ", grouped(stats.energy.total_cost()),
                   " pJ with all that the sum leaves out\n");
  if (!stats.map.passed_through.empty()) {
    std::string names;
    for (const std::string& name : stats.map.passed_through)
      names += (names.empty() ? "" : ", ") + name;
    out += "\n" +
           wrapped("QTools has no rule for " + names +
                       ": the input's type passes through, nothing is counted",
                   width, 0) +
           "\n";
  }
  if (!refusals.empty())
    out += "\n" + wrapped("* QTools itself refuses this model; what is shown instead:", width, 0) +
           "\n" + refusals_text(refusals, width);
  return out;
}

std::string energy_text(const ModelStats& stats, size_t width) {
  Table table({"layer", "inputs", "outputs", "parameters", "operations", "counted"});
  const qtools::EnergyReport& energy = stats.sound ? stats.sound->energy : stats.energy;
  const std::vector<qtools::Refusal> refusals =
      stats.sound ? std::vector<qtools::Refusal>() : all_refusals(stats);
  for (const qtools::LayerEnergy& e : energy.layers) {
    const std::array<double, 4> v = e.rounded();
    table.add({marked(e.name, refusals), picojoules(v[0]), picojoules(v[1]), picojoules(v[2]),
               picojoules(v[3]), picojoules(e.counted())});
  }
  table.add_rule();
  table.add({"all", "", "", "", grouped(energy.total_cost()), grouped(energy.counted_sum())});
  return std::string("pJ a sample: reads of inputs, writes of outputs, reads of parameters, ") +
         "arithmetic\n" +
         (energy.sram_per_bit ? "SRAM is paid for each bit"
                              : "SRAM is paid as in QTools, a word of 64 bits as one "
                                "(--sram-per-bit: each bit)") +
         "\n\n" + table.to_string(width);
}

std::string qstats_text(const ModelStats& stats) {
  const qtools::Estimate estimate = estimate_operations(stats.unfolded);
  const qtools::Sparsity sparsity = sparsity_of(stats.model, stats.unfolded);
  std::map<std::string, const qtools::LayerEstimate*> sorted;
  for (const qtools::LayerEstimate& l : estimate.layers) sorted[l.name] = &l;
  std::string out = "\nNumber of operations in model:\n";
  for (const auto& [name, l] : sorted)
    out += format("    %-30s: %-5lld (%s)\n", name.c_str(), static_cast<long long>(l->operations),
                  l->operation_name().c_str());
  out += "\nNumber of operation types in model:\n";
  for (const auto& [name, total] : estimate.operation_totals())
    out += format("    %-30s: %lld\n", name.c_str(), static_cast<long long>(total));
  out += "\nWeight profiling:\n";
  const auto unit = [&](const std::string& name, int64_t count, int64_t bits) {
    out += format("    %-30s : %-5lld (%lld-bit unit)\n", name.c_str(),
                  static_cast<long long>(count), static_cast<long long>(bits));
  };
  for (const auto& [name, l] : sorted) {
    for (size_t k = 0; k < l->weights.size(); ++k)
      unit(name + "_weights" + (l->weights.size() > 1 ? join_text("_", k) : ""),
           l->weight_counts[k], l->weights[k].bits);
    unit(name + "_bias", l->bias_count, l->bias.bits);
  }
  const std::string rule = "    " + std::string(40, '-') + "\n";
  out += rule + format("    %-30s : %5lld\n", "Total Bits",
                       static_cast<long long>(estimate.weight_bits()));
  out += "\nWeight sparsity:\n";
  for (const auto& [name, share] : sparsity.layers)
    out += format("    %-30s : %.4f\n", name.c_str(), share);
  out += rule + format("    %-30s : %.4f\n", "Total Sparsity", sparsity.total);
  for (const std::string& name : sparsity.random)
    out += "    " + name + " draws its weights at random: left out\n";
  return out + refusals_text(estimate.refusals, 0) + refusals_text(sparsity.refusals, 0);
}

std::string to_text(const qtools::AccumulatorBits& accumulators, double low, double high,
                    size_t width) {
  Table table({"layer", "bits"});
  for (const auto& [layer, bits] : accumulators.layers)
    table.add({marked(layer, accumulators.refusals), grouped(bits)});
  return format("integer bits of accumulators whose inputs lie in [%g, %g]\n\n", low, high) +
         table.to_string(width) + refusals_text(accumulators.refusals, width);
}

std::string to_text(const qtools::Parallelism& parallelism, size_t width) {
  if (!parallelism.gates)
    return "no choice of unroll factors reaches the throughput\n" +
           refusals_text(parallelism.refusals, width);
  Table table({"layer", "cin", "cout", "height", "width", "elements", "gates"});
  for (const qtools::Stage& s : parallelism.path) {
    if (s.node < 0) continue;
    const qtools::Unroll u = s.unroll.value_or(qtools::Unroll{});
    table.add({marked(s.layer, parallelism.refusals), grouped(u.cin), grouped(u.cout),
               grouped(u.height), grouped(u.width), grouped(s.out_elements), picojoules(s.gates)});
  }
  table.add_rule();
  table.add({"all", "", "", "", "", "", picojoules(*parallelism.gates)});
  return "unroll factors with the fewest gates; elements: delivered a clock\n\n" +
         table.to_string(width) + refusals_text(parallelism.refusals, width);
}

Json to_json(const ModelStats& stats, bool qstats) {
  const qtools::Roofline& r = stats.roofline;
  Json energy = to_json(stats.energy);
  energy["counted_sum"] = stats.energy.counted_sum();
  Json out{{"model", stats.name},
           {"rules", stats.rules},
           {"process", stats.process},
           {"data_type_map", to_json(stats.map)},
           {"energy", energy},
           {"roofline",
            {{"ACE", r.ace},
             {"weight_in_bytes", r.weight_bytes},
             {"activation_in_bytes", r.activation_bytes},
             {"ACE_float", r.ace_float},
             {"weight_in_bytes_float", r.weight_bytes_float},
             {"activation_in_bytes_float", r.activation_bytes_float}}},
           {"passed_through", stats.map.passed_through}};
  if (stats.sound) {
    out["sound"] = to_json(*stats.sound);
    Json sound_energy = to_json(stats.sound->energy);
    sound_energy["counted_sum"] = stats.sound->energy.counted_sum();
    out["sound"]["energy"] = sound_energy;
  }
  std::vector<qtools::Refusal> refusals = all_refusals(stats);
  if (qstats) {
    const qtools::Estimate estimate = estimate_operations(stats.unfolded);
    const qtools::Sparsity sparsity = sparsity_of(stats.model, stats.unfolded);
    Json layers = Json::object();
    for (const auto& [name, share] : sparsity.layers) layers[name] = share;
    out["operations"] = operations_json(estimate);
    out["weight_bits"] = estimate.weight_bits();
    out["sparsity"] = {{"total", sparsity.total}, {"layers", layers}};
    for (const auto* more : {&estimate.refusals, &sparsity.refusals})
      refusals.insert(refusals.end(), more->begin(), more->end());
  }
  out["refusals"] = refusals_json(refusals);
  return out;
}

Json to_json(const qtools::Parallelism& parallelism) {
  Json path = Json::array();
  for (const qtools::Stage& s : parallelism.path) {
    if (s.node < 0) continue;
    const qtools::Unroll u = s.unroll.value_or(qtools::Unroll{});
    path.push_back({{"layer", s.layer},
                    {"cin", u.cin},
                    {"cout", u.cout},
                    {"height", u.height},
                    {"width", u.width},
                    {"elements", s.out_elements},
                    {"gates", s.gates}});
  }
  return {{"path", path},
          {"gates", parallelism.gates ? Json(*parallelism.gates) : Json()},
          {"refusals", refusals_json(parallelism.refusals)}};
}

Json to_json(const qtools::AccumulatorBits& accumulators) {
  return {{"layers", accumulators.layers}, {"refusals", refusals_json(accumulators.refusals)}};
}

}  // namespace qloom::report
