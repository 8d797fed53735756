// bindings/cpp/recurrent_layers.h: recurrent layers as structs, as in layers.h. Input: [N, time
// steps, features], then initial states, if any; output: [N, units], or with return_sequences
// [N, time steps, units]. Weights: kernel [features, gates · units], recurrent_kernel
// [units, gates · units], bias. The cells of the same name go into RNN.
#pragma once

#include "bindings/cpp/layers.h"

namespace qloom::qkeras {

/// h' = activation(x·K + b + h·R); activation: tanh.
template <ClassName kName>
struct SimpleRecurrent {
  static constexpr ClassName kClass = kName;
  int64_t units = 0;
  QuantizerArgument activation = {};
  bool use_bias = true;
  bool return_sequences = false;
  bool return_state = false;
  bool go_backwards = false;
  bool stateful = false;
  void fields(auto&& f) const {
    f("units", units);
    f("activation", activation);
    f("use_bias", use_bias);
    f("return_sequences", return_sequences);
    f("return_state", return_state);
    f("go_backwards", go_backwards);
    f("stateful", stateful);
  }
};
using SimpleRNN = SimpleRecurrent<"SimpleRNN">;
using SimpleRNNCell = SimpleRecurrent<"SimpleRNNCell">;

/// Gates i, f, c, o; recurrent_activation: sigmoid.
template <ClassName kName>
struct LongShortTermMemory {
  static constexpr ClassName kClass = kName;
  int64_t units = 0;
  QuantizerArgument activation = {};
  QuantizerArgument recurrent_activation = {};
  bool use_bias = true;
  int64_t implementation = 2;
  bool return_sequences = false;
  bool return_state = false;
  bool go_backwards = false;
  bool stateful = false;
  void fields(auto&& f) const {
    f("units", units);
    f("activation", activation);
    f("recurrent_activation", recurrent_activation);
    f("use_bias", use_bias);
    f("implementation", implementation);
    f("return_sequences", return_sequences);
    f("return_state", return_state);
    f("go_backwards", go_backwards);
    f("stateful", stateful);
  }
};
using LSTM = LongShortTermMemory<"LSTM">;
using LSTMCell = LongShortTermMemory<"LSTMCell">;

/// Gates z, r, h. With reset_after the bias is [2, 3 · units].
template <ClassName kName>
struct GatedRecurrentUnit {
  static constexpr ClassName kClass = kName;
  int64_t units = 0;
  QuantizerArgument activation = {};
  QuantizerArgument recurrent_activation = {};
  bool use_bias = true;
  int64_t implementation = 2;
  bool reset_after = true;
  bool return_sequences = false;
  bool return_state = false;
  bool go_backwards = false;
  bool stateful = false;
  void fields(auto&& f) const {
    f("units", units);
    f("activation", activation);
    f("recurrent_activation", recurrent_activation);
    f("use_bias", use_bias);
    f("implementation", implementation);
    f("reset_after", reset_after);
    f("return_sequences", return_sequences);
    f("return_state", return_state);
    f("go_backwards", go_backwards);
    f("stateful", stateful);
  }
};
using GRU = GatedRecurrentUnit<"GRU">;
using GRUCell = GatedRecurrentUnit<"GRUCell">;

/// SimpleRNN with quantized weights; state_quantizer acts on what comes from the step before.
/// Activation: quantized_tanh.
template <ClassName kName>
struct QSimpleRecurrent {
  static constexpr ClassName kClass = kName;
  int64_t units = 0;
  QuantizerArgument activation = {};
  bool use_bias = true;
  QuantizerArgument kernel_quantizer = {};
  QuantizerArgument recurrent_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  QuantizerArgument state_quantizer = {};
  bool return_sequences = false;
  bool return_state = false;
  bool go_backwards = false;
  bool stateful = false;
  void fields(auto&& f) const {
    f("units", units);
    f("activation", activation);
    f("use_bias", use_bias);
    f("kernel_quantizer", kernel_quantizer);
    f("recurrent_quantizer", recurrent_quantizer);
    f("bias_quantizer", bias_quantizer);
    f("state_quantizer", state_quantizer);
    f("return_sequences", return_sequences);
    f("return_state", return_state);
    f("go_backwards", go_backwards);
    f("stateful", stateful);
  }
};
using QSimpleRNN = QSimpleRecurrent<"QSimpleRNN">;
using QSimpleRNNCell = QSimpleRecurrent<"QSimpleRNNCell">;

/// LSTM with quantized weights. Activation: quantized_tanh; recurrent_activation: QKeras's
/// hard_sigmoid.
template <ClassName kName>
struct QLongShortTermMemory {
  static constexpr ClassName kClass = kName;
  int64_t units = 0;
  QuantizerArgument activation = {};
  QuantizerArgument recurrent_activation = {};
  bool use_bias = true;
  QuantizerArgument kernel_quantizer = {};
  QuantizerArgument recurrent_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  QuantizerArgument state_quantizer = {};
  int64_t implementation = 1;
  bool return_sequences = false;
  bool return_state = false;
  bool go_backwards = false;
  bool stateful = false;
  void fields(auto&& f) const {
    f("units", units);
    f("activation", activation);
    f("recurrent_activation", recurrent_activation);
    f("use_bias", use_bias);
    f("kernel_quantizer", kernel_quantizer);
    f("recurrent_quantizer", recurrent_quantizer);
    f("bias_quantizer", bias_quantizer);
    f("state_quantizer", state_quantizer);
    f("implementation", implementation);
    f("return_sequences", return_sequences);
    f("return_state", return_state);
    f("go_backwards", go_backwards);
    f("stateful", stateful);
  }
};
using QLSTM = QLongShortTermMemory<"QLSTM">;
using QLSTMCell = QLongShortTermMemory<"QLSTMCell">;

/// GRU with quantized weights.
template <ClassName kName>
struct QGatedRecurrentUnit {
  static constexpr ClassName kClass = kName;
  int64_t units = 0;
  QuantizerArgument activation = {};
  QuantizerArgument recurrent_activation = {};
  bool use_bias = true;
  QuantizerArgument kernel_quantizer = {};
  QuantizerArgument recurrent_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  QuantizerArgument state_quantizer = {};
  int64_t implementation = 1;
  bool reset_after = false;
  bool return_sequences = false;
  bool return_state = false;
  bool go_backwards = false;
  bool stateful = false;
  void fields(auto&& f) const {
    f("units", units);
    f("activation", activation);
    f("recurrent_activation", recurrent_activation);
    f("use_bias", use_bias);
    f("kernel_quantizer", kernel_quantizer);
    f("recurrent_quantizer", recurrent_quantizer);
    f("bias_quantizer", bias_quantizer);
    f("state_quantizer", state_quantizer);
    f("implementation", implementation);
    f("reset_after", reset_after);
    f("return_sequences", return_sequences);
    f("return_state", return_state);
    f("go_backwards", go_backwards);
    f("stateful", stateful);
  }
};
using QGRU = QGatedRecurrentUnit<"QGRU">;
using QGRUCell = QGatedRecurrentUnit<"QGRUCell">;

/// Goes through the time steps with one cell, or with several that feed each other:
///   RNN{.cell = QLSTMCell{.units = 8}}
///   RNN{.cell = StackedRNNCells{.cells = {QLSTMCell{.units = 8}, QLSTMCell{.units = 4}}}}
struct StackedRNNCells {
  static constexpr ClassName kClass = "StackedRNNCells";
  std::vector<LayerArgument> cells = {};
  void fields(auto&& f) const { f("cells", cells); }
};
struct RNN {
  static constexpr ClassName kClass = "RNN";
  LayerArgument cell = {};
  bool return_sequences = false;
  bool return_state = false;
  bool go_backwards = false;
  bool stateful = false;
  void fields(auto&& f) const {
    f("cell", cell);
    f("return_sequences", return_sequences);
    f("return_state", return_state);
    f("go_backwards", go_backwards);
    f("stateful", stateful);
  }
};

/// A recurrent layer and the same backwards (or `backward_layer`), merged: "concat", "sum", "mul",
/// "ave".
template <ClassName kName>
struct BothDirections {
  static constexpr ClassName kClass = kName;
  LayerArgument layer = {};
  std::string merge_mode = "concat";
  LayerArgument backward_layer = {};
  void fields(auto&& f) const {
    f("layer", layer);
    f("merge_mode", merge_mode);
    f("backward_layer", backward_layer);
  }
};
using Bidirectional = BothDirections<"Bidirectional">;
using QBidirectional = BothDirections<"QBidirectional">;

}  // namespace qloom::qkeras
