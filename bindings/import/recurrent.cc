#include "bindings/import/recurrent.h"

#include <mutex>
#include <set>

#include "graph/support/error.h"

// Source: QKeras qkeras/qrecurrent.py (QSimpleRNNCell, QLSTMCell, QGRUCell), Keras 2
// keras/layers/rnn. The state quantizer acts on what comes from the step before; results and new
// states are not quantized by it.

namespace qloom::keras {
namespace {

using ops::Elementwise;

enum class Kind : uint8_t { simple, lstm, gru };

std::optional<Kind> kind_of(std::string_view name) {
  if (name.starts_with('Q')) name.remove_prefix(1);
  if (name.ends_with("Cell")) name.remove_suffix(4);
  if (name == "SimpleRNN") return Kind::simple;
  if (name == "LSTM") return Kind::lstm;
  if (name == "GRU") return Kind::gru;
  return std::nullopt;
}

int64_t gates_of(Kind kind) { return kind == Kind::lstm ? 4 : kind == Kind::gru ? 3 : 1; }

/// The ops of one cell for one step.
class CellStep {
 public:
  CellStep(LayerBuilder& cell, std::string name)
      : cell_(cell),
        b_(cell.graph),
        kind_(*kind_of(cell.class_name())),
        units_(cell.config("units").as_positive()),
        prefix_(std::move(name)) {
    const bool quantized = cell.is_quantized();
    activation_ = cell.activation("activation", quantized ? "quantized_tanh" : "tanh");
    if (kind_ != Kind::simple)
      gate_activation_ =
          cell.activation("recurrent_activation", quantized ? "hard_sigmoid" : "sigmoid");
    state_quantizer_ = cell.quantizer("state_quantizer");
    reset_after_ = kind_ == Kind::gru && cell.config("reset_after").bool_or(!quantized);
    // Keras falls back to separate products with recurrent dropout; QKeras reads 0 as 1.
    const int64_t implementation = cell.config("implementation").integer_or(quantized ? 1 : 2);
    bias_last_ = kind_ == Kind::lstm && implementation == 2 &&
                 cell.config("recurrent_dropout").real_or(0) == 0;
  }

  [[nodiscard]] int64_t units() const { return units_; }

  /// The output; `states` become those after the step.
  ValueId run(ValueId x, std::span<ValueId> states) {
    const int64_t gates = gates_of(kind_);
    const int64_t features = b_.type(x).shape.back().extent();
    kernel_ = cell_.quantized(
        cell_.weight("kernel", {features, gates * units_}, "input features, gates · units"),
        cell_.weight_quantizer("kernel_quantizer"), "kernel");
    recurrent_ = cell_.quantized(
        cell_.weight("recurrent_kernel", {units_, gates * units_}, "units, gates · units"),
        cell_.weight_quantizer("recurrent_quantizer"), "recurrent_kernel");
    if (cell_.has_bias()) {
      const Extents shape = reset_after_ ? Extents{2, gates * units_} : Extents{gates * units_};
      bias_ = cell_.quantized(
          cell_.weight("bias", shape,
                       reset_after_ ? "input and recurrent, gates · units" : "gates · units"),
          cell_.quantizer("bias_quantizer"), "bias");
    }
    std::vector<ValueId> before;
    for (size_t s = 0; s < states.size(); ++s)
      before.push_back(cell_.apply(state_quantizer_, states[s],
                                   name(s == 0 ? "state_quantizer" : "carry_quantizer")));
    switch (kind_) {
      case Kind::simple:
        return states[0] = apply(activation_, gate(x, before[0], 0, ""), "activation");
      case Kind::lstm:
        return lstm(x, before, states);
      case Kind::gru:
        break;
    }
    return states[0] = gru(x, before[0]);
  }

 private:
  [[nodiscard]] std::string name(std::string_view what, std::string_view gate = "") const {
    return prefix_ + (gate.empty() ? "" : "/") + std::string(gate) + "/" + std::string(what);
  }

  ValueId apply(const QuantizerOrFunction& what, ValueId x, std::string_view node,
                std::string_view gate = "") {
    return cell_.activate(x, what, name(node, gate));
  }
  ValueId binary(Elementwise kind, ValueId a, ValueId b, std::string node) {
    return b_.elementwise(kind, a, b, std::move(node));
  }

