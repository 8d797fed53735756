// bindings/import/recurrent.h: recurrent layers as a scan: cells become the ops of its body, the
// driver (Keras's RNN) its operands and results. Shared by RNN, the layers with a cell of their own
// and Bidirectional.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/import/layer.h"

namespace qloom::keras {

/// Keys of a layer with one cell.
inline constexpr std::string_view kRecurrentKeys[] = {"units",
                                                      "activation",
                                                      "recurrent_activation",
                                                      "use_bias",
                                                      "implementation",
                                                      "reset_after",
                                                      "recurrent_dropout",
                                                      "kernel_quantizer",
                                                      "bias_quantizer",
                                                      "recurrent_quantizer",
                                                      "state_quantizer",
                                                      "return_sequences",
                                                      "return_state",
                                                      "go_backwards",
                                                      "stateful",
                                                      "time_major",
                                                      "zero_output_for_mask"};
/// unroll: how the steps are run. The forget gate's bias: how it is initialized. Dropout belongs to
/// the training phase.
inline constexpr std::string_view kRecurrentIgnored[] = {"unroll", "unit_forget_bias", "dropout",
                                                         "seed", "use_cudnn"};
/// Variables of a cell with this configuration.
[[nodiscard]] std::vector<std::string_view> recurrent_weights(const ConfigView& config);
/// A name of a variable that is made of others; lives as long as the program.
[[nodiscard]] std::string_view kept_name(const std::string& name);
/// Of a cell, or of a layer within Bidirectional.
extern constinit const LayerDef recurrent_cell;

/// A layer or cell with its description: class, configuration, variables.
struct Cell {
  KerasLayer layer;
  std::string prefix;  ///< of its variables among those of the layer that is built
};

/// How the steps are gone through: the configuration of Keras's RNN.
struct Driver {
  bool return_sequences = false, return_state = false, go_backwards = false, stateful = false;
  bool zero_output_for_mask = false, time_major = false;
};
/// Reads the keys of the driver. Throws UserError for what is not supported.
[[nodiscard]] Driver driver_of(const LayerBuilder& layer);

/// Whether the class is a cell, or a layer with one, that is known; Keras's or QKeras's.
[[nodiscard]] bool is_recurrent(std::string_view class_name);
/// States of a cell: 2 for LSTM, else 1.
[[nodiscard]] size_t states_of(std::string_view class_name);

struct Recurrent {
  ValueId output;               ///< [N, units] or [N, T, units]
  std::vector<ValueId> states;  ///< after the last step
};
/// Builds the scan over cells that feed each other. `inputs`: x [N, T, F], then initial states
/// (zeros, or what the call before left, where there are none). `name`: of the last node. `mask`:
/// bit [N, T]. With time_major x and mask begin [T, N, within TimeDistributed [N, A, T; the output
/// is [N, T, units], [N, T, A, units].
[[nodiscard]] Recurrent build_recurrent(LayerBuilder& layer, const std::vector<Cell>& cells,
                                        const Driver& driver, const std::vector<ValueId>& inputs,
                                        const std::string& name, std::optional<ValueId> mask);

/// The output of a layer as its input is: sequences get their axes in that order again.
[[nodiscard]] ValueId laid_out_as_input(LayerBuilder& layer, const Driver& driver, ValueId y,
                                        const std::string& name);

}  // namespace qloom::keras
