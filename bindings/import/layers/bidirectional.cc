// bindings/import/layers/bidirectional.cc: a recurrent layer and one that goes the other way,
// merged. Source: Keras 2 keras/layers/rnn/bidirectional.py; QKeras adds nothing to its meaning.
#include "bindings/import/recurrent.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Bidirectional", "QBidirectional"};
constexpr std::string_view kKeys[] = {"layer", "merge_mode", "backward_layer"};
constexpr std::string_view kIgnored[] = {"weights"};

ConfigView direction_of(const ConfigView& config, bool backward) {
  const ConfigView own = config["backward_layer"];
  const ConfigView layer = backward && !own.is_none() ? own : config["layer"];
  const std::string& class_name = layer["class_name"].as_text();
  if (!is_recurrent(class_name) || class_name.ends_with("Cell"))
    layer["class_name"].fail_expected("SimpleRNN, LSTM, GRU, QSimpleRNN, QLSTM or QGRU");
  return layer;
}

constexpr std::string_view prefix_of(bool backward) { return backward ? "backward/" : "forward/"; }

std::vector<std::string_view> weights(const ConfigView& config) {
  std::vector<std::string_view> names;
  for (const bool backward : {false, true})
    for (const std::string_view name : recurrent_weights(direction_of(config, backward)["config"]))
      names.push_back(kept_name(std::string(prefix_of(backward)) + std::string(name)));
  return names;
}

ValueId merge(LayerBuilder& layer, const std::string& mode, ValueId forward, ValueId backward) {
  Builder& graph = layer.graph;
  if (mode == "concat") return graph.concat({forward, backward}, -1, layer.name());
  if (mode == "mul")
    return graph.elementwise(ops::Elementwise::multiply, forward, backward, layer.name());
  if (mode == "sum") return graph.add(forward, backward, layer.name());
  // Halving is exact, however it is written.
  const ValueId half = graph.constant(layer.name("half"), Tensor::scalar(0.5F));
  return graph.elementwise(ops::Elementwise::multiply,
                           graph.add(forward, backward, layer.name("sum")), half, layer.name());
}

ValueId build(LayerBuilder& layer) {
  const ConfigView mode_view = layer.config("merge_mode");
  const std::string mode = !mode_view.exists() ? "concat"
                           : mode_view.is_none()
                               ? ""
                               : mode_view.as_choice({"concat", "sum", "mul", "ave"});
  const std::vector<ValueId>& inputs = layer.inputs();
  if (inputs.size() % 2 == 0)
    layer.fail("it gets initial states for one direction only, expected as many for each");
  const auto half = static_cast<ptrdiff_t>(inputs.size() / 2);
  Recurrent built[2];
  Driver driver;
  size_t first = 0;
  for (const bool backward : {false, true}) {
    const ConfigView object = direction_of(layer.config(), backward);
    const size_t count = recurrent_weights(object["config"]).size();
    const Cell cell{layer.part_layer(object, recurrent_cell, first, count),
                    std::string(prefix_of(backward))};
    first += count;
    const LayerBuilder part = layer.part(layer.graph, cell.layer, recurrent_cell, {}, "");
    Driver own = driver_of(part);
    if (backward && layer.config("backward_layer").is_none()) own.go_backwards = !own.go_backwards;
    if (backward && own.go_backwards == driver.go_backwards)
      layer.fail("both directions go the same way (go_backwards)");
    if (backward &&
        (own.return_sequences != driver.return_sequences ||
         own.return_state != driver.return_state || own.time_major != driver.time_major))
      layer.fail("the directions differ in return_sequences, return_state or time_major");
    driver = own;
    // Keras changes its two copies so that a masked step of a sequence shows zeros.
    own.zero_output_for_mask = own.zero_output_for_mask || own.return_sequences;
    std::vector<ValueId> operands{inputs[0]};
    const auto states = inputs.begin() + 1 + (backward ? half : 0);
    operands.insert(operands.end(), states, states + half);
    built[backward ? 1 : 0] = build_recurrent(
        layer, {cell}, own, operands, layer.name(backward ? "backward" : "forward"), layer.mask());
  }
  if (driver.return_sequences) {
    const int64_t steps = layer.shape(built[1].output)[1].extent();
    built[1].output = layer.graph.slice(
        built[1].output, {.axis = 1, .begin = steps - 1, .count = steps, .stride = -1},
        layer.name("reversed"));
  } else {
    layer.set_mask({});
  }
  ValueId result = built[0].output;
  if (mode.empty())
    layer.more.push_back(laid_out_as_input(layer, driver, built[1].output, layer.name("backward")));
  else
    result = merge(layer, mode, built[0].output, built[1].output);
  result = laid_out_as_input(layer, driver, result, layer.name());
  if (driver.return_state)
    for (const Recurrent& one : built)
      layer.more.insert(layer.more.end(), one.states.begin(), one.states.end());
  return result;
}

}  // namespace

extern constinit const LayerDef bidirectional{
    .class_names = kClasses,
    .doc =
        "A recurrent layer and one that goes backwards, concatenated, added, multiplied or "
        "averaged.",
    .keys = kKeys,
    .ignored = kIgnored,
    .min_inputs = 1,
    .max_inputs = 5,
    .mask = MaskUse::builds,
    .has_call_arguments = true,
    .is_per_position = true,  // they have rows of their own
    .weights = weights,
    .build = build};

}  // namespace qloom::keras::layers