  /// The columns of a gate; of a bias with two rows, in one of them.
  ValueId columns(ValueId of, int64_t gate, std::string_view what, std::string_view gate_name,
                  int64_t row = 0) {
    if (b_.type(of).rank() == 2 && what.ends_with("bias"))
      of = b_.reshape(b_.slice(of, {.axis = 0, .begin = row, .count = 1}, name("row")), {-1},
                      name("row"));
    if (gates_of(kind_) == 1) return of;
    return b_.slice(of, {.axis = -1, .begin = gate * units_, .count = units_},
                    name(what, gate_name));
  }
  ValueId product(ValueId x, ValueId kernel, int64_t gate, std::string_view what,
                  std::string_view gate_name) {
    return b_.dense(x, columns(kernel, gate, join_text(what, "_kernel"), gate_name),
                    name(what, gate_name));
  }
  ValueId add_bias(ValueId x, int64_t gate, std::string_view gate_name, int64_t row = 0) {
    if (!bias_) return x;
    return b_.add(x, columns(*bias_, gate, "bias", gate_name, row), name("bias_add", gate_name));
  }
  ValueId input_part(ValueId x, int64_t gate, std::string_view gate_name) {
    return add_bias(product(x, kernel_, gate, "input", gate_name), gate, gate_name);
  }

  /// x·K + b + h·R of one gate.
  ValueId gate(ValueId x, ValueId h, int64_t gate, std::string_view gate_name) {
    if (bias_last_) {
      const ValueId sum =
          b_.add(product(x, kernel_, gate, "input", gate_name),
                 product(h, recurrent_, gate, "recurrent", gate_name), name("sum", gate_name));
      return add_bias(sum, gate, gate_name);
    }
    return b_.add(input_part(x, gate, gate_name),
                  product(h, recurrent_, gate, "recurrent", gate_name), name("sum", gate_name));
  }

  ValueId lstm(ValueId x, const std::vector<ValueId>& before, std::span<ValueId> states) {
    const ValueId h = before[0], c = before[1];
    const ValueId i = apply(gate_activation_, gate(x, h, 0, "i"), "activation", "i");
    const ValueId f = apply(gate_activation_, gate(x, h, 1, "f"), "activation", "f");
    const ValueId candidate = apply(activation_, gate(x, h, 2, "c"), "activation", "c");
    const ValueId kept = binary(Elementwise::multiply, f, c, name("kept"));
    const ValueId added = binary(Elementwise::multiply, i, candidate, name("added"));
    states[1] = b_.add(kept, added, name("carry"));
    const ValueId o = apply(gate_activation_, gate(x, h, 3, "o"), "activation", "o");
    const ValueId shown = apply(activation_, states[1], "activation");
    return states[0] = binary(Elementwise::multiply, o, shown, name("output"));
  }

  /// A gate of reset_after: both parts have a bias of their own.
  ValueId both_parts(ValueId x, ValueId h, int64_t gate, std::string_view gate_name) {
    return b_.add(input_part(x, gate, gate_name), recurrent_part(h, gate, gate_name),
                  name("sum", gate_name));
  }
  ValueId recurrent_part(ValueId h, int64_t gate, std::string_view gate_name) {
    return add_bias(product(h, recurrent_, gate, "recurrent", gate_name), gate, gate_name, 1);
  }

  ValueId gru(ValueId x, ValueId h) {
    const auto sum = [&](int64_t index, std::string_view gate_name) {
      return reset_after_ ? both_parts(x, h, index, gate_name) : gate(x, h, index, gate_name);
    };
    const ValueId z = apply(gate_activation_, sum(0, "z"), "activation", "z");
    const ValueId r = apply(gate_activation_, sum(1, "r"), "activation", "r");
    ValueId recurrent;
    if (reset_after_) {
      recurrent = binary(Elementwise::multiply, r, recurrent_part(h, 2, "h"), name("reset"));
    } else {
      const ValueId reset = binary(Elementwise::multiply, r, h, name("reset"));
      recurrent = product(reset, recurrent_, 2, "recurrent", "h");
    }
    const ValueId candidate = apply(
        activation_, b_.add(input_part(x, 2, "h"), recurrent, name("sum", "h")), "activation", "h");
    const ValueId one = b_.constant(name("one"), Tensor::scalar(1.0F));
    const ValueId kept = binary(Elementwise::multiply, z, h, name("kept"));
    const ValueId rest = binary(Elementwise::subtract, one, z, name("rest"));
    const ValueId added = binary(Elementwise::multiply, rest, candidate, name("added"));
    return b_.add(kept, added, name("output"));
  }

