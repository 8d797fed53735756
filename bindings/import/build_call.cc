#include "bindings/import/build_call.h"

#include <algorithm>
#include <array>

#include "graph/support/error.h"

namespace qloom::keras {
namespace {

// Keys that any layer may have and that say nothing about inference.
constexpr std::array<std::string_view, 9> kCommonKeys{
    "name",        "trainable", "dtype",       "batch_input_shape", "batch_shape",
    "input_shape", "input_dim", "input_dtype", "autocast"};
constexpr std::array<std::string_view, 3> kCommonSuffixes{"_initializer", "_regularizer",
                                                          "_constraint"};

bool contains(const auto& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_known_key(const LayerDef& def, std::string_view key) {
  return contains(def.keys, key) || contains(def.ignored, key) || contains(kCommonKeys, key) ||
         std::any_of(kCommonSuffixes.begin(), kCommonSuffixes.end(),
                     [&](std::string_view suffix) { return key.ends_with(suffix); });
}

}  // namespace

void check_keys(const KerasModel& model, const KerasLayer& layer, const LayerDef& def) {
  const ConfigView config = model.view(layer);
  // A key nobody knows may change the meaning of the layer; with null it cannot.
  for (const auto& [key, value] : config.as_object()) {
    if (!is_known_key(def, key) && !value.is_null()) {
      config[key].fail("this key of the configuration is unknown (its value is " +
                       value.to_string() + ")");
    }
  }
  const ConfigView dtype = config["dtype"];
  if (!dtype.is_none() && layer.class_name != "InputLayer") (void)dtype.as_choice({"float32"});
}

size_t expected_weights(const KerasModel& model, const KerasLayer& layer) {
  const LayerDef& def = *find_layer(layer.class_name);
  return def.weights == nullptr ? 0 : def.weights(model.view(layer)).size();
}

namespace {

// Arguments of the call besides the inputs: null ones and training=False say nothing.
void check_call_arguments(const KerasCall& call, const std::string& owner) {
  for (const auto& [key, value] : *call.kwargs.object()) {
    const bool is_inference = key == "training" && value.boolean() != nullptr && !*value.boolean();
    qloom_check(value.is_null() || is_inference, owner, ": inbound_nodes: the call argument ", key,
                "=", value.to_string(), " is not supported");
  }
}

// Time steps that count in all inputs that have a mask; none where these differ in length, or
// nobody has one.
std::optional<ValueId> common_mask(Builder& builder, std::span<const BuiltValue> inputs,
                                   const std::string& name) {
  std::optional<ValueId> all;
  for (const BuiltValue& input : inputs) {
    if (!input.mask || input.mask == all) continue;
    if (all && builder.type(*all).shape != builder.type(*input.mask).shape) return {};
    all = all ? builder.elementwise(ops::Elementwise::multiply, *all, *input.mask, name)
              : *input.mask;
  }
  return all;
}

// TimeDistributed over a layer that is not per position: a scan over axis 1, whose body is the
// layer.
ValueId build_for_each_step(LayerBuilder& outer, const KerasLayer& layer, const LayerDef& def) {
  const ValueId x = outer.input();
  Shape shape = outer.shape(x);
  shape.erase(shape.begin() + 1);
  Builder body(outer.name() + "/step");
  body.graph().set_options(outer.graph.graph().options());
  body.set_layer(layer.name, layer.class_name);
  const ValueId step = body.input("x", shape);
  LayerBuilder inner = outer.part(body, layer, def, {step}, "");
  DrawCounter draws = outer.step_counter();
  inner.count_draws(draws);
  const ValueId y = def.build(inner);
  std::vector<ValueId> operands{x};
  outer.add_step_counter(draws, operands, body, outer.name());
  body.output("y", y);
  return outer.graph
      .scan(operands, {.sequences = 1, .states = draws.id ? 1 : 0}, body.finish(), outer.name())
      .back();
}

// What TimeDistributed makes of the layer's own mask: without one, that of the time steps.
std::optional<ValueId> distributed_mask(Builder& builder, std::optional<ValueId> own,
                                        std::optional<ValueId> given, const std::string& name) {
  if (own || !given) return own;
  const int rank = builder.type(*given).rank();
  if (rank == 2) return given;
  ops::Reduce any;
  any.kind = ops::ReduceKind::max;
  for (int k = 2; k < rank; ++k) any.axes.push_back(k);
  return builder.reduce(*given, any, name);
}

}  // namespace

BuiltValue build_call(Builder& builder, const KerasModel& model, const KerasLayer& layer,
                      size_t call_index, std::span<const BuiltValue> inputs, const WeightFill& fill,
                      BuildMode mode) {
  const KerasCall& call = layer.calls[call_index];
  const LayerDef& def = *find_layer(layer.class_name);
  const std::string owner = model.describe(layer);

  std::vector<ValueId> ids;
  for (const BuiltValue& input : inputs) ids.push_back(input.id);
  const auto count = static_cast<int>(ids.size());
  qloom_check(!call.constant || def.has_call_arguments, owner,
              ": inbound_nodes: a constant as first input is not supported");
  if (!def.has_call_arguments) check_call_arguments(call, owner);
  qloom_check(count >= def.min_inputs && count <= def.max_inputs, owner,
              ": inbound_nodes: the layer has ", count, " inputs, expected ", def.min_inputs,
              def.max_inputs > def.min_inputs ? " or more" : "");
  const bool has_mask =
      std::ranges::any_of(inputs, [](const BuiltValue& input) { return input.mask.has_value(); });
  qloom_check(!has_mask || def.mask != MaskUse::refuses, owner,
              ": the mask of a Masking or Embedding layer arrives here and would change the "
              "result, which is not supported yet");
  if (layer.time_distributed) {
    const Shape& shape = builder.type(ids.front()).shape;
    qloom_check(shape.size() >= 3 && shape[1].is_static(), owner,
                ": TimeDistributed on an input of shape ", to_string(shape),
                ", expected 3 axes or more, the batch axis first");
  }

  // A shared layer: its later calls get names of their own.
  const std::string name =
      call_index == 0 ? layer.name : layer.name + "." + std::to_string(call_index);
  builder.set_layer(layer.name, layer.class_name);
  try {
    std::optional<ValueId> mask;
    if (has_mask && (def.mask == MaskUse::passes || def.mask == MaskUse::builds))
      mask = common_mask(builder, inputs, name + "/mask");
    qloom_check(mask || !has_mask || def.mask != MaskUse::passes, owner,
                ": the masks of its inputs differ in length");
    LayerBuilder layer_builder(builder, model, layer, def, call, std::move(ids), name, fill, mode,
                               mask);
    std::vector<std::optional<ValueId>> masks;
    for (const BuiltValue& input : inputs) masks.push_back(input.mask);
    layer_builder.set_input_masks(std::move(masks));
    const bool each = layer.time_distributed && !def.is_per_position;
    BuiltValue built{.id = each ? build_for_each_step(layer_builder, layer, def)
                                : def.build(layer_builder)};
    built.mask = layer_builder.mask();
    if (layer.time_distributed)
      built.mask = distributed_mask(
          builder, built.mask, common_mask(builder, inputs, name + "/steps"), name + "/steps_mask");
    built.more = std::move(layer_builder.more);
    return built;
  } catch (const UserError& error) {
    const std::string_view text = error.what();
    if (text.starts_with(owner)) throw;
    throw UserError(join_text(owner, ": ", text));
  }
}

}  // namespace qloom::keras
