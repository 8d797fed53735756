#include <initializer_list>
#include <optional>

#include "tests/cpp/random_draw.h"

// Layers over time steps: recurrent ones alone, in both directions and as cells on top of each
// other; masks; token numbers.

namespace qloom::test {
namespace {

using Object = Draw::Object;

constexpr std::string_view kKinds[] = {"SimpleRNN", "LSTM", "GRU", "QSimpleRNN", "QLSTM", "QGRU"};
constexpr const char* kStates[] = {"quantized_bits(4,0,1,alpha=1.0)",
                                   "quantized_bits(8,1,1,alpha=1.0)", "quantized_bits(6,2,0)",
                                   "binary(alpha=1.0)", "ternary(alpha=1.0)"};
constexpr const char* kTanhs[] = {"quantized_tanh(4)", "quantized_tanh(6,1)",
                                  "quantized_bits(5,1,1,alpha=1.0)", "quantized_relu(4,1)",
                                  "hard_tanh"};
constexpr const char* kGates[] = {"quantized_sigmoid(4)", "quantized_relu(4,0)",
                                  "quantized_bits(6,0,1,alpha=1.0)", "hard_sigmoid"};
constexpr const char* kFloatTanhs[] = {"tanh", "sigmoid", "relu6", "hard_sigmoid", "softsign"};
constexpr const char* kFloatGates[] = {"sigmoid", "hard_sigmoid"};

std::string_view kind_of(std::string_view name) {
  if (is_quantized(name)) name.remove_prefix(1);
  return name;
}

/// States of a cell: two of an LSTM.
int64_t states_of(std::string_view name) { return kind_of(name).starts_with("LSTM") ? 2 : 1; }

int64_t units_of(const Object& config) {
  for (const auto& [key, value] : config)
    if (key == "units") return std::get<int64_t>(value.value);
  return 0;
}

/// The arguments of a cell, which its layer has too; in place of those in `d.config`.
Object cell(Draw& d, std::string_view name) {
  Object outside;
  std::swap(outside, d.config);
  d.number("units", d.random.integer(1, 20));
  d.flag("use_bias", 80);
  const bool gated = kind_of(name).find("SimpleRNN") == std::string_view::npos;
  if (is_quantized(name)) {
    d.maybe("kernel_quantizer", kWeights, 85);
    d.maybe("recurrent_quantizer", kWeights, 85);
    d.maybe("bias_quantizer", kBiases, 60);
    d.maybe("state_quantizer", kStates, 70);
    if (d.random.chance(80)) d.text("activation", d.random.pick(kTanhs));
    if (gated && d.random.chance(80)) d.text("recurrent_activation", d.random.pick(kGates));
  } else {
    if (d.random.chance(50)) d.text("activation", d.random.pick(kFloatTanhs));
    if (gated && d.random.chance(50)) d.text("recurrent_activation", d.random.pick(kFloatGates));
  }
  if (gated) d.number("implementation", d.random.integer(1, 2));
  if (kind_of(name).starts_with("GRU")) d.flag("reset_after", 50);
  std::swap(outside, d.config);
  return outside;
}

struct Driver {
  bool sequences, state;
};

/// Now and then over several calls, or with time steps first, which the network is told when it is
/// described: it adds layers to inputs with samples first.
void states_or_time(Draw& d) {
  d.stateful = d.random.chance(20);
  if (d.stateful) d.set("stateful", true);
  d.time_major = d.random.chance(15);
}

/// How the time steps are gone through.
Driver driver(Draw& d) {
  const Driver out{d.random.chance(50), d.random.chance(25)};
  d.set("return_sequences", out.sequences);
  d.set("return_state", out.state);
  d.flag("go_backwards", 30);
  return out;
}

void sequence(Draw& d) {
  d.inputs = {{d.random.integer(1, 6), d.random.integer(1, 9)}};
  d.masks = d.random.chance(25);
}

/// Now and then the states that the layer begins with, as inputs of their own.
void initial_states(Draw& d, const std::vector<int64_t>& units) {
  if (d.stateful || !d.random.chance(25)) return;
  for (const int64_t n : units) d.inputs.push_back({n});
}

void append(Object& to, const Object& from) { to.insert(to.end(), from.begin(), from.end()); }

void recurrent(Draw& d, std::string_view name) {
  sequence(d);
  append(d.config, cell(d, name));
  const Driver how = driver(d);
  states_or_time(d);
  if (how.state) d.more_outputs = static_cast<size_t>(states_of(name));
  initial_states(d, std::vector<int64_t>(static_cast<size_t>(states_of(name)), units_of(d.config)));
}

Object described(const std::string& class_name, Object config) {
  Object out;
  out.emplace_back("class_name", class_name);
  out.emplace_back("config", std::move(config));
  return out;
}

void cells(Draw& d, std::string_view) {
  sequence(d);
  const bool stacked = d.random.chance(60);
  ConfigValue::Array list;
  std::vector<int64_t> units;
  for (int64_t k = 0, n = stacked ? d.random.integer(1, 3) : 1; k < n; ++k) {
    const std::string name = std::string(d.random.pick(kKinds)) + "Cell";
    Object config = cell(d, name);
    units.insert(units.end(), static_cast<size_t>(states_of(name)), units_of(config));
    list.emplace_back(described(name, std::move(config)));
  }
  if (stacked) {
    Object config;
    config.emplace_back("cells", std::move(list));
    d.set("cell", described("StackedRNNCells", std::move(config)));
  } else {
    d.config.emplace_back("cell", std::move(list[0]));
  }
  if (driver(d).state) d.more_outputs = units.size();
  states_or_time(d);
  initial_states(d, units);
}

void directions(Draw& d, std::string_view) {
  sequence(d);
  const std::string name(d.random.pick(kKinds));
  const Object outside = std::move(d.config);
  d.config = {};
  const Driver how = driver(d);
  states_or_time(d);
  const Object driven = std::move(d.config);
  d.config = outside;
  Object forward = cell(d, name);
  const int64_t units = units_of(forward);
  append(forward, driven);
  const bool own_backward = d.random.chance(25);
  Object backward = own_backward ? cell(d, name) : Object();
  if (own_backward) {
    // Both are merged: as many units, and the other way.
    for (auto& [key, value] : backward)
      if (key == "units") value = ConfigValue(units);
    append(backward, driven);
    for (auto& [key, value] : backward)
      if (key == "go_backwards") value = ConfigValue(!std::get<bool>(value.value));
  }
  d.set("layer", described(name, std::move(forward)));
  if (own_backward) d.set("backward_layer", described(name, std::move(backward)));
  constexpr const char* kModes[] = {"concat", "sum", "mul", "ave"};
  d.maybe("merge_mode", kModes, 85);
  const bool apart = std::holds_alternative<std::monostate>(d.config.back().second.value);
  const auto states = static_cast<size_t>(2 * states_of(name));
  d.more_outputs = (apart ? 1 : 0) + (how.state ? states : 0);
  initial_states(d, std::vector<int64_t>(states, units));
}

/// A recurrent layer that heeds the mask.
void read_mask(Draw& d) {
  Object outside;
  std::swap(outside, d.config);
  const std::string name(d.random.pick(kKinds));
  append(d.config, cell(d, name));
  d.flag("return_sequences", 50);
  d.flag("go_backwards", 30);
  std::swap(outside, d.config);
  d.reader = {name, std::move(outside)};
}

void masking(Draw& d, std::string_view) {
  d.inputs = {{d.random.integer(1, 6), d.random.integer(1, 9)}};
  d.set("mask_value", d.random.chance(70) ? 0.0 : 0.5);
  if (d.random.chance(40)) read_mask(d);
}

void embedding(Draw& d, std::string_view) {
  d.rows = d.random.integer(1, 30);
  d.number("input_dim", d.rows);
  d.number("output_dim", d.random.integer(1, 40));
  d.inputs = {{d.random.integer(1, 6)}};
  if (d.random.chance(50)) {
    d.set("mask_zero", true);
    read_mask(d);
  } else if (d.random.chance(30)) {
    d.inputs[0].push_back(d.random.integer(1, 4));
  }
}

constexpr Maker kMakers[] = {{"Bidirectional", directions},
                             {"Embedding", embedding},
                             {"GRU", recurrent},
                             {"LSTM", recurrent},
                             {"Masking", masking},
                             {"QBidirectional", directions},
                             {"QGRU", recurrent},
                             {"QLSTM", recurrent},
                             {"QSimpleRNN", recurrent},
                             {"RNN", cells},
                             {"SimpleRNN", recurrent}};

}  // namespace

std::span<const Maker> sequence_makers() { return kMakers; }

}  // namespace qloom::test