  LayerBuilder& cell_;
  Builder& b_;
  Kind kind_;
  int64_t units_;
  std::string prefix_;
  QuantizerOrFunction activation_, gate_activation_, state_quantizer_;
  bool reset_after_ = false, bias_last_ = false;
  ValueId kernel_, recurrent_;
  std::optional<ValueId> bias_;
};

}  // namespace

std::vector<std::string_view> recurrent_weights(const ConfigView& config) {
  if (config["use_bias"].bool_or(true)) return {"kernel", "recurrent_kernel", "bias"};
  return {"kernel", "recurrent_kernel"};
}

std::string_view kept_name(const std::string& name) {
  static std::mutex mutex;
  static std::set<std::string> names;  // nodes stay where they are
  const std::lock_guard lock(mutex);
  return *names.insert(name).first;
}

extern constinit const LayerDef recurrent_cell{.class_names = {},
                                               .doc = "Within another layer.",
                                               .keys = kRecurrentKeys,
                                               .ignored = kRecurrentIgnored,
                                               .weights = recurrent_weights};

bool is_recurrent(std::string_view class_name) { return kind_of(class_name).has_value(); }
size_t states_of(std::string_view class_name) { return kind_of(class_name) == Kind::lstm ? 2 : 1; }

Driver driver_of(const LayerBuilder& layer) {
  Driver d;
  d.return_sequences = layer.config("return_sequences").bool_or(false);
  d.return_state = layer.config("return_state").bool_or(false);
  d.go_backwards = layer.config("go_backwards").bool_or(false);
  d.stateful = layer.config("stateful").bool_or(false);
  d.zero_output_for_mask = layer.config("zero_output_for_mask").bool_or(false);
  for (const char* rate : {"dropout", "recurrent_dropout"})
    if (layer.is_training() && layer.config(rate).real_or(0) != 0)
      layer.config(rate).fail("its random draws in the training phase are not supported");
  d.time_major = layer.config("time_major").bool_or(false);
  return d;
}

namespace {

/// The sequences as a scan goes through them, and back.
struct Steps {
  ValueId x;                    ///< [N, T, F]; within TimeDistributed [N, T, A, F]
  std::optional<ValueId> mask;  ///< bit [N, T, 1], [N, T, A, 1]
};

Steps steps_of(LayerBuilder& layer, const Driver& driver, ValueId x, std::optional<ValueId> mask,
               const std::string& name) {
  Builder& graph = layer.graph;
  const bool rows = layer.is_time_distributed();
  const Shape given = graph.type(x).shape;
  if (given.size() != (rows ? 4 : 3))
    layer.fail("its input has shape " + to_string(given) + ", expected [N, " + (rows ? "A, " : "") +
               "time steps, features]");
  if (driver.time_major) {
    if (rows) layer.config("time_major").fail("within TimeDistributed this is not supported");
    if (given[0].is_batch())
      layer.config("time_major")
          .fail("the input " + to_string(given) + " has its batch axis first; an Input of " +
                "batch_shape=(time steps, None, features) has it second");
  }
  if (driver.stateful && rows)
    layer.config("stateful").fail("within TimeDistributed this is not supported");
  if (driver.time_major) {
    x = graph.permute(x, {1, 0, 2}, name + "/batch_first");
    if (mask) mask = graph.permute(*mask, {1, 0}, name + "/mask_batch_first");
  } else if (rows) {
    x = graph.permute(x, {0, 2, 1, 3}, name + "/steps_first");
    if (mask) mask = graph.permute(*mask, {0, 2, 1}, name + "/mask_steps_first");
  }
  const Shape shape = graph.type(x).shape;
  if (!shape[0].is_batch())
    layer.fail("its input has shape " + to_string(given) + ", whose first axis is not the batch");
  if (mask) {
    AttributeValue::Integers extents;
    for (size_t k = 1; k + 1 < shape.size(); ++k) extents.push_back(shape[k].extent());
    extents.push_back(1);
    mask = graph.reshape(*mask, std::move(extents), name + "/mask");
  }
  return {x, mask};
}

}  // namespace

ValueId laid_out_as_input(LayerBuilder& layer, const Driver& driver, ValueId y,
                          const std::string& name) {
  if (!driver.return_sequences) return y;
  if (driver.time_major) return layer.graph.permute(y, {1, 0, 2}, name + "/time_first");
  if (layer.is_time_distributed())
    return layer.graph.permute(y, {0, 2, 1, 3}, name + "/steps_last");
  return y;
}

Recurrent build_recurrent(LayerBuilder& layer, const std::vector<Cell>& cells, const Driver& driver,
                          const std::vector<ValueId>& inputs, const std::string& name,
                          std::optional<ValueId> mask) {
  Builder& graph = layer.graph;
  const Steps sequence = steps_of(layer, driver, inputs[0], mask, name);
  // One step of a value, with other features.
  const auto step_shape = [&](ValueId of, int64_t features) {
    Shape shape = graph.type(of).shape;
    shape.erase(shape.begin() + 1);
    shape.back() = Dim(features);
    return shape;
  };
  Builder body(name + "/step");
  body.graph().set_options(graph.graph().options());
  body.set_layer(layer.layer_name(), std::string(layer.class_name()));
  ValueId y = body.input("x", step_shape(sequence.x, graph.type(sequence.x).shape.back().extent()));
  std::optional<ValueId> step_mask;
  std::vector<ValueId> operands{sequence.x};
  if (mask) {
    step_mask = body.graph().add_input("mask", {step_shape(*sequence.mask, 1), Numeric::bit(), {}});
    operands.push_back(*sequence.mask);
  }
  const auto sequences = static_cast<int64_t>(operands.size());

  // States of all cells, in order.
  std::vector<ValueId> before;
  std::vector<LayerBuilder> builders;
  std::vector<CellStep> steps;
  builders.reserve(cells.size());
  DrawCounter draws = layer.step_counter();
  for (size_t k = 0; k < cells.size(); ++k) {
    builders.push_back(layer.part(body, cells[k].layer, recurrent_cell, {y}, cells[k].prefix));
    builders.back().count_draws(draws);
    steps.emplace_back(builders.back(), cells.size() == 1 ? name : join_text(name, "/cell", k));
    for (size_t s = 0; s < states_of(cells[k].layer.class_name); ++s)
      before.push_back(body.input(join_text("state", before.size()),
                                  step_shape(sequence.x, steps.back().units())));
  }
  const size_t states = before.size();
  const bool given = inputs.size() > 1;
  if (given && inputs.size() != states + 1)
    layer.fail(join_text("it gets ", inputs.size() - 1, " initial states, expected ", states));
  if (driver.stateful && given)
    layer.fail("stateful with initial states as inputs is not supported");
  const auto state_variable = [&](size_t s) {  // "layer/state0", "layer/forward/state0"
    const std::string part = name == layer.name() ? "" : name.substr(layer.name().size() + 1) + "/";
    return join_text(part, "state", s);
  };
  for (size_t s = 0; s < states; ++s) {
    const Shape& wanted = body.type(before[s]).shape;
    if (given && graph.type(inputs[s + 1]).shape != wanted)
      layer.fail(join_text("initial state ", s, " has shape ",
                           to_string(graph.type(inputs[s + 1]).shape), ", expected ",
                           to_string(wanted)));
    if (driver.stateful) {
      const int64_t units = wanted[1].extent();
      operands.push_back(layer.state(
          state_variable(s), Tensor({1, units}, std::vector<float>(static_cast<size_t>(units))),
          /*per_sample=*/true));
    } else {
      operands.push_back(given ? inputs[s + 1]
                               : graph.constant(name + "/zero", Tensor::scalar(0.0F)));
    }
  }

  std::vector<ValueId> after = before;
  size_t at = 0;
  for (size_t k = 0; k < cells.size(); ++k) {
    const size_t count = states_of(cells[k].layer.class_name);
    y = steps[k].run(y, std::span(after).subspan(at, count));
    at += count;
  }
  // What a masked step shows is the last output, zeros before the first. It starts as the state
  // does, unless that is given or kept.
  const bool keeps_output = mask && !driver.zero_output_for_mask && (given || driver.stateful);
  if (mask) {
    for (size_t s = 0; s < states; ++s)
      after[s] = body.select(*step_mask, after[s], before[s], join_text(name, "/keep", s));
    ValueId other;
    if (driver.zero_output_for_mask) {
      other = body.constant(name + "/zero", Tensor::scalar(0.0F));
    } else if (keeps_output) {
      other = body.input("output", body.type(y).shape);
    }
    if (driver.zero_output_for_mask || keeps_output)
      y = body.select(*step_mask, y, other, name + "/shown");
    else
      y = after[states - states_of(cells.back().layer.class_name)];
  }
  for (size_t s = 0; s < states; ++s) body.output(join_text("state", s), after[s]);
  layer.add_step_counter(draws, operands, body, name);
  if (keeps_output) {
    operands.push_back(graph.constant(name + "/no_output", Tensor::scalar(0.0F)));
    body.output("output", y);
  }
  if (driver.return_sequences) body.output("y", y);

  const ops::Scan scan{
      .sequences = sequences,
      .states = static_cast<int64_t>(states) + (draws.id ? 1 : 0) + (keeps_output ? 1 : 0),
      .reverse = driver.go_backwards};
  const std::vector<ValueId> results = graph.scan(operands, scan, body.finish(), name);
  Recurrent out;
  out.states.assign(results.begin(), results.begin() + static_cast<ptrdiff_t>(states));
  if (driver.return_sequences || keeps_output)
    out.output = results.back();
  else
    out.output = out.states[states - states_of(cells.back().layer.class_name)];
  for (size_t s = 0; driver.stateful && s < states; ++s)
    layer.set_state(state_variable(s), out.states[s]);
  return out;
}

}  // namespace qloom::keras
