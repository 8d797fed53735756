#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bindings/import/keras_description.h"
#include "graph/graph.h"
#include "graph/interpret.h"

namespace qloom {

/// Inference, or a step of training without the optimizer: batch statistics and their moving
/// averages, ranges that adapt, delays. The phase is chosen when the graph is built.
enum class Phase : uint8_t { inference, training };

struct ImportOptions {
  /// Switches of constant folding and automatic scales: "eager", "predict" or "predict_onednn".
  std::string evaluation = "predict";
  /// A network that ends in a softmax (an Activation, Softmax or QActivation layer, or the
  /// activation of the last dense layer) gets its input as a further output named "logits".
  bool split_softmax = false;
  Phase phase = Phase::inference;
  /// What calls update (moving averages, adaptive ranges, counters) is state of the graph, called
  /// "layer/variable", that starts as the file has it. Always so in the training phase. Else it is
  /// constant at inference. States of recurrent layers that say `stateful` are kept in any case.
  bool keep_state = false;
  /// Quantizers that draw (stochastic_*, use_stochastic_rounding) do so in the training phase,
  /// bernoulli always, from streams of this seed: equal seeds and numbers of calls give equal
  /// draws (the calls are counted in float32, the state "random/calls": up to 2^24). None: they
  /// round, as QKeras does until its learning phase is set, and bernoulli is refused.
  std::optional<int64_t> random_seed = {};
  /// If given, receives what a user should know, a sentence each: weights matched by position,
  /// weights that are not used.
  std::vector<std::string>* notes = nullptr;
};

/// Keras model → Graph of plain ops; each node knows its layer, each layer's last value carries the
/// layer's name. Throws UserError: one error that lists every unsupported layer; for anything else
/// layer, key, expected and found.
[[nodiscard]] Graph import_keras(const KerasModel& model, const ImportOptions& options = {});

/// Gives the layers their weights from one list in the order of Keras's `model.weights`: layer
/// after layer, each with as many as its class and configuration ask for. For descriptions that
/// come without a weights file. Throws UserError when the list is too short or too long, or a layer
/// is not supported.
void set_weights(KerasModel& model, std::vector<KerasWeight> weights);

}  // namespace qloom
